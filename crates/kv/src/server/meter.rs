//! [`Meter`]: what a server holds, for those in the same process.

use std::sync::{Arc, Weak};

use crate::server::shared::Shared;
use crate::store::DATABASES;

/// Reads a server; see [`Server::meter`](crate::Server::meter). Once that has ended, it reads nothing.
#[derive(Clone, Debug)]
pub struct Meter(Weak<Shared>);

impl Meter {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }

    /// Keys in all databases, those included that have expired and were not removed yet.
    pub fn keys(&self) -> u64 {
        let Some(shared) = self.0.upgrade() else { return 0 };
        let shards = (0..shared.store.shard_count()).filter_map(|index| shared.store.shard(index));
        shards.map(|shard| (0..DATABASES).map(|db| shard.len(db) as u64).sum::<u64>()).sum()
    }

    /// Bytes that the data takes, as `maxmemory` counts them.
    pub fn bytes(&self) -> u64 {
        self.0.upgrade().map_or(0, |shared| shared.memory.used() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};

    use tokio::sync::oneshot;

    use crate::{Options, Server};

    fn ask(address: SocketAddr, lines: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{lines}QUIT\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn it_reads_what_is_there_and_nothing_at_the_end() {
        let options = Options { listen: ([127, 0, 0, 1], 0).into(), threads: Some(1), ..Options::default() };
        let server = Server::bind(options).unwrap();
        let (address, meter) = (server.local_addr(), server.meter());
        let (done, finished) = oneshot::channel::<()>();
        let running = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(server.run(async {
                let _ = finished.await;
            }))
        });
        let answer = ask(address, "SET a 1\r\nSELECT 3\r\nSET b 2\r\nSET c 3\r\nDEL c\r\n");
        assert_eq!(answer, "+OK\r\n+OK\r\n+OK\r\n+OK\r\n:1\r\n+OK\r\n");
        assert_eq!(meter.keys(), 2);
        assert!(meter.bytes() > 0);
        drop(done);
        running.join().unwrap().unwrap();
        // The last of its threads ends a moment later.
        while meter.0.strong_count() > 0 {
            std::thread::yield_now();
        }
        assert_eq!((meter.keys(), meter.bytes()), (0, 0));
    }
}
