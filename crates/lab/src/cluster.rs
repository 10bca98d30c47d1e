//! The demo cluster: a proxy before toy backends that share a SQLite database, in this process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use evenkeel_backend::{Options, Ready};
use evenkeel_control::{Control, Handle, Source, StartError};

use crate::guide::Guide;
use crate::ports::{self, Ports};
use crate::scratch::Scratch;
use crate::toy::Toy;

/// The listener of the cluster's configuration.
const LISTENER: &str = "web";
/// Its upstream.
pub(crate) const UPSTREAM: &str = "app";
/// How long a toy may finish requests at the end, when the proxy has finished its own.
const TOY_PATIENCE: Duration = Duration::from_millis(200);
/// How often a port is chosen anew that somebody else took in between.
const PORT_RACES: usize = 5;
/// How long the first probes may take.
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
    /// How long a killed toy backend stays dead.
    pub restart_after: Duration,
}

/// A running cluster. [`Cluster::stop`] ends it; merely dropped, the proxy's threads live as long as the process.
#[derive(Debug)]
pub struct Cluster {
    control: Control,
    proxy: SocketAddr,
    admin: SocketAddr,
    // Before the directory with their database.
    toys: Vec<Toy>,
    _scratch: Scratch,
    restart_after: Duration,
    moved: Vec<String>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { ports: Ports::default(), toys: 3, rows: 200_000, restart_after: Duration::from_secs(10) }
    }
}

impl ClusterOptions {
    /// The configuration of the proxy, with the ports that are free now.
    ///
    /// # Errors
    /// No port is free.
    pub fn configuration(&self) -> io::Result<String> {
        let proxy = ports::free(self.ports.proxy, &[])?;
        let admin = ports::free(self.ports.admin, &[proxy])?;
        let mut given = vec![proxy, admin];
        let mut toys = Vec::new();
        let mut liked = self.ports.toys;
        for _ in 0..self.toys {
            let port = ports::free(liked, &given)?;
            liked = ports::following(port);
            given.push(port);
            toys.push(loopback(port));
        }
        Ok(configuration(loopback(proxy), loopback(admin), &toys))
    }
}

impl Cluster {
    /// Starts one; when this returns, every backend is up. Must be called within a tokio runtime, which is then
    /// the proxy's control side's.
    ///
    /// # Errors
    /// What could not be started and why, in a sentence. Nothing is left running then.
    pub async fn start(options: &ClusterOptions) -> io::Result<Self> {
        let scratch = Scratch::new()?;
        let mut toys = Vec::new();
        let mut filling = Vec::new();
        let mut moved = Vec::new();
        let mut liked = options.ports.toys;
        for number in 1..=options.toys {
            let toy = Options {
                name: format!("toy-{number}"),
                // One after the other opens it: the first makes it.
                database: Some(scratch.path().join("shop.sqlite")),
                rows: options.rows,
                shutdown_timeout: TOY_PATIENCE,
                ..Options::default()
            };
            let (toy, ready) = start_toy(toy, liked, options).await?;
            let port = toy.address().port();
            moved.extend(ports::moved(toy.name(), liked, port));
            liked = if liked == 0 { 0 } else { ports::following(port) };
            toys.push(toy);
            filling.push(ready);
        }
        for ready in filling {
            ready.wait().await?;
        }
        let addresses: Vec<_> = toys.iter().map(Toy::address).collect();
        let control = start_control(options.ports, &addresses).await?;
        let status = control.handle().status();
        let proxy = status.listeners.first().and_then(|listener| listener.address.parse::<SocketAddr>().ok());
        let (Some(proxy), Some(admin)) = (proxy, control.admin_address()) else {
            control.stop().await;
            return Err(io::Error::other("the proxy does not say where it listens"));
        };
        moved.extend(ports::moved("the proxy", options.ports.proxy, proxy.port()));
        moved.extend(ports::moved("the admin address", options.ports.admin, admin.port()));
        let cluster = Self {
            control,
            proxy,
            admin,
            toys,
            _scratch: scratch,
            restart_after: options.restart_after,
            moved,
        };
        if !cluster.control.handle().ready(READY_PATIENCE).await {
            cluster.stop().await;
            return Err(io::Error::other(format!(
                "the probes of the backends had no result within {READY_PATIENCE:?}"
            )));
        }
        Ok(cluster)
    }

    /// Where the proxy listens.
    pub fn proxy(&self) -> SocketAddr {
        self.proxy
    }

    /// Where the admin address is.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The backends.
    pub fn toys(&self) -> &[Toy] {
        &self.toys
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
        Guide::new(self.proxy, self.admin, &toys, self.restart_after, self.moved.clone())
    }

    /// Stops the proxy, then the backends; running requests get a second.
    pub async fn stop(self) {
        self.control.stop().await;
        // All at once; dropping them waits for each.
        self.toys.iter().for_each(Toy::stop);
    }
}

/// Starts a toy on the port it likes or the next free one.
async fn start_toy(toy: Options, liked: u16, options: &ClusterOptions) -> io::Result<(Toy, Ready)> {
    let mut races = 0;
    loop {
        let listen = loopback(ports::free(liked, &[options.ports.proxy, options.ports.admin])?);
        match Toy::start(Options { listen, ..toy.clone() }, options.restart_after).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && races < PORT_RACES => races += 1,
            outcome => return outcome,
        }
    }
}

/// Starts the proxy on the ports it likes or the next free ones.
async fn start_control(liked: Ports, toys: &[SocketAddr]) -> io::Result<Control> {
    let mut races = 0;
    loop {
        let proxy = ports::free(liked.proxy, &[liked.admin])?;
        let admin = ports::free(liked.admin, &[proxy])?;
        let text = configuration(loopback(proxy), loopback(admin), toys);
        let checked = evenkeel_config::parse(&text, "the demo's configuration")
            .map_err(|report| io::Error::other(report.to_string()))?;
        match Control::start(checked.plan, Source::Given).await {
            Err(StartError::Listen(_)) if races < PORT_RACES => races += 1,
            outcome => return outcome.map_err(|error| io::Error::other(error.to_string())),
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn configuration(proxy: SocketAddr, admin: SocketAddr, toys: &[SocketAddr]) -> String {
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
        assert_eq!(checked.plan.upstreams[0].endpoints.len(), 3);
    }
}
