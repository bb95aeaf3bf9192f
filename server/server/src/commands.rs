//! What the supervisor of a running server is told, and how it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use tidings_hub::Apps;
use tidings_legacy::AppRules;
use tidings_wire::names::AppId;

use crate::error::StartError;

#[derive(Debug)]
pub(crate) enum Command {
    Drain,
    /// Send all clients away and let nobody in, but go on until told to drain.
    Empty,
    /// The node has lost its place in the cluster.
    Over,
    /// The apps, and whom to tell that hubs have them.
    Apps(Arc<Apps>, Sender<()>),
    /// The rules of bans have changed.
    Bans(Sender<()>),
    LegacyRules(BTreeMap<AppId, AppRules>),
    /// Read the files of the certificate, and tell whether they can be used.
    Certificate(Sender<Result<(), StartError>>),
}

/// How a server has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// It has lost its place in the cluster: whoever started it is to start it again.
    Over,
}
