//! The KV bucket with the nodes' keys: how it is opened, and what is asked of it.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store, UpdateErrorKind, Watch};
use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, HeaderMap};
use tidings_cluster::nodes::{Effect, Input, LEASE_MS, Lease};

use super::authorities::tls;
use super::error::ClusterError;
use super::probe::{Problem, Survey};
use super::settings::{ClusterSettings, NatsLogin, NatsUrl};

/// How long NATS may take to answer: a lease lasts for two of these and a half.
pub(super) const REQUEST: Duration = Duration::from_millis(2_000);

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);

/// How often the connection is looked at while nothing is said on it.
const PING: Duration = Duration::from_secs(2);

/// Longest wait before the next server is tried.
const RECONNECT_MS_MAX: u64 = 500;

/// How long the bucket tells that a key has expired. What a watch misses is asked for anyway.
const MARKERS: Duration = Duration::from_secs(60);

/// Copies of the bucket where the NATS servers are a cluster.
pub(super) const COPIES: usize = 3;

/// Why the bucket is not open.
#[derive(Debug)]
pub(super) enum Unopened {
    /// NATS is away, or not ready yet: later it may be there.
    Away(String),
    /// Somebody must change something first.
    For(ClusterError),
}

impl From<Unopened> for ClusterError {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Away(why) => Self::Away(why),
            Unopened::For(error) => error,
        }
    }
}

/// NATS, as one node of a cluster sees it, before anything is known of the bucket.
#[derive(Debug)]
pub(super) struct Nats {
    pub(super) survey: Survey,
    pub(super) client: Client,
    pub(super) context: Context,
}

impl Nats {
    /// Looks at all servers, then logs in to one.
    pub(super) async fn connect(settings: &ClusterSettings) -> Result<Self, Unopened> {
        let survey = Survey::take(&settings.servers).await;
        if survey.there.is_empty() {
            return Err(Unopened::Away(survey.away.join("; ")));
        }
        let problems = survey.problems();
        if !problems.is_empty() {
            return Err(Unopened::For(ClusterError::Servers(problems)));
        }
        let there: Vec<_> = survey.there.iter().map(|it| it.url.clone()).collect();
        let client = connect(settings, &there).await?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(REQUEST);
        Ok(Self {
            survey,
            client,
            context,
        })
    }

    /// The bucket's stream.
    pub(super) async fn stream(&self, settings: &ClusterSettings) -> Result<Stream, Unopened> {
        let stream = self.context.get_stream(stream_name(settings)).await;
        stream.map_err(|error| match error.kind() {
            GetStreamErrorKind::JetStream(told) => match told.error_code() {
                ErrorCode::STREAM_NOT_FOUND => Unopened::For(ClusterError::NoBucket {
                    name: settings.name.clone(),
                }),
                ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
                    Unopened::For(self.no_jetstream())
                }
                _ => Unopened::Away(told.to_string()),
            },
            _ => Unopened::Away(format!("JetStream does not answer: {error}")),
        })
    }

    pub(super) fn no_jetstream(&self) -> ClusterError {
        ClusterError::Servers(vec![Problem {
            server: self.server(),
            what: "the user's account has no JetStream".into(),
            change: "add `jetstream: enabled` to the account in its configuration".into(),
        }])
    }

    /// The server that is connected to.
    fn server(&self) -> String {
        let name = self.client.server_info().server_name;
        format!("NATS server {name}")
    }
}

async fn connect(settings: &ClusterSettings, there: &[NatsUrl]) -> Result<Client, Unopened> {
    let options = options(settings)?;
    // Those that have greeted first, so that nobody waits for one that is down.
    let away = settings.servers.iter().filter(|url| !there.contains(url));
    let all = there.iter().chain(away).map(ToString::to_string);
    let all: Vec<String> = all.collect();
    let client = options.connect(all).await;
    client.map_err(|error: ConnectError| match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            Unopened::For(ClusterError::Refused(error.to_string()))
        }
        ConnectErrorKind::Tls => Unopened::For(ClusterError::Tls(error.to_string())),
        _ if is_of_tls(&error) => Unopened::For(ClusterError::Tls(error.to_string())),
        _ => Unopened::Away(error.to_string()),
    })
}

/// Whether a handshake of TLS has failed: the client library tells of it as of any I/O.
fn is_of_tls(error: &ConnectError) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        source = error.source();
    }
    false
}

fn options(settings: &ClusterSettings) -> Result<ConnectOptions, Unopened> {
    let mut options = ConnectOptions::new()
        .name(format!("tidings {} {}", settings.name, settings.node_name))
        .connection_timeout(CONNECT)
        .request_timeout(Some(REQUEST))
        .ping_interval(PING)
        .retain_servers_order()
        .reconnect_delay_callback(|attempts| {
            let ms = 50_u64.saturating_mul(attempts as u64).min(RECONNECT_MS_MAX);
            Duration::from_millis(ms)
        });
    // The same authorities as on the live path.
    let config = tls(settings.tls_ca.as_deref());
    let config = config.map_err(|why| Unopened::For(ClusterError::Tls(why)))?;
    options = options.tls_client_config((*config).clone());
    if settings.servers.iter().any(|server| server.is_tls) {
        options = options.require_tls(true);
    }
    Ok(match &settings.login {
        NatsLogin::Nobody => options,
        NatsLogin::Password { user, password } => {
            options.user_and_password(user.clone(), password.clone())
        }
        NatsLogin::File(text) if text.contains("BEGIN NATS USER JWT") => {
            options.credentials(text).map_err(|error| {
                Unopened::For(ClusterError::Refused(format!(
                    "the credentials cannot be read: {error}"
                )))
            })?
        }
        NatsLogin::File(text) => {
            let seed = text.lines().map(str::trim);
            let seed = seed.into_iter().find(|line| line.starts_with("SU"));
            options.nkey(seed.unwrap_or_default().to_owned())
        }
    })
}

/// The bucket as it must be.
pub(super) fn config(settings: &ClusterSettings, copies: usize) -> jetstream::kv::Config {
    jetstream::kv::Config {
        bucket: settings.bucket(),
        description: description(settings),
        history: 1,
        max_age: Duration::from_millis(LEASE_MS),
        num_replicas: copies,
        limit_markers: Some(MARKERS),
        ..Default::default()
    }
}

/// By the print of the key, a node of another cluster of this name is told from one of this.
fn description(settings: &ClusterSettings) -> String {
    format!("{DESCRIBED}{}", settings.key.print())
}

const DESCRIBED: &str = "Leases of the nodes of a Tidings cluster; print of its key: ";

pub(super) fn stream_name(settings: &ClusterSettings) -> String {
    format!("KV_{}", settings.bucket())
}

/// Whether the bucket was made with this cluster's key.
pub(super) fn check_key(settings: &ClusterSettings, config: &Config) -> Result<(), ClusterError> {
    let ours = settings.key.print();
    let described = config.description.as_deref().unwrap_or_default();
    let theirs = described.strip_prefix(DESCRIBED).unwrap_or("none");
    if theirs == ours {
        return Ok(());
    }
    Err(ClusterError::Key {
        name: settings.name.clone(),
        theirs: theirs.to_owned(),
        ours,
    })
}

/// Whether the bucket keeps leases as long and as safely as it must.
pub(super) fn check_bucket(config: &Config, is_clustered: bool) -> Result<(), ClusterError> {
    let lease = Duration::from_millis(LEASE_MS);
    let what = if config.max_age != lease {
        format!("it keeps keys for {:?}, not for {lease:?}", config.max_age)
    } else if is_clustered && config.num_replicas < COPIES {
        format!(
            "it is on {} of the NATS servers, not on {COPIES}",
            config.num_replicas
        )
    } else {
        return Ok(());
    };
    Err(ClusterError::Bucket { what })
}

/// The open bucket.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    client: Client,
    store: Store,
    stream: Stream,
    pub(super) is_clustered: bool,
}

/// What a watch shows.
#[derive(Debug)]
pub(super) enum Shown {
    /// A node's key.
    Node(Input),
    /// A node is asked to drain.
    Drain { number: u16, incarnation: u64 },
}

impl Bucket {
    /// Looks at all servers and opens the cluster's bucket.
    pub(super) async fn open(settings: &ClusterSettings) -> Result<Self, Unopened> {
        let nats = Nats::connect(settings).await?;
        let stream = nats.stream(settings).await?;
        let is_clustered = nats.survey.is_clustered();
        let config = &stream.cached_info().config;
        let checked = check_key(settings, config).and_then(|()| check_bucket(config, is_clustered));
        checked.map_err(Unopened::For)?;
        let store = nats.context.get_key_value(settings.bucket()).await;
        let store = store.map_err(|error| Unopened::Away(error.to_string()))?;
        Ok(Self {
            client: nats.client,
            store,
            stream,
            is_clustered,
        })
    }

    /// Whether there is a connection to a server at this moment.
    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Carries a request of the leases out.
    pub(super) async fn carry_out(&self, request: Effect) -> Input {
        match request {
            Effect::Create { number, lease } => {
                match self.store.create(key(number), lease.encode().into()).await {
                    Ok(revision) => Input::Created { revision },
                    Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Input::Taken,
                    Err(error) => failed(&error),
                }
            }
            Effect::Renew {
                number,
                revision,
                lease,
            } => {
                let value = lease.encode().into();
                match self.store.update(key(number), value, revision).await {
                    Ok(revision) => Input::Renewed { revision },
                    Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                        Input::Refused
                    }
                    Err(error) => failed(&error),
                }
            }
            Effect::Read { number } => match self.read(number).await {
                Ok(entry) => Input::Read { number, entry },
                Err(error) => failed(&error),
            },
            Effect::Delete { number, revision } => {
                let purge = self
                    .store
                    .purge_expect_revision(key(number), Some(revision));
                if let Err(error) = purge.await {
                    tracing::debug!(%error, "the lease could not be given back; it expires");
                }
                Input::Tick
            }
            other => unreachable!("{other:?} is no request"),
        }
    }

    /// A node's key, as the bucket's leader has it.
    pub(super) async fn read(
        &self,
        number: u16,
    ) -> Result<Option<(u64, Lease)>, jetstream::stream::LastRawMessageError> {
        let subject = format!("{}{}", self.store.prefix, key(number));
        let message = match self.stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => message,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let lease = Lease::decode(&message.payload);
        let entry = lease.filter(|_| !is_end(&message.headers));
        Ok(entry.map(|lease| (message.sequence, lease)))
    }

    /// The numbers that have a key.
    pub(super) async fn numbers(&self) -> Result<Vec<u16>, async_nats::Error> {
        use futures_util::TryStreamExt as _;
        let filter = format!("{}{}", self.store.prefix, key_of("*"));
        let info = self.stream.info_with_subjects(filter).await?;
        let subjects: Vec<(String, usize)> = info.try_collect().await?;
        let keys = subjects.iter();
        let keys = keys.filter_map(|(subject, _)| subject.strip_prefix(&self.store.prefix));
        let mut numbers: Vec<u16> = keys.filter_map(number_of).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Asks a node to drain: it sees this key.
    pub(super) async fn ask_to_drain(
        &self,
        number: u16,
        incarnation: u64,
    ) -> Result<(), async_nats::Error> {
        let key = format!("{DRAIN}{number}");
        let value = incarnation.to_string().into_bytes();
        self.store.put(key, value.into()).await?;
        Ok(())
    }

    /// All keys as they are, then what becomes of them.
    pub(super) async fn watch(&self) -> Result<Watch, async_nats::Error> {
        Ok(self.store.watch_with_history(">").await?)
    }

    /// The copies of the bucket, and the server that leads them.
    pub(super) async fn copies(&self) -> Result<(usize, Option<String>), async_nats::Error> {
        let info = self.stream.get_info().await?;
        let leader = info.cluster.and_then(|cluster| cluster.leader);
        Ok((info.config.num_replicas, leader))
    }
}

const NODE: &str = "node.";
const DRAIN: &str = "drain.";

fn key(number: u16) -> String {
    key_of(number)
}

fn key_of(number: impl std::fmt::Display) -> String {
    format!("{NODE}{number}")
}

fn number_of(key: &str) -> Option<u16> {
    key.strip_prefix(NODE)?.parse().ok()
}

/// What a change of a key means; `None` = nothing to us.
pub(super) fn shown(entry: &jetstream::kv::Entry) -> Option<Shown> {
    if let Some(number) = entry.key.strip_prefix(DRAIN) {
        let incarnation = std::str::from_utf8(&entry.value).ok()?.parse().ok()?;
        let number = number.parse().ok()?;
        return Some(Shown::Drain {
            number,
            incarnation,
        });
    }
    let number = number_of(&entry.key)?;
    let revision = entry.revision;
    if entry.operation != Operation::Put {
        return Some(Shown::Node(Input::Gone { number, revision }));
    }
    let Some(lease) = Lease::decode(&entry.value) else {
        tracing::warn!(
            record = entry.key,
            "a key of the cluster's bucket is no lease"
        );
        return None;
    };
    Some(Shown::Node(Input::Seen {
        number,
        revision,
        lease,
    }))
}

/// Whether a message marks the end of a key.
fn is_end(headers: &HeaderMap) -> bool {
    headers.get("KV-Operation").is_some() || headers.get("Nats-Marker-Reason").is_some()
}

fn failed(error: &dyn std::error::Error) -> Input {
    tracing::debug!(%error, "NATS did not carry out a request of the lease");
    Input::Failed
}
