//! Words of a fixed set: algorithms, protocols, forms.

use evenkeel_policy::balance::Algorithm;
use evenkeel_policy::health::Start;
use toml::de::DeValue;

use crate::codes;
use crate::plan::{LogFormat, OnDown};
use crate::setting::{Reader, Setting, Shape, Value, nearest, quoted};

/// A value that is one of a few words.
pub(crate) trait Word: Sized + Copy + PartialEq {
    /// What the words stand for: `balance algorithm`.
    const KIND: &'static str;
    /// Words of features that are not there yet.
    const LATER: &'static [&'static str] = &[];
    /// Words that others use, each with what is written here.
    const MEANT: &'static [(&'static str, &'static str)] = &[];
    /// The words.
    fn words() -> Vec<(&'static str, Self)>;
}

impl<T: Word> Setting for T {
    fn shape() -> Shape {
        let words = T::words().into_iter().map(|(word, _)| word.to_owned()).collect();
        Shape::Words { words }
    }

    fn read(value: &Value<'_>, reader: &mut Reader) -> Option<Self> {
        let words = T::words();
        let DeValue::String(written) = value.get_ref() else {
            reader.wrong_type(value, &<T as Setting>::shape().describe());
            return None;
        };
        if let Some((_, good)) = words.iter().find(|(word, _)| word == written) {
            return Some(*good);
        }
        if T::LATER.contains(&written.as_ref()) {
            let message = format!("{} {written:?} is not supported yet by this version", T::KIND);
            let known = quoted(words.iter().map(|(word, _)| *word));
            reader.problems.error(codes::NOT_YET, value.span(), message).help(format!("it has {known}"));
            return None;
        }
        let message = format!("`{}`: unknown {} {written:?}", reader.key(), T::KIND);
        let meant = T::MEANT.iter().find(|(word, _)| word == written);
        let help = match (meant, nearest(written, words.iter().map(|(word, _)| *word))) {
            (Some((_, help)), _) => (*help).to_owned(),
            (None, Some(near)) => format!("did you mean {near:?}?"),
            (None, None) => format!("write {}", <T as Setting>::shape().describe()),
        };
        reader.problems.error(codes::UNKNOWN_WORD, value.span(), message).help(help);
        None
    }

    fn show(&self) -> String {
        let word = T::words().into_iter().find(|(_, value)| value == self);
        word.map_or(String::new(), |(word, _)| format!("{word:?}"))
    }
}

impl Word for Algorithm {
    const KIND: &'static str = "balance algorithm";
    const MEANT: &'static [(&'static str, &'static str)] = &[
        ("ip-hash", BY_CLIENT),
        ("source", BY_CLIENT),
        ("source-ip", BY_CLIENT),
        ("sticky", BY_COOKIE),
        ("cookie", BY_COOKIE),
        ("hash", BY_KEY),
        ("consistent-hash", BY_KEY),
        ("uri", BY_PATH),
        ("url-hash", BY_PATH),
    ];

    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.iter().map(|algorithm| (algorithm.name(), *algorithm)).collect()
    }
}

const BY_CLIENT: &str = "write \"maglev\", which goes by the client's address unless `hash` says otherwise";
const BY_COOKIE: &str = "write \"maglev\", and hash = { cookie = \"NAME\" }";
const BY_PATH: &str = "write \"maglev\", and hash = \"path\"";
const BY_KEY: &str = "write \"maglev\" or \"ring-hash\"; `hash` says by what";

/// A part of a request that needs no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HashWord {
    Client,
    Path,
}

impl Word for HashWord {
    const KIND: &'static str = "part of a request to hash";
    const MEANT: &'static [(&'static str, &'static str)] = &[
        ("header", "write { header = \"x-user\" }, with the header's name"),
        ("cookie", "write { cookie = \"session\" }, with the cookie's name"),
        ("query", "write { query = \"user\" }, with the parameter's name"),
        ("ip", "write \"client\""),
        ("source", "write \"client\""),
        ("source-ip", "write \"client\""),
        ("uri", "write \"path\", which leaves the query out"),
        ("url", "write \"path\", which leaves the query out"),
    ];

    fn words() -> Vec<(&'static str, Self)> {
        vec![("client", Self::Client), ("path", Self::Path)]
    }
}

impl Word for Start {
    const KIND: &'static str = "start state";

    fn words() -> Vec<(&'static str, Self)> {
        vec![("down", Self::Down), ("up", Self::Up)]
    }
}

impl Word for LogFormat {
    const KIND: &'static str = "log format";

    fn words() -> Vec<(&'static str, Self)> {
        vec![("text", Self::Text), ("json", Self::Json)]
    }
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListenerProtocol {
    Http,
    Tcp,
}

impl Word for ListenerProtocol {
    const KIND: &'static str = "protocol";
    const LATER: &'static [&'static str] =
        &["udp", "tls", "https", "http2", "h2", "h2c", "http3", "h3", "quic", "grpc", "websocket", "ws"];

    fn words() -> Vec<(&'static str, Self)> {
        vec![("http", Self::Http), ("tcp", Self::Tcp)]
    }
}

/// What endpoints are spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpstreamProtocol {
    Http1,
    Tcp,
}

impl Word for UpstreamProtocol {
    const KIND: &'static str = "protocol";
    const LATER: &'static [&'static str] =
        &["http2", "h2", "h2c", "udp", "tls", "https", "http3", "h3", "grpc", "fastcgi", "websocket"];

    fn words() -> Vec<(&'static str, Self)> {
        vec![("http1", Self::Http1), ("tcp", Self::Tcp)]
    }
}

/// What a probe does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    Http,
    Tcp,
    Redis,
}

impl Word for Probe {
    const KIND: &'static str = "kind of probe";
    const LATER: &'static [&'static str] = &["grpc"];

    fn words() -> Vec<(&'static str, Self)> {
        vec![("http", Self::Http), ("tcp", Self::Tcp), ("redis", Self::Redis)]
    }
}

impl Word for OnDown {
    const KIND: &'static str = "word";

    fn words() -> Vec<(&'static str, Self)> {
        vec![("keep", Self::Keep), ("close", Self::Close)]
    }
}
