//! Commands about replication: `REPLICAOF`, `ROLE`, `WAIT`, and those that replicas use.

use std::fmt::Write;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::error::Error;
use crate::replication::{Greeting, LinkState, Phase, Wanted, serve};
use crate::resp::Reply;
use crate::server::clients::{Client, Mark};
use crate::server::commands::Call;
use crate::server::dispatch::Next;
use crate::server::replication::{follow, lead};
use crate::server::shared::{self, Shared, wall_clock};

/// `REPLICAOF host port`, `REPLICAOF NO ONE`
pub(super) fn replicaof(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let shared = &call.executor.shared;
    if call.args.is(1, "NO") && call.args.is(2, "ONE") {
        lead(shared);
        call.reply.ok();
        return Ok(Next::Go);
    }
    let port = call.args.integer(2).ok().and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or(Error::new("ERR Invalid master port"))?;
    let host = String::from_utf8_lossy(call.args.at(1)).into_owned();
    let followed = |link: Arc<crate::replication::Link>| link.source.host == host && link.source.port == port;
    if shared.replication.link().is_some_and(followed) {
        call.reply.status("OK Already connected to specified master");
        return Ok(Next::Go);
    }
    follow(shared, &host, port).map_err(|error| Error::told(format!("ERR cannot follow {host}: {error}")))?;
    call.reply.ok();
    Ok(Next::Go)
}

/// `ROLE`
pub(super) fn role(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let shared = &call.executor.shared;
    let offset = shared.primary.backlog.position().offset as i64;
    let reply = &mut *call.reply;
    match shared.replication.link() {
        Some(link) => {
            reply.array(5);
            reply.bulk(b"slave");
            reply.bulk(link.source.host.as_bytes());
            reply.integer(i64::from(link.source.port));
            reply.bulk(state_name(link.status().state).as_bytes());
            reply.integer(if link.status().state == LinkState::Up { offset } else { -1 });
        }
        None => {
            let online = shared.primary.replicas();
            let online: Vec<_> = online.iter().filter(|replica| replica.phase == Phase::Online).collect();
            reply.array(3);
            reply.bulk(b"master");
            reply.integer(offset);
            reply.array(online.len());
            for replica in online {
                reply.array(3);
                reply.bulk(replica.address.to_string().as_bytes());
                reply.bulk(replica.port.to_string().as_bytes());
                reply.bulk(replica.offset.to_string().as_bytes());
            }
        }
    }
    Ok(Next::Go)
}

/// `WAIT replicas timeout`
pub(super) fn wait(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let shared = &call.executor.shared;
    if shared.replication.is_replica() {
        return Err(Error::new(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is \
             configured to be writable (which is not the default) writes to replicas are just local and are not \
             propagated.",
        ));
    }
    let count = usize::try_from(call.args.integer(1)?).unwrap_or(0);
    let timeout =
        call.args.integer(2).map_err(|_| Error::new("ERR timeout is not an integer or out of range"))?;
    let timeout = u64::try_from(timeout).map_err(|_| Error::new("ERR timeout is negative"))?;
    let primary = Arc::clone(&shared.primary);
    let offset = primary.backlog.position().offset;
    let have = primary.acknowledged(offset);
    if have >= count || call.held.is_some() {
        call.reply.count(have);
        return Ok(Next::Go);
    }
    let protocol = call.reply.protocol();
    let patience = Some(timeout).filter(|timeout| *timeout > 0).map(Duration::from_millis);
    Ok(Next::Later(Box::pin(async move {
        let have = primary.wait(count, offset, patience).await;
        let mut answer = Vec::new();
        Reply::new(&mut answer, protocol).count(have);
        answer
    })))
}

/// `REPLCONF option value …`
pub(super) fn replconf(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    if call.args.len().is_multiple_of(2) {
        return Err(Error::SYNTAX);
    }
    for at in (1..call.args.len()).step_by(2) {
        let value = call.args.at(at + 1);
        if call.args.is(at, "listening-port") {
            let port = call.args.integer(at + 1)?;
            call.session.replica.port = u16::try_from(port).map_err(|_| Error::NOT_INTEGER)?;
        } else if call.args.is(at, "capa") {
            call.session.replica.eof |= value.eq_ignore_ascii_case(b"eof");
        } else if call.args.is(at, "ACK") {
            // Only replicas send it, whose connections are not ours any more; nothing is answered to it.
            return Ok(Next::Go);
        } else if !["ip-address", "version", "rdb-only", "rdb-filter-only", "GETACK"]
            .iter()
            .any(|known| call.args.is(at, known))
        {
            let option = String::from_utf8_lossy(call.args.at(at));
            return Err(Error::told(format!("ERR Unrecognized REPLCONF option: {option}")));
        }
    }
    call.reply.ok();
    Ok(Next::Go)
}

/// `PSYNC id offset`: the connection is that of a replica from now on.
pub(super) fn psync(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let shared = Arc::clone(&call.executor.shared);
    if shared.replication.is_replica() && !shared.replication.is_linked() {
        return Err(Error::new("NOMASTERLINK Can't SYNC while not connected with my master"));
    }
    let client = Arc::clone(&call.session.client);
    let greeting = Greeting {
        address: client.address.ip(),
        port: call.session.replica.port,
        eof: call.session.replica.eof,
    };
    let wanted = Wanted::parse(call.args.at(1), call.args.at(2));
    client.set(Mark::Replica, true);
    Ok(Next::Handed(Box::new(move |stream, input| {
        Box::pin(async move {
            let (primary, data) = (Arc::clone(&shared.primary), Arc::clone(&shared));
            let served = serve(&primary, &data, stream, input, greeting, wanted, wall_clock);
            tokio::select! {
                _ = served => {}
                () = killed(&client) => {}
                () = stopped(&shared) => {}
            }
        })
    })))
}

/// Waits until somebody wants the client's connection closed. The mailbox wakes the task that served it before.
async fn killed(client: &Client) {
    std::future::poll_fn(|_| {
        client.mailbox.is_marked();
        if client.mailbox.is_closing() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Waits until the server stops and its replicas have all there is, or some time has passed.
async fn stopped(shared: &Shared) {
    const PATIENCE: Duration = Duration::from_secs(2);
    let mut phase = shared.phase.subscribe();
    // The sender lives as long as the server.
    let _ = phase.wait_for(|phase| *phase != shared::Phase::Running).await;
    let over = pin!(async { _ = phase.wait_for(|phase| *phase == shared::Phase::Over).await });
    let primary = &shared.primary;
    let all = primary.replicas().len();
    let caught_up = pin!(primary.wait(all, primary.backlog.position().offset, Some(PATIENCE)));
    tokio::select! {
        () = over => {}
        _ = caught_up => {}
    }
}

fn state_name(state: LinkState) -> &'static str {
    match state {
        LinkState::Down => "connect",
        LinkState::Connecting => "connecting",
        LinkState::Loading => "sync",
        LinkState::Up => "connected",
    }
}

/// The section `replication` of `INFO`, without its headline.
pub(super) fn section(shared: &Shared) -> String {
    let figures = shared.primary.backlog.figures();
    let position = figures.position;
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{name}:{value}\r\n");
    };
    match shared.replication.link() {
        None => line("role", &"master"),
        Some(link) => {
            let status = link.status();
            line("role", &"slave");
            line("master_host", &link.source.host);
            line("master_port", &link.source.port);
            line("master_link_status", &if status.state == LinkState::Up { "up" } else { "down" });
            let silence = status.silence.as_secs() as i64;
            line("master_last_io_seconds_ago", &if status.state == LinkState::Up { silence } else { -1 });
            line("master_sync_in_progress", &u8::from(status.state == LinkState::Loading));
            line("slave_read_repl_offset", &position.offset);
            line("slave_repl_offset", &position.offset);
            if status.state == LinkState::Loading {
                line("master_sync_total_bytes", &0);
                line("master_sync_read_bytes", &status.loaded);
            }
            if let Some(down) = status.down {
                line("master_link_down_since_seconds", &down.as_secs());
            }
            line("slave_priority", &100);
            line("slave_read_only", &u8::from(shared.configs.current().replica_read_only));
            line("replica_announced", &1);
        }
    }
    let replicas = shared.primary.replicas();
    line("connected_slaves", &replicas.len());
    for (number, replica) in replicas.iter().enumerate() {
        let value = format!(
            "ip={},port={},state={},offset={},lag={}",
            replica.address,
            replica.port,
            replica.phase.name(),
            replica.offset,
            replica.lag.as_secs()
        );
        line(&format!("slave{number}"), &value);
    }
    line("master_failover_state", &"no-failover");
    line("master_replid", &position.id);
    match position.before {
        Some((id, end)) => {
            line("master_replid2", &id);
            line("master_repl_offset", &position.offset);
            line("second_repl_offset", &(end + 1));
        }
        None => {
            line("master_replid2", &"0".repeat(40));
            line("master_repl_offset", &position.offset);
            line("second_repl_offset", &-1);
        }
    }
    line("repl_backlog_active", &u8::from(figures.on));
    line("repl_backlog_size", &figures.size);
    line("repl_backlog_first_byte_offset", &if figures.on { figures.first + 1 } else { 0 });
    line("repl_backlog_histlen", &(position.offset - figures.first));
    text
}
