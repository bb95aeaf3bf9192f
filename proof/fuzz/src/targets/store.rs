//! Records as a damaged disk or another program may leave them, with and without a right checksum.

use bytes::Bytes;
use tidings_store::read_record;

use super::{Script, put_piece};
use crate::node::APPS;
use crate::target::{Answer, Target};

pub(super) const STORE_RECORD: Target = Target {
    name: "store_record",
    run: store_record,
    seeds,
    bytes_max: 70_000,
    memory_max: Some(memory),
};

/// The record is copied once here to be given its checksum, and what is read from it shares that
/// copy; an attribute without key and value is 20 bytes there and some 130 in memory.
fn memory(bytes: usize) -> u64 {
    16 * bytes as u64 + 4_096
}

/// A mode, a key and a content: with an even mode the checksum is made right.
fn store_record(input: &[u8]) -> Answer {
    let mut script = Script::new(input);
    let mode = script.byte();
    let key = script.piece();
    let content = script.piece();
    let mut record = vec![mode >> 1, 0, 0, 0, 0];
    record.extend(content);
    if mode & 1 == 0 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(
            &u32::try_from(key.len())
                .expect("it is a piece")
                .to_le_bytes(),
        );
        hasher.update(key);
        hasher.update(&[record[0]]);
        hasher.update(content);
        record[1..5].copy_from_slice(&hasher.finalize().to_le_bytes());
    }
    match read_record(key, &Bytes::from(record)) {
        Ok(kind) => Answer::of(kind),
        Err(error) => Answer::of((key.first(), &error[..error.len().min(40)])),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let named = |kind: &[u8], rest: &[u8]| {
        let mut key = kind.to_vec();
        key.extend(APPS[0].as_bytes());
        key.extend(b"alice\0");
        key.extend(rest);
        key
    };
    let number = 7_u64.to_be_bytes();
    let mut both = b"bob\0".to_vec();
    both.extend(number);
    let keys = [
        named(b"a1", b""),
        named(b"a2", b""),
        named(b"g2", b""),
        named(b"l2", &number),
        named(b"l1", &both),
        named(b"h", b""),
        named(b"m", &number),
        named(b"t1", b""),
        b"n".to_vec(),
        [&b"e"[..], APPS[0].as_bytes(), &number].concat(),
        [&b"f"[..], APPS[0].as_bytes()].concat(),
        named(b"c", b""),
        named(b"w", b""),
        [&b"o"[..], &[0; 20]].concat(),
        [&b"p"[..], &[0; 20], b"room"].concat(),
        [&b"x"[..], &[1], APPS[0].as_bytes(), &number].concat(),
        b"r\x01key".to_vec(),
        b"q\x01app".to_vec(),
    ];
    let numbers: Vec<u8> = (1..9_u64).flat_map(u64::to_le_bytes).collect();
    let mut texts = 1_700_000_000_000_u64.to_le_bytes().to_vec();
    texts.extend([7; 16]);
    for text in ["alice", "key", "value"] {
        texts.extend(
            u32::try_from(text.len())
                .expect("it is short")
                .to_le_bytes(),
        );
        texts.extend(text.as_bytes());
    }
    let mut seeds = vec![];
    for key in &keys {
        for content in [&numbers[..8], &numbers[..32], &numbers, &texts] {
            let mut seed = vec![2];
            put_piece(&mut seed, key);
            put_piece(&mut seed, content);
            seeds.push(seed);
        }
    }
    seeds
}
