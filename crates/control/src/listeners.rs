//! The listeners of a plan: opening them, keeping those that are open, saying what is wrong with an address.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use evenkeel_config::Plan;
use evenkeel_config::plan::ListenAddress;
use evenkeel_net::{Address, Listener};
use evenkeel_proxy::{Deployment, SharedListener};
use tracing::info;

/// Open listeners, by their name and the address as configured (where port 0 stays what the system chose).
pub(crate) type Opened = HashMap<(String, ListenAddress), Arc<SharedListener>>;

/// An address that cannot be listened on, and the setting that names it.
#[derive(Debug)]
pub struct ListenError {
    pub(crate) address: String,
    pub(crate) setting: String,
    pub(crate) error: io::Error,
}

/// Opens the listeners of a plan; those that are open stay.
pub(crate) fn open(plan: &Plan, old: &Opened) -> Result<Opened, ListenError> {
    let mut opened = Opened::default();
    for listener in &plan.listeners {
        let key = (listener.name.clone(), listener.address.clone());
        // A listener that was renamed keeps its socket.
        let kept = old.get(&key).or_else(|| {
            old.iter()
                .find(|((_, address), _)| *address == listener.address && !is_any_port(address))
                .map(|(_, kept)| kept)
        });
        let shared = match kept {
            Some(kept) => kept.clone(),
            None => {
                let address = match &listener.address {
                    ListenAddress::Tcp(address) => Address::Tcp(*address),
                    ListenAddress::Unix(path) => Address::Unix(path.clone()),
                };
                let bound = Listener::bind(&address).map_err(|error| ListenError {
                    address: address.to_string(),
                    setting: format!("listener.{}.address", listener.name),
                    error,
                })?;
                SharedListener::new(bound)
            }
        };
        opened.insert(key, shared);
    }
    Ok(opened)
}

/// Those of `list` that are not among `others`.
pub(crate) fn missing<'l>(
    list: &'l [Arc<SharedListener>],
    others: &'l [Arc<SharedListener>],
) -> impl Iterator<Item = &'l Arc<SharedListener>> {
    list.iter().filter(|one| !others.iter().any(|other| Arc::ptr_eq(one, other)))
}

/// Says where the listeners that were not open before listen.
pub(crate) fn announce(deployment: &Deployment, before: &[Arc<SharedListener>]) {
    for (settings, shared) in deployment.plan.listeners.iter().zip(&deployment.listeners) {
        if missing(std::slice::from_ref(shared), before).next().is_some() {
            info!("listener {} listening on {}", settings.name, shared.listener.address());
        }
    }
}

fn is_any_port(address: &ListenAddress) -> bool {
    matches!(address, ListenAddress::Tcp(address) if address.port() == 0)
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, setting, error } = self;
        write!(f, "cannot listen on {address} (set by {setting}): ")?;
        match error.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "the address is in use; stop the program that listens there (ss -ltnp shows it), or change {setting}"
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "permission denied; use a port from 1024 up, or allow it with: setcap cap_net_bind_service=+ep evenkeel"
            ),
            io::ErrorKind::AddrNotAvailable => {
                write!(
                    f,
                    "this machine has no such address; change {setting} to one of its own, or to 0.0.0.0"
                )
            }
            _ => write!(f, "{error}; change {setting}"),
        }
    }
}

impl std::error::Error for ListenError {}
