//! [`Watch`]: what parts use and count, looked at again and again while something else goes on.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Metrics, Part, Scheduled, ask};

/// A part that does not tell its metrics for so long is passed over once.
const PATIENCE: Duration = Duration::from_secs(1);
/// No more looks at a part are kept: a day, if there are ten in a second.
const MOST: usize = 864_000;

/// Looks at parts, each from a thread of its own, so that one that does not answer hides none of the others.
#[derive(Debug)]
pub struct Watch {
    /// Dropped, it ends the threads.
    stop: Vec<Sender<()>>,
    threads: Vec<JoinHandle<Series>>,
}

/// What was seen of one part.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// The part.
    pub name: String,
    /// Of what else is looked at, the metrics' names.
    pub metrics: &'static [&'static str],
    /// In order of time.
    pub looks: Vec<Look>,
}

/// What was seen at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Look {
    /// When, since the moment that the watch counts from.
    pub at: Duration,
    /// Until then.
    pub scheduled: Scheduled,
    /// The metrics, each summed over its labels, in order of their names; NaN for one that is not there.
    pub values: Vec<f64>,
}

impl Watch {
    /// Looks at these parts, and at these metrics of each, at once and then every so often. Times count from `epoch`.
    ///
    /// # Errors
    /// Threads are missing.
    pub fn start(
        parts: &[(&Part, &'static [&'static str])],
        every: Duration,
        epoch: Instant,
    ) -> io::Result<Self> {
        let mut watch = Self { stop: Vec::new(), threads: Vec::new() };
        for (part, metrics) in parts {
            let (pid, admin) = (part.pid(), part.admin());
            let series = Series { name: part.name().to_owned(), metrics, looks: Vec::new() };
            let (stop, stopped) = channel();
            let look = move || look_again(series, (pid, admin), every, epoch, &stopped);
            watch.threads.push(thread::Builder::new().name("watch".into()).spawn(look)?);
            watch.stop.push(stop);
        }
        Ok(watch)
    }

    /// Looks once more at all of them, and says what was seen, in the order of the parts.
    pub fn finish(mut self) -> Vec<Series> {
        self.stop.clear();
        // One that panicked has been heard of.
        self.threads.drain(..).map(|thread| thread.join().unwrap_or_default()).collect()
    }
}

fn look_again(
    mut series: Series,
    (pid, admin): (u32, SocketAddr),
    every: Duration,
    epoch: Instant,
    stopped: &Receiver<()>,
) -> Series {
    loop {
        let began = Instant::now();
        if let Some(look) = look(pid, admin, series.metrics, epoch).filter(|_| series.looks.len() < MOST) {
            series.looks.push(look);
        }
        let pause = every.saturating_sub(began.elapsed());
        if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            series.looks.extend(self::look(pid, admin, series.metrics, epoch));
            return series;
        }
    }
}

/// `None` if the part is gone, or does not tell.
fn look(pid: u32, admin: SocketAddr, metrics: &[&str], epoch: Instant) -> Option<Look> {
    let values = if metrics.is_empty() {
        Vec::new()
    } else {
        let page = Metrics::parse(&ask(admin, "GET", "/metrics", PATIENCE).ok()?.body);
        metrics.iter().map(|name| page.sum(name, &[]).unwrap_or(f64::NAN)).collect()
    };
    // The time of the page is that of its end: what came while it was waited for may be in it.
    Some(Look { at: epoch.elapsed(), scheduled: Scheduled::of(pid).ok()?, values })
}

impl Series {
    /// How much the metric grew per second over the span; `None` without two looks that tell.
    pub fn rate(&self, metric: &str, (from, to): (Duration, Duration)) -> Option<f64> {
        let place = self.place(metric)?;
        let value = |look: &Look| look.values.get(place).copied();
        self.slope(value, from, to)
    }

    /// Processor time used per second: cores.
    pub fn cores(&self, (from, to): (Duration, Duration)) -> Option<f64> {
        self.slope(|look| Some(look.scheduled.ran.as_secs_f64()), from, to)
    }

    /// Threads that waited for a core, on average.
    pub fn cores_waited_for(&self, (from, to): (Duration, Duration)) -> Option<f64> {
        self.slope(|look| Some(look.scheduled.waited.as_secs_f64()), from, to)
    }

    /// The metric's mean over the looks within the span.
    pub fn mean(&self, metric: &str, span: (Duration, Duration)) -> Option<f64> {
        let values: Vec<f64> = self.within(metric, span);
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// The metric's highest value within the span.
    pub fn most(&self, metric: &str, span: (Duration, Duration)) -> Option<f64> {
        self.within(metric, span).into_iter().reduce(f64::max)
    }

    /// The metric as it was seen last before that time.
    pub fn before(&self, metric: &str, time: Duration) -> Option<f64> {
        let place = self.place(metric)?;
        let seen = self.looks.iter().rev().filter(|look| look.at <= time);
        seen.filter_map(|look| look.values.get(place).copied()).find(|value| value.is_finite())
    }

    fn place(&self, metric: &str) -> Option<usize> {
        self.metrics.iter().position(|name| *name == metric)
    }

    fn within(&self, metric: &str, (from, to): (Duration, Duration)) -> Vec<f64> {
        let Some(place) = self.place(metric) else { return Vec::new() };
        let looks = self.looks.iter().filter(|look| (from..=to).contains(&look.at));
        looks.filter_map(|look| look.values.get(place).copied()).filter(|value| value.is_finite()).collect()
    }

    /// The growth of what is counted, per second, between its ends; between two looks it is taken to grow evenly.
    fn slope(&self, value: impl Fn(&Look) -> Option<f64>, from: Duration, to: Duration) -> Option<f64> {
        let points: Vec<(f64, f64)> = self
            .looks
            .iter()
            .filter_map(|look| Some((look.at.as_secs_f64(), value(look).filter(|value| value.is_finite())?)))
            .collect();
        let (start, end) = (at(&points, from.as_secs_f64())?, at(&points, to.as_secs_f64())?);
        (end.0 > start.0).then(|| (end.1 - start.1) / (end.0 - start.0))
    }
}

/// The point of a line through these points at that x, or its end that is nearer.
fn at(points: &[(f64, f64)], x: f64) -> Option<(f64, f64)> {
    let after = points.iter().position(|point| point.0 >= x).unwrap_or(points.len());
    let before = after.checked_sub(1).and_then(|place| points.get(place));
    match (before, points.get(after)) {
        (Some(before), Some(after)) => {
            let share = (x - before.0) / (after.0 - before.0);
            Some((x, before.1 + share * (after.1 - before.1)))
        }
        (one, other) => one.or(other).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> Series {
        let looks = (0..5_u64).map(|n| Look {
            at: Duration::from_secs(n),
            scheduled: Scheduled { ran: Duration::from_millis(500 * n), waited: Duration::from_secs(2 * n) },
            // The third is missing.
            values: vec![if n == 2 { f64::NAN } else { (n * n) as f64 }, 7.0],
        });
        Series { name: "a".to_owned(), metrics: &["square", "seven"], looks: looks.collect() }
    }

    #[test]
    fn spans_are_asked_for_their_rates_means_and_ends() {
        let series = series();
        let span = (Duration::from_secs(1), Duration::from_secs(4));
        assert_eq!(series.rate("square", span), Some(5.0));
        assert_eq!(
            series.rate("square", (Duration::from_millis(1500), Duration::from_millis(2500))),
            Some(4.0)
        );
        assert_eq!(series.rate("seven", span), Some(0.0));
        assert_eq!((series.cores(span), series.cores_waited_for(span)), (Some(0.5), Some(2.0)));
        assert_eq!(series.mean("square", span), Some((1.0 + 9.0 + 16.0) / 3.0));
        assert_eq!(series.most("square", span), Some(16.0));
        assert_eq!(series.before("square", Duration::from_millis(2500)), Some(1.0));
        assert_eq!(series.rate("cube", span), None);
        assert_eq!(series.mean("square", (Duration::from_secs(9), Duration::from_secs(10))), None);
        assert_eq!(series.rate("square", (Duration::from_secs(9), Duration::from_secs(10))), None, "beyond");
    }
}
