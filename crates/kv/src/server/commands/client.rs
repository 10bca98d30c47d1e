//! `CLIENT`: who is connected, what they are called, and how to be rid of them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::error::Error;
use crate::server::clients::{Client, Kind, Mark};
use crate::server::commands::Call;
use crate::server::dispatch::Next;
use crate::server::session::Replies;

/// `CLIENT subcommand …`
pub(super) fn client(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let name = String::from_utf8_lossy(call.args.at(1)).to_ascii_uppercase();
    match name.as_str() {
        "ID" => {
            call.expect(2..=2)?;
            call.reply.integer(call.session.client.id as i64);
        }
        "INFO" => {
            call.expect(2..=2)?;
            call.reply.verbatim(&format!("{}\n", call.session.client.line(call.executor.now)));
        }
        "LIST" => list(call)?,
        "GETNAME" => {
            call.expect(2..=2)?;
            let name = call.session.client.names().name.clone();
            call.reply.bulk_or_null((!name.is_empty()).then_some(&name));
        }
        "SETNAME" => {
            call.expect(3..=3)?;
            check_name(call.args.at(2))?;
            call.session.client.names().name = call.args.at(2).to_vec();
            call.reply.ok();
        }
        "SETINFO" => set_info(call)?,
        "GETREDIR" => {
            call.expect(2..=2)?;
            call.reply.integer(-1);
        }
        "KILL" => return kill(call),
        "NO-EVICT" => set_mark(call, Mark::NoEvict)?,
        "NO-TOUCH" => set_mark(call, Mark::NoTouch)?,
        "PAUSE" => pause(call)?,
        "UNPAUSE" => {
            call.expect(2..=2)?;
            call.executor.shared.pause.end();
            call.executor.shared.clients.all().iter().for_each(|client| client.mailbox.wake());
            call.reply.ok();
        }
        "REPLY" => replies(call)?,
        "UNBLOCK" => unblock(call)?,
        "HELP" => return call.help(HELP),
        _ => return Err(call.unknown_subcommand()),
    }
    Ok(Next::Go)
}

/// Whether a client may call itself so.
pub(super) fn check_name(name: &[u8]) -> Result<(), Error> {
    const NAME: Error = Error::new("ERR Client names cannot contain spaces, newlines or special characters.");
    if name.iter().all(u8::is_ascii_graphic) { Ok(()) } else { Err(NAME) }
}

fn set_info(call: &mut Call<'_, '_, '_>) -> Result<(), Error> {
    call.expect(4..=4)?;
    let (option, value) = (call.args.at(2), call.args.at(3));
    let option = String::from_utf8_lossy(option).to_ascii_lowercase();
    if !matches!(option.as_str(), "lib-name" | "lib-ver") {
        let given = String::from_utf8_lossy(call.args.at(2)).into_owned();
        return Err(Error::told(format!("ERR Unrecognized option '{given}'")));
    }
    if !value.iter().all(u8::is_ascii_graphic) {
        let text = format!("ERR {option} cannot contain spaces, newlines or special characters.");
        return Err(Error::told(text));
    }
    let mut names = call.session.client.names();
    match option.as_str() {
        "lib-name" => names.library = value.to_vec(),
        _ => names.version = value.to_vec(),
    }
    drop(names);
    call.reply.ok();
    Ok(())
}

fn set_mark(call: &mut Call<'_, '_, '_>, mark: Mark) -> Result<(), Error> {
    call.expect(3..=3)?;
    let holds = match () {
        () if call.args.is(2, "ON") => true,
        () if call.args.is(2, "OFF") => false,
        () => return Err(Error::SYNTAX),
    };
    call.session.client.set(mark, holds);
    call.reply.ok();
    Ok(())
}

fn list(call: &mut Call<'_, '_, '_>) -> Result<(), Error> {
    let (args, shared) = (call.args, call.executor.shared.clone());
    let clients: Vec<Arc<Client>> = if args.len() == 4 && args.is(2, "TYPE") {
        let kind = kind(args.at(3))?;
        shared.clients.all().into_iter().filter(|client| client.kind() == kind).collect()
    } else if args.len() > 3 && args.is(2, "ID") {
        let mut found = Vec::new();
        for at in 3..args.len() {
            let id = args.integer(at).ok().filter(|id| *id > 0);
            found.extend(shared.clients.find(id.ok_or(Error::new("ERR Invalid client ID"))? as u64));
        }
        found
    } else if args.len() == 2 {
        shared.clients.all()
    } else {
        return Err(Error::SYNTAX);
    };
    let mut text = String::new();
    for client in clients {
        text.push_str(&client.line(call.executor.now));
        text.push('\n');
    }
    call.reply.verbatim(&text);
    Ok(())
}

fn kind(name: &[u8]) -> Result<Kind, Error> {
    let unknown = || Error::told(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(name)));
    Kind::named(name).ok_or_else(unknown)
}

/// Which clients are to go.
#[derive(Default)]
struct Chosen {
    id: Option<u64>,
    address: Option<Vec<u8>>,
    local: Option<Vec<u8>>,
    kind: Option<Kind>,
    keeps_caller: bool,
}

impl Chosen {
    fn matches(&self, client: &Client) -> bool {
        let is = |wanted: &Option<Vec<u8>>, address: std::net::SocketAddr| {
            wanted.as_ref().is_none_or(|wanted| *wanted == address.to_string().into_bytes())
        };
        self.id.is_none_or(|id| id == client.id)
            && is(&self.address, client.address)
            && is(&self.local, client.local)
            && self.kind.is_none_or(|kind| kind == client.kind())
    }
}

fn kill(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    call.expect(3..)?;
    let args = call.args;
    let is_old = args.len() == 3;
    let mut chosen = Chosen { keeps_caller: !is_old, ..Chosen::default() };
    if is_old {
        chosen.address = Some(args.at(2).to_vec());
    }
    for at in (2..args.len()).step_by(2).filter(|_| !is_old) {
        let value = args.get(at + 1).ok_or(Error::SYNTAX)?;
        match String::from_utf8_lossy(args.at(at)).to_ascii_uppercase().as_str() {
            "ID" => {
                const NO_ID: Error = Error::new("ERR client-id should be greater than 0");
                let id = args.integer(at + 1).map_err(|_| NO_ID)?;
                chosen.id = Some(u64::try_from(id).ok().filter(|id| *id > 0).ok_or(NO_ID)?);
            }
            "TYPE" => chosen.kind = Some(kind(value)?),
            "ADDR" => chosen.address = Some(value.to_vec()),
            "LADDR" => chosen.local = Some(value.to_vec()),
            "USER" if value == b"default" => {}
            "USER" => {
                let user = String::from_utf8_lossy(value).into_owned();
                return Err(Error::told(format!("ERR No such user '{user}'")));
            }
            "SKIPME" if value.eq_ignore_ascii_case(b"yes") => chosen.keeps_caller = true,
            "SKIPME" if value.eq_ignore_ascii_case(b"no") => chosen.keeps_caller = false,
            _ => return Err(Error::SYNTAX),
        }
    }
    let mut killed = 0;
    let mut next = Next::Go;
    for client in call.executor.shared.clients.all() {
        let is_caller = client.id == call.session.client.id;
        if !chosen.matches(&client) || (is_caller && chosen.keeps_caller) {
            continue;
        }
        killed += 1;
        match is_caller {
            // It hears of its success first.
            true => next = Next::Close,
            false => client.mailbox.close(),
        }
    }
    match is_old {
        false => call.reply.count(killed),
        true if killed > 0 => call.reply.ok(),
        true => return Err(Error::new("ERR No such client")),
    }
    Ok(next)
}

fn pause(call: &mut Call<'_, '_, '_>) -> Result<(), Error> {
    call.expect(3..=4)?;
    let writes_only = match call.args.get(3) {
        None => false,
        Some(_) if call.args.is(3, "ALL") => false,
        Some(_) if call.args.is(3, "WRITE") => true,
        Some(_) => return Err(Error::new("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let millis =
        call.args.integer(2).map_err(|_| Error::new("ERR timeout is not an integer or out of range"))?;
    let millis = u64::try_from(millis).map_err(|_| Error::new("ERR timeout is negative"))?;
    call.executor.shared.pause.begin(call.executor.now.saturating_add(millis), writes_only);
    call.reply.ok();
    Ok(())
}

fn replies(call: &mut Call<'_, '_, '_>) -> Result<(), Error> {
    call.expect(3..=3)?;
    if call.args.is(2, "ON") {
        call.session.replies = Replies::On;
        call.reply.ok();
    } else if call.args.is(2, "OFF") {
        call.session.replies = Replies::Off;
    } else if call.args.is(2, "SKIP") {
        if call.session.replies == Replies::On {
            call.session.replies = Replies::SkipNext;
        }
    } else {
        return Err(Error::SYNTAX);
    }
    Ok(())
}

fn unblock(call: &mut Call<'_, '_, '_>) -> Result<(), Error> {
    call.expect(3..=4)?;
    const UNBLOCKED: Error = Error::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");
    let error = match call.args.get(3) {
        None => None,
        Some(_) if call.args.is(3, "TIMEOUT") => None,
        Some(_) if call.args.is(3, "ERROR") => Some(UNBLOCKED),
        Some(_) => return Err(Error::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let id = call.args.integer(2)?;
    let shared = &call.executor.shared;
    let client = u64::try_from(id).ok().and_then(|id| shared.clients.find(id));
    let waiter = client.as_ref().and_then(|client| client.waiter());
    let ended = waiter.as_ref().is_some_and(|waiter| waiter.end(error.as_ref()));
    if let (true, Some(client), Some(waiter)) = (ended, client, waiter) {
        shared.blocking.leave(&waiter);
        client.mailbox.wake();
    }
    call.reply.flag(ended);
    Ok(())
}

/// The largest input and output that clients have piled up, for `INFO`.
pub(super) fn largest_buffers(clients: &[Arc<Client>]) -> (usize, usize) {
    let input = clients.iter().map(|client| client.input.load(Relaxed)).max();
    let output = clients.iter().map(|client| client.unsent.load(Relaxed) + client.mailbox.waiting().0).max();
    (input.unwrap_or(0), output.unwrap_or(0))
}

const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GETNAME",
    "    Return the name of the current connection.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made from the specified address",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made to specified local address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Kill connections by type.",
    "    * USER <username>",
    "      Kill connections authenticated by <username>.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
    "    * ID <client-id>",
    "      Kill connections by client id.",
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "    * ID <client-id> [<client-id> [...]]",
    "      Return clients of specified IDs only.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "NO-TOUCH (ON|OFF)",
    "    Will not touch LRU/LFU stats when this mode is on.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are:",
    "    * LIB-NAME: the client lib name.",
    "    * LIB-VER: the client lib version.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "HELP",
    "    Print this help.",
];
