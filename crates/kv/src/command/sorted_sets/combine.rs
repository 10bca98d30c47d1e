//! `ZUNION`, `ZINTER`, `ZDIFF`, their `STORE` forms and `ZINTERCARD`: several sets, sorted or not, become one.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::command::Context;
use crate::command::several::number;
use crate::command::sorted_sets::{range::store, write};
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Keyspace, Member, Set, SortedSet, Value};

/// How sets become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of the scores that one member has in several sets.
#[derive(Clone, Copy, Debug)]
enum Aggregate {
    Sum,
    Least,
    Greatest,
}

/// What a command asks for beside its sets.
#[derive(Debug)]
struct Options {
    /// Factors for the scores of each set.
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: usize,
}

/// Which options a command has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Answers,
    Stores,
    Counts,
}

/// A set with a factor for its scores. The members of a plain set have the score 1.
#[derive(Clone, Copy, Debug)]
struct Source<'s> {
    set: Either<'s>,
    weight: f64,
}

#[derive(Clone, Copy, Debug)]
enum Either<'s> {
    None,
    Sorted(&'s SortedSet),
    Plain(&'s Set),
}

/// `ZUNION numkeys key [key …] [WEIGHTS weight …] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]`
pub(super) fn zunion(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    answer(context, args, reply, Operation::Union)
}

/// `ZINTER numkeys key [key …] [WEIGHTS weight …] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]`
pub(super) fn zinter(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    answer(context, args, reply, Operation::Intersection)
}

/// `ZDIFF numkeys key [key …] [WITHSCORES]`
pub(super) fn zdiff(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    answer(context, args, reply, Operation::Difference)
}

/// `ZUNIONSTORE destination numkeys key [key …] [WEIGHTS weight …] [AGGREGATE SUM | MIN | MAX]`
pub(super) fn zunionstore(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    combine_and_store(context, args, reply, Operation::Union)
}

/// `ZINTERSTORE destination numkeys key [key …] [WEIGHTS weight …] [AGGREGATE SUM | MIN | MAX]`
pub(super) fn zinterstore(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    combine_and_store(context, args, reply, Operation::Intersection)
}

/// `ZDIFFSTORE destination numkeys key [key …]`
pub(super) fn zdiffstore(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    combine_and_store(context, args, reply, Operation::Difference)
}

/// `ZINTERCARD numkeys key [key …] [LIMIT limit]`
pub(super) fn zintercard(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Error> {
    let (keys, options) = asked(context, args, 1, Operation::Intersection, Form::Counts)?;
    let sources = sources(&context.keys, &keys, &options);
    let sources = smallest_first(&sources);
    let shared = sources.split_first().map_or(0, |(first, others)| {
        let shared = first.members().filter(|(member, _)| others.iter().all(|other| other.has(member)));
        shared.take(if options.limit == 0 { usize::MAX } else { options.limit }).count()
    });
    reply.count(shared);
    Ok(())
}

fn answer(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    operation: Operation,
) -> Result<(), Error> {
    let (keys, options) = asked(context, args, 1, operation, Form::Answers)?;
    let sources = sources(&context.keys, &keys, &options);
    write(reply, combined(&sources, operation, options.aggregate).into_iter(), options.with_scores);
    Ok(())
}

fn combine_and_store(
    context: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    operation: Operation,
) -> Result<(), Error> {
    let (keys, options) = asked(context, args, 2, operation, Form::Stores)?;
    let mut result = SortedSet::default();
    for (member, score) in combined(&sources(&context.keys, &keys, &options), operation, options.aggregate) {
        result.insert(&member, score);
    }
    store(context, args.at(1), result, reply);
    Ok(())
}

/// The keys, behind their number at `count`, and the options. Counts the keys as looked up.
fn asked<'a>(
    context: &mut Context<'_>,
    args: &Args<'a>,
    count: usize,
    operation: Operation,
    form: Form,
) -> Result<(Vec<&'a [u8]>, Options), Error> {
    let keys = args.integer(count)?;
    let keys = usize::try_from(keys).ok().filter(|keys| *keys > 0).ok_or_else(|| {
        let name = String::from_utf8_lossy(args.at(0)).to_ascii_lowercase();
        Error::told(format!("ERR at least 1 input key is needed for '{name}' command"))
    })?;
    let words = args.from(count + 1);
    if keys > words.len() {
        return Err(Error::SYNTAX);
    }
    let options = words.from(keys);
    let keys: Vec<_> = words.iter().take(keys).collect();
    for key in &keys {
        match context.keys.value(key) {
            None | Some(Value::SortedSet(_) | Value::Set(_)) => {}
            Some(_) => return Err(Error::WRONG_TYPE),
        }
    }
    let options = Options::parse(&options, keys.len(), operation, form)?;
    Ok((keys, options))
}

impl Options {
    fn parse(args: &Args<'_>, keys: usize, operation: Operation, form: Form) -> Result<Self, Error> {
        let mut options =
            Self { weights: vec![1.0; keys], aggregate: Aggregate::Sum, with_scores: false, limit: 0 };
        let scored = operation != Operation::Difference && form != Form::Counts;
        let mut at = 0;
        while at < args.len() {
            if scored && args.is(at, "WEIGHTS") && args.len() - at > keys {
                for (index, weight) in options.weights.iter_mut().enumerate() {
                    *weight = args.float(at + 1 + index).map_err(|_| NO_WEIGHT)?;
                }
                at += 1 + keys;
            } else if scored && args.is(at, "AGGREGATE") && at + 1 < args.len() {
                options.aggregate = match () {
                    () if args.is(at + 1, "SUM") => Aggregate::Sum,
                    () if args.is(at + 1, "MIN") => Aggregate::Least,
                    () if args.is(at + 1, "MAX") => Aggregate::Greatest,
                    () => return Err(Error::SYNTAX),
                };
                at += 2;
            } else if form == Form::Answers && args.is(at, "WITHSCORES") {
                options.with_scores = true;
                at += 1;
            } else if form == Form::Counts && args.is(at, "LIMIT") && at + 1 < args.len() {
                options.limit = number(args, at + 1, 0, NEGATIVE_LIMIT)?;
                at += 2;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(options)
    }
}

fn sources<'s>(keys: &'s Keyspace<'_>, names: &[&[u8]], options: &Options) -> Vec<Source<'s>> {
    let set = |key: &&[u8]| match keys.peek(key) {
        Some(Value::SortedSet(set)) => Either::Sorted(set),
        Some(Value::Set(set)) => Either::Plain(set),
        _ => Either::None,
    };
    names.iter().map(set).zip(&options.weights).map(|(set, weight)| Source { set, weight: *weight }).collect()
}

/// What the sets come to, in order.
fn combined<'s>(
    sources: &[Source<'s>],
    operation: Operation,
    aggregate: Aggregate,
) -> Vec<(Cow<'s, [u8]>, f64)> {
    let mut result: Vec<_> = match operation {
        Operation::Union => {
            // The smallest first, as sums of fractions depend on it.
            let mut scores = HashMap::new();
            for source in smallest_first(sources) {
                for (member, score) in source.members() {
                    let place = scores.entry(member);
                    place.and_modify(|sum| *sum = aggregate.of(*sum, score)).or_insert(score);
                }
            }
            scores.into_iter().collect()
        }
        Operation::Intersection => {
            let sources = smallest_first(sources);
            let Some((first, others)) = sources.split_first() else { return Vec::new() };
            let all = |(member, score): (Cow<'s, [u8]>, f64)| {
                let mut scores = others.iter().map(|other| other.score(&member));
                let score = scores.try_fold(score, |sum, score| Some(aggregate.of(sum, score?)))?;
                Some((member, score))
            };
            first.members().filter_map(all).collect()
        }
        Operation::Difference => {
            let Some((first, others)) = sources.split_first() else { return Vec::new() };
            first.members().filter(|(member, _)| !others.iter().any(|other| other.has(member))).collect()
        }
    };
    result.sort_unstable_by(|(one, low), (other, high)| {
        low.partial_cmp(high).unwrap_or(std::cmp::Ordering::Equal).then_with(|| one.cmp(other))
    });
    result
}

fn smallest_first<'s>(sources: &[Source<'s>]) -> Vec<Source<'s>> {
    let mut sources = sources.to_vec();
    sources.sort_by_key(Source::len);
    sources
}

impl Aggregate {
    fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Sum => number_or_zero(one + other),
            Self::Least if other < one => other,
            Self::Greatest if other > one => other,
            Self::Least | Self::Greatest => one,
        }
    }
}

/// What infinities that cancel out come to is 0.
fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

impl<'s> Source<'s> {
    fn len(&self) -> usize {
        match self.set {
            Either::None => 0,
            Either::Sorted(set) => set.len(),
            Either::Plain(set) => set.len(),
        }
    }

    fn has(&self, member: &[u8]) -> bool {
        self.score(member).is_some()
    }

    /// The score of a member, the factor included: not a number for 0 times infinity.
    fn score(&self, member: &[u8]) -> Option<f64> {
        let score = match self.set {
            Either::None => None,
            Either::Sorted(set) => set.score(member),
            Either::Plain(set) => set.contains(member).then_some(1.0),
        };
        score.map(|score| score * self.weight)
    }

    /// All members with their scores, the factor included.
    fn members(&self) -> impl Iterator<Item = (Cow<'s, [u8]>, f64)> + use<'s> {
        let weight = self.weight;
        let (sorted, plain) = match self.set {
            Either::None => (None, None),
            Either::Sorted(set) => (Some(set), None),
            Either::Plain(set) => (None, Some(set)),
        };
        let sorted = sorted.into_iter().flat_map(SortedSet::iter);
        let plain = plain.into_iter().flat_map(Set::iter).map(|member| match member {
            Member::Stored(member) => (Cow::Borrowed(member), 1.0),
            Member::Number(member) => (Cow::Owned(member.as_bytes().to_vec()), 1.0),
        });
        let members = sorted.map(|(member, score)| (Cow::Borrowed(member), score)).chain(plain);
        members.map(move |(member, score)| (member, number_or_zero(score * weight)))
    }
}

const NO_WEIGHT: Error = Error::new("ERR weight value is not a float");
const NEGATIVE_LIMIT: Error = Error::new("ERR LIMIT can't be negative");
