//! [`Failure`]: what can happen to a server, and how it is made.

use std::io;
use std::time::Duration;

use crate::site::{Hole, Part, ask};

/// Connections that may wait for a server to accept them: as many have to be made until no more are answered.
pub(super) const BACKLOG: u32 = 1024;

/// A failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    Kill,
    Freeze,
    BlackHole,
    Reset,
    Fails,
    FailsUnseen,
    Hang,
}

/// A failure in force; ended by [`Failing::end`].
#[derive(Debug)]
pub(super) struct Failing {
    failure: Failure,
    hole: Option<Hole>,
}

impl Failure {
    pub(super) const ALL: [Self; 7] =
        [Self::Kill, Self::Freeze, Self::BlackHole, Self::Reset, Self::Fails, Self::FailsUnseen, Self::Hang];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Freeze => "SIGSTOP",
            Self::BlackHole => "black hole",
            Self::Reset => "reset",
            Self::Fails => "fast 500s",
            Self::FailsUnseen => "fast 500s, probes well",
            Self::Hang => "hang",
        }
    }

    /// What is done, and what that looks like from outside.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Kill => "the process is gone: connections end, new ones are refused",
            Self::Freeze => "the process is stopped: connections are made and nothing answers on them",
            Self::BlackHole => {
                "the process is stopped and its queue of connections is full, so that the kernel drops the first packet of \
                 new ones: nothing is answered, not even connecting"
            }
            Self::Reset => "each request has its connection reset (RST)",
            Self::Fails => "each request is answered with 500 at once, probes too",
            Self::FailsUnseen => "the same, but probes are answered well",
            Self::Hang => "requests and probes are taken and not answered",
        }
    }

    /// Whether probes suffer too, so that they can find it.
    pub(super) fn is_seen_by_probes(self) -> bool {
        self != Self::FailsUnseen
    }

    pub(super) fn begin(self, part: &mut Part) -> io::Result<Failing> {
        match self {
            Self::Kill => part.kill()?,
            Self::Freeze => part.freeze()?,
            Self::BlackHole => return Ok(Failing { failure: self, hole: Some(Hole::dig(part, BACKLOG)?) }),
            Self::Reset => chaos(part, "mode=abort")?,
            Self::Fails => chaos(part, "mode=fail&percent=100&healthz=on")?,
            Self::FailsUnseen => chaos(part, "mode=fail&percent=100&healthz=off")?,
            Self::Hang => chaos(part, "mode=hang")?,
        }
        Ok(Failing { failure: self, hole: None })
    }
}

impl Failing {
    pub(super) fn end(self, part: &mut Part) -> io::Result<()> {
        match (self.failure, self.hole) {
            (_, Some(hole)) => hole.fill(part),
            (Failure::Kill, _) => part.restart(),
            (Failure::Freeze | Failure::BlackHole, _) => part.thaw(),
            (Failure::Reset | Failure::Fails | Failure::FailsUnseen | Failure::Hang, _) => {
                chaos(part, "mode=reset")
            }
        }
    }
}

fn chaos(part: &Part, query: &str) -> io::Result<()> {
    let answer = ask(part.address(), "POST", &format!("/chaos?{query}"), Duration::from_secs(2))?;
    match answer.status {
        200 => Ok(()),
        status => Err(io::Error::other(format!("{} answers {status}: {}", part.name(), answer.body))),
    }
}
