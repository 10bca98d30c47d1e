//! The tables and keys of a configuration: their types, defaults and meanings. This is the manual's source.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use evenkeel_policy::balance::Algorithm;
use evenkeel_policy::health::Start;
use toml::de::DeValue;

use crate::collection::{Limit, List, Named, OneOrMany, Switch};
use crate::plan::{AccessTarget, EndpointAddress, ListenAddress, LogFormat, OnDown};
use crate::setting::{Reader, Setting, Shape, Value};
use crate::table::tables;
use crate::values::address::{AdminAddress, Network};
use crate::values::amount::{BodySize, HeadSize, Percent, ShareBound, Size};
use crate::values::duration::Time;
use crate::values::http::{
    AnswerBody, CookieName, HeaderName, Headers, Location, MatchHost, MatchPath, Method, ProbeBody,
    ProbeHost, ProbePassword, ProbePath, QueryName,
};
use crate::values::log::Level;
use crate::values::name::Name;
use crate::values::number::Number;
use crate::values::status::{RedirectStatus, RetryWord, Statuses};
use crate::values::word::{HashWord, ListenerProtocol, Probe, UpstreamProtocol};

/// A share of the traffic.
pub(crate) type Weight = Number<0, 65_535>;

/// How many of something in a row.
pub(crate) type Row = Number<1, 10_000>;

tables! {
    /// A whole configuration file.
    File {
        /// The process.
        table server: Server;
        /// The admin address: metrics, health, API.
        table admin: Admin;
        /// Logs.
        table log: Log;
        /// Where clients connect; at least one.
        choice listener: Named<Listener> = "an error: nothing would be served";
        /// Which requests go where. The most specific match wins: host, then path, then method, then headers, then the file's order.
        optional route: List<Route> = "every request goes to its listener's `upstream`";
        /// Groups of endpoints that serve the same.
        choice upstream: Named<Upstream> = "only routes that redirect or respond are possible";
    }

    /// The process.
    Server {
        /// Worker threads. Each accepts, serves and forwards on its own.
        optional workers: Number<1, 1024> = "one per core";
        /// How long a graceful stop waits for running requests; then they are cut off.
        default shutdown_timeout: Time<0> = Time::seconds(30);
    }

    /// The admin address: metrics, health, API. Keep it on loopback or a network of your own.
    Admin {
        /// Where it listens; `"off"` for nowhere.
        default address: AdminAddress = AdminAddress::At(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900));
        /// Whom `Host` may name, on any port, beside `localhost` and loopback addresses; keeps rebound names out where the port
        /// is published, as that of a container is. With none: on loopback nobody else, elsewhere everybody.
        default hosts: List<Name> = List::of([]);
    }

    /// Logs.
    Log {
        /// What the program says about itself, on standard error.
        default level: Level = Level("info".to_owned());
        /// The form of lines, of both logs.
        default format: LogFormat = LogFormat::Text;
        /// Where the access log goes, one line for each request.
        default access: AccessTarget = AccessTarget::Stdout;
    }

    /// Where clients connect. `NAME` is its label in metrics and logs.
    Listener {
        /// Where it listens.
        required address: ListenAddress;
        /// What it speaks: HTTP, or TCP, whose bytes pass through as they come, each connection to one endpoint of its `upstream`. A connection that is reset on one side is reset on the other; a UNIX socket cannot carry that, there it just ends.
        default protocol: ListenerProtocol = ListenerProtocol::Http;
        /// The upstream of requests that no route takes; with `protocol = "tcp"`, where it is required, of every connection.
        optional upstream: Name = "they are answered 404";
        /// Whose `X-Forwarded-*`, `Forwarded` and `X-Request-Id` are believed; from everyone else they are replaced. `protocol = "http"`.
        default trusted_proxies: List<Network> = List::of([]);
        /// Timeouts towards clients.
        table timeouts: ListenerTimeouts;
        /// Limits on what clients may use.
        table limits: ListenerLimits;
        - "tls" = "TLS is";
        - "proxy_protocol" = "the PROXY protocol is";
    }

    /// Timeouts towards clients. With `protocol = "tcp"` there are only `idle` and `half_close`.
    ListenerTimeouts {
        /// For a request's head to arrive whole, from its first byte or the connection's start. A client that sent a part of it is then answered 408; one that sent nothing is closed without an answer.
        default header: Time<1> = Time::seconds(10);
        /// How long an idle connection is kept for its next request; with `protocol = "tcp"`, how long nothing may pass in either direction.
        optional idle: Time<1> = "`\"60s\"`, with `protocol = \"tcp\"` `\"10m\"`";
        /// How long a client may take to send the next piece of a body, or to accept the next piece of an answer.
        default stall: Time<1> = Time::seconds(30);
        /// How long the answer may still take to begin after the client closed its sending side; with `protocol = "tcp"`, how long nothing may pass, if `idle` is not sooner, once either side closed its own.
        optional half_close: Time<0> = "`\"1s\"`, with `protocol = \"tcp\"` `\"1m\"`";
    }

    /// Limits on what clients may use. With `protocol = "tcp"` there is only `connections`.
    ListenerLimits {
        /// Open connections, over all workers; more are refused and counted.
        default connections: Number<1, 10_000_000> = Number(20_000);
        /// Bytes of a request's head, 1KiB to 1MiB; larger ones are answered 431.
        default header_bytes: HeadSize = Size(65_536);
        /// Bytes of a request's body; larger ones are answered 413.
        default body_bytes: Limit<BodySize> = Limit::Unlimited;
    }

    /// A route: which requests it takes, and exactly one of `upstream`, `split`, `redirect` and `respond`.
    Route {
        /// Its label in metrics and logs; unique.
        required name: Name;
        /// The listener whose requests it takes; one that speaks HTTP.
        optional listener: Name = "every listener that speaks HTTP";
        /// Which requests it takes: everything named here has to hold.
        table r#match: Match;
        /// Forwards to this upstream.
        choice upstream: Name = "one of the other three is named";
        /// Forwards to several upstreams by weight, each request to one of them.
        choice split: List<Share> = "one of the other three is named";
        /// Answers with a redirect.
        choice redirect: Redirect = "one of the other three is named";
        /// Answers with a fixed text.
        choice respond: Respond = "one of the other three is named";
    }

    /// What a request has to be for its route.
    Match {
        /// The host it is for.
        optional host: MatchHost = "every host";
        /// Its path, without the query.
        optional path: MatchPath = "every path";
        /// Its method.
        optional method: OneOrMany<Method> = "every method";
        /// Headers it has, each with its whole value.
        optional header: Headers = "whatever its headers";
        - "query" = "matching the query is";
        - "cookie" = "matching a cookie is";
    }

    /// One part of a split.
    Share {
        /// The upstream.
        required upstream: Name;
        /// Its share: the weight over the sum of weights.
        default weight: Weight = Number(1);
    }

    /// A redirect.
    Redirect {
        /// Where to.
        required to: Location;
        /// 301, 302, 303, 307 or 308. The last two keep the method.
        default status: RedirectStatus = RedirectStatus(308);
    }

    /// A fixed answer.
    Respond {
        /// Its status.
        default status: Number<200, 599> = Number(200);
        /// Its body.
        default body: AnswerBody = AnswerBody(String::new());
    }

    /// A group of endpoints that serve the same. `NAME` is its label in metrics and logs.
    Upstream {
        /// How an endpoint is picked.
        default balance: Algorithm = Algorithm::RoundRobin;
        /// With `balance = "maglev"` or `"ring-hash"`: the part of a request by which it is hashed. Requests that agree in it go to the same endpoint. `"client"` is the address of who sent it (behind `trusted_proxies`, whom they name), `"path"` its path without the query; a table names a header, a cookie or a parameter of the query. A request that does not have it goes by the client's address, and so does every session of a TCP listener.
        optional hash: HashKey = "`\"client\"`";
        /// With `balance = "maglev"` or `"ring-hash"`: what an endpoint may have in flight, in percent of its share of all; a request whose endpoint is full goes to the next one of its key. With `"125%"` nobody is buried under a popular key, or by a client that chooses its keys; but with little in flight that is one request, and two at a time with one key go to two endpoints. So it is for caches, not for what must not move, such as a session in an endpoint's memory.
        default hash_bound: Limit<ShareBound> = Limit::Unlimited;
        /// Its endpoints, at least one: addresses, or tables with an `address`.
        required endpoints: List<Endpoint>;
        /// What the endpoints are spoken to in. An upstream that only TCP listeners name need not say `"tcp"`.
        default protocol: UpstreamProtocol = UpstreamProtocol::Http1;
        /// Probes that find out which endpoints work.
        optional health: Health = "every endpoint counts as up";
        /// What becomes of the sessions of TCP listeners at an endpoint that probes find down: `"keep"` leaves them to themselves, `"close"`, which needs `health`, resets them, so that clients connect again, elsewhere. An endpoint that a reload removed is probed no more: sessions there are left to themselves.
        optional on_down: OnDown = "`\"keep\"`";
        /// Takes endpoints out for a while at which requests fail.
        optional outliers: Outliers = "an endpoint is taken out only by probes";
        /// What is tried again on another endpoint.
        table retry: Retry;
        /// Timeouts towards endpoints.
        table timeouts: UpstreamTimeouts;
        /// Where requests wait while every endpoint has as many as its `max_in_flight`. In order; once the queue has not been empty for 100 ms, which is no burst any more, the newest is served first, and has the place of the oldest where there is none left.
        optional queue: Queue = "such requests are answered 503 at once";
        /// Idle connections that are kept for later requests.
        table pool: Pool;
        - "tls" = "TLS is";
        - "proxy_protocol" = "the PROXY protocol is";
    }

    /// A part of a request that has a name: exactly one of these.
    Hash {
        /// The value of this header; of several, the first.
        choice header: HeaderName = "one of the other two is named";
        /// The value of this cookie.
        choice cookie: CookieName = "one of the other two is named";
        /// The value of this parameter of the query, as it is sent; of several, the first.
        choice query: QueryName = "one of the other two is named";
    }

    /// An endpoint with settings of its own.
    EndpointTable {
        /// Where it is.
        required address: EndpointAddress;
        /// Its share of the traffic; 0 takes no new requests.
        default weight: Weight = Number(1);
        /// Requests it may have in flight at once, over all workers; a session of a TCP listener counts as one for as long as it lasts.
        optional max_in_flight: Number<1, 4_294_967_295> = "unlimited";
        /// Takes traffic only when no other endpoint can.
        default backup: bool = false;
    }

    /// Probes that find out which endpoints work. The table alone, empty, switches them on.
    Health {
        /// What a probe does: a GET, opening a connection, or a Redis `PING`.
        optional kind: Probe = "`\"http\"`; `\"tcp\"` for an upstream of TCP listeners only";
        /// What is asked for. `kind = "http"`.
        optional path: ProbePath = "`\"/\"`";
        /// The `Host` that is sent. `kind = "http"`.
        optional host: ProbeHost = "the endpoint's address";
        /// Statuses that are good. `kind = "http"`.
        optional expect: OneOrMany<Statuses> = "`[\"200-399\"]`";
        /// Text that the first 64 KiB of the body have to contain. `kind = "http"`.
        optional body: ProbeBody = "any body is good";
        /// What `AUTH` is sent with before `PING`. `kind = "redis"`.
        optional password: ProbePassword = "no `AUTH` is sent";
        /// Time between the probes of one endpoint, give or take a tenth.
        default interval: Time<10> = Time::seconds(2);
        /// A probe without a verdict by then has failed.
        default timeout: Time<1> = Time::seconds(1);
        /// Good probes in a row that bring an endpoint up.
        default rise: Number<1, 100> = Number(2);
        /// Failed probes in a row that take an endpoint down.
        default fall: Number<1, 100> = Number(3);
        /// What an endpoint is before its first probe: `"down"` takes traffic from its first good probe on, `"up"` at once.
        default start: Start = Start::Down;
    }

    /// Takes endpoints out for a while at which requests fail: outlier detection. The table alone, empty, switches it on. An error is an attempt without a connection, one whose connection died or whose time ran out, an answer that is no HTTP, and a status of 500 and above but 501; of a TCP session, an attempt to connect that failed. What an endpoint met counts over all workers. When an ejection is over, the endpoint is on trial: its next error ejects it again, as many good answers as `consecutive_errors` end the trial. An endpoint that is the last to take requests is never ejected; and where probes or an operator take out all others, the ejected ones are used after all.
    Outliers {
        /// Errors in a row that eject.
        default consecutive_errors: Switch<Row> = Switch::On(Number(5));
        /// Failed connects in a row that eject.
        default consecutive_connect_failures: Switch<Row> = Switch::On(Number(3));
        /// Ejects an endpoint whose share of errors is above this and at least twice that of the others together, after 20 attempts at both within `interval`.
        default error_ratio: Switch<Percent> = Switch::Off;
        /// Ejects an endpoint whose good answers take on average more than so many times as long as the others' to begin, and 10 ms longer at least, after 20 of both within `interval`.
        default latency: Switch<Number<2, 1000>> = Switch::Off;
        /// How long attempts are counted for `error_ratio` and `latency`.
        default interval: Time<10> = Time::seconds(10);
        /// How long an endpoint is ejected the first time; the second time in a row twice as long, then three times. One time is forgotten for each such span without another.
        default ejection: Time<10> = Time::seconds(30);
        /// How long an endpoint is ejected at most.
        optional longest_ejection: Time<10> = "`\"5m\"`, or `ejection` where that is longer";
        /// How many of the upstream's endpoints may be ejected at once; of two and more, one always.
        default max_ejected: Percent = Percent(50);
    }

    /// What is tried again on another endpoint: only requests that may be sent twice, and none whose answer has begun. Of a TCP session, connecting.
    Retry {
        /// Tries in all; 1 never retries.
        default attempts: Number<1, 10> = Number(3);
        /// What is tried again.
        default on: List<RetryWord> = List::of([RetryWord::Connect, RetryWord::Reset]);
        /// Retries there may be, as a share of the requests, so that they do not bury a struggling upstream.
        default budget: Limit<Percent> = Limit::To(Percent(20));
    }

    /// Timeouts towards endpoints. For an upstream of TCP listeners only there is only `connect`.
    UpstreamTimeouts {
        /// To open a connection.
        default connect: Time<1> = Time::seconds(1);
        /// From the request received to the first byte of the answer, over all attempts; then 504.
        default response: Time<1> = Time::seconds(30);
        /// The same for one attempt; the next one may still make it.
        optional attempt: Time<1> = "only `response` counts";
        /// How long an endpoint may take to send the next piece of a body, or to accept one.
        default stall: Time<1> = Time::seconds(30);
    }

    /// Where requests wait for a free place. The table alone, empty, switches it on.
    Queue {
        /// Requests that may wait at once, over all workers; more are answered 503.
        default size: Number<1, 1_000_000> = Number(1000);
        /// How long each; then 503.
        default timeout: Time<1> = Time::seconds(5);
    }

    /// Idle connections that are kept for later requests.
    Pool {
        /// How many, for each endpoint and worker.
        default idle_connections: Number<0, 65_536> = Number(64);
        /// How long.
        default idle: Time<1> = Time::seconds(30);
    }
}

/// An endpoint: an address, or a table with one.
#[derive(Debug, Clone)]
pub(crate) enum Endpoint {
    Address(EndpointAddress),
    Table(EndpointTable),
}

impl Setting for Endpoint {
    fn shape() -> Shape {
        Shape::Either(vec![Shape::Text(EndpointAddress::FORMAT), <EndpointTable as Setting>::shape()])
    }

    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(_) => EndpointTable::read(value, reader).map(Self::Table),
            _ => EndpointAddress::read(value, reader).map(Self::Address),
        }
    }
}

/// What is hashed: a word, or a table with a name.
#[derive(Debug, Clone)]
pub(crate) enum HashKey {
    Word(HashWord),
    Table(Hash),
}

impl Setting for HashKey {
    fn shape() -> Shape {
        Shape::Either(vec![<HashWord as Setting>::shape(), <Hash as Setting>::shape()])
    }

    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(_) => Hash::read(value, reader).map(Self::Table),
            DeValue::String(_) => HashWord::read(value, reader).map(Self::Word),
            _ => {
                let help = "such as \"client\", or { cookie = \"session\" }";
                reader.wrong_type(value, &Self::shape().describe()).help(help);
                None
            }
        }
    }
}
