//! Tests of the explanation by a plan, alone and with a status.

use super::*;
use crate::handle::{ListenerStatus, UpstreamStatus};

const FILE: &str = r#"
[listener.web]
address = "127.0.0.1:8080"
upstream = "site"
[listener.side]
address = "127.0.0.1:8081"
[[route]]
name = "api"
match = { host = "api.example.com", path = "/v1/*", method = ["GET"] }
upstream = "api"
[[route]]
name = "beta"
match = { path = "/v1/*", header = { "x-beta" = "1" } }
upstream = "beta"
[[route]]
name = "canary"
match = { path = "/canary" }
split = [{ upstream = "site", weight = 9 }, { upstream = "beta", weight = 1 }]
[[route]]
name = "moved"
match = { path = "/old" }
redirect = { to = "https://new.example{path}", status = 308 }
[[route]]
name = "hello"
match = { path = "/hello" }
respond = { status = 200, body = "hi" }
[upstream.site]
endpoints = ["127.0.0.1:9001", { address = "127.0.0.1:9009", backup = true }]
[upstream.api]
balance = "least-connections"
endpoints = ["127.0.0.1:9002", { address = "127.0.0.1:9003", max_in_flight = 5 }]
[upstream.beta]
endpoints = [{ address = "127.0.0.1:9004", weight = 0 }]
"#;

fn plan() -> Plan {
    evenkeel_config::parse(FILE, "test.toml").unwrap().plan
}

fn ask(method: &str, url: &str, headers: &[&str]) -> Explanation {
    explain(&plan(), &Question::new(method, url, headers).unwrap(), None)
}

fn branches(explanation: &Explanation) -> &[Branch] {
    match &explanation.listeners[0].decision {
        Decision::Forward { branches } => branches,
        other => panic!("not forwarded: {other:?}"),
    }
}

/// What a running proxy says, with the endpoints of `api` as given.
fn status(api: &[(bool, u32)]) -> Status {
    let plan = plan();
    let endpoint = |address: String, backup, weight, (up, in_flight)| EndpointStatus {
        address,
        eligible: up,
        refusal: None,
        up,
        reason: if up { "answered 200".into() } else { "cannot connect: connection refused".into() },
        since_seconds: Some(3),
        draining: false,
        ejected: false,
        ejection: None,
        weight,
        backup,
        in_flight,
        max_in_flight: None,
    };
    Status {
        version: "0",
        uptime_seconds: 1,
        ready: true,
        draining: false,
        workers: 1,
        listeners: plan
            .listeners
            .iter()
            .map(|listener| ListenerStatus {
                protocol: listener.protocol.name(),
                name: listener.name.clone(),
                address: listener.address.to_string(),
                connections: 0,
            })
            .collect(),
        upstreams: plan
            .upstreams
            .iter()
            .map(|upstream| UpstreamStatus {
                name: upstream.name.clone(),
                balance: upstream.balance.name(),
                endpoints: upstream
                    .endpoints
                    .iter()
                    .enumerate()
                    .map(|(index, settings)| {
                        let known = if upstream.name == "api" { api[index] } else { (true, 0) };
                        endpoint(settings.address.to_string(), settings.backup, settings.weight as u16, known)
                    })
                    .collect(),
            })
            .collect(),
        refused_reload: None,
        changes: Vec::new(),
    }
}

fn ask_live(url: &str, api: &[(bool, u32)]) -> Explanation {
    explain(&plan(), &Question::new::<&str>("GET", url, &[]).unwrap(), Some(&status(api)))
}

#[test]
fn the_route_taken_and_the_reasons_against_the_others() {
    let explanation = ask("GET", "http://api.example.com/v1/x", &["x-beta: 1"]);
    assert!(explanation.routed && !explanation.live);
    assert_eq!(explanation.listeners.len(), 2, "no port in the URL: every listener");
    let web = &explanation.listeners[0];
    assert_eq!(web.route.as_deref(), Some("api"));
    assert_eq!(web.because, "matches host api.example.com, path /v1/*, method GET");
    let refused: Vec<_> = web.refused.iter().map(|candidate| candidate.route.as_str()).collect();
    assert_eq!(refused.len(), 4);
    let beta = web.refused.iter().find(|candidate| candidate.route == "beta").unwrap();
    assert!(beta.reason.contains("more specific"), "{}", beta.reason);
    let text = explanation.to_string();
    for part in [
        "GET http://api.example.com/v1/x\n",
        "listener web (127.0.0.1:8080)\n  route api: matches host api.example.com",
        "    not canary: path does not match\n",
        "  to upstream api, least-connections\n    127.0.0.1:9002  eligible, weight 1\n",
        "  it takes one of the 2 eligible ones\n",
        "--live",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn without_a_route_the_listener_decides() {
    let explanation = ask("GET", "http://127.0.0.1:8080/", &[]);
    assert_eq!(explanation.listeners.len(), 1, "the port tells the listener");
    assert_eq!(explanation.listeners[0].route.as_deref(), Some(""));
    let branches = branches(&explanation);
    assert_eq!(branches[0].takes.as_deref(), Some("127.0.0.1:9001"), "the backup waits");
    assert_eq!(branches[0].endpoints[1].refusal.as_deref(), Some("backup, a primary is eligible"));

    let explanation = ask("GET", "http://127.0.0.1:8081/", &[]);
    assert!(!explanation.routed);
    let answer = explanation.listeners[0].decision.answer().unwrap();
    assert_eq!((answer.status, answer.reason), (404, "no_route"));
    assert!(explanation.to_string().contains("answered 404 no_route: No route takes"), "{explanation}");
}

#[test]
fn a_listener_can_be_named() {
    let mut question = Question::new::<&str>("GET", "http://127.0.0.1:8080/", &[]).unwrap();
    question.listener = Some("side".into());
    let explanation = explain(&plan(), &question, None);
    assert_eq!(explanation.listeners.len(), 1);
    assert_eq!(explanation.listeners[0].listener, "side");
}

#[test]
fn splits_redirects_and_answers() {
    let explanation = ask("GET", "http://127.0.0.1:8080/canary", &[]);
    let parts = branches(&explanation);
    assert_eq!((parts[0].percent, parts[1].percent), (90.0, 10.0));
    assert_eq!(parts[1].answer.as_ref().unwrap().reason, "endpoints_drained");
    assert!(explanation.routed, "nine of ten are served");

    let explanation = ask("GET", "http://127.0.0.1:8080/old?a=b", &[]);
    let Decision::Redirect { status: 308, location } = &explanation.listeners[0].decision else {
        panic!("{explanation:?}")
    };
    assert!(location.starts_with("https://new.example/old?a=b"), "{location}");

    let explanation = ask("PUT", "http://127.0.0.1:8080/hello", &[]);
    assert!(explanation.routed && explanation.to_string().contains("answered 200 with \"hi\""));
}

#[test]
fn nobody_left_is_the_answer_the_client_would_get() {
    let explanation = ask("GET", "http://127.0.0.1:8080/v1/x", &["X-Beta: 1"]);
    assert!(!explanation.routed);
    let answer = explanation.listeners[0].decision.answer().unwrap();
    assert_eq!((answer.status, answer.reason), (503, "endpoints_drained"));
    assert!(answer.detail.contains("weight is 0"), "{answer}");

    let explanation = ask("CONNECT", "http://127.0.0.1:8080/", &[]);
    assert_eq!(explanation.listeners[0].decision.answer().unwrap().status, 501);
}

#[test]
fn a_running_proxy_knows_more() {
    let url = "http://api.example.com:8080/v1/x";
    let explanation = ask_live(url, &[(true, 3), (true, 1)]);
    assert!(explanation.live);
    assert_eq!(branches(&explanation)[0].takes.as_deref(), Some("127.0.0.1:9003"), "the less busy one");
    assert!(!explanation.to_string().contains("--live"), "{explanation}");

    let explanation = ask_live(url, &[(true, 3), (true, 5)]);
    let judged = &branches(&explanation)[0].endpoints[1];
    assert_eq!(judged.refusal.as_deref(), Some("at max_in_flight"));

    let explanation = ask_live(url, &[(true, 2), (true, 2)]);
    assert_eq!(branches(&explanation)[0].takes, None, "a tie is broken by chance");

    let explanation = ask_live(url, &[(false, 0), (false, 0)]);
    let answer = explanation.listeners[0].decision.answer().unwrap();
    assert_eq!((answer.status, answer.reason), (503, "endpoints_down"));
    let text = explanation.to_string();
    assert!(text.contains("refused: down, 0 in flight (cannot connect: connection refused)"), "{text}");
}

#[test]
fn it_is_json_for_programs() {
    let json = serde_json::to_value(ask("GET", "http://127.0.0.1:8080/", &[])).unwrap();
    assert_eq!(json["routed"], true);
    assert_eq!(json["listeners"][0]["decision"]["kind"], "forward");
    assert_eq!(json["listeners"][0]["decision"]["branches"][0]["endpoints"][0]["eligible"], true);
}

#[test]
fn a_tcp_listener_looks_at_no_request() {
    let file = r#"
        [listener.cache]
        address = "127.0.0.1:6379"
        protocol = "tcp"
        upstream = "redis"
        [listener.web]
        address = "127.0.0.1:8080"
        [[route]]
        name = "all"
        respond = { body = "hi" }
        [upstream.redis]
        endpoints = ["127.0.0.1:6380"]
    "#;
    let plan = evenkeel_config::parse(file, "test.toml").unwrap().plan;
    let question = Question::new("CONNECT", "http://127.0.0.1:6379/", &[] as &[&str]).unwrap();
    let explanation = explain(&plan, &question, None);
    assert_eq!((explanation.listeners.len(), explanation.listeners[0].protocol), (1, "tcp"));
    assert_eq!(branches(&explanation)[0].takes.as_deref(), Some("127.0.0.1:6380"));
    let text = explanation.to_string();
    assert!(text.contains("no request is looked at") && text.contains("it takes 127.0.0.1:6380"), "{text}");

    let mut drained = plan.clone();
    drained.upstreams[0].endpoints[0].weight = 0;
    let text = explain(&drained, &question, None).to_string();
    assert!(text.contains("the connection is reset, endpoints_drained"), "{text}");
    assert!(!text.contains("answered"), "{text}");
}

const HASHED: &str = r#"
    [listener.web]
    address = "127.0.0.1:8080"
    trusted_proxies = ["10.0.0.0/8"]
    upstream = "cookie"
    [listener.cache]
    address = "127.0.0.1:6379"
    protocol = "tcp"
    upstream = "client"
    [upstream.cookie]
    balance = "maglev"
    hash = { cookie = "session" }
    endpoints = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"]
    [upstream.client]
    balance = "ring-hash"
    endpoints = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"]
"#;

/// Which endpoint a request, or a session, takes.
fn hashed(url: &str, headers: &[&str], client: Option<&str>) -> (Option<String>, String) {
    let plan = evenkeel_config::parse(HASHED, "test.toml").unwrap().plan;
    let question = Question::new("GET", url, headers).unwrap();
    let question = Question { client: client.map(|client| client.parse().unwrap()), ..question };
    let explanation = explain(&plan, &question, None);
    (branches(&explanation)[0].takes.clone(), explanation.to_string())
}

#[test]
fn a_hash_leads_to_an_endpoint() {
    let web = |headers: &[&str], client| hashed("http://127.0.0.1:8080/", headers, client);
    let (ann, text) = web(&["Cookie: a=b; session=ann"], None);
    let takes = ann.clone().unwrap();
    for part in ["to upstream cookie, maglev by cookie session\n", &format!("  it takes {takes}\n")] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert_eq!(ann, web(&["cookie: session=ann"], Some("192.0.2.7")).0, "whoever sends it");
    let others = (0..50).map(|number| web(&[&format!("cookie: session={number}")], None).0.unwrap());
    assert_eq!(others.collect::<std::collections::BTreeSet<_>>().len(), 4);

    let (nobody, text) = web(&[], None);
    assert_eq!(nobody, None);
    assert!(text.contains("it takes the one of its client; --client ADDR tells which\n"), "{text}");
    let known = web(&[], Some("192.0.2.7")).0;
    assert!(known.is_some());
    assert_eq!(
        known,
        web(&["X-Forwarded-For: 6.6.6.6, 192.0.2.7"], Some("10.0.0.1")).0,
        "as trusted proxies say"
    );
}

#[test]
fn a_session_goes_by_its_client() {
    let cache = |client: &str| hashed("http://127.0.0.1:6379/", &["cookie: session=ann"], Some(client));
    assert_eq!(hashed("http://127.0.0.1:6379/", &["cookie: session=ann"], None).0, None);
    let (takes, text) = cache("192.0.2.7");
    assert!(takes.is_some() && text.contains("to upstream client, ring-hash by client\n"), "{text}");
    let others = (0..50).map(|number| cache(&format!("192.0.2.{number}")).0.unwrap());
    assert_eq!(others.collect::<std::collections::BTreeSet<_>>().len(), 4);
}
