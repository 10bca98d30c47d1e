//! What happens to a command between the parser and its function: whether it exists, is allowed, is queued or waits.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::net::TcpStream;

use crate::command::{Action, Flags, ServerCommand, Spec};
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::server::blocking::Waiter;
use crate::server::clients::Mark;
use crate::server::commands::{self, Call};
use crate::server::execute::{Executor, Job};
use crate::server::room;
use crate::server::session::{Queued, Replies, Session};
use crate::server::words::Words;
use crate::store::Millis;

/// How a connection goes on after a command.
pub(crate) enum Next {
    /// With the next command.
    Go,
    /// It closes, once everything is sent.
    Close,
    /// With the same command, at this time: clients are paused.
    Again(Millis),
    /// When it has been fed, or its time is over.
    Blocked(Arc<Waiter>),
    /// When the answer is there.
    Later(Pin<Box<dyn Future<Output = Vec<u8>>>>),
    /// Not at all: the connection is somebody else's from now on.
    Handed(Box<TakeOver>),
}

/// Takes a connection, with bytes that it has sent and nobody has looked at.
pub(crate) type TakeOver = dyn FnOnce(TcpStream, Vec<u8>) -> Pin<Box<dyn Future<Output = ()>>>;

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Go => "Go",
            Self::Close => "Close",
            Self::Again(_) => "Again",
            Self::Blocked(_) => "Blocked",
            Self::Later(_) => "Later",
            Self::Handed(_) => "Handed",
        })
    }
}

/// Carries out one command of a connection and writes its answer to `out`.
pub(crate) fn dispatch(
    executor: &mut Executor,
    session: &mut Session,
    args: &Args<'_>,
    out: &mut Vec<u8>,
) -> Next {
    let start = out.len();
    let next = admitted(executor, session, args, out);
    if session.replies != Replies::On && !matches!(next, Next::Again(_)) {
        out.truncate(start);
        session.replies = match (session.replies, &next) {
            (Replies::SkipNext, _) => Replies::Skip,
            // The answer that is skipped is still to come.
            (Replies::Skip, Next::Blocked(_) | Next::Later(_)) => Replies::Skip,
            (Replies::Skip, _) => Replies::On,
            (other, _) => other,
        };
    }
    next
}

fn admitted(executor: &mut Executor, session: &mut Session, args: &Args<'_>, out: &mut Vec<u8>) -> Next {
    let mut reply = Reply::new(out, session.protocol);
    let Some((number, spec)) = executor.table.find(args.at(0)) else {
        executor.counters.unknown.add(1);
        if is_http(args.at(0)) {
            let client = session.client.id;
            tracing::warn!(client, "closed: it speaks HTTP, as a web page does that means to give commands");
            return Next::Close;
        }
        refuse(executor, session, &mut reply, &unknown(args));
        return Next::Go;
    };
    session.client.command.store(number, Relaxed);
    match admit(executor, session, spec, args) {
        Err(error) => {
            if let Some(counts) = executor.counters.command(number) {
                counts.rejected.add(1);
            }
            refuse(executor, session, &mut reply, &error);
            return Next::Go;
        }
        Ok(Some(until)) => return Next::Again(until),
        Ok(None) => {}
    }
    if let Some(transaction) = &mut session.transaction
        && !spec.flags.has(Flags::NOT_QUEUED)
    {
        let words = Words::of(args);
        transaction.bytes += words.bytes() + size_of::<Queued>();
        if transaction.bytes > executor.config.query_limit {
            let client = session.client.id;
            tracing::warn!(client, "closed: its transaction is too long (client-query-buffer-limit)");
            return Next::Close;
        }
        transaction.queued.push(Queued { number, spec, words });
        session.client.queued.store(transaction.queued.len() as u32, Relaxed);
        reply.status("QUEUED");
        return Next::Go;
    }
    let client = session.client.clone();
    let result = executor.timed(number, spec, args, &client, |executor| match spec.action {
        Action::Data(function) => {
            let touches = !client.is(Mark::NoTouch) || spec.name == "TOUCH";
            let job = Job { spec, function, db: session.db, touches };
            let waiter = executor.data(job, args, &mut reply, Some(&client))?;
            Ok(waiter.map_or(Next::Go, Next::Blocked))
        }
        Action::Server(command) => {
            let mark = reply.mark();
            let mut call = Call { executor, session, spec, args: *args, reply: &mut reply, held: None };
            let result = commands::run(command, &mut call);
            if result.is_err() {
                reply.withdraw(mark);
            }
            result
        }
    });
    result.unwrap_or_else(|error| {
        if let Some(counts) = executor.counters.command(number) {
            counts.failed.add(1);
        }
        executor.failed(&error);
        reply.error(&error);
        Next::Go
    })
}

/// Whether a command may be carried out or queued now, or until when it waits.
fn admit(
    executor: &mut Executor,
    session: &mut Session,
    spec: &'static Spec,
    args: &Args<'_>,
) -> Result<Option<Millis>, Error> {
    if !spec.takes(args.len()) {
        return Err(Error::arity(spec.name));
    }
    let flags = spec.flags;
    if !session.is_authenticated && !flags.has(Flags::NO_AUTH) {
        return Err(Error::new("NOAUTH Authentication required."));
    }
    if session.is_subscriber_only() && !flags.has(Flags::PUBSUB) {
        return Err(Error::told(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            full_name(spec, args)
        )));
    }
    if session.transaction.is_some() {
        if flags.has(Flags::NOT_IN_MULTI) {
            return Err(Error::new("ERR Command not allowed inside a transaction"));
        }
        // Room is made for commands on their own when they run.
        if flags.has(Flags::GROWS) {
            room::make(executor, session.db, spec, args)?;
        }
    }
    if flags.has(Flags::WRITE) {
        executor.shared.replication.may_write(&executor.config)?;
    }
    executor.shared.replication.may_answer(&executor.config, flags)?;
    let writes = flags.has(Flags::WRITE)
        || matches!(spec.action, Action::Server(ServerCommand::Publish | ServerCommand::Exec));
    let held_back = executor.shared.pause.holds(writes, executor.now);
    Ok(held_back.filter(|_| !(spec.name == "CLIENT" && args.is(1, "UNPAUSE"))))
}

fn refuse(executor: &mut Executor, session: &mut Session, reply: &mut Reply<'_>, error: &Error) {
    session.spoil();
    executor.failed(error);
    reply.error(error);
}

/// `client|list`, or `get`.
fn full_name(spec: &Spec, args: &Args<'_>) -> String {
    const CONTAINERS: [&str; 8] =
        ["CLIENT", "COMMAND", "CONFIG", "DEBUG", "MEMORY", "OBJECT", "PUBSUB", "SLOWLOG"];
    let name = spec.name.to_ascii_lowercase();
    match args.get(1) {
        Some(subcommand) if CONTAINERS.contains(&spec.name) => {
            format!("{name}|{}", String::from_utf8_lossy(subcommand).to_ascii_lowercase())
        }
        _ => name,
    }
}

/// Whether it is what stands at the beginning of a line that a browser sends: a page can make one send commands in a body,
/// and these lines come before it. Redis closes at the same words.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:")
}

/// No such command.
fn unknown(args: &Args<'_>) -> Error {
    /// Bytes of the name and of the words that are repeated.
    const MOST: usize = 128;
    let cut =
        |text: &[u8], most: usize| String::from_utf8_lossy(text.get(..most).unwrap_or(text)).into_owned();
    let mut words = String::new();
    for word in args.iter().skip(1) {
        if words.len() >= MOST {
            break;
        }
        words.push_str(&format!("'{}' ", cut(word, MOST - words.len())));
    }
    let name = cut(args.at(0), MOST);
    Error::told(format!("ERR unknown command '{name}', with args beginning with: {words}"))
}

impl Executor {
    /// Counts an error that is answered.
    pub(crate) fn failed(&self, error: &Error) {
        self.counters.errors.add(1);
        self.shared.stats.error(error);
    }
}
