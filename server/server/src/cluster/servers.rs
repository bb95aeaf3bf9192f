//! Which NATS server is tried next, and when.

use std::net::{IpAddr, SocketAddr};

use super::settings::NatsUrl;

/// Most servers that are remembered: those that are configured and those of whom they tell.
const SERVERS_MAX: usize = 64;

/// Shortest pause between two attempts, in milliseconds.
const PAUSE_MS_MIN: u64 = 50;

/// Longest pause between two attempts while the servers have not been away for long, in
/// milliseconds. All hubs of a cluster find them again within this: see
/// [`Servers::come_up`].
pub(super) const PAUSE_MS_SOON: u64 = 250;

/// For how long that is, in milliseconds.
const SOON_MS: u64 = 12_000;

/// Longest pause between two attempts, in milliseconds.
const PAUSE_MS_MAX: u64 = 2_000;

/// A server that may be tried.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) server: NatsUrl,
    /// The name that its certificate must have.
    pub(super) tls_name: String,
    /// Nothing came in clear when it was tried with TLS after INFO: it begins with TLS.
    pub(super) begins_with_tls: bool,
    /// Where its name led the last time.
    pub(super) addresses: Vec<SocketAddr>,
    is_configured: bool,
}

/// All servers that are known, and the order of the next attempts.
#[derive(Debug)]
pub(super) struct Servers {
    known: Vec<Candidate>,
    /// Who is tried next, last first.
    round: Vec<usize>,
    current: Option<usize>,
    /// Attempts since the last that went well.
    attempts: u32,
    /// Servers tried since the last connection came up, the present one included.
    tried: usize,
    /// When the first of them failed, in monotonic milliseconds.
    away_ms: u64,
}

impl Servers {
    pub(super) fn new(configured: &[NatsUrl]) -> Self {
        let candidate = |server: &NatsUrl| Candidate {
            server: server.clone(),
            tls_name: server.host.clone(),
            begins_with_tls: false,
            addresses: Vec::new(),
            is_configured: true,
        };
        Self {
            known: configured.iter().take(SERVERS_MAX).map(candidate).collect(),
            round: Vec::new(),
            current: None,
            attempts: 0,
            tried: 0,
            away_ms: 0,
        }
    }

    /// The server of the present attempt or connection.
    pub(super) fn current(&mut self) -> Option<&mut Candidate> {
        self.known.get_mut(self.current?)
    }

    /// Chooses the server of the next attempt: each of a round once, in random order, the one that
    /// was lost last.
    pub(super) fn advance(&mut self, mut random: impl FnMut() -> u64) {
        self.tried = self.tried.saturating_add(1);
        if self.round.is_empty() {
            let lost = self.current;
            self.round = (0..self.known.len())
                .filter(|at| Some(*at) != lost)
                .collect();
            for end in (1..self.round.len()).rev() {
                let other = below(random(), end + 1);
                self.round.swap(end, other);
            }
            if let Some(lost) = lost {
                self.round.insert(0, lost);
            }
        }
        self.current = self.round.pop();
    }

    /// How long to wait before the next attempt, in milliseconds: nothing before the first, then
    /// ever longer, by chance.
    pub(super) fn pause_ms(&mut self, now_ms: u64, random: u64) -> u64 {
        let attempts = self.attempts;
        self.attempts = attempts.saturating_add(1);
        if attempts == 0 {
            self.away_ms = now_ms;
            return 0;
        }
        let is_soon = now_ms < self.away_ms + SOON_MS;
        let max_ms = if is_soon { PAUSE_MS_SOON } else { PAUSE_MS_MAX };
        let most_ms = (PAUSE_MS_MIN << attempts.min(16)).min(max_ms);
        let range = usize::try_from(most_ms - PAUSE_MS_MIN + 1).unwrap_or(1);
        PAUSE_MS_MIN + below(random, range) as u64
    }

    /// A connection is up. Whether each server was tried in vain before: then the other hubs of the
    /// cluster have been without one, too.
    pub(super) fn come_up(&mut self) -> bool {
        let tried = std::mem::take(&mut self.tried);
        tried > self.known.len()
    }

    /// A connection has lasted: the next loss is the first of its kind.
    pub(super) fn succeed(&mut self) {
        self.attempts = 0;
        self.round.clear();
    }

    /// Takes the addresses that the current server tells of its cluster. They are used as that
    /// server is: with TLS if it is, and with its name if they have none.
    pub(super) fn learn(&mut self, told: &[String]) {
        let Some(current) = self.current().cloned() else {
            return;
        };
        let mut known: Vec<Candidate> = Vec::new();
        let mut at_current = None;
        for (at, candidate) in self.known.drain(..).enumerate() {
            let is_current = Some(at) == self.current;
            let is_told = || told.iter().any(|text| is_at(&candidate.server, text));
            if candidate.is_configured || is_current || is_told() {
                if is_current {
                    at_current = Some(known.len());
                }
                known.push(candidate);
            }
        }
        for text in told {
            let is_known = known.iter().any(|other| is_at(&other.server, text));
            let Some((host, port)) = split(text).filter(|_| !is_known) else {
                continue;
            };
            if known.len() == SERVERS_MAX {
                break;
            }
            let is_bare = host.parse::<IpAddr>().is_ok();
            known.push(Candidate {
                tls_name: if is_bare {
                    current.tls_name.clone()
                } else {
                    host.clone()
                },
                server: NatsUrl {
                    host,
                    port,
                    is_tls: current.server.is_tls,
                },
                begins_with_tls: current.begins_with_tls,
                addresses: Vec::new(),
                is_configured: false,
            });
        }
        self.known = known;
        self.current = at_current;
        self.round.clear();
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// The servers that are known.
    #[cfg(test)]
    fn all(&self) -> Vec<String> {
        self.known.iter().map(|it| it.server.to_string()).collect()
    }
}

/// A number below `range`; all are almost equally likely.
fn below(random: u64, range: usize) -> usize {
    usize::try_from(random % (range as u64).max(1)).unwrap_or(0)
}

fn is_at(server: &NatsUrl, text: &str) -> bool {
    split(text).is_some_and(|(host, port)| host == server.host && port == server.port)
}

/// Reads `host:port`, or `[address]:port` of IPv6.
fn split(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|host| is_ipv6(host))?,
        None => host,
    };
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    let is_host = !host.is_empty() && host.bytes().all(is_part);
    (is_host && (!host.contains(':') || is_ipv6(host))).then(|| (host.to_owned(), port))
}

fn is_ipv6(host: &str) -> bool {
    host.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, is_tls: bool) -> NatsUrl {
        NatsUrl {
            host: host.into(),
            port: 4222,
            is_tls,
        }
    }

    fn three() -> Servers {
        Servers::new(&["a", "b", "c"].map(|host| server(host, false)))
    }

    fn hosts(servers: &mut Servers, count: usize, mut random: u64) -> Vec<String> {
        let mut next = || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            random >> 33
        };
        (0..count)
            .map(|_| {
                servers.advance(&mut next);
                servers.current().expect("there is one").server.host.clone()
            })
            .collect()
    }

    #[test]
    fn each_server_has_its_turn_and_the_lost_one_comes_last() {
        let mut firsts = std::collections::BTreeSet::new();
        for random in 0..40 {
            let mut servers = three();
            let mut round = hosts(&mut servers, 3, random);
            firsts.insert(round[0].clone());
            let lost = round[2].clone();
            round.sort();
            assert_eq!(round, ["a", "b", "c"]);
            servers.succeed();
            assert_eq!(hosts(&mut servers, 3, random)[2], lost);
        }
        assert_eq!(firsts.len(), 3, "the first is chosen by chance");
        let mut alone = Servers::new(&[server("a", false)]);
        assert_eq!(hosts(&mut alone, 3, 1), ["a", "a", "a"]);
    }

    #[test]
    fn pauses_grow_and_are_spread() {
        let mut servers = three();
        let range = |servers: &mut Servers, now_ms| {
            let at = servers.attempts;
            let pauses_ms = (0..5_000).map(|random| {
                servers.attempts = at;
                servers.pause_ms(now_ms, random)
            });
            let pauses_ms = pauses_ms.collect::<std::collections::BTreeSet<_>>();
            let ends = pauses_ms.first().copied().zip(pauses_ms.last().copied());
            ends.expect("some pauses")
        };
        assert_eq!(
            servers.pause_ms(1_000, 7),
            0,
            "the first attempt is made at once"
        );
        assert_eq!(range(&mut servers, 1_000), (PAUSE_MS_MIN, 100));
        assert_eq!(range(&mut servers, 1_100), (PAUSE_MS_MIN, 200));
        assert_eq!(range(&mut servers, 1_300), (PAUSE_MS_MIN, PAUSE_MS_SOON));
        assert_eq!(range(&mut servers, 12_999), (PAUSE_MS_MIN, PAUSE_MS_SOON));
        assert_eq!(range(&mut servers, 13_000), (PAUSE_MS_MIN, 1_600));
        for _ in 0..40 {
            assert_eq!(range(&mut servers, 13_000), (PAUSE_MS_MIN, PAUSE_MS_MAX));
        }
        servers.succeed();
        assert_eq!(servers.pause_ms(20_000, 7), 0);
    }

    #[test]
    fn it_is_known_whether_all_were_away() {
        let mut servers = three();
        for (tries, all_away) in [(1, false), (3, false), (4, true), (1, false)] {
            hosts(&mut servers, tries, 1);
            assert_eq!(servers.come_up(), all_away, "{tries}");
        }
    }

    #[test]
    fn what_a_server_tells_of_others_is_used_as_it_is_used_itself() {
        let mut servers = Servers::new(&[server("nats.example", true)]);
        servers.advance(|| 0);
        let told = [
            "10.0.0.1:4222",
            "[fd00::1]:4223",
            "b.example:4222",
            "nats.example:4222",
        ];
        servers.learn(&told.map(str::to_owned));
        let expected = [
            "tls://nats.example:4222",
            "tls://10.0.0.1:4222",
            "tls://[fd00::1]:4223",
            "tls://b.example:4222",
        ];
        assert_eq!(servers.all(), expected);
        let names: Vec<_> = servers
            .known
            .iter()
            .map(|it| it.tls_name.as_str())
            .collect();
        assert_eq!(
            names,
            ["nats.example", "nats.example", "nats.example", "b.example"]
        );
        // Those that are told of no longer go; the configured and the current one stay.
        hosts(&mut servers, 3, 5);
        let current = servers.current().expect("one").server.to_string();
        servers.learn(&["10.9.9.9:1".to_owned()]);
        let all = servers.all();
        assert!(
            all.contains(&current) && all.contains(&expected[0].to_owned()),
            "{all:?}"
        );
        assert!(
            all.contains(&"tls://10.9.9.9:1".to_owned()) && all.len() <= 3,
            "{all:?}"
        );
        assert_eq!(servers.current().expect("one").server.to_string(), current);
    }

    #[test]
    fn what_is_no_address_is_left_out_and_a_flood_is_cut() {
        let mut servers = three();
        servers.advance(|| 0);
        let mut told: Vec<_> = [
            "",
            "a",
            "a:",
            ":1",
            "a:0",
            "a:99999",
            "a b:1",
            "::1:2:x",
            "[a]:1",
            "user@h:1",
            "h/x:1",
            "1::2::3:4",
        ]
        .map(str::to_owned)
        .to_vec();
        servers.learn(&told);
        assert_eq!(servers.all().len(), 3, "{:?}", servers.all());
        told.extend((1..1_000).map(|port| format!("h:{port}")));
        servers.learn(&told);
        assert_eq!(servers.all().len(), SERVERS_MAX);
    }
}
