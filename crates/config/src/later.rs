//! Features that this version does not have, by the keys people try for them, in whatever table they try.

/// Keys, each with what the feature is called and its verb.
///
/// A table's own list comes first; this one is for keys that no table has yet.
const LATER: &[(&[&str], &str)] = &[
    (&["tls", "ssl", "https", "certificate", "certificates"], "TLS is"),
    (&["acme", "letsencrypt"], "ACME is"),
    (&["http2", "h2", "http3", "quic", "grpc"], "HTTP beyond version 1.1 is"),
    (&["udp"], "UDP is"),
    (&["proxy_protocol"], "the PROXY protocol is"),
    (&["websocket", "websockets", "upgrade"], "WebSocket is"),
    (&["rate_limit", "rate_limits", "rate_limiting", "ratelimit"], "rate limiting is"),
    (&["cache", "caching"], "caching is"),
    (&["compression", "compress", "gzip", "brotli", "zstd"], "compression is"),
    (&["auth", "authentication", "basic_auth", "jwt", "oidc"], "authentication is"),
    (&["cors"], "CORS is"),
    (&["mirror", "shadow"], "mirroring is"),
    (&["hedge", "hedging"], "hedging is"),
    (&["circuit_breaker"], "a circuit breaker is"),
    (&["slow_start"], "slow start is"),
    (&["rewrite", "strip_prefix"], "rewriting paths is"),
    (&["request_headers", "response_headers", "set_headers", "add_headers"], "changing headers is"),
    (&["tracing", "otlp", "opentelemetry"], "exporting traces is"),
    (&["discovery", "consul", "kubernetes"], "service discovery is"),
];

/// The feature that a key would be for, with its verb: `TLS is`.
pub(crate) fn feature(key: &str) -> Option<&'static str> {
    LATER.iter().find(|(keys, _)| keys.contains(&key)).map(|(_, feature)| *feature)
}

/// What a key is called here that others have by another name.
const INSTEAD: &[(&[&str], &str)] = &[
    (
        &["sticky", "session_affinity", "affinity", "sticky_sessions", "persistence"],
        "write balance = \"maglev\", and hash = { cookie = \"NAME\" } or another part of a request",
    ),
    (
        &["hash_key", "hash_on", "hash_by", "hash_policy", "hash_header", "hash_cookie"],
        "write hash = \"client\", \"path\", { header = \"NAME\" }, { cookie = \"NAME\" } or { query = \"NAME\" }",
    ),
];

/// What to write instead of a key that is none here.
pub(crate) fn instead(key: &str) -> Option<&'static str> {
    INSTEAD.iter().find(|(keys, _)| keys.contains(&key)).map(|(_, help)| *help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::all_tables;

    #[test]
    fn no_key_that_is_there_is_called_missing() {
        for (header, table) in all_tables() {
            for key in &table.keys {
                assert_eq!(feature(key.name), None, "{header} {}", key.name);
                assert_eq!(instead(key.name), None, "{header} {}", key.name);
            }
        }
    }
}
