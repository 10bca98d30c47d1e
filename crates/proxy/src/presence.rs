//! [`Presence`]: a client's connection in every count that it is in, for as long as it lives.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use evenkeel_telemetry::ListenerSeries;

use crate::deployment::SharedListener;
use crate::state::{ListenerState, Worker};
use crate::worker::Place;

/// Counted out when it is dropped.
pub(crate) struct Presence {
    worker: Rc<Worker>,
    shared: Arc<SharedListener>,
    /// The series that counted its beginning: a reload may rename the listener.
    series: Arc<ListenerSeries>,
    _place: Place,
}

impl Presence {
    /// Counts a connection that is in its listener's total and in `place` already.
    pub(crate) fn begin(worker: &Rc<Worker>, listener: &ListenerState, place: Place) -> Self {
        worker.connections.set(worker.connections.get() + 1);
        listener.series.connection_opened();
        Self {
            worker: worker.clone(),
            shared: listener.shared.clone(),
            series: listener.series.clone(),
            _place: place,
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Relaxed);
        self.series.connection_closed();
        let left = self.worker.connections.get() - 1;
        self.worker.connections.set(left);
        if left == 0 {
            self.worker.idle.notify_one();
        }
    }
}
