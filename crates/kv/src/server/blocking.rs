//! [`Blocking`]: clients that wait for keys, in the order they came.
//!
//! A waiter is entered while the shards of its keys are held, so that no element can slip in between its look and its
//! entry. Whoever feeds a key afterwards serves those who wait for it, by running their command again.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::command::{Keys, Spec, Wait};
use crate::error::Error;
use crate::resp::{Args, Protocol, Reply};
use crate::server::clients::Client;
use crate::server::words::Words;
use crate::store::{DATABASES, Millis};

/// All who wait.
#[derive(Debug)]
pub(crate) struct Blocking {
    count: AtomicUsize,
    tickets: AtomicU64,
    /// For each database and key those who wait for it, by their tickets.
    queues: Mutex<Vec<HashMap<Vec<u8>, Queue>>>,
}

type Queue = BTreeMap<u64, Arc<Waiter>>;

/// One client that waits, and what for.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Its place in the order.
    pub(crate) ticket: u64,
    pub(crate) client: Arc<Client>,
    pub(crate) spec: &'static Spec,
    pub(crate) db: u8,
    pub(crate) protocol: Protocol,
    /// When it has waited long enough.
    pub(crate) until: Option<Millis>,
    words: Words,
    keys: Vec<Vec<u8>>,
    state: Mutex<State>,
}

/// How it stands with a waiter. Whoever changes it holds it for the whole attempt, so that nobody is served twice, and
/// nobody who has gone.
#[derive(Debug)]
pub(crate) enum State {
    /// Nothing came yet.
    Waiting,
    /// This came.
    Answered(Vec<u8>),
    /// It was fetched, or nobody wants it any more.
    Over,
}

impl Blocking {
    /// Nobody waits.
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            tickets: AtomicU64::new(0),
            queues: Mutex::new((0..DATABASES).map(|_| HashMap::new()).collect()),
        }
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Enters a client that got nothing from its command. The shards of the command's keys are held.
    pub(crate) fn enter(
        &self,
        client: &Arc<Client>,
        spec: &'static Spec,
        args: &Args<'_>,
        db: u8,
        wait: Wait,
    ) -> Arc<Waiter> {
        let mut keys: Vec<Vec<u8>> = awaited(spec, args).map(<[u8]>::to_vec).collect();
        keys.sort_unstable();
        keys.dedup();
        let waiter = Arc::new(Waiter {
            ticket: self.tickets.fetch_add(1, Relaxed),
            client: client.clone(),
            spec,
            db,
            protocol: client.protocol(),
            until: wait.until,
            words: Words::of(args),
            keys,
            state: Mutex::new(State::Waiting),
        });
        if let Some(queues) = self.lock().get_mut(usize::from(db)) {
            for key in &waiter.keys {
                queues.entry(key.clone()).or_default().insert(waiter.ticket, waiter.clone());
            }
        }
        self.count.fetch_add(1, Relaxed);
        client.wait_by(Some(waiter.clone()));
        waiter
    }

    /// Takes a waiter out, who has what it wanted or does not want it any more.
    pub(crate) fn leave(&self, waiter: &Waiter) {
        let mut left = false;
        if let Some(queues) = self.lock().get_mut(usize::from(waiter.db)) {
            for key in &waiter.keys {
                if let Some(queue) = queues.get_mut(key) {
                    left |= queue.remove(&waiter.ticket).is_some();
                    if queue.is_empty() {
                        queues.remove(key);
                    }
                }
            }
        }
        if left {
            self.count.fetch_sub(1, Relaxed);
        }
    }

    /// The first who waits for the key, behind the one with that ticket.
    pub(crate) fn next(&self, db: u8, key: &[u8], behind: Option<u64>) -> Option<Arc<Waiter>> {
        let queues = self.lock();
        let queue = queues.get(usize::from(db))?.get(key)?;
        let from = behind.map_or(0, |ticket| ticket + 1);
        queue.range(from..).next().map(|(_, waiter)| waiter.clone())
    }

    /// The keys of a database that somebody waits for.
    pub(crate) fn keys(&self, db: u8) -> Vec<Vec<u8>> {
        self.lock().get(usize::from(db)).map(|queues| queues.keys().cloned().collect()).unwrap_or_default()
    }

    /// The keys that a command has perhaps fed: those it names, or whatever somebody waits for if it reaches others too.
    pub(crate) fn fed_by(&self, spec: &Spec, db: u8, args: &Args<'_>) -> Vec<(u8, Vec<u8>)> {
        if spec.keys == Keys::All {
            return (0..DATABASES)
                .flat_map(|db| self.keys(db).into_iter().map(move |key| (db, key)))
                .collect();
        }
        spec.keys.positions(args).map(|at| (db, args.at(at).to_vec())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<HashMap<Vec<u8>, Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// The state, which nobody else changes meanwhile.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, once there is one.
    pub(crate) fn answer(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Over) {
            State::Answered(answer) => Some(answer),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Ends the waiting with `error`, or with what nothing looks like. False if it was over already.
    pub(crate) fn end(&self, error: Option<&Error>) -> bool {
        let mut state = self.state();
        if !matches!(*state, State::Waiting) {
            return false;
        }
        let mut answer = Vec::new();
        let mut reply = Reply::new(&mut answer, self.protocol);
        match error {
            Some(error) => reply.error(error),
            // Whatever the command answers when it does not wait.
            None => reply.null_array(),
        }
        *state = State::Answered(answer);
        true
    }

    /// Nobody wants the answer any more.
    pub(crate) fn abandon(&self) {
        *self.state() = State::Over;
    }

    /// Its command, as if it had been for `key` alone where it is for several: what is fed is what is served.
    pub(crate) fn words_for(&self, key: &[u8]) -> Words {
        let args = self.words.args();
        match self.spec.keys {
            Keys::Range { first: 1, last, .. } if last < 0 => {
                let end = (args.len() + 1).saturating_sub(last.unsigned_abs() as usize);
                let tail = args.from(end);
                [args.at(0), key].into_iter().chain(tail.iter()).collect()
            }
            Keys::Counted { count, also: None } => {
                let number = args.integer(count).ok().and_then(|number| usize::try_from(number).ok());
                let end = (count + 1).saturating_add(number.unwrap_or(0)).min(args.len());
                let (head, tail) = (args.iter().take(count), args.from(end));
                head.chain([b"1".as_slice(), key]).chain(tail.iter()).collect()
            }
            _ => self.words.clone(),
        }
    }
}

/// What a blocking command answers when there is nothing and it must not wait.
pub(crate) fn answer_nothing(null_array: bool, reply: &mut Reply<'_>) {
    if null_array { reply.null_array() } else { reply.null() }
}

/// The keys a command waits for: all, but of a source and a destination the source alone.
fn awaited<'a>(spec: &'static Spec, args: &Args<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let positions: Vec<usize> = match spec.keys {
        Keys::Range { first, last: 2, step: 1 } => vec![first],
        keys => keys.positions(args).collect(),
    };
    let args = *args;
    positions.into_iter().map(move |at| args.at(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Action, Flags};

    const fn spec(keys: Keys) -> Spec {
        Spec {
            name: "BPOP",
            arity: -3,
            flags: Flags::BLOCKING,
            keys,
            named: keys,
            action: Action::Server(crate::command::ServerCommand::Ping),
        }
    }

    static SEVERAL: Spec = spec(Keys::BUT_LAST);
    static COUNTED: Spec = spec(Keys::Counted { count: 2, also: None });
    static MOVE: Spec = spec(Keys::TWO);

    fn client() -> Arc<Client> {
        let address = "127.0.0.1:1".parse().unwrap();
        Arc::new(Client::new(1, address, address, 0, 0))
    }

    fn enter(blocking: &Blocking, spec: &'static Spec, words: &[&str]) -> Arc<Waiter> {
        let words: Words = words.iter().map(|word| word.as_bytes()).collect();
        blocking.enter(&client(), spec, &words.args(), 0, Wait { until: None, null_array: true })
    }

    fn words_for(waiter: &Waiter, key: &str) -> Vec<String> {
        let words = waiter.words_for(key.as_bytes());
        words.args().iter().map(|word| String::from_utf8(word.to_vec()).unwrap()).collect()
    }

    #[test]
    fn those_who_wait_are_found_in_order_and_leave_nothing_behind() {
        let blocking = Blocking::new();
        let first = enter(&blocking, &SEVERAL, &["BPOP", "a", "b", "a", "0"]);
        let second = enter(&blocking, &MOVE, &["BPOP", "a", "other", "LEFT", "LEFT", "0"]);
        assert_eq!(blocking.count(), 2);
        assert_eq!(blocking.next(0, b"a", None).unwrap().ticket, first.ticket);
        assert_eq!(blocking.next(0, b"a", Some(first.ticket)).unwrap().ticket, second.ticket);
        assert!(blocking.next(0, b"a", Some(second.ticket)).is_none());
        assert!(blocking.next(0, b"other", None).is_none());
        assert!(blocking.next(1, b"a", None).is_none());
        blocking.leave(&first);
        blocking.leave(&first);
        assert!(blocking.next(0, b"b", None).is_none());
        blocking.leave(&second);
        assert_eq!(blocking.count(), 0);
        assert!(blocking.keys(0).is_empty());
    }

    #[test]
    fn a_command_is_run_for_the_key_that_was_fed() {
        let blocking = Blocking::new();
        let several = enter(&blocking, &SEVERAL, &["BPOP", "a", "b", "0"]);
        assert_eq!(words_for(&several, "b"), ["BPOP", "b", "0"]);
        let counted = enter(&blocking, &COUNTED, &["BPOP", "0", "2", "a", "b", "LEFT", "COUNT", "3"]);
        assert_eq!(words_for(&counted, "a"), ["BPOP", "0", "1", "a", "LEFT", "COUNT", "3"]);
        let source = enter(&blocking, &MOVE, &["BPOP", "a", "b", "0"]);
        assert_eq!(words_for(&source, "a"), ["BPOP", "a", "b", "0"]);
    }

    #[test]
    fn an_answer_is_given_once() {
        let blocking = Blocking::new();
        let waiter = enter(&blocking, &SEVERAL, &["BPOP", "a", "0"]);
        assert!(waiter.answer().is_none());
        assert!(waiter.end(None));
        assert!(!waiter.end(None));
        assert_eq!(waiter.answer().unwrap(), b"*-1\r\n");
        assert!(waiter.answer().is_none());
    }
}
