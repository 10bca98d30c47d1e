//! Why throughput does not grow any more: the part that had nothing left. Pure.

/// From this share on, a part counts as used up: the rest is what starting and stopping measurements costs.
const FULL: f64 = 0.9;

/// So much of what the backends can do together, and they are the limit, as they should be.
const ENOUGH: f64 = 0.95;

/// How much of each part was used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Evidence {
    /// The throughput, as a share of what as many backends do that nothing else holds back.
    pub(super) efficiency: f64,
    /// The machine's cores, whoever used them.
    pub(super) machine: f64,
    /// The core of the thread that sends the load.
    pub(super) load: f64,
    /// The cores that the proxy's workers may use.
    pub(super) proxy: f64,
}

/// What throughput ended at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Backends,
    Machine,
    Load,
    Proxy,
    Unknown,
}

impl Evidence {
    /// A machine that is full is named before a part that is: on it, the part is full of waiting for a core. But if the proxy
    /// has most of it, the proxy has filled it.
    pub(super) fn limit(&self) -> Limit {
        match self {
            _ if self.efficiency >= ENOUGH => Limit::Backends,
            _ if self.is_taken() => Limit::Machine,
            _ if self.load >= FULL => Limit::Load,
            _ if self.proxy >= FULL || self.machine >= FULL => Limit::Proxy,
            _ => Limit::Unknown,
        }
    }

    /// Whether nothing but the backends and the proxy can be to blame for a lack of throughput. A machine that the
    /// proxy itself has filled excuses nothing.
    pub(super) fn is_free(&self) -> bool {
        !self.is_taken() && self.load < FULL
    }

    /// Whether the machine is full, and others than the proxy have most of it.
    fn is_taken(&self) -> bool {
        self.machine >= FULL && self.proxy < self.machine / 2.0
    }
}

impl Limit {
    /// In a table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Backends => "backends",
            Self::Machine => "machine",
            Self::Load => "load",
            Self::Proxy => "proxy",
            Self::Unknown => "not seen",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Evidence = Evidence { efficiency: 0.7, machine: 0.3, load: 0.4, proxy: 0.2 };

    #[test]
    fn what_is_full_is_named() {
        for (evidence, limit, is_free) in [
            (Evidence { efficiency: 0.96, machine: 0.95, ..IDLE }, Limit::Backends, false),
            (Evidence { machine: 0.97, proxy: 0.05, ..IDLE }, Limit::Machine, false),
            (Evidence { machine: 0.97, proxy: 0.3, ..IDLE }, Limit::Machine, false),
            (Evidence { machine: 0.97, proxy: 0.8, ..IDLE }, Limit::Proxy, true),
            (Evidence { load: 0.95, ..IDLE }, Limit::Load, false),
            (Evidence { proxy: 0.95, ..IDLE }, Limit::Proxy, true),
            (IDLE, Limit::Unknown, true),
        ] {
            assert_eq!((evidence.limit(), evidence.is_free()), (limit, is_free), "{evidence:?}");
        }
    }
}
