//! The hot decisions, each made as often as asked, so that their cost can be counted or timed by difference.

use std::hint::black_box;
use std::str::FromStr;
use std::{fmt, fs};

use evenkeel_http1::{HeadParser, LineEnds, request, response};
use evenkeel_policy::balance::{Algorithm, Balance, Balancer, Eligible, Hint};
use evenkeel_policy::eligibility::eligible;
use evenkeel_policy::endpoint::{Endpoint, EndpointId, Endpoints, State};
use evenkeel_policy::forwarding::make_request_id;
use evenkeel_policy::hash;
use evenkeel_policy::latency::Moment;
use evenkeel_policy::rng::Rng;
use evenkeel_policy::routing::{Matcher, Request, RouteId, RouteTable};

/// Which decision, how often.
#[derive(clap::Args)]
pub(crate) struct Options {
    decision: Decision,
    times: u32,
}

/// A decision the request path makes; its text is its name in `instructions.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// One pick among that many endpoints.
    Pick(Algorithm, u32),
    /// The table of an algorithm that hashes, made for that many endpoints.
    Rebuild(Algorithm, u32),
    /// Who may take the next attempt, among that many endpoints.
    Eligible(u32),
    /// The route of a request, among that many.
    Route(u32),
    /// A request's head from bytes to meaning.
    RequestHead,
    /// A response's head from bytes to meaning.
    ResponseHead,
    /// A new request id.
    RequestId,
}

impl Decision {
    /// All that are counted.
    pub(crate) fn all() -> Vec<Self> {
        let picks =
            Algorithm::ALL.into_iter().flat_map(|kind| [10, 100, 1000].map(|count| Self::Pick(kind, count)));
        let hashing = Algorithm::ALL.into_iter().filter(|kind| kind.heeds_hash());
        let rebuilds = hashing.map(|kind| Self::Rebuild(kind, 1000));
        let others = [
            Self::Eligible(10),
            Self::Eligible(1000),
            Self::Route(1),
            Self::Route(10_000),
            Self::RequestHead,
            Self::ResponseHead,
            Self::RequestId,
        ];
        picks.chain(rebuilds).chain(others).collect()
    }

    /// How often it is made in the two runs whose difference counts.
    pub(crate) fn times(self) -> [u32; 2] {
        if let Self::Rebuild(..) = self { [1, 3] } else { [100, 1100] }
    }

    /// Makes it that often.
    fn repeat(self, times: u32) -> Result<(), String> {
        match self {
            Self::Pick(algorithm, count) => pick(algorithm, count, times),
            Self::Rebuild(algorithm, count) => {
                let (endpoints, mut balancer) = (endpoints(count), Balancer::new(algorithm));
                (0..times).for_each(|_| balancer.rebuild(black_box(&endpoints)));
                black_box(balancer);
                Ok(())
            }
            Self::Eligible(count) => find_eligible(count, times),
            Self::Route(count) => route(count, times),
            Self::RequestHead => request_head(times),
            Self::ResponseHead => response_head(times),
            Self::RequestId => {
                let mut rng = Rng::new(1);
                (0..times).for_each(|_| {
                    black_box(make_request_id(&mut rng));
                });
                Ok(())
            }
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pick(algorithm, count) => write!(f, "pick-{algorithm}-{count}"),
            Self::Rebuild(algorithm, count) => write!(f, "rebuild-{algorithm}-{count}"),
            Self::Eligible(count) => write!(f, "eligible-{count}"),
            Self::Route(count) => write!(f, "route-{count}"),
            Self::RequestHead => f.write_str("request-head"),
            Self::ResponseHead => f.write_str("response-head"),
            Self::RequestId => f.write_str("request-id"),
        }
    }
}

impl FromStr for Decision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::all().into_iter().find(|decision| decision.to_string() == name);
        found.ok_or_else(|| {
            format!(
                "no such decision; there are {}",
                Self::all().iter().map(Self::to_string).collect::<Vec<_>>().join(", ")
            )
        })
    }
}

/// Makes it and prints how many nanoseconds of CPU time that took.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let before = cpu_nanoseconds()?;
    options.decision.repeat(options.times)?;
    println!("{}", cpu_nanoseconds()?.saturating_sub(before));
    Ok(())
}

/// What this process has used so far; a clock on the wall would count what others do meanwhile.
fn cpu_nanoseconds() -> Result<u64, String> {
    let wrong = |error: &str| format!("/proc/self/schedstat: {error}");
    let text = fs::read_to_string("/proc/self/schedstat").map_err(|error| wrong(&error.to_string()))?;
    text.split(' ').next().and_then(|first| first.parse().ok()).ok_or_else(|| wrong("no number"))
}

/// Endpoints with several weights and loads.
fn endpoints(count: u32) -> Endpoints {
    let endpoint = |index: u32| {
        let identity = hash::of(&index.to_le_bytes());
        let endpoint = Endpoint::new(identity, State { weight: 1 + (index % 3) as u16, ..State::default() });
        (0..index % 7).for_each(|_| endpoint.load.begin());
        endpoint
    };
    Endpoints::new((0..count).map(endpoint).collect())
}

fn pick(algorithm: Algorithm, count: u32, times: u32) -> Result<(), String> {
    let endpoints = endpoints(count);
    let ids: Vec<EndpointId> = endpoints.iter().map(|(id, _)| id).collect();
    let eligible = Eligible::new(&endpoints, &ids).ok_or("no endpoints")?;
    let (mut balancer, mut rng) = (Balancer::new(algorithm), Rng::new(1));
    balancer.rebuild(&endpoints);
    if !algorithm.heeds_hash() {
        for _ in 0..times {
            black_box(balancer.pick(black_box(&eligible), Hint::default(), &mut rng));
        }
        return Ok(());
    }
    for key in 0..u64::from(times) {
        let hint = Hint { hash: Some(hash::mix(key)), ..Hint::default() };
        black_box(balancer.pick(black_box(&eligible), hint, &mut rng));
    }
    Ok(())
}

fn find_eligible(count: u32, times: u32) -> Result<(), String> {
    let endpoints = endpoints(count);
    let mut ids = Vec::new();
    for _ in 0..times {
        eligible(black_box(&endpoints), &[], Moment::default(), &mut ids)
            .map_err(|ineligible| ineligible.to_string())?;
        black_box(&ids);
    }
    Ok(())
}

/// A hundred paths on each host, asked for one after another.
fn route(count: u32, times: u32) -> Result<(), String> {
    let names =
        |index: u32| (format!("shop{}.example.com", index / 100), format!("/v1/service{}", index % 100));
    let mut routes = Vec::new();
    for index in 0..count {
        let (host, path) = names(index);
        let host = host.parse().map_err(|error| format!("{error}"))?;
        let path = format!("{path}/*").parse().map_err(|error| format!("{error}"))?;
        routes.push((Matcher { host: Some(host), path, ..Matcher::default() }, RouteId(index)));
    }
    let table = RouteTable::new(routes);
    let asked: Vec<_> = (0..10).map(|tenth| names(count * tenth / 10)).collect();
    let asked: Vec<_> = asked.iter().map(|(host, path)| (host, format!("{path}/items/17"))).collect();
    for (host, path) in asked.iter().cycle().take(times as usize) {
        let request = Request {
            host: host.as_bytes(),
            path: path.as_bytes(),
            method: b"GET",
            has_header: &|_, _| false,
        };
        black_box(table.route(black_box(&request))).ok_or("a request found no route")?;
    }
    Ok(())
}

/// What a browser sends.
pub(crate) const REQUEST: &[u8] = b"GET /v1/items/17?fields=name,price HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://shop.example.com/v1/items\r\n\
    Cookie: session=4f1c8e0d2b7a46d99c3be2f4a1d07c55; theme=dark\r\n\
    Connection: keep-alive\r\n\
    If-None-Match: \"5e1f-17\"\r\n\
    Cache-Control: max-age=0\r\n\
    \r\n";

/// What a server answers.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Date: Mon, 01 Sep 2025 12:00:00 GMT\r\n\
    Content-Type: application/json; charset=utf-8\r\n\
    Content-Length: 80\r\n\
    ETag: \"5e1f-18\"\r\n\
    Cache-Control: private, max-age=60\r\n\
    Vary: Accept-Encoding\r\n\
    Connection: keep-alive\r\n\
    \r\n";

const LIMIT: usize = 64 << 10;

fn request_head(times: u32) -> Result<(), String> {
    let wrong = |fault| format!("the request is refused: {fault:?}");
    let mut parser = HeadParser::default();
    for _ in 0..times {
        let head = black_box(REQUEST);
        parser.reset();
        parser.parse(head, LIMIT, LineEnds::Strict).map_err(wrong)?;
        let line = parser.start_line(head).ok_or("no request line")?;
        let line = request::RequestLine::parse(line).map_err(wrong)?;
        black_box(request::Meaning::parse(&line, head, parser.fields()).map_err(wrong)?);
    }
    Ok(())
}

fn response_head(times: u32) -> Result<(), String> {
    let wrong = |fault| format!("the response is refused: {fault:?}");
    let mut parser = HeadParser::default();
    for _ in 0..times {
        let head = black_box(RESPONSE);
        parser.reset();
        parser.parse(head, LIMIT, LineEnds::Lenient).map_err(wrong)?;
        let line = parser.start_line(head).ok_or("no status line")?;
        let line = response::StatusLine::parse(line).map_err(wrong)?;
        black_box(response::Meaning::parse(&line, head, parser.fields(), false).map_err(wrong)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decision_has_a_name_and_can_be_made() {
        for decision in Decision::all() {
            assert_eq!(decision.to_string().parse(), Ok(decision));
            decision.repeat(3).unwrap();
        }
        assert!("pick-nothing-10".parse::<Decision>().unwrap_err().contains("pick-round-robin-10"));
    }
}
