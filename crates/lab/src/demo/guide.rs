//! What runs where, and what to try: commands that work as they stand.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::demo::cluster::UPSTREAM;

/// What a newcomer is told.
#[derive(Debug, Clone)]
pub struct Guide {
    /// What clients can use, a browser for most: what it is, and its address.
    pub places: Vec<(&'static str, String)>,
    /// What to try.
    pub tries: Vec<Try>,
    /// Ports that are not the usual ones, a sentence each.
    pub moved: Vec<String>,
}

/// One thing to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// What it does, in a few words.
    pub effect: String,
    /// The command, for a shell.
    pub command: String,
}

/// Where the proxy can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// Its HTTP listener.
    pub proxy: SocketAddr,
    /// Its TCP listener before the cache server.
    pub cache: SocketAddr,
    /// Its admin address.
    pub admin: SocketAddr,
}

impl Guide {
    /// The guide of a cluster: toy backends by name and address, each dead for `restart_after` when killed, as is the
    /// cache server.
    pub fn new(
        places: Places,
        toys: &[(&str, SocketAddr)],
        restart_after: Duration,
        moved: Vec<String>,
    ) -> Self {
        let Places { proxy, cache, admin } = places;
        let seconds = restart_after.as_secs();
        let mut tries = vec![
            Try::new("who answers", format!("curl {proxy}")),
            // Its headers tell whether the cache had it.
            Try::new("a database row", format!("curl -i {proxy}/items/7")),
        ];
        // With fewer than three the last one takes what is left.
        let at = |index: usize| toys.get(index).or_else(|| toys.last());
        if let Some((name, toy)) = at(0) {
            let effect = format!("kill {name} ({seconds} s)");
            tries.push(Try::new(effect, format!("curl -X POST '{toy}/chaos?mode=dead'")));
        }
        // Whoever has curl has a client for it: lines to a TCP port are commands.
        let kill = format!("echo SHUTDOWN NOSAVE | curl -s telnet://{cache}");
        tries.push(Try::new(format!("kill cache ({seconds} s)"), kill));
        let heal = |name: &str, toy: &SocketAddr| {
            Try::new(format!("heal {name}"), format!("curl -X POST '{toy}/chaos?mode=reset'"))
        };
        if let Some((name, toy)) = at(1) {
            let slow = format!("curl -X POST '{toy}/chaos?mode=slow&ms=300'");
            tries.extend([Try::new(format!("slow {name}"), slow), heal(name, toy)]);
        }
        let ask = format!("printf 'INFO stats\\nQUIT\\n' | curl -s telnet://{cache}");
        tries.push(Try::new("ask the cache", ask));
        if let Some((name, toy)) = at(2) {
            let fail = format!("curl -X POST '{toy}/chaos?mode=fail&percent=20'");
            tries.extend([Try::new(format!("{name} fails 20 %"), fail), heal(name, toy)]);
            let endpoint = format!("{admin}/api/v1/upstreams/{UPSTREAM}/endpoints/{toy}");
            tries.push(Try::new(format!("drain {name}"), format!("curl -X POST {endpoint}/drain")));
            tries.push(Try::new(format!("undrain {name}"), format!("curl -X POST {endpoint}/undrain")));
        }
        tries.push(Try::new("metrics", format!("curl {admin}/metrics")));
        let shown = vec![
            ("proxy", format!("http://{proxy}/")),
            ("cache", format!("redis://{cache}")),
            ("dashboard", format!("http://{admin}/")),
        ];
        Self { places: shown, tries, moved }
    }
}

impl Try {
    fn new(effect: impl Into<String>, command: String) -> Self {
        Self { effect: effect.into(), command }
    }
}

/// As plain lines.
impl fmt::Display for Guide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for sentence in &self.moved {
            writeln!(f, "note: {sentence}")?;
        }
        for (what, address) in &self.places {
            writeln!(f, "{what:20}{address}")?;
        }
        writeln!(f, "to try, in another terminal:")?;
        for Try { effect, command } in &self.tries {
            writeln!(f, "  {effect:18}{command}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_its_line() {
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let toys = [("toy-1", address(9001)), ("toy-2", address(9002)), ("toy-3", address(9003))];
        let moved = vec!["port 8080 is taken: the proxy is on 8081".to_owned()];
        let places = Places { proxy: address(8081), cache: address(6390), admin: address(9900) };
        let guide = Guide::new(places, &toys, Duration::from_secs(10), moved);
        let text = guide.to_string();
        for line in [
            "note: port 8080 is taken: the proxy is on 8081\n",
            "dashboard           http://127.0.0.1:9900/\n",
            "cache               redis://127.0.0.1:6390\n",
            "  kill cache (10 s) echo SHUTDOWN NOSAVE | curl -s telnet://127.0.0.1:6390\n",
            "  ask the cache     printf 'INFO stats\\nQUIT\\n' | curl -s telnet://127.0.0.1:6390\n",
            "  kill toy-1 (10 s) curl -X POST '127.0.0.1:9001/chaos?mode=dead'\n",
            "curl -X POST '127.0.0.1:9002/chaos?mode=slow&ms=300'\n",
            "curl -X POST 127.0.0.1:9900/api/v1/upstreams/app/endpoints/127.0.0.1:9003/drain\n",
        ] {
            assert!(text.contains(line), "{line}\n---\n{text}");
        }
    }
}
