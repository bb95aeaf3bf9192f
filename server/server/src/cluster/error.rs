//! What keeps a node out of its cluster.

use std::fmt;

use tidings_nats::CredentialsError;

use super::probe::Problem;

/// What keeps a node out of its cluster. [`ClusterError::hint`] says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClusterError {
    /// NATS servers cannot carry a cluster.
    Servers(Vec<Problem>),
    /// No NATS server answers; a server waits, a command does not.
    Away(String),
    /// NATS does not let us in.
    Refused(String),
    /// The credentials file is none.
    Credentials(CredentialsError),
    /// The TLS of a NATS server cannot be used.
    Tls(String),
    /// The cluster has not been made.
    NoBucket {
        /// The cluster's name.
        name: String,
    },
    /// The cluster was made with another key.
    Key {
        /// The cluster's name.
        name: String,
        /// The print of its key.
        theirs: String,
        /// The print of ours.
        ours: String,
    },
    /// The cluster's bucket is not as it must be.
    Bucket {
        /// What is wrong.
        what: String,
    },
    /// Too few NATS servers for the copies of the leases.
    TooFew {
        /// What NATS said.
        why: String,
    },
    /// NATS refused a request.
    Request {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        why: String,
    },
    /// There is no such node.
    NoNode {
        /// As it was asked for.
        asked: String,
        /// The nodes that there are.
        there: Vec<String>,
    },
    /// The system gives no thread.
    System(String),
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Servers(problems) => {
                let told: Vec<_> = problems
                    .iter()
                    .map(|it| format!("{}: {}", it.server, it.what))
                    .collect();
                write!(f, "NATS cannot carry the cluster: {}", told.join("; "))
            }
            Self::Away(why) => write!(f, "no NATS server answers: {why}"),
            Self::Refused(why) => write!(f, "NATS does not let this node in: {why}"),
            Self::Credentials(why) => {
                write!(f, "the credentials file for NATS cannot be used: {why}")
            }
            Self::Tls(why) => write!(f, "the TLS of a NATS server cannot be used: {why}"),
            Self::NoBucket { name } => {
                write!(f, "there is no cluster {name} at these NATS servers yet")
            }
            Self::Key { name, theirs, ours } => write!(
                f,
                "the cluster {name} was made with another key: its print is {theirs}, that of \
                 ours {ours}"
            ),
            Self::Bucket { what } => write!(f, "the cluster's bucket is not usable: {what}"),
            Self::TooFew { why } => write!(f, "NATS cannot keep three copies of the leases: {why}"),
            Self::Request { what, why } => write!(f, "NATS did not {what}: {why}"),
            Self::NoNode { asked, there } if there.is_empty() => {
                write!(f, "there is no node {asked}: no node lives")
            }
            Self::NoNode { asked, there } => {
                write!(
                    f,
                    "there is no one node {asked}; there are {}",
                    there.join(", ")
                )
            }
            Self::System(why) => write!(f, "cannot start the cluster's thread: {why}"),
        }
    }
}

impl std::error::Error for ClusterError {}

impl ClusterError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Servers(problems) => {
                let told: Vec<_> = problems
                    .iter()
                    .map(|it| format!("{}: {}", it.server, it.change))
                    .collect();
                told.join("; ")
            }
            Self::Away(_) => {
                "check that nats-server runs there and that this machine reaches its port; see \
                 --cluster-nats"
                    .into()
            }
            Self::Refused(_) => {
                "give --cluster-credentials the file of a user of these servers, or user and \
                 password in \
                 --cluster-nats"
                    .into()
            }
            Self::Credentials(why) => why.hint().into(),
            Self::Tls(_) => {
                "give --cluster-ca the authority that has signed the servers' certificates, and \
                 the names that are in \
                 them in --cluster-nats"
                    .into()
            }
            Self::NoBucket { .. } => {
                "run `tidings cluster init` once, with the settings of a node".into()
            }
            Self::Key { .. } => {
                "give every node the same --cluster-key-file; two clusters at the same NATS \
                 servers need two names"
                    .into()
            }
            Self::Bucket { .. } => {
                "run `tidings cluster init`: it mends the bucket and leaves the nodes as they \
                 are"
                .into()
            }
            Self::TooFew { .. } => {
                "start three nats-servers with `jetstream` and the same `cluster { name: ... }`, \
                 or one without a \
                 cluster for trying things out"
                    .into()
            }
            Self::Request { .. } => {
                "look into the log of nats-server; the user needs the subjects $JS.API.>, $KV.> \
                 and _INBOX.>"
                    .into()
            }
            Self::NoNode { .. } => {
                "name a node by its number, or by its name if no other has it".into()
            }
            Self::System(_) => "check the system's limits on threads and memory".into(),
        }
    }
}
