//! The toy backend as a child process: killed, stopped, continued and started again on its port.

use std::net::SocketAddr;
use std::process::Command;

use crate::binaries::binary;
use crate::client::RawClient;
use crate::ports::ReservedPort;
use crate::process::Process;
use crate::wait::eventually;

/// A running `toy-backend`; killed when dropped.
pub struct ToyBackend {
    name: String,
    arguments: Vec<String>,
    address: SocketAddr,
    process: Option<Process>,
    reserved: Option<ReservedPort>,
}

impl ToyBackend {
    /// Starts one with a small database on a port the system chose, and waits until it is healthy.
    #[track_caller]
    pub fn start(name: &str) -> Self {
        Self::with(name, &["--rows", "100"])
    }

    /// Starts one with further arguments.
    #[track_caller]
    pub fn with(name: &str, arguments: &[&str]) -> Self {
        let mut backend = Self {
            name: name.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            process: None,
            reserved: None,
        };
        backend.launch();
        backend
    }

    /// Where it listens, also while it is dead.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it at once (SIGKILL). Its port stays ours.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
            self.reserved = Some(ReservedPort::at(self.address));
        }
    }

    /// Stops it as a whole: connections stay open, nothing answers.
    #[track_caller]
    pub fn sigstop(&self) {
        self.running().signal("STOP");
    }

    /// Lets it go on.
    #[track_caller]
    pub fn sigcont(&self) {
        self.running().signal("CONT");
    }

    /// Starts it again on the same port, and waits until it is healthy.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill9();
        self.launch();
    }

    fn launch(&mut self) {
        let mut command = Command::new(binary("toy-backend"));
        command.args(["--listen", &self.address.to_string(), "--name", &self.name]).args(&self.arguments);
        let process = Process::spawn(&format!("toy-backend {}", self.name), &mut command);
        self.address = process.wait_for_line("where it listens", |line| {
            line.strip_prefix("toy-backend ")?.split_once(" listening on ")?.1.trim().parse().ok()
        });
        // It listens on the port now: holding it any longer has no purpose.
        self.reserved = None;
        self.process = Some(process);
        let address = self.address;
        eventually("the toy backend to be healthy", || {
            let mut client = RawClient::try_connect(address).map_err(|error| error.to_string())?;
            let request = "GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
            client.try_send(request).map_err(|end| end.to_string())?;
            match client.try_response() {
                Ok(response) if response.status == 200 => Ok(()),
                Ok(response) => Err(response.to_string()),
                Err(failure) => Err(failure.to_string()),
            }
        });
    }

    #[track_caller]
    fn running(&self) -> &Process {
        match &self.process {
            Some(process) => process,
            None => panic!("toy backend {} is dead", self.name),
        }
    }
}
