//! Precedence by example, and the table against the plain rules on generated cases.

use super::*;
use crate::generated::cases;
use crate::routing::Unmatched;
use proptest::prelude::*;

fn matcher(host: &str, path: &str, methods: &[&str], headers: &[&str]) -> Matcher {
    Matcher {
        host: (!host.is_empty()).then(|| host.parse().unwrap()),
        path: path.parse().unwrap(),
        methods: methods.iter().map(|method| method.to_string()).collect(),
        headers: headers.iter().map(|name| (name.to_string(), "1".to_owned())).collect(),
    }
}

fn table(matchers: Vec<Matcher>) -> RouteTable {
    RouteTable::new(matchers.into_iter().zip((0..).map(RouteId)).collect())
}

fn ask(table: &RouteTable, host: &str, path: &str, method: &str, sent: &[&str]) -> Option<u32> {
    let has_header = |name: &str, value: &str| sent.contains(&name) && value == "1";
    let request = Request {
        host: host.as_bytes(),
        path: path.as_bytes(),
        method: method.as_bytes(),
        has_header: &has_header,
    };
    let route = table.route(&request);
    assert_eq!(table.explain(&request).taken, route, "table and rules agree on {method} {host} {path}");
    route.map(|route| route.0)
}

#[test]
fn hosts_from_exact_to_none() {
    let table = table(vec![
        matcher("", "*", &[], &[]),
        matcher("*.example.com", "*", &[], &[]),
        matcher("*.api.example.com", "*", &[], &[]),
        matcher("v1.api.example.com", "*", &[], &[]),
    ]);
    for (host, route) in [
        ("v1.api.example.com", 3),
        ("V1.API.example.com:8080", 3),
        ("v2.api.example.com", 2),
        ("api.example.com", 1),
        ("example.com", 0),
        ("my-example.com", 0),
        ("", 0),
        ("else.org", 0),
    ] {
        assert_eq!(ask(&table, host, "/", "GET", &[]), Some(route), "{host}");
    }
}

#[test]
fn paths_from_exact_to_shortest_prefix() {
    let table = table(vec![
        matcher("", "*", &[], &[]),
        matcher("", "/v1/*", &[], &[]),
        matcher("", "/v1/users/*", &[], &[]),
        matcher("", "/v1/users", &[], &[]),
    ]);
    for (path, route) in [
        ("/v1/users", 3),
        ("/v1/users/", 2),
        ("/v1/users/7", 2),
        ("/v1/usersx", 1),
        ("/v1", 1),
        ("/v10", 0),
        ("/", 0),
        ("*", 0),
    ] {
        assert_eq!(ask(&table, "h", path, "GET", &[]), Some(route), "{path}");
    }
}

#[test]
fn then_method_then_headers_then_file_order() {
    let table = table(vec![
        matcher("", "/a", &[], &["x", "y"]),
        matcher("", "/a", &["GET"], &[]),
        matcher("", "/a", &["GET"], &["x"]),
        matcher("", "/a", &[], &[]),
        matcher("", "/a", &[], &[]),
    ]);
    assert_eq!(ask(&table, "h", "/a", "GET", &["x", "y"]), Some(2));
    assert_eq!(ask(&table, "h", "/a", "GET", &[]), Some(1));
    assert_eq!(ask(&table, "h", "/a", "POST", &["x", "y"]), Some(0));
    assert_eq!(ask(&table, "h", "/a", "POST", &["x"]), Some(3));
    assert_eq!(ask(&table, "h", "/b", "GET", &[]), None);
}

#[test]
fn a_host_without_a_fitting_route_leaves_it_to_the_next() {
    let table = table(vec![
        matcher("a.example.com", "/only", &[], &[]),
        matcher("*.example.com", "/w/*", &["GET"], &[]),
        matcher("", "*", &[], &[]),
    ]);
    assert_eq!(ask(&table, "a.example.com", "/only", "GET", &[]), Some(0));
    assert_eq!(ask(&table, "a.example.com", "/w/x", "GET", &[]), Some(1));
    assert_eq!(ask(&table, "a.example.com", "/w/x", "POST", &[]), Some(2));
    assert_eq!(ask(&table, "b.example.com", "/only", "GET", &[]), Some(2));
}

#[test]
fn an_empty_table_takes_nothing() {
    assert!(RouteTable::default().is_empty());
    assert_eq!(ask(&RouteTable::default(), "h", "/", "GET", &[]), None);
}

#[test]
fn every_refusal_has_its_reason() {
    let table = table(vec![
        matcher("", "*", &[], &[]),
        matcher("other.org", "*", &[], &[]),
        matcher("", "/b", &[], &[]),
        matcher("", "/a", &["POST"], &[]),
        matcher("", "/a", &[], &["x"]),
        matcher("", "/a", &[], &[]),
    ]);
    let request = Request { host: b"h", path: b"/a", method: b"GET", has_header: &|_, _| false };
    let explanation = table.explain(&request);
    assert_eq!(explanation.taken, Some(RouteId(5)));
    let reasons: Vec<_> = explanation.refused.into_iter().map(|(route, reason)| (route.0, reason)).collect();
    assert_eq!(
        reasons,
        [
            (1, Unmatched::Host),
            (3, Unmatched::Method),
            (4, Unmatched::Header("x".into())),
            (2, Unmatched::Path),
            (0, Unmatched::Outranked),
        ]
    );
}

#[test]
fn endless_hosts_and_paths_are_harmless() {
    let table = table(vec![matcher("*.a.com", "/x/*", &[], &[]), matcher("", "/*", &[], &[])]);
    assert_eq!(ask(&table, &"a.".repeat(32_000), &"/".repeat(64_000), "GET", &[]), Some(1));
}

/// One of `choices`.
fn one_of(choices: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(choices)
}

fn any_matcher() -> impl Strategy<Value = Matcher> {
    (
        one_of(&["", "a.com", "b.a.com", "*.a.com", "*.b.a.com", "*.com"]),
        one_of(&["*", "/", "/x", "/x/", "/x/*", "/xy/*", "/x/y", "/x/y/*", "/x/y/z/*"]),
        prop::sample::subsequence(vec!["GET", "POST"], 0..=2),
        prop::sample::subsequence(vec!["h1", "h2"], 0..=2),
    )
        .prop_map(|(host, path, methods, headers)| matcher(host, path, &methods, &headers))
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn the_table_agrees_with_the_rules(
        matchers in prop::collection::vec(any_matcher(), 0..24),
        host in one_of(&["", "a.com", "A.com:80", "b.a.com", "c.b.a.com", "x.c.b.a.com", "com", ".a.com", "xxa.com", "d.com."]),
        path in one_of(&["/", "/x", "/x/", "/xy", "/x/y", "/x/y/", "/x/y/z", "/x/yz", "/x//y", "*", ""]),
        method in one_of(&["GET", "POST", "HEAD"]),
        sent in prop::sample::subsequence(vec!["h1", "h2"], 0..=2),
    ) {
        // The comparison is in `ask`; beyond it, whatever is taken must match, and nothing that matches is left untaken.
        let table = table(matchers.clone());
        let taken = ask(&table, host, path, method, &sent);
        let takes = |matcher: &Matcher| {
            matcher.host.as_ref().is_none_or(|pattern| pattern.takes(host.as_bytes()))
                && matcher.path.takes(path.as_bytes())
                && (matcher.methods.is_empty() || matcher.methods.iter().any(|wanted| wanted == method))
                && matcher.headers.iter().all(|(name, _)| sent.contains(&name.as_str()))
        };
        match taken {
            Some(route) => prop_assert!(takes(&matchers[route as usize])),
            None => prop_assert!(!matchers.iter().any(takes)),
        }
    }
}
