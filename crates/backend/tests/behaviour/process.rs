//! The binary: what it prints, its exit codes, its errors.

use std::process::{Output, Stdio};

use http::StatusCode;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::client::{Client, get, post};

const BINARY: &str = env!("CARGO_BIN_EXE_toy-backend");

struct Toy {
    child: Child,
    address: std::net::SocketAddr,
    line: String,
}

async fn start(flags: &[&str]) -> Toy {
    let mut child = Command::new(BINARY)
        .args(["--listen=127.0.0.1:0", "--rows=1000"])
        .args(flags)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let address = line.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    Toy { child, address, line }
}

async fn fails(flags: &[&str]) -> (i32, String) {
    let Output { status, stderr, .. } = Command::new(BINARY).args(flags).output().await.unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

async fn signal(child: &Child, name: &str) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().await.unwrap().success());
}

#[tokio::test]
async fn it_says_where_it_listens_and_stops_on_term_and_int() {
    for name in ["-TERM", "-INT"] {
        let mut toy = start(&["--name=b"]).await;
        assert_eq!(toy.line, format!("toy-backend b listening on {}\n", toy.address));
        let pid = toy.child.id().unwrap();
        assert_eq!(get(toy.address, "/").await.text(), format!("b pid {pid} request 1\n"));
        signal(&toy.child, name).await;
        assert_eq!(toy.child.wait().await.unwrap().code(), Some(0));
    }
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let mut toy = start(&["--shutdown-timeout=10m"]).await;
    let stuck = tokio::spawn(async move {
        let mut client = Client::connect(toy.address).await;
        client.open(http::Request::get("/delay/600000").body(bytes::Bytes::new()).unwrap()).await.is_err()
    });
    crate::client::until_metric(toy.address, "requests_total", 1).await;
    signal(&toy.child, "-TERM").await;
    while tokio::net::TcpStream::connect(toy.address).await.is_ok() {}
    signal(&toy.child, "-TERM").await;
    assert_eq!(toy.child.wait().await.unwrap().code(), Some(1));
    assert!(stuck.await.unwrap());
}

#[tokio::test]
async fn dead_is_exit_code_9() {
    let mut toy = start(&["--threads=2"]).await;
    let mut killer = Client::connect(toy.address).await;
    let request = http::Request::post("/chaos?mode=dead").body(bytes::Bytes::new()).unwrap();
    assert!(killer.open(request).await.is_err());
    assert_eq!(toy.child.wait().await.unwrap().code(), Some(9));
}

#[tokio::test]
async fn rows_outlive_the_process_in_a_file_even_when_killed() {
    let folder = std::env::temp_dir().join(format!("toy-backend-process-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let database = format!("--database={}", folder.join("items.db").display());
    let mut toy = start(&[&database]).await;
    while get(toy.address, "/healthz").await.status != StatusCode::OK {}
    let mut client = Client::connect(toy.address).await;
    let made = client.send(http::Method::POST, "/items", r#"{"name": "kept"}"#).await;
    assert_eq!(made.header("location"), "/items/1001");
    toy.child.kill().await.unwrap();
    let again = start(&[&database]).await;
    while get(again.address, "/healthz").await.status != StatusCode::OK {}
    assert_eq!(get(again.address, "/items/1001").await.json()["name"], "kept");
    drop(again);
    let _ = std::fs::remove_dir_all(&folder);
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_remedy() {
    let toy = start(&[]).await;
    let taken = toy.address.to_string();
    let (code, error) = fails(&["--listen", &taken]).await;
    assert_eq!(code, 1);
    assert!(error.starts_with(&format!("toy-backend: cannot listen on {taken} (--listen)")), "{error}");

    let (code, error) = fails(&["--listen=127.0.0.1:0", "--database=/nonexistent/items.db"]).await;
    assert_eq!(code, 1);
    assert!(error.contains("cannot open the database /nonexistent/items.db (--database)"), "{error}");

    let (code, error) = fails(&["--latency=quick"]).await;
    assert_eq!(code, 2);
    assert!(error.contains("--latency") && error.contains("fixed:5ms"), "{error}");

    assert_eq!(post(toy.address, "/chaos?mode=reset").await.status, StatusCode::OK);
}

#[tokio::test]
async fn changes_of_the_cache_are_said_once() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut child = Command::new(BINARY)
        .args(["--listen=127.0.0.1:0", "--rows=10", "--cache-timeout=10s", "--cache-fence=0s"])
        .arg(format!("--cache=redis://:secret@{free}"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut next = async || lines.next_line().await.unwrap().unwrap();
    let cache = format!("toy-backend: the cache redis://:***@{free}");
    assert_eq!(next().await, format!("{cache} is away (refused), the database answers"));
    let fake = crate::cache::fake::Fake::start_at(free).await;
    assert_eq!(next().await, format!("{cache} is used"));
    fake.kill().await;
    assert_eq!(next().await, format!("{cache} is away (closed), the database answers"));
    assert_eq!(next().await, format!("{cache} is away (refused), the database answers"));
}
