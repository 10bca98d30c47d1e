//! What a path of the admin address names.

use percent_encoding::percent_decode_str;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    Dashboard,
    Metrics,
    Live,
    Ready,
    Status,
    Stats,
    Config,
    Explain,
    Reload,
    /// An endpoint, with what is to be done to it.
    Endpoint {
        upstream: String,
        endpoint: String,
        verb: Verb,
    },
}

/// What is asked of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Show,
    Drain,
    Undrain,
    Weigh,
}

impl Resource {
    /// What a path names; `None` when nothing. Segments are decoded one by one, so that `%2F` is part of a name.
    pub(super) fn find(path: &str) -> Option<Self> {
        let segments: Vec<_> = path.strip_prefix('/')?.split('/').collect();
        let endpoint = |upstream: &str, endpoint: &str, verb| {
            Some(Self::Endpoint { upstream: decode(upstream)?, endpoint: decode(endpoint)?, verb })
        };
        match *segments.as_slice() {
            [""] => Some(Self::Dashboard),
            ["metrics"] => Some(Self::Metrics),
            ["livez"] => Some(Self::Live),
            ["readyz"] => Some(Self::Ready),
            ["api", "v1", "status"] => Some(Self::Status),
            ["api", "v1", "stats"] => Some(Self::Stats),
            ["api", "v1", "config"] => Some(Self::Config),
            ["api", "v1", "explain"] => Some(Self::Explain),
            ["api", "v1", "reload"] => Some(Self::Reload),
            ["api", "v1", "upstreams", u, "endpoints", e] => endpoint(u, e, Verb::Show),
            ["api", "v1", "upstreams", u, "endpoints", e, "drain"] => endpoint(u, e, Verb::Drain),
            ["api", "v1", "upstreams", u, "endpoints", e, "undrain"] => endpoint(u, e, Verb::Undrain),
            ["api", "v1", "upstreams", u, "endpoints", e, "weight"] => endpoint(u, e, Verb::Weigh),
            _ => None,
        }
    }

    /// The methods it has.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Self::Reload | Self::Endpoint { verb: Verb::Drain | Verb::Undrain | Verb::Weigh, .. } => "POST",
            _ => "GET, HEAD",
        }
    }
}

fn decode(segment: &str) -> Option<String> {
    percent_decode_str(segment).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_segment_by_segment() {
        let named = |path: &str| match Resource::find(path) {
            Some(Resource::Endpoint { upstream, endpoint, verb }) => (upstream, endpoint, verb),
            other => panic!("{path}: {other:?}"),
        };
        let is = |path: &str, endpoint: &str, verb| {
            assert_eq!(named(path), ("app".to_owned(), endpoint.to_owned(), verb), "{path}");
        };
        is("/api/v1/upstreams/app/endpoints/127.0.0.1:9001", "127.0.0.1:9001", Verb::Show);
        is("/api/v1/upstreams/app/endpoints/127.0.0.1%3A9001/drain", "127.0.0.1:9001", Verb::Drain);
        is("/api/v1/upstreams/%61pp/endpoints/%5B::1%5D:80/weight", "[::1]:80", Verb::Weigh);
        is("/api/v1/upstreams/app/endpoints/unix:%2Frun%2Fa.sock/undrain", "unix:/run/a.sock", Verb::Undrain);
    }

    #[test]
    fn anything_else_is_nothing() {
        for path in
            ["", "*", "/x", "/metrics/", "//", "/api", "/api/v1", "/api/v1/upstreams/app", "/api/v1/status/x"]
        {
            assert_eq!(Resource::find(path), None, "{path}");
        }
        assert_eq!(Resource::find("/api/v1/upstreams/app/endpoints/%ff"), None, "not UTF-8");
        assert_eq!(Resource::find("/api/v1/upstreams/app/endpoints/x/kill"), None);
    }
}
