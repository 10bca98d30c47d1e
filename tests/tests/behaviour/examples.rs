//! Every example does what its own comment says, and the shipped configuration serves.

mod command;
mod told;

use std::collections::BTreeSet;

use evenkeel_testkit::{
    End, Origin, Proxy, RawClient, Response, ToyBackend, eventually, reply, run_evenkeel,
};
use serde_json::Value;

use crate::own_answers::expect_own;
use told::{Example, read, relocate, root};

/// A test for each example, and the list of those that have one.
macro_rules! drive {
    ($($file:literal => $driver:ident,)*) => {
        const DRIVEN: &[&str] = &[$($file),*];

        mod each {
            $(#[test]
            fn $driver() {
                let mut example = super::Example::start(concat!("examples/", $file));
                super::$driver(&mut example);
                example.finish();
            })*
        }
    };
}

drive! {
    "adaptive.toml" => adaptive,
    "backup.toml" => backup,
    "canary-split.toml" => canary_split,
    "consistent-hash.toml" => consistent_hash,
    "health-checks.toml" => health_checks,
    "json-logs.toml" => json_logs,
    "least-connections.toml" => least_connections,
    "limits-and-timeouts.toml" => limits_and_timeouts,
    "metrics.toml" => metrics,
    "outliers.toml" => outliers,
    "queue.toml" => queue,
    "redirect-and-respond.toml" => redirect_and_respond,
    "retries.toml" => retries,
    "round-robin-weights.toml" => round_robin_weights,
    "routes.toml" => routes,
    "smallest.toml" => smallest,
    "tcp-redis.toml" => tcp_redis,
    "trusted-proxies.toml" => trusted_proxies,
    "unix-socket.toml" => unix_socket,
}

#[test]
fn every_example_has_a_test() {
    let there: BTreeSet<String> = std::fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let driven: BTreeSet<String> = DRIVEN.iter().map(|file| (*file).to_owned()).collect();
    assert_eq!(there, driven, "examples/ on the left, those with a test on the right");
}

#[test]
fn the_shipped_configuration_serves() {
    let toys = ["a", "b", "c"].map(ToyBackend::start);
    let moved: Vec<_> = (9001..).zip(&toys).map(|(port, toy)| (port, toy.address())).collect();
    let proxy = Proxy::start(&relocate(&read("config/evenkeel.toml"), &moved));
    toys.iter().for_each(|toy| proxy.wait_for_endpoint(toy.address(), true));
    let mut client = proxy.client();
    let answers: Vec<_> =
        (0..6).map(|_| client.exchange("GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect_status(200)).collect();
    assert_eq!(["a", "b", "c"].map(|name| count(&answers, name)), [2, 2, 2]);
}

fn smallest(example: &mut Example) {
    let answers = example.see("curl 'http://127.0.0.1:8080/?[1-4]'");
    let names: String = answers.iter().map(who).collect();
    assert!(names == "abab" || names == "baba", "{names}");
}

fn round_robin_weights(example: &mut Example) {
    let mut names = String::new();
    for _ in 0..4 {
        let answers = example.see("curl 'http://127.0.0.1:8080/?[1-5]'");
        assert_eq!(["a", "b", "c"].map(|name| count(&answers, name)), [3, 1, 1]);
        let row: String = answers.iter().map(who).collect();
        assert!(!row.contains("aaa"), "{row}");
        names.push_str(&row);
    }
}

fn least_connections(example: &mut Example) {
    example.see_one("curl -X POST 'http://127.0.0.1:9003/chaos?mode=slow&ms=500'").expect_status(200);
    example.by_hand("for i in $(seq 20); do curl -s http://127.0.0.1:8080/ & done; wait");
    let endpoints = ["a", "b", "c"].map(|name| example.backend(name).address().to_string());
    let proxy = &example.proxy;
    let in_flight = |endpoint: usize| {
        let labels = [("endpoint", endpoints[endpoint].as_str())];
        proxy.metrics().value("evenkeel_upstream_in_flight", &labels)
    };
    let mut clients = Vec::new();
    for number in 1..=20 {
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        clients.push(client);
        // Each comes when the fast ones are through with those before it, as curl after curl does.
        eventually("the fast ones to be free", || {
            let metrics = proxy.metrics();
            let done = metrics.value("evenkeel_upstream_requests_total", &[]);
            let slow = in_flight(2);
            let free = in_flight(0) + in_flight(1) == 0.0 && done + slow >= f64::from(number);
            if free { Ok(()) } else { Err(metrics) }
        });
    }
    let answers: Vec<_> = clients.iter_mut().map(|client| client.response().expect_status(200)).collect();
    let [a, b, c] = ["a", "b", "c"].map(|name| count(&answers, name));
    assert!(c < a && c < b, "a {a}, b {b}, c {c}");

    // What c can bear.
    proxy.wait_in_flight(0);
    let mut clients: Vec<_> = (0..40).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET /delay/60000 HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    proxy.wait_in_flight(40);
    assert_eq!((in_flight(0) + in_flight(1), in_flight(2)), (30.0, 10.0));
}

fn adaptive(example: &mut Example) {
    let answers = example.see("for i in $(seq 20); do curl -s http://127.0.0.1:8080/; done");
    assert!(answers.iter().all(|answer| answer.status == 200));
    example.see_one("curl -X POST 'http://127.0.0.1:9003/chaos?mode=slow&ms=2000'").expect_status(200);
    let answers = example.see("for i in $(seq 40); do curl -s http://127.0.0.1:8080/; done");
    assert!(answers.iter().all(|answer| answer.status == 200));
    // Once not to know it, and once more where the others were not much faster at first.
    assert!((1..=2).contains(&count(&answers, "c")), "{answers:?}");
}

fn backup(example: &mut Example) {
    for _ in 0..6 {
        let answer = example.see_one("curl http://127.0.0.1:8080/").expect_status(200);
        assert_ne!(who(&answer), "c", "{answer}");
    }
    example.kill("kill %1 %2");
    for _ in 0..10 {
        let answer = example.see_one("curl http://127.0.0.1:8080/").expect_status(200);
        assert_eq!(who(&answer), "c", "{answer}");
    }
}

fn canary_split(example: &mut Example) {
    let loop_of_100 =
        "for i in $(seq 100); do curl -s http://127.0.0.1:8080/; done | cut -d' ' -f1 | sort | uniq -c";
    let answers: Vec<_> = (0..10).flat_map(|_| example.see(loop_of_100)).collect();
    assert!(answers.iter().all(|answer| answer.status == 200));
    let [a, b, c] = ["a", "b", "c"].map(|name| count(&answers, name));
    // Five standard deviations of a binomial share of 1000 at 1/10 are 48.
    assert!(c.abs_diff(100) <= 48 && a + b + c == 1000, "{c} of 1000 went to the canary");
    assert!(a.abs_diff(b) <= 2, "the stable ones take turns, {a} and {b}");
    for _ in 0..5 {
        let answer = example.see_one("curl -H 'x-canary: 1' http://127.0.0.1:8080/").expect_status(200);
        assert_eq!(who(&answer), "c", "{answer}");
    }
}

fn consistent_hash(example: &mut Example) {
    let ann = "for i in $(seq 5); do curl -s -H 'Cookie: session=ann' http://127.0.0.1:8080/; done";
    let nobody = "for i in $(seq 5); do curl -s http://127.0.0.1:8080/; done";
    for command in [ann, nobody] {
        let answers = example.see(command);
        assert_eq!(count(&answers, &who(&answers[0])), 5, "{command}: {answers:?}");
    }
    let explain = "evenkeel explain -c examples/consistent-hash.toml -H 'Cookie: session=ann' GET http://127.0.0.1:8080/";
    example.by_hand(explain);
    let words = command::words(explain);
    let arguments: Vec<_> = words[1..].iter().map(String::as_str).collect();
    let exit = run_evenkeel(root(), &arguments).expect_code(0);
    assert!(
        exit.stdout.contains("maglev by cookie session") && exit.stdout.contains("it takes 127.0.0.1:900"),
        "{exit}"
    );

    example.by_hand(
        "for i in $(seq 30); do curl -s -H \"Cookie: session=$i\" http://127.0.0.1:8080/; done | sort | uniq -c",
    );
    let all = |example: &Example| -> Vec<String> {
        let mut client = example.proxy.client();
        let mut ask = |user: u32| {
            client.exchange(format!("GET / HTTP/1.1\r\nHost: test\r\nCookie: session={user}\r\n\r\n"))
        };
        (1..=30).map(|user| who(&ask(user).expect_status(200))).collect()
    };
    let before = all(example);
    example.kill("kill -9 %1");
    let after = all(example);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before != after, before == "a", "{before} became {after}");
    }
}

fn health_checks(example: &mut Example) {
    let c = example.backend("c").address();
    // Ready means that each has been probed once, and was well.
    example.kill("kill -9 %3");
    let answers = example.see("for i in $(seq 10); do curl -s http://127.0.0.1:8080/; done");
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(count(&answers, "a") + count(&answers, "b"), 10);
    example.proxy.wait_for_endpoint(c, false);
    let page = example.see_one("curl -s http://127.0.0.1:9900/metrics | grep evenkeel_endpoint_up").text();
    let line = format!("evenkeel_endpoint_up{{upstream=\"app\",endpoint=\"{c}\"}} 0");
    assert!(page.lines().any(|own| own == line), "{line} in\n{page}");
    example.backend("c").restart();
    example.proxy.wait_for_endpoint(c, true);
    // The other upstream, probed without a request.
    example.proxy.get("/plain/x");
    assert_eq!(example.proxy.wait_for_log_of("/plain/x")["upstream"], "plain");
    let labels = [("upstream", "plain"), ("result", "up")];
    example.proxy.wait_for_metric("evenkeel_endpoint_up", &labels[..1], |up| up == 1.0);
}

fn retries(example: &mut Example) {
    let loop_of_30 = "for i in $(seq 30); do curl -s http://127.0.0.1:8080/; done";
    let grep = "curl -s http://127.0.0.1:9900/metrics | grep evenkeel_upstream_retries_total";
    example.kill("kill -9 %2");
    let answers = example.see(loop_of_30);
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(count(&answers, "a") + count(&answers, "c"), 30);
    example.proxy.wait_for_metric("evenkeel_upstream_retries_total", &[], |retries| retries > 0.0);
    let page = example.see_one(grep).text();
    let line = "evenkeel_upstream_retries_total{upstream=\"app\",reason=\"connect\"} ";
    assert!(page.lines().any(|own| own.strip_prefix(line).is_some_and(|n| n != "0")), "{line}in\n{page}");

    // "or answers 503"
    let [a, b, c] = ["a", "b", "c"]
        .map(|name| Origin::serve(move |_| reply(if name == "b" { 503 } else { 200 }, format!("{name} "))));
    let moved = [(9001, a.address()), (9002, b.address()), (9003, c.address())];
    let proxy = Proxy::start(&relocate(&read("examples/retries.toml"), &moved));
    let answers: Vec<_> = (0..30).map(|_| proxy.get("/").expect_status(200)).collect();
    assert_eq!(count(&answers, "a") + count(&answers, "c"), 30);
    assert!(b.request_count() > 0, "the one that answers 503 had its share");
    let labels = [("upstream", "app"), ("reason", "status")];
    let refused = b.request_count() as f64;
    proxy.wait_for_metric("evenkeel_upstream_retries_total", &labels, |retries| retries == refused);
}

fn outliers(example: &mut Example) {
    let c = example.backend("c").address();
    let fail = "curl -X POST 'http://127.0.0.1:9003/chaos?mode=fail&percent=100&healthz=off'";
    example.see_one(fail).expect_status(200);
    let answers = example.see("for i in $(seq 30); do curl -s http://127.0.0.1:8080/; done");
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(count(&answers, "a") + count(&answers, "b"), 30);
    let grep = "curl -s http://127.0.0.1:9900/metrics | grep evenkeel_endpoint_ejections_total";
    let page = example.see_one(grep).text();
    let line = format!(
        "evenkeel_endpoint_ejections_total{{upstream=\"app\",endpoint=\"{c}\",reason=\"consecutive_errors\"}} "
    );
    assert!(page.lines().any(|own| own.strip_prefix(&*line).is_some_and(|n| n != "0")), "{line}in\n{page}");
    example.see_one("curl -X POST 'http://127.0.0.1:9003/chaos?mode=reset'").expect_status(200);
    eventually("c to be used", || {
        let answer = example.see_one("curl http://127.0.0.1:8080/").expect_status(200);
        if who(&answer) == "c" { Ok(()) } else { Err(answer.to_string()) }
    });
}

fn limits_and_timeouts(example: &mut Example) {
    example.by_hand("curl -i -d @/bin/ls http://127.0.0.1:8080/echo");
    let mut client = example.proxy.client();
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 151344\r\n\r\n");
    expect_own(&client.response(), 413, "http_request_error");
    example.by_hand("curl -i -H \"x-long: $(head -c 5000 /dev/zero | tr '\\0' a)\" http://127.0.0.1:8080/");
    let request = format!("GET / HTTP/1.1\r\nHost: test\r\nx-long: {}\r\n\r\n", "a".repeat(5000));
    expect_own(&example.proxy.client().exchange(request), 431, "http_request_error");
    let answer = example.see_one("curl -i http://127.0.0.1:8080/delay/5000");
    expect_own(&answer, 504, "http_response_timeout");
    let duration = example.proxy.wait_for_log_of("/delay/5000")["duration"].as_f64().unwrap();
    assert!(duration >= 2.0, "after {duration} s");
    example.by_hand("(printf 'GET / HT'; sleep 4) | nc 127.0.0.1 8080");
    expect_own(&example.proxy.client().exchange("GET / HT"), 408, "http_request_error");
    // What fits passes.
    let body = "x".repeat(16 << 10);
    let request = format!("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 16384\r\n\r\n{body}");
    example.proxy.client().exchange(request).expect_status(200);
}

fn routes(example: &mut Example) {
    for (command, wanted) in [
        ("curl http://127.0.0.1:8080/", "a"),
        ("curl http://127.0.0.1:8080/items/7", "b"),
        ("curl -H 'Host: api.example.com' http://127.0.0.1:8080/", "b"),
        ("curl -H 'x-beta: 1' http://127.0.0.1:8080/items/7", "c"),
    ] {
        let answer = example.see_one(command).expect_status(200);
        assert_eq!(answer.fields.value("x-backend"), Some(wanted), "{command}\n{answer}");
    }
    let explain = "evenkeel explain -c examples/routes.toml -H 'x-beta: 1' GET http://127.0.0.1:8080/items/7";
    example.by_hand(explain);
    let words = command::words(explain);
    let arguments: Vec<_> = words[1..].iter().map(String::as_str).collect();
    let exit = run_evenkeel(root(), &arguments).expect_code(0);
    assert!(exit.stdout.contains("items-beta") && exit.stdout.contains("it takes 127.0.0.1:9003"), "{exit}");
}

fn redirect_and_respond(example: &mut Example) {
    example
        .see_one("curl -i http://127.0.0.1:8080/old/page?x=1")
        .expect_status(308)
        .expect_field("location", "/new");
    example
        .see_one("curl -i -H 'Host: example.com' http://127.0.0.1:8080/a")
        .expect_status(301)
        .expect_field("location", "https://www.example.com/a");
    let robots = example.see_one("curl -i http://127.0.0.1:8080/robots.txt").expect_status(200);
    robots.expect_body("User-agent: *\nDisallow: /internal/\n");
    let refused = example.see_one("curl -i http://127.0.0.1:8080/internal/secrets").expect_status(403);
    refused.expect_body("not from outside\n");
    assert_eq!(who(&example.proxy.get("/").expect_status(200)), "a");
}

fn trusted_proxies(example: &mut Example) {
    let forwarded_for = |command| {
        let echo: Value = serde_json::from_slice(&example.see_one(command).expect_status(200).body).unwrap();
        let fields = echo["headers"].as_array().unwrap().iter().filter(|field| field[0] == "x-forwarded-for");
        fields.map(|field| field[1].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let trusted = forwarded_for("curl -H 'X-Forwarded-For: 192.0.2.7' http://127.0.0.1:8080/echo");
    assert_eq!(trusted, ["192.0.2.7, 127.0.0.1"]);
    let stranger = forwarded_for("curl -H 'X-Forwarded-For: 192.0.2.7' http://127.0.0.1:8081/echo");
    assert_eq!(stranger, ["127.0.0.1"]);
}

fn unix_socket(example: &mut Example) {
    for command in ["curl --unix-socket /tmp/evenkeel.sock http://localhost/", "curl http://127.0.0.1:8080/"]
    {
        example.see_one(command).expect_status(200);
    }
    assert_eq!(
        example.proxy.wait_for_log("of the socket", |line| line["listener"] == "local")["status"],
        200
    );
    // An endpoint can be one too.
    let chained = Proxy::start(&format!(
        "[listener.web]\naddress = \"127.0.0.1:0\"\nupstream = \"app\"\n[upstream.app]\nendpoints = [\"unix:{}\"]\n",
        example.socket().display()
    ));
    assert!(["a", "b"].contains(&who(&chained.get("/").expect_status(200)).as_str()));
}

fn json_logs(example: &mut Example) {
    example.see_one("curl http://127.0.0.1:8080/").expect_status(200);
    let endpoint = example.backend("a").address().to_string();
    example.proxy.signal("TERM");
    let exit = example.proxy.wait_exit().expect_code(0);
    let lines =
        |text: &str| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    let (access, own) = (lines(&exit.stdout), lines(&exit.stderr));
    assert_eq!(access.len(), 1, "{exit}");
    let line = &access[0];
    assert_eq!((&line["status"], &line["upstream"]), (&200.into(), &"app".into()), "{line}");
    assert_eq!(line["endpoint"], endpoint, "{line}");
    assert!(line["duration"].as_f64().is_some_and(|seconds| seconds > 0.0), "{line}");
    assert!(own.iter().all(|line| line["level"].is_string() && line["message"].is_string()), "{exit}");
    assert!(own.iter().any(|line| line["message"].as_str().unwrap().contains("listening on")), "{exit}");
}

fn metrics(example: &mut Example) {
    example.see_one("curl http://127.0.0.1:8080/").expect_status(200);
    example.proxy.wait_for_metric("evenkeel_requests_total", &[], |count| count == 1.0);
    let page = example.see_one("curl http://127.0.0.1:9900/metrics").expect_status(200).text();
    assert!(page.contains("evenkeel_requests_total{listener=\"web\""), "{page}");
    example.see_one("curl -i http://127.0.0.1:9900/livez").expect_status(200);
    example.see_one("curl -i http://127.0.0.1:9900/readyz").expect_status(200);
    let output = example.proxy.output();
    assert!(!output.contains("GET"), "the access log is off:\n{output}");
}

fn queue(example: &mut Example) {
    let together = |count: usize| {
        example.by_hand(&format!(
            "for i in $(seq {count}); do curl -s http://127.0.0.1:8080/delay/300 & done; wait"
        ));
        let mut clients: Vec<_> = (0..count).map(|_| example.proxy.client()).collect();
        for client in &mut clients {
            client.send("GET /delay/300 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        }
        let answers: Vec<_> = clients.iter_mut().map(|client| client.response()).collect();
        answers.iter().filter(|answer| answer.status == 200).count()
    };
    assert_eq!(together(8), 8);
    let served = together(30);
    assert!(served >= 4 + 10, "{served}");
    let refused = (30 - served) as f64;
    let labels = [("reason", "queue_full")];
    example.proxy.wait_for_metric("evenkeel_rejections_total", &labels, |count| count == refused);
    let page =
        example.see_one("curl -s http://127.0.0.1:9900/metrics | grep evenkeel_upstream_queue_depth").text();
    assert!(page.contains("evenkeel_upstream_queue_depth{upstream=\"app\"} 0"), "{page}");
    assert!(page.contains("evenkeel_upstream_queue_wait_seconds_count{upstream=\"app\"}"), "{page}");
}

fn tcp_redis(example: &mut Example) {
    let ping = "redis-cli -p 6379 PING";
    let pong = |example: &Example| {
        example.by_hand(ping);
        let mut client = RawClient::connect(example.proxy.address("cache"));
        // As redis-cli sends it.
        client.send("*1\r\n$4\r\nPING\r\n");
        assert_eq!(client.read_exactly(7), b"+PONG\r\n");
        client
    };
    let endpoints = ["6380", "6381"].map(|name| example.redis(name).address().to_string());
    let first = pong(example);
    drop(first);
    let line = example.proxy.wait_for_log("of the first session", |line| line["endpoint"] == endpoints[0]);
    assert!(line["reason"].is_null() && line["listener"] == "cache", "{line}");
    let mut kept = pong(example);
    example.kill("kill -9 %1");
    assert_eq!(kept.until_end().1, End::Reset);
    let second = pong(example);
    drop(second);
    example.proxy.wait_for_log("of the stand-in's session", |line| line["endpoint"] == endpoints[1]);
    let page =
        example.see_one("curl -s http://127.0.0.1:9900/metrics | grep evenkeel_tcp_sessions_total").text();
    let line = "evenkeel_tcp_sessions_total{listener=\"cache\",upstream=\"redis\",reason=\"completed\"} 2";
    assert!(page.lines().any(|own| own == line), "{line} in\n{page}");
}

/// The backend's name, the first word of its answer.
fn who(answer: &Response) -> String {
    answer.text().split(' ').next().unwrap_or_default().to_owned()
}

/// How many of these answers are of this backend.
fn count(answers: &[Response], name: &str) -> usize {
    answers.iter().filter(|answer| who(answer) == name).count()
}
