//! What is measured: a shop of three backends, and what may be planted in it to break first.

use std::io;
use std::net::SocketAddr;

use crate::site::{Configuration, Part, Site};

/// A bottleneck that is put there on purpose, to see whether it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// One of three backends has one database connection.
    SmallPool,
    /// One of three backends takes 120 ms longer for everything.
    SlowBackend,
    /// The cache has room for a few rows.
    TinyCache,
    /// The proxy has half a core and much to do for each request.
    HalfProxy,
}

/// How many backends there are.
pub(super) const BACKENDS: usize = 3;
/// Rows of each database; as many a warm cache has.
pub(super) const ROWS: u32 = 1_000;
/// Requests each backend serves at once.
pub(super) const PLACES: u32 = 24;
/// Time each query takes in a network that has a database at its other end.
pub(super) const QUERY_MS: u32 = 40;
/// Of all requests, those that write.
pub(super) const WRITES: f64 = 0.08;

const CONNECTIONS: u32 = 4;
const SMALL_POOL: u32 = 1;
const SLOW_MS: u32 = 120;
const TINY: &str = "6kb";
const HALF: f64 = 0.5;
const ROUTES: usize = 1_000;

impl Plant {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::SmallPool => "small-pool",
            Self::SlowBackend => "slow-backend",
            Self::TinyCache => "tiny-cache",
            Self::HalfProxy => "half-proxy",
        }
    }

    /// What it does, for the report's method.
    pub(super) fn told(self) -> String {
        match self {
            Self::SmallPool => format!("toy-2 has {SMALL_POOL} database connection instead of {CONNECTIONS}"),
            Self::SlowBackend => format!("toy-2 takes {SLOW_MS} ms longer for each request"),
            Self::TinyCache => format!("the cache may take {TINY} of memory"),
            Self::HalfProxy => format!(
                "the proxy may use half a core and compares the fields of each request with those of {ROUTES} routes"
            ),
        }
    }
}

/// The parts, each a process.
pub(super) struct Shop {
    pub(super) proxy: Part,
    pub(super) backends: Vec<Part>,
    pub(super) cache: Part,
    /// Cores that the proxy may use; all there are without a number.
    pub(super) quota: Option<f64>,
}

impl Shop {
    pub(super) fn open(site: &Site, plant: Option<Plant>) -> io::Result<Self> {
        let memory = if plant == Some(Plant::TinyCache) { TINY } else { "64mb" };
        let cache = site.kv("cache", &["--maxmemory", memory])?;
        let address = url(&cache);
        let backends: io::Result<Vec<Part>> =
            (1..=BACKENDS).map(|number| backend(site, number, &address, plant)).collect();
        let backends = backends?;
        let endpoints: Vec<SocketAddr> = backends.iter().map(Part::address).collect();
        let routes = if plant == Some(Plant::HalfProxy) { routes() } else { String::new() };
        let proxy = site.proxy(
            "proxy",
            &Configuration {
                endpoints: &endpoints,
                rest: &format!("[upstream.app.health]\npath = \"/healthz\"\n\n{routes}"),
                ..Configuration::default()
            },
        )?;
        let quota = (plant == Some(Plant::HalfProxy)).then_some(HALF);
        Ok(Self { proxy, backends, cache, quota })
    }
}

fn url(cache: &Part) -> String {
    format!("redis://{}", cache.address())
}

fn backend(site: &Site, number: usize, cache: &str, plant: Option<Plant>) -> io::Result<Part> {
    let is_planted = |what: Plant| plant == Some(what) && number == 2;
    let connections = if is_planted(Plant::SmallPool) { SMALL_POOL } else { CONNECTIONS };
    let (connections, places, rows) = (connections.to_string(), PLACES.to_string(), ROWS.to_string());
    let query = format!("fixed:{QUERY_MS}ms");
    let slow = format!("fixed:{SLOW_MS}ms");
    let mut flags = vec!["--rows", &rows, "--capacity", &places, "--database-pool", &connections];
    flags.extend(["--database-latency", &query, "--cache", cache, "--cache-ttl", "30m"]);
    if is_planted(Plant::SlowBackend) {
        flags.extend(["--latency", &slow]);
    }
    site.toy(&format!("toy-{number}"), &flags)
}

/// A backend as the others, but with its database close by: to fill the cache with.
pub(super) fn stocker(site: &Site, cache: &Part) -> io::Result<Part> {
    site.toy("stocker", &["--rows", &ROWS.to_string(), "--cache", &url(cache), "--cache-ttl", "30m"])
}

/// Routes that differ in a field alone, so that they are tried one after the other, and that no request takes.
fn routes() -> String {
    (0..ROUTES)
        .map(|number| {
            format!(
                "[[route]]\nname = \"tenant-{number}\"\nmatch = {{ header = {{ \"x-tenant\" = \"{number}\" }} }}\n\
                 upstream = \"app\"\n\n"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routes_are_a_good_configuration() {
        let endpoints = ["127.0.0.1:9001".parse().unwrap()];
        let configuration =
            Configuration { endpoints: &endpoints, rest: &routes(), ..Configuration::default() };
        let checked = evenkeel_config::parse(&configuration.text(), "lab").unwrap();
        assert!(checked.plan.routes.len() >= ROUTES, "{}", checked.plan.routes.len());
    }
}
