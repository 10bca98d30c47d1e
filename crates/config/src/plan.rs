//! The [`Plan`]: a checked configuration, the only form the rest of Evenkeel ever sees.
//!
//! Invariant: every index in a plan points into the plan, every name is unique in its kind, every
//! number is within its documented range. Whoever holds a plan needs no further checks.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use evenkeel_policy::affinity::Key;
use evenkeel_policy::balance::Algorithm;
use evenkeel_policy::health::Thresholds;
use evenkeel_policy::outlier::OutlierRules;
use evenkeel_policy::queue::QueueRules;
use evenkeel_policy::retry::RetryRules;
use evenkeel_policy::routing::Matcher;
use ipnet::IpNet;

/// A checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Process-wide settings.
    pub server: Server,
    /// Where metrics, health and the admin API are served; `None` when switched off.
    pub admin: Option<Admin>,
    /// Logs.
    pub log: Log,
    /// Where clients connect, in file order.
    pub listeners: Vec<Listener>,
    /// Which requests go where, in file order.
    pub routes: Vec<Route>,
    /// Groups of endpoints, in file order.
    pub upstreams: Vec<Upstream>,
}

/// Index of an upstream in [`Plan::upstreams`].
pub type UpstreamIndex = usize;

/// `[server]`
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Worker threads; `None` means one per core.
    pub workers: Option<NonZeroUsize>,
    /// How long a graceful stop waits for running requests.
    pub shutdown_timeout: Duration,
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whom `Host` may name beside loopback; with none, on loopback nobody and elsewhere everybody.
    pub hosts: Vec<String>,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Filter of the slow side's log, e.g. `info`.
    pub level: String,
    /// Form of both logs.
    pub format: LogFormat,
    /// Where access lines go.
    pub access: AccessTarget,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of words.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where access lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessTarget {
    /// Standard output.
    Stdout,
    /// A file, appended to; reopened on SIGUSR1.
    File(PathBuf),
    /// Nowhere, at no cost.
    Off,
}

/// `[listener.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Its name in the file, in metrics and in logs.
    pub name: String,
    /// Where it listens.
    pub address: ListenAddress,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where a request goes that no route takes; `None` answers 404. With [`Protocol::Tcp`] never `None`.
    pub upstream: Option<UpstreamIndex>,
    /// Whose `X-Forwarded-*`, `Forwarded` and `X-Request-Id` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Timeouts towards clients.
    pub timeouts: ListenerTimeouts,
    /// Limits on what clients may use.
    pub limits: ListenerLimits,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1: requests are routed.
    Http,
    /// Bytes: each connection is a session with one endpoint. Nothing but `upstream`, `timeouts.idle` and
    /// `limits.connections` counts.
    Tcp,
}

impl Protocol {
    /// As the configuration has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// `host:port`, numeric.
    Tcp(SocketAddr),
    /// `unix:/path`
    Unix(PathBuf),
}

/// `[listener.NAME.timeouts]`
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerTimeouts {
    /// From the first byte of a request (or the connection's start) to the end of its head.
    pub header: Duration,
    /// How long a connection may wait for its next request; how long nothing may pass through a TCP session.
    pub idle: Duration,
    /// How long a client may leave us unable to read the next part of its body, or to write to it.
    pub stall: Duration,
    /// After the client half-closed: how long the answer may take to begin before the exchange is abandoned. After
    /// either side of a TCP session has ended: how long nothing may pass from the other one.
    pub half_close: Duration,
}

/// `[listener.NAME.limits]`
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerLimits {
    /// Open connections over all workers.
    pub connections: usize,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Bytes of a request's body; `None` is unlimited.
    pub body_bytes: Option<u64>,
}

/// `[[route]]`
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its name in metrics and logs.
    pub name: String,
    /// Index into [`Plan::listeners`]; `None` serves every listener.
    pub listener: Option<usize>,
    /// Which requests it takes.
    pub matcher: Matcher,
    /// What is done with them.
    pub action: Action,
}

/// What a route does with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Forwards to one upstream.
    Upstream(UpstreamIndex),
    /// Forwards to one of several, by weight. Never empty, weights sum above zero.
    Split(Vec<(UpstreamIndex, u32)>),
    /// Answers with a `Location`.
    Redirect {
        /// The location; `{host}`, `{path}` (with query) are replaced.
        to: String,
        /// 301, 302, 303, 307 or 308.
        status: u16,
    },
    /// Answers with a fixed body.
    Respond {
        /// 200 to 599.
        status: u16,
        /// The body, `text/plain`.
        body: String,
    },
}

/// `[upstream.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Its name in the file, in metrics and in logs.
    pub name: String,
    /// How an endpoint is picked.
    pub balance: Algorithm,
    /// What is hashed; `None` where `balance` picks by no hash.
    pub hash: Option<Hashing>,
    /// Its endpoints, in file order; never empty, addresses unique.
    pub endpoints: Vec<Endpoint>,
    /// Probes; `None` means every endpoint counts as up.
    pub health: Option<Health>,
    /// What becomes of TCP sessions at an endpoint that is found down.
    pub on_down: OnDown,
    /// When requests that fail take an endpoint out; `None` means that they never do.
    pub outliers: Option<OutlierRules>,
    /// What is tried again.
    pub retry: RetryRules,
    /// Timeouts towards endpoints.
    pub timeouts: UpstreamTimeouts,
    /// Where requests wait while all endpoints are full; `None` lets none wait.
    pub queue: Option<QueueRules>,
    /// Idle connections kept.
    pub pool: Pool,
}

/// What is hashed, and how far endpoints may be filled for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Hashing {
    /// The part of a request; of a TCP session it is the client.
    pub key: Key,
    /// What an endpoint may have in flight, in percent of its share of all, at least 100; `None` is unlimited.
    pub bound: Option<u32>,
}

/// What becomes of TCP sessions at an endpoint that is found down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDown {
    /// Nothing: they may be fine.
    Keep,
    /// They are reset.
    Close,
}

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Where it is.
    pub address: EndpointAddress,
    /// Its share of the traffic, 0 to 65535; 0 takes no new requests.
    pub weight: u32,
    /// Requests and TCP sessions it may have at once, over all workers; `None` is unlimited.
    pub max_in_flight: Option<u32>,
    /// Takes traffic only when no other endpoint is eligible.
    pub backup: bool,
}

/// Where an endpoint is. Its `Display` is its identity across reloads and its label in metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EndpointAddress {
    /// A numeric address.
    Ip(SocketAddr),
    /// A name to be resolved, and a port.
    Name {
        /// The host name.
        host: String,
        /// The port.
        port: u16,
    },
    /// `unix:/path`
    Unix(PathBuf),
}

/// `[upstream.NAME.health]`
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// What a probe does.
    pub kind: ProbeKind,
    /// Time between probes of one endpoint, jittered by a tenth.
    pub interval: Duration,
    /// A probe without a verdict by then has failed.
    pub timeout: Duration,
    /// Good probes to come up, bad ones to go down, and where an endpoint starts.
    pub thresholds: Thresholds,
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeKind {
    /// A GET, judged by its status and perhaps its body.
    Http {
        /// Path and query.
        path: String,
        /// The `Host` header; `None` sends the endpoint's address.
        host: Option<String>,
        /// Statuses that count as good, inclusive ranges.
        expect: Vec<(u16, u16)>,
        /// The body's first 64 KiB must contain this.
        body: Option<String>,
    },
    /// A connection that opens is good.
    Tcp,
    /// A Redis server that answers `PING` with `PONG` is good.
    Redis {
        /// What `AUTH` is sent with before; `None` sends none.
        password: Option<Secret>,
    },
}

/// Text that `Debug` does not show: a plan is printed by the admin API.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// `[upstream.NAME.timeouts]`
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamTimeouts {
    /// To open a connection.
    pub connect: Duration,
    /// From the request received to the first byte of the response, over all attempts.
    pub response: Duration,
    /// The same for one attempt; `None` leaves it to `response`.
    pub attempt: Option<Duration>,
    /// Between two pieces of a response's body.
    pub stall: Duration,
}

/// `[upstream.NAME.pool]`
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Idle connections kept per endpoint and worker.
    pub idle_connections: usize,
    /// How long one is kept.
    pub idle: Duration,
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
