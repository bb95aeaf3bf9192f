//! The generated types read and write the bytes of `proto/vectors.json` as every other codec does.

use prost::Message;
use tidings_wire::proto::{ClientFrame, ServerFrame};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits"))
        .collect()
}

fn written_again<M: Message + Default>(bytes: &[u8]) -> Vec<u8> {
    M::decode(bytes)
        .expect("a vector is a message")
        .encode_to_vec()
}

#[test]
fn every_vector_is_written_as_it_was_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/vectors.json");
    let text = std::fs::read_to_string(path).expect("the file is committed");
    let vectors: Vec<serde_json::Value> = serde_json::from_str(&text).expect("it is a list");
    assert!(vectors.len() > 100, "{} vectors", vectors.len());
    for vector in vectors {
        let expected = bytes(vector["hex"].as_str().expect("a text"));
        let written = match vector["type"].as_str() {
            Some("ClientFrame") => written_again::<ClientFrame>(&expected),
            Some("ServerFrame") => written_again::<ServerFrame>(&expected),
            other => panic!("a vector of type {other:?}"),
        };
        assert_eq!(written, expected, "{vector}");
    }
}
