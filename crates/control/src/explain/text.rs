//! An explanation as text for people.

use std::fmt;

use super::{Answer, Branch, Decision, Explanation, Judged, ListenerExplanation};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.is_empty() {
            true => writeln!(f, "{} {}", self.method, self.target)?,
            false => writeln!(f, "{} http://{}{}", self.method, self.host, self.target)?,
        }
        for listener in &self.listeners {
            writeln!(f)?;
            listener.fmt(f)?;
        }
        if !self.live && self.listeners.iter().any(|at| matches!(at.decision, Decision::Forward { .. })) {
            writeln!(f, "\nBy the file alone, every endpoint counts as up; --live asks the running proxy.")?;
        }
        Ok(())
    }
}

impl fmt::Display for ListenerExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "listener {} ({})", self.listener, self.address)?;
        match self.route.as_deref() {
            Some(route) if !route.is_empty() => writeln!(f, "  route {route}: {}", self.because)?,
            _ => writeln!(f, "  {}", self.because)?,
        }
        for candidate in &self.refused {
            writeln!(f, "    not {}: {}", candidate.route, candidate.reason)?;
        }
        match &self.decision {
            Decision::Forward { branches } => {
                for branch in branches {
                    write_branch(f, branch, branches.len() > 1)?;
                    match &branch.answer {
                        // Bytes have no words for it.
                        Some(answer) if self.protocol == "tcp" => {
                            writeln!(f, "  the connection is reset, {} ({})", answer.reason, answer.detail)?;
                        }
                        Some(answer) => writeln!(f, "  answered {answer}")?,
                        None => {}
                    }
                }
                Ok(())
            }
            Decision::Redirect { status, location } => {
                writeln!(f, "  redirected with {status} to {location}")
            }
            Decision::Respond { status, body } => writeln!(f, "  answered {status} with {body:?}"),
            Decision::Reject { answer } => writeln!(f, "  answered {answer}"),
        }
    }
}

fn write_branch(f: &mut fmt::Formatter<'_>, branch: &Branch, is_part: bool) -> fmt::Result {
    let share = if is_part { format!("{:.1} % ", branch.percent) } else { String::new() };
    let hash = branch.hash.as_ref().map(|hash| format!(" by {hash}")).unwrap_or_default();
    writeln!(f, "  {share}to upstream {}, {}{hash}", branch.upstream, branch.balance)?;
    let width = branch.endpoints.iter().map(|endpoint| endpoint.address.len()).max().unwrap_or_default();
    for endpoint in &branch.endpoints {
        writeln!(f, "    {:width$}  {}", endpoint.address, Verdict(endpoint))?;
    }
    let eligible = branch.endpoints.iter().filter(|endpoint| endpoint.eligible).count();
    match (&branch.answer, &branch.takes) {
        (Some(_), _) => Ok(()),
        (None, Some(takes)) => writeln!(f, "  it takes {takes}"),
        (None, None) if branch.hash.is_some() => {
            writeln!(f, "  it takes the one of its client; --client ADDR tells which")
        }
        (None, None) => writeln!(f, "  it takes one of the {eligible} eligible ones"),
    }
}

struct Verdict<'e>(&'e Judged);

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(endpoint) = self;
        match &endpoint.refusal {
            None => write!(f, "eligible, weight {}", endpoint.weight)?,
            Some(refusal) => write!(f, "refused: {refusal}")?,
        }
        if endpoint.backup && endpoint.eligible {
            f.write_str(", backup")?;
        }
        if let Some(in_flight) = endpoint.in_flight {
            write!(f, ", {in_flight} in flight")?;
        }
        if !endpoint.reason.is_empty() {
            write!(f, " ({})", endpoint.reason)?;
        }
        Ok(())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.reason, self.sentence)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}
