//! [`Metrics`]: a page of Prometheus' text format, to be asked for values.

/// The samples of one page.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Vec<Sample>);

#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    /// Reads a page; what is not understood is left out.
    pub fn parse(page: &str) -> Self {
        Self(page.lines().filter_map(sample).collect())
    }

    /// The sum of all samples of that name that have these labels; `None` if there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &Sample, (label, value): &(&str, &str)| {
            sample.labels.iter().any(|(name, is)| name == label && is == value)
        };
        let found = self.0.iter().filter(|sample| sample.name == name);
        found
            .filter(|sample| labels.iter().all(|label| has(sample, label)))
            .map(|sample| sample.value)
            .reduce(|sum, value| sum + value)
    }

    /// The values a label has in the samples of that name, each once.
    pub fn values(&self, name: &str, label: &str) -> Vec<&str> {
        let mut values: Vec<&str> = self
            .0
            .iter()
            .filter(|sample| sample.name == name)
            .flat_map(|sample| &sample.labels)
            .filter(|(name, _)| name == label)
            .map(|(_, value)| value.as_str())
            .collect();
        values.sort_unstable();
        values.dedup();
        values
    }
}

fn sample(line: &str) -> Option<Sample> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let mut rest = labels.strip_suffix('}')?;
    let mut labels = Vec::new();
    while let Some((label, text)) = rest.split_once("=\"") {
        let end = closing_quote(text)?;
        let value = text.get(..end)?.replace("\\\"", "\"").replace("\\n", "\n").replace("\\\\", "\\");
        labels.push((label.trim_start_matches(',').to_owned(), value));
        rest = text.get(end + 1..)?;
    }
    Some(Sample { name: name.to_owned(), labels, value: value.parse().ok()? })
}

/// Where a label's value ends.
fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().find_map(|(at, character)| {
        let ends = character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        ends.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "# HELP a what\n# TYPE a counter\na{b=\"1\",c=\"x \\\"}\"} 2\na{b=\"2\"} 3.5\nup 1\nbad{x} 1\nnone\n";

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let metrics = Metrics::parse(PAGE);
        assert_eq!(metrics.sum("a", &[]), Some(5.5));
        assert_eq!(metrics.sum("a", &[("b", "1"), ("c", "x \"}")]), Some(2.0));
        assert_eq!(metrics.sum("up", &[]), Some(1.0));
        assert_eq!((metrics.sum("a", &[("b", "3")]), metrics.sum("b", &[])), (None, None));
        assert_eq!(metrics.values("a", "b"), ["1", "2"]);
    }
}
