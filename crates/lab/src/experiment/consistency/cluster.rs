//! The parts of one mode: two backends over one database, behind Evenkeel, with one cache for both. The second backend
//! looks rows up in a replica of the cache, at the far end of a link that can be cut.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::{ITEMS, Mode, NETWORK, Phase, STALE, Size};
use crate::site::{Configuration, Metrics, Part, Relay, Site, ask};

/// How long the replica may take until it follows.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often is looked whether it does.
const LOOK: Duration = Duration::from_millis(10);

/// They end when it is dropped.
pub(super) struct Cluster {
    primary: Part,
    replica: Part,
    link: Relay,
    toys: [Part; 2],
    proxy: Part,
}

impl Cluster {
    /// `place` tells its files from those of others.
    pub(super) fn start(site: &Site, place: usize, mode: Mode, size: Size) -> io::Result<Self> {
        let named = |part: &str| format!("{part}-{place}");
        let ping = "repl-ping-replica-period=1";
        let primary = site.kv(&named("primary"), &["--set", ping])?;
        let link = Relay::start(primary.address())?;
        let (followed, silence) = (link.address().to_string(), size.silence.as_secs().max(1));
        let silence = format!("repl-timeout={silence}");
        let serves = format!("replica-serve-stale-data={}", if mode.replica_serves { "yes" } else { "no" });
        let flags = ["--replicaof", &followed, "--set", ping, "--set", &silence, "--set", &serves];
        let replica = site.kv(&named("replica"), &flags)?;
        until_it_follows(&replica)?;
        let toys = [
            toy(site, place, "toy-a", &primary, None, mode, size)?,
            toy(site, place, "toy-b", &primary, Some(&replica), mode, size)?,
        ];
        let [first, second] = &toys;
        let configuration = Configuration {
            workers: Some(1),
            endpoints: &[first.address(), second.address()],
            rest: "[upstream.app.retry]\nattempts = 1\n",
            ..Configuration::default()
        };
        let proxy = site.proxy(&named("proxy"), &configuration)?;
        Ok(Self { primary, replica, link, toys, proxy })
    }

    /// Where its clients go.
    pub(super) fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// Makes happen what the phase begins with.
    pub(super) fn begin(&mut self, phase: Phase) -> io::Result<()> {
        match phase {
            Phase::Calm => {}
            Phase::Cut => self.link.cut(),
            Phase::Healed => self.link.heal(),
            Phase::Dead => {
                self.primary.kill()?;
                self.replica.kill()?;
            }
            Phase::Back => {
                self.primary.restart()?;
                self.replica.restart()?;
            }
            Phase::Down => self.chaos("mode=database-down")?,
            Phase::After => self.chaos("mode=reset")?,
        }
        Ok(())
    }

    /// Waits until the cache is used again after it was away: asked, and told all that it missed.
    pub(super) fn until_cached(&self) -> io::Result<()> {
        until_it_follows(&self.replica)?;
        let deadline = Instant::now() + PATIENCE;
        for toy in &self.toys {
            let busy = |name: &str, of: &Metrics| {
                of.sum(&format!("toy_backend_cache_{name}"), &[]).is_some_and(|value| value != 0.0)
            };
            loop {
                let metrics = toy.metrics()?;
                let waits = ["breaker_state", "read_breaker_state", "invalidations_pending"];
                if !waits.iter().any(|name| busy(name, &metrics)) {
                    break;
                }
                if Instant::now() > deadline {
                    let name = toy.name();
                    return Err(io::Error::other(format!(
                        "{name} does not use its cache again within {PATIENCE:?}"
                    )));
                }
                thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    fn chaos(&self, query: &str) -> io::Result<()> {
        for toy in &self.toys {
            let answer = ask(toy.address(), "POST", &format!("/chaos?{query}"), Duration::from_secs(2))?;
            if answer.status != 200 {
                let (name, status) = (toy.name(), answer.status);
                return Err(io::Error::other(format!("{name} answers {status}: {}", answer.body)));
            }
        }
        Ok(())
    }
}

/// Starts a backend that looks rows up in the replica, if there is one.
fn toy(
    site: &Site,
    place: usize,
    part: &str,
    cache: &Part,
    replica: Option<&Part>,
    mode: Mode,
    size: Size,
) -> io::Result<Part> {
    let database = site.path().join(format!("database-{place}"));
    let database =
        database.to_str().ok_or_else(|| io::Error::other("the temporary directory is not UTF-8"))?;
    let url = |kv: &Part| format!("redis://{}", kv.address());
    let (rows, ttl) = (ITEMS.to_string(), format!("{}ms", size.ttl.as_millis()));
    let (cache, replica) = (url(cache), replica.map(url));
    let stale = format!("{}ms", STALE.as_millis());
    let mut flags = vec!["--database", database, "--rows", &rows, "--database-latency", NETWORK];
    flags.extend(["--cache", &cache, "--cache-ttl", &ttl, "--cache-policy", mode.policy]);
    if let Some(replica) = &replica {
        flags.extend(["--cache-read", replica]);
    }
    if mode.serves_stale {
        flags.extend(["--cache-serve-stale", &stale]);
    }
    site.toy(&format!("{part}-{place}"), &flags)
}

fn until_it_follows(replica: &Part) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while replica.metrics()?.sum("evenkeel_kv_primary_link_up", &[]) != Some(1.0) {
        if Instant::now() > deadline {
            return Err(io::Error::other(format!(
                "{} does not follow its primary within {PATIENCE:?}",
                replica.name()
            )));
        }
        thread::sleep(LOOK);
    }
    Ok(())
}
