//! An example brought to life as its own comment tells it: its backends, its proxy, its commands. Only ports and
//! paths are others than the file says.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use evenkeel_testkit::{Origin, Proxy, RawClient, RedisMood, Response, ToyBackend};

use super::command::{Curl, curls};

/// What examples call their Unix socket.
const SOCKET: &str = "/tmp/evenkeel.sock";

/// An example that runs.
pub(crate) struct Example {
    /// The proxy with the example's configuration.
    pub(crate) proxy: Proxy,
    text: String,
    backends: Vec<(u16, String, Server)>,
    /// The commands under `See:`, and which of them a test has run.
    see: Vec<String>,
    seen: RefCell<BTreeSet<String>>,
}

/// A server that an example starts.
enum Server {
    Toy(ToyBackend),
    /// Scripted: what the example shows is seen without the real one.
    Redis(Origin),
}

impl Server {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Toy(toy) => toy.address(),
            Self::Redis(redis) => redis.address(),
        }
    }

    fn kill9(&mut self) {
        match self {
            Self::Toy(toy) => toy.kill9(),
            Self::Redis(redis) => redis.kill(),
        }
    }
}

impl Example {
    /// Starts what the comment under `Run:` starts.
    pub(crate) fn start(file: &str) -> Self {
        let text = read(file);
        let run = commands(&text, "# Run:");
        let (last, servers) = run.split_last().unwrap_or_else(|| panic!("{file} does not say how to run it"));
        assert_eq!(last, &format!("evenkeel run -c {file}"));
        let backends: Vec<_> = servers.iter().map(|command| server(command)).collect();
        let moved: Vec<_> = backends.iter().map(|(port, _, server)| (*port, server.address())).collect();
        let proxy = Proxy::start(&relocate(&text, &moved));
        let see = commands(&text, "# See:");
        assert!(!see.is_empty(), "{file} does not say what to see");
        Self { proxy, text, backends, see, seen: RefCell::default() }
    }

    /// Runs a command with curl in it and gives every answer.
    #[track_caller]
    pub(crate) fn see(&self, command: &str) -> Vec<Response> {
        self.by_hand(command);
        let runs = curls(command).unwrap_or_else(|| panic!("cannot run {command:?}"));
        runs.iter().flat_map(|run| self.curl(run)).collect()
    }

    /// Runs a command that gives one answer.
    #[track_caller]
    pub(crate) fn see_one(&self, command: &str) -> Response {
        let mut answers = self.see(command);
        assert_eq!(answers.len(), 1, "{command}");
        answers.remove(0)
    }

    /// Kills the backends that a command `kill %1 %2` names.
    #[track_caller]
    pub(crate) fn kill(&mut self, command: &str) {
        self.by_hand(command);
        for job in command.split(" %").skip(1) {
            let number: usize = job.parse().unwrap_or_else(|_| panic!("a job in {command:?}"));
            self.backends[number - 1].2.kill9();
        }
    }

    /// Says that the test does itself what this command does.
    #[track_caller]
    pub(crate) fn by_hand(&self, command: &str) {
        assert!(self.see.iter().any(|told| told == command), "the example does not name {command:?}");
        self.seen.borrow_mut().insert(command.to_owned());
    }

    /// The backend of this name.
    #[track_caller]
    pub(crate) fn backend(&mut self, name: &str) -> &mut ToyBackend {
        match self.server(name) {
            Server::Toy(toy) => toy,
            Server::Redis(_) => panic!("{name} is no toy backend"),
        }
    }

    /// The Redis on this port.
    #[track_caller]
    pub(crate) fn redis(&mut self, name: &str) -> &mut Origin {
        match self.server(name) {
            Server::Redis(redis) => redis,
            Server::Toy(_) => panic!("{name} is no Redis"),
        }
    }

    #[track_caller]
    fn server(&mut self, name: &str) -> &mut Server {
        let found = self.backends.iter_mut().find(|(_, own, _)| own == name);
        &mut found.unwrap_or_else(|| panic!("no server {name}")).2
    }

    /// A path of the example's, in the proxy's own directory.
    pub(crate) fn socket(&self) -> PathBuf {
        self.proxy.dir().join("evenkeel.sock")
    }

    /// Fails the test if there is a command that it has not run.
    pub(crate) fn finish(self) {
        let seen = self.seen.borrow();
        let unseen: Vec<_> = self.see.iter().filter(|command| !seen.contains(*command)).collect();
        assert!(unseen.is_empty(), "commands of the example that its test does not run: {unseen:#?}");
    }

    /// What the example's port has become.
    #[track_caller]
    fn address(&self, authority: &str) -> SocketAddr {
        let port = authority.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        let Some(port) = port else { panic!("no port in {authority:?}") };
        if port == 9900 {
            return self.proxy.admin();
        }
        if let Some((_, _, server)) = self.backends.iter().find(|(own, ..)| *own == port) {
            return server.address();
        }
        let line = format!("address = \"127.0.0.1:{port}\"");
        let before = self.text.find(&line).map(|at| &self.text[..at]);
        let listener = before.and_then(|text| text.rsplit("[listener.").next()?.split(']').next());
        self.proxy.address(listener.unwrap_or_else(|| panic!("no listener has port {port}")))
    }

    #[track_caller]
    fn curl(&self, run: &Curl) -> Vec<Response> {
        let (mut client, own) = match run.unix_socket.as_deref() {
            Some(SOCKET) => (RawClient::connect_unix(&self.socket()), run.authority.clone()),
            Some(other) => panic!("nobody listens on {other}"),
            None => {
                let address = self.address(&run.authority);
                (RawClient::connect(address), address.to_string())
            }
        };
        let host = run.fields.iter().any(|field| field.starts_with("Host:"));
        let mut fields = if host { String::new() } else { format!("Host: {own}\r\n") };
        run.fields.iter().for_each(|field| fields.push_str(&format!("{field}\r\n")));
        let ask = |path: &String| client.exchange(format!("{} {path} HTTP/1.1\r\n{fields}\r\n", run.method));
        run.paths.iter().map(ask).collect()
    }
}

/// A file of the repository.
pub(crate) fn read(file: &str) -> String {
    let path = root().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The configuration with endpoints where they really are, every listener on a port of the system's choice, and
/// files in the proxy's directory.
pub(crate) fn relocate(text: &str, endpoints: &[(u16, SocketAddr)]) -> String {
    let mut text = text.replace(SOCKET, "$DIR/evenkeel.sock");
    for (port, address) in endpoints {
        text = text.replace(&format!("\"127.0.0.1:{port}\""), &format!("\"{address}\""));
    }
    for port in [8080, 8081, 6379, 9900] {
        text = text.replace(&format!("\"127.0.0.1:{port}\""), "\"127.0.0.1:0\"");
    }
    text
}

/// The commands under a heading of the comment, without the remarks after them.
fn commands(text: &str, heading: &str) -> Vec<String> {
    let under = text.lines().skip_while(|line| *line != heading).skip(1);
    let lines = under.map_while(|line| line.strip_prefix("#   "));
    lines.map(|line| line.split("  #").next().unwrap_or(line).trim().to_owned()).collect()
}

/// Starts what `toy-backend --listen 127.0.0.1:9001 --name a &` or `redis-server --port 6380 --save '' &` starts;
/// with the port it names, and its name, which a Redis has from its port.
fn server(command: &str) -> (u16, String, Server) {
    let words: Vec<_> = command.split(' ').collect();
    if let ["redis-server", "--port", port, "--save", "''", "&"] = words[..] {
        let number = port.parse().unwrap_or_else(|_| panic!("a port in {command:?}"));
        return (number, port.to_owned(), Server::Redis(Origin::redis(port, &RedisMood::default())));
    }
    let ["toy-backend", "--listen", address, "--name", name, "&"] = words[..] else {
        panic!("not a toy backend: {command:?}")
    };
    let address: SocketAddr = address.parse().unwrap_or_else(|_| panic!("an address in {command:?}"));
    (address.port(), name.to_owned(), Server::Toy(ToyBackend::start(name)))
}
