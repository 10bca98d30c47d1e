//! A load against scripted origins: corrected latency, failover, failures.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel_testkit::{Origin, eventually, reply};

use super::*;

fn plan(targets: Vec<SocketAddr>, rate: f64, millis: u64) -> Plan {
    Plan {
        targets,
        steps: vec![Step { rate, time: Duration::from_millis(millis) }],
        arrivals: Arrivals::Even,
        requests: Arc::new(Get("/".to_owned())),
        timeout: Duration::from_secs(5),
        concurrency: 512,
        seed: 1,
    }
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A server that stalls from 400 to 1,000 ms of a run of 1,600 ms. Whoever was due while it stalled waited for its
/// end: 600 of 1,600, at latencies spread evenly between 0 and 600 ms. So the share of latencies above x must be
/// (600 − x) / 1600, whatever the rate. A client that waits for each answer sends one request in all of the stall and
/// believes that all was well.
#[test]
fn a_stall_is_seen_with_all_the_requests_it_held_up() {
    const STALL: u64 = 600;
    const RUN: u64 = 1_600;
    let origin = || {
        let began = Arc::new(Mutex::new(None::<Instant>));
        Origin::serve(move |_| {
            let began = *began.lock().unwrap().get_or_insert_with(Instant::now);
            let (begin, end) = (Duration::from_millis(400), Duration::from_millis(400 + STALL));
            let now = began.elapsed();
            if (begin..end).contains(&now) {
                thread::sleep(end - now);
            }
            reply(200, "x")
        })
    };
    let open = origin();
    let record = Load::start(plan(vec![open.address()], 200.0, RUN)).unwrap().finish();
    let all = record.all();
    assert_eq!((all.offered, all.ok, all.failures()), (320, 320, 0), "{all:?}");
    let latencies: Vec<u32> =
        record.slices.iter().flat_map(|slice| slice.latencies.iter().copied()).collect();
    let above = |millis: u64| {
        let count = latencies.iter().filter(|micros| u64::from(**micros) > millis * 1000).count();
        count as f64 / latencies.len() as f64
    };
    for millis in [100, 200, 300, 400, 500] {
        let expected = (STALL - millis) as f64 / RUN as f64;
        assert!((above(millis) - expected).abs() < 0.08, "{millis}: {} for {expected}", above(millis));
    }
    let p99 = all.p99.unwrap().as_millis();
    assert!((450..900).contains(&p99), "{p99}");

    // The same stall as one waiting client times it, from sending.
    let closed = origin();
    let began = Instant::now();
    let mut client = evenkeel_testkit::RawClient::connect(closed.address());
    let mut served = Vec::new();
    while began.elapsed() < Duration::from_millis(RUN) {
        let sent = Instant::now();
        client.exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect_status(200);
        served.push(sent.elapsed());
    }
    let hidden = served.iter().filter(|time| time.as_millis() > 100).count() as f64 / served.len() as f64;
    assert!(served.iter().any(|time| time.as_millis() > 300), "it met the stall");
    assert!(hidden < 0.02, "and hid it among {} answers: {hidden}", served.len());
}

#[test]
fn a_bound_on_what_is_under_way_makes_later_requests_wait_and_their_waiting_counts() {
    let under_way = Arc::new(AtomicU64::new(0));
    let most = Arc::new(AtomicU64::new(0));
    let (now, top) = (Arc::clone(&under_way), Arc::clone(&most));
    let origin = Origin::serve(move |_| {
        top.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(20));
        now.fetch_sub(1, Ordering::SeqCst);
        reply(200, "x")
    });
    // Two at a time of 20 ms each: 100 a second; twice as many are sent.
    let plan = Plan { concurrency: 2, ..plan(vec![origin.address()], 200.0, 500) };
    let all = Load::start(plan).unwrap().finish().all();
    assert_eq!((all.ok, most.load(Ordering::SeqCst)), (100, 2));
    assert!(
        all.longest.unwrap() > Duration::from_millis(400),
        "the last one waited for half of all: {all:?}"
    );
}

#[test]
fn requests_move_to_another_target_where_nobody_listens() {
    let origin = Origin::named("here");
    let plan = plan(vec![nobody(), origin.address()], 200.0, 200);
    let all = Load::start(plan).unwrap().finish().all();
    assert_eq!((all.ok, all.moved, all.failures()), (40, 20, 0), "{all:?}");
}

#[test]
fn what_is_not_safe_to_repeat_does_not_move() {
    struct Post;
    impl Requests for Post {
        fn request(&self, _number: u64, _chance: f64) -> http::Request<bytes::Bytes> {
            http::Request::post("/x").body("a body".into()).unwrap()
        }
    }
    let origin = Origin::named("here");
    let plan = Plan { requests: Arc::new(Post), ..plan(vec![nobody(), origin.address()], 200.0, 100) };
    let record = Load::start(plan).unwrap().finish();
    assert_eq!((record.all().ok, record.all().moved), (10, 0));
    assert_eq!(record.all().failed.get("connect"), Some(&10));
    assert_eq!(record.failures[0].request, "POST /x");
    let request = origin.requests().remove(0);
    assert_eq!(
        (request.body, request.fields.value("host")),
        (b"a body".into(), Some(&*origin.address().to_string()))
    );
}

#[test]
fn who_listens_is_told_of_answers_and_of_their_absence() {
    type Told = (u64, String, Option<Vec<u8>>);
    struct Listener(Mutex<Vec<Told>>);
    impl Requests for Listener {
        fn request(&self, number: u64, _chance: f64) -> http::Request<bytes::Bytes> {
            http::Request::put(format!("/items/{number}")).body("{}".into()).unwrap()
        }

        fn listens(&self) -> bool {
            true
        }

        fn answered(&self, answer: &Answer<'_>) {
            assert!(answer.sent <= answer.ended);
            let asked = format!("{} {}", answer.request.method(), answer.request.uri());
            let body = answer.reply.map(|reply| {
                assert_eq!(reply.headers.get("content-length").unwrap(), &reply.body.len().to_string());
                reply.body.clone()
            });
            self.0.lock().unwrap().push((answer.number, asked, body));
        }
    }
    let origin = Origin::serve(|request| match request.target.ends_with('1') {
        true => reply(503, "no"),
        false => reply(200, "yes"),
    });
    let listener = Arc::new(Listener(Mutex::default()));
    let requests = Arc::clone(&listener) as Arc<dyn Requests>;
    let plan = Plan { requests, ..plan(vec![origin.address()], 100.0, 30) };
    let record = Load::start(plan).unwrap().finish();
    assert_eq!((record.all().ok, record.all().failures()), (2, 1));
    let mut told = listener.0.lock().unwrap().clone();
    told.sort();
    let expected = [(0, Some(b"yes".to_vec())), (1, None), (2, Some(b"yes".to_vec()))];
    assert_eq!(told, expected.map(|(number, body)| (number, format!("PUT /items/{number}"), body)));
}

#[test]
fn failures_are_told_apart_and_kept() {
    let cases: [(&str, Origin); 5] = [
        ("status 503", Origin::serve(|_| reply(503, "nobody is up\nmore"))),
        ("malformed", Origin::serve(|_| b"what?\r\n\r\n".to_vec())),
        ("closed", Origin::script(|conversation| drop(conversation.request()))),
        (
            "reset",
            Origin::script(|conversation| {
                conversation.request();
                conversation.reset();
            }),
        ),
        (
            "timeout",
            Origin::script(|conversation| {
                conversation.request();
                conversation.await_end();
            }),
        ),
    ];
    for (reason, origin) in &cases {
        let plan = Plan { timeout: Duration::from_millis(300), ..plan(vec![origin.address()], 1000.0, 3) };
        let record = Load::start(plan).unwrap().finish();
        assert_eq!(record.all().failed.get(*reason), Some(&3), "{reason}: {record:?}");
        assert_eq!((record.failures.len(), record.failures[0].request.as_str()), (3, "GET /"));
        if *reason == "status 503" {
            assert_eq!(record.failures[0].why, "status 503: nobody is up");
        }
    }
}

#[test]
fn connections_are_kept_and_a_name_is_looked_up() {
    let origin = Origin::named("here");
    let name = format!("localhost:{}", origin.address().port());
    let steps = vec![Step { rate: 50.0, time: Duration::MAX }];
    let plan = Plan { steps, ..plan(Vec::new(), 0.0, 0) };
    let mut load = Load::start_named(plan, std::slice::from_ref(&name)).unwrap();
    eventually("answers", || match load.totals().ok {
        ok @ 0..5 => Err(format!("{ok}: {:?}", load.totals().failed)),
        _ => Ok(()),
    });
    assert!(!load.is_over());
    load.end();
    assert!(load.is_over());
    assert_eq!((load.record().all().ok, load.totals().summary().failures()), (load.totals().ok, 0));
    assert_eq!(origin.requests().last().unwrap().fields.value("host"), Some(&*name));
    assert!(origin.connection_count() < origin.request_count());
}

#[test]
fn dropping_it_waits_for_no_answer() {
    let origin = Origin::script(|conversation| {
        conversation.request();
        conversation.await_end();
    });
    let plan = Plan { timeout: Duration::from_secs(60), ..plan(vec![origin.address()], 100.0, 60_000) };
    let began = Instant::now();
    let load = Load::start(plan).unwrap();
    origin.wait_for(1);
    drop(load);
    assert!(began.elapsed() < Duration::from_secs(30));
}
