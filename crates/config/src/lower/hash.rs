//! Hashing: by what requests are told apart, and how far endpoints may be filled for it.

use std::ops::Range;

use evenkeel_policy::affinity::Key;
use toml::Spanned;

use super::Uses;
use crate::codes;
use crate::diagnostic::Problems;
use crate::plan::Hashing;
use crate::schema::{Hash, HashKey, Upstream};
use crate::values::word::HashWord;

/// What an upstream hashes, if its algorithm picks by a hash.
pub(super) fn lower(name: &str, table: &Upstream, uses: Uses, problems: &mut Problems) -> Option<Hashing> {
    let balance = *table.balance.get_ref();
    if !balance.heeds_hash() {
        // A default has no place in the file.
        let bound = Some(table.hash_bound.span()).filter(|span| !span.is_empty());
        for (key, span) in [("hash", table.hash.as_ref().map(Spanned::span)), ("hash_bound", bound)] {
            let Some(span) = span else { continue };
            let message = format!("`{key}` has no effect with balance = \"{balance}\": it picks by no hash");
            let help = "remove it, or write balance = \"maglev\"";
            problems.error(codes::NO_EFFECT, span, message).help(help);
        }
        return None;
    }
    let key = table.hash.as_ref().and_then(|hash| key(hash.get_ref(), hash.span(), problems));
    if let (Some(hash), true) = (&table.hash, uses.only_sessions())
        && key.as_ref().is_some_and(|key| *key != Key::Client)
    {
        let message = format!("`hash` has no effect: upstream `{name}` has TCP sessions, no requests");
        let help = "remove it: a session goes by the client's address";
        problems.error(codes::NO_EFFECT, hash.span(), message).help(help);
    }
    let bound = table.hash_bound.get_ref().most().map(|bound| bound.0);
    Some(Hashing { key: key.unwrap_or_default(), bound })
}

fn key(hash: &HashKey, at: Range<usize>, problems: &mut Problems) -> Option<Key> {
    match hash {
        HashKey::Word(HashWord::Client) => Some(Key::Client),
        HashKey::Word(HashWord::Path) => Some(Key::Path),
        HashKey::Table(table) => named(table, at, problems),
    }
}

fn named(table: &Hash, at: Range<usize>, problems: &mut Problems) -> Option<Key> {
    let Hash { header, cookie, query } = table;
    let written: Vec<(&str, Range<usize>)> = [
        ("header", header.as_ref().map(Spanned::span)),
        ("cookie", cookie.as_ref().map(Spanned::span)),
        ("query", query.as_ref().map(Spanned::span)),
    ]
    .into_iter()
    .filter_map(|(key, span)| Some((key, span?)))
    .collect();
    match written.as_slice() {
        [_] => {}
        [] => {
            problems
                .error(codes::ONE_KEY, at, "`hash` names nothing to hash")
                .help("add one of `header`, `cookie` and `query`");
        }
        [(first, at), rest @ ..] => {
            let others: Vec<String> = rest.iter().map(|(key, _)| format!("`{key}`")).collect();
            let message = format!("`hash` has `{first}` and {}", others.join(" and "));
            let mut details = problems.error(codes::ONE_KEY, at.clone(), message);
            for (_, span) in rest {
                details = details.note(span.clone(), "and this");
            }
            details.help("keep one of them; a request that does not have it goes by the client's address");
        }
    }
    let header = header.as_ref().and_then(|name| name.get_ref().clone()).map(|name| Key::Header(name.0));
    let cookie = cookie.as_ref().and_then(|name| name.get_ref().clone()).map(|name| Key::Cookie(name.0));
    let query = query.as_ref().and_then(|name| name.get_ref().clone()).map(|name| Key::Query(name.0));
    header.or(cookie).or(query)
}
