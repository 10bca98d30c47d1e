//! A metrics page in the Prometheus text format, read back.

use std::collections::BTreeMap;
use std::fmt;

/// One line of the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's name with its suffix.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// A whole page.
#[derive(Debug, Clone)]
pub struct Metrics {
    samples: Vec<Sample>,
    page: String,
}

impl Metrics {
    /// Reads a page; `Err` names the line that is no sample.
    pub fn parse(page: &str) -> Result<Self, String> {
        let lines = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines
            .map(|line| sample(line).ok_or_else(|| format!("not a sample: {line:?}")))
            .collect::<Result<_, _>>()?;
        Ok(Self { samples, page: page.to_owned() })
    }

    /// The sum over all samples of this name that have these labels; 0 without one.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.select(name, labels).map(|sample| sample.value).sum()
    }

    /// Whether there is a sample of this name with these labels.
    pub fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.select(name, labels).next().is_some()
    }

    /// All samples of this name.
    pub fn samples(&self, name: &str) -> Vec<&Sample> {
        self.select(name, &[]).collect()
    }

    /// How many series the page has.
    pub fn series(&self) -> usize {
        self.samples.len()
    }

    fn select(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| {
            sample.name == name
                && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|own| own == value))
        })
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.page)
    }
}

fn sample(line: &str) -> Option<Sample> {
    let name_end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Reads `key="value",…}` and gives what follows.
fn labels(mut text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (key, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at + 1,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.insert(key.to_owned(), value);
        text = rest[end..].strip_prefix(',').unwrap_or(&rest[end..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_back() {
        let page = "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"1\",y=\"a \\\"b\\\"\"} 2\na_total{x=\"2\"} 3\nb 1.5\nc_bucket{le=\"+Inf\"} 7\n";
        let metrics = Metrics::parse(page).unwrap();
        assert_eq!(metrics.value("a_total", &[]), 5.0);
        assert_eq!(metrics.value("a_total", &[("x", "2")]), 3.0);
        assert_eq!(metrics.value("a_total", &[("y", "a \"b\"")]), 2.0);
        assert_eq!(metrics.value("b", &[]), 1.5);
        assert!(!metrics.has("a_total", &[("x", "3")]));
        assert_eq!(metrics.series(), 4);
        assert!(Metrics::parse("what is this").is_err());
    }
}
