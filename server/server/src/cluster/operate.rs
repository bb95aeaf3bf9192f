//! What commands do with a cluster: they make it, look at it, and have nodes drain.

use std::time::{Duration, Instant};

use async_nats::jetstream::context::CreateKeyValueErrorKind;
use serde::Serialize;
use tokio::time::sleep;

use super::bucket::{Bucket, COPIES, Nats, Unopened, check_key, config};
use super::error::ClusterError;
use super::membership::NodeReport;
use super::settings::ClusterSettings;

/// How often a node is looked at that was asked to drain.
const LOOK: Duration = Duration::from_millis(200);

/// What was made for a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Whether it is new; otherwise it was there, and is as it must be.
    pub is_new: bool,
    /// The bucket's name.
    pub bucket: String,
    /// On how many NATS servers it is.
    pub copies: usize,
}

/// A NATS server, as the settings name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NatsReport {
    /// Its address, without user and password.
    pub url: String,
    /// Its name, or why it does not answer.
    pub state: String,
    /// Its version; empty if it does not answer.
    pub version: String,
}

/// The state of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterReport {
    /// The cluster's name.
    pub name: String,
    /// The nodes that live, by number.
    pub nodes: Vec<NodeReport>,
    /// The NATS servers that the settings name.
    pub nats: Vec<NatsReport>,
    /// On how many NATS servers the leases are.
    pub copies: usize,
    /// The NATS server that leads them.
    pub leader: Option<String>,
}

/// Makes the cluster's bucket, or mends it: run once before the first node.
///
/// # Errors
/// [`ClusterError`]
pub fn init(settings: &ClusterSettings) -> Result<Made, ClusterError> {
    run(async {
        let nats = Nats::connect(settings).await?;
        let copies = if nats.survey.is_clustered() {
            COPIES
        } else {
            1
        };
        let is_new = match nats.stream(settings).await {
            Ok(stream) => {
                check_key(settings, &stream.cached_info().config)?;
                let update = nats.context.update_key_value(config(settings, copies));
                update.await.map_err(|error| too_few(&error))?;
                false
            }
            Err(Unopened::For(ClusterError::NoBucket { .. })) => {
                let create = nats.context.create_key_value(config(settings, copies));
                create.await.map_err(|error| match error.kind() {
                    CreateKeyValueErrorKind::JetStream => nats.no_jetstream(),
                    CreateKeyValueErrorKind::BucketCreate if copies > 1 => too_few(&error),
                    _ => refused("make the bucket", &error),
                })?;
                true
            }
            Err(other) => return Err(other.into()),
        };
        Ok(Made {
            is_new,
            bucket: settings.bucket(),
            copies,
        })
    })
}

/// Looks at the cluster.
///
/// # Errors
/// [`ClusterError`]
pub fn status(settings: &ClusterSettings) -> Result<ClusterReport, ClusterError> {
    run(async {
        let survey = super::probe::Survey::take(&settings.servers).await;
        let there = survey.there.iter().map(|it| NatsReport {
            url: it.url.to_string(),
            state: it.greeting.server_name.clone(),
            version: it.greeting.version.clone(),
        });
        let away = survey.away.iter().map(|why| {
            let (url, why) = why.split_once(": ").unwrap_or((why, "away"));
            NatsReport {
                url: url.to_owned(),
                state: why.to_owned(),
                version: String::new(),
            }
        });
        let nats = there.chain(away).collect();
        let bucket = Bucket::open(settings).await?;
        let (copies, leader) = bucket
            .copies()
            .await
            .map_err(|error| refused("tell about the bucket", &*error))?;
        Ok(ClusterReport {
            name: settings.name.clone(),
            nodes: nodes(&bucket).await?,
            nats,
            copies,
            leader,
        })
    })
}

/// Asks a node, by its number or its name, to send its clients away. Returns when it has begun.
///
/// # Errors
/// [`ClusterError`]
pub fn drain(
    settings: &ClusterSettings,
    asked: &str,
    limit: Duration,
) -> Result<NodeReport, ClusterError> {
    run(async {
        let bucket = Bucket::open(settings).await?;
        let node = pick(&nodes(&bucket).await?, asked)?;
        let began = Instant::now();
        let mut is_asked = false;
        loop {
            let now = nodes(&bucket).await?;
            let is_it =
                |it: &&NodeReport| it.node == node.node && it.incarnation == node.incarnation;
            match now.iter().find(is_it) {
                Some(now) if now.draining => return Ok(now.clone()),
                // It has ended: its clients are elsewhere.
                None => return Ok(node),
                Some(_) if began.elapsed() > limit => {
                    return Err(ClusterError::Request {
                        what: "carry the wish to the node",
                        why: format!("it has not begun to drain within {} s", limit.as_secs()),
                    });
                }
                Some(_) if !is_asked => {
                    let ask = bucket.ask_to_drain(node.node, node.incarnation).await;
                    ask.map_err(|error| refused("take the wish", &*error))?;
                    is_asked = true;
                }
                Some(_) => {}
            }
            sleep(LOOK).await;
        }
    })
}

/// The one node that is meant.
fn pick(nodes: &[NodeReport], asked: &str) -> Result<NodeReport, ClusterError> {
    let is_meant = |node: &&NodeReport| match asked.parse::<u16>() {
        Ok(number) => node.node == number,
        Err(_) => node.name == asked,
    };
    let meant: Vec<_> = nodes.iter().filter(is_meant).collect();
    match meant[..] {
        [node] => Ok(node.clone()),
        _ => Err(ClusterError::NoNode {
            asked: asked.to_owned(),
            there: nodes
                .iter()
                .map(|node| format!("{} ({})", node.node, node.name))
                .collect(),
        }),
    }
}

async fn nodes(bucket: &Bucket) -> Result<Vec<NodeReport>, ClusterError> {
    let numbers = bucket.numbers().await;
    let numbers = numbers.map_err(|error| refused("list the nodes", &*error))?;
    let mut nodes = Vec::new();
    for number in numbers {
        let entry = bucket.read(number).await;
        let entry = entry.map_err(|error| refused("show a node", &error))?;
        if let Some((revision, lease)) = entry {
            let incarnation = match lease.incarnation {
                0 => revision,
                incarnation => incarnation,
            };
            nodes.push(NodeReport::new(number, incarnation, &lease));
        }
    }
    Ok(nodes)
}

fn too_few(error: &dyn std::error::Error) -> ClusterError {
    ClusterError::TooFew {
        why: with_sources(error),
    }
}

fn refused(what: &'static str, error: &dyn std::error::Error) -> ClusterError {
    ClusterError::Request {
        what,
        why: with_sources(error),
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

/// Runs a command's requests on this thread.
fn run<T>(work: impl Future<Output = Result<T, ClusterError>>) -> Result<T, ClusterError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| ClusterError::System(error.to_string()))?;
    runtime.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_cluster::nodes::Lease;

    #[test]
    fn a_node_is_picked_by_number_or_by_a_name_that_is_its_alone() {
        let node = |number, name: &str| {
            let lease = Lease {
                name: name.into(),
                ..Lease::default()
            };
            NodeReport::new(number, 1, &lease)
        };
        let nodes = [node(0, "a"), node(1, "b"), node(2, "b")];
        assert_eq!(pick(&nodes, "1").map(|node| node.node), Ok(1));
        assert_eq!(pick(&nodes, "a").map(|node| node.node), Ok(0));
        for wrong in ["b", "3", "c", ""] {
            let error = pick(&nodes, wrong).expect_err(wrong).to_string();
            assert!(error.contains("0 (a), 1 (b), 2 (b)"), "{error}");
        }
    }
}
