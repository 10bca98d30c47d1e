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
use tokio::time::{sleep_until, timeout};

use super::entry;
use super::fault::Fault;
use super::link::Link;

/// How long connecting and greeting may take, and each batch of what is owed.
const PATIENCE: Duration = Duration::from_secs(1);
/// Invalidations made up together.
const BATCH: usize = 500;
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
    drop(connection);
    loop {
        tokio::select! {
            () = &mut driver => {
                // Requests that were waiting know better why it ended, and are awake already.
                tokio::task::yield_now().await;
                return link.lost(generation, Fault::Closed);
            }
            () = link.given_up.notified() => if !link.is_current(generation) {
                return;
            },
        }
    }
}

/// Dials and greets: user, password, database.
async fn connect(link: &Link) -> Result<(MultiplexedConnection, impl Future<Output = ()> + 'static), Fault> {
    let url = &link.options.url;
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

/// One question as requests put it, within their time; then what is owed; then requests may come.
async fn prove(link: &Link, connection: &mut MultiplexedConnection) -> Result<u64, Fault> {
    let command = entry::get(0);
    let answer = timeout(link.options.timeout, connection.send_packed_command(&command));
    match answer.await.map_err(|_| Fault::Timeout)?.map_err(|error| Fault::of_client(&error))? {
        Value::Nil | Value::BulkString(_) => {}
        Value::ServerError(error) if error.code() == "WRONGTYPE" => {}
        Value::ServerError(error) => return Err(Fault::of_reply(error.code())),
        _ => return Err(Fault::Garbage),
    }
    loop {
        if let Some(generation) = link.publish(connection) {
            return Ok(generation);
        }
        let batch = Batch { link, ids: link.take_owed(BATCH) };
        timeout(PATIENCE, batch.make_up(connection)).await.unwrap_or(Err(Fault::Timeout))?;
    }
}

/// Owed invalidations; dropped before they are made up, they are owed still.
struct Batch<'a> {
    link: &'a Link,
    ids: Vec<i64>,
}

impl Batch<'_> {
    async fn make_up(mut self, connection: &mut MultiplexedConnection) -> Result<(), Fault> {
        let commands = entry::invalidate_all(&self.ids, self.link.options.fence);
        let mut fault = send(connection, &commands, self.ids.len()).await?;
        if fault == Some(Fault::Oom) {
            // As for one: a full cache takes no fence, but it deletes.
            fault =
                send(connection, &entry::invalidate_all(&self.ids, Duration::ZERO), self.ids.len()).await?;
        }
        match fault {
            Some(fault) => Err(fault),
            None => {
                self.ids.clear();
                Ok(())
            }
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.link.still_owed(std::mem::take(&mut self.ids));
    }
}

/// The fault in the first error reply, if there is one.
async fn send(
    connection: &mut MultiplexedConnection,
    commands: &redis::Pipeline,
    count: usize,
) -> Result<Option<Fault>, Fault> {
    let replies = connection.send_packed_commands(commands, 0, count).await;
    let replies = replies.map_err(|error| Fault::of_client(&error))?;
    Ok(replies.iter().find_map(|reply| match reply {
        Value::ServerError(error) => Some(Fault::of_reply(error.code())),
        Value::Okay | Value::Int(_) => None,
        _ => Some(Fault::Garbage),
    }))
}
