//! Addresses that stand in each other's way: two listeners on one, and endpoints that are listeners.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use crate::codes;
use crate::collection::Named;
use crate::diagnostic::Problems;
use crate::plan::{EndpointAddress, ListenAddress};
use crate::schema;
use crate::values::address::AdminAddress;

/// Where the admin address is, if anywhere.
pub(super) fn admin(admin: &schema::Admin) -> Option<SocketAddr> {
    match admin.address.get_ref() {
        AdminAddress::At(address) => Some(*address),
        AdminAddress::Off => None,
    }
}

/// Reports addresses that are listened on twice, and endpoints that lead back to a listener.
pub(super) fn check(
    listeners: &Named<schema::Listener>,
    admin_table: &schema::Admin,
    upstreams: &Named<schema::Upstream>,
    problems: &mut Problems,
) {
    let mut taken = Taken::default();
    for (name, listener) in &listeners.entries {
        if let Some(address) = listener.as_ref().and_then(|listener| listener.address.as_ref()) {
            let who = format!("listener `{}`", name.get_ref());
            taken.claim(Claim { address: address.get_ref().clone(), span: address.span(), who }, problems);
        }
    }
    endpoints(&taken, upstreams, problems);
    if let Some(address) = admin(admin_table) {
        let who = "the admin address".to_owned();
        let (address, span) = (ListenAddress::Tcp(address), admin_table.address.span());
        taken.claim(Claim { address, span, who }, problems);
    }
}

/// Who listens where.
struct Claim {
    address: ListenAddress,
    /// Empty for a default, which has no place in the file.
    span: Range<usize>,
    who: String,
}

#[derive(Default)]
struct Taken {
    claims: HashMap<ListenAddress, Claim>,
    /// One of the specific addresses of a port and family.
    specific: HashMap<(u16, bool), ListenAddress>,
}

impl Taken {
    fn claim(&mut self, claim: Claim, problems: &mut Problems) {
        if matches!(claim.address, ListenAddress::Tcp(address) if address.port() == 0) {
            return;
        }
        match self.in_the_way(&claim.address) {
            Some(holder) => clash(&claim, holder, problems),
            None => {
                if let ListenAddress::Tcp(address) = claim.address
                    && !address.ip().is_unspecified()
                {
                    let key = (address.port(), address.is_ipv6());
                    self.specific.entry(key).or_insert_with(|| claim.address.clone());
                }
                self.claims.insert(claim.address.clone(), claim);
            }
        }
    }

    /// Who has the address already: itself, or as one of all addresses of its family, or as all of them.
    fn in_the_way(&self, address: &ListenAddress) -> Option<&Claim> {
        let claim = self.claims.get(address);
        let ListenAddress::Tcp(tcp) = address else { return claim };
        claim.or_else(|| match tcp.ip().is_unspecified() {
            true => self.claims.get(self.specific.get(&(tcp.port(), tcp.is_ipv6()))?),
            false => self.everywhere(*tcp),
        })
    }

    /// Who listens on every address of this one's family, at its port.
    fn everywhere(&self, address: SocketAddr) -> Option<&Claim> {
        let all: IpAddr = match address.is_ipv6() {
            true => Ipv6Addr::UNSPECIFIED.into(),
            false => Ipv4Addr::UNSPECIFIED.into(),
        };
        self.claims.get(&ListenAddress::Tcp(SocketAddr::new(all, address.port())))
    }

    /// The listener that a connection to the endpoint would certainly reach.
    fn reached_by(&self, endpoint: &EndpointAddress) -> Option<&Claim> {
        let by_ip = |address: SocketAddr| {
            let exact = self.claims.get(&ListenAddress::Tcp(address));
            let is_here = address.ip().is_loopback() || address.ip().is_unspecified();
            exact.or_else(|| self.everywhere(address).filter(|_| is_here))
        };
        match endpoint {
            EndpointAddress::Ip(address) => by_ip(*address),
            EndpointAddress::Name { host, port } if host == "localhost" => {
                by_ip((Ipv4Addr::LOCALHOST, *port).into())
            }
            EndpointAddress::Name { .. } => None,
            EndpointAddress::Unix(path) => self.claims.get(&ListenAddress::Unix(path.clone())),
        }
    }
}

fn clash(claim: &Claim, holder: &Claim, problems: &mut Problems) {
    let message = match claim.address == holder.address {
        true => format!("{} and {} both listen on {}", claim.who, holder.who, claim.address),
        false => format!(
            "{} listens on {} and {} on {}: one of the two includes the other",
            claim.who, claim.address, holder.who, holder.address
        ),
    };
    if claim.span.is_empty() {
        // The admin address was left at its default: what can be changed is the other.
        let help = "choose another, or set `address` in [admin]; its default is 127.0.0.1:9900";
        problems.error(codes::SAME_ADDRESS, holder.span.clone(), message).help(help);
    } else {
        problems
            .error(codes::SAME_ADDRESS, claim.span.clone(), message)
            .note(holder.span.clone(), format!("{} is here", holder.who))
            .help(match claim.address == holder.address {
                true => "give each its own",
                false => "give each its own port",
            });
    }
}

fn endpoints(taken: &Taken, upstreams: &Named<schema::Upstream>, problems: &mut Problems) {
    for (name, upstream) in &upstreams.entries {
        let list = upstream.as_ref().and_then(|upstream| upstream.endpoints.as_ref());
        for item in list.iter().flat_map(|list| &list.get_ref().items) {
            let (address, at) = match item.get_ref() {
                schema::Endpoint::Address(address) => (address, item.span()),
                schema::Endpoint::Table(table) => match &table.address {
                    Some(address) => (address.get_ref(), address.span()),
                    None => continue,
                },
            };
            let Some(listener) = taken.reached_by(address) else { continue };
            let message = format!(
                "endpoint {address} of upstream `{}` is this proxy itself: {} listens there",
                name.get_ref(),
                listener.who
            );
            problems
                .warning(codes::OWN_ADDRESS, at, message)
                .note(listener.span.clone(), format!("{} is here", listener.who))
                .help("name the address of the server behind it");
        }
    }
}
