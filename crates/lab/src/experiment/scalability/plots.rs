//! Throughput and what it used, as pictures.

use super::Curve;
use super::measure::Window;
use crate::report::{Axis, Line, Plot, Style};

/// Throughput by backends, beside what it could be and what the law makes of it.
pub(super) fn throughput(title: &str, curve: &Curve) -> Plot {
    let line = |name: String, points: Vec<(f64, f64)>, style: Style| Line { name, points, style };
    let most = curve.points.iter().map(|point| point.backends).max().unwrap_or(1);
    let measured = curve.points.iter().map(|point| (point.backends as f64, point.window.rate)).collect();
    let ideal = (1..=most).map(|n| (n as f64, curve.ideal(n))).collect();
    let mut lines = vec![
        line("measured".to_owned(), measured, Style::Solid),
        line("one backend's, times their number".to_owned(), ideal, Style::Dashed),
    ];
    if let Some(law) = curve.law {
        let fitted = (10..=most * 10).map(|tenths| tenths as f64 / 10.0).map(|n| (n, law.at(n))).collect();
        lines.push(line("scalability law, fitted".to_owned(), fitted, Style::Dashed));
    }
    Plot {
        title: title.to_owned(),
        x: Axis { label: "backends".to_owned(), logarithmic: false },
        y: Axis { label: "requests per second".to_owned(), logarithmic: false },
        lines,
        marks: Vec::new(),
    }
}

/// Who used the machine's cores.
pub(super) fn used(curve: &Curve) -> Plot {
    let line = |name: &str, cores: &dyn Fn(&Window) -> f64| Line {
        name: name.to_owned(),
        points: curve.points.iter().map(|it| (it.backends as f64, cores(&it.window))).collect(),
        style: Style::Solid,
    };
    Plot {
        title: "Cores used, every place taken".to_owned(),
        x: Axis { label: "backends".to_owned(), logarithmic: false },
        y: Axis { label: "cores".to_owned(), logarithmic: false },
        lines: vec![
            line("load", &|window| window.used.load),
            line("proxy", &|window| window.used.proxy.unwrap_or_default()),
            line("backends", &|window| window.used.backends),
            line("everything else on the machine", &|window| window.used.others),
        ],
        marks: Vec::new(),
    }
}
