//! The encoding of what answers hold; see [`super::schema`].

use bytes::Bytes;

use super::schema::MembersRecord;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TopicsRecord {
    #[prost(string, repeated, tag = "1")]
    pub(super) channels: Vec<String>,
    #[prost(bool, tag = "2")]
    pub(super) is_here: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AllMembersRecord {
    #[prost(message, repeated, tag = "1")]
    pub(super) hubs: Vec<MembersRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct InheritedRecord {
    #[prost(bool, tag = "1")]
    pub(super) was_here: bool,
    #[prost(bool, tag = "2")]
    pub(super) has_attributes: bool,
    #[prost(message, repeated, tag = "3")]
    pub(super) forerunners: Vec<ForerunnerRecord>,
    /// Encoded by the hub.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub(super) used: Option<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ForerunnerRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) secrets: Vec<Bytes>,
}
