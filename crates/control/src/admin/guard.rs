//! Who may ask: not a stranger's web page in an operator's browser.
//!
//! Two ways lead such a page here. DNS rebinding: its own name suddenly resolves to loopback, so that its requests
//! count as its own; what gives it away is `Host`. And a plain cross-site post, which needs no answer to do harm;
//! what gives it away are `Origin` and `Sec-Fetch-Site`, which no page can forge.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Version, header};

/// The rules for one connection.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// The address it came in at.
    local: SocketAddr,
    /// Whom `Host` may name beside loopback; with none, on loopback nobody and elsewhere everybody.
    hosts: Arc<[String]>,
}

/// Why a request is not answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) sentence: String,
}

impl Guard {
    /// The rules for a connection accepted at this address.
    pub(super) fn of(local: SocketAddr, hosts: Arc<[String]>) -> Self {
        Self { local: SocketAddr::new(local.ip().to_canonical(), local.port()), hosts }
    }

    /// Whether a request may be answered.
    ///
    /// # Errors
    /// It may not, with what to do instead.
    pub(super) fn check(&self, request: &Parts) -> Result<(), Refused> {
        let host = self.host(request)?;
        if request.method == Method::GET || request.method == Method::HEAD {
            return Ok(());
        }
        same_site(&request.headers, host.as_ref())
    }

    /// The host asked for, if it may be asked for.
    fn host(&self, request: &Parts) -> Result<Option<Authority>, Refused> {
        let bad = |sentence: &str| Refused { status: StatusCode::BAD_REQUEST, sentence: sentence.into() };
        let mut fields = request.headers.get_all(header::HOST).iter();
        let field = fields.next();
        if fields.next().is_some() {
            return Err(bad("There is more than one Host header; send exactly one."));
        }
        let field =
            match field {
                Some(field) => Some(Authority::try_from(field.as_bytes()).map_err(|_| {
                    bad("The Host header is not a host; send this machine's name or address.")
                })?),
                None if request.version == Version::HTTP_10 => None,
                None => return Err(bad("There is no Host header; send exactly one.")),
            };
        for host in field.iter().chain(request.uri.authority()) {
            if !self.answers_to(host) {
                return Err(Refused {
                    status: StatusCode::FORBIDDEN,
                    sentence: format!(
                        "The admin address answers to 127.0.0.1, [::1], localhost and what admin.hosts names, not to {:?}; \
                         ask for one of those, or name it there.",
                        host.as_str(),
                    ),
                });
            }
        }
        Ok(request.uri.authority().cloned().or(field))
    }

    fn answers_to(&self, host: &Authority) -> bool {
        let is_open = self.hosts.is_empty() && !self.local.ip().is_loopback();
        let name = host.host().strip_suffix('.').unwrap_or(host.host());
        is_open || is_loopback(host) || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

fn is_loopback(host: &Authority) -> bool {
    let name = host.host();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => bare.strip_suffix('.').unwrap_or(bare).eq_ignore_ascii_case("localhost"),
    }
}

/// Refuses what another site's page sent. Programs send neither of the two fields.
fn same_site(headers: &HeaderMap, host: Option<&Authority>) -> Result<(), Refused> {
    let refused = || {
        Refused {
        status: StatusCode::FORBIDDEN,
        sentence: "Another site's page sent this; changes are made from the dashboard, the command line or a program."
            .into(),
    }
    };
    for site in headers.get_all("sec-fetch-site") {
        if site != "same-origin" && site != "none" {
            return Err(refused());
        }
    }
    for origin in headers.get_all(header::ORIGIN) {
        let same = origin.to_str().is_ok_and(|origin| host.is_some_and(|host| is_origin_of(origin, host)));
        if !same {
            return Err(refused());
        }
    }
    Ok(())
}

/// Whether an origin is that of a host, where a port may go without saying.
fn is_origin_of(origin: &str, host: &Authority) -> bool {
    let (authority, default) = match (origin.strip_prefix("http://"), origin.strip_prefix("https://")) {
        (Some(authority), _) => (authority, 80),
        (_, Some(authority)) => (authority, 443),
        _ => return false,
    };
    let Ok(origin) = Authority::try_from(authority) else { return false };
    origin.host().eq_ignore_ascii_case(host.host())
        && origin.port_u16().unwrap_or(default) == host.port_u16().unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const LOOPBACK: &str = "127.0.0.1:9900";

    fn check(local: &str, method: &str, fields: &[(&str, &str)]) -> Result<(), u16> {
        let mut request = Request::builder().method(method).uri("/api/v1/reload");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Guard::of(local.parse().unwrap(), Arc::default()).check(&parts).map_err(|refused| {
            assert!(refused.sentence.ends_with('.') && refused.sentence.contains(';'), "{refused:?}");
            refused.status.as_u16()
        })
    }

    #[test]
    fn loopback_answers_to_its_own_names_on_any_port() {
        for host in [
            "127.0.0.1:9900",
            "127.0.0.1",
            "127.8.9.1:1",
            "localhost",
            "LOCALHOST:80",
            "localhost.",
            "[::1]:9900",
        ] {
            for local in [LOOPBACK, "[::1]:9900", "[::ffff:127.0.0.1]:9900"] {
                assert_eq!(check(local, "GET", &[("host", host)]), Ok(()), "{host} at {local}");
            }
        }
    }

    #[test]
    fn a_rebound_name_is_refused_on_loopback_only() {
        for host in [
            "evil.example",
            "evil.example:9900",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "10.0.0.1",
            "[2001:db8::1]",
        ] {
            for method in ["GET", "HEAD", "POST"] {
                assert_eq!(check(LOOPBACK, method, &[("host", host)]), Err(403), "{method} {host}");
                assert_eq!(check("10.0.0.1:9900", method, &[("host", host)]), Ok(()), "{method} {host}");
            }
        }
    }

    #[test]
    fn where_hosts_are_named_nobody_else_is_answered() {
        let named: Arc<[String]> = Arc::from(["proxy-1".to_owned()]);
        for (host, expected) in [
            ("proxy-1:9900", true),
            ("PROXY-1.", true),
            ("127.0.0.1:9900", true),
            ("localhost", true),
            ("proxy-2:9900", false),
            ("172.17.0.2:9900", false),
            ("evil.example:9900", false),
        ] {
            for local in ["172.17.0.2:9900", LOOPBACK] {
                let request = Request::builder().uri("/metrics").header("host", host).body(()).unwrap();
                let answer = Guard::of(local.parse().unwrap(), named.clone()).check(&request.into_parts().0);
                assert_eq!(answer.is_ok(), expected, "{host} at {local}");
            }
        }
    }

    #[test]
    fn one_host_that_can_be_one() {
        assert_eq!(check(LOOPBACK, "GET", &[]), Err(400));
        assert_eq!(check(LOOPBACK, "GET", &[("host", "localhost"), ("host", "evil.example")]), Err(400));
        assert_eq!(check(LOOPBACK, "GET", &[("host", "a b")]), Err(400));
        let old = Request::builder().version(Version::HTTP_10).uri("/livez").body(()).unwrap();
        let guard = Guard::of(LOOPBACK.parse().unwrap(), Arc::default());
        assert_eq!(guard.check(&old.into_parts().0), Ok(()), "no browser is that old");
    }

    #[test]
    fn the_host_of_an_absolute_target_counts_too() {
        let request = Request::builder().uri("http://evil.example/").header("host", "localhost");
        let guard = Guard::of(LOOPBACK.parse().unwrap(), Arc::default());
        let refused = guard.check(&request.body(()).unwrap().into_parts().0).unwrap_err();
        assert_eq!(refused.status, 403);
    }

    #[test]
    fn posts_of_another_site_are_refused() {
        let host = ("host", "127.0.0.1:9900");
        let own = ("origin", "http://127.0.0.1:9900");
        assert_eq!(check(LOOPBACK, "POST", &[host]), Ok(()), "a program");
        assert_eq!(check(LOOPBACK, "POST", &[host, own]), Ok(()), "the dashboard");
        assert_eq!(check(LOOPBACK, "POST", &[host, own, ("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(check(LOOPBACK, "POST", &[host, ("sec-fetch-site", "none")]), Ok(()));
        for origin in [
            "http://evil.example",
            "http://127.0.0.1:8080",
            "http://127.0.0.1",
            "null",
            "",
            "file://",
            "http://127.0.0.1:9900.evil.example",
        ] {
            assert_eq!(check(LOOPBACK, "POST", &[host, ("origin", origin)]), Err(403), "{origin}");
            assert_eq!(check(LOOPBACK, "POST", &[host, own, ("origin", origin)]), Err(403), "{origin}");
            assert_eq!(check(LOOPBACK, "GET", &[host, ("origin", origin)]), Ok(()), "it cannot read it");
        }
        for site in ["cross-site", "same-site", "anything"] {
            assert_eq!(check(LOOPBACK, "POST", &[host, own, ("sec-fetch-site", site)]), Err(403), "{site}");
        }
    }

    #[test]
    fn a_port_may_go_without_saying() {
        let host: Authority = "admin.example".parse().unwrap();
        assert!(
            is_origin_of("http://admin.example", &host) && is_origin_of("http://ADMIN.example:80", &host)
        );
        assert!(
            is_origin_of("https://admin.example:443", &host) && is_origin_of("https://admin.example", &host)
        );
        assert!(!is_origin_of("http://admin.example:443", &host));
        assert!(!is_origin_of("https://admin.example:80", &host));
    }
}
