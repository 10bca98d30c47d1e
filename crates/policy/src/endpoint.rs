//! What is known of an endpoint: its status word and its load, both shared by every worker.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

use crate::latency::{Latency, Moment};
use crate::outlier::Monitor;

/// Index of an endpoint in its upstream's [`Endpoints`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub u32);

/// The endpoints of one upstream, in the configuration's order.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    list: Box<[Endpoint]>,
    backups: bool,
}

impl Endpoints {
    /// The endpoints in order; an endpoint's index is its [`EndpointId`].
    #[must_use]
    pub fn new(list: Vec<Endpoint>) -> Self {
        Self { backups: list.iter().any(|endpoint| endpoint.backup), list: list.into() }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The endpoint with this index.
    #[must_use]
    pub fn get(&self, id: EndpointId) -> Option<&Endpoint> {
        self.list.get(id.0 as usize)
    }

    /// All of them with their indices, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (EndpointId, &Endpoint)> {
        self.list.iter().enumerate().map(|(index, endpoint)| (EndpointId(index as u32), endpoint))
    }

    /// Whether any is a backup.
    #[must_use]
    pub fn has_backups(&self) -> bool {
        self.backups
    }
}

/// One server of an upstream, as balancing sees it.
///
/// A clone is the same endpoint: it shares status and load. That is how an endpoint keeps both when
/// a new configuration still names it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Who it is, for algorithms that hash: the same in every process and after every reload. Made from its address,
    /// by [`crate::hash::of`].
    pub identity: u64,
    /// May it be used, and how much.
    pub status: Arc<Status>,
    /// How much it is used.
    pub load: Arc<Load>,
    /// Requests it may have in flight at once, over all workers; `None` is unlimited.
    pub max_in_flight: Option<u32>,
    /// Takes traffic only when no primary endpoint is eligible.
    pub backup: bool,
}

impl Endpoint {
    /// An idle primary endpoint without a cap.
    #[must_use]
    pub fn new(identity: u64, state: State) -> Self {
        Self {
            identity,
            status: Arc::new(Status::new(state)),
            load: Arc::new(Load::new()),
            max_in_flight: None,
            backup: false,
        }
    }

    /// Whether another request would exceed the cap.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.max_in_flight.is_some_and(|max| self.load.in_flight() >= max)
    }
}

/// A status word, read apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Probes say it works, or nobody probes it.
    pub up: bool,
    /// Live traffic says it does not.
    pub ejected: bool,
    /// The operator lets it finish what it has.
    pub draining: bool,
    /// Its share relative to the others; 0 takes no new requests.
    pub weight: u16,
}

impl State {
    /// Whether it may be given a request.
    #[must_use]
    pub fn accepts_new(self) -> bool {
        self.up && !self.ejected && !self.draining && self.weight > 0
    }
}

impl Default for State {
    /// Up, weight 1: an endpoint that nobody probes.
    fn default() -> Self {
        Self { up: true, ejected: false, draining: false, weight: 1 }
    }
}

/// May an endpoint be used: one word, so that what one thread learns all threads see at once and whole.
///
/// Relaxed ordering is enough for the word itself. What it publishes is the end of an ejection, for which there is no
/// room in it; so setting it releases, and whoever sees an ejection acquires before it looks for the end.
#[derive(Debug)]
pub struct Status {
    word: AtomicU32,
    /// When the latest ejection ends or ended, in microseconds after the epoch of moments; 0 if there was none. An
    /// ejection ends by itself: the word goes on to say that there was one.
    until: AtomicU64,
}

const WEIGHT: u32 = 0xffff;
const UP: u32 = 1 << 16;
const EJECTED: u32 = 1 << 17;
const DRAINING: u32 = 1 << 18;

impl Status {
    /// A word that says `state`. If that is ejected, it stays so.
    #[must_use]
    pub fn new(state: State) -> Self {
        let flag = |on: bool, bit: u32| if on { bit } else { 0 };
        let word = u32::from(state.weight)
            | flag(state.up, UP)
            | flag(state.ejected, EJECTED)
            | flag(state.draining, DRAINING);
        let until = if state.ejected { u64::MAX } else { 0 };
        Self { word: AtomicU32::new(word), until: AtomicU64::new(until) }
    }

    /// All of it at one moment.
    #[must_use]
    pub fn state(&self, now: Moment) -> State {
        let word = self.word.load(Relaxed);
        State {
            up: word & UP != 0,
            ejected: word & EJECTED != 0 && self.ejection_lasts(now),
            draining: word & DRAINING != 0,
            weight: (word & WEIGHT) as u16,
        }
    }

    /// Whether it may be given a request: up, not ejected, not draining, weight above 0.
    #[must_use]
    pub fn accepts_new(&self, now: Moment) -> bool {
        let word = self.word.load(Relaxed);
        if word & (UP | EJECTED | DRAINING) == UP {
            return word & WEIGHT != 0;
        }
        word & EJECTED != 0 && in_service(word) && !self.ejection_lasts(now)
    }

    /// Whether it might be given a request if it were not ejected.
    #[must_use]
    pub fn is_in_service(&self) -> bool {
        in_service(self.word.load(Relaxed))
    }

    /// Whether probes say it works, or nobody probes it.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.word.load(Relaxed) & UP != 0
    }

    /// Whether live traffic says it does not work.
    #[must_use]
    pub fn is_ejected(&self, now: Moment) -> bool {
        self.word.load(Relaxed) & EJECTED != 0 && self.ejection_lasts(now)
    }

    /// When the latest ejection ends, or ended.
    #[must_use]
    pub fn ejected_until(&self) -> Moment {
        Moment::from_micros(self.until.load(Acquire))
    }

    /// Its share relative to the others.
    #[must_use]
    pub fn weight(&self) -> u16 {
        (self.word.load(Relaxed) & WEIGHT) as u16
    }

    /// Records what probes say; true when that is news.
    pub fn set_up(&self, up: bool) -> bool {
        self.set_flag(UP, up)
    }

    /// Records that live traffic says it does not work, and for how long that counts.
    pub fn eject(&self, until: Moment) {
        self.until.store(until.micros(), Release);
        self.set_flag(EJECTED, true);
    }

    /// Ends an ejection before its time, and forgets it.
    pub fn call_off(&self) {
        self.set_flag(EJECTED, false);
        self.until.store(0, Release);
    }

    /// Records what the operator wants; true when that is news.
    pub fn set_draining(&self, draining: bool) -> bool {
        self.set_flag(DRAINING, draining)
    }

    /// Changes the share; true when that is news.
    pub fn set_weight(&self, weight: u16) -> bool {
        let weight = u32::from(weight);
        let change = |word: u32| (word & WEIGHT != weight).then_some(word & !WEIGHT | weight);
        self.word.fetch_update(Relaxed, Relaxed, change).is_ok()
    }

    fn set_flag(&self, bit: u32, on: bool) -> bool {
        let before = if on { self.word.fetch_or(bit, Release) } else { self.word.fetch_and(!bit, Release) };
        (before & bit != 0) != on
    }

    /// Of a word that says that there was an ejection: whether it lasts.
    fn ejection_lasts(&self, now: Moment) -> bool {
        fence(Acquire);
        self.until.load(Relaxed) > now.micros()
    }
}

fn in_service(word: u32) -> bool {
    word & (UP | DRAINING) == UP && word & WEIGHT != 0
}

/// Requests an endpoint has in flight, over all workers.
///
/// On a cache line of its own (128 bytes: two lines, because neighbours are fetched in pairs), so
/// that counting for one endpoint does not slow counting for the next.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Load {
    in_flight: AtomicU32,
    /// How long it takes; kept only for algorithms that heed it, on the line that is written anyway.
    pub latency: Latency,
    /// What requests met there; kept only where outliers are detected.
    pub monitor: Monitor,
}

impl Load {
    /// Nothing in flight.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests in flight now.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Counts a request in. Every call is followed by one [`Load::end`].
    pub fn begin(&self) {
        let add = |count: u32| Some(count.saturating_add(1));
        let _ = self.in_flight.fetch_update(Relaxed, Relaxed, add);
    }

    /// Counts a request in unless `max` are in already; exact however many threads try at once.
    ///
    /// True means counted, to be followed by one [`Load::end`].
    #[must_use]
    pub fn try_begin(&self, max: Option<u32>) -> bool {
        let max = max.unwrap_or(u32::MAX);
        let add = |count: u32| (count < max).then(|| count.saturating_add(1));
        self.in_flight.fetch_update(Relaxed, Relaxed, add).is_ok()
    }

    /// Counts a request out. At zero it stays zero: a count that wrapped would take the endpoint out for ever.
    pub fn end(&self) {
        let subtract = |count: u32| count.checked_sub(1);
        let _ = self.in_flight.fetch_update(Relaxed, Relaxed, subtract);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    const LATE: Moment = Moment::from_micros(1 << 60);

    #[test]
    fn every_state_survives_its_word() {
        for bits in 0..8 {
            for weight in [0, 1, 700, u16::MAX] {
                let state =
                    State { up: bits & 1 != 0, ejected: bits & 2 != 0, draining: bits & 4 != 0, weight };
                let status = Status::new(state);
                assert_eq!(status.state(LATE), state);
                assert_eq!(status.accepts_new(LATE), state.accepts_new());
                assert_eq!(status.is_in_service(), State { ejected: false, ..state }.accepts_new());
                assert_eq!((status.is_up(), status.is_ejected(LATE)), (state.up, state.ejected));
                assert_eq!(status.weight(), weight);
            }
        }
    }

    #[test]
    fn setting_one_thing_changes_no_other_and_tells_news() {
        let status = Status::new(State::default());
        assert!(!status.set_up(true));
        assert!(status.set_draining(true));
        assert!(!status.set_draining(true));
        assert!(status.set_weight(9));
        assert!(!status.set_weight(9));
        let until = LATE.later(Duration::from_secs(1));
        status.eject(until);
        assert!(status.set_up(false));
        assert_eq!(status.state(LATE), State { up: false, ejected: true, draining: true, weight: 9 });
        assert!(status.set_draining(false));
        assert_eq!(status.state(LATE), State { up: false, ejected: true, draining: false, weight: 9 });
        assert_eq!(status.state(until), State { up: false, ejected: false, draining: false, weight: 9 });
    }

    #[test]
    fn an_ejection_ends_by_itself_or_is_called_off() {
        let status = Status::new(State::default());
        let at = |seconds| Moment::after(Duration::from_secs(seconds));
        status.eject(at(30));
        assert!(!status.accepts_new(at(29)) && status.is_ejected(at(29)) && status.is_in_service());
        assert!(status.accepts_new(at(30)) && !status.is_ejected(at(30)));
        status.eject(at(90));
        assert!(!status.accepts_new(at(31)));
        assert_eq!(status.ejected_until(), at(90));
        status.call_off();
        assert!(status.accepts_new(at(31)));
        assert_eq!(status.ejected_until(), Moment::default());
    }

    #[test]
    fn load_never_wraps() {
        let load = Load::new();
        load.end();
        assert_eq!(load.in_flight(), 0);
        load.in_flight.store(u32::MAX, Relaxed);
        load.begin();
        assert_eq!(load.in_flight(), u32::MAX);
        assert!(!load.try_begin(None));
    }

    #[test]
    fn loads_do_not_share_a_cache_line() {
        assert_eq!(align_of::<Load>(), 128);
        assert_eq!(size_of::<Load>(), 128);
    }

    #[test]
    fn the_cap_is_exact_across_threads() {
        let load = Load::new();
        let taken: usize = thread::scope(|scope| {
            let try_many = || (0..1000).filter(|_| load.try_begin(Some(1500))).count();
            let threads = [(); 4].map(|()| scope.spawn(try_many));
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        assert_eq!(taken, 1500);
        assert_eq!(load.in_flight(), 1500);
    }
}
