//! Endpoint addresses to sockets: names are resolved by the system, off the data path.

use std::io;

use evenkeel_config::plan::EndpointAddress;
use evenkeel_net::Target;

/// Where an address is, if that is known without asking anybody.
pub(crate) fn known_target(address: &EndpointAddress) -> Option<Target> {
    match address {
        EndpointAddress::Ip(address) => Some(Target::Tcp(*address)),
        EndpointAddress::Unix(path) => Some(Target::Unix(path.clone())),
        EndpointAddress::Name { .. } => None,
    }
}

/// Resolves a name; keeps `current` as long as it is among the answers, so that nothing moves without need.
///
/// # Errors
/// The name has no address now.
pub(crate) async fn resolve(address: &EndpointAddress, current: Option<&Target>) -> io::Result<Target> {
    let EndpointAddress::Name { host, port } = address else {
        return known_target(address).ok_or_else(|| io::ErrorKind::InvalidInput.into());
    };
    let mut first = None;
    for address in tokio::net::lookup_host((host.as_str(), *port)).await? {
        let target = Target::Tcp(address);
        if Some(&target) == current {
            return Ok(target);
        }
        first.get_or_insert(target);
    }
    first.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}
