//! Settings of a cluster, from settings to the server's configuration.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tidings_server::{
    CLUSTER_NAME_MAX, ClusterKey, ClusterSettings, Durability, NODE_NAME_MAX, NatsLogin, NatsUrl,
    is_cluster_name,
};

use super::checks::MILLISECOND;
use super::values::Span;
use super::{Settings, one_or_many};
use crate::failure::Failure;

/// Longest file of a key or of credentials, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Most NATS servers that settings name: others are learned from them.
const SERVERS_MAX: usize = 64;

/// The table `[cluster]` of a settings file: the same settings without `cluster-` before them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Section {
    name: Option<String>,
    #[serde(default, deserialize_with = "one_or_many")]
    nats: Option<Vec<String>>,
    credentials: Option<PathBuf>,
    ca: Option<PathBuf>,
    #[serde(alias = "key_file")]
    key_file: Option<PathBuf>,
    advertise: Option<String>,
    #[serde(alias = "node_name")]
    node_name: Option<String>,
    #[serde(alias = "interest_settle")]
    interest_settle: Option<Span>,
    durability: Option<String>,
}

/// Whether somebody else may read a file with a secret.
pub(crate) fn is_open_to_others(path: &Path) -> bool {
    let metadata = std::fs::metadata(path);
    metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

impl Settings {
    /// Takes the table's settings; what the file also gives at its top wins.
    pub(super) fn take_section(mut self) -> Self {
        let Some(section) = self.cluster.take() else {
            return self;
        };
        let weaker = Self {
            cluster_name: section.name,
            cluster_nats: section.nats,
            cluster_credentials: section.credentials,
            cluster_ca: section.ca,
            cluster_key_file: section.key_file,
            cluster_advertise: section.advertise,
            cluster_node_name: section.node_name,
            cluster_interest_settle: section.interest_settle,
            cluster_durability: section.durability,
            ..Self::default()
        };
        self.or(weaker)
    }

    /// Settings that say which cluster is meant, and nothing else.
    pub(crate) fn of_cluster(
        name: Option<String>,
        nats: Option<Vec<String>>,
        credentials: Option<PathBuf>,
        ca: Option<PathBuf>,
        key_file: Option<PathBuf>,
    ) -> Self {
        Self {
            cluster_name: name,
            cluster_nats: nats,
            cluster_credentials: credentials,
            cluster_ca: ca,
            cluster_key_file: key_file,
            ..Self::default()
        }
    }

    /// The same without what only nodes need: where their clients are, and what is durable there.
    pub(crate) fn for_command(self) -> Self {
        Self {
            cluster_advertise: Some("ws://127.0.0.1".into()),
            cluster_durability: Some("relaxed".into()),
            cluster_node_name: Some("command".into()),
            ..self
        }
    }

    /// Whether the settings name a cluster.
    pub(crate) fn has_cluster(&self) -> bool {
        self.cluster_name.is_some()
    }

    /// Where the cluster's key is, or is to be.
    pub(crate) fn cluster_key_path(&self) -> Option<&Path> {
        self.cluster_key_file.as_deref()
    }

    /// How the node joins its cluster; `None` = it is alone.
    pub(crate) fn cluster(&self) -> Result<Option<ClusterSettings>, Failure> {
        let Some(name) = &self.cluster_name else {
            return self.no_cluster().map(|()| None);
        };
        if !is_cluster_name(name) {
            return Err(Failure::new(
                format!("{name:?} cannot be a cluster's name"),
                format!(
                    "give --cluster-name 1 to {CLUSTER_NAME_MAX} letters, digits, - and _, for \
                     example prod"
                ),
            ));
        }
        let (servers, from_urls) = self.nats_servers(name)?;
        let login = match &self.cluster_credentials {
            None => from_urls,
            Some(path) if from_urls == NatsLogin::Nobody => read_credentials(path)?,
            Some(path) => {
                return Err(Failure::new(
                    format!(
                        "the NATS servers are given with a password, and {} besides",
                        path.display()
                    ),
                    "give --cluster-credentials, or a user and a password in the addresses, not \
                     both",
                ));
            }
        };
        let interest_settle = self.cluster_interest_settle().of(MILLISECOND);
        Ok(Some(ClusterSettings {
            name: name.clone(),
            servers,
            login,
            tls_ca: self.cluster_ca.clone(),
            key: self.cluster_key(name)?,
            advertise: self.advertise(name)?,
            interest_settle_ms: super::resolve::milliseconds(interest_settle),
            node_name: self.node_name()?,
            durability: self.durability()?,
        }))
    }

    /// Settings of a cluster without one would do nothing, which nobody wants.
    fn no_cluster(&self) -> Result<(), Failure> {
        let given = [
            ("cluster-nats", self.cluster_nats.is_some()),
            ("cluster-credentials", self.cluster_credentials.is_some()),
            ("cluster-ca", self.cluster_ca.is_some()),
            ("cluster-key-file", self.cluster_key_file.is_some()),
            ("cluster-advertise", self.cluster_advertise.is_some()),
            ("cluster-node-name", self.cluster_node_name.is_some()),
            ("cluster-durability", self.cluster_durability.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((option, _)) => Err(Failure::new(
                format!("--{option} is given, but the cluster has no name"),
                "give --cluster-name too, or leave all of them out for a server that is alone",
            )),
        }
    }

    fn nats_servers(&self, name: &str) -> Result<(Vec<NatsUrl>, NatsLogin), Failure> {
        let hint =
            "give --cluster-nats nats://HOST:4222, or tls:// with TLS; repeat it for each server";
        let texts = self.cluster_nats.clone().unwrap_or_default();
        if texts.is_empty() || texts.len() > SERVERS_MAX {
            let what = format!(
                "the cluster {name} needs 1 to {SERVERS_MAX} addresses of NATS servers, not {}",
                texts.len()
            );
            return Err(Failure::new(what, hint));
        }
        let mut servers = Vec::new();
        let mut logins: Vec<NatsLogin> = Vec::new();
        for (at, text) in (1..).zip(&texts) {
            // The error does not show it: a password may be in it.
            let wrong =
                |why: String| Failure::new(format!("the address of NATS server {at}: {why}"), hint);
            let (login, bare) = split_login(text.trim()).map_err(wrong)?;
            let server: NatsUrl = bare.parse().map_err(wrong)?;
            if servers.contains(&server) {
                return Err(wrong(format!("{server} is given twice")));
            }
            servers.push(server);
            logins.push(login);
        }
        logins.dedup();
        match <[NatsLogin; 1]>::try_from(logins) {
            Ok([login]) => Ok((servers, login)),
            Err(_) => Err(Failure::new(
                "the NATS servers are given with different users",
                "give all of them with the same user and password: it is one NATS cluster",
            )),
        }
    }

    fn cluster_key(&self, name: &str) -> Result<ClusterKey, Failure> {
        let Some(path) = &self.cluster_key_file else {
            return Err(Failure::new(
                format!("the cluster {name} needs a key, the same for all of its nodes"),
                "make one with `tidings cluster key --to FILE`, copy it to each node and give \
                 --cluster-key-file",
            ));
        };
        let text = read_file(path, "the cluster's key", "--cluster-key-file")?;
        ClusterKey::parse(&text).ok_or_else(|| {
            Failure::new(
                format!(
                    "{} does not hold a cluster's key: 32 bytes, in hexadecimal digits or base64",
                    path.display()
                ),
                "make one with `tidings cluster key --to FILE` and copy it to each node",
            )
        })
    }

    fn advertise(&self, name: &str) -> Result<String, Failure> {
        let example = "for example wss://chat-1.example.org";
        let Some(url) = &self.cluster_advertise else {
            return Err(Failure::new(
                format!("the cluster {name} needs to know where clients reach this node"),
                format!("give --cluster-advertise the URL of this node, {example}"),
            ));
        };
        super::resolve::check_ws_url(url).map_err(|why| {
            Failure::new(
                format!("clients cannot reach this node at {url:?}: {why}"),
                format!("give --cluster-advertise ws:// or wss:// and a host, {example}"),
            )
        })?;
        Ok(url.trim_end_matches('/').to_owned())
    }

    fn node_name(&self) -> Result<String, Failure> {
        let name = match &self.cluster_node_name {
            Some(name) => name.clone(),
            None => {
                let uname = rustix::system::uname();
                uname.nodename().to_string_lossy().into_owned()
            }
        };
        let is_plain = name.chars().all(|c| !c.is_control() && !c.is_whitespace());
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        if name.is_empty() || name.len() > NODE_NAME_MAX || !is_plain || is_number {
            return Err(Failure::new(
                format!("{name:?} cannot be a node's name"),
                format!(
                    "give --cluster-node-name 1 to {NODE_NAME_MAX} characters without spaces, \
                     not only digits, \
                     for example chat-1"
                ),
            ));
        }
        Ok(name)
    }

    /// Until the log exists, nothing but `relaxed` would be true.
    fn durability(&self) -> Result<Durability, Failure> {
        let hint = "give --cluster-durability relaxed if that is good enough, or run one server";
        match self.cluster_durability.as_deref() {
            Some("relaxed") => Ok(Durability::Relaxed),
            Some("strict") | None => Err(Failure::new(
                "this version does not store messages, histories and attributes for the whole \
                 cluster: they stay on \
                 the node that took them. Storage by a quorum of NATS servers (strict) comes \
                 with a later version",
                hint,
            )),
            Some(other) => Err(Failure::new(
                format!(
                    "{other:?} is no durability: there are relaxed and, in a later version, strict"
                ),
                hint,
            )),
        }
    }
}

/// Takes user and password off an address.
fn split_login(text: &str) -> Result<(NatsLogin, String), String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok((NatsLogin::Nobody, text.to_owned()));
    };
    let Some((login, host)) = rest.rsplit_once('@') else {
        return Ok((NatsLogin::Nobody, text.to_owned()));
    };
    let bare = format!("{scheme}://{host}");
    let Some((user, password)) = login.split_once(':') else {
        return Err("before the @ there are no user and password".into());
    };
    let decoded = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        let decoded = decoded.map_err(|_| "user or password are no text".to_owned())?;
        if decoded.is_empty() {
            return Err("user or password are empty".to_owned());
        }
        Ok(decoded.into_owned())
    };
    let (user, password) = (decoded(user)?, decoded(password)?);
    Ok((NatsLogin::Password { user, password }, bare))
}

fn read_credentials(path: &Path) -> Result<NatsLogin, Failure> {
    let text = read_file(path, "the NATS credentials", "--cluster-credentials")?;
    let has_seed = text.lines().any(|line| {
        let line = line.trim();
        line.len() == 58 && line.starts_with("SU")
    });
    if has_seed {
        return Ok(NatsLogin::File(text));
    }
    Err(Failure::new(
        format!(
            "{} holds no NATS credentials: it has no seed of a user's key (which begins with SU)",
            path.display()
        ),
        "give --cluster-credentials a .creds file of `nsc generate creds`, or a file with a \
         user's nkey seed",
    ))
}

fn read_file(path: &Path, what: &str, option: &str) -> Result<String, Failure> {
    let wrong = |why: String| {
        Failure::new(
            format!("cannot read {what} in {}: {why}", path.display()),
            format!(
                "check the path given to {option}, and that the server's user may read the file"
            ),
        )
    };
    let length = std::fs::metadata(path)
        .map_err(|error| wrong(error.to_string()))?
        .len();
    if length > FILE_BYTES_MAX {
        return Err(wrong(format!("it has {length} bytes, far too many")));
    }
    std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a key, and settings that name it.
    fn good() -> (tempfile::NamedTempFile, String) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "ab".repeat(32)).expect("written");
        let text = format!(
            "[cluster]\nname = 'prod'\nnats = ['nats://10.0.0.1:4222', 'nats://10.0.0.2']\n\
             key_file = '{}'\nadvertise = 'wss://chat-1.example.com/'\nnode-name = 'chat-1'\n\
             durability = 'relaxed'\n",
            file.path().display()
        );
        (file, text)
    }

    fn read(text: &str) -> Result<Option<ClusterSettings>, Failure> {
        let settings: Settings = toml::from_str(text).expect("settings");
        settings.take_section().cluster()
    }

    #[test]
    fn a_table_and_flat_keys_mean_the_same() {
        let (_file, text) = good();
        let cluster = read(&text).expect("good").expect("a cluster");
        assert_eq!((cluster.name.as_str(), cluster.servers.len()), ("prod", 2));
        assert_eq!(cluster.advertise, "wss://chat-1.example.com");
        assert_eq!((cluster.key.0, cluster.interest_settle_ms), ([0xab; 32], 5));
        assert_eq!(cluster.bucket(), "tidings-prod-nodes");
        let flat: String = text
            .lines()
            .skip(1)
            .map(|line| format!("cluster-{}\n", line.replacen("key_file", "key-file", 1)))
            .collect();
        assert_eq!(read(&flat).expect("good"), Some(cluster));
        assert_eq!(read("").expect("alone"), None);
    }

    #[test]
    fn a_user_and_a_password_may_stand_in_the_addresses() {
        let (_file, text) = good();
        let with = text.replace("nats://", "nats://a:b%40c@");
        let cluster = read(&with).expect("good").expect("a cluster");
        let (user, password) = ("a".to_owned(), "b@c".to_owned());
        assert_eq!(cluster.login, NatsLogin::Password { user, password });
        assert!(!format!("{cluster:?}").contains("b@c"));
    }

    /// What of the good settings is changed to what; what is told, and what to change.
    const MISTAKES: [(&str, &str, &str, &str); 15] = [
        ("'prod'", "'a.b'", "\"a.b\"", "--cluster-name"),
        ("name = 'prod'\n", "", "has no name", "--cluster-name"),
        (
            "nats://10.0.0.2",
            "10.0.0.2",
            "server 2: it has no scheme",
            "--cluster-nats",
        ),
        (
            "nats://10.0.0.2",
            "nats://10.0.0.1",
            "twice",
            "--cluster-nats",
        ),
        (
            "nats://10.0.0.2",
            "nats://u@10.0.0.1",
            "no user and password",
            "--cluster-nats",
        ),
        (
            "nats://10.0.0.2",
            "nats://u:p@10.0.0.2",
            "different users",
            "the same user",
        ),
        (
            "nats = ",
            "ca = 'x'\nnats = [] #",
            "not 0",
            "--cluster-nats",
        ),
        (
            "key_file",
            "credentials",
            "credentials",
            "--cluster-credentials",
        ),
        (
            "'relaxed'",
            "'strict'",
            "stay on the node",
            "--cluster-durability relaxed",
        ),
        (
            "durability = 'relaxed'",
            "",
            "stay on the node",
            "--cluster-durability relaxed",
        ),
        ("'relaxed'", "'lax'", "\"lax\"", "--cluster-durability"),
        (
            "'wss://chat-1.example.com/'",
            "'https://a'",
            "neither ws nor wss",
            "--cluster-advertise",
        ),
        (
            "advertise = 'wss://chat-1.example.com/'",
            "",
            "where clients",
            "--cluster-advertise",
        ),
        ("'chat-1'", "'a b'", "\"a b\"", "--cluster-node-name"),
        ("'chat-1'", "'17'", "\"17\"", "not only digits"),
    ];

    #[test]
    fn each_mistake_is_told_with_what_to_change() {
        let (_file, text) = good();
        for (from, to, told, hint) in MISTAKES {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            let failure = read(&changed).expect_err(to);
            assert!(failure.what().contains(told), "{to}: {}", failure.what());
            assert!(failure.hint().contains(hint), "{to}: {}", failure.hint());
        }
        let (file, text) = good();
        std::fs::write(file.path(), "too short").expect("written");
        let failure = read(&text).expect_err("no key");
        assert!(
            failure.what().contains("does not hold")
                && failure.hint().contains("tidings cluster key")
        );
        drop(file);
        let failure = read(&text).expect_err("no file");
        assert!(
            failure.what().contains("No such file"),
            "{}",
            failure.what()
        );
    }
}
