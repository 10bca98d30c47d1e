//! Each path that needs no database.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;

use crate::client::{Client, get, raw};
use crate::running::{options, start};

#[tokio::test]
async fn the_root_says_who_answered() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    let answer = client.get("/").await;
    assert_eq!(answer.text(), format!("a pid {} request 1\n", std::process::id()));
    assert_eq!(answer.header("x-backend"), "a");
    let request =
        Request::get("/").header("accept", "text/html, application/json").body(Bytes::new()).unwrap();
    let json = client.request(request).await.json();
    assert_eq!(json, serde_json::json!({"name": "a", "pid": std::process::id(), "requests": 2}));
}

#[tokio::test]
async fn bytes_come_in_the_number_asked_for() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    for length in [0, 1, 65_537, 10_000_000] {
        let answer = client.get(&format!("/bytes/{length}")).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, length));
        assert_eq!(answer.header("content-length"), length.to_string());
        assert!(answer.body.chunks(64).all(|chunk| answer.body.starts_with(chunk)));
    }
    let head = client.send(Method::HEAD, "/bytes/10737418240", "").await;
    assert_eq!(head.header("content-length"), "10737418240");
    for bad in ["/bytes/", "/bytes/-1", "/bytes/10737418241", "/bytes/1k"] {
        let answer = client.get(bad).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(answer.text().contains("from 0 to 10737418240"), "{}", answer.text());
    }
}

#[tokio::test]
async fn ten_gibibytes_begin_at_once() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    let request = Request::get("/bytes/10737418240").body(Bytes::new()).unwrap();
    let mut body = client.open(request).await.unwrap().into_body();
    let mut seen = 0;
    while seen < 1_000_000 {
        seen += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
}

#[tokio::test]
async fn statuses_are_those_asked_for() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    for code in [200, 204, 304, 404, 418, 500, 503, 599] {
        let answer = client.send(Method::POST, &format!("/status/{code}"), "").await;
        assert_eq!(answer.status.as_u16(), code);
        assert_eq!(answer.body.is_empty(), code == 204 || code == 304);
    }
    for bad in ["/status/99", "/status/100", "/status/600", "/status/ok"] {
        assert_eq!(client.get(bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn a_delay_answers_and_bad_ones_are_refused() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    assert_eq!(client.get("/delay/2").await.text(), "waited 2 ms\n");
    assert_eq!(client.get("/delay/600001").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(client.get("/delay/soon").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_stream_is_chunked_and_has_a_trailer_for_those_who_take_it() {
    let server = start(options()).await;
    let ask = "GET /stream?n=2&ms=1 HTTP/1.1\r\nHost: toy\r\nTE: trailers\r\n\r\n";
    let answer = raw(server.address, ask.as_bytes()).await;
    assert!(answer.contains("transfer-encoding: chunked\r\n"), "{answer}");
    assert!(answer.contains("trailer: x-events\r\n"), "{answer}");
    assert!(answer.contains("data: {\"event\":2,\"of\":2}\n\n"), "{answer}");
    assert!(answer.ends_with("0\r\nx-events: 2\r\n\r\n"), "{answer}");

    let mut client = Client::connect(server.address).await;
    assert_eq!(client.get("/stream?n=3&ms=0").await.text().matches("id: ").count(), 3);
    assert_eq!(client.get("/stream?n=0").await.text(), "");
    for bad in ["/stream?n=many", "/stream?n=1000001", "/stream?count=3"] {
        assert_eq!(client.get(bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn the_first_event_does_not_wait_for_the_second() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    let request = Request::get("/stream?n=2&ms=600000").body(Bytes::new()).unwrap();
    let mut body = client.open(request).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"id: 1\n"));
}

#[tokio::test]
async fn echo_tells_what_arrived() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    let request = Request::patch("/echo/deep?q=1%20&r")
        .header("x-twice", "one")
        .header("x-twice", "two")
        .body(Bytes::from("hé"))
        .unwrap();
    let json = client.request(request).await.json();
    assert_eq!(json["method"], "PATCH");
    assert_eq!(json["target"], "/echo/deep?q=1%20&r");
    assert_eq!(json["version"], "HTTP/1.1");
    assert_eq!((&json["body"], &json["body_bytes"]), (&"hé".into(), &3.into()));
    assert_eq!(json["body_truncated"], false);
    assert!(json["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    let headers = json["headers"].as_array().unwrap();
    for pair in [["x-twice", "one"], ["x-twice", "two"], ["content-length", "3"], ["host", "toy"]] {
        assert!(headers.contains(&serde_json::json!(pair)), "{pair:?} in {headers:?}");
    }

    let json = client.send(Method::PUT, "/echo", &b"\xff\x00"[..]).await.json();
    assert_eq!((&json["body"], &json["body_base64"]), (&serde_json::Value::Null, &"/wA=".into()));

    let json = client.send(Method::POST, "/echo", vec![b'x'; 1_000_000]).await.json();
    assert_eq!((&json["body_bytes"], &json["body_truncated"]), (&1_000_000.into(), &true.into()));
    assert_eq!(json["body"].as_str().unwrap().len(), 64 * 1024);
}

#[tokio::test]
async fn echo_shows_chunks_and_trailers_put_together() {
    let server = start(options()).await;
    let ask = "POST /echo HTTP/1.1\r\nHost: toy\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
               3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n";
    let answer = raw(server.address, ask.as_bytes()).await;
    assert!(answer.contains(r#""body_bytes":5,"body":"abcde""#), "{answer}");
    assert!(answer.contains(r#""trailers":[["x-sum","5"]]"#), "{answer}");
}

#[tokio::test]
async fn what_is_not_there_is_refused_with_what_is() {
    let server = start(options()).await;
    let mut client = Client::connect(server.address).await;
    for path in ["/nothing", "/bytes", "/items/", "/healthz/x", "/chaos/x"] {
        let answer = client.get(path).await;
        let expected = if path == "/items/" { StatusCode::BAD_REQUEST } else { StatusCode::NOT_FOUND };
        assert_eq!(answer.status, expected, "{path}");
    }
    assert!(client.get("/nothing").await.text().contains("nothing at /nothing; there is /, /items/{id}"));
    for (method, path, allow) in [
        (Method::POST, "/", "GET, HEAD"),
        (Method::PUT, "/bytes/1", "GET, HEAD"),
        (Method::DELETE, "/items", "GET, HEAD, POST"),
        (Method::PATCH, "/items/1", "GET, HEAD, PUT, DELETE"),
        (Method::DELETE, "/chaos", "GET, HEAD, POST, PUT"),
    ] {
        let answer = client.send(method, path, "").await;
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, allow));
    }
    assert_eq!(get(server.address, "/metrics").await.status, StatusCode::OK);
}
