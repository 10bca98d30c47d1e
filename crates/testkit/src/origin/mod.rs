//! A scripted HTTP origin: does to the proxy whatever a test tells it to, and remembers what it was asked.

mod conversation;
mod redis;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use std::{mem, thread};

use socket2::SockRef;

pub use conversation::{Conversation, Request, reply, reply_with};
pub use redis::RedisMood;

use crate::ports::ReservedPort;
use crate::wait::{Watched, eventually};
use crate::wire::{End, Wire};

type Script = Arc<dyn Fn(&mut Conversation) + Send + Sync>;

/// What one connection of an origin does; see [`Origin::scripts`].
pub type BoxedScript = Box<dyn Fn(&mut Conversation) + Send + Sync>;

/// An HTTP server on a port of its own, one thread per connection. Ends when dropped.
///
/// Dropping it fails the test when a script panicked.
pub struct Origin {
    address: SocketAddr,
    script: Script,
    shared: Arc<Watched<Record>>,
    door: Door,
}

enum Door {
    Open(TcpListener),
    Shut(ReservedPort),
    Gone,
}

/// What an origin remembers.
#[derive(Default)]
struct Record {
    requests: Vec<Request>,
    connections: Vec<Connection>,
    failures: Vec<String>,
}

struct Connection {
    received: Arc<AtomicU64>,
    /// Set when the origin died: whatever its script still reads, it answers nothing.
    is_dead: Arc<AtomicBool>,
    end: Option<End>,
    handle: Option<TcpStream>,
}

impl Origin {
    /// Runs `script` once for every connection, on the connection's own thread.
    pub fn script(script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut origin = Self {
            address,
            script: Arc::new(script),
            shared: Arc::new(Watched::new(Record::default())),
            door: Door::Gone,
        };
        origin.open(listener);
        origin
    }

    /// Answers each request with the bytes `answer` gives; keeps connections alive as HTTP/1.1 does.
    pub fn serve(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::script(move |conversation| {
            while let Some(request) = conversation.request() {
                let bytes = answer(&request);
                if !conversation.send(&bytes) || conversation::closes(&request, &bytes) {
                    return;
                }
            }
        })
    }

    /// Answers each request with 200 and `name` as the body.
    pub fn named(name: &str) -> Self {
        let answer = reply(200, name);
        Self::serve(move |_| answer.clone())
    }

    /// Runs the first script on the first connection, and so on; the last one on all that follow.
    pub fn scripts(scripts: Vec<BoxedScript>) -> Self {
        Self::script(move |conversation| {
            let index = conversation.number().min(scripts.len() - 1);
            scripts[index](conversation);
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening (connects are refused) and leaves running connections alone. The port stays ours.
    pub fn stop_listening(&mut self) {
        if let Door::Open(listener) = mem::replace(&mut self.door, Door::Gone) {
            let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
            drop(listener);
            // The accepting thread gives its handle back a moment later.
            self.door = Door::Shut(ReservedPort::at(self.address));
        }
    }

    /// Dies: refuses connects and resets every connection.
    pub fn kill(&mut self) {
        self.stop_listening();
        self.reset_connections();
    }

    /// Listens again on the same port.
    pub fn come_back(&mut self) {
        if let Door::Shut(port) = mem::replace(&mut self.door, Door::Gone) {
            let listener = port.listen();
            self.open(listener);
        }
    }

    /// Resets every open connection.
    pub fn reset_connections(&self) {
        self.end_connections(true);
    }

    /// Every request so far, in the order their heads arrived.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.read(|record| record.requests.clone())
    }

    /// How many requests came in so far.
    pub fn request_count(&self) -> usize {
        self.shared.read(|record| record.requests.len())
    }

    /// How many requests there were for each target.
    pub fn counts_by_target(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for request in self.requests() {
            *counts.entry(request.target).or_default() += 1;
        }
        counts
    }

    /// How many connections were opened so far.
    pub fn connection_count(&self) -> usize {
        self.shared.read(|record| record.connections.len())
    }

    /// Connections opened and not ended.
    pub fn open_connection_count(&self) -> usize {
        self.shared.read(|record| record.connections.iter().filter(|c| c.end.is_none()).count())
    }

    /// Bytes received on all connections.
    pub fn bytes_received(&self) -> u64 {
        self.shared.read(Record::bytes_received)
    }

    /// Waits until `count` requests have arrived whole, and gives them.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Request> {
        self.wait(&format!("{count} whole requests"), |record| {
            (record.requests.iter().filter(|request| request.whole).count() >= count)
                .then(|| record.requests.clone())
        })
    }

    /// Waits until the heads of `count` requests have arrived, and gives these requests.
    #[track_caller]
    pub fn wait_for_heads(&self, count: usize) -> Vec<Request> {
        self.wait(&format!("{count} heads"), |record| {
            (record.requests.len() >= count).then(|| record.requests.clone())
        })
    }

    /// Waits until `count` connections were opened.
    #[track_caller]
    pub fn wait_for_connections(&self, count: usize) {
        self.wait(&format!("{count} connections"), |record| {
            (record.connections.len() >= count).then_some(())
        });
    }

    /// Waits until the proxy ended the connection of this number, and says how.
    ///
    /// The script must be reading, or waiting with [`Conversation::await_end`].
    #[track_caller]
    pub fn wait_for_end(&self, connection: usize) -> End {
        self.wait(&format!("the end of connection {connection}"), |record| {
            record.connections.get(connection).and_then(|c| c.end.clone())
        })
    }

    /// Waits until the proxy has none of its connections open.
    #[track_caller]
    pub fn wait_for_all_ends(&self) {
        self.wait("the end of all connections", |record| {
            record.connections.iter().all(|c| c.end.is_some()).then_some(())
        });
    }

    /// Waits until `bytes` have been received on all connections together.
    #[track_caller]
    pub fn wait_for_bytes(&self, bytes: u64) {
        // Bytes are counted without waking anybody: that would cost a lock for every read.
        eventually(&format!("{bytes} bytes at the origin"), || {
            let received = self.bytes_received();
            if received >= bytes { Ok(()) } else { Err(self.shared.read(Record::describe)) }
        });
    }

    #[track_caller]
    fn wait<R>(&self, what: &str, look: impl FnMut(&Record) -> Option<R>) -> R {
        match self.shared.wait_for(look, Record::describe) {
            Ok(found) => found,
            Err(state) => panic!("the origin waited in vain for {what}; it has seen:\n{state}"),
        }
    }

    fn open(&mut self, listener: TcpListener) {
        let accepting = listener.try_clone().expect("a second handle");
        let (script, shared) = (Arc::clone(&self.script), Arc::clone(&self.shared));
        thread::Builder::new()
            .name("origin".into())
            .spawn(move || {
                while let Ok((stream, _)) = accepting.accept() {
                    converse(stream, &script, &shared);
                }
            })
            .expect("a thread");
        self.door = Door::Open(listener);
    }

    fn end_connections(&self, reset: bool) {
        // Handles are taken out first: a script that ends at the same moment wants the record.
        let handles: Vec<TcpStream> = self.shared.change(|record| {
            record.connections.iter().for_each(|c| c.is_dead.store(true, Ordering::SeqCst));
            record.connections.iter_mut().filter_map(|c| c.handle.take()).collect()
        });
        for handle in handles {
            let socket = SockRef::from(&handle);
            if reset {
                let _ = socket.set_linger(Some(Duration::ZERO));
            }
            // Wakes the script's thread, whose close then sends the reset. SHUT_RD sends nothing itself.
            let _ = socket.shutdown(Shutdown::Read);
            if !reset {
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Door::Open(listener) = mem::replace(&mut self.door, Door::Gone) {
            let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
        }
        self.end_connections(false);
        let failures = self.shared.change(|record| mem::take(&mut record.failures));
        if !failures.is_empty() && !thread::panicking() {
            panic!("a script of the origin failed: {}", failures.join("; "));
        }
    }
}

/// Runs the script of one connection on a thread of its own.
fn converse(stream: TcpStream, script: &Script, shared: &Arc<Watched<Record>>) {
    let Ok(wire) = Wire::tcp(stream) else { return };
    let is_dead = Arc::new(AtomicBool::new(false));
    let connection = Connection {
        received: wire.meter(),
        is_dead: Arc::clone(&is_dead),
        end: None,
        handle: wire.second_handle().ok(),
    };
    let number = shared.change(|record| {
        record.connections.push(connection);
        record.connections.len() - 1
    });
    let (script, shared) = (Arc::clone(script), Arc::clone(shared));
    let run = move || {
        let mut conversation = Conversation::new(number, wire, Arc::clone(&shared), is_dead);
        let result = catch_unwind(AssertUnwindSafe(|| script(&mut conversation)));
        shared.change(|record| {
            // Our handle goes with the script's: only then is the socket closed.
            record.connections[number].handle = None;
            if let Err(panic) = result {
                let text = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                record.failures.push(format!("connection {number}: {}", text.unwrap_or_default()));
            }
        });
        drop(conversation);
        shared.change(|record| {
            record.connections[number].end.get_or_insert(End::Closed);
        });
    };
    thread::Builder::new().name(format!("origin-{number}")).spawn(run).expect("a thread");
}

impl Record {
    fn bytes_received(&self) -> u64 {
        self.connections.iter().map(|c| c.received.load(Ordering::SeqCst)).sum()
    }

    fn describe(&self) -> String {
        let mut text = String::new();
        for (number, connection) in self.connections.iter().enumerate() {
            let received = connection.received.load(Ordering::SeqCst);
            let _ =
                writeln!(text, "connection {number}: {received} bytes received, end {:?}", connection.end);
        }
        for request in &self.requests {
            let _ = writeln!(text, "{request}");
        }
        text
    }
}
