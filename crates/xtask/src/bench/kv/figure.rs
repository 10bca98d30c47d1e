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
    /// Bytes per key of 64 bytes with a value of 64.
    Memory64,
    /// Bytes per key of 16 bytes with a value of 64.
    Memory16,
    /// CPU µs of the balancer per small request.
    BalancedSmall,
    /// The same, 16 requests at once.
    BalancedPipelined,
    /// CPU µs of the balancer per value of 1 MiB.
    BalancedMebibyte,
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
            Self::Memory64 => "bytes per key: 64-byte key, 64-byte value".to_owned(),
            Self::Memory16 => "bytes per key: 16-byte key, 64-byte value".to_owned(),
            Self::BalancedSmall => "CPU µs of the balancer per GET, pipeline 1".to_owned(),
            Self::BalancedPipelined => "CPU µs of the balancer per GET, pipeline 16".to_owned(),
            Self::BalancedMebibyte => "CPU µs of the balancer per GET of 1 MiB".to_owned(),
        }
    }

    /// Whether it is about balancers and not about caches.
    pub(super) fn is_balanced(self) -> bool {
        matches!(self, Self::BalancedSmall | Self::BalancedPipelined | Self::BalancedMebibyte)
    }

    /// Whether more is better.
    pub(super) fn is_rate(self) -> bool {
        matches!(self, Self::Rate(..))
    }
}
