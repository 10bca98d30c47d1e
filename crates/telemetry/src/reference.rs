//! The reference of all metrics as Markdown: the text of `docs/metrics.md`.

use crate::catalogue::{Kind, TCP_SESSION_DURATION, catalogue};
use crate::control::ProbeResult;
use crate::histogram::{BOUND_LABELS, SESSION_BOUND_LABELS};
use crate::page::COMPLETED;
use crate::series::RetryReason;
use evenkeel_policy::outlier;
use evenkeel_policy::rejection::Rejection;

/// What stands above the table.
const HEAD: &str = "\
<!-- Generated from crates/telemetry/src/catalogue.rs; `UPDATE=1 cargo test -p evenkeel-telemetry` writes it anew. -->

# Metrics

Evenkeel serves these at `/metrics` of the admin address in the Prometheus text format. Names and labels are stable:
new ones may come, and what stands keeps its meaning. Label values come from the configuration or from closed lists, so
no client can create a series. Counters keep their value across reloads; the series of listeners, routes and endpoints
that left the configuration go away once the last request on them is over.

| metric | kind | labels | meaning |
|---|---|---|---|
";

/// What stands below the lists of label values.
const TAIL: &str = "
## Queries to start from

```promql
# Requests per second, and the share answered with 5xx, by route
sum by (route) (rate(evenkeel_requests_total[1m]))
sum by (route) (rate(evenkeel_requests_total{code=~\"5..\"}[1m])) / sum by (route) (rate(evenkeel_requests_total[1m]))

# 99th percentile of the response time, by route
histogram_quantile(0.99, sum by (route, le) (rate(evenkeel_request_duration_seconds_bucket[5m])))

# Which endpoint is slow or failing
sum by (endpoint) (rate(evenkeel_upstream_request_duration_seconds_sum[1m]))
  / sum by (endpoint) (rate(evenkeel_upstream_request_duration_seconds_count[1m]))
sum by (endpoint) (rate(evenkeel_upstream_requests_total{code=~\"000|5..\"}[1m]))

# Why Evenkeel answered by itself
sum by (reason) (rate(evenkeel_rejections_total[5m])) > 0

# Bytes per second through TCP listeners, and sessions that did not end well
sum by (listener) (rate(evenkeel_tcp_received_bytes_total[1m]) + rate(evenkeel_tcp_sent_bytes_total[1m]))
sum by (listener, reason) (rate(evenkeel_tcp_sessions_total{reason!=\"completed\"}[5m])) > 0

# How full it is: threads, connections, descriptors
rate(process_cpu_seconds_total[1m]) / evenkeel_workers
evenkeel_connections_open / evenkeel_connections_limit
process_open_fds / process_max_fds
```

Recording rules, alerts and a Grafana dashboard are in `config/prometheus` and `config/grafana`: [monitoring.md](monitoring.md).
";

/// The Markdown.
pub fn reference() -> String {
    let mut text = String::from(HEAD);
    for metric in catalogue() {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        line(
            &mut text,
            &[
                "| `",
                metric.name,
                "` | ",
                metric.kind.word(),
                " | ",
                &labels.join(", "),
                " | ",
                metric.help,
                " |",
            ],
        );
    }
    let histograms: Vec<_> = catalogue()
        .iter()
        .filter(|metric| metric.kind == Kind::Histogram && metric.name != TCP_SESSION_DURATION.name)
        .map(|m| format!("`{}`", m.name))
        .collect();
    let words = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    line(&mut text, &["\n## Label values\n"]);
    line(
        &mut text,
        &[
            "- `code`: the three digits of the status. `000` means that there was none: the client went away before it was \
         answered, or an attempt ended without a response.",
        ],
    );
    line(&mut text, &["- `method`: the nine standard methods; `other` for all else."]);
    line(
        &mut text,
        &[
            "- `reason` of `evenkeel_upstream_retries_total`: ",
            &words(&RetryReason::ALL.map(RetryReason::word)),
            ".",
        ],
    );
    line(
        &mut text,
        &[
            "- `reason` of `evenkeel_endpoint_ejections_total`: ",
            &words(&outlier::Reason::ALL.map(outlier::Reason::word)),
            ".",
        ],
    );
    line(&mut text, &["- `result`: ", &words(&ProbeResult::ALL.map(ProbeResult::word)), "."]);
    line(&mut text, &["- `le` of ", &histograms.join(", "), ", in seconds: ", &BOUND_LABELS.join(", "), "."]);
    line(
        &mut text,
        &["- `le` of `", TCP_SESSION_DURATION.name, "`, in seconds: ", &SESSION_BOUND_LABELS.join(", "), "."],
    );
    line(
        &mut text,
        &[
            "- `reason` of `evenkeel_tcp_sessions_total`: `",
            COMPLETED,
            "` when both sides closed it, otherwise a reason of `evenkeel_rejections_total`; only those that occurred \
         are there.",
        ],
    );
    line(&mut text, &["- `reason` of `evenkeel_rejections_total`, with the status that the client gets:\n"]);
    line(&mut text, &["| reason | status | meaning |\n|---|---|---|"]);
    for rejection in Rejection::ALL {
        let status = if rejection.is_answer() { rejection.status().to_string() } else { "none".to_owned() };
        line(&mut text, &["| `", rejection.word(), "` | ", &status, " | ", rejection.sentence(), " |"]);
    }
    text.push_str(TAIL);
    text
}

fn line(text: &mut String, parts: &[&str]) {
    for part in parts {
        text.push_str(part);
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, reference()).unwrap();
        }
        let document = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(document, reference(), "stale: UPDATE=1 cargo test -p evenkeel-telemetry");
    }

    #[test]
    fn the_queries_use_metrics_that_exist() {
        let mut found = 0;
        for word in TAIL.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if word.starts_with("evenkeel_") || word.starts_with("process_") {
                let base = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| word.strip_suffix(end))
                    .unwrap_or(word);
                assert!(catalogue().iter().any(|metric| metric.name == base), "{word}");
                found += 1;
            }
        }
        assert!(found > 10);
    }
}
