//! What a server says of itself.

use serde::Deserialize;

/// Most servers taken from one INFO; a cluster has a handful.
pub const SERVERS_MAX: usize = 64;

/// Longest address taken from an INFO, in bytes: a host name has at most 253.
const ADDRESS_BYTES_MAX: usize = 264;

/// What a server takes that does not say how much: the default of its configuration, in bytes.
const PAYLOAD_BYTES_DEFAULT: usize = 1024 * 1024;

/// What a server says of itself, at the beginning and whenever it changes. Fields that are missing
/// have the protocol's defaults; others are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Info {
    /// The server's id, new at each of its starts.
    pub server_id: String,
    /// The server's name.
    pub server_name: String,
    /// The server's version, such as `2.15.1`.
    pub version: String,
    /// The protocol's version; 1 = it tells of other servers.
    pub proto: i64,
    /// Whether it has headers, and so can say that nobody responds.
    pub headers: bool,
    /// The largest message that it takes, headers included, in bytes.
    pub max_payload: usize,
    /// Whether it speaks only with those who prove who they are.
    pub auth_required: bool,
    /// Whether it speaks only over TLS.
    pub tls_required: bool,
    /// Whether it speaks over TLS with those who want to.
    pub tls_available: bool,
    /// What is to be signed.
    pub nonce: Option<String>,
    /// Addresses of servers of its cluster, its own included. Bound: [`SERVERS_MAX`] are kept.
    pub connect_urls: Vec<String>,
    /// Whether it sends its clients away before it stops.
    pub ldm: bool,
    /// Its cluster's name.
    pub cluster: Option<String>,
    /// Whether it has JetStream.
    pub jetstream: bool,
}

impl Info {
    /// Reads the JSON of an INFO line.
    ///
    /// # Errors
    /// It is no such JSON: the reader's message.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        // As an array, an INFO without names would be taken.
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err("it is no JSON object".into());
        }
        let mut info: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if info.max_payload == 0 {
            info.max_payload = PAYLOAD_BYTES_DEFAULT;
        }
        info.connect_urls
            .retain(|address| (1..=ADDRESS_BYTES_MAX).contains(&address.len()));
        info.connect_urls.truncate(SERVERS_MAX);
        Ok(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_real_server_says_is_understood() {
        // nats-server 2.15.1 with a user and a password.
        let json = br#"{"server_id":"NAWH","server_name":"n1","version":"2.15.1","proto":1,
            "git_commit":"ab","go":"go1.25","host":"127.0.0.1","port":4222,"headers":true,
            "auth_required":true,"max_payload":1048576,"jetstream":true,"client_id":5,
            "client_ip":"127.0.0.1","nonce":"Zx1","cluster":"c","xkey":"XB",
            "connect_urls":["127.0.0.1:4222","127.0.0.1:4223"]}"#;
        let info = Info::parse(json).expect("an INFO");
        assert_eq!(
            (info.version.as_str(), info.max_payload),
            ("2.15.1", 1_048_576)
        );
        assert!(info.headers && info.auth_required && info.jetstream && !info.tls_required);
        assert_eq!(info.connect_urls.len(), 2);
        assert_eq!(info.nonce.as_deref(), Some("Zx1"));
    }

    #[test]
    fn a_flood_of_addresses_is_cut() {
        let long = "a".repeat(ADDRESS_BYTES_MAX + 1);
        let mut urls = vec![long, String::new()];
        urls.extend((0..500).map(|number| format!("10.0.0.1:{number}")));
        let json = serde_json::json!({ "connect_urls": urls });
        let info = Info::parse(json.to_string().as_bytes()).expect("an INFO");
        assert_eq!(info.connect_urls.len(), SERVERS_MAX);
        assert_eq!(info.connect_urls[0], "10.0.0.1:0");
    }

    #[test]
    fn what_is_no_info_is_refused() {
        for json in [
            "",
            "{",
            "[]",
            "{\"proto\":\"x\"}",
            "{\"max_payload\":-1}",
            "\u{fffd}",
        ] {
            assert!(Info::parse(json.as_bytes()).is_err(), "{json:?}");
        }
    }
}
