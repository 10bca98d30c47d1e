//! [`Target`]: where requests go, by address or by a name that is looked up again and again.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// A name's addresses are looked up this often: a container that was started again has another one.
const LOOK_UP: Duration = Duration::from_secs(3);
/// Looked up this often at most, when connecting fails.
const PAUSE: Duration = Duration::from_millis(200);
/// Connections idle for longer are not used again: well below any server's idle timeout.
const FRESH: Duration = Duration::from_secs(20);

/// A connection without a request on it.
pub(super) type Connection = SendRequest<Full<Bytes>>;

/// Where requests go, and the connections to there.
#[derive(Debug)]
pub(super) struct Target {
    /// `Host` of its requests; `host:port` to be looked up.
    pub(super) authority: String,
    is_name: bool,
    addresses: Mutex<Vec<SocketAddr>>,
    /// Its addresses may be wrong.
    doubt: Notify,
    /// Used last, last; with when that was.
    idle: Mutex<Vec<(Connection, Instant)>>,
}

impl Target {
    pub(super) fn at(address: SocketAddr) -> Self {
        Self::new(address.to_string(), vec![address], false)
    }

    /// `host:port`, looked up now and, while [`Self::look_up`] runs, again and again.
    pub(super) fn named(authority: String) -> Self {
        if let Ok(address) = authority.parse() {
            return Self::at(address);
        }
        // One that cannot be looked up yet may be later.
        let addresses = authority.to_socket_addrs().map(Iterator::collect).unwrap_or_default();
        Self::new(authority, addresses, true)
    }

    pub(super) fn new(authority: String, addresses: Vec<SocketAddr>, is_name: bool) -> Self {
        let addresses = Mutex::new(addresses);
        Self { authority, is_name, addresses, doubt: Notify::new(), idle: Mutex::default() }
    }

    /// Where to connect, to be tried in this order; of a name with several addresses, the one its number falls on first.
    pub(super) fn addresses(&self, number: u64) -> Vec<SocketAddr> {
        let mut addresses = lock(&self.addresses).clone();
        let first = number.checked_rem(addresses.len() as u64).unwrap_or_default();
        addresses.rotate_left(usize::try_from(first).unwrap_or_default());
        addresses
    }

    /// Nobody answered there: its name is looked up again.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Keeps the addresses of a name up to date, for ever; returns at once where there is nothing to look up.
    pub(super) async fn look_up(self: Arc<Self>) {
        if !self.is_name {
            return;
        }
        loop {
            sleep(PAUSE).await;
            let _ = timeout(LOOK_UP, self.doubt.notified()).await;
            // While its name cannot be looked up, the old addresses are the best known.
            if let Ok(found) = tokio::net::lookup_host(&self.authority).await {
                *lock(&self.addresses) = found.collect();
            }
        }
    }

    /// The connection used last that can still be used.
    pub(super) fn idle_connection(&self) -> Option<Connection> {
        let mut idle = lock(&self.idle);
        while let Some((connection, since)) = idle.pop() {
            if since.elapsed() >= FRESH {
                // So are all that were used before.
                idle.clear();
                return None;
            }
            if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    pub(super) fn keep(&self, connection: Connection) {
        let mut idle = lock(&self.idle);
        idle.push((connection, Instant::now()));
        if idle.first().is_some_and(|(_, since)| since.elapsed() >= FRESH) {
            idle.remove(0);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
