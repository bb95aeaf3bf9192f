//! The path between nodes: what one hub does at NATS for the topics whose home it is.

use crate::config::ClusterConfig;
use crate::counts::LiveCounts;
use crate::link::LinkOp;

/// One hub's share of the path between nodes.
#[derive(Debug)]
pub(crate) struct Live {
    #[expect(dead_code, reason = "the subjects are made from it in the next step")]
    pub(crate) config: ClusterConfig,
    pub(crate) counts: LiveCounts,
    pub(crate) now_ms: u64,
    pub(crate) ops: Vec<LinkOp>,
}

impl Live {
    pub(crate) fn new(config: ClusterConfig) -> Self {
        let (counts, now_ms, ops) = (LiveCounts::default(), 0, Vec::new());
        Self {
            config,
            counts,
            now_ms,
            ops,
        }
    }
}
