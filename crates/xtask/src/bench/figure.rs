//! What is measured: the runs there are, the figures that come of them, and what each is held against.

use std::fmt;

use super::program::Kind;

/// One kind of run. A run of a program yields one figure or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Row {
    /// 80 bytes, 64 connections
    Small,
    /// The same with the access log on
    Log,
    /// 10 KB bodies
    #[value(name = "10k")]
    Body10k,
    /// 1 MB bodies
    #[value(name = "1m")]
    Body1m,
    /// 80 bytes, 1000 connections; memory meanwhile
    #[value(name = "1000")]
    Connections1000,
    /// Memory at rest and per idle connection
    Memory,
    /// From start to the first answer
    Start,
    /// Added latency in an open loop at half load
    P99,
    /// One worker and two
    Workers,
    /// Picks and routes, timed
    Decisions,
}

impl Row {
    /// All rows, in the order of the report.
    pub(super) const ALL: [Self; 10] = [
        Self::Small,
        Self::Log,
        Self::Body10k,
        Self::Body1m,
        Self::Connections1000,
        Self::Memory,
        Self::Start,
        Self::P99,
        Self::Workers,
        Self::Decisions,
    ];
}

/// One line of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Figure {
    CpuSmall,
    CpuLogged,
    Cpu10k,
    Cpu1m,
    Cpu1000,
    IdleConnection,
    Rest,
    Busy,
    Start,
    AddedP99,
    SecondWorker,
    Pick10,
    Pick1000,
    Route,
}

impl Figure {
    /// All, in the order of the report.
    pub(super) const ALL: [Self; 14] = [
        Self::CpuSmall,
        Self::CpuLogged,
        Self::Cpu10k,
        Self::Cpu1m,
        Self::Cpu1000,
        Self::IdleConnection,
        Self::Rest,
        Self::Busy,
        Self::Start,
        Self::AddedP99,
        Self::SecondWorker,
        Self::Pick10,
        Self::Pick1000,
        Self::Route,
    ];

    /// What it is, with its unit.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CpuSmall => "CPU µs per request, 80-byte body, 64 connections",
            Self::CpuLogged => "the same, access log on",
            Self::Cpu10k => "CPU µs per request, 10 KB body",
            Self::Cpu1m => "CPU µs per request, 1 MB body",
            Self::Cpu1000 => "CPU µs per request, 80-byte body, 1000 connections",
            Self::IdleConnection => "KB per idle connection",
            Self::Rest => "MB resident at rest",
            Self::Busy => "MB resident at 1000 busy connections",
            Self::Start => "ms from start to first answer",
            Self::AddedP99 => "µs added to p99 at half load, open loop",
            Self::SecondWorker => "% more CPU per request with two workers",
            Self::Pick10 => "ns for one pick among 10, slowest algorithm",
            Self::Pick1000 => "ns for one pick among 1000, slowest algorithm",
            Self::Route => "ns for one route among 10,000",
        }
    }

    /// What it should be.
    pub(super) fn target(self) -> Target {
        match self {
            Self::CpuSmall | Self::CpuLogged => Target::Better(0.90),
            Self::Cpu10k => Target::Better(0.92),
            Self::Cpu1m => Target::Better(0.75),
            Self::Cpu1000 => Target::None,
            Self::IdleConnection => Target::Most(0.9),
            Self::Rest => Target::Most(8.0),
            Self::Busy => Target::Peer(Kind::Haproxy, 1.0),
            Self::Start => Target::Most(50.0),
            Self::AddedP99 => Target::Better(1.0),
            Self::SecondWorker => Target::Most(5.0),
            Self::Pick10 => Target::Most(100.0),
            Self::Pick1000 => Target::Most(2000.0),
            Self::Route => Target::Most(1000.0),
        }
    }
}

/// What a figure of Evenkeel is held against. Less is better in all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Target {
    /// At most this share of the better peer's.
    Better(f64),
    /// At most this share of one peer's.
    Peer(Kind, f64),
    /// At most this.
    Most(f64),
    /// Nothing: it is reported.
    None,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Better(share) => write!(f, "≤ {share:.2} × the better"),
            Self::Peer(Kind::Haproxy, share) => write!(f, "≤ {share:.2} × HAProxy"),
            Self::Peer(_, share) => write!(f, "≤ {share:.2} × nginx"),
            Self::Most(most) => write!(f, "≤ {most}"),
            Self::None => Ok(()),
        }
    }
}
