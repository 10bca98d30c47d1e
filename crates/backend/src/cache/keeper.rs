//! The keeper: connects to the cache in the background, proves that it works, and connects again.
//!
//! One task for the whole process, so a cache that comes back is met by one connection and one question from each
//! backend, and not by every request that waited for it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Value};
use tokio::net::TcpStream;
use tokio::time::{sleep, sleep_until, timeout};

use super::entry;
use super::fault::Fault;
use super::link::{Link, Owed};
use super::state::CacheState;
use crate::database::items::Key;

/// How long connecting and greeting may take, and each batch of what is owed before the connection is used.
const PATIENCE: Duration = Duration::from_secs(1);
/// Invalidations made up together.
const BATCH: usize = 500;
/// Pause after invalidations were refused, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The pause grows no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Questions that wait to be written before those who ask wait too.
const QUEUE: usize = 512;

/// Keeps the link up, until it is dropped.
pub(super) async fn keep(link: Arc<Link>) {
    loop {
        match link.next_probe() {
            Some(time) => sleep_until(time).await,
            // Not while nobody but this task closes the breaker.
            None => link.given_up.notified().await,
        }
        if link.begin_probe() {
            hold(&link).await;
        }
    }
}

/// One connection, from dialling to its end.
async fn hold(link: &Link) {
    let connected = timeout(PATIENCE, connect(link)).await.unwrap_or(Err(Fault::Timeout));
    let (mut connection, driver) = match connected {
        Ok(connected) => connected,
        Err(fault) => return link.probe_failed(fault),
    };
    let mut driver = pin!(driver);
    let proven = {
        let mut proof = pin!(prove(link, &mut connection));
        tokio::select! {
            biased;
            proven = &mut proof => proven,
            // Why the connection ended is known to the proof.
            () = &mut driver => match proof.await {
                Ok(generation) => return link.lost(generation, Fault::Closed),
                Err(fault) => Err(fault),
            },
        }
    };
    let generation = match proven {
        Ok(generation) => generation,
        Err(fault) => return link.probe_failed(fault),
    };
    let mut tended = pin!(tend(link, &mut connection, generation));
    loop {
        let ended = tokio::select! {
            () = &mut driver => Fault::Closed,
            fault = &mut tended => fault,
            () = link.given_up.notified() => match link.is_current(generation) {
                true => continue,
                false => return,
            },
        };
        // Requests that were waiting know better why it ended, and are awake already.
        tokio::task::yield_now().await;
        return link.lost(generation, ended);
    }
}

/// Dials and greets: user, password, database.
async fn connect(link: &Link) -> Result<(MultiplexedConnection, impl Future<Output = ()> + 'static), Fault> {
    let url = &link.url;
    let stream = TcpStream::connect(url.address()).await.map_err(|error| Fault::of_dial(&error))?;
    stream.set_nodelay(true).map_err(|error| Fault::of_dial(&error))?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        // Each question brings its own limit.
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE);
    MultiplexedConnection::new_with_config(url.login(), stream, config)
        .await
        .map_err(|error| Fault::of_client(&error))
}

/// One question as requests put it, within their time; then what is owed; then requests may come. A cache that
/// refuses what is owed is read, but for those rows.
async fn prove(link: &Link, connection: &mut MultiplexedConnection) -> Result<u64, Fault> {
    let command = entry::get(&Key::Item(0));
    let answer = timeout(link.options.timeout, connection.send_packed_command(&command));
    match answer.await.map_err(|_| Fault::Timeout)?.map_err(|error| Fault::of_client(&error))? {
        Value::Nil | Value::BulkString(_) => {}
        Value::ServerError(error) if error.code() == "WRONGTYPE" => {}
        Value::ServerError(error) => return Err(Fault::of_reply(error.code())),
        _ => return Err(Fault::Garbage),
    }
    loop {
        let owed = link.owed(BATCH);
        if owed.is_empty() {
            return Ok(link.publish(connection, CacheState::Used));
        }
        let made_up = timeout(PATIENCE, make_up(link, connection, &owed)).await;
        if let Some(fault) = made_up.unwrap_or(Err(Fault::Timeout))? {
            return Ok(link.publish(connection, CacheState::NotStoring(fault.word())));
        }
    }
}

/// Makes up for what comes to be owed while the connection is used, or was refused before. Returns when the
/// connection is of no use any more.
///
/// What is sent here is carried out after all that was sent before. So a store whose answer did not come in time is
/// followed by the invalidation that undoes it, whenever it is carried out. That is why there is no limit of time:
/// the answer comes when the connection answers again, and requests find out if it does not.
async fn tend(link: &Link, connection: &mut MultiplexedConnection, generation: u64) -> Fault {
    let mut pause = FIRST_PAUSE;
    loop {
        let owed = link.owed(BATCH);
        if owed.is_empty() {
            pause = FIRST_PAUSE;
            link.owing.notified().await;
            continue;
        }
        match make_up(link, connection, &owed).await {
            Ok(None) => link.tell(generation, CacheState::Used),
            Ok(Some(_)) => {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(fault) => return fault,
        }
    }
}

/// Invalidates what is owed. Returns why the cache refuses to, if it does.
async fn make_up(
    link: &Link,
    connection: &mut MultiplexedConnection,
    owed: &[Owed],
) -> Result<Option<Fault>, Fault> {
    let mut refused = send(link, connection, owed, link.options.fence).await?;
    if refused == Some(Fault::Oom) {
        // As for one: a full cache takes no fence, but it deletes.
        refused = send(link, connection, owed, Duration::ZERO).await?;
    }
    if refused.is_none() {
        link.settled(owed);
    }
    Ok(refused)
}

/// The fault in the first error reply, if there is one.
async fn send(
    link: &Link,
    connection: &mut MultiplexedConnection,
    owed: &[Owed],
    fence: Duration,
) -> Result<Option<Fault>, Fault> {
    let commands = link.invalidation(owed.iter().map(|owed| &owed.key), fence);
    let replies = connection.send_packed_commands(&commands, 0, commands.len()).await;
    let mut refused = None;
    for reply in replies.map_err(|error| Fault::of_client(&error))? {
        match reply {
            Value::Okay | Value::Int(_) => {}
            Value::ServerError(error) => refused = refused.or(Some(Fault::of_reply(error.code()))),
            _ => return Err(Fault::Garbage),
        }
    }
    Ok(refused)
}
