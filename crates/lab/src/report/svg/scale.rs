//! From values to pixels: an axis' range, its ticks and what stands beside them.

use crate::figures;

/// Values beyond these are taken for a fault of the measurement; arithmetic below stays finite.
const LARGEST: f64 = 1e100;

/// How a linear range lies around its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// From the smallest to the largest.
    Tight,
    /// From zero, if that is near enough, or a tick to a tick.
    Ticks,
}

/// An axis.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    /// Of the range: values, or their logarithms.
    low: f64,
    high: f64,
    logarithmic: bool,
    /// Where `low` and `high` are, in pixels.
    pixels: (f64, f64),
    ticks: Vec<f64>,
}

impl Scale {
    /// A range around what of `values` can be shown, with about `wanted` ticks.
    pub(super) fn new(values: impl Iterator<Item = f64>, logarithmic: bool, fit: Fit, wanted: f64) -> Self {
        let shown = values.filter(|value| is_shown(*value, logarithmic));
        let range = shown.fold(None, |range: Option<(f64, f64)>, value| {
            Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
        });
        if logarithmic { Self::decades(range, wanted) } else { Self::steps(range, fit, wanted) }
    }

    fn steps(range: Option<(f64, f64)>, fit: Fit, wanted: f64) -> Self {
        let (mut low, mut high) = range.unwrap_or((0.0, 1.0));
        if fit == Fit::Ticks {
            if low > 0.0 && low < high.mul_add(0.6, 1.0) {
                low = 0.0;
            }
            high = if low < 0.0 { high.max(0.0) } else { high };
        }
        // Too small a difference to be told apart, or none.
        if high - low <= low.abs().max(high.abs()) * 1e-9 {
            let around = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low, high) = (if fit == Fit::Ticks && low == 0.0 { 0.0 } else { low - around }, high + around);
        }
        let step = round_step((high - low) / wanted.max(1.0));
        if fit == Fit::Ticks {
            low = (low / step + 1e-9).floor() * step;
            high = (high / step - 1e-9).ceil() * step;
        }
        let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
        let ticks = (0..100).map(|index| first + f64::from(index)).take_while(|index| *index <= last);
        // Adding zero makes a zero of minus zero.
        let ticks = ticks.map(|index| index * step + 0.0).collect();
        Self { low, high, logarithmic: false, pixels: (0.0, 1.0), ticks }
    }

    fn decades(range: Option<(f64, f64)>, wanted: f64) -> Self {
        let (smallest, largest) = range.unwrap_or((1.0, 10.0));
        let (first, last) = (smallest.log10().floor() as i32, largest.log10().ceil() as i32);
        let round = || {
            (first - 1..=last + 1).flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade)))
        };
        let tolerance = 1.0 + 1e-9;
        let mut low = round().rfind(|value| *value <= smallest * tolerance).unwrap_or(smallest);
        let mut high = round().find(|value| *value >= largest / tolerance).unwrap_or(largest);
        if high <= low * tolerance {
            low = round().rfind(|value| *value < low / tolerance).unwrap_or(low / 2.0);
            high = round().find(|value| *value > high * tolerance).unwrap_or(high * 2.0);
        }
        let inside = |value: &f64| *value >= low / tolerance && *value <= high * tolerance;
        let fine: Vec<f64> = round().filter(inside).collect();
        let ticks = if fine.len() as f64 <= wanted.mul_add(1.5, 1.0) {
            fine
        } else {
            let tens: Vec<f64> =
                (first - 1..=last + 1).map(|decade| 10_f64.powi(decade)).filter(inside).collect();
            let every = (tens.len() as f64 / wanted.max(1.0)).ceil().max(1.0) as usize;
            tens.into_iter().step_by(every).collect()
        };
        Self { low: low.log10(), high: high.log10(), logarithmic: true, pixels: (0.0, 1.0), ticks }
    }

    /// The same range between other pixels.
    pub(super) fn between(self, from: f64, to: f64) -> Self {
        Self { pixels: (from, to), ..self }
    }

    /// Where a value is, in pixels; nowhere if it is not finite or, on a logarithmic axis, not positive.
    pub(super) fn at(&self, value: f64) -> Option<f64> {
        if !is_shown(value, self.logarithmic) {
            return None;
        }
        let value = if self.logarithmic { value.log10() } else { value };
        let (from, to) = self.pixels;
        Some((value - self.low) / (self.high - self.low) * (to - from) + from)
    }

    /// Ticks, where they are in pixels, and their labels.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let step = match self.ticks.as_slice() {
            [first, second, ..] if !self.logarithmic => second - first,
            _ => 0.0,
        };
        let largest = self.ticks.iter().fold(0.0, |largest: f64, tick| largest.max(tick.abs()));
        let label = |tick: f64| {
            if self.logarithmic { number(tick, tick, tick) } else { number(tick, step, largest) }
        };
        self.ticks.iter().filter_map(|tick| Some((self.at(*tick)?, label(*tick)))).collect()
    }
}

/// Whether a value has a place on such an axis.
pub(super) fn is_shown(value: f64, logarithmic: bool) -> bool {
    value.abs() <= LARGEST && (!logarithmic || value > 1.0 / LARGEST)
}

/// 1, 2 or 5 times a power of ten, `least` or more.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let digits = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= least * (1.0 - 1e-9));
    digits.unwrap_or(10.0) * power
}

/// A tick's label: the digits that `step` needs, in the unit that `largest` calls for.
fn number(value: f64, step: f64, largest: f64) -> String {
    if largest >= 1e15 || (largest != 0.0 && largest < 1e-6) {
        return format!("{value:.1e}").replace(".0e", "e");
    }
    let (unit, suffix) = [(1e12, " T"), (1e9, " G"), (1e6, " M")]
        .into_iter()
        .find(|(unit, _)| largest >= *unit)
        .unwrap_or((1.0, ""));
    let step = if step == 0.0 { value.abs() } else { step } / unit;
    let digits = if step > 0.0 { (-(step.log10() + 1e-9).floor()).clamp(0.0, 9.0) as usize } else { 0 };
    if value == 0.0 && unit > 1.0 {
        return "0".to_owned();
    }
    let text = format!("{:.digits$}", (value / unit).abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), figures::count);
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if value < 0.0 { "−" } else { "" };
    format!("{sign}{whole}{point}{fraction}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], logarithmic: bool, fit: Fit) -> Vec<String> {
        let scale = Scale::new(values.iter().copied(), logarithmic, fit, 5.0);
        scale.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        use Fit::{Ticks, Tight};
        assert_eq!(labels(&[0.0, 100.0], false, Ticks), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(&[3.0, 970.0], false, Ticks), ["0", "200", "400", "600", "800", "1,000"]);
        assert_eq!(labels(&[0.3, 9.4], false, Tight), ["2", "4", "6", "8"]);
        assert_eq!(
            labels(&[0.0, 0.01], false, Ticks),
            ["0.000", "0.002", "0.004", "0.006", "0.008", "0.010"]
        );
        assert_eq!(labels(&[-30.0, 60.0], false, Ticks), ["−40", "−20", "0", "20", "40", "60"]);
        assert_eq!(labels(&[0.0, 2.4e6], false, Ticks), ["0", "0.5 M", "1.0 M", "1.5 M", "2.0 M", "2.5 M"]);
        assert_eq!(
            labels(&[99.90, 100.0], false, Ticks),
            ["99.90", "99.92", "99.94", "99.96", "99.98", "100.00"]
        );
    }

    #[test]
    fn decades_and_what_is_between_them() {
        assert_eq!(labels(&[1.0, 1000.0], true, Fit::Ticks), ["1", "10", "100", "1,000"]);
        assert_eq!(labels(&[0.3, 4.0], true, Fit::Ticks), ["0.2", "0.5", "1", "2", "5"]);
        assert_eq!(labels(&[1e-3, 1e7], true, Fit::Ticks), ["0.001", "1", "1,000", "1 M"]);
        assert_eq!(labels(&[0.0, -1.0, 7.0], true, Fit::Ticks), ["5", "10"]);
        assert_eq!(labels(&[10.0, 10.0], true, Fit::Ticks), ["5", "10", "20"]);
    }

    #[test]
    fn values_without_a_range_have_one() {
        for fit in [Fit::Ticks, Fit::Tight] {
            for logarithmic in [false, true] {
                for values in
                    [&[][..], &[0.0], &[5.0, 5.0], &[-3.0], &[1e300], &[f64::NAN], &[1e99, -1e99], &[1e-99]]
                {
                    let scale = Scale::new(values.iter().copied(), logarithmic, fit, 5.0).between(10.0, 90.0);
                    let ticks = scale.ticks();
                    assert!((1..30).contains(&ticks.len()), "{values:?} {logarithmic} {fit:?}: {ticks:?}");
                    for at in
                        ticks.iter().map(|(at, _)| *at).chain(values.iter().filter_map(|v| scale.at(*v)))
                    {
                        assert!((9.999..90.001).contains(&at), "{values:?} {logarithmic} {fit:?}: {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn values_land_on_their_pixels() {
        let scale = Scale::new([0.0, 100.0].into_iter(), false, Fit::Ticks, 5.0).between(200.0, 0.0);
        assert_eq!([0.0, 50.0, 100.0].map(|v| scale.at(v)), [Some(200.0), Some(100.0), Some(0.0)]);
        assert_eq!([f64::NAN, f64::INFINITY].map(|v| scale.at(v)), [None, None]);
        let scale = Scale::new([1.0, 100.0].into_iter(), true, Fit::Ticks, 5.0).between(0.0, 200.0);
        assert_eq!(
            [1.0, 10.0, 100.0, 0.0, -1.0].map(|v| scale.at(v)),
            [Some(0.0), Some(100.0), Some(200.0), None, None]
        );
    }
}
