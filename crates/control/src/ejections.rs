//! What is said of endpoints that workers eject: in the log and in the journal, when they go and when they return.
//!
//! An ejection ends by itself, whether anybody is here to say so or not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_policy::outlier::Ejection;
use evenkeel_proxy::{Ejected, moment};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::journal::{ChangeKind, Journal};

/// Ejections that wait to be told of. There is at most one for each endpoint and its shortest time.
const MOST: usize = 1024;
/// What is said when one returns.
const RETURNED: &str = "its ejection is over, it is on trial";

/// Begins to tell of ejections; gives where to hear of them.
pub(crate) fn announce(journal: &Arc<Journal>) -> mpsc::Sender<Ejected> {
    let (news, mut ejections) = mpsc::channel(MOST);
    let journal = journal.clone();
    tokio::spawn(async move {
        while let Some(ejected) = ejections.recv().await {
            say_ejected(&ejected, &journal);
            tokio::spawn(say_returned(ejected, journal.clone()));
        }
    });
    news
}

/// Why an endpoint is ejected and for how much longer, in words that follow "ejected: ".
pub(crate) fn words(ejection: &Ejection) -> String {
    let left = ejection.until.since(moment(Instant::now()));
    format!("{}, for {} more", ejection.why(), in_words(left))
}

fn say_ejected(ejected: &Ejected, journal: &Journal) {
    let Ejected { upstream, endpoint, ejection } = ejected;
    let lasts = in_words(ejection.until.since(moment(Instant::now())));
    let (reason, times) = (ejection.why(), ejection.times);
    warn!(upstream, endpoint = %endpoint.label, reason, lasts, times, "endpoint is ejected");
    let words = match times {
        1 => format!("{reason}, for {lasts}"),
        times => format!("{reason}, for {lasts}, its ejection number {times} in a row"),
    };
    journal.endpoint(ChangeKind::Ejected, upstream, &endpoint.label, &words);
}

/// Waits for the end of an ejection and tells of it, unless it was called off.
async fn say_returned(ejected: Ejected, journal: Arc<Journal>) {
    let Ejected { upstream, endpoint, ejection } = ejected;
    loop {
        let left = ejection.until.since(moment(Instant::now()));
        if left.is_zero() {
            break;
        }
        tokio::time::sleep(left).await;
    }
    if endpoint.status.ejected_until() == ejection.until {
        say_back(&upstream, &endpoint.label, RETURNED, &journal);
    }
}

/// Tells that an endpoint is ejected no more.
pub(crate) fn say_back(upstream: &str, endpoint: &str, reason: &str, journal: &Journal) {
    info!(upstream, endpoint, reason, "endpoint returns");
    journal.endpoint(ChangeKind::Returned, upstream, endpoint, reason);
}

/// As people say it, to the second where it is that long.
fn in_words(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        _ => format!("{} s", (time.as_millis() + 500) / 1000),
    }
}
