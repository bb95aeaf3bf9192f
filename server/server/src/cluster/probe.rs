//! Whether NATS servers can carry a cluster: what each says about itself before anybody logs in.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::settings::NatsUrl;

/// The oldest version of nats-server that is taken: older ones lose acknowledged writes in ways
/// that were mended since. Source: cluster 7.
const VERSION_MIN: (u32, u32, u32) = (2, 14, 3);

/// How long a server may take to greet.
const GREETING: Duration = Duration::from_secs(2);

/// Longest greeting, in bytes: it lists the addresses of all servers.
const GREETING_BYTES_MAX: u64 = 64 * 1024;

/// Something that is wrong with a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The server, as the settings name it.
    pub server: String,
    /// What is wrong.
    pub what: String,
    /// What to change there.
    pub change: String,
}

/// What a server says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(super) struct Greeting {
    pub(super) server_id: String,
    pub(super) server_name: String,
    pub(super) version: String,
    pub(super) jetstream: bool,
    pub(super) headers: bool,
    pub(super) cluster: Option<String>,
    pub(super) max_payload: u64,
}

/// A server that has greeted.
#[derive(Debug, Clone)]
pub(super) struct Probed {
    pub(super) url: NatsUrl,
    pub(super) greeting: Greeting,
}

/// What came of looking at all servers.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) there: Vec<Probed>,
    /// Servers that did not answer, with why.
    pub(super) away: Vec<String>,
}

impl Survey {
    /// Looks at all servers at once.
    pub(super) async fn take(servers: &[NatsUrl]) -> Self {
        let probes = servers.iter().map(|url| async move {
            let result = timeout(GREETING, greeting(url)).await;
            match result {
                Ok(Ok(greeting)) => Ok(Probed {
                    url: url.clone(),
                    greeting,
                }),
                Ok(Err(why)) => Err(format!("{url}: {why}")),
                Err(_) => Err(format!(
                    "{url}: no greeting within {} s",
                    GREETING.as_secs()
                )),
            }
        });
        let mut survey = Self::default();
        for result in futures_util::future::join_all(probes).await {
            match result {
                Ok(probed) => survey.there.push(probed),
                Err(why) => survey.away.push(why),
            }
        }
        survey
    }

    /// Whether the servers are one cluster, rather than a single server.
    pub(super) fn is_clustered(&self) -> bool {
        self.there.iter().any(|it| it.greeting.cluster.is_some())
    }

    /// Everything that is wrong with the servers that are there.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for probed in &self.there {
            let mut add = |what: String, change: String| {
                found.push(Problem {
                    server: probed.url.to_string(),
                    what,
                    change,
                });
            };
            let greeting = &probed.greeting;
            let least = Version(VERSION_MIN);
            if Version::parse(&greeting.version).is_none_or(|version| version < least) {
                add(
                    format!("nats-server {} is older than {least}", greeting.version),
                    format!("install nats-server {least} or later"),
                );
            }
            if !greeting.jetstream {
                add(
                    "it has no JetStream".into(),
                    "add `jetstream { store_dir: \"/var/lib/nats\" }` to its configuration".into(),
                );
            }
            if !greeting.headers {
                add(
                    "it does not take headers".into(),
                    "take `no_header_support` out of its configuration".into(),
                );
            }
        }
        found.extend(self.strangers());
        found
    }

    /// Servers that are not in the cluster of the first one.
    fn strangers(&self) -> Vec<Problem> {
        let named = self.there.iter().find(|it| it.greeting.cluster.is_some());
        let Some(first) = named.or(self.there.first()) else {
            return Vec::new();
        };
        let is_with_first = |it: &Probed| match &first.greeting.cluster {
            Some(_) => it.greeting.cluster == first.greeting.cluster,
            // Two addresses of one server.
            None => it.greeting.server_id == first.greeting.server_id,
        };
        let name = first.greeting.cluster.as_deref().unwrap_or("NAME");
        let strangers = self.there.iter().filter(|it| !is_with_first(it));
        strangers
            .map(|it| Problem {
                server: it.url.to_string(),
                what: match &it.greeting.cluster {
                    Some(other) => {
                        format!(
                            "it is in the NATS cluster {other}, and {} in {name}",
                            first.url
                        )
                    }
                    None => format!("it is in no NATS cluster with {}", first.url),
                },
                change: format!(
                    "add `cluster {{ name: {name}, listen: 0.0.0.0:6222, routes: \
                     [nats://OTHER:6222] }}` to its \
                     configuration"
                ),
            })
            .collect()
    }
}

/// Reads the line that a server says first.
async fn greeting(url: &NatsUrl) -> Result<Greeting, String> {
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream).take(GREETING_BYTES_MAX);
    let read = reader.read_until(b'\n', &mut line).await;
    read.map_err(|error| error.to_string())?;
    parse(&line).ok_or_else(|| "whatever listens there does not greet as a NATS server".to_owned())
}

fn parse(line: &[u8]) -> Option<Greeting> {
    let rest = line.strip_prefix(b"INFO ")?;
    let greeting: Greeting = serde_json::from_slice(rest.trim_ascii()).ok()?;
    (!greeting.server_id.is_empty()).then_some(greeting)
}

/// A version; what comes before a release of that number counts as that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version((u32, u32, u32));

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let plain = text.split(['-', '+']).next()?;
        let mut parts = plain.split('.').map(|part| part.parse().ok());
        let version = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(Self(version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probed(at: &str, cluster: Option<&str>) -> Probed {
        Probed {
            url: format!("nats://{at}").parse().expect("an address"),
            greeting: Greeting {
                server_id: at.into(),
                server_name: at.into(),
                version: "2.15.1".into(),
                jetstream: true,
                headers: true,
                cluster: cluster.map(str::to_owned),
                max_payload: 1_048_576,
            },
        }
    }

    fn problems(there: Vec<Probed>) -> Vec<Problem> {
        let away = Vec::new();
        Survey { there, away }.problems()
    }

    #[test]
    fn servers_of_one_cluster_and_a_single_one_are_good() {
        let three = ["a", "b", "c"].map(|at| probed(at, Some("C")));
        assert_eq!(problems(three.to_vec()), []);
        assert_eq!(problems(vec![probed("a", None)]), []);
        let mut twice = probed("b", None);
        twice.greeting.server_id = "a".into();
        assert_eq!(problems(vec![probed("a", None), twice]), []);
    }

    #[test]
    fn each_server_that_is_not_good_is_named_with_what_to_change() {
        let mut old = probed("a", Some("C"));
        old.greeting.version = "2.14.2".into();
        let mut bare = probed("b", Some("C"));
        bare.greeting.jetstream = false;
        let mut odd = probed("c", Some("C"));
        odd.greeting.version = "unknown".into();
        odd.greeting.headers = false;
        let found = problems(vec![
            old,
            bare,
            odd,
            probed("d", None),
            probed("e", Some("E")),
        ]);
        let told: Vec<_> = found
            .iter()
            .map(|it| (it.server.as_str(), it.what.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("nats://a:4222", "nats-server 2.14.2 is older than 2.14.3"),
                ("nats://b:4222", "it has no JetStream"),
                ("nats://c:4222", "nats-server unknown is older than 2.14.3"),
                ("nats://c:4222", "it does not take headers"),
                (
                    "nats://d:4222",
                    "it is in no NATS cluster with nats://a:4222"
                ),
                (
                    "nats://e:4222",
                    "it is in the NATS cluster E, and nats://a:4222 in C"
                ),
            ]
        );
        assert!(found[1].change.contains("jetstream {"));
        assert!(found[4].change.contains("cluster { name: C"));
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let least = Version(VERSION_MIN);
        for good in ["2.14.3", "v2.15.1", "2.15.0-RC.2", "3.0.0", "2.100.0+x"] {
            assert!(Version::parse(good).expect(good) >= least, "{good}");
        }
        for old in ["2.14.2", "2.9.99", "1.99.0", "2.10.29"] {
            assert!(Version::parse(old).expect(old) < least, "{old}");
        }
        for wrong in ["", "2", "2.14", "2.14.3.4", "a.b.c", "-1.2.3"] {
            assert_eq!(Version::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_greeting_is_none() {
        let line =
            b"INFO {\"server_id\":\"X\",\"version\":\"2.15.1\",\"jetstream\":true,\"new\":1} \r\n";
        assert!(parse(line).is_some_and(|it| it.jetstream));
        for garbage in [
            &b""[..],
            b"HTTP/1.1 400\r\n",
            b"INFO {",
            b"INFO {}\r\n",
            b"\xff\xfe",
        ] {
            assert_eq!(parse(garbage), None);
        }
    }
}
