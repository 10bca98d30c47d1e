//! [`Figure`]: a number that an experiment must come out with.

use std::fmt;

/// What a run came out with, and what it must.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Of what, and under which policy.
    pub what: String,
    /// What it came to.
    pub got: f64,
    /// What it must be.
    pub wanted: Bound,
    /// `%`, `ms`, or nothing.
    pub unit: &'static str,
}

/// What a number must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// This, or so much more or less.
    Within(f64, f64),
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Figure {
    /// A figure.
    pub fn new(what: impl Into<String>, got: f64, wanted: Bound, unit: &'static str) -> Self {
        Self { what: what.into(), got, wanted, unit }
    }

    /// Whether it is what it must be; no number is nothing.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        match self.wanted {
            Bound::Within(value, tolerance) => (self.got - value).abs() <= tolerance,
            Bound::AtMost(most) => self.got <= most,
            Bound::AtLeast(least) => self.got >= least,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within(value, tolerance) => write!(f, "{value:.2} ± {tolerance:.2}"),
            Self::AtMost(most) => write!(f, "≤ {most:.2}"),
            Self::AtLeast(least) => write!(f, "≥ {least:.2}"),
        }
    }
}

impl fmt::Display for Figure {
    /// A row of a Markdown table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, got, wanted, unit } = self;
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let verdict = if self.is_kept() { "kept" } else { "MISSED" };
        write!(f, "| {what} | {got:.3}{unit} | {wanted} | {verdict} |")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_and_nothing_is_not_kept() {
        let kept = |got, wanted| Figure::new("it", got, wanted, "").is_kept();
        assert!(kept(1.0, Bound::Within(1.1, 0.11)) && !kept(1.0, Bound::Within(1.1, 0.09)));
        assert!(kept(1.0, Bound::AtMost(1.0)) && !kept(1.1, Bound::AtMost(1.0)));
        assert!(kept(1.0, Bound::AtLeast(1.0)) && !kept(0.9, Bound::AtLeast(1.0)));
        for wanted in [Bound::Within(1.0, 1.0), Bound::AtMost(1.0), Bound::AtLeast(1.0)] {
            assert!(!kept(f64::NAN, wanted));
        }
        let row = Figure::new("p99", 2.0, Bound::AtMost(1.0), "ms").to_string();
        assert_eq!(row, "| p99 | 2.000 ms | ≤ 1.00 | MISSED |");
    }
}
