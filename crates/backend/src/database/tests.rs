//! The pool under test: order, bound, concurrency, filling, ending.

use std::sync::{Arc, Barrier, mpsc};

use super::*;

fn settings() -> Settings {
    Settings {
        file: None,
        rows: 1_000,
        name_index: true,
        connections: 1,
        queue: 256,
        latency: Latency::None,
        timeout: None,
        seed: None,
    }
}

async fn ready(settings: &Settings) -> Arc<Pool> {
    let pool = Pool::open(settings).unwrap();
    let state = pool.subscribe().wait_for(|state| *state != State::Filling).await.unwrap().clone();
    assert_eq!(state, State::Ready);
    Arc::new(pool)
}

fn count(connection: &mut Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) FROM items", [], |row| row.get(0))
}

/// Keeps one connection busy until the sender is dropped; returns when it has begun.
async fn occupy(pool: &Arc<Pool>) -> mpsc::Sender<()> {
    let (hold, held) = mpsc::channel::<()>();
    let (begun, began) = oneshot::channel();
    let pool = Arc::clone(pool);
    tokio::spawn(async move {
        let wait = move |_: &mut Connection| {
            begun.send(()).unwrap();
            let _ = held.recv();
            Ok(())
        };
        pool.read(wait).await.unwrap();
    });
    began.await.unwrap();
    hold
}

#[tokio::test]
async fn rows_are_made_once_and_found() {
    let pool = ready(&settings()).await;
    assert_eq!(pool.read(count).await.unwrap().found, 1_000);
    let item = pool.read(|c| items::by_id(c, 7)).await.unwrap().found.unwrap();
    assert_eq!((item.id, item.fields.name.as_str()), (7, "item-7"));
    assert_eq!(pool.read(|c| items::by_id(c, 1_001)).await.unwrap().found, None);
    let found = pool.read(|c| items::by_name(c, "item-7")).await.unwrap().found;
    assert_eq!(found.iter().map(|item| item.id).collect::<Vec<_>>(), [7, 257, 507, 757]);
}

#[tokio::test]
async fn the_name_index_is_used_or_absent() {
    let plan = |c: &mut Connection| {
        c.query_row("EXPLAIN QUERY PLAN SELECT * FROM items WHERE name = 'x'", [], |row| {
            row.get::<_, String>(3)
        })
    };
    let with = ready(&settings()).await.read(plan).await.unwrap().found;
    assert!(with.contains("USING INDEX items_by_name"), "{with}");
    let without = ready(&Settings { name_index: false, ..settings() }).await.read(plan).await.unwrap().found;
    assert!(without.starts_with("SCAN"), "{without}");
}

#[tokio::test]
async fn a_file_keeps_its_rows_and_follows_the_index_flag() {
    let folder = std::env::temp_dir().join(format!("toy-backend-pool-{}", process_unique()));
    std::fs::create_dir(&folder).unwrap();
    let file = Settings { file: Some(folder.join("items.db")), ..settings() };
    let pool = ready(&file).await;
    let fields = items::Fields { name: "mine".into(), price_cents: 5, stock: 1 };
    assert_eq!(pool.write(|c| items::insert(c, fields)).await.unwrap().found.id, 1_001);
    // A second backend on the same file, while the first runs: the rows are shared, not made again.
    let other = ready(&Settings { rows: 5, name_index: false, ..file }).await;
    assert_eq!(other.read(count).await.unwrap().found, 1_001);
    assert_eq!(other.read(|c| items::by_name(c, "mine")).await.unwrap().found.len(), 1);
    drop((pool, other));
    // The threads may be closing their files still, and SQLite tidies up behind itself.
    let _ = std::fs::remove_dir_all(&folder);
}

fn process_unique() -> String {
    format!("{}-{:?}", std::process::id(), std::thread::current().id()).replace(['(', ')'], "")
}

#[tokio::test]
async fn databases_in_memory_are_private() {
    let (one, two) = (ready(&settings()).await, ready(&Settings { rows: 10, ..settings() }).await);
    assert_eq!(one.read(count).await.unwrap().found, 1_000);
    assert_eq!(two.read(count).await.unwrap().found, 10);
}

#[tokio::test]
async fn connections_read_at_the_same_time() {
    let pool = ready(&Settings { connections: 4, ..settings() }).await;
    // Each query stands in the middle of a read until all four are there: no lock keeps one of them out.
    let barrier = Arc::new(Barrier::new(4));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (pool, barrier) = (Arc::clone(&pool), Arc::clone(&barrier));
        tasks.spawn(async move {
            let read = move |c: &mut Connection| {
                let mut statement = c.prepare("SELECT id FROM items")?;
                let mut rows = statement.query([])?;
                rows.next()?;
                barrier.wait();
                let mut count = 1;
                while rows.next()?.is_some() {
                    count += 1;
                }
                Ok(count)
            };
            pool.read(read).await.unwrap().found
        });
    }
    assert_eq!(tasks.join_all().await, [1_000; 4]);
}

#[tokio::test]
async fn readers_and_writers_in_memory_do_not_fail() {
    let pool = ready(&Settings { connections: 4, queue: 10_000, ..settings() }).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..2_000 {
        let pool = Arc::clone(&pool);
        tasks.spawn(async move {
            if number % 4 == 0 {
                let fields = items::Fields { name: "new".into(), price_cents: 0, stock: 0 };
                pool.write(|c| items::insert(c, fields)).await.map(drop)
            } else {
                pool.read(move |c| items::by_id(c, number)).await.map(drop)
            }
        });
    }
    for result in tasks.join_all().await {
        result.unwrap();
    }
    assert_eq!(pool.read(count).await.unwrap().found, 1_500);
}

#[tokio::test]
async fn waiters_are_served_in_order_and_their_number_is_bounded() {
    let pool = ready(&Settings { queue: 3, ..settings() }).await;
    let hold = occupy(&pool).await;
    let (seen, order) = mpsc::channel();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..3 {
        let (asking, seen) = (Arc::clone(&pool), seen.clone());
        tasks.spawn(async move { asking.read(move |_| Ok(seen.send(number))).await.unwrap().waited });
        while pool.load().waiting <= number {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(pool.load(), Load { busy: 1, waiting: 3, refused: 0, connections: 1, bound: 3 });
    let refusal = pool.read(count).await.unwrap_err();
    assert!(refusal.to_string().contains("3 requests wait"), "{refusal}");
    assert_eq!(pool.load().refused, 1);
    drop(hold);
    let before = pool.spent().queries;
    let waits = tasks.join_all().await;
    assert!(waits.iter().all(|wait| !wait.is_zero()));
    // What a query took is booked after it is answered.
    while pool.spent().waited < waits.iter().sum() {
        tokio::task::yield_now().await;
    }
    let spent = pool.spent();
    assert!(spent.queries >= before + 2 && !spent.worked.is_zero(), "{spent:?}");
    assert_eq!(order.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
}

#[tokio::test]
async fn those_who_gave_up_do_not_take_room() {
    let pool = ready(&Settings { queue: 1, ..settings() }).await;
    let hold = occupy(&pool).await;
    let gone = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.read(|_| -> rusqlite::Result<()> { panic!("nobody waits for this") }).await.map(drop) }
    });
    while pool.load().waiting == 0 {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    let counting = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.read(count).await.unwrap().found }
    });
    tokio::task::yield_now().await;
    drop(hold);
    assert_eq!(counting.await.unwrap(), 1_000);
}

#[tokio::test]
async fn dropping_the_pool_interrupts_a_long_query() {
    let pool = ready(&settings()).await;
    let (begun, began) = oneshot::channel();
    let (told, ended) = oneshot::channel();
    let long = move |c: &mut Connection| {
        let forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
        let mut statement = c.prepare(forever)?;
        let mut rows = statement.query([])?;
        rows.next()?;
        begun.send(()).unwrap();
        let error = loop {
            if let Err(error) = rows.next() {
                break error;
            }
        };
        told.send(error.sqlite_error_code()).unwrap();
        Ok(())
    };
    let mut query = Box::pin(pool.read(long));
    tokio::select! {
        _ = &mut query => panic!("it cannot end"),
        begun = began => begun.unwrap(),
    }
    drop(query);
    drop(pool);
    assert_eq!(ended.await.unwrap(), Some(rusqlite::ErrorCode::OperationInterrupted));
}

#[test]
fn a_file_that_cannot_be_opened_is_named_with_its_flag() {
    let missing = Settings { file: Some("/nonexistent/folder/items.db".into()), ..settings() };
    let error = Pool::open(&missing).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/folder/items.db (--database)"), "{error}");
}

#[tokio::test]
async fn latency_occupies_the_connection_and_counts_as_work() {
    let time = Duration::from_millis(20);
    let pool = ready(&Settings { latency: Latency::Fixed(time), ..settings() }).await;
    let (first, second) = tokio::join!(pool.read(count), pool.read(count));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.worked >= time && second.worked >= time, "{first:?} {second:?}");
    assert!(second.waited >= time, "it had to wait for the only connection: {second:?}");
}

#[tokio::test]
async fn dropping_the_pool_ends_its_latency() {
    // Ten minutes, of which this test waits for none.
    let pool = ready(&Settings { latency: Latency::Fixed(Duration::from_secs(600)), ..settings() }).await;
    let mut query = Box::pin(pool.read(count));
    while pool.load().busy == 0 {
        tokio::select! {
            biased;
            _ = &mut query => panic!("it takes ten minutes"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(query);
    let shared = Arc::downgrade(&pool.shared);
    drop(pool);
    // The thread held the last of it.
    while shared.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
}
