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
            Self::AccessLog(path, error) => {
                match error.get_ref() {
                    // It says itself what could not be opened.
                    Some(told) => write!(f, "{told}")?,
                    None => write!(f, "cannot open access log {}: {error}", path.display())?,
                }
                match path.parent().filter(|_| error.kind() == io::ErrorKind::NotFound) {
                    Some(folder) => {
                        write!(f, "; create the folder {}, or change log.access", folder.display())
                    }
                    None => {
                        f.write_str("; let the user that evenkeel runs as write it, or change log.access")
                    }
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_is_named_once_with_what_to_do() {
        let told = "cannot open access log /nowhere/a.log: No such file or directory (os error 2)";
        let error = io::Error::new(io::ErrorKind::NotFound, told);
        let shown = StartError::AccessLog("/nowhere/a.log".into(), error).to_string();
        assert_eq!(shown, format!("{told}; create the folder /nowhere, or change log.access"));
        let error = io::ErrorKind::PermissionDenied.into();
        let shown = StartError::AccessLog("/a.log".into(), error).to_string();
        assert!(shown.starts_with("cannot open access log /a.log: permission denied; let"), "{shown}");
    }
}
