//! The dashboard as Grafana reads it: rows, panels, and the queries that it would send.

use serde_json::Value;

use super::text;

/// `config/grafana/dashboards/evenkeel.json`.
pub(super) struct Dashboard(Value);

/// A query as it is sent, and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) place: String,
    pub(super) text: String,
}

impl Dashboard {
    pub(super) fn read() -> Self {
        let text = text("config/grafana/dashboards/evenkeel.json");
        Self(serde_json::from_str(&text).unwrap())
    }

    /// The titles of its rows.
    pub(super) fn rows(&self) -> Vec<&str> {
        let rows = list(&self.0["panels"]).iter().filter(|panel| panel["type"] == "row");
        rows.map(|row| row["title"].as_str().unwrap()).collect()
    }

    /// All panels but rows; those of a collapsed row are within it.
    pub(super) fn panels(&self) -> Vec<&Value> {
        let top = list(&self.0["panels"]).iter();
        top.flat_map(|panel| match panel["type"].as_str() {
            Some("row") => list(&panel["panels"]).iter().collect(),
            _ => vec![panel],
        })
        .collect()
    }

    /// What annotations and panels ask, with all variables at "All". Annotations come first: they show moments.
    pub(super) fn queries(&self) -> Vec<Query> {
        let mut queries = Vec::new();
        for annotation in list(&self.0["annotations"]["list"]) {
            if let Some(expression) = annotation["expr"].as_str() {
                queries.push((annotation["name"].as_str().unwrap(), expression));
            }
        }
        for panel in self.panels() {
            for target in list(&panel["targets"]) {
                queries.push((panel["title"].as_str().unwrap(), target["expr"].as_str().unwrap()));
            }
        }
        assert!(queries.len() > 90, "{}", queries.len());
        queries
            .into_iter()
            .map(|(place, text)| Query { place: place.to_owned(), text: substituted(text) })
            .collect()
    }

    /// What its variables ask for: a selector, and the label whose values they have.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let variables =
            list(&self.0["templating"]["list"]).iter().filter(|variable| variable["type"] == "query");
        let asked = variables.map(|variable| {
            let query = variable["query"]["query"].as_str().unwrap();
            let inner = query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap();
            let (selector, label) = inner.rsplit_once(", ").unwrap();
            (substituted(selector), label.to_owned())
        });
        let asked: Vec<_> = asked.collect();
        assert_eq!(asked.len(), 4);
        asked
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn substituted(text: &str) -> String {
    let mut text = text.to_owned();
    for (variable, value) in [
        ("$__rate_interval", "1m"),
        ("$job", "evenkeel"),
        ("$instance", ".*"),
        ("$listener", ".*"),
        ("$upstream", ".*"),
    ] {
        text = text.replace(variable, value);
    }
    assert!(!text.contains('$'), "a variable that is not known: {text}");
    text
}
