//! Runs commands on data in tests, as the server would but without one.

use crate::command::{Action, Context, Effect, Keys, Settings, Wait, find};
use crate::error::Error;
use crate::resp::{Args, Protocol, Reply};
use crate::store::{Millis, Store};

/// A store, a clock that stands still until it is moved, and a client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) store: Store,
    pub(crate) now: Millis,
    pub(crate) db: u8,
    pub(crate) protocol: Protocol,
    pub(crate) settings: Settings,
    pub(crate) rng: fastrand::Rng,
    /// Of the last command.
    pub(crate) effect: Effect,
    pub(crate) wait: Option<Wait>,
    pub(crate) changes: u64,
}

impl Client {
    /// Four shards, so that commands on several keys hold several of them.
    pub(crate) fn new() -> Self {
        Self {
            store: Store::new(4),
            now: 1_700_000_000_000,
            db: 0,
            protocol: Protocol::Resp2,
            settings: Settings::default(),
            rng: fastrand::Rng::with_seed(7),
            effect: Effect::Same,
            wait: None,
            changes: 0,
        }
    }

    /// The answer to a command given as a line; quotes as in `redis-cli`. Printed compactly: `OK`, `"bytes"`, `5`,
    /// `nil`, `[…, …]`, `-ERR …`; doubles, sets and maps of RESP3 as `,1.5`, `~[…]`, `%[…]`.
    pub(crate) fn run(&mut self, line: &str) -> String {
        let mut bytes = line.as_bytes().to_vec();
        bytes.extend_from_slice(b"\r\n");
        let (mut requests, mut ranges) = (crate::resp::Requests::default(), Vec::new());
        requests.parse(&bytes, &mut ranges, &crate::resp::Limits::default()).unwrap();
        let words: Vec<Vec<u8>> =
            Args::new(requests.words(&bytes), &ranges).iter().map(<[u8]>::to_vec).collect();
        printed(&self.run_words(&words))
    }

    /// The answer's bytes to a command given as words.
    pub(crate) fn run_words(&mut self, words: &[Vec<u8>]) -> Vec<u8> {
        let text = words.concat();
        let mut end = 0;
        let ranges: Vec<_> = words
            .iter()
            .map(|word| {
                end += word.len();
                (end - word.len(), end)
            })
            .collect();
        let args = Args::new(&text, &ranges);
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, self.protocol);
        if let Err(error) = self.execute(&args, &mut reply) {
            reply.withdraw(0);
            reply.error(&error);
        }
        out
    }

    fn execute(&mut self, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
        let spec = find(args.at(0)).ok_or(Error::new("ERR unknown command"))?;
        if !spec.takes(args.len()) {
            return Err(Error::arity(spec.name));
        }
        let Action::Data(function) = spec.action else { panic!("{} needs a server", spec.name) };
        let keys = match spec.keys {
            Keys::All => self.store.hold_all(self.db, self.now),
            keys => self.store.hold_keys(self.db, keys.positions(args).map(|at| args.at(at)), self.now),
        };
        let mut context = Context {
            keys,
            rng: &mut self.rng,
            settings: &self.settings,
            is_told: true,
            effect: Effect::Same,
            wait: None,
        };
        let result = function(&mut context, args, reply);
        self.effect = context.effect;
        self.wait = context.wait;
        self.changes = context.keys.changes();
        if result.is_err() {
            assert_eq!(self.changes, 0, "{} changed something and failed", spec.name);
        }
        result
    }
}

impl Client {
    /// Runs commands one after the other and compares each answer.
    pub(crate) fn check(&mut self, table: &[(&str, &str)]) {
        for (line, answer) in table {
            assert_eq!(self.run(line), *answer, "{line}");
        }
    }

    /// The commands that the last one became for replicas, if it changed anything.
    pub(crate) fn told(&self) -> Vec<String> {
        match &self.effect {
            _ if self.changes == 0 => Vec::new(),
            Effect::Same => vec!["the same".to_owned()],
            Effect::Instead(commands) => {
                let line = |words: &Vec<Vec<u8>>| words.join(&b' ').escape_ascii().to_string();
                commands.iter().map(line).collect()
            }
        }
    }
}

/// One answer, compactly.
pub(crate) fn printed(answer: &[u8]) -> String {
    let (text, rest) = one(answer);
    assert!(rest.is_empty(), "{} behind {text}", rest.escape_ascii());
    text
}

fn one(answer: &[u8]) -> (String, &[u8]) {
    let end = answer.windows(2).position(|pair| pair == b"\r\n").expect("a line");
    let (line, rest) = (std::str::from_utf8(&answer[1..end]).unwrap(), &answer[end + 2..]);
    let several = |count: usize, mut rest| {
        let mut parts = Vec::new();
        for _ in 0..count {
            let (part, after) = one(rest);
            parts.push(part);
            rest = after;
        }
        (format!("[{}]", parts.join(", ")), rest)
    };
    match answer[0] {
        b'+' | b':' => (line.to_owned(), rest),
        b'-' => (format!("-{line}"), rest),
        b',' => (format!(",{line}"), rest),
        b'#' => (format!("#{line}"), rest),
        b'_' => ("nil".to_owned(), rest),
        b'$' | b'*' if line == "-1" => ("nil".to_owned(), rest),
        b'$' | b'=' => {
            let length: usize = line.parse().unwrap();
            assert_eq!(&rest[length..length + 2], b"\r\n");
            (format!("\"{}\"", rest[..length].escape_ascii()), &rest[length + 2..])
        }
        b'*' => several(line.parse().unwrap(), rest),
        b'~' => {
            let (text, rest) = several(line.parse().unwrap(), rest);
            (format!("~{text}"), rest)
        }
        b'%' => {
            let (text, rest) = several(line.parse::<usize>().unwrap() * 2, rest);
            (format!("%{text}"), rest)
        }
        other => panic!("an answer that begins with {}", other.escape_ascii()),
    }
}

#[test]
fn commands_run() {
    let mut client = Client::new();
    assert_eq!(client.run("append k hello"), "5");
    assert_eq!(client.run("GET k"), "\"hello\"");
    assert_eq!(client.run("GET other"), "nil");
    assert_eq!(client.run("GET"), "-ERR wrong number of arguments for 'get' command");
}
