//! Why a proxy does not start, or does not take a configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;

use evenkeel_config::Report;

use crate::listeners::ListenError;

/// Why a proxy could not start.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be listened on.
    Listen(ListenError),
    /// The access log cannot be opened.
    AccessLog(PathBuf, io::Error),
    /// Threads or file descriptors are missing.
    System(io::Error),
}

/// Why a reload was refused. The configuration before it is still in force.
#[derive(Debug)]
pub enum ReloadError {
    /// There is no file to read again.
    NoFile,
    /// The file is wrong.
    Config(Box<Report>),
    /// An address cannot be listened on.
    Listen(ListenError),
    /// These settings take effect only at a start.
    NeedsRestart(Vec<&'static str>),
    /// The proxy is stopping.
    Stopping,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(error) => error.fmt(f),
            Self::AccessLog(path, error) => write!(
                f,
                "cannot open the access log {}: {error}; make its folder writable, or change log.access",
                path.display()
            ),
            Self::System(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str("it was started without a file: there is nothing to read again"),
            Self::Config(report) => write!(f, "the configuration is wrong\n{report}"),
            Self::Listen(error) => error.fmt(f),
            Self::NeedsRestart(settings) => {
                write!(
                    f,
                    "{} changed, which takes effect only at a start; restart, or change it back",
                    settings.join(", ")
                )
            }
            Self::Stopping => f.write_str("it is stopping"),
        }
    }
}

impl std::error::Error for StartError {}
impl std::error::Error for ReloadError {}
