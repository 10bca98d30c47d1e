//! A cache server as a child process, ours or Redis: killed and started again on its port.

use std::net::SocketAddr;
use std::process::Command;

use crate::binaries::binary;
use crate::client::RawClient;
use crate::ports::ReservedPort;
use crate::process::Process;
use crate::wait::eventually;

/// A running cache server; killed when dropped.
pub struct CacheServer {
    program: Program,
    address: SocketAddr,
    process: Option<Process>,
    reserved: Option<ReservedPort>,
}

#[derive(Clone, Copy)]
enum Program {
    Evenkeel,
    Redis,
}

impl CacheServer {
    /// Starts `evenkeel-kv` on a port of ours, and waits until it answers.
    #[track_caller]
    pub fn evenkeel() -> Self {
        Self::start(Program::Evenkeel)
    }

    /// Starts `redis-server`; `None`, and a word about it, where it is not installed.
    #[track_caller]
    pub fn redis() -> Option<Self> {
        if let Err(error) = Command::new("redis-server").arg("--version").output() {
            eprintln!("skipped: redis-server cannot be started: {error}");
            return None;
        }
        Some(Self::start(Program::Redis))
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

    /// Starts it again on the same port, and waits until it answers. It has forgotten everything.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill9();
        self.launch();
    }

    /// Sends commands, one in a line, to a server at `address`, and gives all that was answered.
    ///
    /// # Errors
    /// The connection could not be made, or ended otherwise than by the `QUIT` that follows the commands.
    pub fn ask(address: SocketAddr, commands: &str) -> Result<String, String> {
        let mut client = RawClient::try_connect(address).map_err(|error| error.to_string())?;
        client.try_send(format!("{commands}\r\nQUIT\r\n")).map_err(|end| end.to_string())?;
        let (answer, end) = client.until_end();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        match answer.strip_suffix("+OK\r\n") {
            Some(answer) => Ok(answer.to_owned()),
            None => Err(format!("{answer:?}, then {end}")),
        }
    }

    #[track_caller]
    fn start(program: Program) -> Self {
        let reserved = ReservedPort::new();
        let address = reserved.address();
        let mut server = Self { program, address, process: None, reserved: Some(reserved) };
        server.launch();
        server
    }

    #[track_caller]
    fn launch(&mut self) {
        let (name, mut command) = match self.program {
            Program::Evenkeel => {
                let mut command = Command::new(binary("evenkeel-kv"));
                command.args(["--listen", &self.address.to_string()]);
                ("evenkeel-kv", command)
            }
            Program::Redis => {
                let mut command = Command::new("redis-server");
                command.args(["--bind", &self.address.ip().to_string(), "--save", "", "--daemonize", "no"]);
                command.args(["--port", &self.address.port().to_string()]);
                ("redis-server", command)
            }
        };
        let process = Process::spawn(name, &mut command);
        let address = self.address;
        eventually(&format!("{name} to answer"), || match Self::ask(address, "PING") {
            Ok(answer) if answer == "+PONG\r\n" => Ok(()),
            Ok(other) => Err(other),
            Err(failure) => Err(format!("{failure}; it said:\n{}", process.output())),
        });
        // It listens on the port now: holding it any longer has no purpose.
        self.reserved = None;
        self.process = Some(process);
    }
}
