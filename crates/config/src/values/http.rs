//! Pieces of HTTP: what a request is matched by, what a probe asks and expects, where one is redirected.

use evenkeel_policy::routing::{HostPattern, PathPattern};
use toml::de::DeValue;

use super::text_setting;
use crate::codes::{self, BAD_MATCH, BAD_TEXT};
use crate::setting::{Format, Reader, Setting, Shape, Value, Wrong, nearest};

use super::address::is_host_name;

/// Declares a type that wraps a checked string or pattern.
macro_rules! http_text {
    ($(#[$doc:meta])* $name:ident($of:ty), $what:literal, $pattern:expr, $forms:literal, $example:literal, $parse:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct $name(pub(crate) $of);

        impl $name {
            const FORMAT: Format = Format { name: $what, pattern: $pattern, forms: $forms, example: $example };

            fn parse(text: &str) -> Result<Self, Wrong> {
                let parse: fn(&str) -> Result<$of, Wrong> = $parse;
                parse(text).map(Self)
            }

            fn help_for(_: &DeValue<'_>) -> Option<String> {
                None
            }

            fn text(&self) -> String {
                self.0.to_string()
            }
        }

        text_setting!($name);
    };
}

http_text!(
    /// The `host` of a match.
    MatchHost(HostPattern), "a host pattern", None,
    "`\"api.example.com\"`, or `\"*.example.com\"` for every name below it; case and port do not matter.",
    "\"api.example.com\"",
    |text| match text.split_once("://").map_or(text, |(_, rest)| rest).split('/').next() {
        Some(host) if host != text && !host.is_empty() => Err(more_than_a_host(text, host)),
        _ => text.parse::<HostPattern>().map_err(|error| Wrong::new(BAD_MATCH, error.to_string())),
    }
);

http_text!(
    /// The `path` of a match.
    MatchPath(PathPattern), "a path pattern", Some("^(/|\\*$)"),
    "`\"/exact\"`, or `\"/v1/*\"` for `/v1` and everything below it.",
    "\"/v1/*\"",
    |text| text.parse::<PathPattern>().map_err(|error| {
        let wrong = Wrong::new(BAD_MATCH, error.to_string());
        let meant = format!("/{text}");
        let slash = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && meant.parse::<PathPattern>().is_ok();
        if slash { wrong.help(format!("did you mean {meant:?}?")) } else { wrong }
    })
);

http_text!(
    /// A method.
    Method(String), "a method", Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
    "A request method, as it is sent: `\"GET\"`.",
    "\"GET\"",
    |text| match text {
        text if !is_token(text) => Err(Wrong::new(BAD_MATCH, format!("{text:?} is not a method"))),
        text if text.bytes().any(|b| b.is_ascii_lowercase()) && METHODS.contains(&text.to_ascii_uppercase().as_str()) =>
            Err(Wrong::new(BAD_MATCH, format!("no client sends {text:?}"))
                .help(format!("did you mean {:?}? methods differ by case", text.to_ascii_uppercase()))),
        text => Ok(text.to_owned()),
    }
);

http_text!(
    /// The value a header has to have.
    HeaderText(String), "a header's value", None,
    "The whole value of the header, as it is sent.",
    "\"1\"",
    |text| match text.chars().find(|c| c.is_control() && *c != '\t') {
        Some(_) => Err(Wrong::new(BAD_MATCH, format!("no header can be {text:?}"))),
        None if text.trim() != text => Err(Wrong::new(BAD_MATCH, format!("no header can be {text:?}"))
            .help("spaces around a value are not part of it")),
        None => Ok(text.to_owned()),
    }
);

http_text!(
    /// The header that is hashed.
    HeaderName(String), "a header's name", Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
    "The name of a header; case does not matter.",
    "\"x-user\"",
    |text| match is_token(text) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(Wrong::new(BAD_MATCH, format!("{text:?} is not the name of a header"))),
    }
);

http_text!(
    /// The cookie that is hashed.
    CookieName(String), "a cookie's name", Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
    "The name of a cookie, as it is sent.",
    "\"session\"",
    |text| match is_token(text) {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(BAD_MATCH, format!("{text:?} is not the name of a cookie"))),
    }
);

http_text!(
    /// The parameter of the query that is hashed.
    QueryName(String), "a parameter's name", Some("^[^&=#\\s]+$"),
    "The name of a parameter of the query, as it is sent.",
    "\"user\"",
    |text| match !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"&=#".contains(&b)) {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(BAD_MATCH, format!("{text:?} is not the name of a parameter"))
            .help("write `&`, `=`, `#`, spaces and letters beyond ASCII as %XX")),
    }
);

http_text!(
    /// What a probe asks for.
    ProbePath(String), "a path", Some("^/"),
    "Path and perhaps query: `\"/healthz\"`.",
    "\"/healthz\"",
    |text| match text {
        text if !text.starts_with('/') => Err(Wrong::new(BAD_TEXT, format!("{text:?} is not a path"))
            .help(format!("write {:?}", format!("/{}", text.trim_start())))),
        text if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'#') =>
            Err(Wrong::new(BAD_TEXT, format!("{text:?} cannot be asked for"))
                .help("write spaces, `#` and letters beyond ASCII as %XX")),
        text => Ok(text.to_owned()),
    }
);

http_text!(
    /// What a probe proves itself with.
    ProbePassword(String), "text that is not empty", None,
    "What `requirepass` of the endpoints says. It is not shown again.",
    "\"secret\"",
    |text| match text {
        "" => Err(Wrong::new(BAD_TEXT, "an empty password is none".to_owned()).help("remove it")),
        text => Ok(text.to_owned()),
    }
);

http_text!(
    /// The `Host` a probe sends.
    ProbeHost(String), "a host", None,
    "A host name or address, perhaps with a port.",
    "\"app.internal\"",
    |text| match is_host_header(text) {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(BAD_TEXT, format!("{text:?} is not a host"))
            .help("such as \"app.internal\" or \"app.internal:8080\"")),
    }
);

http_text!(
    /// What a probe's answer contains.
    ProbeBody(String), "text that is not empty", None,
    "Compared byte for byte.",
    "\"ok\"",
    |text| match text.len() {
        0 => Err(Wrong::new(BAD_TEXT, "the empty text is in every body").help("remove the key")),
        1..=65_536 => Ok(text.to_owned()),
        _ => Err(Wrong::new(BAD_TEXT, "only the first 64 KiB of a body are looked at")),
    }
);

http_text!(
    /// The body of a fixed answer.
    AnswerBody(String), "text", None,
    "Text, sent as `text/plain; charset=utf-8`.",
    "\"ok\"",
    |text| Ok(text.to_owned())
);

http_text!(
    /// The target of a redirect.
    Location(String), "a location", Some("^(https?://|/)"),
    "`\"https://www.example.com{path}\"` or `\"/new\"`; `{host}` is the request's host, `{path}` its path and query.",
    "\"https://www.example.com{path}\"",
    location
);

/// A host with a scheme, a port or a path around it. What is suggested is itself a pattern.
fn more_than_a_host(text: &str, host: &str) -> Wrong {
    let wrong = Wrong::new(BAD_MATCH, format!("{text:?} is more than a host"));
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|b| b.is_ascii_digit()) => bare,
        _ => host,
    };
    match bare.parse::<HostPattern>() {
        Ok(_) => wrong.help(format!("write {bare:?}, and the path in `path`")),
        Err(error) => wrong.help(error.to_string()),
    }
}

fn location(text: &str) -> Result<String, Wrong> {
    let wrong = |message: String, help: String| Err(Wrong::new(codes::BAD_LOCATION, message).help(help));
    if !["http://", "https://", "/"].iter().any(|start| text.starts_with(start)) {
        let help = "it begins with `https://`, `http://` or `/`".to_owned();
        return wrong(format!("{text:?} is not a location"), help);
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        let help = "write spaces and letters beyond ASCII as %XX".to_owned();
        return wrong(format!("{text:?} cannot be sent"), help);
    }
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let after = rest.get(at..).unwrap_or("");
        let name = after.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        match name {
            Some(("host" | "path", behind)) => rest = behind,
            Some((name, _)) => {
                let help = match nearest(name, ["host", "path"]) {
                    Some(near) => format!("did you mean {{{near}}}?"),
                    None => "there are {host} and {path}".to_owned(),
                };
                return wrong(format!("{text:?}: unknown placeholder {{{name}}}"), help);
            }
            None => {
                let help = "a brace itself is written %7B or %7D".to_owned();
                return wrong(format!("{text:?} has a brace without its partner"), help);
            }
        }
    }
    Ok(text.to_owned())
}

/// Headers a request has to have, each with its value.
#[derive(Debug, Clone)]
pub(crate) struct Headers(pub(crate) Vec<(String, String)>);

impl Setting for Headers {
    fn shape() -> Shape {
        Shape::Named(Box::new(HeaderText::shape()))
    }

    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self> {
        let DeValue::Table(table) = value.get_ref() else {
            reader.wrong_type(value, "a table").help("write { \"x-header\" = \"value\" }");
            return None;
        };
        let mut rows: Vec<_> = table.iter().collect();
        rows.sort_by_key(|(name, _)| name.span().start);
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in rows {
            let lower = name.get_ref().to_ascii_lowercase();
            if !is_token(&lower) {
                let message = format!("{:?} is not the name of a header", name.get_ref());
                reader.problems.error(BAD_MATCH, name.span(), message);
            } else if headers.iter().any(|(known, _)| *known == lower) {
                let message = format!("header {:?} is there twice; case does not matter", name.get_ref());
                reader.problems.error(BAD_MATCH, name.span(), message);
            }
            if let Some(HeaderText(text)) = reader.within(name.get_ref(), |r| HeaderText::read(value, r)) {
                headers.push((lower, text));
            }
        }
        Some(Self(headers))
    }
}

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_host_header(text: &str) -> bool {
    if text.parse::<std::net::SocketAddr>().is_ok() || text.parse::<std::net::Ipv4Addr>().is_ok() {
        return true;
    }
    if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inside.parse::<std::net::Ipv6Addr>().is_ok();
    }
    match text.rsplit_once(':') {
        Some((host, port)) => is_host_name(host) && port.parse::<u16>().is_ok(),
        None => is_host_name(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_know_their_placeholders() {
        for good in ["https://{host}{path}", "/new", "http://x/%7B", "https://www.example.com{path}"] {
            assert_eq!(location(good), Ok(good.to_owned()));
        }
        let help = |text: &str| location(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(help("https://{hots}"), "did you mean {host}?");
        assert_eq!(help("https://x/{"), "a brace itself is written %7B or %7D");
        assert_eq!(help("https://x/}"), "a brace itself is written %7B or %7D");
        assert_eq!(help("www.example.com"), "it begins with `https://`, `http://` or `/`");
        assert!(location("https://x/\r\nSet-Cookie: a").is_err());
    }

    #[test]
    fn what_is_suggested_is_accepted() {
        let help = |text: &str| MatchHost::parse(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(help("https://a.example:8443/v1"), "write \"a.example\", and the path in `path`");
        assert_eq!(help("http://[::1]/"), "write \"[::1]\", and the path in `path`");
        assert!(help("http://a*b.example/").starts_with("`*` stands for whole labels"));
        assert_eq!(MatchPath::parse("v1/*").unwrap_err().help.as_deref(), Some("did you mean \"/v1/*\"?"));
        assert_eq!(MatchPath::parse("v1/*/x").unwrap_err().help, None, "\"/v1/*/x\" is refused as well");
    }

    #[test]
    fn methods_are_as_sent() {
        assert!(Method::parse("PROPFIND").is_ok());
        let help = Method::parse("get").unwrap_err().help;
        assert_eq!(help.as_deref(), Some("did you mean \"GET\"? methods differ by case"));
        assert!(Method::parse("GET POST").is_err());
    }

    #[test]
    fn probes_ask_for_what_can_be_asked() {
        assert!(ProbePath::parse("/healthz?full=1").is_ok());
        assert_eq!(ProbePath::parse("healthz").unwrap_err().help.as_deref(), Some("write \"/healthz\""));
        assert!(ProbePath::parse("/a b").is_err());
        for good in ["app", "app:80", "10.0.0.1", "10.0.0.1:80", "[::1]", "[::1]:80"] {
            assert!(ProbeHost::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "app:", "app:x", "http://app", "[::1"] {
            assert!(ProbeHost::parse(bad).is_err(), "{bad}");
        }
    }
}
