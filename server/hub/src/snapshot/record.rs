//! The form in which a hub's sessions outlive a planned restart. Read by the same version only, or
//! not at all: a field that is added or changed needs a new `VERSION`.

/// Version of the records.
pub(crate) const VERSION: u32 = 3;

/// No counted number is higher: with a million a second it would be reached after 285 years.
pub(crate) const NUMBER_MAX: u64 = 1 << 53;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HubRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
    /// The hub and how many there are: with another number the snapshot is of no use.
    #[prost(uint32, tag = "2")]
    pub(crate) hub: u32,
    #[prost(uint64, tag = "3")]
    pub(crate) epochs: u64,
    #[prost(message, repeated, tag = "4")]
    pub(crate) sessions: Vec<SessionRecord>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) channels: Vec<ChannelRecord>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) watches: Vec<WatchRecord>,
    /// Stamps do not go back over a restart.
    #[prost(uint64, tag = "7")]
    pub(crate) stamped_ms: u64,
    /// For how long the wall clock has agreed with the monotonic one, if that is not long enough to
    /// believe it.
    #[prost(uint64, optional, tag = "8")]
    pub(crate) clock_agreed_ms: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UserRecord {
    #[prost(string, tag = "1")]
    pub(crate) app: String,
    #[prost(string, tag = "2")]
    pub(crate) user: String,
}

/// `ends_with_connection` is not in it: such a session is in no snapshot.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TraitsRecord {
    #[prost(bool, tag = "1")]
    pub(crate) has_wide_names: bool,
    #[prost(bool, tag = "2")]
    pub(crate) is_text_only: bool,
    #[prost(bool, tag = "3")]
    pub(crate) knows_library_types: bool,
    #[prost(bool, tag = "4")]
    pub(crate) processes_late: bool,
    #[prost(bool, tag = "5")]
    pub(crate) is_paced: bool,
    #[prost(bool, tag = "6")]
    pub(crate) lists_all_members: bool,
    #[prost(bool, tag = "7")]
    pub(crate) ends_messages: bool,
    #[prost(bool, tag = "8")]
    pub(crate) reaches_any_channel: bool,
    #[prost(bool, tag = "9")]
    pub(crate) rings_on: bool,
    #[prost(bool, tag = "10")]
    pub(crate) is_service: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SessionRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) id: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub(crate) user: Option<UserRecord>,
    /// Digests of what the client states to resume, the newest first.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) secrets: Vec<Vec<u8>>,
    #[prost(uint64, tag = "4")]
    pub(crate) silent_ms: u64,
    #[prost(int32, tag = "5")]
    pub(crate) presence: i32,
    #[prost(uint64, optional, tag = "6")]
    pub(crate) token_expires_s: Option<u64>,
    #[prost(bool, tag = "7")]
    pub(crate) is_expiry_told: bool,
    #[prost(uint64, tag = "8")]
    pub(crate) cseq: u64,
    #[prost(message, optional, tag = "9")]
    pub(crate) outbox: Option<OutboxRecord>,
    #[prost(string, repeated, tag = "10")]
    pub(crate) channels: Vec<String>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) deliveries: Vec<DeliveryRecord>,
    #[prost(message, optional, tag = "12")]
    pub(crate) inbox: Option<InboxRecord>,
    #[prost(message, repeated, tag = "13")]
    pub(crate) watched: Vec<UserRecord>,
    #[prost(bool, tag = "14")]
    pub(crate) has_attributes: bool,
    #[prost(bool, tag = "15")]
    pub(crate) is_watched: bool,
    #[prost(message, repeated, tag = "16")]
    pub(crate) forerunners: Vec<ForerunnerRecord>,
    #[prost(uint64, tag = "18")]
    pub(crate) last_invitation: u64,
    #[prost(message, repeated, tag = "19")]
    pub(crate) rings: Vec<RingRecord>,
    #[prost(message, optional, tag = "20")]
    pub(crate) traits: Option<TraitsRecord>,
    /// What its token permits, as it stands in a token; `None` = everything.
    #[prost(bytes = "vec", optional, tag = "21")]
    pub(crate) rights: Option<Vec<u8>>,
    /// The fingerprint of the certificate that has signed its token.
    #[prost(uint64, tag = "22")]
    pub(crate) certificate: u64,
    /// The token's name.
    #[prost(bytes = "vec", tag = "23")]
    pub(crate) token: Vec<u8>,
    #[prost(uint64, optional, tag = "24")]
    pub(crate) token_issued_s: Option<u64>,
    /// Name and version of the client library.
    #[prost(string, tag = "25")]
    pub(crate) client: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ForerunnerRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) id: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) secrets: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OutboxRecord {
    #[prost(uint64, tag = "1")]
    pub(crate) sent: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) confirmed: u64,
    #[prost(message, repeated, tag = "3")]
    pub(crate) kept: Vec<KeptRecord>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) replies: Vec<KeptRecord>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) runs: Vec<RunRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct KeptRecord {
    #[prost(uint64, tag = "1")]
    pub(crate) sseq: u64,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) frame: bytes::Bytes,
    #[prost(message, optional, tag = "3")]
    pub(crate) source: Option<SourceRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SourceRecord {
    /// 0 call, 1 inbox, 2 channel, 3 withdrawn.
    #[prost(uint32, tag = "1")]
    pub(crate) kind: u32,
    #[prost(string, tag = "2")]
    pub(crate) channel: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RunRecord {
    #[prost(uint64, tag = "1")]
    pub(crate) first: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) count: u64,
    #[prost(message, repeated, tag = "3")]
    pub(crate) losses: Vec<LossRecord>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) detail: Vec<SourceRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LossRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) source: Option<SourceRecord>,
    #[prost(uint64, tag = "2")]
    pub(crate) count: u64,
}

/// A peer message in the outbox whose sender knows its fate.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DeliveryRecord {
    #[prost(uint64, tag = "1")]
    pub(crate) sseq: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) id: Vec<u8>,
    #[prost(bool, tag = "3")]
    pub(crate) is_stored: bool,
    /// 0 text, 1 media, 2 library.
    #[prost(uint32, tag = "4")]
    pub(crate) kind: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct InboxRecord {
    #[prost(uint64, tag = "1")]
    pub(crate) seen: u64,
    #[prost(uint64, optional, tag = "2")]
    pub(crate) page_end: Option<u64>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) delivered: Vec<PairRecord>,
    #[prost(message, optional, tag = "4")]
    pub(crate) losses: Option<LossesRecord>,
    #[prost(uint64, tag = "5")]
    pub(crate) latest_ts: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PairRecord {
    #[prost(uint64, tag = "1")]
    pub(crate) sseq: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) inbox: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LossesRecord {
    #[prost(uint64, tag = "1")]
    pub(crate) sseq: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) overflowed: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) expired: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) damaged: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RingRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) id: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub(crate) caller: Option<UserRecord>,
    #[prost(uint64, tag = "3")]
    pub(crate) sseq: u64,
    #[prost(bool, tag = "4")]
    pub(crate) is_received: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ChannelRecord {
    #[prost(string, tag = "1")]
    pub(crate) app: String,
    #[prost(string, tag = "2")]
    pub(crate) channel: String,
    #[prost(uint64, tag = "3")]
    pub(crate) epoch: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) seq: u64,
    /// Ids of the sessions of this hub that get its messages.
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub(crate) locals: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) origins: Vec<OriginRecord>,
    /// Its count has changed and was not told yet.
    #[prost(bool, tag = "7")]
    pub(crate) is_count_due: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OriginRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) hub: u32,
    #[prost(uint64, tag = "2")]
    pub(crate) epoch: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) seq: u64,
    #[prost(message, repeated, tag = "4")]
    pub(crate) members: Vec<MemberRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MemberRecord {
    #[prost(string, tag = "1")]
    pub(crate) user: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) session: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WatchRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) user: Option<UserRecord>,
    #[prost(int32, tag = "2")]
    pub(crate) state: i32,
    /// Ids of the sessions that are told.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) watchers: Vec<Vec<u8>>,
}

/// A session that moves from one hub to another.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MovedRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
    #[prost(message, optional, tag = "2")]
    pub(crate) session: Option<SessionRecord>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) channels: Vec<MovedChannelRecord>,
    /// Whom it watches, with what it has been told of each.
    #[prost(message, repeated, tag = "4")]
    pub(crate) watches: Vec<WatchRecord>,
    /// What it has used of its rates.
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) used: Vec<u8>,
    /// The numbers of the invitations that it has sent and that are open.
    #[prost(uint64, repeated, tag = "6")]
    pub(crate) sent: Vec<u64>,
    /// The stamp of its login.
    #[prost(uint64, tag = "7")]
    pub(crate) stamp_ms: u64,
    #[prost(uint32, tag = "8")]
    pub(crate) stamp_hub: u32,
    #[prost(uint64, tag = "9")]
    pub(crate) stamp_count: u64,
}

/// What a session that moves has been told of a channel.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MovedChannelRecord {
    #[prost(string, tag = "1")]
    pub(crate) channel: String,
    /// Members in all.
    #[prost(uint64, tag = "2")]
    pub(crate) count: u64,
    /// None, if there are too many for events.
    #[prost(string, repeated, tag = "3")]
    pub(crate) members: Vec<String>,
    /// The last messages of those who have sent any of late.
    #[prost(message, repeated, tag = "4")]
    pub(crate) senders: Vec<SenderRecord>,
    #[prost(uint64, tag = "5")]
    pub(crate) attributes_revision: u64,
}

/// The last message of a sender.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SenderRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) session: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub(crate) cseq: u64,
}
