//! Which series exist, who writes them, and when they go.
//!
//! Asked when a plan is applied and when somebody scrapes, never per request.

use crate::series::{Absorb, EndpointSeries, ListenerSeries, RouteSeries, SessionSeries, UpstreamSeries};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// The labels of a series, for [`Telemetry::retain`](crate::Telemetry::retain).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the labels of the metrics")]
pub enum Labels<'a> {
    /// Connections and rejections of a listener.
    Listener { listener: &'a str },
    /// Requests that a route of a listener sent to an upstream.
    Route { listener: &'a str, route: &'a str, upstream: &'a str },
    /// Sessions of a TCP listener with its upstream.
    Sessions { listener: &'a str, upstream: &'a str },
    /// Retries of an upstream.
    Upstream { upstream: &'a str },
    /// Attempts, connections, probes and state of an endpoint.
    Endpoint { upstream: &'a str, endpoint: &'a str },
}

/// All series.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) listeners: Family<1, ListenerSeries>,
    pub(crate) routes: Family<3, RouteSeries>,
    pub(crate) sessions: Family<2, SessionSeries>,
    pub(crate) upstreams: Family<1, UpstreamSeries>,
    pub(crate) endpoints: Family<2, EndpointSeries>,
}

impl Registry {
    /// Folds the series of writers that ended, and drops those that left the plan and that nobody holds.
    pub(crate) fn sweep(&mut self) {
        self.listeners.sweep();
        self.routes.sweep();
        self.sessions.sweep();
        self.upstreams.sweep();
        self.endpoints.sweep();
    }

    /// Marks what `keep` does not want as leaving, and everything else as staying.
    pub(crate) fn retain(&mut self, keep: &mut dyn FnMut(&Labels<'_>) -> bool) {
        self.listeners.retain(|[listener]| keep(&Labels::Listener { listener }));
        self.routes.retain(|[listener, route, upstream]| keep(&Labels::Route { listener, route, upstream }));
        self.sessions.retain(|[listener, upstream]| keep(&Labels::Sessions { listener, upstream }));
        self.upstreams.retain(|[upstream]| keep(&Labels::Upstream { upstream }));
        self.endpoints.retain(|[upstream, endpoint]| keep(&Labels::Endpoint { upstream, endpoint }));
        self.sweep();
    }
}

/// The series of one kind by their `N` label values, in their order on the page.
#[derive(Debug)]
pub(crate) struct Family<const N: usize, S> {
    slots: BTreeMap<[Arc<str>; N], Slot<S>>,
}

/// One line of labels: a series per writer, and one for all writers that ended.
#[derive(Debug)]
struct Slot<S> {
    retired: Option<Box<S>>,
    live: Vec<Live<S>>,
    /// Left the plan; goes when nobody holds a series of it any more.
    leaving: bool,
}

#[derive(Debug)]
struct Live<S> {
    writer: Weak<()>,
    series: Arc<S>,
}

impl<const N: usize, S> Default for Family<N, S> {
    fn default() -> Self {
        Self { slots: BTreeMap::new() }
    }
}

impl<const N: usize, S: Absorb> Family<N, S> {
    /// The series of `writer` with these labels: the one it had before, or a new one.
    pub(crate) fn take(&mut self, labels: [&str; N], writer: &Arc<()>) -> Arc<S> {
        let slot = self.slots.entry(labels.map(Arc::from)).or_insert_with(|| Slot {
            retired: None,
            live: Vec::new(),
            leaving: false,
        });
        let me = Arc::as_ptr(writer);
        if let Some(mine) = slot.live.iter().find(|live| live.writer.as_ptr() == me) {
            return Arc::clone(&mine.series);
        }
        let series = Arc::<S>::default();
        slot.live.push(Live { writer: Arc::downgrade(writer), series: Arc::clone(&series) });
        series
    }

    /// Calls `visit` with the labels of every slot and all its series.
    pub(crate) fn each<'a>(
        &'a self,
        mut visit: impl FnMut(&'a [Arc<str>; N], &mut dyn Iterator<Item = &'a S>),
    ) {
        for (labels, slot) in &self.slots {
            visit(
                labels,
                &mut slot.retired.as_deref().into_iter().chain(slot.live.iter().map(|live| &*live.series)),
            );
        }
    }

    fn retain(&mut self, mut keep: impl FnMut([&str; N]) -> bool) {
        for (labels, slot) in &mut self.slots {
            slot.leaving = !keep(labels.each_ref().map(|label| &**label));
        }
    }

    fn sweep(&mut self) {
        self.slots.retain(|_, slot| {
            slot.fold();
            !slot.leaving || slot.live.iter_mut().any(|live| Arc::get_mut(&mut live.series).is_none())
        });
    }
}

impl<S: Absorb> Slot<S> {
    /// Moves the counts of writers that ended into the retired series, unless somebody may still add to them.
    fn fold(&mut self) {
        let retired = &mut self.retired;
        self.live.retain_mut(|live| {
            if live.writer.strong_count() > 0 {
                return true;
            }
            // Succeeds only without another holder, and then everything that one wrote is visible here.
            let Some(series) = Arc::get_mut(&mut live.series) else { return true };
            retired.get_or_insert_with(Box::default).absorb(series);
            false
        });
    }
}
