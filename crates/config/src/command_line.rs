//! A plan without a file: `evenkeel proxy --listen ADDR --to ADDR`.
//!
//! The arguments become a document whose spans point into the command line, so that the checks, the
//! defaults and the reports are those of a file.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::Plan;
use crate::check;
use crate::diagnostic::{Problems, Report};
use crate::source::Source;

impl Plan {
    /// The plan of listeners that all forward to one upstream, `app`, of the endpoints given.
    ///
    /// `protocol` is `http`, which is what `None` means, or `tcp`; `balance` is a word such as
    /// `least-connections`; `health_path` switches HTTP probes on.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the arguments; the report shows them as a command line.
    pub fn for_endpoints<L: AsRef<str>, T: AsRef<str>>(
        listen: &[L],
        to: &[T],
        protocol: Option<&str>,
        balance: Option<&str>,
        health_path: Option<&str>,
    ) -> Result<Self, Report> {
        let mut line = CommandLine::default();
        let protocol = protocol.map(|protocol| {
            line.option("--protocol");
            (line.option(protocol), protocol)
        });
        let mut listeners = DeTable::new();
        for (index, address) in listen.iter().enumerate() {
            let name = if index == 0 { "web".to_owned() } else { format!("web{}", index + 1) };
            let at = line.option("--listen");
            let address = line.argument(address.as_ref());
            let mut listener = DeTable::new();
            listener.insert(key("address"), address);
            listener.insert(key("upstream"), Spanned::new(at.clone(), text("app")));
            if let Some((written, protocol)) = &protocol {
                listener.insert(key("protocol"), Spanned::new(written.clone(), text(protocol)));
            }
            let listener = Spanned::new(at.clone(), DeValue::Table(listener));
            listeners.insert(Spanned::new(at, name.into()), listener);
        }

        let mut upstream = DeTable::new();
        let mut endpoints = DeArray::new();
        for address in to {
            line.option("--to");
            endpoints.push(line.argument(address.as_ref()));
        }
        let all = 0..line.text.len();
        upstream.insert(key("endpoints"), Spanned::new(all, DeValue::Array(endpoints)));
        if let Some(balance) = balance {
            line.option("--balance");
            upstream.insert(key("balance"), line.argument(balance));
        }
        if let Some(path) = health_path {
            let at = line.option("--health");
            let health =
                table([("kind", Spanned::new(at.clone(), text("http"))), ("path", line.argument(path))]);
            upstream.insert(key("health"), Spanned::new(at, health));
        }

        let upstreams = table([("app", Spanned::new(0..0, DeValue::Table(upstream)))]);
        let mut document = DeTable::new();
        document.insert(key("listener"), Spanned::new(0..0, DeValue::Table(listeners)));
        document.insert(key("upstream"), Spanned::new(0..0, upstreams));
        let problems = Problems::new(Source::new("command line", &line.text));
        check(&document, problems).map(|checked| checked.plan)
    }
}

/// The arguments as they would be typed, growing.
struct CommandLine {
    text: String,
}

impl Default for CommandLine {
    fn default() -> Self {
        Self { text: "evenkeel proxy".to_owned() }
    }
}

impl CommandLine {
    fn option(&mut self, name: &str) -> Range<usize> {
        self.text.push(' ');
        let start = self.text.len();
        self.text.push_str(name);
        start..self.text.len()
    }

    fn argument(&mut self, value: &str) -> Spanned<DeValue<'static>> {
        let at = self.option(value);
        Spanned::new(at, text(value))
    }
}

fn text(value: &str) -> DeValue<'static> {
    DeValue::String(value.to_owned().into())
}

fn key(name: &'static str) -> Spanned<std::borrow::Cow<'static, str>> {
    Spanned::new(0..0, name.into())
}

fn table<const N: usize>(rows: [(&'static str, Spanned<DeValue<'static>>); N]) -> DeValue<'static> {
    DeValue::Table(rows.into_iter().map(|(name, value)| (key(name), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;
    use crate::parse;
    use evenkeel_policy::balance::Algorithm;

    #[test]
    fn it_is_the_plan_of_the_file_that_says_the_same() {
        let file = r#"
            [listener.web]
            address = "127.0.0.1:8080"
            upstream = "app"
            [upstream.app]
            balance = "least-connections"
            endpoints = ["127.0.0.1:9001", "app:80"]
            health = { path = "/healthz" }
        "#;
        let plan = Plan::for_endpoints(
            &["127.0.0.1:8080"],
            &["127.0.0.1:9001", "app:80"],
            None,
            Some(Algorithm::LeastConnections.name()),
            Some("/healthz"),
        );
        assert_eq!(plan.unwrap(), parse(file, "f").unwrap().plan);
    }

    #[test]
    fn tcp_is_a_word_away() {
        let file = r#"
            [listener.web]
            address = "127.0.0.1:6379"
            protocol = "tcp"
            upstream = "app"
            [upstream.app]
            endpoints = ["127.0.0.1:6380"]
        "#;
        let plan = Plan::for_endpoints(&["127.0.0.1:6379"], &["127.0.0.1:6380"], Some("tcp"), None, None);
        assert_eq!(plan.unwrap(), parse(file, "f").unwrap().plan);
        let report =
            Plan::for_endpoints(&["127.0.0.1:1"], &["127.0.0.1:2"], Some("tpc"), None, None).unwrap_err();
        assert!(report.to_string().contains("did you mean \"tcp\"?"), "{report}");
    }

    #[test]
    fn its_errors_point_into_the_command_line() {
        let report =
            Plan::for_endpoints(&["8080", "127.0.0.1:1"], &["localhost"], None, Some("leastconn"), Some("x"))
                .unwrap_err();
        let shown = report.to_string();
        assert_eq!(report.diagnostics().len(), 4, "{shown}");
        assert!(shown.contains("--> command line:1:"), "{shown}");
        assert!(shown.contains("evenkeel proxy --listen 8080"), "{shown}");
    }

    #[test]
    fn nothing_given_is_an_error_too() {
        let none: [&str; 0] = [];
        let codes: Vec<_> = Plan::for_endpoints(&none, &none, None, None, None)
            .unwrap_err()
            .diagnostics()
            .iter()
            .map(|d| d.code)
            .collect();
        assert!(codes.contains(&codes::NOTHING_SERVED) && codes.contains(&codes::NO_ENDPOINTS), "{codes:?}");
    }
}
