//! How a node joins its cluster.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of NATS servers where an address names none.
const NATS_PORT: u16 = 4222;

/// Longest name of a cluster, in characters: it is part of subjects and of a bucket's name.
pub const CLUSTER_NAME_MAX: usize = 32;

/// Longest name of a node, in bytes.
pub const NODE_NAME_MAX: usize = 64;

/// How a node joins its cluster. Source: cluster 7.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The cluster's name: letters, digits, `-` and `_`.
    pub name: String,
    /// The NATS servers, at least one; others of their cluster are learned from them.
    pub servers: Vec<NatsUrl>,
    /// Who the node is to them.
    pub login: NatsLogin,
    /// PEM file with the authorities that vouch for the servers; `None` = the public ones.
    pub tls_ca: Option<PathBuf>,
    /// What the nodes of the cluster share: it authenticates what they send each other.
    pub key: ClusterKey,
    /// Where clients reach this node: a URL with `ws` or `wss`.
    pub advertise: String,
    /// How long after a subscription the other servers are taken to know of it, in milliseconds.
    /// Not waited for where there is one server.
    pub interest_settle_ms: u64,
    /// The node's name, for people.
    pub node_name: String,
    /// What durable means.
    pub durability: Durability,
}

impl ClusterSettings {
    /// What the cluster's subjects begin with.
    pub fn prefix(&self) -> String {
        format!("tidings.{}", self.name)
    }

    /// The KV bucket with the nodes' leases.
    pub fn bucket(&self) -> String {
        format!("tidings-{}-nodes", self.name)
    }
}

/// What durable means on a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// What is stored is on the disk of the node that took it, and there alone.
    Relaxed,
}

/// Whether a text can be a cluster's name.
pub fn is_cluster_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=CLUSTER_NAME_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

/// 32 random bytes that the nodes of a cluster share. Its `Debug` does not show them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClusterKey(pub [u8; 32]);

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterKey({})", self.print())
    }
}

impl ClusterKey {
    /// Reads 64 hexadecimal digits, or base64 of 32 bytes; spaces around it do not count.
    pub fn parse(text: &str) -> Option<Self> {
        use base64::Engine as _;
        let text = text.trim();
        let bytes = if text.len() == 64 && text.is_ascii() {
            let pairs = (0..32).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16));
            pairs.collect::<Result<Vec<u8>, _>>().ok()?
        } else {
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .ok()?
        };
        bytes.try_into().ok().map(Self)
    }

    /// As a file holds it.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A few characters by which people and nodes tell two keys apart. They tell nothing about the
    /// key that could be used.
    pub fn print(self) -> String {
        use sha2::Digest as _;
        let mut hash = sha2::Sha256::new();
        hash.update(b"tidings cluster key\0");
        hash.update(self.0);
        let hash = hash.finalize();
        hash[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Who a node is to NATS. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum NatsLogin {
    /// Nobody in particular.
    #[default]
    Nobody,
    /// A user and a password.
    Password {
        /// The user's name.
        user: String,
        /// The password, as it is: not encoded.
        password: String,
    },
    /// The content of a file with a JWT and the seed of its key, or with a seed alone.
    File(String),
}

impl fmt::Debug for NatsLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Password { .. } => "Password(..)",
            Self::File(_) => "File(..)",
        })
    }
}

/// The address of a NATS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsUrl {
    /// Whether TLS is demanded; without it, a server may still ask for it.
    pub is_tls: bool,
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The port, never 0.
    pub port: u16,
}

impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "tls" } else { "nats" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for NatsUrl {
    type Err = String;

    /// Reads `nats://HOST[:PORT]` or `tls://HOST[:PORT]`. What stands before an `@` must be taken
    /// off first.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("it has no scheme".into());
        };
        let is_tls = match scheme {
            "nats" => false,
            "tls" => true,
            other => return Err(format!("its scheme is {other}, neither nats nor tls")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
            let Some((host, port)) = rest.split_once(']') else {
                return Err("its address has no closing bracket".into());
            };
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(format!("[{host}] is no IPv6 address"));
            }
            (
                host,
                port.strip_prefix(':').or(port.is_empty().then_some("4222")),
            )
        } else {
            match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, Some("4222")),
            }
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err("its host is not valid".into());
        }
        let port = port
            .and_then(|port| port.parse().ok())
            .filter(|port| *port != 0);
        let Some(port) = port else {
            return Err(format!(
                "its port is no number from 1 to 65535 (NATS has {NATS_PORT})"
            ));
        };
        Ok(Self {
            is_tls,
            host: host.to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers_are_read() {
        for (text, shown) in [
            ("nats://10.0.0.1", "nats://10.0.0.1:4222"),
            ("tls://nats-1.example:4333/", "tls://nats-1.example:4333"),
            ("nats://[::1]:99", "nats://[::1]:99"),
            ("nats://[fd00::2]", "nats://[fd00::2]:4222"),
        ] {
            let url: NatsUrl = text.parse().expect(text);
            assert_eq!(url.to_string(), shown);
        }
        for (text, told) in [
            ("10.0.0.1:4222", "no scheme"),
            ("ws://a", "neither nats nor tls"),
            ("nats://", "host"),
            ("nats://a b", "host"),
            ("nats://user@a", "host"),
            ("nats://a:0", "port"),
            ("nats://a:99999", "port"),
            ("nats://a:", "port"),
            ("nats://[::1", "bracket"),
            ("nats://[x]", "IPv6"),
            ("nats://a/b", "host"),
        ] {
            let error = text.parse::<NatsUrl>().expect_err(text);
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn a_key_is_read_as_hex_or_base64_and_never_shown() {
        let key = ClusterKey([0xab; 32]);
        assert_eq!(
            ClusterKey::parse(&format!(" {}\n", key.to_hex())),
            Some(key)
        );
        let base64 = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=";
        assert_eq!(ClusterKey::parse(base64), Some(key));
        for wrong in ["", "abcd", &"g".repeat(64), &"é".repeat(32), &base64[..40]] {
            assert_eq!(ClusterKey::parse(wrong), None, "{wrong}");
        }
        assert!(!format!("{key:?}").contains("abab"));
        assert_ne!(key.print(), ClusterKey([0xac; 32]).print());
    }

    #[test]
    fn a_name_can_be_part_of_a_subject() {
        for good in ["prod", "a", "a-B_9"] {
            assert!(is_cluster_name(good));
        }
        let long = "a".repeat(CLUSTER_NAME_MAX + 1);
        for bad in ["", "a.b", "a b", "*", ">", "é", long.as_str()] {
            assert!(!is_cluster_name(bad), "{bad}");
        }
    }
}
