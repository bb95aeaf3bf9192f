//! Every decoder and every state machine behind one.

mod api;
mod bus;
mod client;
mod jwt;
mod legacy;
mod nats;
mod session;
mod snapshot;
mod store;
mod tenants;
mod tokens;
mod wire;

use crate::target::Target;

/// All targets, in the order of the contract's list.
pub fn all() -> Vec<Target> {
    vec![
        wire::WS_FRAMES,
        wire::WS_HANDSHAKE,
        wire::NATIVE_FRAME,
        session::NATIVE_SESSION,
        legacy::LEGACY_FRAME,
        legacy::LEGACY_SESSION,
        tokens::TOKEN_006,
        tokens::TOKEN_007,
        tokens::TOKEN_LEGACY,
        jwt::TOKEN_JWT,
        jwt::JWT_KEYS,
        api::API_BODY,
        api::API_ADDRESS,
        store::STORE_RECORD,
        snapshot::DRAIN_SNAPSHOT,
        bus::BUS_CROSSING,
        nats::NATS_BYTES,
        nats::NATS_SESSION,
        client::SDK_INPUT,
        tenants::TWO_TENANTS,
    ]
}

/// Bytes read piece by piece: how a script is read from an input. Past the end everything is zero.
pub(crate) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// A piece with its length before it, in two bytes.
    pub(crate) fn piece(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()) | usize::from(self.byte()) << 8;
        let (piece, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        piece
    }
}

/// Writes a piece as [`Script::piece`] reads it.
pub(crate) fn put_piece(script: &mut Vec<u8>, piece: &[u8]) {
    let len = u16::try_from(piece.len()).expect("seeds are short");
    script.extend(len.to_le_bytes());
    script.extend(piece);
}

/// The bytes of all vectors of this type in `proto/vectors.json`.
pub(crate) fn vectors(of_type: &str) -> Vec<Vec<u8>> {
    let text = include_str!("../../../../proto/vectors.json");
    let vectors: serde_json::Value = serde_json::from_str(text).expect("it is generated");
    let vectors = vectors.as_array().into_iter().flatten();
    let of_type = vectors.filter(|vector| vector["type"] == of_type);
    of_type
        .map(|vector| {
            let hex = vector["hex"].as_str().expect("every vector has its bytes");
            let pairs = (0..hex.len()).step_by(2);
            pairs
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits"))
                .collect()
        })
        .collect()
}
