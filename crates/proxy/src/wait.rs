//! [`Wait`]: what an endpoint takes to answer, told to the algorithms that heed it.

use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Instant;

use evenkeel_policy::latency::{Memory, Moment};

use crate::upstream::EndpointState;

/// Since when all workers count, so that a moment is the same to each.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// `now`, as estimates and ejections have it.
pub fn moment(now: Instant) -> Moment {
    Moment::new(*EPOCH, now)
}

/// An answer that is waited for. Dropped without one, it says nothing of an answer's time.
pub(crate) struct Wait {
    endpoint: Rc<EndpointState>,
    memory: Memory,
    began: Moment,
}

impl Wait {
    /// Begins one, if the upstream's algorithm heeds latency.
    pub(crate) fn begin(
        endpoint: &Rc<EndpointState>,
        memory: Option<Memory>,
        began: Instant,
    ) -> Option<Self> {
        memory.map(|memory| {
            let began = moment(began);
            endpoint.shared.load.latency.begin(began);
            Self { endpoint: endpoint.clone(), memory, began }
        })
    }

    /// The answer has begun.
    pub(crate) fn answered(self, now: Instant) {
        self.endpoint.shared.load.latency.see(self.began, self.memory, moment(now));
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.endpoint.shared.load.latency.end(self.began);
    }
}
