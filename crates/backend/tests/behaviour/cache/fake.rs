//! A Redis of a test's own: it stores, remembers what it was asked, and misbehaves by script.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use evenkeel_backend::{CacheOptions, CacheUrl, Options};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::running;

/// What becomes of one command.
#[derive(Clone)]
pub(crate) enum Reaction {
    /// It is carried out, once the gate is open.
    Obey(Option<Gate>),
    /// These bytes are the answer.
    Say(&'static str),
    /// Nothing ever comes back, also to what follows.
    Silence,
    /// The connection is closed.
    Close,
}

/// Holds commands back until it is opened.
#[derive(Clone)]
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate(watch::Sender::new(false))
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }
}

type Script = Box<dyn FnMut(&[String]) -> Reaction + Send>;

pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    values: Mutex<HashMap<String, String>>,
    script: Mutex<Script>,
    asked: watch::Sender<Vec<Vec<String>>>,
}

impl Fake {
    pub(crate) async fn start() -> Fake {
        Fake::start_at(([127, 0, 0, 1], 0).into()).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Fake {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            values: Mutex::default(),
            script: Mutex::new(Box::new(|_| Reaction::Obey(None))),
            asked: watch::Sender::new(Vec::new()),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Fake { address, shared, task }
    }

    /// Cuts listener and connections, as a killed process.
    pub(crate) async fn kill(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.address
    }

    /// From now on each command goes through the script.
    pub(crate) fn script(&self, script: impl FnMut(&[String]) -> Reaction + Send + 'static) {
        *self.shared.script.lock().unwrap() = Box::new(script);
    }

    /// Answers as usual again.
    pub(crate) fn behave(&self) {
        self.script(|_| Reaction::Obey(None));
    }

    pub(crate) fn set(&self, key: &str, value: &str) {
        self.shared.values.lock().unwrap().insert(key.to_owned(), value.to_owned());
    }

    /// Time has ended it.
    pub(crate) fn expire(&self, key: &str) {
        self.shared.values.lock().unwrap().remove(key);
    }

    pub(crate) fn value(&self, key: &str) -> Option<String> {
        self.shared.values.lock().unwrap().get(key).cloned()
    }

    /// Every command so far, in order.
    pub(crate) fn asked(&self) -> Vec<Vec<String>> {
        self.shared.asked.borrow().clone()
    }

    /// Waits until so many commands begin like this.
    pub(crate) async fn until_asked(&self, begin: &[&str], count: usize) {
        let mut asked = self.shared.asked.subscribe();
        let alike = |command: &&Vec<String>| begin.iter().zip(command.iter()).all(|(a, b)| a == b);
        asked.wait_for(|asked| asked.iter().filter(alike).count() >= count).await.unwrap();
    }
}

/// A toy backend's options with a cache there. The limit of time is one that is not reached.
pub(crate) fn options(address: SocketAddr) -> Options {
    let url: CacheUrl = format!("redis://{address}").parse().unwrap();
    let patient = std::time::Duration::from_secs(60);
    let cache = CacheOptions { timeout: patient, fence: patient * 4, ..CacheOptions::new(url) };
    Options { cache: Some(cache), ..running::options() }
}

/// The same with another part of the cache's options changed.
pub(crate) fn options_with(address: SocketAddr, change: impl FnOnce(&mut CacheOptions)) -> Options {
    let mut options = options(address);
    change(options.cache.as_mut().unwrap());
    options
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let (read, mut write) = stream.into_split();
    let (tell, mut told) = mpsc::unbounded_channel();
    // Commands are heard while an earlier one is held back, and answered in order.
    let hear = async {
        let mut read = BufReader::new(read);
        while let Some(command) = next(&mut read).await {
            let reaction = (shared.script.lock().unwrap())(&command);
            shared.asked.send_modify(|asked| asked.push(command.clone()));
            if tell.send((command, reaction)).is_err() {
                return;
            }
        }
    };
    let answer = async {
        while let Some((command, reaction)) = told.recv().await {
            let answer = match reaction {
                Reaction::Obey(gate) => {
                    if let Some(Gate(open)) = gate {
                        open.subscribe().wait_for(|open| *open).await.unwrap();
                    }
                    obey(&shared, &command)
                }
                Reaction::Say(bytes) => bytes.to_owned(),
                Reaction::Silence => std::future::pending().await,
                Reaction::Close => return,
            };
            if write.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = hear => {}
        () = answer => {}
    }
}

async fn next(read: &mut (impl AsyncBufReadExt + Unpin)) -> Option<Vec<String>> {
    let count = number(read, '*').await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; number(read, '$').await? + 2];
        read.read_exact(&mut word).await.ok()?;
        word.truncate(word.len() - 2);
        words.push(String::from_utf8(word).unwrap());
    }
    Some(words)
}

async fn number(read: &mut (impl AsyncBufReadExt + Unpin), mark: char) -> Option<usize> {
    let mut line = String::new();
    read.read_line(&mut line).await.ok()?;
    line.trim_end().strip_prefix(mark)?.parse().ok()
}

/// Time passes only in the test's head: what is stored stays.
fn obey(shared: &Shared, command: &[String]) -> String {
    let mut values = shared.values.lock().unwrap();
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    match words[..] {
        ["GET", key] => match values.get(key) {
            Some(value) => format!("${}\r\n{value}\r\n", value.len()),
            None => "$-1\r\n".to_owned(),
        },
        ["SET", key, _, "NX", ..] if values.contains_key(key) => "$-1\r\n".to_owned(),
        ["SET", key, value, ..] => {
            values.insert(key.to_owned(), value.to_owned());
            "+OK\r\n".to_owned()
        }
        ["AUTH", ..] => "+OK\r\n".to_owned(),
        ["DEL", key] => format!(":{}\r\n", u8::from(values.remove(key).is_some())),
        _ => format!("-ERR unknown command '{}'\r\n", command[0]),
    }
}
