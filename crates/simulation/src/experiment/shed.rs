//! E9, shedding: three times what a server can do (Beyer et al., "Site Reliability Engineering", chapter 21).

use crate::figure::{Bound, Figure};
use crate::overload::{Outcome, Overload, Protection, Retry};

pub(super) const ABOUT: &str = "900 requests a second to a server that can do 300 (30 at once, 100 ms each) for 30 s; clients wait a second";

const CAPACITY: f64 = 300.0;
const PLACES: u32 = 30;
const TIME: std::ops::Range<f64> = 2.0..29.0;

fn run(rate: f64, protection: Option<Protection>, seed: u64) -> Outcome {
    Overload {
        rate,
        places: PLACES,
        service: 0.1,
        outage: 0.0..0.0,
        patience: 1.0,
        retry: Retry::Never,
        protection,
        time: 30.0,
        seed,
    }
    .run()
}

pub(super) fn figures(seed: u64) -> Vec<Figure> {
    let unloaded = run(CAPACITY * 0.3, None, seed).times(TIME).quantile(0.99);
    let bare = run(CAPACITY * 3.0, None, seed);
    let shed = run(CAPACITY * 3.0, Some(Protection { in_flight: PLACES, queue: 300 }), seed);
    vec![
        Figure::new(
            "goodput of capacity, unprotected",
            bare.goodput(TIME) / CAPACITY * 100.0,
            Bound::AtMost(5.0),
            "%",
        ),
        Figure::new(
            "goodput of capacity, with a cap and a queue",
            shed.goodput(TIME) / CAPACITY * 100.0,
            Bound::AtLeast(95.0),
            "%",
        ),
        Figure::new(
            "p99 of what is answered, of the p99 at a third of the load",
            shed.times(TIME).quantile(0.99) / unloaded,
            Bound::AtMost(2.0),
            "",
        ),
    ]
}
