//! Which targets may be called: rules for URLs, ports and addresses, against requests that a tenant
//! makes the server send into its own network (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hyper::Uri;

use crate::error::{Field, Refusal};

/// The longest URL of a target, in bytes.
pub(crate) const URL_BYTES_MAX: usize = 2_048;

/// What may be called.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Whether private and other special addresses may be called.
    pub private_targets: bool,
    /// Ranges that may be called although they are special.
    pub allowed: Vec<Range>,
    /// Whether public targets may be called without TLS. Special addresses that are allowed may
    /// always be: they are in the operator's own network.
    pub plain_http: bool,
}

/// A range of addresses, `10.1.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    address: IpAddr,
    length: u8,
}

impl Range {
    fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(range), IpAddr::V4(address)) => within4(address, range, self.length),
            (IpAddr::V6(range), IpAddr::V6(address)) => within6(address, range, self.length),
            _ => false,
        }
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("{text:?} is not a range of addresses such as 10.1.0.0/16");
        let (address, length) = text
            .split_once('/')
            .map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| fault())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(most), |length| length.parse().map_err(|_| fault()))?;
        if length > most {
            return Err(fault());
        }
        Ok(Self { address, length })
    }
}

/// A URL that passed the rules which need no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether it is called with TLS.
    pub is_tls: bool,
    /// The name or address to resolve, without brackets.
    pub host: String,
    /// The port, the scheme's own if the URL has none.
    pub port: u16,
    /// What the `Host` header says.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

impl Rules {
    /// Reads the URL of a target.
    ///
    /// # Errors
    /// [`Refusal`] of the field `url`: not a URL, another scheme, a user name in it, a port or a
    /// literal address that may not be called.
    pub fn target(&self, url: &str) -> Result<Target, Refusal> {
        let refuse = |detail: String, hint: &'static str| Refusal::field(Field::Url, detail, hint);
        if url.len() > URL_BYTES_MAX {
            let detail = format!(
                "url has {} bytes, and at most {URL_BYTES_MAX} are allowed",
                url.len()
            );
            return Err(refuse(detail, "give a shorter URL"));
        }
        let uri: Uri = url.parse().map_err(|error| {
            let detail = format!("url is not a URL: {error}");
            refuse(detail, "give one such as https://backend.example.com/hook; names with other letters in punycode")
        })?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => {
                let detail = format!("url {url:?} is neither https:// nor http://");
                return Err(refuse(
                    detail,
                    "give one such as https://backend.example.com/hook",
                ));
            }
        };
        let authority = uri.authority().map(|all| all.as_str()).unwrap_or_default();
        if authority.contains('@') || url.contains('#') {
            let detail = "url has a user name, a password or a fragment".to_owned();
            return Err(refuse(
                detail,
                "leave it out: notices are signed with the subscription's secret",
            ));
        }
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.len() > 253 {
            return Err(refuse(
                "url has no host name".to_owned(),
                "give one such as https://backend.example.com/hook",
            ));
        }
        // `Uri` takes a port that is not a number for none.
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.contains(']'));
        let own = if is_tls { 443 } else { 80 };
        let port = match uri.port_u16() {
            Some(port @ 1..) => port,
            _ if has_port => {
                return Err(refuse(
                    format!("the port of url {url:?} is not 1 to 65535"),
                    "give a port such as 8443",
                ));
            }
            _ => own,
        };
        let target = Target {
            is_tls,
            host: host.to_ascii_lowercase(),
            port,
            authority: authority.to_owned(),
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
        };
        if let Ok(address) = target.host.parse() {
            self.check(&target, address)
                .map_err(|forbidden| refuse(forbidden.to_string(), forbidden.hint()))?;
        } else if !self.has_exceptions() {
            self.check_public(&target)
                .map_err(|forbidden| refuse(forbidden.to_string(), forbidden.hint()))?;
        }
        Ok(target)
    }

    /// Whether `address`, to which the target's host resolves, may be called.
    ///
    /// # Errors
    /// [`Forbidden`], with what is in the way.
    pub fn check(&self, target: &Target, address: IpAddr) -> Result<(), Forbidden> {
        let Some(kind) = special(address) else {
            return self.check_public(target);
        };
        if self.private_targets || self.allowed.iter().any(|range| range.holds(address)) {
            return Ok(());
        }
        Err(Forbidden::Address { address, kind })
    }

    fn has_exceptions(&self) -> bool {
        self.private_targets || !self.allowed.is_empty()
    }

    fn check_public(&self, target: &Target) -> Result<(), Forbidden> {
        if !target.is_tls && !self.plain_http {
            return Err(Forbidden::Plain);
        }
        if is_refused_port(target.port) {
            return Err(Forbidden::Port { port: target.port });
        }
        Ok(())
    }
}

/// Why a target is not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The address is one of a range that is not for public hosts.
    #[error("the target has the address {address}, which is {kind}")]
    Address {
        /// To which the name resolved.
        address: IpAddr,
        /// What the range is for.
        kind: &'static str,
    },
    /// A port that other protocols use.
    #[error("port {port} may not be called")]
    Port {
        /// The port that the target's URL has, or that its scheme implies.
        port: u16,
    },
    /// A public target without TLS.
    #[error("the target is called without TLS")]
    Plain,
}

impl Forbidden {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Address { .. } => {
                "use a public target, or let the operator allow it with webhooks_private_targets or webhooks_allow"
            }
            Self::Port { .. } => {
                "use port 80, 443 or one above 1023 that no other protocol is known for"
            }
            Self::Plain => "use https://, or let the operator set webhooks_http",
        }
    }
}

/// Ports of public targets that are refused: all below 1024 but those of HTTP, and those above
/// which browsers do not call either, since other protocols are spoken there (WHATWG fetch, "bad
/// port").
fn is_refused_port(port: u16) -> bool {
    const REFUSED: [u16; 15] = [
        1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6697, 10080, 6679, 11211,
    ];
    port < 1024 && port != 80 && port != 443
        || REFUSED.contains(&port)
        || (6665..=6669).contains(&port)
}

type Row<A> = (A, u8, &'static str);

/// The IPv4 registry of special-purpose addresses (IANA), multicast, and a cloud's host service.
const SPECIAL4: &[Row<[u8; 4]>] = &[
    ([0, 0, 0, 0], 8, "of this network"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "shared address space of a provider"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([168, 63, 129, 16], 32, "a cloud's host service"),
    (
        [169, 254, 0, 0],
        16,
        "link-local, where clouds answer about their machines",
    ),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "reserved for protocols"),
    ([192, 0, 2, 0], 24, "for documentation"),
    ([192, 31, 196, 0], 24, "AS112 service"),
    ([192, 52, 193, 0], 24, "for automatic multicast tunnels"),
    ([192, 88, 99, 0], 24, "a 6to4 relay"),
    ([192, 168, 0, 0], 16, "private"),
    ([192, 175, 48, 0], 24, "AS112 service"),
    ([198, 18, 0, 0], 15, "for benchmarks"),
    ([198, 51, 100, 0], 24, "for documentation"),
    ([203, 0, 113, 0], 24, "for documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// What is special inside 2000::/3, the only part of IPv6 that is given to hosts (IANA).
const SPECIAL6: &[Row<[u16; 3]>] = &[
    (
        [0x2001, 0, 0],
        23,
        "reserved for protocols, Teredo among them",
    ),
    ([0x2001, 0xdb8, 0], 32, "for documentation"),
    ([0x2002, 0, 0], 16, "6to4, which holds an IPv4 address"),
    ([0x2620, 0x4f, 0x8000], 48, "AS112 service"),
    ([0x3fff, 0, 0], 20, "for documentation"),
];

/// What outside 2000::/3 has a better name than "not global".
const OTHER6: &[Row<[u16; 6]>] = &[
    ([0, 0, 0, 0, 0, 0xffff], 96, "an IPv4 address in IPv6"),
    ([0x64, 0xff9b, 0, 0, 0, 0], 96, "translated to IPv4 (NAT64)"),
    ([0x64, 0xff9b, 1, 0, 0, 0], 48, "translated to IPv4 (NAT64)"),
    ([0xfc00, 0, 0, 0, 0, 0], 7, "private (unique local)"),
    ([0xfe80, 0, 0, 0, 0, 0], 10, "link-local"),
    ([0xff00, 0, 0, 0, 0, 0], 8, "multicast"),
];

/// What an address is, if it is not one of a public host.
#[must_use]
pub fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => {
            let row = SPECIAL4
                .iter()
                .find(|(range, length, _)| within4(address, Ipv4Addr::from(*range), *length));
            row.map(|(_, _, kind)| *kind)
        }
        IpAddr::V6(address) => special6(address),
    }
}

fn special6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_loopback() {
        return Some("loopback");
    }
    if within6(address, Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3) {
        let row = SPECIAL6.iter().find(|([a, b, c], length, _)| {
            within6(address, Ipv6Addr::new(*a, *b, *c, 0, 0, 0, 0, 0), *length)
        });
        return row.map(|(_, _, kind)| *kind);
    }
    let row = OTHER6.iter().find(|([a, b, c, d, e, f], length, _)| {
        within6(
            address,
            Ipv6Addr::new(*a, *b, *c, *d, *e, *f, 0, 0),
            *length,
        )
    });
    Some(row.map_or("not one of a public host", |(_, _, kind)| *kind))
}

fn within4(address: Ipv4Addr, range: Ipv4Addr, length: u8) -> bool {
    let shift = 32 - u32::from(length);
    let bits = |address: Ipv4Addr| u32::from(address).checked_shr(shift).unwrap_or(0);
    bits(address) == bits(range)
}

fn within6(address: Ipv6Addr, range: Ipv6Addr, length: u8) -> bool {
    let shift = 128 - u32::from(length);
    let bits = |address: Ipv6Addr| u128::from(address).checked_shr(shift).unwrap_or(0);
    bits(address) == bits(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_special(address: &str) -> bool {
        special(address.parse().expect("an address")).is_some()
    }

    #[test]
    fn addresses_that_are_not_of_public_hosts_are_known() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.7",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.168.1.1",
            "192.175.48.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2620:4f:8000::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(is_special(address), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.17",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
            "3ffe::1",
        ] {
            assert!(!is_special(address), "{address}");
        }
    }

    #[test]
    fn urls_are_read_and_refused_with_a_reason() {
        let rules = Rules::default();
        let target = rules
            .target("https://Backend.example.com/hook?a=b")
            .expect("good");
        assert_eq!(
            (target.host.as_str(), target.port, target.path.as_str()),
            ("backend.example.com", 443, "/hook?a=b")
        );
        assert_eq!(
            rules
                .target("https://[2606:4700::1111]:8443")
                .expect("good")
                .port,
            8443
        );
        for (url, part) in [
            ("", "not a URL"),
            ("backend.example.com", "neither"),
            ("ftp://backend.example.com/", "neither"),
            ("https://", "not a URL"),
            ("https://user:word@backend.example.com/", "user name"),
            ("https://backend.example.com/#part", "fragment"),
            ("https://backend.example.com:0x50/", "port"),
            ("https://backend.example.com:0/", "port"),
            ("https://backend.example.com:99999/", "port"),
            ("https://backend.example.com:22/", "port 22"),
            ("https://backend.example.com:11211/", "port 11211"),
            ("http://backend.example.com/", "without TLS"),
            ("https://127.0.0.1/", "loopback"),
            ("https://[::1]/", "loopback"),
            ("https://[::ffff:10.0.0.1]/", "IPv4 address in IPv6"),
            ("https://169.254.169.254/latest/meta-data", "link-local"),
            ("https://exämple.com/", "not a URL"),
        ] {
            let refusal = rules.target(url).expect_err(url);
            assert!(refusal.detail.contains(part), "{url}: {}", refusal.detail);
            assert!(!refusal.hint.is_empty());
        }
    }

    #[test]
    fn the_operator_may_allow_ranges_and_plain_http() {
        let rules = Rules {
            allowed: vec![
                "10.1.0.0/16".parse().expect("a range"),
                "::1".parse().expect("one"),
            ],
            ..Rules::default()
        };
        let target = rules
            .target("http://10.1.2.3:25/")
            .expect("an allowed range, any port");
        assert_eq!(target.port, 25);
        assert!(rules.target("http://10.2.2.3/").is_err());
        assert!(rules.target("https://[::1]/").is_ok());
        // The name may be one of the operator's network: the address decides, when it is known.
        let named = rules
            .target("http://backend.internal/")
            .expect("not known yet");
        assert!(
            rules
                .check(&named, "10.1.0.9".parse().expect("an address"))
                .is_ok()
        );
        let public = rules.check(&named, "8.8.8.8".parse().expect("an address"));
        assert_eq!(public, Err(Forbidden::Plain));
        for wrong in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "ten",
            "10.0.0.0/8/8",
        ] {
            assert!(wrong.parse::<Range>().is_err(), "{wrong}");
        }
    }
}
