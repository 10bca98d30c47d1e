//! Operations on one key are linearizable: concurrent clients record what they asked and were told, and a checker (Wing and
//! Gong's algorithm with Lowe's cache) looks for an order that explains it.
//!
//! `EVENKEEL_KV_OPERATIONS=1000000 cargo test --release -p evenkeel-kv --test linearizability` makes a million of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

const CLIENTS: usize = 6;
const KEYS: usize = 3;
/// Operations of one client in one round; the keys of each round are new, so that histories stay short.
const OPERATIONS: usize = 80;
/// Operations in all, unless the environment says otherwise.
const DEFAULT: usize = 60_000;

/// What was asked, with the answer once it is there.
#[derive(Clone, Debug)]
enum Operation {
    Get(Option<State>),
    Set(i64),
    GetSet(i64, Option<State>),
    IncrBy(i64, Option<i64>),
    Del(Option<bool>),
    SetNx(i64, Option<bool>),
    GetDel(Option<State>),
    /// `SET key value XX GET`
    Replace(i64, Option<State>),
}

/// What a key holds.
type State = Option<i64>;

struct Key;

impl Specification for Key {
    type State = State;
    type Operation = Operation;

    fn init() -> State {
        None
    }

    fn apply(operation: &Operation, state: &State) -> (bool, State) {
        let state = *state;
        match *operation {
            Operation::Get(told) => (told == Some(state), state),
            Operation::Set(value) => (true, Some(value)),
            Operation::GetSet(value, told) => (told == Some(state), Some(value)),
            Operation::IncrBy(by, told) => {
                let sum = state.unwrap_or(0) + by;
                (told == Some(sum), Some(sum))
            }
            Operation::Del(told) => (told == Some(state.is_some()), None),
            Operation::SetNx(value, told) => (told == Some(state.is_none()), state.or(Some(value))),
            Operation::GetDel(told) => (told == Some(state), None),
            Operation::Replace(value, told) => (told == Some(state), state.map(|_| value)),
        }
    }
}

#[test]
fn operations_on_a_key_are_linearizable() {
    let server = Server::start();
    let wanted = std::env::var("EVENKEEL_KV_OPERATIONS").map_or(DEFAULT, |text| text.parse().unwrap());
    let rounds = wanted.div_ceil(CLIENTS * OPERATIONS);
    let seed: u64 = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    println!("{rounds} rounds; SEED={seed} asks the same again");
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(&server.address)).collect();
    let clock = AtomicU64::new(0);
    for round in 0..rounds {
        let recorded: Vec<Vec<Recorded>> = thread::scope(|scope| {
            let threads: Vec<_> = clients
                .iter_mut()
                .enumerate()
                .map(|(number, client)| {
                    let seed = seed.wrapping_add((round * CLIENTS + number) as u64);
                    let clock = &clock;
                    scope.spawn(move || client.round(round, fastrand::Rng::with_seed(seed), clock))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for key in 0..KEYS {
            let mut actions: Vec<(u64, usize, Action<Operation>)> = Vec::new();
            for (client, recorded) in recorded.iter().enumerate() {
                for entry in recorded.iter().filter(|entry| entry.key == key) {
                    actions.push((entry.asked_at, client, Action::Call(entry.operation.clone())));
                    actions.push((entry.told_at, client, Action::Response(entry.operation.clone())));
                }
            }
            actions.sort_by_key(|(at, ..)| *at);
            let printed = format!("{actions:#?}");
            let history = History::from_actions(
                actions.into_iter().map(|(_, client, action)| (client, action)).collect(),
            );
            assert!(
                WGLChecker::<Key>::is_linearizable(history),
                "round {round}, key {key}: no order explains this\n{printed}"
            );
        }
    }
}

/// The checker itself: it must refuse what is impossible.
#[test]
fn the_checker_refuses_a_stale_read() {
    let actions = |told| {
        vec![
            (0, Action::Call(Operation::Set(1))),
            (0, Action::Response(Operation::Set(1))),
            (1, Action::Call(Operation::Get(told))),
            (1, Action::Response(Operation::Get(told))),
        ]
    };
    assert!(WGLChecker::<Key>::is_linearizable(History::from_actions(actions(Some(Some(1))))));
    assert!(!WGLChecker::<Key>::is_linearizable(History::from_actions(actions(Some(None)))));
}

struct Recorded {
    key: usize,
    operation: Operation,
    asked_at: u64,
    told_at: u64,
}

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn round(&mut self, round: usize, mut rng: fastrand::Rng, clock: &AtomicU64) -> Vec<Recorded> {
        (0..OPERATIONS)
            .map(|_| {
                let (key, value) = (rng.usize(0..KEYS), rng.i64(0..1000));
                let asked_at = clock.fetch_add(1, SeqCst);
                let operation = self.operate(&format!("round{round}:{key}"), value, rng.u8(0..10));
                Recorded { key, operation, asked_at, told_at: clock.fetch_add(1, SeqCst) }
            })
            .collect()
    }

    fn operate(&mut self, key: &str, value: i64, choice: u8) -> Operation {
        let text = value.to_string();
        match choice {
            0 => {
                assert_eq!(self.ask(&["SET", key, &text]), "+OK");
                Operation::Set(value)
            }
            1 => Operation::GetSet(value, Some(state(&self.ask(&["GETSET", key, &text])))),
            2 | 3 => Operation::IncrBy(value, Some(number(&self.ask(&["INCRBY", key, &text])))),
            4 => Operation::Del(Some(number(&self.ask(&["DEL", key])) == 1)),
            5 => Operation::SetNx(value, Some(number(&self.ask(&["SETNX", key, &text])) == 1)),
            6 => Operation::GetDel(Some(state(&self.ask(&["GETDEL", key])))),
            7 => Operation::Replace(value, Some(state(&self.ask(&["SET", key, &text, "XX", "GET"])))),
            _ => Operation::Get(Some(state(&self.ask(&["GET", key])))),
        }
    }

    /// The answer: a line, or the bytes of a bulk string behind a `$`.
    fn ask(&mut self, words: &[&str]) -> String {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let line = line.trim_end();
        match line.strip_prefix('$') {
            Some("-1") | None => line.to_owned(),
            Some(length) => {
                let mut bytes = vec![0; length.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut bytes).unwrap();
                format!("${}", String::from_utf8(bytes).unwrap().trim_end())
            }
        }
    }
}

fn state(answer: &str) -> State {
    let text = answer.strip_prefix('$').unwrap_or_else(|| panic!("{answer}"));
    if text == "-1" { None } else { Some(text.parse().unwrap()) }
}

fn number(answer: &str) -> i64 {
    answer.strip_prefix(':').unwrap_or_else(|| panic!("{answer}")).parse().unwrap()
}

/// The server with two threads; killed at the end.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_evenkeel-kv"))
            .args(["--listen", "127.0.0.1:0", "--threads", "2"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { process, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
