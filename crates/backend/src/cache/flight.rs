//! Single flight: while one request reads for a key, others that need it wait for what that one finds.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{oneshot, watch};

use crate::database::items::Key;

/// Most flights at once. Beyond it a request reads for itself.
const MOST: usize = 10_000;

/// The reads under way, by key. `T` is what a read finds; each waiter gets a clone.
#[derive(Debug)]
pub(super) struct Flights<T> {
    table: Mutex<Table<T>>,
}

#[derive(Debug)]
struct Table<T> {
    flights: HashMap<Key, Flight<T>>,
    begun: u64,
}

#[derive(Debug)]
struct Flight<T> {
    number: u64,
    seat: Weak<Seat<T>>,
}

/// A place in a flight. When the last one is dropped, nobody waits any more.
#[derive(Debug)]
pub(super) struct Seat<T> {
    landed: watch::Receiver<Option<T>>,
    _occupied: oneshot::Sender<Infallible>,
}

/// The one that reads. Dropping it ends the flight, and those who still wait are told.
#[derive(Debug)]
pub(super) struct Leader<T> {
    flights: Arc<Flights<T>>,
    key: Key,
    number: u64,
    landing: watch::Sender<Option<T>>,
    deserted: oneshot::Receiver<Infallible>,
    /// Empty until it has landed; then it lets latecomers in until the leader is dropped.
    open: Option<Arc<Seat<T>>>,
    seat: Weak<Seat<T>>,
}

/// How a request gets on board.
#[derive(Debug)]
pub(super) enum Boarding<T> {
    /// As the first: somebody has to lead.
    First(Leader<T>, Arc<Seat<T>>),
    /// Into a flight under way.
    Joined(Arc<Seat<T>>),
    /// Not at all: there are too many.
    Full,
}

impl<T: Clone> Flights<T> {
    pub(super) fn new() -> Arc<Flights<T>> {
        Arc::new(Flights { table: Mutex::new(Table { flights: HashMap::new(), begun: 0 }) })
    }

    /// Joins the flight of a key, or begins one.
    pub(super) fn board(self: &Arc<Self>, key: &Key) -> Boarding<T> {
        let mut table = self.lock();
        if let Some(seat) = table.flights.get(key).and_then(|flight| flight.seat.upgrade()) {
            return Boarding::Joined(seat);
        }
        if table.flights.len() >= MOST {
            return Boarding::Full;
        }
        table.begun += 1;
        let number = table.begun;
        let (landing, landed) = watch::channel(None);
        let (occupied, deserted) = oneshot::channel();
        let seat = Arc::new(Seat { landed, _occupied: occupied });
        table.flights.insert(key.clone(), Flight { number, seat: Arc::downgrade(&seat) });
        drop(table);
        let leader = Leader {
            flights: Arc::clone(self),
            key: key.clone(),
            number,
            landing,
            deserted,
            open: None,
            seat: Arc::downgrade(&seat),
        };
        Boarding::First(leader, seat)
    }

    /// Nobody joins the flight of this key any more: what it finds may be old. Who is on board already came
    /// before the write, or while it went on, and may see either.
    pub(super) fn forget(&self, key: &Key) {
        self.lock().flights.remove(key);
    }

    /// Flights under way.
    pub(super) fn count(&self) -> usize {
        self.lock().flights.len()
    }

    fn lock(&self) -> MutexGuard<'_, Table<T>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Leader<T> {
    /// Tells those on board what was found. Until the leader is dropped, latecomers are told too.
    pub(super) fn land(&mut self, found: T) {
        self.open = self.seat.upgrade();
        self.landing.send_replace(Some(found));
    }

    /// Returns when nobody is on board any more, before [`Leader::land`].
    pub(super) async fn deserted(&mut self) {
        // Nothing is ever sent: it ends with the sender.
        let _ = (&mut self.deserted).await;
    }

    /// The rows were not written since the flight began, as far as this process knows.
    pub(super) fn is_fresh(&self) -> bool {
        self.flights.lock().flights.get(&self.key).is_some_and(|flight| flight.number == self.number)
    }
}

impl<T> Drop for Leader<T> {
    fn drop(&mut self) {
        let mut table = self.flights.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.flights.get(&self.key).is_some_and(|flight| flight.number == self.number) {
            table.flights.remove(&self.key);
        }
    }
}

impl<T: Clone> Seat<T> {
    /// What the leader found; `None` when it ended without finding out.
    pub(super) async fn landed(&self) -> Option<T> {
        self.landed.clone().wait_for(Option::is_some).await.ok().and_then(|found| found.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(flights: &Arc<Flights<u32>>, id: i64) -> (Leader<u32>, Arc<Seat<u32>>) {
        match flights.board(&Key::Item(id)) {
            Boarding::First(leader, seat) => (leader, seat),
            other => panic!("{other:?}"),
        }
    }

    fn joined(flights: &Arc<Flights<u32>>, id: i64) -> Arc<Seat<u32>> {
        match flights.board(&Key::Item(id)) {
            Boarding::Joined(seat) => seat,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn all_on_board_get_what_the_leader_found() {
        let flights = Flights::new();
        let (mut leader, seat) = first(&flights, 7);
        let others: Vec<_> = (0..99).map(|_| joined(&flights, 7)).collect();
        let (_other_leader, _) = first(&flights, 8);
        leader.land(5);
        assert_eq!(seat.landed().await, Some(5));
        for other in others {
            assert_eq!(other.landed().await, Some(5));
        }
        drop(seat);
        assert_eq!(joined(&flights, 7).landed().await, Some(5), "it is open until the leader has stored it");
        drop(leader);
        let _ = first(&flights, 7);
    }

    #[tokio::test]
    async fn a_leader_that_vanishes_leaves_nobody_waiting() {
        let flights = Flights::new();
        let (leader, seat) = first(&flights, 7);
        let other = joined(&flights, 7);
        drop(leader);
        assert_eq!((seat.landed().await, other.landed().await), (None, None));
        assert_eq!(flights.count(), 0);
    }

    #[tokio::test]
    async fn the_flight_goes_on_while_one_is_on_board() {
        let flights = Flights::new();
        let (mut leader, seat) = first(&flights, 7);
        let other = joined(&flights, 7);
        drop(seat);
        tokio::select! {
            biased;
            () = leader.deserted() => panic!("one is on board"),
            () = std::future::ready(()) => {}
        }
        drop(other);
        leader.deserted().await;
        // Whoever comes between its end and its drop begins a new one, which the drop leaves alone.
        let (_second, _seat) = first(&flights, 7);
        drop(leader);
        assert_eq!(flights.count(), 1);
    }

    #[tokio::test]
    async fn after_a_write_nobody_joins_what_began_before_it() {
        let flights = Flights::new();
        let (mut old, on_board) = first(&flights, 7);
        assert!(old.is_fresh());
        flights.forget(&Key::Item(7));
        assert!(!old.is_fresh());
        let (mut new, later) = first(&flights, 7);
        old.land(1);
        new.land(2);
        assert_eq!((on_board.landed().await, later.landed().await), (Some(1), Some(2)));
        drop(old);
        assert!(new.is_fresh(), "the old leader's end leaves the new flight alone");
    }

    #[test]
    fn there_is_a_bound() {
        let flights = Flights::<u32>::new();
        let most: Vec<_> = (0..MOST as i64).map(|id| first(&flights, id)).collect();
        assert!(matches!(flights.board(&Key::Item(-1)), Boarding::Full));
        joined(&flights, 5);
        drop(most);
        assert_eq!(flights.count(), 0);
    }
}
