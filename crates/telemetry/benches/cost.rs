//! What recording costs: nanoseconds per operation, medians of several rounds. `cargo bench -p evenkeel-telemetry`.

#![expect(clippy::unwrap_used, reason = "a measuring program")]

use evenkeel_telemetry::{AccessLog, Format, Method, Record, Target, Telemetry};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant, SystemTime};

fn main() {
    let telemetry = Telemetry::new();
    let writer = telemetry.writer();
    let (route, endpoint) = (writer.route("web", "api", "app"), writer.endpoint("app", "127.0.0.1:9001"));
    report("route: one request", 1_000_000, |i| {
        let duration = Duration::from_nanos(i.wrapping_mul(7_919) % 50_000_000);
        route.request(black_box(Method::Get), black_box(200), black_box(duration), 100, 2_000);
    });
    report("endpoint: begin and end", 1_000_000, |i| {
        endpoint.begin();
        endpoint
            .end(black_box(Some(200)), black_box(Duration::from_nanos(i.wrapping_mul(7_919) % 50_000_000)));
    });
    for (name, format) in [("text", Format::Text), ("json", Format::Json)] {
        let log = AccessLog::start(Target::File("/dev/null".into()), format).unwrap();
        let mut lines = log.writer();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        report(&format!("access log: one {name} record"), 200_000, |i| {
            lines.record(black_box(&Record {
                time: time + Duration::from_micros(i * 20),
                request_id: b"4f1c0a9e5b7d43f2a1b0c9d8e7f60514",
                client: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)).into(),
                listener: "web",
                route: "api",
                method: b"GET",
                host: b"api.example.com",
                path: b"/v1/items?name=a%20b",
                status: 200,
                reason: None,
                bytes_in: 142,
                bytes_out: 2_310,
                duration: Duration::from_micros(3_482),
                upstream: "app",
                endpoint: "10.0.0.2:8080",
                attempts: 1,
                connect: None,
                first_byte: Some(Duration::from_micros(3_020)),
                tls: None,
            }));
        });
        drop(lines);
        log.close();
        println!("{:>52} lines dropped", log.dropped());
    }
    let writers = [telemetry.writer(), telemetry.writer()];
    let _held: Vec<_> = (0..1_000)
        .flat_map(|n| {
            writers
                .each_ref()
                .map(|writer| writer.endpoint("app", &format!("10.0.{}.{}:80", n / 250, n % 250)))
        })
        .inspect(|endpoint| {
            endpoint.begin();
            endpoint.end(Some(200), Duration::from_millis(1));
        })
        .collect();
    report("sums of 1000 endpoints, two workers", 20, |_| drop(black_box(telemetry.totals())));
    report("page of 1000 endpoints, two workers", 20, |_| drop(black_box(telemetry.page())));
    println!("{:>52} bytes", telemetry.page().len());
}

fn report(name: &str, times: u64, mut operation: impl FnMut(u64)) {
    let mut rounds: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            (0..times).for_each(&mut operation);
            start.elapsed().as_nanos() as f64 / times as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{name:<40} {:>12.1} ns", rounds.get(rounds.len() / 2).unwrap());
}
