//! What is going to happen, by virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Events by moment, in nanoseconds; of two at the same one, first the one that was planned first.
#[derive(Debug)]
pub(crate) struct Schedule<E> {
    events: BinaryHeap<Reverse<(u64, u64, E)>>,
    planned: u64,
}

impl<E: Ord> Default for Schedule<E> {
    fn default() -> Self {
        Self { events: BinaryHeap::new(), planned: 0 }
    }
}

impl<E: Ord> Schedule<E> {
    pub(crate) fn plan(&mut self, at: u64, event: E) {
        self.planned += 1;
        self.events.push(Reverse((at, self.planned, event)));
    }

    /// What happens next, and when.
    pub(crate) fn next(&mut self) -> Option<(u64, E)> {
        self.events.pop().map(|Reverse((at, _, event))| (at, event))
    }
}

pub(crate) fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

pub(crate) fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_as_they_were_planned() {
        let mut schedule = Schedule::default();
        for (at, event) in [(5, 'c'), (3, 'z'), (3, 'a'), (nanos(1e-9), 'b')] {
            schedule.plan(at, event);
        }
        let order: Vec<_> = std::iter::from_fn(|| schedule.next()).collect();
        assert_eq!(order, [(1, 'b'), (3, 'z'), (3, 'a'), (5, 'c')]);
        assert_eq!(seconds(nanos(0.25)), 0.25);
    }
}
