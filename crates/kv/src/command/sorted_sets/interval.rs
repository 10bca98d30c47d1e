//! [`Interval`]: the part of a sorted set that lies between two scores, two members or two ranks, as it is written.

use std::ops::Range;

use crate::error::Error;
use crate::resp::parse_float;
use crate::store::SortedSet;

/// Part of a sorted set.
#[derive(Clone, Copy, Debug)]
pub(super) enum Interval<'a> {
    /// From one rank to another, both included; negative ones count from the end.
    Ranks(i64, i64),
    /// Between two scores.
    Scores(Edge<f64>, Edge<f64>),
    /// Between two members.
    Members(Edge<&'a [u8]>, Edge<&'a [u8]>),
}

/// One end of an interval.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge<T> {
    /// Before everything.
    Lowest,
    /// Behind everything.
    Highest,
    /// There, and what is right there is part of the interval.
    Including(T),
    /// There, and it is not.
    Excluding(T),
}

impl<'a> Interval<'a> {
    /// Between two scores: `1.5`, `(1.5`, `-inf`, `+inf`.
    ///
    /// # Errors
    /// One is no number.
    pub(super) fn of_scores(low: &[u8], high: &[u8]) -> Result<Self, Error> {
        Ok(Self::Scores(score(low)?, score(high)?))
    }

    /// Between two members: `[member`, `(member`, `-`, `+`.
    ///
    /// # Errors
    /// One is not written like this.
    pub(super) fn of_members(low: &'a [u8], high: &'a [u8]) -> Result<Self, Error> {
        Ok(Self::Members(member(low)?, member(high)?))
    }

    /// The ranks of what lies in it; with `reversed`, ranks that were given count from the highest.
    pub(super) fn ranks(&self, set: &SortedSet, reversed: bool) -> Range<usize> {
        let len = set.len();
        let (start, end) = match self {
            Self::Ranks(first, last) => {
                let from_end = |rank: i64| usize::try_from(rank.unsigned_abs()).unwrap_or(usize::MAX);
                let start = match usize::try_from(*first) {
                    Ok(rank) => rank.min(len),
                    Err(_) => len.saturating_sub(from_end(*first)),
                };
                let end = match usize::try_from(*last) {
                    Ok(rank) => rank.saturating_add(1).min(len),
                    Err(_) => (len + 1).saturating_sub(from_end(*last)),
                };
                if reversed { (len - end, len - start) } else { (start, end) }
            }
            Self::Scores(low, high) => (
                low.rank(len, false, |score, inclusive| set.below(*score, inclusive)),
                high.rank(len, true, |score, inclusive| set.below(*score, inclusive)),
            ),
            Self::Members(low, high) => (
                low.rank(len, false, |member, inclusive| set.below_member(member, inclusive)),
                high.rank(len, true, |member, inclusive| set.below_member(member, inclusive)),
            ),
        };
        start..end.max(start)
    }
}

impl<T> Edge<T> {
    /// How many members come before the edge; `upper`: which ends an interval and does not begin one.
    fn rank(&self, len: usize, upper: bool, below: impl Fn(&T, bool) -> usize) -> usize {
        match self {
            Self::Lowest => 0,
            Self::Highest => len,
            Self::Including(value) => below(value, upper),
            Self::Excluding(value) => below(value, !upper),
        }
    }
}

/// As C's `strtod` reads it, which takes nothing for 0 and allows space in front.
fn score(text: &[u8]) -> Result<Edge<f64>, Error> {
    let read = |text: &[u8]| match text {
        b"" => Ok(0.0),
        text => parse_float(text.trim_ascii_start()).ok_or(NO_SCORE),
    };
    match text {
        [b'(', text @ ..] => read(text).map(Edge::Excluding),
        text => read(text).map(Edge::Including),
    }
}

fn member(text: &[u8]) -> Result<Edge<&[u8]>, Error> {
    match text {
        b"-" => Ok(Edge::Lowest),
        b"+" => Ok(Edge::Highest),
        [b'[', member @ ..] => Ok(Edge::Including(member)),
        [b'(', member @ ..] => Ok(Edge::Excluding(member)),
        _ => Err(NO_MEMBER),
    }
}

const NO_SCORE: Error = Error::new("ERR min or max is not a float");
const NO_MEMBER: Error = Error::new("ERR min or max not valid string range item");
