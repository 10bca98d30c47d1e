//! `SORT`: the elements of a list, set or sorted set in another order, or what is kept under keys made of them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use crate::command::Context;
use crate::error::Error;
use crate::resp::{Args, Reply, parse_float};
use crate::store::{Expiry, Hash, Keyspace, Kind, List, Text, Value};

#[derive(Debug)]
struct Options<'a> {
    descending: bool,
    /// As text, not as numbers.
    alphabetic: bool,
    /// First element, and how many; negative for all.
    limit: (i64, i64),
    by: Option<&'a [u8]>,
    get: Vec<&'a [u8]>,
    store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(args: &Args<'a>, may_store: bool) -> Result<Self, Error> {
        let mut options = Self {
            descending: false,
            alphabetic: false,
            limit: (0, -1),
            by: None,
            get: Vec::new(),
            store: None,
        };
        let mut at = 2;
        while at < args.len() {
            let value = args.get(at + 1);
            let mut values = 1;
            match value {
                _ if args.is(at, "ASC") => (options.descending, values) = (false, 0),
                _ if args.is(at, "DESC") => (options.descending, values) = (true, 0),
                _ if args.is(at, "ALPHA") => (options.alphabetic, values) = (true, 0),
                _ if args.is(at, "LIMIT") && at + 2 < args.len() => {
                    options.limit = (args.integer(at + 1)?, args.integer(at + 2)?);
                    values = 2;
                }
                Some(key) if args.is(at, "STORE") && may_store => options.store = Some(key),
                Some(pattern) if args.is(at, "BY") => options.by = Some(pattern),
                Some(pattern) if args.is(at, "GET") => options.get.push(pattern),
                _ => return Err(Error::SYNTAX),
            }
            at += 1 + values;
        }
        Ok(options)
    }

    /// The places asked for, of `length` elements.
    fn range(&self, length: usize) -> Range<usize> {
        let start = usize::try_from(self.limit.0).unwrap_or(0).min(length);
        let end =
            usize::try_from(self.limit.1).map_or(length, |count| start.saturating_add(count).min(length));
        start..end
    }
}

pub(super) fn sort(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    run(context, args.at(1), &Options::parse(args, true)?, reply)
}

pub(super) fn sort_ro(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    run(context, args.at(1), &Options::parse(args, false)?, reply)
}

fn run(
    context: &mut Context<'_>,
    key: &[u8],
    options: &Options<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let sorted = sorted(&mut context.keys, key, options)?;
    let keys = &context.keys;
    let own: &[&[u8]] = &[b"#"];
    let get = if options.get.is_empty() { own } else { &options.get };
    let found = sorted.iter().flat_map(|element| get.iter().map(|pattern| named(keys, pattern, element)));
    let Some(target) = options.store else {
        reply.array(sorted.len() * get.len());
        found.for_each(|found| reply.bulk_or_null(found.as_deref()));
        return Ok(());
    };
    let mut list = List::default();
    found.for_each(|found| list.push_back(found.as_deref().unwrap_or_default()));
    reply.count(list.len());
    match list.is_empty() {
        true => _ = context.keys.delete(target),
        false => context.keys.set(target, list.into_value(), Expiry::Never),
    }
    Ok(())
}

/// The elements of `key` that are asked for, in their order.
fn sorted(keys: &mut Keyspace<'_>, key: &[u8], options: &Options<'_>) -> Result<Vec<Vec<u8>>, Error> {
    let descending = options.descending;
    let by = options.by.filter(|pattern| pattern.contains(&b'*'));
    // A pattern that does not depend on the element asks for no order.
    let mut unsorted = options.by.is_some() && by.is_none();
    let mut alphabetic = options.alphabetic;
    let mut elements: Vec<Vec<u8>> = match keys.value(key) {
        None => Vec::new(),
        Some(Value::List(list)) => list.iter().map(<[u8]>::to_vec).collect(),
        Some(Value::SortedSet(sorted)) => sorted.iter().map(|(member, _)| member.to_vec()).collect(),
        Some(Value::Set(set)) => {
            // What is stored has to be the same on replicas, where a set may have another order.
            if unsorted && options.store.is_some() {
                (unsorted, alphabetic) = (false, true);
            }
            set.iter().map(|member| member.as_ref().to_vec()).collect()
        }
        Some(Value::Text(_) | Value::Hash(_)) => return Err(Error::WRONG_TYPE),
    };
    let range = options.range(elements.len());
    if unsorted {
        if descending && !matches!(keys.peek(key), Some(Value::Set(_))) {
            elements.reverse();
        }
    } else {
        elements = in_order(keys, elements, by, alphabetic, descending)?;
    }
    elements.truncate(range.end);
    elements.drain(..range.start);
    Ok(elements)
}

/// What one element is compared by.
#[derive(Debug)]
enum Weight {
    Number(f64),
    /// Without one it is the least.
    Text(Option<Vec<u8>>),
}

fn in_order(
    keys: &Keyspace<'_>,
    elements: Vec<Vec<u8>>,
    by: Option<&[u8]>,
    alphabetic: bool,
    descending: bool,
) -> Result<Vec<Vec<u8>>, Error> {
    let weigh = |element: &Vec<u8>| {
        let text = match by {
            Some(pattern) => named(keys, pattern, element),
            None if alphabetic => return Ok(Weight::Text(None)),
            None => Some(Cow::Borrowed(&**element)),
        };
        Ok(match (alphabetic, text) {
            (true, text) => Weight::Text(text.map(Cow::into_owned)),
            (false, None) => Weight::Number(0.0),
            (false, Some(text)) => Weight::Number(number(&text).ok_or(NO_NUMBER)?),
        })
    };
    let mut weighed = elements
        .into_iter()
        .map(|element| Ok((weigh(&element)?, element)))
        .collect::<Result<Vec<(Weight, Vec<u8>)>, Error>>()?;
    weighed.sort_by(|(one, first), (other, second)| {
        let order = match (one, other) {
            (Weight::Number(one), Weight::Number(other)) => one.partial_cmp(other).unwrap_or(Ordering::Equal),
            (Weight::Text(one), Weight::Text(other)) => one.cmp(other),
            _ => Ordering::Equal,
        };
        // Those that weigh the same have an order nevertheless, or the answer would depend on how they are kept.
        let order = order.then_with(|| first.cmp(second));
        if descending { order.reverse() } else { order }
    });
    Ok(weighed.into_iter().map(|(_, element)| element).collect())
}

/// As C reads it: nothing is zero, space before it does not matter.
fn number(text: &[u8]) -> Option<f64> {
    if text.is_empty() { Some(0.0) } else { parse_float(text.trim_ascii_start()) }
}

/// What a pattern means for an element: `#` the element, `a*b` the string under the key with the element in the star's
/// place, `a*b->f` the field of the hash there.
fn named<'k>(keys: &'k Keyspace<'_>, pattern: &[u8], element: &'k [u8]) -> Option<Cow<'k, [u8]>> {
    if pattern == b"#" {
        return Some(Cow::Borrowed(element));
    }
    let star = memchr::memchr(b'*', pattern)?;
    let (before, behind) = pattern.split_at_checked(star)?;
    let behind = behind.get(1..)?;
    let arrow = memchr::memmem::find(behind, b"->").filter(|at| at + 2 < behind.len());
    let (behind, field) = match arrow.and_then(|at| behind.split_at_checked(at)) {
        Some((behind, field)) => (behind, field.get(2..)),
        None => (behind, None),
    };
    let key = [before, element, behind].concat();
    let value = match field {
        Some(field) => keys.get::<Hash>(&key).ok()??.get(field)?,
        None => keys.get::<Text>(&key).ok()??.as_bytes(),
    };
    Some(Cow::Borrowed(value))
}

const NO_NUMBER: Error = Error::new("ERR One or more scores can't be converted into double");
