//! The encoding of crossings, in protobuf.
//!
//! A new field gets a new number, and receivers that do not know it ignore it. A field whose
//! meaning changes needs a new [`VERSION`]: a receiver refuses versions that it does not know.

use bytes::Bytes;

pub(super) use super::answers::*;

/// The version that this build writes, and the only one that it reads.
pub(super) const VERSION: u32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CrossingRecord {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(oneof = "Body", tags = "2, 3")]
    pub(super) body: Option<Body>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Body {
    #[prost(message, tag = "2")]
    Route(RouteRecord),
    #[prost(message, tag = "3")]
    Deliver(InputRecord),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RouteRecord {
    #[prost(uint32, tag = "1")]
    pub(super) from: u32,
    #[prost(oneof = "Op", tags = "2, 3, 4, 5, 6")]
    pub(super) op: Option<Op>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Op {
    #[prost(message, tag = "2")]
    Subscribe(TopicRecord),
    #[prost(message, tag = "3")]
    Unsubscribe(TopicRecord),
    #[prost(message, tag = "4")]
    Publish(PublishedRecord),
    #[prost(message, tag = "5")]
    Ask(AskedRecord),
    #[prost(message, tag = "6")]
    Answer(AnsweredRecord),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct InputRecord {
    #[prost(oneof = "Given", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(super) given: Option<Given>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Given {
    #[prost(message, tag = "1")]
    Published(PublishedRecord),
    #[prost(message, tag = "2")]
    Asked(AskedRecord),
    #[prost(message, tag = "3")]
    Answered(AnsweredRecord),
    #[prost(message, tag = "4")]
    Keep(PublishedRecord),
    #[prost(message, tag = "5")]
    Nobody(AskRecord),
    #[prost(message, tag = "6")]
    Missed(MissedRecord),
    /// The node's number.
    #[prost(uint32, tag = "7")]
    NodeLost(u32),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MissedRecord {
    #[prost(message, optional, tag = "1")]
    pub(super) topic: Option<TopicRecord>,
    #[prost(uint32, tag = "2")]
    pub(super) from: u32,
    #[prost(uint64, tag = "3")]
    pub(super) count: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PublishedRecord {
    #[prost(message, optional, tag = "1")]
    pub(super) topic: Option<TopicRecord>,
    /// 0 in an operation: the surrounding record says which hub acts.
    #[prost(uint32, tag = "2")]
    pub(super) from: u32,
    #[prost(message, optional, boxed, tag = "3")]
    pub(super) message: Option<Box<PublicationRecord>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AskedRecord {
    #[prost(message, optional, tag = "1")]
    pub(super) topic: Option<TopicRecord>,
    /// 0 in an operation.
    #[prost(uint32, tag = "2")]
    pub(super) from: u32,
    #[prost(message, optional, tag = "3")]
    pub(super) ask: Option<AskRecord>,
    #[prost(message, optional, boxed, tag = "4")]
    pub(super) question: Option<Box<QuestionRecord>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AnsweredRecord {
    /// The addressee in an operation, otherwise the hub that answers.
    #[prost(uint32, tag = "1")]
    pub(super) hub: u32,
    #[prost(message, optional, tag = "2")]
    pub(super) ask: Option<AskRecord>,
    #[prost(message, optional, boxed, tag = "3")]
    pub(super) answer: Option<Box<AnswerRecord>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AskRecord {
    #[prost(uint64, tag = "1")]
    pub(super) number: u64,
    #[prost(uint32, tag = "2")]
    pub(super) asked: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TopicRecord {
    /// 1 = a user, 2 = a user's calls, 3 = a channel, 4 = a user's presence.
    #[prost(uint32, tag = "1")]
    pub(super) kind: u32,
    #[prost(string, tag = "2")]
    pub(super) app: String,
    #[prost(string, tag = "3")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct UserRecord {
    #[prost(string, tag = "1")]
    pub(super) app: String,
    #[prost(string, tag = "2")]
    pub(super) user: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Nothing {}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StampRecord {
    #[prost(uint64, tag = "1")]
    pub(super) mono_ms: u64,
    #[prost(uint32, tag = "2")]
    pub(super) hub: u32,
    #[prost(uint64, tag = "3")]
    pub(super) count: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PublicationRecord {
    #[prost(oneof = "What", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11")]
    pub(super) what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum What {
    #[prost(message, tag = "1")]
    InboxGrew(Nothing),
    #[prost(message, tag = "2")]
    Watched(Nothing),
    #[prost(message, tag = "3")]
    Invitation(WordRecord),
    #[prost(message, tag = "4")]
    Presence(PresenceRecord),
    #[prost(message, tag = "5")]
    Joined(ChangeRecord),
    #[prost(message, tag = "6")]
    Left(ChangeRecord),
    #[prost(message, tag = "7")]
    Message(MessageRecord),
    #[prost(message, tag = "8")]
    Attributes(AttributesRecord),
    #[prost(uint32, tag = "9")]
    Resync(u32),
    #[prost(message, tag = "10")]
    Snapshot(MembersRecord),
    #[prost(message, tag = "11")]
    AttributesWritten(Nothing),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PresenceRecord {
    /// As in `tidings.v1.PresenceState`.
    #[prost(int32, tag = "1")]
    pub(super) state: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) stamp: Option<StampRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ChangeRecord {
    #[prost(uint64, tag = "1")]
    pub(super) seq: u64,
    #[prost(uint64, tag = "2")]
    pub(super) epoch: u64,
    #[prost(message, optional, tag = "3")]
    pub(super) user: Option<UserRecord>,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) session: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MessageRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) sender: Bytes,
    #[prost(uint64, tag = "2")]
    pub(super) cseq: u64,
    #[prost(uint64, tag = "3")]
    pub(super) server_ts: u64,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) frame: Bytes,
    #[prost(message, optional, tag = "5")]
    pub(super) keep: Option<KeepRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeepRecord {
    #[prost(message, optional, tag = "1")]
    pub(super) ask: Option<AskRecord>,
    #[prost(uint64, tag = "2")]
    pub(super) position: u64,
    #[prost(string, tag = "3")]
    pub(super) from: String,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) body: Bytes,
    #[prost(uint64, tag = "5")]
    pub(super) server_ts: u64,
    #[prost(uint64, tag = "6")]
    pub(super) messages_max: u64,
    #[prost(uint64, tag = "7")]
    pub(super) age_ms: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AttributesRecord {
    #[prost(uint64, tag = "1")]
    pub(super) revision: u64,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) frame: Bytes,
    /// 1 = the same, 2 = `others_frame`, 3 = nothing.
    #[prost(uint32, tag = "3")]
    pub(super) others: u32,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) others_frame: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MembersRecord {
    #[prost(uint32, tag = "1")]
    pub(super) origin: u32,
    #[prost(uint64, tag = "2")]
    pub(super) epoch: u64,
    #[prost(uint64, tag = "3")]
    pub(super) seq: u64,
    #[prost(message, repeated, tag = "4")]
    pub(super) members: Vec<MemberRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MemberRecord {
    #[prost(message, optional, tag = "1")]
    pub(super) user: Option<UserRecord>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) session: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WordRecord {
    #[prost(oneof = "Word", tags = "1, 2, 3, 4, 5")]
    pub(super) word: Option<Word>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Word {
    #[prost(message, tag = "1")]
    Ring(RingRecord),
    #[prost(message, tag = "2")]
    Ended(EndedRecord),
    #[prost(message, tag = "3")]
    Back(BackRecord),
    #[prost(message, tag = "4")]
    CallerBack(HoldsRecord),
    #[prost(message, tag = "5")]
    TakenOver(TakenOverRecord),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RingRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
    #[prost(message, optional, tag = "2")]
    pub(super) caller: Option<UserRecord>,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) frame: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EndedRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
    /// As in `tidings.v1.InvitationEnd`.
    #[prost(int32, tag = "2")]
    pub(super) end: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct BackRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
    #[prost(oneof = "Back", tags = "2, 3, 4, 5, 6")]
    pub(super) back: Option<Back>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Back {
    /// Whether the invitation still rings.
    #[prost(bool, tag = "2")]
    IsThere(bool),
    #[prost(bool, tag = "3")]
    Received(bool),
    #[prost(string, tag = "4")]
    Accepted(String),
    #[prost(string, tag = "5")]
    Refused(String),
    /// Whether the invitation is still open.
    #[prost(bool, tag = "6")]
    SessionOver(bool),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HoldsRecord {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(super) holds: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TakenOverRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
    #[prost(uint64, tag = "2")]
    pub(super) revision: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct QuestionRecord {
    #[prost(oneof = "Asks", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10")]
    pub(super) asks: Option<Asks>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Asks {
    #[prost(message, tag = "1")]
    Claim(ClaimRecord),
    #[prost(message, tag = "2")]
    Deliver(ParcelRecord),
    #[prost(bytes = "bytes", tag = "3")]
    HasTaken(Bytes),
    #[prost(message, tag = "4")]
    Presence(Nothing),
    #[prost(message, tag = "5")]
    Locate(LocateRecord),
    #[prost(message, tag = "6")]
    Members(Nothing),
    #[prost(message, tag = "7")]
    Count(Nothing),
    #[prost(message, tag = "8")]
    Progress(Nothing),
    #[prost(message, tag = "9")]
    Topics(LocateRecord),
    #[prost(message, tag = "10")]
    Give(GiveRecord),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GiveRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) session: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) secret: Bytes,
    #[prost(uint32, tag = "3")]
    pub(super) taker: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ClaimRecord {
    #[prost(message, optional, tag = "1")]
    pub(super) stamp: Option<StampRecord>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) holds: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ParcelRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) id: Bytes,
    #[prost(message, optional, tag = "2")]
    pub(super) from: Option<UserRecord>,
    #[prost(uint64, tag = "3")]
    pub(super) server_ts: u64,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) frame: Bytes,
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub(super) offline: Option<Bytes>,
    /// 1 = text, 2 = media, 3 = library.
    #[prost(uint32, tag = "6")]
    pub(super) kind: u32,
    #[prost(uint64, tag = "7")]
    pub(super) lasts_until: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LocateRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) session: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) secret: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AnswerRecord {
    #[prost(
        oneof = "Says",
        tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17"
    )]
    pub(super) says: Option<Says>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Says {
    #[prost(message, tag = "1")]
    Yielded(InheritedRecord),
    #[prost(message, tag = "2")]
    Superseded(Nothing),
    #[prost(message, tag = "3")]
    Confirmed(Nothing),
    #[prost(message, tag = "4")]
    Gone(Nothing),
    #[prost(message, tag = "5")]
    Stored(Nothing),
    #[prost(message, tag = "6")]
    Unconfirmed(Nothing),
    #[prost(string, tag = "7")]
    StoreFailed(String),
    #[prost(message, tag = "8")]
    Taken(Nothing),
    #[prost(message, tag = "9")]
    Presence(PresenceRecord),
    /// 1 = here, 2 = replaced, 3 = unknown, 4 = elsewhere.
    #[prost(uint32, tag = "10")]
    Located(u32),
    #[prost(message, tag = "11")]
    Members(AllMembersRecord),
    #[prost(uint32, tag = "12")]
    Count(u32),
    /// Their members are left out.
    #[prost(message, tag = "13")]
    Progress(AllMembersRecord),
    #[prost(message, tag = "14")]
    Moved(Nothing),
    #[prost(message, tag = "15")]
    Topics(TopicsRecord),
    /// Encoded by the hub.
    #[prost(bytes = "bytes", tag = "16")]
    Given(Bytes),
    /// 1 = unknown, 2 = stays, 3 = elsewhere.
    #[prost(uint32, tag = "17")]
    NotGiven(u32),
}
