//! Where requests wait while every endpoint has as many as it may: bounded, in order, and under overload the other
//! way round.
//!
//! A queue is for bursts: it empties again soon. One that has not been empty for [`STANDING`] is overload, and then whoever
//! is served in order is served when nobody waits for the answer any more. So from then on the newest is served first
//! (adaptive LIFO: Maurer, "Fail at Scale", ACM Queue 2015), and the oldest makes room when there is none left.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many may wait, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueRules {
    /// How many at once, over all workers; 0 lets nobody wait.
    pub size: u32,
    /// How long each.
    pub timeout: Duration,
}

/// For so long a queue may be other than empty and still count as a burst.
pub const STANDING: Duration = Duration::from_millis(100);

/// A place in a [`Queue`]: its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Who waits, of whatever kind.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: BTreeMap<Ticket, T>,
    next: u64,
    /// Since when somebody has been waiting.
    since: Option<Instant>,
}

/// What became of somebody who wanted to wait.
#[derive(Debug, PartialEq, Eq)]
pub enum Joined<T> {
    /// It waits.
    Waits(Ticket),
    /// It waits, and this one, who has waited longest, no longer does.
    InsteadOf(Ticket, T),
    /// There is no room.
    Full,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), next: 0, since: None }
    }
}

impl<T> Queue<T> {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether it has not been empty for too long to be a burst.
    #[must_use]
    pub fn is_standing(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.saturating_duration_since(since) > STANDING)
    }

    /// Adds somebody.
    pub fn join(&mut self, waiter: T, size: u32, now: Instant) -> Joined<T> {
        let is_full = self.waiting.len() >= size as usize;
        if size == 0 || (is_full && !self.is_standing(now)) {
            return Joined::Full;
        }
        let oldest = if is_full { self.waiting.pop_first() } else { None };
        let ticket = Ticket(self.next);
        self.next += 1;
        self.since.get_or_insert(now);
        self.waiting.insert(ticket, waiter);
        match oldest {
            Some((_, oldest)) => Joined::InsteadOf(ticket, oldest),
            None => Joined::Waits(ticket),
        }
    }

    /// Takes out whoever is to be served now: who has waited longest, under overload who has come last.
    pub fn serve(&mut self, now: Instant) -> Option<(Ticket, T)> {
        let served = match self.is_standing(now) {
            true => self.waiting.pop_last(),
            false => self.waiting.pop_first(),
        };
        self.look();
        served
    }

    /// Puts somebody back who was to be served and could not be.
    pub fn restore(&mut self, ticket: Ticket, waiter: T, now: Instant) {
        self.since.get_or_insert(now);
        self.waiting.insert(ticket, waiter);
    }

    /// Takes out somebody who does not want to wait any more; `None` if it has been served.
    pub fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let left = self.waiting.remove(&ticket);
        self.look();
        left
    }

    fn look(&mut self) {
        if self.waiting.is_empty() {
            self.since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::{cases, epoch};
    use proptest::prelude::*;

    fn at(millis: u64) -> Instant {
        epoch() + Duration::from_millis(millis)
    }

    fn served(queue: &mut Queue<u32>, now: Instant) -> Option<u32> {
        queue.serve(now).map(|(_, waiter)| waiter)
    }

    #[test]
    fn a_burst_is_served_in_order_and_bounded() {
        let mut queue = Queue::default();
        for waiter in 1..=3 {
            assert!(matches!(queue.join(waiter, 3, at(0)), Joined::Waits(_)));
        }
        assert_eq!(queue.join(4, 3, at(50)), Joined::Full);
        assert_eq!(
            [50, 60, 70, 80].map(|now| served(&mut queue, at(now))),
            [Some(1), Some(2), Some(3), None]
        );
        assert_eq!(Queue::default().join(1, 0, at(0)), Joined::Full);
    }

    #[test]
    fn under_overload_the_newest_is_served_and_the_oldest_makes_room() {
        let mut queue = Queue::default();
        for waiter in 1..=3 {
            queue.join(waiter, 3, at(0));
        }
        let Joined::InsteadOf(_, 1) = queue.join(4, 3, at(101)) else { panic!("{queue:?}") };
        assert_eq!(served(&mut queue, at(102)), Some(4));
        assert_eq!(served(&mut queue, at(103)), Some(3));
        assert_eq!(served(&mut queue, at(104)), Some(2));
        // Empty at last: what comes now is a burst.
        queue.join(5, 3, at(105));
        queue.join(6, 3, at(105));
        assert_eq!(served(&mut queue, at(150)), Some(5));
    }

    #[test]
    fn who_leaves_is_gone_and_who_is_put_back_has_kept_its_place() {
        let mut queue = Queue::default();
        let Joined::Waits(first) = queue.join(1, 3, at(0)) else { panic!() };
        queue.join(2, 3, at(0));
        let (ticket, waiter) = queue.serve(at(1)).unwrap();
        queue.restore(ticket, waiter, at(2));
        assert_eq!((ticket, queue.leave(first)), (first, Some(1)));
        assert_eq!(queue.leave(first), None);
        assert_eq!(served(&mut queue, at(3)), Some(2));
        assert!(queue.is_empty() && !queue.is_standing(at(1000)));
    }

    proptest! {
        #![proptest_config(cases(200))]

        #[test]
        fn nobody_is_lost_and_the_bound_holds(
            steps in prop::collection::vec((0_u8..4, 0_u64..60), 1..200), size in 0_u32..10,
        ) {
            let mut queue = Queue::default();
            let (mut now, mut joined, mut out) = (0, 0_u32, 0_u32);
            let mut tickets = Vec::new();
            for (step, pause) in steps {
                now += pause;
                match step {
                    0 | 1 => match queue.join(joined, size, at(now)) {
                        Joined::Waits(ticket) => { joined += 1; tickets.push(ticket); }
                        Joined::InsteadOf(ticket, _) => { joined += 1; out += 1; tickets.push(ticket); }
                        Joined::Full => prop_assert_eq!(queue.len(), size as usize),
                    },
                    2 => out += u32::from(queue.serve(at(now)).is_some()),
                    _ => out += u32::from(tickets.pop().is_some_and(|ticket| queue.leave(ticket).is_some())),
                }
                prop_assert!(queue.len() <= size as usize);
                prop_assert_eq!(queue.len() as u32, joined - out);
            }
        }
    }
}
