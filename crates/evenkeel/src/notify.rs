//! Telling systemd how far we are (`Type=notify`, sd_notify(3)): datagrams to the socket that it names.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};
use tracing::warn;

/// Who waits to hear from us; nobody when we were not started by systemd.
#[derive(Debug)]
pub(crate) struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// As `NOTIFY_SOCKET` says.
    pub(crate) fn from_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self { to: None };
        };
        match open(&name) {
            Ok(to) => Self { to: Some(to) },
            Err(error) => {
                warn!("cannot notify systemd at {}: {error}; check NOTIFY_SOCKET", name.display());
                Self { to: None }
            }
        }
    }

    /// Serving, in these words.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}\n", one_line(status)));
    }

    /// Another configuration is being read; [`Notifier::ready`] follows.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reloading\n"));
    }

    /// Finishing what runs.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping: running requests are being finished\n");
    }

    fn send(&self, state: &str) {
        if let Some((socket, address)) = &self.to
            && let Err(error) = socket.send_to_addr(state.as_bytes(), address)
        {
            warn!("cannot notify systemd: {error}");
        }
    }
}

/// A socket and where to send: a path, or with `@` an abstract name.
fn open(name: &OsStr) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    // A supervisor that does not read must not hold us up.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

fn one_line(status: &str) -> &str {
    status.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn abstract_names_and_one_line_of_status() {
        let name = format!("evenkeel-notify-{}", std::process::id());
        let systemd = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notifier = Notifier { to: Some(open(OsStr::new(&format!("@{name}"))).unwrap()) };
        notifier.ready("refused: wrong\nmore");
        assert_eq!(heard(&systemd), "READY=1\nSTATUS=refused: wrong\n");
        notifier.reloading();
        let said = heard(&systemd);
        let micros = said.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0 && said.starts_with("RELOADING=1\n"), "{said}");
        notifier.stopping();
        assert!(heard(&systemd).starts_with("STOPPING=1\n"));
    }

    #[test]
    fn nobody_there_is_no_failure() {
        let gone = Notifier { to: Some(open(OsStr::new("/nonexistent/notify")).unwrap()) };
        gone.ready("serving");
        Notifier { to: None }.stopping();
    }
}
