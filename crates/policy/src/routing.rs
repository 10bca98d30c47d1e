//! Which route a request takes.
//!
//! Precedence follows the Kubernetes Gateway API: the most specific host first (exact, then the longest
//! wildcard, then none), within it the most specific path (exact, then the longest prefix), then a route
//! that names methods over one that does not, then the one that asks for more headers, then file order.
//!
//! A host's routes are not a world of their own: when the most specific host has a route for none of the
//! request's path, method and headers, the next less specific host is asked.
//!
//! Paths are compared in the form [`normalize_path`] gives them, the query left out, and header values byte for
//! byte as sent; hosts without regard to case, port or final dot. `GET` does not include `HEAD`.

mod explain;
mod host;
mod normalize;
mod path;
mod table;

pub use explain::{Explanation, Unmatched};
pub use host::{BadHostPattern, HostPattern};
pub use normalize::normalize_path;
pub use path::{BadPathPattern, PathPattern};
pub use table::RouteTable;

/// Number of a route, given by whoever builds the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u32);

/// Which requests a route takes: those that satisfy every part. The default takes all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matcher {
    /// The request's host; `None` takes every host.
    pub host: Option<HostPattern>,
    /// The request's path.
    pub path: PathPattern,
    /// One of these methods, compared with case; empty takes every method.
    pub methods: Vec<String>,
    /// All of these fields, with exactly this value in some line of that name.
    pub headers: Vec<(String, String)>,
}

/// What routing looks at.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// `Host` or the authority of the target, port and all; empty when there is none.
    pub host: &'a [u8],
    /// The path of the target, without the query, as [`normalize_path`] makes it.
    pub path: &'a [u8],
    /// The method.
    pub method: &'a [u8],
    /// Whether some header line has this name (in any case) and exactly this value.
    pub has_header: &'a dyn Fn(&str, &str) -> bool,
}

impl Matcher {
    /// Whether the method is one of those asked for.
    fn takes_method(&self, method: &[u8]) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|wanted| wanted.as_bytes() == method)
    }

    /// The first header asked for that the request has not.
    fn missing_header(&self, request: &Request<'_>) -> Option<&(String, String)> {
        self.headers.iter().find(|(name, value)| !(request.has_header)(name, value))
    }
}
