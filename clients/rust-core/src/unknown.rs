//! Messages of a kind that this client does not know: a numbered one still counts.

/// Smallest field number of a numbered message. Source: protocol 2.2.
const NUMBERED_MIN: u64 = 16;
/// Protobuf wire type of length-delimited fields.
const LENGTH_DELIMITED: u64 = 2;

/// For each message of an encoded `ServerFrame`, whether it is numbered.
///
/// Reads the bytes itself, since the decoder drops unknown fields with their numbers. Bytes that
/// the decoder has accepted are well-formed; reading stops where they are not.
pub(crate) fn numbered(mut frame: &[u8]) -> Vec<bool> {
    let mut list = vec![];
    while let Some((field, content)) = take_field(&mut frame) {
        if let (1, Some(mut message)) = (field, content) {
            let mut is_numbered = false;
            while let Some((field, _)) = take_field(&mut message) {
                is_numbered = field >= NUMBERED_MIN;
            }
            list.push(is_numbered);
        }
    }
    list
}

/// Takes one field: its number, and its bytes if it is length-delimited.
fn take_field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let tag = take_varint(bytes)?;
    let content = match tag & 7 {
        0 => {
            take_varint(bytes)?;
            None
        }
        1 => {
            *bytes = bytes.get(8..)?;
            None
        }
        LENGTH_DELIMITED => {
            let len = usize::try_from(take_varint(bytes)?).ok()?;
            let content = bytes.get(..len)?;
            *bytes = &bytes[len..];
            Some(content)
        }
        5 => {
            *bytes = bytes.get(4..)?;
            None
        }
        _ => return None,
    };
    Some((tag >> 3, content))
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;
    use tidings_wire::proto::{MemberLeft, Ping, ServerFrame, ServerMessage, server_message::Kind};

    #[test]
    fn unknown_kinds_are_told_apart_by_their_field_number() {
        let known = |kind| ServerMessage { kind: Some(kind) };
        let frame = ServerFrame {
            messages: vec![
                known(Kind::Ping(Ping {})),
                known(Kind::MemberLeft(MemberLeft::default())),
            ],
        };
        let mut bytes = frame.encode_to_vec();
        // Message with field 9, then one with field 40, both empty and length-delimited.
        bytes.extend([0x0a, 2, 9 << 3 | 2, 0]);
        bytes.extend([0x0a, 3, 0xc2, 0x02, 0]);
        assert_eq!(
            ServerFrame::decode(&*bytes)
                .expect("well-formed")
                .messages
                .len(),
            4
        );
        assert_eq!(numbered(&bytes), [false, true, false, true]);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        for len in 0..4 {
            for seed in 0..=255_u8 {
                let _ = numbered(&vec![seed; len]);
            }
        }
        assert!(numbered(&[0xff; 40]).is_empty());
    }
}
