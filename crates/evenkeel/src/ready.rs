//! `evenkeel ready`: whether a server says that it is ready. For container health checks, where there is no shell.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::client;
use crate::time::time;

/// Whom to ask.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to ask for; http:// only
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:9900/readyz")]
    url: String,
    /// How long to wait for the answer, such as 500ms or 2s
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    timeout: Duration,
}

/// Succeeds if the answer's status is from 200 to 299.
pub(crate) fn ready(arguments: &Arguments) -> Result<ExitCode, String> {
    let (authority, path) = split(&arguments.url)?;
    let answer = client::ask(&authority, "GET", path, arguments.timeout)
        .map_err(|error| format!("{}: {error}", arguments.url))?;
    match answer.status {
        200..300 => Ok(ExitCode::SUCCESS),
        status => {
            let line = answer.body.lines().next().unwrap_or_default();
            Err(format!("{}: status {status}: {line}", arguments.url))
        }
    }
}

/// A URL's `host:port` and path.
///
/// # Errors
/// It is none of http://.
pub(crate) fn split(url: &str) -> Result<(String, &str), String> {
    let rest =
        url.strip_prefix("http://").ok_or_else(|| format!("{url}: expected http://HOST[:PORT][/PATH]"))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.is_empty() || (!path.is_empty() && !path.starts_with('/')) {
        return Err(format!("{url}: expected http://HOST[:PORT][/PATH]"));
    }
    // A colon within brackets is an IPv6 address's own.
    let has_port = authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    Ok((authority, if path.is_empty() { "/" } else { path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split() {
        assert_eq!(split("http://web:81/a?b"), Ok(("web:81".to_owned(), "/a?b")));
        assert_eq!(split("http://[::1]"), Ok(("[::1]:80".to_owned(), "/")));
        assert!(split("https://web").is_err() && split("http:///x").is_err() && split("http://w?x").is_err());
    }
}
