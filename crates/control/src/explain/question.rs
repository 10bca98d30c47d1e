//! [`Question`]: a request that somebody wonders about, as they type it.

use std::fmt;
use std::net::IpAddr;

/// A request that somebody wonders about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// The method.
    pub method: String,
    /// Host and port; empty for none.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The listener it arrives at; `None` asks about each of them.
    pub listener: Option<String>,
    /// Whose connection it comes on, if that is known.
    pub client: Option<IpAddr>,
}

/// It cannot be a request. `Display` says why, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadQuestion(String);

impl Question {
    /// A request as people write it: `http://host/path`, `host/path` or `/path`; headers as `name: value`, of
    /// which `Host` replaces the host of the URL.
    ///
    /// # Errors
    /// The method, the URL or a header cannot be sent.
    pub fn new<H: AsRef<str>>(method: &str, url: &str, headers: &[H]) -> Result<Self, BadQuestion> {
        if !is_token(method) {
            return Err(BadQuestion(format!("{method:?} is not a method; write GET, POST or another one")));
        }
        let (mut host, target) = split(url)?;
        let mut fields = Vec::with_capacity(headers.len());
        for header in headers {
            let header = header.as_ref();
            let Some((name, value)) = header.split_once(':') else {
                return Err(BadQuestion(format!("{header:?} is not a header; write it as \"name: value\"")));
            };
            let (name, value) = (name.trim(), value.trim());
            if !is_token(name) || value.chars().any(char::is_control) {
                return Err(BadQuestion(format!("{header:?} is not a header; write it as \"name: value\"")));
            }
            if name.eq_ignore_ascii_case("host") {
                value.clone_into(&mut host);
            }
            fields.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self { method: method.to_owned(), host, target, headers: fields, listener: None, client: None })
    }

    /// The target without its query.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The port of the host, if it names one.
    pub(super) fn port(&self) -> Option<u16> {
        self.host.rsplit_once(':')?.1.parse().ok()
    }
}

/// A URL's host and port, and its path and query.
fn split(url: &str) -> Result<(String, String), BadQuestion> {
    let wrong = |why: &str| BadQuestion(format!("{url:?} {why}; write it as http://host/path"));
    let whole = url.split('#').next().unwrap_or_default();
    if whole.is_empty() || !whole.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("has a character that no URL has, or none at all"));
    }
    let rest = match whole.split_once("://") {
        Some((scheme, rest)) if ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) => {
            rest
        }
        Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) => {
            return Err(wrong("is not HTTP"));
        }
        _ => whole,
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.is_empty() && !whole.starts_with('/') {
        return Err(wrong("names no host"));
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok((host.to_owned(), format!("{slash}{target}")))
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

impl fmt::Display for BadQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadQuestion {}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_of(url: &str) -> (String, String, Option<u16>) {
        let question = Question::new::<&str>("GET", url, &[]).unwrap();
        (question.host.clone(), question.target.clone(), question.port())
    }

    #[test]
    fn urls_are_taken_as_people_write_them() {
        let is = |url: &str, host: &str, target: &str, port: Option<u16>| {
            assert_eq!(split_of(url), (host.to_owned(), target.to_owned(), port), "{url}");
        };
        is("http://a.example/x?y=1#z", "a.example", "/x?y=1", None);
        is("HTTPS://me:secret@a.example:8443", "a.example:8443", "/", Some(8443));
        is("a.example:80/v1", "a.example:80", "/v1", Some(80));
        is("/v1/x", "", "/v1/x", None);
        is("http://a?x=http://b/", "a", "/?x=http://b/", None);
        is("http://[::1]:9/x", "[::1]:9", "/x", Some(9));
        is("http://[::1]/x", "[::1]", "/x", None);
        for wrong in ["", "http://", "http:///x", "ftp://a/", "http://a/ b", "http://ä/", "?x"] {
            assert!(Question::new::<&str>("GET", wrong, &[]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_are_split_and_host_replaces_the_host() {
        let question = Question::new("GET", "http://127.0.0.1/", &["host: b", "X-A:  1:2 "]).unwrap();
        assert_eq!(question.host, "b");
        assert_eq!(question.headers[1], ("X-A".to_owned(), "1:2".to_owned()));
        for wrong in ["x", ": y", "a b: c", "a: b\nc: d"] {
            let error = Question::new("GET", "/", &[wrong]).unwrap_err().to_string();
            assert!(error.contains("name: value"), "{wrong}: {error}");
        }
        assert!(Question::new::<&str>("GE T", "/", &[]).is_err());
    }
}
