//! The demo cluster: a proxy before toy backends that share a SQLite database, and before the cache server that
//! they use; all in this process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use evenkeel_backend::{CacheOptions, CacheState, CacheUrlError, Latency, Options, Ready};
use evenkeel_control::{Control, Handle, Source, StartError};
use tokio::time::{sleep, timeout};

use crate::demo::cache::CacheServer;
use crate::demo::guide::{Guide, Places};
use crate::demo::toy::Toy;
use crate::ports::{self, Ports, Reserved};
use crate::scratch::Scratch;

/// The listener of the cluster's configuration.
const LISTENER: &str = "web";
/// Its upstream.
pub(crate) const UPSTREAM: &str = "app";
/// The TCP listener before the cache server, and its upstream.
pub(crate) const CACHE: &str = "cache";
/// What the cache server may hold, in bytes.
pub(crate) const CACHE_BYTES: usize = 64 << 20;
/// How long a toy may finish requests at the end, when the proxy has finished its own, and the cache server commands.
const PART_PATIENCE: Duration = Duration::from_millis(200);
/// How often a port is chosen anew that somebody else took in between.
const PORT_RACES: usize = 5;
/// How long the first probes may take, and then the toys until they use the cache.
const READY_PATIENCE: Duration = Duration::from_secs(5);

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Where its parts listen.
    pub ports: Ports,
    /// How many toy backends.
    pub toys: usize,
    /// Rows in their database.
    pub rows: u32,
    /// What a query takes beyond its work, as if the database were on another machine.
    pub database_latency: Latency,
    /// How long a killed toy backend or cache server stays dead.
    pub restart_after: Duration,
}

/// A running cluster. [`Cluster::stop`] ends it; merely dropped, the proxy's threads live as long as the process.
#[derive(Debug)]
pub struct Cluster {
    control: Control,
    places: Places,
    // Before the directory with their database.
    toys: Vec<Toy>,
    cache: CacheServer,
    _scratch: Scratch,
    restart_after: Duration,
    moved: Vec<String>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            ports: Ports::default(),
            toys: 3,
            rows: 200_000,
            database_latency: Latency::Fixed(Duration::from_millis(5)),
            restart_after: Duration::from_secs(10),
        }
    }
}

impl ClusterOptions {
    /// The configuration of the proxy, with the ports that are free now.
    ///
    /// # Errors
    /// No port is free.
    pub fn configuration(&self) -> io::Result<String> {
        let mut given = Vec::new();
        let mut next = |liked: u16| {
            let port = ports::free(liked, &given)?;
            given.push(port);
            io::Result::Ok(loopback(port))
        };
        let places = Places {
            proxy: next(self.ports.proxy)?,
            cache: next(self.ports.cache)?,
            admin: next(self.ports.admin)?,
        };
        let server = next(self.ports.cache_server)?;
        let mut toys = Vec::new();
        let mut liked = self.ports.toys;
        for _ in 0..self.toys {
            let toy = next(liked)?;
            liked = ports::following(toy.port());
            toys.push(toy);
        }
        Ok(configuration(places, server, &toys))
    }
}

impl Cluster {
    /// Starts one; when this returns, every backend is up and uses the cache. Must be called within a tokio runtime,
    /// which is then the proxy's control side's.
    ///
    /// # Errors
    /// What could not be started and why, in a sentence. Nothing is left running then.
    pub async fn start(options: &ClusterOptions) -> io::Result<Self> {
        let mut races = 0;
        loop {
            match Self::begin(options).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && races < PORT_RACES => races += 1,
                outcome => return outcome,
            }
        }
    }

    async fn begin(options: &ClusterOptions) -> io::Result<Self> {
        let liked = options.ports;
        let scratch = Scratch::new()?;
        let cache = start_cache(options).await?;
        // The toys are told where it will be, and the proxy is told where they are.
        let reserved = Reserved::new(liked.cache, &[liked.proxy, liked.admin])?;
        let mut moved = Vec::new();
        let mut toys = Vec::new();
        let mut filling = Vec::new();
        let mut next = liked.toys;
        for number in 1..=options.toys {
            let toy = Options {
                name: format!("toy-{number}"),
                // One after the other opens it: the first makes it.
                database: Some(scratch.path().join("shop.sqlite")),
                rows: options.rows,
                database_latency: options.database_latency,
                cache: Some(cached(reserved.address)?),
                shutdown_timeout: PART_PATIENCE,
                ..Options::default()
            };
            let (toy, ready) = start_toy(toy, next, options).await?;
            let port = toy.address().port();
            moved.extend(ports::moved(toy.name(), next, port));
            next = if next == 0 { 0 } else { ports::following(port) };
            toys.push(toy);
            filling.push(ready);
        }
        for ready in filling {
            ready.wait().await?;
        }
        let addresses: Vec<_> = toys.iter().map(Toy::address).collect();
        let control = start_control(liked, reserved.address, cache.address(), &addresses).await?;
        let status = control.handle().status();
        let proxy = status.listeners.iter().find(|listener| listener.name == LISTENER);
        let proxy = proxy.and_then(|listener| listener.address.parse::<SocketAddr>().ok());
        let (Some(proxy), Some(admin)) = (proxy, control.admin_address()) else {
            control.stop().await;
            return Err(io::Error::other("the proxy does not say where it listens"));
        };
        let places = Places { proxy, cache: reserved.address, admin };
        // The proxy listens on it now.
        drop(reserved);
        moved.extend(ports::moved("the proxy", liked.proxy, proxy.port()));
        moved.extend(ports::moved("the proxy before the cache", liked.cache, places.cache.port()));
        moved.extend(ports::moved("the cache server", liked.cache_server, cache.address().port()));
        moved.extend(ports::moved("the admin address", liked.admin, admin.port()));
        let restart_after = options.restart_after;
        let cluster = Self { control, places, toys, cache, _scratch: scratch, restart_after, moved };
        if !cluster.control.handle().ready(READY_PATIENCE).await {
            cluster.stop().await;
            return Err(io::Error::other(format!(
                "the probes of the backends had no result within {READY_PATIENCE:?}"
            )));
        }
        // Without it they serve as well; the view would say so.
        let _ = timeout(READY_PATIENCE, cluster.cache_used()).await;
        Ok(cluster)
    }

    /// Where the proxy listens.
    pub fn proxy(&self) -> SocketAddr {
        self.places.proxy
    }

    /// Where the proxy passes on to the cache server.
    pub fn cache_listener(&self) -> SocketAddr {
        self.places.cache
    }

    /// Where the admin address is.
    pub fn admin(&self) -> SocketAddr {
        self.places.admin
    }

    /// The backends.
    pub fn toys(&self) -> &[Toy] {
        &self.toys
    }

    /// The cache server.
    pub fn cache(&self) -> &CacheServer {
        &self.cache
    }

    /// What the proxy can be asked.
    pub fn handle(&self) -> Handle {
        self.control.handle()
    }

    /// Whether a part has broken that nothing but a bug can break.
    pub fn has_failed(&self) -> bool {
        self.control.has_failed()
    }

    /// What runs where, and what to try with it.
    pub fn guide(&self) -> Guide {
        let toys: Vec<_> = self.toys.iter().map(|toy| (toy.name(), toy.address())).collect();
        Guide::new(self.places, &toys, self.restart_after, self.moved.clone())
    }

    /// Stops the cache server, the proxy, then the backends; running requests get a second.
    pub async fn stop(self) {
        // Nobody minds that it goes, and the proxy need not wait for the connections to it.
        self.cache.stop();
        self.control.stop().await;
        // All at once; dropping them waits for each.
        self.toys.iter().for_each(Toy::stop);
    }

    /// Waits until all backends use the cache.
    async fn cache_used(&self) {
        while self.toys.iter().any(|toy| toy.cache() != Some(CacheState::Used)) {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Starts the cache server on the port it likes or the next free one.
async fn start_cache(options: &ClusterOptions) -> io::Result<CacheServer> {
    let Ports { proxy, cache, admin, .. } = options.ports;
    let mut races = 0;
    loop {
        let port = ports::free(options.ports.cache_server, &[proxy, cache, admin])?;
        let kept = evenkeel_kv::Options {
            listen: loopback(port),
            maxmemory: CACHE_BYTES,
            threads: Some(1),
            shutdown_timeout: PART_PATIENCE,
            ..evenkeel_kv::Options::default()
        };
        match CacheServer::start(kept, options.restart_after).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && races < PORT_RACES => races += 1,
            outcome => return outcome,
        }
    }
}

/// A cache for the toys, reached there.
fn cached(address: SocketAddr) -> io::Result<CacheOptions> {
    let url = format!("redis://{address}").parse();
    Ok(CacheOptions::new(url.map_err(|error: CacheUrlError| io::Error::other(error.to_string()))?))
}

/// Starts a toy on the port it likes or the next free one.
async fn start_toy(toy: Options, liked: u16, options: &ClusterOptions) -> io::Result<(Toy, Ready)> {
    let Ports { proxy, cache, cache_server, admin, .. } = options.ports;
    let given = [proxy, cache, cache_server, admin];
    let mut races = 0;
    loop {
        let listen = loopback(ports::free(liked, &given)?);
        match Toy::start(Options { listen, ..toy.clone() }, options.restart_after).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && races < PORT_RACES => races += 1,
            outcome => return outcome,
        }
    }
}

/// Starts the proxy on the ports it likes or the next free ones, and where the toys expect the cache.
async fn start_control(
    liked: Ports,
    cache: SocketAddr,
    server: SocketAddr,
    toys: &[SocketAddr],
) -> io::Result<Control> {
    let proxy = loopback(ports::free(liked.proxy, &[liked.admin])?);
    let admin = loopback(ports::free(liked.admin, &[proxy.port()])?);
    let text = configuration(Places { proxy, cache, admin }, server, toys);
    let checked = evenkeel_config::parse(&text, "the demo's configuration")
        .map_err(|report| io::Error::other(report.to_string()))?;
    Control::start(checked.plan, Source::Given).await.map_err(|error| match error {
        // Somebody else was faster.
        StartError::Listen(_) => io::Error::new(io::ErrorKind::AddrInUse, error.to_string()),
        _ => io::Error::other(error.to_string()),
    })
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn configuration(places: Places, server: SocketAddr, toys: &[SocketAddr]) -> String {
    let Places { proxy, cache, admin } = places;
    let endpoints = toys.iter().map(|toy| format!("\"{toy}\"")).collect::<Vec<_>>().join(", ");
    format!(
        r#"[server]
shutdown_timeout = "1s"

[admin]
address = "{admin}"

[log]
access = "off"

[listener.{LISTENER}]
address = "{proxy}"
upstream = "{UPSTREAM}"

[upstream.{UPSTREAM}]
balance = "least-connections"
endpoints = [{endpoints}]

[upstream.{UPSTREAM}.health]
path = "/healthz"
interval = "500ms"

[upstream.{UPSTREAM}.retry]
on = ["connect", "reset", "500", "503"]

[listener.{CACHE}]
address = "{cache}"
protocol = "tcp"
upstream = "{CACHE}"

[listener.{CACHE}.limits]
connections = 1000

[upstream.{CACHE}]
endpoints = ["{server}"]

[upstream.{CACHE}.health]
kind = "redis"
interval = "500ms"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_a_good_one() {
        let text = ClusterOptions::default().configuration().unwrap();
        let checked = evenkeel_config::parse(&text, "demo").unwrap();
        assert!(checked.warnings.is_empty(), "{}", checked.warnings);
        let endpoints: Vec<_> =
            checked.plan.upstreams.iter().map(|upstream| upstream.endpoints.len()).collect();
        assert_eq!(endpoints, [3, 1]);
    }
}
