//! Commands about the connection itself: who it is, what it speaks, whether it is there.

use crate::error::Error;
use crate::resp::Protocol;
use crate::server::COMPATIBLE_VERSION;
use crate::server::commands::{Call, client};
use crate::server::config::Config;
use crate::server::dispatch::Next;
use crate::server::session::Replies;
use crate::store::DATABASES;

/// `PING [message]`
pub(super) fn ping(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    if call.args.len() > 2 {
        return Err(Error::arity("ping"));
    }
    let message = call.args.get(1);
    if call.session.is_subscriber_only() {
        call.reply.array(2);
        call.reply.bulk(b"pong");
        call.reply.bulk(message.unwrap_or_default());
    } else {
        match message {
            Some(message) => call.reply.bulk(message),
            None => call.reply.status("PONG"),
        }
    }
    Ok(Next::Go)
}

/// `ECHO message`
pub(super) fn echo(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    call.reply.bulk(call.args.at(1));
    Ok(Next::Go)
}

/// `QUIT`
pub(super) fn quit(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    call.reply.ok();
    Ok(Next::Close)
}

/// `TIME`
pub(super) fn time(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    call.reply.array(2);
    call.reply.bulk_integer(since.as_secs() as i64);
    call.reply.bulk_integer(i64::from(since.subsec_micros()));
    Ok(Next::Go)
}

/// `SELECT index`
pub(super) fn select(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let db = call.args.integer(1)?;
    call.session.select(database(db).ok_or(Error::new("ERR DB index is out of range"))?);
    call.reply.ok();
    Ok(Next::Go)
}

/// The database with that number, if there is one.
pub(crate) fn database(number: i64) -> Option<u8> {
    u8::try_from(number).ok().filter(|db| *db < DATABASES)
}

/// `AUTH [username] password`
pub(super) fn auth(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let args = call.args;
    let (user, password) = match args.len() {
        2 => (None, args.at(1)),
        3 => (Some(args.at(1)), args.at(2)),
        _ => return Err(Error::SYNTAX),
    };
    if user.is_none() && call.executor.config.password.is_empty() {
        return Err(Error::new(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        ));
    }
    authenticate(&call.executor.config, user.unwrap_or(b"default"), password)?;
    call.session.is_authenticated = true;
    call.reply.ok();
    Ok(Next::Go)
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`
pub(super) fn hello(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let args = call.args;
    let mut protocol = call.session.protocol;
    if args.len() > 1 {
        const NO_VERSION: Error = Error::new("ERR Protocol version is not an integer or out of range");
        protocol = match args.integer(1).map_err(|_| NO_VERSION)? {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err(Error::new("NOPROTO unsupported protocol version")),
        };
    }
    let (mut credentials, mut name) = (None, None);
    let mut at = 2;
    while at < args.len() {
        if args.is(at, "AUTH") && at + 2 < args.len() {
            credentials = Some((args.at(at + 1), args.at(at + 2)));
            at += 3;
        } else if args.is(at, "SETNAME") && at + 1 < args.len() {
            name = Some(args.at(at + 1));
            at += 2;
        } else {
            let option = String::from_utf8_lossy(args.at(at));
            return Err(Error::told(format!("ERR Syntax error in HELLO option '{option}'")));
        }
    }
    if let Some(name) = name {
        client::check_name(name)?;
    }
    if let Some((user, password)) = credentials {
        authenticate(&call.executor.config, user, password)?;
        call.session.is_authenticated = true;
    }
    if !call.session.is_authenticated {
        return Err(Error::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the \
             same time",
        ));
    }
    if let Some(name) = name {
        call.session.client.names().name = name.to_vec();
    }
    call.session.speak(protocol);
    call.reply.speak(protocol);
    let role = if call.executor.shared.replication.is_replica() { "replica" } else { "master" };
    let id = call.session.client.id as i64;
    let reply = &mut *call.reply;
    reply.map(7);
    for (field, value) in [("server", "redis"), ("version", COMPATIBLE_VERSION)] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(id);
    for (field, value) in [("mode", "standalone"), ("role", role)] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(Next::Go)
}

/// `RESET`
pub(super) fn reset(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let shared = call.executor.shared.clone();
    let session = &mut *call.session;
    session.set_transaction(None);
    session.unwatch(&shared);
    if session.subscriptions.is_some() {
        session.unsubscribe_all(&shared);
        // What was published before comes before the answer; afterwards nothing comes any more.
        let client = &session.client;
        call.reply.append_with(|out| client.mailbox.take(out));
    }
    session.select(0);
    session.speak(Protocol::Resp2);
    session.replies = Replies::On;
    session.is_authenticated = call.executor.config.password.is_empty();
    session.client.names().name.clear();
    session.client.set(crate::server::clients::Mark::NoEvict, false);
    session.client.set(crate::server::clients::Mark::NoTouch, false);
    call.reply.status("RESET");
    Ok(Next::Go)
}

/// There is one user, who is called `default`.
fn authenticate(config: &Config, user: &[u8], password: &[u8]) -> Result<(), Error> {
    let wanted = &config.password;
    // Takes the same time wherever a wrong password of the right length begins to differ.
    let differs = wanted
        .iter()
        .zip(password)
        .fold(wanted.len() ^ password.len(), |differs, (one, other)| differs | usize::from(one ^ other));
    if user == b"default" && (wanted.is_empty() || differs == 0) {
        return Ok(());
    }
    Err(Error::new("WRONGPASS invalid username-password pair or user is disabled."))
}
