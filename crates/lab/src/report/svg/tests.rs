//! Tests of pictures.

use super::super::sample::{axis, line};
use super::*;

fn plot(points: &[(f64, f64)], logarithmic: bool) -> Plot {
    Plot {
        title: "p".to_owned(),
        x: axis("x", false),
        y: axis("y", logarithmic),
        lines: vec![line("curve", Style::Solid, points.to_vec())],
        marks: Vec::new(),
    }
}

#[test]
fn values_land_on_their_pixels() {
    let svg = draw(&plot(&[(0.0, 0.0), (5.0, 50.0), (10.0, 100.0)], false), WIDE, "plot");
    // Labels of three digits leave 30.7 pixels at the left; the area is 260 high under 26 of names.
    assert!(svg.contains("<path class=\"solid c0\" d=\"M30.7 286L387.3 156L744 26\"/>"), "{svg}");
    assert!(svg.contains("<title>curve: 50 at 5</title>"));
    assert!(svg.contains("<text class=\"end\" x=\"24.7\" y=\"30\">100</text>"), "{svg}");
}

#[test]
fn gaps_are_not_bridged() {
    let svg = draw(&plot(&[(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 2.0)], false), WIDE, "plot");
    let path = svg.lines().find(|line| line.contains("class=\"solid")).unwrap();
    assert_eq!((path.matches('M').count(), path.matches("h0").count()), (2, 1), "{path}");
}

#[test]
fn degenerate_plots_have_axes_and_no_wild_numbers() {
    let cases: [&[(f64, f64)]; 7] = [
        &[],
        &[(3.0, 7.0)],
        &[(1.0, 5.0), (2.0, 5.0), (3.0, 5.0)],
        &[(0.0, 0.0), (1.0, 0.0)],
        &[(f64::NAN, 1.0), (1.0, f64::INFINITY)],
        &[(4.0, 1.0), (4.0, 9.0)],
        &[(0.0, 1e300), (1.0, 1.0)],
    ];
    for points in cases {
        for logarithmic in [false, true] {
            for size in [WIDE, NARROW] {
                let svg = draw(&plot(points, logarithmic), size, "plot");
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
                assert!(svg.contains("class=\"grid\"") && svg.contains("class=\"axis\""), "{points:?}");
            }
        }
    }
    assert_eq!(hidden(&plot(&[(0.0, 0.0), (1.0, -1.0), (2.0, 3.0), (3.0, f64::NAN)], true)), 2);
}

#[test]
fn marks_have_lines_and_names() {
    let mut plot = plot(&[(0.0, 1.0), (10.0, 100.0)], false);
    let mark = |on, at, label: &str| Mark { on, at, label: label.to_owned() };
    plot.marks = vec![
        mark(Direction::X, 5.0, "kill"),
        mark(Direction::X, 5.1, "out of rotation"),
        mark(Direction::Y, 80.0, "limit"),
    ];
    let svg = draw(&plot, WIDE, "plot");
    assert_eq!(svg.matches("class=\"mark\"").count(), 3);
    let tops: Vec<&str> = ["kill<", "out of rotation<"]
        .iter()
        .map(|name| svg.lines().find(|line| line.contains(name)).unwrap())
        .collect();
    assert!(tops[0].contains("y=\"22\"") != tops[1].contains("y=\"22\"") || tops[0] != tops[1], "{tops:?}");
    assert!(svg.contains("class=\"halo end\"") && svg.contains(">limit<"));
}
