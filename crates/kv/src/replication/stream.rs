//! [`Incoming`]: the commands of a primary's stream, one after the other or, between `MULTI` and `EXEC`, together.

use std::fmt;

use crate::resp::{Args, Limits, Parsed, Requests, parse_integer};
use crate::store::{DATABASES, Millis, Store};

/// What carries out a primary's commands. It answers nobody, and passes nothing on: the stream is passed on as it came.
pub trait Apply: Send + Sync {
    /// Carries out one command.
    fn apply(&self, db: u8, args: &Args<'_>);
    /// Carries out commands as one.
    fn apply_together(&self, commands: &[Owned]);
    /// Puts other data in the place of all data.
    fn replace(&self, fresh: Store, now: Millis);
}

/// A command that outlives the bytes it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The database it is for.
    pub db: u8,
    text: Vec<u8>,
    ranges: Vec<(usize, usize)>,
}

impl Owned {
    /// A copy of `args`.
    pub fn new(db: u8, args: &Args<'_>) -> Self {
        let mut text = Vec::with_capacity(args.iter().map(<[u8]>::len).sum());
        let ranges = args
            .iter()
            .map(|word| {
                let start = text.len();
                text.extend_from_slice(word);
                (start, text.len())
            })
            .collect();
        Self { db, text, ranges }
    }

    /// Its words.
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.text, &self.ranges)
    }
}

/// A primary's stream.
#[derive(Debug)]
pub(super) struct Incoming {
    /// What has come and is not done.
    pub(super) bytes: Vec<u8>,
    /// How much of that was looked at: commands that wait for their `EXEC`.
    looked: usize,
    requests: Requests,
    ranges: Vec<(usize, usize)>,
    db: u8,
    /// Commands since `MULTI`, and the database before it.
    together: Option<(Vec<Owned>, u8)>,
}

/// What one look at the stream came to.
pub(super) struct Done {
    /// So many bytes are done: whole commands and transactions.
    pub(super) bytes: usize,
    /// The primary asks how far we are.
    pub(super) asked: bool,
    /// What follows cannot be carried out.
    pub(super) end: Result<(), Unfit>,
}

/// Why a stream cannot be followed any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// What came is no command.
    Protocol,
    /// It goes on in a database that does not exist here.
    Database(String),
}

impl Incoming {
    /// A stream that begins in database `db`.
    pub(super) fn new(db: u8) -> Self {
        let requests = Requests::default();
        Self { bytes: Vec::new(), looked: 0, requests, ranges: Vec::new(), db, together: None }
    }

    /// The database in which it goes on behind what is done.
    pub(super) fn db(&self) -> u8 {
        self.together.as_ref().map_or(self.db, |(_, before)| *before)
    }

    /// Carries out the commands that have come whole, as far as that is possible.
    pub(super) fn advance(&mut self, apply: &dyn Apply) -> Done {
        let mut done = Done { bytes: 0, asked: false, end: Ok(()) };
        done.end = self.carry_out(&mut done, apply);
        done
    }

    fn carry_out(&mut self, done: &mut Done, apply: &dyn Apply) -> Result<(), Unfit> {
        loop {
            let rest = self.bytes.get(self.looked..).unwrap_or_default();
            let parsed = self.requests.parse(rest, &mut self.ranges, &Limits::default());
            let end = match parsed.map_err(|_| Unfit::Protocol)? {
                Parsed::Partial { .. } => return Ok(()),
                Parsed::Nothing { end } => end,
                Parsed::Command { end } => {
                    let args = Args::new(self.requests.words(rest), &self.ranges);
                    done.asked |= one(&args, &mut self.db, &mut self.together, apply)?;
                    end
                }
            };
            self.requests.finish();
            self.looked += end;
            if self.together.is_none() {
                done.bytes = self.looked;
            }
        }
    }

    /// Forgets bytes that are done.
    pub(super) fn forget(&mut self, done: usize) {
        self.bytes.drain(..done);
        self.looked -= done;
        if self.bytes.is_empty() && self.bytes.capacity() > LARGE {
            self.bytes = Vec::new();
        }
    }
}

/// A buffer larger than this is given back when it is empty.
const LARGE: usize = 1 << 20;

/// One command; whether it asks how far we are.
fn one(
    args: &Args<'_>,
    db: &mut u8,
    together: &mut Option<(Vec<Owned>, u8)>,
    apply: &dyn Apply,
) -> Result<bool, Unfit> {
    if args.is(0, "SELECT") {
        let chosen = parse_integer(args.at(1)).and_then(|chosen| u8::try_from(chosen).ok());
        let unknown = || Unfit::Database(args.at(1).escape_ascii().to_string());
        *db = chosen.filter(|chosen| *chosen < DATABASES).ok_or_else(unknown)?;
    } else if args.is(0, "MULTI") {
        *together = Some((Vec::new(), *db));
    } else if args.is(0, "EXEC") {
        if let Some((commands, _)) = together.take() {
            apply.apply_together(&commands);
        }
    } else if args.is(0, "REPLCONF") {
        return Ok(args.is(1, "GETACK"));
    } else if args.is(0, "PING") {
        // It lives.
    } else if let Some((commands, _)) = together {
        commands.push(Owned::new(*db, args));
    } else {
        apply.apply(*db, args);
    }
    Ok(false)
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol => f.write_str("its stream is no stream of commands"),
            Self::Database(name) => {
                write!(f, "its stream goes on in database {name}, and there are {DATABASES} here, from 0 on")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Log(Mutex<Vec<String>>);

    fn line(db: u8, args: &Args<'_>) -> String {
        let words: Vec<_> = args.iter().map(|word| word.escape_ascii().to_string()).collect();
        format!("{db}: {}", words.join(" "))
    }

    impl Apply for Log {
        fn apply(&self, db: u8, args: &Args<'_>) {
            self.0.lock().unwrap().push(line(db, args));
        }
        fn apply_together(&self, commands: &[Owned]) {
            let lines: Vec<_> = commands.iter().map(|command| line(command.db, &command.args())).collect();
            self.0.lock().unwrap().push(lines.join("; "));
        }
        fn replace(&self, _: Store, _: Millis) {}
    }

    #[test]
    fn commands_come_one_by_one_and_transactions_whole_however_the_bytes_are_cut() {
        let mut text = Vec::new();
        let lines =
            ["SELECT 2", "SET a 1", "PING", "MULTI", "SET b 2", "SELECT 3", "SET c 3", "EXEC", "DEL a"];
        for line in lines.iter().chain(&["REPLCONF GETACK *"]) {
            let words: Vec<_> = line.split(' ').collect();
            text.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
            words
                .iter()
                .for_each(|word| text.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes()));
        }
        for size in 1..text.len() {
            let (log, mut incoming) = (Log::default(), Incoming::new(0));
            let (mut bytes, mut asked) = (0, 0);
            for piece in text.chunks(size) {
                incoming.bytes.extend_from_slice(piece);
                let done = incoming.advance(&log);
                assert_eq!(done.end, Ok(()));
                bytes += done.bytes;
                asked += usize::from(done.asked);
                incoming.forget(done.bytes);
            }
            assert_eq!(log.0.into_inner().unwrap(), ["2: SET a 1", "2: SET b 2; 3: SET c 3", "3: DEL a"]);
            assert_eq!((bytes, asked, incoming.db()), (text.len(), 1, 3));
        }
    }

    #[test]
    fn a_transaction_that_has_not_ended_is_not_done() {
        let (log, mut incoming) = (Log::default(), Incoming::new(1));
        incoming.bytes.extend_from_slice(b"SET a 1\r\nMULTI\r\nSELECT 5\r\nSET b 2\r\n");
        let done = incoming.advance(&log);
        assert_eq!((done.bytes, incoming.db()), (b"SET a 1\r\n".len(), 1));
        incoming.forget(done.bytes);
        incoming.bytes.extend_from_slice(b"EXEC\r\n");
        assert_eq!(incoming.advance(&log).bytes, b"MULTI\r\nSELECT 5\r\nSET b 2\r\nEXEC\r\n".len());
        assert_eq!(incoming.db(), 5);
        assert_eq!(log.0.into_inner().unwrap(), ["1: SET a 1", "5: SET b 2"]);
    }

    #[test]
    fn what_is_no_command_ends_it() {
        let mut incoming = Incoming::new(0);
        incoming.bytes.extend_from_slice(b"*1\r\n:5\r\n");
        assert_eq!(incoming.advance(&Log::default()).end, Err(Unfit::Protocol));
    }

    #[test]
    fn it_stops_before_a_database_that_does_not_exist() {
        for (name, before) in
            [("16", "SET a 1\r\n"), ("-1", "SET a 1\r\n"), ("x", "SET a 1\r\n"), ("300", "")]
        {
            let (log, mut incoming) = (Log::default(), Incoming::new(3));
            incoming.bytes.extend_from_slice(format!("{before}SELECT {name}\r\nSET b 2\r\n").as_bytes());
            let done = incoming.advance(&log);
            assert_eq!((done.bytes, incoming.db()), (before.len(), 3));
            assert_eq!(done.end, Err(Unfit::Database(name.to_owned())));
            let carried_out: &[&str] = if before.is_empty() { &[] } else { &["3: SET a 1"] };
            assert_eq!(log.0.into_inner().unwrap(), carried_out);
        }
        // Nothing of a transaction is carried out.
        let (log, mut incoming) = (Log::default(), Incoming::new(3));
        incoming.bytes.extend_from_slice(b"MULTI\r\nSET a 1\r\nSELECT 16\r\nSET b 2\r\nEXEC\r\n");
        let done = incoming.advance(&log);
        assert_eq!((done.bytes, done.end), (0, Err(Unfit::Database("16".to_owned()))));
        assert_eq!((log.0.into_inner().unwrap().len(), incoming.db()), (0, 3));
    }
}
