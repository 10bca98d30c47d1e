//! Backends that use a cache through the proxy: the cache server dies and returns under load, ours and Redis alike,
//! and no client sees more than a word in a header.

use evenkeel_testkit::{CacheServer, Load, Proxy, RawClient, ReservedPort, TempDir, ToyBackend, eventually};
use serde_json::Value;

/// Two backends behind listener `web`, a cache server behind the TCP listener `cache`, which they use.
struct Shop {
    proxy: Proxy,
    backends: [ToyBackend; 2],
    /// Their database is in it.
    _directory: TempDir,
}

impl Shop {
    fn open(cache: &CacheServer) -> Self {
        // The backends have to know where it will be before the proxy knows where they are.
        let listener = ReservedPort::new();
        let url = format!("redis://{}", listener.address());
        let directory = TempDir::new();
        let database = directory.join("shop.sqlite").display().to_string();
        // Times that a busy machine keeps: what a killed server does to a connection is seen without waiting for them.
        let mut options = vec!["--rows", "100", "--database", &database, "--database-latency", "fixed:5ms"];
        options.extend(["--cache", &url, "--cache-timeout", "1s", "--cache-fence", "4s"]);
        let backends = ["one", "two"].map(|name| ToyBackend::with(name, &options));
        let [one, two] = [backends[0].address(), backends[1].address()];
        let proxy = Proxy::start(&format!(
            r#"
[listener.web]
address = "127.0.0.1:0"
upstream = "app"

[upstream.app]
endpoints = ["{one}", "{two}"]

[listener.cache]
address = "{}"
protocol = "tcp"
upstream = "cache"

[upstream.cache]
endpoints = ["{}"]

[upstream.cache.health]
kind = "redis"
interval = "100ms"
"#,
            listener.address(),
            cache.address()
        ));
        let shop = Self { proxy, backends, _directory: directory };
        eventually("both backends to use the cache", || {
            shop.expect_all("/metrics", |page| {
                page.lines().any(|line| line == "toy_backend_cache_breaker_state 0")
            })
        });
        shop
    }

    /// Asks each backend, past the proxy.
    fn expect_all(&self, path: &str, wanted: impl Fn(&str) -> bool) -> Result<(), String> {
        for backend in &self.backends {
            let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
            let answer = RawClient::connect(backend.address()).exchange(request).text();
            if !wanted(&answer) {
                return Err(answer);
            }
        }
        Ok(())
    }

    /// What a client of the proxy is told of the cache, and by whom.
    fn ask(&self, path: &str) -> (String, String) {
        let answer = self.proxy.get(path).expect_status(200);
        let field = |name| answer.fields.value(name).unwrap_or_default().to_owned();
        (field("x-cache"), field("x-backend"))
    }

    /// Waits until this is what both backends say.
    fn wait_for(&self, path: &str, word: &str) {
        let mut heard = [false; 2];
        eventually(&format!("{word} by both"), || {
            let (cache, backend) = self.ask(path);
            if cache == word {
                heard[usize::from(backend == "two")] = true;
            }
            if heard == [true; 2] { Ok(()) } else { Err(format!("{cache} by {backend}")) }
        });
    }
}

fn a_shop_with(mut cache: CacheServer) {
    let shop = Shop::open(&cache);
    let through = shop.proxy.address("cache");

    // What one backend stores, the other has.
    assert_eq!(shop.ask("/items/7").0, "miss");
    shop.wait_for("/items/7", "hit");
    let answer = CacheServer::ask(through, "GET items:7\r\nDBSIZE").unwrap();
    assert!(answer.contains("\"name\":\"item-7\"") && answer.ends_with(":1\r\n"), "{answer}");
    let hit = shop.proxy.get("/items/7");
    assert_eq!(hit.fields.value("x-database-ms"), Some("0.000"));

    // What one backend writes, neither has any more.
    let body = r#"{"stock": 12345}"#;
    let put = format!("PUT /items/7 HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let put = shop.proxy.client().exchange(put).expect_status(200);
    assert_eq!(put.fields.value("x-cache-invalidation"), Some("done"), "{put}");
    for _ in 0..4 {
        let row: Value = serde_json::from_str(&shop.proxy.get("/items/7").text()).unwrap();
        assert_eq!(row["stock"], 12345);
    }

    let request = "GET /items/8 HTTP/1.1\r\nHost: test\r\n\r\n";
    let load = Load::new(shop.proxy.address("web")).request(request).rate(300.0).requests(100_000).start();
    shop.wait_for("/items/8", "hit");
    cache.kill9();
    shop.wait_for("/items/8", "bypass");
    load.wait_for(load.done() + 100);
    let bypass = shop.proxy.get("/items/8");
    let timing = bypass.fields.value("server-timing").unwrap_or_default();
    assert!(timing.contains("cache;dur=") && timing.contains(";desc="), "{bypass}");

    cache.restart();
    shop.wait_for("/items/8", "hit");
    let answer = CacheServer::ask(through, "EXISTS items:7 items:8").unwrap();
    assert_eq!(answer, ":1\r\n", "it came back empty");
    load.wait_for(load.done() + 50);
    load.stop();
    let report = load.finish();
    assert_eq!(report.failed(), 0, "{report}");
}

#[test]
fn our_cache_server_is_used_missed_and_used_again() {
    a_shop_with(CacheServer::evenkeel());
}

#[test]
fn redis_is_used_missed_and_used_again() {
    if let Some(redis) = CacheServer::redis() {
        a_shop_with(redis);
    }
}

#[test]
fn our_replica_is_read_and_old_copies_outlive_the_database() {
    let (primary, replica) = (CacheServer::evenkeel(), CacheServer::evenkeel());
    let of = primary.address();
    CacheServer::ask(replica.address(), &format!("REPLICAOF {} {}", of.ip(), of.port())).unwrap();
    let (cache, read) = (format!("redis://{of}"), format!("redis://{}", replica.address()));
    let mut options =
        vec!["--rows", "100", "--cache", &cache, "--cache-read", &read, "--cache-timeout", "1s"];
    options.extend(["--cache-fence", "4s", "--cache-policy", "write-through", "--cache-serve-stale", "10m"]);
    let toy = ToyBackend::with("one", &options);
    let send = |method: &str, path: &str, body: &str| {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n");
        RawClient::connect(toy.address()).exchange(head + body)
    };
    let expect = |word: &str| {
        let answer = send("GET", "/items/7", "").expect_status(200);
        match answer.fields.value("x-cache") == Some(word) {
            true => Ok(answer),
            false => Err(answer.to_string()),
        }
    };
    eventually("a row that was written through to be found in the replica", || {
        send("PUT", "/items/7", r#"{"stock": 12345}"#).expect_status(200);
        expect("hit").map(drop)
    });
    let in_replica = CacheServer::ask(replica.address(), "GET items:7").unwrap();
    assert!(in_replica.contains("\"stock\":12345"), "{in_replica}");

    send("POST", "/chaos?mode=database-down", "").expect_status(200);
    assert_eq!(CacheServer::ask(of, "DEL items:7").unwrap(), ":1\r\n");
    eventually("an old copy", || expect("stale").map(drop));
    let stale = expect("stale").unwrap();
    assert!(stale.fields.has("age"), "{stale}");
    let row: Value = serde_json::from_str(&stale.text()).unwrap();
    assert_eq!(row["stock"], 12345);
    send("GET", "/items/8", "").expect_status(503);
    send("GET", "/healthz", "").expect_status(200);
}
