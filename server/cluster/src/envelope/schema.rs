//! The encoding of envelopes, in protobuf. Source: `proto/cluster.proto`, which describes them.

use bytes::Bytes;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EnvelopeRecord {
    #[prost(uint32, tag = "1")]
    pub(super) node: u32,
    #[prost(uint64, tag = "2")]
    pub(super) incarnation: u64,
    #[prost(uint32, tag = "3")]
    pub(super) hub: u32,
    #[prost(uint64, tag = "4")]
    pub(super) clock_ms: u64,
    #[prost(oneof = "Body", tags = "5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15")]
    pub(super) body: Option<Body>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Body {
    #[prost(message, tag = "5")]
    Publication(PublicationRecord),
    #[prost(message, tag = "6")]
    Ask(AskRecord),
    #[prost(message, tag = "7")]
    Answer(AnswerRecord),
    #[prost(message, tag = "8")]
    Absent(AbsentRecord),
    #[prost(message, tag = "9")]
    Hello(HelloRecord),
    #[prost(message, tag = "10")]
    Mark(MarkRecord),
    #[prost(message, tag = "11")]
    Probe(ProbeRecord),
    #[prost(message, tag = "12")]
    Heartbeat(HeartbeatRecord),
    #[prost(message, tag = "13")]
    Wanted(SinceRecord),
    #[prost(message, tag = "14")]
    Told(SinceRecord),
    #[prost(message, tag = "15")]
    Part(PartRecord),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct PositionRecord {
    #[prost(uint64, tag = "1")]
    pub(super) run: u64,
    #[prost(uint64, tag = "2")]
    pub(super) number: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PublicationRecord {
    #[prost(message, optional, tag = "1")]
    pub(super) at: Option<PositionRecord>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) crossing: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AskRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) crossing: Bytes,
    #[prost(bool, tag = "2")]
    pub(super) listens: bool,
    #[prost(message, optional, tag = "3")]
    pub(super) at: Option<PositionRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AnswerRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) crossing: Bytes,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct AbsentRecord {
    #[prost(uint64, tag = "1")]
    pub(super) ask: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WordRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) crossing: Bytes,
    #[prost(uint32, tag = "2")]
    pub(super) hubs: u32,
    #[prost(message, optional, tag = "3")]
    pub(super) at: Option<PositionRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HelloRecord {
    #[prost(message, optional, tag = "1")]
    pub(super) word: Option<WordRecord>,
    #[prost(bool, tag = "2")]
    pub(super) wants_answer: bool,
    #[prost(uint32, repeated, tag = "3")]
    pub(super) known: Vec<u32>,
    #[prost(uint64, tag = "4")]
    pub(super) ask: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MarkRecord {
    #[prost(message, optional, tag = "1")]
    pub(super) word: Option<WordRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ProbeRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) crossing: Bytes,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct HeartbeatRecord {
    #[prost(uint64, tag = "1")]
    pub(super) number: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct SinceRecord {
    #[prost(uint64, tag = "1")]
    pub(super) since_ms: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PartRecord {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(uint32, tag = "2")]
    pub(super) part: u32,
    #[prost(uint32, tag = "3")]
    pub(super) parts: u32,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) bytes: Bytes,
}
