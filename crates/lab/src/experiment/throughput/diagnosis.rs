//! What broke first, from what was used and who waited. Pure.
//!
//! A thing is full when most of it is used and more wait for it than in the last step that was good. Of several, the
//! innermost is to blame: a request keeps its place in a backend while it waits for the database, so a full database
//! fills the places before it, and nothing behind the bottleneck is ever full. Processors come after those, though
//! they are further in: one that is short makes everything take longer, and by that it is told. What serves does not
//! take longer for being asked more often, so a thing whose service time grew is waiting for something itself. And by
//! Little's law it is known where the requests are that are more than before: when they are not in the backends, no
//! backend is to blame.

use serde::Serialize;

use super::evidence::{Evidence, Thing, Use};

/// From here on queues are longer than what is served, whatever is queued for (Gregg: 70 %).
const BUSY: f64 = 0.7;
/// A service time that grew by more has waiting in it.
const STEADY: f64 = 1.5;
/// A pool with a smaller share of what its backend is serving does not hold it up.
const MOST_OF_IT: f64 = 0.5;
/// A processor that is used this much has nothing left between the samples.
const FULL: f64 = 0.85;
/// The machine's cores: also others use them.
const MACHINE_FULL: f64 = 0.95;
/// So many more must wait than before.
const GREW: f64 = 2.0;
/// A backend that takes so many times as long as the others is slow.
const SLOW: f64 = 3.0;
/// From this share of reads that miss a cache is of little use.
const MISSING: f64 = 0.3;
/// Of what misses, as much goes out again: the cache is full, and what is asked for does not fit.
const THRASHING: f64 = 0.5;

/// What broke first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Cause {
    DatabasePool,
    BackendConcurrency,
    SlowBackend,
    CacheTooSmall,
    CacheCpu,
    BackendCpu,
    ProxyCpu,
    LoadGenerator,
    MachineCpu,
    Unknown,
}

/// A cause, whose it is, and what speaks for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) cause: Cause,
    /// The parts it is in; none for what is nobody's own.
    pub(super) parts: Vec<String>,
    /// The share that was used of what was full, when it broke and in the last good step.
    pub(super) used: Option<f64>,
    pub(super) used_before: Option<f64>,
    /// Who waited for it, when it broke and in the last good step.
    pub(super) queue: Option<f64>,
    pub(super) queue_before: Option<f64>,
    /// What else speaks for it, as half a sentence, or nothing.
    pub(super) because: String,
}

/// What was seen when it broke, and in the last step before in which it did not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) good: Option<&'a Evidence>,
    pub(super) broken: &'a Evidence,
    /// The load started requests late, by more than what was promised of their answers allows.
    pub(super) is_late: bool,
}

impl Case<'_> {
    pub(super) fn find(&self) -> Finding {
        let inside = self.grew_inside();
        let innermost = inside
            .then(|| self.of_pools())
            .flatten()
            .or_else(|| self.plain(Thing::CacheCpu, Cause::CacheCpu))
            .or_else(|| inside.then(|| self.of_places()).flatten())
            .or_else(|| self.plain(Thing::BackendCpu, Cause::BackendCpu))
            .or_else(|| self.plain(Thing::ProxyCpu, Cause::ProxyCpu))
            .or_else(|| self.plain(Thing::Generator, Cause::LoadGenerator))
            .or_else(|| self.of_machine());
        innermost.or_else(|| self.of_lateness()).or_else(|| self.of_paces()).unwrap_or_else(|| Finding {
            because: "nothing that was watched was full".to_owned(),
            ..Finding::of(Cause::Unknown, Vec::new())
        })
    }

    /// A full pool is too small, or kept too long by each query, or filled by a cache that is too small.
    fn of_pools(&self) -> Option<Finding> {
        let full = self.full(Thing::Pool)?;
        let (mine, others) = self.split(Thing::Pool, &full);
        if let (Some(mine), Some(others)) = (middle(&mine, |it| it.service), middle(&others, |it| it.service))
            && mine >= SLOW * others
        {
            let because = format!(
                "a query keeps its connection for {}, those of the others for {}",
                ms(mine),
                ms(others)
            );
            return Some(self.about(Cause::SlowBackend, &full, because));
        }
        let sizes = (middle(&mine, |it| Some(it.there_is)), middle(&others, |it| Some(it.there_is)));
        if let (Some(mine), Some(others)) = sizes
            && mine < others
        {
            let because = format!("of connections it has {mine:.0}, the others have {others:.0}");
            return Some(self.about(Cause::DatabasePool, &full, because));
        }
        let cache = self.broken.cache;
        if let Some(hits) = cache.hit_share()
            && 1.0 - hits >= MISSING
            && cache.evictions >= THRASHING * cache.misses
        {
            let because = format!(
                "{:.0} % of the reads missed the cache, which put out {:.0} entries a second to make room: these reads \
                 filled the database's connections",
                (1.0 - hits) * 100.0,
                cache.evictions
            );
            return Some(self.about(Cause::CacheTooSmall, &full, because));
        }
        Some(self.about(Cause::DatabasePool, &full, String::new()))
    }

    /// Full places are too few, or kept too long by each request.
    fn of_places(&self) -> Option<Finding> {
        let full = self.full(Thing::Places)?;
        // While nothing waits inside, a place is kept as long as the work takes.
        let before = self.good.unwrap_or(self.broken);
        let (mine, others) = split(before, Thing::Places, &full);
        if let (Some(mine), Some(others)) = (middle(&mine, |it| it.service), middle(&others, |it| it.service))
            && mine >= SLOW * others
        {
            let because =
                format!("a request keeps its place for {}, at the others for {}", ms(mine), ms(others));
            return Some(self.about(Cause::SlowBackend, &full, because));
        }
        Some(self.about(Cause::BackendConcurrency, &full, String::new()))
    }

    /// All cores are used, by the parts or by somebody else.
    fn of_machine(&self) -> Option<Finding> {
        let full = self.full(Thing::Machine)?;
        let cores = full.first().map_or(0.0, |machine| machine.there_is);
        let because = format!("of {cores:.0} cores this experiment used {:.1}", self.broken.ours);
        Some(self.about(Cause::MachineCpu, &full, because))
    }

    /// Nothing is full, but one backend takes much longer than the others.
    fn of_paces(&self) -> Option<Finding> {
        let paces = &self.broken.paces;
        let slowest = paces.iter().max_by(|one, other| one.mean.total_cmp(&other.mean))?;
        let others: Vec<f64> =
            paces.iter().filter(|pace| pace.part != slowest.part).map(|pace| pace.mean).collect();
        let others = median(others)?;
        (slowest.mean >= SLOW * others).then(|| Finding {
            because: format!(
                "nothing is full, but a request takes {} there and {} at the others",
                ms(slowest.mean),
                ms(others)
            ),
            ..Finding::of(Cause::SlowBackend, vec![slowest.part.clone()])
        })
    }

    fn of_lateness(&self) -> Option<Finding> {
        self.is_late.then(|| Finding {
            because: "requests were sent later than they were due".to_owned(),
            ..Finding::of(Cause::LoadGenerator, Vec::new())
        })
    }

    fn plain(&self, thing: Thing, cause: Cause) -> Option<Finding> {
        Some(self.about(cause, &self.full(thing)?, String::new()))
    }

    /// Those of that kind that are full; `None` if none is.
    fn full(&self, thing: Thing) -> Option<Vec<&Use>> {
        let full: Vec<&Use> =
            self.broken.uses.iter().filter(|it| it.thing == thing && self.is_full(it)).collect();
        (!full.is_empty()).then_some(full)
    }

    fn is_full(&self, it: &Use) -> bool {
        match it.thing {
            // Nothing that is watched is further in than a pool: if a query takes longer, that is the reason.
            Thing::Pool => self.is_queue(it) && it.share.is_none_or(|share| share >= MOST_OF_IT),
            Thing::Places => self.is_queue(it) && self.is_steady(it),
            Thing::CacheCpu | Thing::BackendCpu | Thing::ProxyCpu | Thing::Generator => it.used >= FULL,
            Thing::Machine => it.used >= MACHINE_FULL,
        }
    }

    /// Whether most of it is used and more wait for it than before.
    fn is_queue(&self, it: &Use) -> bool {
        let before = self.before(it).and_then(|before| before.queue).unwrap_or(0.0);
        it.used >= BUSY && it.queue.is_some_and(|queue| queue >= before + GREW)
    }

    /// Whether at least half of the requests that came to those under way are in the backends.
    fn grew_inside(&self) -> bool {
        let before = self.good.map_or((0.0, 0.0), |good| (good.inside, good.outside));
        self.broken.inside - before.0 >= self.broken.outside - before.1
    }

    /// Whether it serves as fast as before, so far as that is known.
    fn is_steady(&self, it: &Use) -> bool {
        match (it.service, self.before(it).and_then(|before| before.service)) {
            (Some(now), Some(before)) => now <= STEADY * before,
            _ => true,
        }
    }

    /// The same thing in the last good step.
    fn before(&self, it: &Use) -> Option<&Use> {
        self.good?.uses.iter().find(|before| before.thing == it.thing && before.part == it.part)
    }

    fn split(&self, thing: Thing, full: &[&Use]) -> (Vec<&Use>, Vec<&Use>) {
        split(self.broken, thing, full)
    }

    fn about(&self, cause: Cause, full: &[&Use], because: String) -> Finding {
        // The fullest of them speaks for all.
        let worst = full.iter().max_by(|one, other| one.used.total_cmp(&other.used));
        let before = worst.and_then(|worst| self.before(worst));
        let parts = full.iter().map(|it| it.part.clone()).filter(|part| !part.is_empty()).collect();
        Finding {
            used: worst.map(|it| it.used),
            used_before: before.map(|it| it.used),
            queue: worst.and_then(|it| it.queue),
            queue_before: before.and_then(|it| it.queue),
            because,
            ..Finding::of(cause, parts)
        }
    }
}

impl Finding {
    fn of(cause: Cause, parts: Vec<String>) -> Self {
        let (used, used_before, queue, queue_before) = (None, None, None, None);
        Self { cause, parts, used, used_before, queue, queue_before, because: String::new() }
    }

    /// Whether it could as well be a moment's disturbance: then it has to be seen twice.
    pub(super) fn is_doubtful(&self) -> bool {
        matches!(self.cause, Cause::Unknown | Cause::LoadGenerator | Cause::MachineCpu)
    }
}

impl Cause {
    /// What it is called: `the database pool of toy-2`.
    pub(super) fn told(self, parts: &[String]) -> String {
        let pool = if parts.len() > 1 { "pools" } else { "pool" };
        let parts = parts.join(", ");
        match self {
            Self::DatabasePool => format!("the database {pool} of {parts}"),
            Self::BackendConcurrency => format!("the places (concurrency) of {parts}"),
            Self::SlowBackend => format!("the slow backend {parts}"),
            Self::CacheTooSmall => {
                format!("a cache that is too small, and behind it the database {pool} of {parts}")
            }
            Self::CacheCpu => "the processor of the cache".to_owned(),
            Self::BackendCpu => format!("the processor of {parts}"),
            Self::ProxyCpu => "the processor of the proxy".to_owned(),
            Self::LoadGenerator => "the load generator".to_owned(),
            Self::MachineCpu => "the machine's cores".to_owned(),
            Self::Unknown => "something that was not watched".to_owned(),
        }
    }
}

/// Those of that kind, in what was seen, that are among the full ones' parts, and the others.
fn split<'a>(seen: &'a Evidence, thing: Thing, full: &[&Use]) -> (Vec<&'a Use>, Vec<&'a Use>) {
    let all = seen.uses.iter().filter(|it| it.thing == thing);
    all.partition(|it| full.iter().any(|full| full.part == it.part))
}

fn middle(uses: &[&Use], value: impl Fn(&Use) -> Option<f64>) -> Option<f64> {
    median(uses.iter().filter_map(|it| value(it)).collect())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn ms(seconds: f64) -> String {
    crate::figures::duration(std::time::Duration::try_from_secs_f64(seconds).ok())
}

#[cfg(test)]
mod tests;
