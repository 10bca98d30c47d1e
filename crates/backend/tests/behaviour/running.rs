//! A server in the test's own runtime.

use std::net::SocketAddr;

use evenkeel_backend::{Ending, Options, Server};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) task: JoinHandle<Ending>,
    stop: Option<oneshot::Sender<()>>,
}

/// A free port and few rows.
pub(crate) fn options() -> Options {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    Options { listen, name: "a".into(), rows: 1_000, seed: Some(1), ..Options::default() }
}

/// Serves, and returns once the database is filled.
pub(crate) async fn start(options: Options) -> Running {
    let server = Server::bind(options).await.unwrap();
    let (address, ready) = (server.local_addr(), server.ready());
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let shutdown = async {
            if stopped.await.is_err() {
                std::future::pending().await
            }
        };
        server.run(shutdown).await.unwrap()
    });
    ready.wait().await.unwrap();
    Running { address, task, stop: Some(stop) }
}

impl Running {
    /// Asks for a graceful stop, without waiting for it.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }
}
