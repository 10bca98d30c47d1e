//! The lines of the table and what each is held against.

/// The tests of `redis-benchmark` that are run.
pub(super) const TESTS: [&str; 6] = ["get", "set", "incr", "hset", "lpush", "zadd"];
/// The size of a large value, in bytes.
pub(super) const MEBIBYTE: usize = 1 << 20;

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Figure {
    /// Requests per second of a test at a pipeline depth.
    Rate(&'static str, u32),
    /// CPU µs of the server per request.
    Cpu(&'static str, u32),
    /// Percent of its core that the client of a run without pipelining was busy: at 100 the rate is the client's.
    Client(&'static str),
    /// Bytes per key of 64 bytes with a value of 64.
    Memory64,
    /// Bytes per key of 16 bytes with a value of 64.
    Memory16,
    /// Bytes per connection that waits.
    Idle,
    /// ms within which 99 of 100 answers came while a million keys expired at once, and the longest.
    ExpiryP99,
    ExpiryLongest,
    /// The longest when nothing expires.
    QuietLongest,
    /// CPU µs of the balancer per small request.
    BalancedSmall,
    /// The same, 16 requests at once.
    BalancedPipelined,
    /// CPU µs of the balancer per value of 1 MiB.
    BalancedMebibyte,
    /// ms for half of the small requests beside bulk flows.
    BalancedBeside,
}

impl Figure {
    /// What it is, with its unit.
    pub(super) fn name(self) -> String {
        match self {
            Self::Rate(test, pipeline) => {
                format!("{} requests/s, pipeline {pipeline}", test.to_uppercase())
            }
            Self::Cpu(test, pipeline) => {
                format!("{} CPU µs per request, pipeline {pipeline}", test.to_uppercase())
            }
            Self::Client(test) => {
                format!("{}: % of a core that the client is busy, pipeline 1", test.to_uppercase())
            }
            Self::Memory64 => "bytes per key: 64-byte key, 64-byte value".to_owned(),
            Self::Memory16 => "bytes per key: 16-byte key, 64-byte value".to_owned(),
            Self::Idle => "bytes per idle connection".to_owned(),
            Self::ExpiryP99 => "ms to PING while a million keys expire, p99".to_owned(),
            Self::ExpiryLongest => "the same, longest".to_owned(),
            Self::QuietLongest => "the same before they expire, longest".to_owned(),
            Self::BalancedSmall => "CPU µs of the balancer per GET, pipeline 1".to_owned(),
            Self::BalancedPipelined => "CPU µs of the balancer per GET, pipeline 16".to_owned(),
            Self::BalancedMebibyte => "CPU µs of the balancer per GET of 1 MiB".to_owned(),
            Self::BalancedBeside => "ms to PING beside 20 bulk flows, p50".to_owned(),
        }
    }

    /// Whether it is about balancers and not about caches.
    pub(super) fn is_balanced(self) -> bool {
        matches!(
            self,
            Self::BalancedSmall | Self::BalancedPipelined | Self::BalancedMebibyte | Self::BalancedBeside
        )
    }

    /// Whether values of 1 MiB are asked for.
    pub(super) fn is_large(self) -> bool {
        matches!(self, Self::BalancedMebibyte | Self::BalancedBeside)
    }

    /// Whether it says how the others came about, and is nobody's merit.
    pub(super) fn is_circumstance(self) -> bool {
        matches!(self, Self::Client(_) | Self::QuietLongest)
    }

    /// Whether more is better.
    pub(super) fn is_rate(self) -> bool {
        matches!(self, Self::Rate(..))
    }
}
