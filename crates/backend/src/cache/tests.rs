//! Reads that wait for the database together. The cache is never connected to, so each of them is a bypass.

use std::sync::mpsc;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::*;
use crate::database::{Settings, State};
use crate::latency::Latency;

/// A cache whose database has one connection and five rows.
async fn cache() -> Arc<Cache> {
    let settings = Settings {
        file: None,
        rows: 5,
        name_index: false,
        connections: 1,
        queue: 256,
        latency: Latency::None,
        seed: None,
    };
    let pool = Arc::new(Pool::open(&settings).unwrap());
    pool.subscribe().wait_for(|state| *state == State::Ready).await.unwrap();
    Arc::new(Cache::new(CacheOptions::new("redis://127.0.0.1:1".parse().unwrap()), pool))
}

/// Keeps the connection busy until the sender is dropped; returns when it has begun.
async fn occupy(cache: &Cache) -> mpsc::Sender<()> {
    let (hold, held) = mpsc::channel::<()>();
    let (begun, began) = oneshot::channel();
    let database = Arc::clone(&cache.database);
    tokio::spawn(async move {
        let wait = move |_: &mut Connection| {
            begun.send(()).unwrap();
            let _ = held.recv();
            Ok(())
        };
        database.read(wait).await.unwrap();
    });
    began.await.unwrap();
    hold
}

/// Waits until that many queries wait for the connection.
async fn waiting(cache: &Cache, count: usize) {
    while cache.database.load().waiting != count {
        tokio::task::yield_now().await;
    }
}

fn metric(cache: &Cache, line: &str) -> u64 {
    let mut page = Page::new();
    cache.write_metrics(&mut page);
    let page = page.into_text();
    let value = page.lines().find_map(|l| l.strip_prefix(&format!("toy_backend_cache_{line} ")));
    value.unwrap_or_else(|| panic!("no {line} in {page}")).parse().unwrap()
}

#[tokio::test]
async fn a_hundred_at_once_are_one_query_though_the_first_goes_away() {
    let cache = cache().await;
    let hold = occupy(&cache).await;
    let first = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { cache.read(3).await }
    });
    waiting(&cache, 1).await;
    let mut others = JoinSet::new();
    for _ in 0..99 {
        let cache = Arc::clone(&cache);
        others.spawn(async move { cache.read(3).await });
    }
    while metric(&cache, "bypasses_total{reason=\"connecting\"}") < 100 {
        tokio::task::yield_now().await;
    }
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    drop(hold);
    for read in others.join_all().await {
        assert_eq!(read.row.unwrap().found.unwrap().id, 3);
        assert_eq!((read.seen, read.shared), (Seen::Bypass(Fault::Connecting), true));
    }
    assert_eq!((metric(&cache, "database_reads_total"), metric(&cache, "followers_total")), (1, 99));
    let figures = cache.meter().figures();
    assert_eq!((figures.hits, figures.misses, figures.bypassed, figures.database_reads), (0, 0, 100, 1));
    assert!(!figures.database_time.is_zero(), "{figures:?}");
    assert_eq!(cache.meter().state(), CacheState::Connecting);
    assert_eq!(metric(&cache, "stores_total{outcome=\"failed\"}"), 0, "nobody tries to store it");
}

#[tokio::test]
async fn a_query_nobody_waits_for_any_more_is_not_made() {
    let cache = cache().await;
    let hold = occupy(&cache).await;
    let mut readers = JoinSet::new();
    for _ in 0..2 {
        let cache = Arc::clone(&cache);
        readers.spawn(async move { cache.read(3).await });
    }
    waiting(&cache, 1).await;
    readers.shutdown().await;
    while metric(&cache, "flights") > 0 {
        tokio::task::yield_now().await;
    }
    drop(hold);
    assert_eq!(cache.read(3).await.row.unwrap().found.unwrap().id, 3);
    assert_eq!(metric(&cache, "database_reads_total"), 2);
}

#[tokio::test]
async fn after_a_write_a_reader_does_not_join_a_read_from_before() {
    let cache = cache().await;
    let hold = occupy(&cache).await;
    let (old, leader) = match cache.flights.board(3) {
        Boarding::First(leader, seat) => (seat, leader),
        other => panic!("{other:?}"),
    };
    let write = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move {
            let changes = items::Changes { name: None, price_cents: None, stock: Some(1_000_000) };
            cache.write(move |c: &mut Connection| items::update(c, 3, changes), |_| 3).await
        }
    });
    waiting(&cache, 1).await;
    drop(hold);
    let written = write.await.unwrap();
    assert_eq!(written.invalidated, Some(false), "there is no cache to tell");
    assert!(!leader.is_fresh());
    assert_eq!(cache.read(3).await.row.unwrap().found.unwrap().fields.stock, 1_000_000);
    assert_eq!(metric(&cache, "invalidations_pending"), 1);
    drop((old, leader));
}

#[tokio::test]
async fn a_write_is_told_though_its_client_goes_away() {
    let cache = cache().await;
    let hold = occupy(&cache).await;
    let write = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { cache.write(|c: &mut Connection| items::delete(c, 3), |_| 3).await.invalidated }
    });
    waiting(&cache, 1).await;
    write.abort();
    assert!(write.await.unwrap_err().is_cancelled());
    drop(hold);
    while metric(&cache, "invalidations_owed_total") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(cache.read(3).await.row.unwrap().found, None);
}

#[tokio::test]
async fn what_was_read_too_long_ago_or_before_a_write_is_not_stored() {
    let cache = cache().await;
    let old = Instant::now().checked_sub(Duration::from_millis(250)).unwrap();
    assert_eq!(cache.store(3, None, old, true).await, Stored::Late);
    assert_eq!(cache.store(3, None, Instant::now(), false).await, Stored::Late);
    assert_eq!(cache.store(3, None, Instant::now(), true).await, Stored::Failed, "no cache to store it in");
}
