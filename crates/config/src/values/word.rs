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
        let help = match nearest(written, words.iter().map(|(word, _)| *word)) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("write {}", <T as Setting>::shape().describe()),
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
    const LATER: &'static [&'static str] =
        &["ring-hash", "maglev", "ip-hash", "source-ip", "consistent-hash"];

    fn words() -> Vec<(&'static str, Self)> {
        Self::ALL.iter().map(|algorithm| (algorithm.name(), *algorithm)).collect()
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
