//! E4, a retry storm: a metastable failure (Bronson et al., HotOS 2021) and what ends it.

use crate::figure::{Bound, Figure};
use crate::overload::{Outcome, Overload, Protection, Retry};

pub(super) const ABOUT: &str = "280 requests a second to a server that can do 300 (30 at once, 100 ms each), which does nothing from the 10th second to the 20th of 60; clients wait a second, and try once more";

const RATE: f64 = 280.0;
const PLACES: u32 = 30;
const OUTAGE: std::ops::Range<f64> = 10.0..20.0;
/// After which it has to be over: two seconds.
const AFTER: std::ops::Range<f64> = 22.0..58.0;

fn run(retry: Retry, protection: Option<Protection>, seed: u64) -> Outcome {
    Overload {
        rate: RATE,
        places: PLACES,
        service: 0.1,
        outage: OUTAGE,
        patience: 1.0,
        retry,
        protection,
        time: 60.0,
        seed,
    }
    .run()
}

pub(super) fn figures(seed: u64) -> Vec<Figure> {
    let good = |outcome: &Outcome| outcome.share(AFTER) * 100.0;
    let bare = run(Retry::Always, None, seed);
    let mut figures = vec![
        Figure::new("answered before the outage", bare.share(1.0..9.0) * 100.0, Bound::AtLeast(99.0), "%"),
        Figure::new("answered after it, unprotected", good(&bare), Bound::AtMost(1.0), "%"),
        // Each fails and is tried once more; chance sends a few more or fewer.
        Figure::new("tries a second then", bare.offered(AFTER), Bound::Within(2.0 * RATE, 14.0), ""),
    ];
    for percent in [20, 10, 5] {
        let outcome = run(Retry::Budget(percent), None, seed);
        let what = format!("answered after it, with nothing but a retry budget of {percent} %");
        figures.push(Figure::new(what, good(&outcome), Bound::AtMost(50.0), "%"));
    }
    // As many as the server works on at once; for the queue a second's worth, which is what anybody waits for.
    let protection = Protection { in_flight: PLACES, queue: 300 };
    for (words, retry) in
        [("a budget of 20 %", Retry::Budget(20)), ("clients that always retry", Retry::Always)]
    {
        let outcome = run(retry, Some(protection), seed);
        let what = format!("answered after it, with a cap, a queue and {words}");
        figures.push(Figure::new(what, good(&outcome), Bound::AtLeast(98.0), "%"));
    }
    figures
}
