//! The lives of sessions, and of the hub: what touches every feature, in an order that matters.

pub(crate) mod apps;
pub(crate) mod claims;
pub(crate) mod given;
pub(crate) mod grants;
pub(crate) mod lists;
pub(crate) mod login;
pub(crate) mod memory;
pub(crate) mod moderation;
pub(crate) mod moved;
pub(crate) mod moves;
pub(crate) mod nodes;
pub(crate) mod outside;
pub(crate) mod replicas;
pub(crate) mod requests;
pub(crate) mod restore;
pub(crate) mod resume;
pub(crate) mod sessions;
pub(crate) mod snapshot;
pub(crate) mod state;
