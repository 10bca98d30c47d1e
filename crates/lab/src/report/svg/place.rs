//! Places for the names of marks, so that they cover neither each other nor, where it can be helped, the curves.

use super::thin::Pixel;

/// Of a label, in pixels.
pub(super) const LINE_HEIGHT: f64 = 15.0;

/// Between a mark's line and its name.
const BESIDE: f64 = 4.0;

/// A label's place: where its text begins and what it covers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    /// Left end of the text.
    pub(super) left: f64,
    /// Right end of the text.
    pub(super) right: f64,
    /// Top of the line of text.
    pub(super) top: f64,
}

impl Place {
    fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.top + LINE_HEIGHT - 0.1
            && other.top < self.top + LINE_HEIGHT - 0.1
    }

    fn covers(&self, (x, y): Pixel) -> bool {
        (self.left - 2.0..=self.right + 2.0).contains(&x) && (self.top..=self.top + LINE_HEIGHT).contains(&y)
    }
}

/// The width of a text in the plot's font, rather too much than too little.
pub(super) fn width(text: &str) -> f64 {
    text.chars().count() as f64 * 6.9
}

/// Shortens a text to a width.
pub(super) fn shortened(text: &str, room: f64) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let letters = (room / width("n")).floor().max(2.0) as usize - 1;
    let text: String = text.chars().take(letters).collect();
    format!("{}…", text.trim_end())
}

/// Lanes over the plot for names of vertical lines, each beside its own: lane and left end of the text, as given.
/// No name covers another, nor the line of another mark on its way up to a higher lane.
pub(super) fn lanes(marks: &[(f64, f64)], from: f64, to: f64) -> Vec<(usize, f64)> {
    struct Placed {
        line: f64,
        left: f64,
        right: f64,
        lane: usize,
    }
    let mut order: Vec<usize> = (0..marks.len()).collect();
    let x = |index: &usize| marks.get(*index).map_or(0.0, |mark| mark.0);
    order.sort_by(|a, b| x(b).total_cmp(&x(a)));
    let mut placed: Vec<Placed> = Vec::new();
    let mut places = vec![(0, 0.0); marks.len()];
    for index in order {
        let Some((line, width)) = marks.get(index).copied() else { continue };
        let sides = [line + BESIDE, line - BESIDE - width];
        // To the right of its line nobody to its left can strike it out.
        let candidates = sides.into_iter().flat_map(|left| (0..=marks.len()).map(move |lane| (lane, left)));
        let fits = |(lane, left): &(usize, f64)| {
            let (left, right) = (*left - BESIDE, left + width + BESIDE);
            let is_inside = left >= from - BESIDE - 1.0 && right <= to + BESIDE + 1.0;
            is_inside
                && placed.iter().all(|other| {
                    let apart = right <= other.left || left >= other.right;
                    let under_their_line = *lane < other.lane && left < other.line && other.line < right;
                    let over_their_name = other.lane < *lane && other.left < line && line < other.right;
                    (apart || other.lane != *lane) && !under_their_line && !over_their_name
                })
        };
        let above_all = placed.iter().map(|other| other.lane + 1).max().unwrap_or(0);
        // One that is too long for either side of its line.
        let anywhere = (above_all, (to - width).min(line + BESIDE).max(from));
        let (lane, left) = candidates.clone().find(fits).unwrap_or(anywhere);
        placed.push(Placed { line, left: left - BESIDE, right: left + width + BESIDE, lane });
        if let Some(place) = places.get_mut(index) {
            *place = (lane, left);
        }
    }
    places
}

/// A place for the name of a horizontal line at `y`, near it, where it covers nothing of `taken` and least of `ink`.
pub(super) fn beside(
    y: f64,
    width: f64,
    area: (f64, f64, f64, f64),
    taken: &[Place],
    ink: &[Pixel],
) -> Place {
    let (left, right, top, bottom) = area;
    let ends = [right - width - BESIDE, left + BESIDE, f64::midpoint(left, right) - width / 2.0];
    let free = (0..8)
        .flat_map(|step| {
            let away = f64::from(step) * LINE_HEIGHT;
            [y - LINE_HEIGHT - 1.0 - away, y + 2.0 + away]
        })
        .flat_map(|top| ends.map(|left| Place { left, right: left + width, top }))
        .filter(|place| place.top >= top - 1.0 && place.top + LINE_HEIGHT <= bottom + 1.0)
        .filter(|place| taken.iter().all(|other| !place.overlaps(other)));
    let distance = |place: &Place| ((place.top + LINE_HEIGHT / 2.0 - y).abs() / LINE_HEIGHT).floor() as usize;
    let cost = |place: &Place| distance(place) * 6 + ink.iter().filter(|pixel| place.covers(**pixel)).count();
    let first = Place { left: right - width - BESIDE, right: right - BESIDE, top: y - LINE_HEIGHT - 1.0 };
    free.min_by_key(cost).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_vertical_lines_do_not_overlap() {
        let marks: Vec<(f64, f64)> = (0..12).map(|i| (40.0 + f64::from(i * i) * 5.0, 90.0)).collect();
        let places = lanes(&marks, 40.0, 700.0);
        for (index, (lane, left)) in places.iter().enumerate() {
            assert!(*left >= 39.0 && left + 90.0 <= 701.0, "{left}");
            for (other, (other_lane, other_left)) in places.iter().enumerate() {
                if index != other && lane == other_lane {
                    assert!(left + 90.0 <= *other_left || other_left + 90.0 <= *left, "{index} over {other}");
                }
                let line = marks[other].0;
                assert!(
                    lane >= other_lane || line <= *left || line >= left + 90.0,
                    "{other} strikes out {index}"
                );
            }
        }
    }

    #[test]
    fn a_single_name_stands_right_of_its_line_or_left_at_the_edge() {
        assert_eq!(lanes(&[(100.0, 50.0)], 40.0, 700.0), [(0, 104.0)]);
        assert_eq!(lanes(&[(690.0, 50.0)], 40.0, 700.0), [(0, 636.0)]);
        assert!(lanes(&[], 40.0, 700.0).is_empty());
    }

    #[test]
    fn names_of_horizontal_lines_keep_clear() {
        let area = (40.0, 700.0, 20.0, 220.0);
        let first = beside(100.0, 80.0, area, &[], &[]);
        assert_eq!(first, Place { left: 616.0, right: 696.0, top: 84.0 });
        let mut taken = vec![first];
        for _ in 0..6 {
            let next = beside(100.0, 80.0, area, &taken, &[]);
            assert!(taken.iter().all(|place| !place.overlaps(&next)));
            taken.push(next);
        }
        let ink: Vec<Pixel> = (0..30).map(|i| (620.0 + f64::from(i), 92.0)).collect();
        assert!(beside(100.0, 80.0, area, &[], &ink) != first, "a curve is in the way");
        assert!(beside(20.0, 80.0, area, &[], &[]).top >= 19.0, "inside the plot");
    }

    #[test]
    fn long_names_are_shortened() {
        assert_eq!(shortened("kill -9", 100.0), "kill -9");
        let text = shortened(&"word ".repeat(40), 100.0);
        assert!(text.ends_with('…') && width(&text) <= 100.0, "{text}");
    }
}
