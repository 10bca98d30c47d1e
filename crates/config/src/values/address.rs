//! Addresses: where to listen, where endpoints are, whose networks are trusted.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use toml::de::DeValue;

use super::text_setting;
use crate::codes::{self, BAD_ADDRESS};
use crate::plan::{EndpointAddress, ListenAddress};
use crate::setting::{Format, Wrong};

/// A socket's path fits into `sockaddr_un` with its closing NUL, see unix(7).
const LONGEST_UNIX_PATH: usize = 107;

impl ListenAddress {
    const FORMAT: Format = Format {
        name: "an address to listen on",
        pattern: None,
        forms: "`\"127.0.0.1:8080\"`, `\"0.0.0.0:8080\"` (every IPv4 interface), `\"[::]:8080\"`, or `\"unix:/run/evenkeel.sock\"`; port 0 lets the system choose.",
        example: "\"127.0.0.1:8080\"",
    };

    fn parse(text: &str) -> Result<Self, Wrong> {
        match unix(text) {
            Some(path) => path.map(Self::Unix),
            None => numeric(text, true).map(Self::Tcp),
        }
    }

    fn help_for(value: &DeValue<'_>) -> Option<String> {
        port_alone(value)
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

text_setting!(ListenAddress);

/// Where the admin address listens, if anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AdminAddress {
    At(SocketAddr),
    Off,
}

impl AdminAddress {
    const FORMAT: Format = Format {
        name: "an address or \"off\"",
        pattern: None,
        forms: "`\"127.0.0.1:9900\"`, or `\"off\"`.",
        example: "\"127.0.0.1:9900\"",
    };

    fn parse(text: &str) -> Result<Self, Wrong> {
        match text {
            "off" => Ok(Self::Off),
            text if unix(text).is_some() => {
                Err(Wrong::new(BAD_ADDRESS, "the admin address cannot be a unix socket")
                    .help("write \"127.0.0.1:9900\", or \"off\""))
            }
            text => numeric(text, false).map(Self::At),
        }
    }

    fn help_for(value: &DeValue<'_>) -> Option<String> {
        match value {
            DeValue::Boolean(false) => Some("write \"off\"".to_owned()),
            value => port_alone(value),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::At(address) => address.to_string(),
            Self::Off => "off".to_owned(),
        }
    }
}

text_setting!(AdminAddress);

impl EndpointAddress {
    pub(crate) const FORMAT: Format = Format {
        name: "an address",
        pattern: None,
        forms: "`\"10.0.0.1:8080\"`, `\"[2001:db8::1]:8080\"`, `\"app.internal:8080\"`, or `\"unix:/run/app.sock\"`.",
        example: "\"127.0.0.1:9001\"",
    };

    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(path) = unix(text) {
            return path.map(Self::Unix);
        }
        let not_zero = |port: u16| match port {
            0 => Err(Wrong::new(BAD_ADDRESS, format!("{text:?} has port 0, which nobody can serve"))),
            port => Ok(port),
        };
        if let Ok(address) = text.parse::<SocketAddr>() {
            not_zero(address.port())?;
            return Ok(Self::Ip(address));
        }
        let (host, port) = split(text, true)?;
        let port = not_zero(port)?;
        if !is_host_name(host) {
            let wrong = Wrong::new(BAD_ADDRESS, format!("{host:?} is neither an IP address nor a host name"));
            return Err(wrong.help("such as \"10.0.0.1:8080\" or \"app.internal:8080\""));
        }
        Ok(Self::Name { host: host.to_ascii_lowercase(), port })
    }

    fn help_for(value: &DeValue<'_>) -> Option<String> {
        port_alone(value)
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

text_setting!(EndpointAddress);

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network(pub(crate) IpNet);

impl Network {
    const FORMAT: Format = Format {
        name: "an address range",
        pattern: None,
        forms: "`\"10.0.0.0/8\"`, `\"2001:db8::/32\"`, or one address.",
        example: "\"10.0.0.0/8\"",
    };

    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(IpNet::from(address)));
        }
        let Ok(net) = text.parse::<IpNet>() else {
            return Err(Wrong::new(codes::BAD_NETWORK, format!("{text:?} is not an address range"))
                .help("such as \"10.0.0.0/8\", \"2001:db8::/32\" or \"192.0.2.7\""));
        };
        if net.addr() != net.network() {
            let message = format!("{text:?} has bits set behind its prefix");
            let help =
                format!("write \"{}\" for the range, or \"{}\" for the address", net.trunc(), net.addr());
            return Err(Wrong::new(codes::BAD_NETWORK, message).help(help));
        }
        Ok(Self(net))
    }

    fn help_for(_: &DeValue<'_>) -> Option<String> {
        None
    }

    fn text(&self) -> String {
        self.0.to_string()
    }
}

text_setting!(Network);

/// Whether the text is a DNS name that cannot be mistaken for an IPv4 address.
pub(crate) fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or("");
    name.len() <= 253 && name.split('.').all(label) && !last.bytes().all(|b| b.is_ascii_digit())
}

fn port_alone(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(port) => Some(format!("write \"127.0.0.1:{}\"", port.as_str())),
        _ => None,
    }
}

fn unix(text: &str) -> Option<Result<PathBuf, Wrong>> {
    let path = text.strip_prefix("unix:")?;
    Some(if !path.starts_with('/') {
        Err(Wrong::new(BAD_ADDRESS, format!("{text:?}: the path of a socket is absolute"))
            .help("such as \"unix:/run/evenkeel.sock\""))
    } else if path.contains('\0') {
        Err(Wrong::new(BAD_ADDRESS, format!("{text:?}: a path cannot contain a NUL character")))
    } else if path.len() > LONGEST_UNIX_PATH {
        Err(Wrong::new(BAD_ADDRESS, format!("{text:?}: the path of a socket has at most 107 bytes")))
    } else {
        Ok(PathBuf::from(path))
    })
}

fn numeric(text: &str, unix_possible: bool) -> Result<SocketAddr, Wrong> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = split(text, unix_possible)?;
    let wrong = Wrong::new(BAD_ADDRESS, format!("{text:?} is not a numeric address"));
    Err(match host {
        "localhost" => wrong.help(format!("did you mean \"127.0.0.1:{port}\"?")),
        _ => wrong.help(format!("such as \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for every interface")),
    })
}

/// `host:port`, with remarks on everything that is usually written instead.
fn split(text: &str, unix_possible: bool) -> Result<(&str, u16), Wrong> {
    let wrong = |message: String, help: String| Err(Wrong::new(BAD_ADDRESS, message).help(help));
    if text.trim() != text || text.is_empty() {
        return wrong(format!("{text:?} is not an address"), "such as \"127.0.0.1:8080\"".to_owned());
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let host = rest.split('/').next().unwrap_or(rest);
        return wrong(format!("{text:?} is a URL"), format!("leave out {scheme:?}: write {host:?}"));
    }
    if text.starts_with('/') {
        let message = format!("{text:?} is a path");
        return match unix_possible {
            true => wrong(message, format!("write \"unix:{text}\" for a unix socket")),
            false => wrong(message, "such as \"127.0.0.1:9900\"".to_owned()),
        };
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        let with_port = text
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host.parse::<Ipv6Addr>().ok()?, port.parse::<u16>().ok()?)));
        return match with_port {
            Some((host, port)) => wrong(
                format!("{text:?} is ambiguous"),
                format!("write \"[{host}]:{port}\", or \"[{address}]:8080\""),
            ),
            None => wrong(format!("{text:?} has no port"), format!("write \"[{address}]:8080\"")),
        };
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return match text.parse::<u16>() {
            Ok(port) => wrong(format!("{text:?} has no host"), format!("write \"127.0.0.1:{port}\"")),
            Err(_) => wrong(format!("{text:?} has no port"), format!("write \"{text}:8080\"")),
        };
    };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let Some(number) = port.parse::<u16>().ok().filter(|_| digits) else {
        return wrong(
            format!("{text:?}: {port:?} is not a port"),
            "a port is a number up to 65535".to_owned(),
        );
    };
    if host.is_empty() {
        let help = format!("write \"127.0.0.1:{number}\", or \"0.0.0.0:{number}\" for every interface");
        return wrong(format!("{text:?} has no host"), help);
    }
    if let Ok(address) = host.parse::<Ipv6Addr>() {
        let help = format!("put an IPv6 address in brackets: \"[{address}]:{number}\"");
        return wrong(format!("{text:?} is ambiguous"), help);
    }
    if host.starts_with('[') {
        return wrong(
            format!("{host:?} is not an IPv6 address"),
            "such as \"[2001:db8::1]:8080\"".to_owned(),
        );
    }
    Ok((host, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_come_in_every_form() {
        for text in
            ["127.0.0.1:80", "[::1]:80", "app:80", "app.internal.:80", "a_b.x:65535", "unix:/run/x.sock"]
        {
            assert_eq!(EndpointAddress::parse(text).map(|a| a.to_string()), Ok(text.to_owned()));
        }
        let upper = EndpointAddress::parse("App.Internal:80").map(|a| a.to_string());
        assert_eq!(upper, Ok("app.internal:80".to_owned()), "names are compared without case");
    }

    #[test]
    fn what_is_usually_written_instead_gets_its_remedy() {
        for (text, help) in [
            ("http://10.0.0.1:80/x", "leave out \"http\": write \"10.0.0.1:80\""),
            ("10.0.0.1", "write \"10.0.0.1:8080\""),
            ("8080", "write \"127.0.0.1:8080\""),
            (":8080", "write \"127.0.0.1:8080\", or \"0.0.0.0:8080\" for every interface"),
            ("/run/x.sock", "write \"unix:/run/x.sock\" for a unix socket"),
            ("::1", "write \"[::1]:8080\""),
            ("::1:80", "write \"[::1]:80\", or \"[::1:80]:8080\""),
            ("2001:db8:1:2:3:4:5:6:80", "put an IPv6 address in brackets: \"[2001:db8:1:2:3:4:5:6]:80\""),
            ("a:99999", "a port is a number up to 65535"),
            ("unix:x.sock", "such as \"unix:/run/evenkeel.sock\""),
            ("300.1.2.3:80", "such as \"10.0.0.1:8080\" or \"app.internal:8080\""),
        ] {
            assert_eq!(EndpointAddress::parse(text).unwrap_err().help.as_deref(), Some(help), "{text}");
        }
        assert!(EndpointAddress::parse("10.0.0.1:0").is_err());
        assert!(EndpointAddress::parse("a b:80").is_err());
        assert!(EndpointAddress::parse(&format!("unix:/{}", "x".repeat(200))).is_err());
    }

    #[test]
    fn listening_is_numeric() {
        assert!(ListenAddress::parse("0.0.0.0:0").is_ok());
        let wrong = ListenAddress::parse("localhost:8080").unwrap_err();
        assert_eq!(wrong.help.as_deref(), Some("did you mean \"127.0.0.1:8080\"?"));
        assert_eq!(AdminAddress::parse("off"), Ok(AdminAddress::Off));
        assert!(AdminAddress::parse("unix:/x").is_err());
    }

    #[test]
    fn networks_are_exact() {
        assert_eq!(Network::parse("10.0.0.0/8").map(|n| n.text()), Ok("10.0.0.0/8".to_owned()));
        assert_eq!(Network::parse("192.0.2.7").map(|n| n.text()), Ok("192.0.2.7/32".to_owned()));
        let wrong = Network::parse("10.1.2.3/8").unwrap_err();
        assert!(wrong.help.is_some_and(|help| help.contains("\"10.0.0.0/8\"")));
        assert!(Network::parse("10.0.0.0/33").is_err());
    }
}
