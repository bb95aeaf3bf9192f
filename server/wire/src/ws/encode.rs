//! Frames to bytes.

use std::ops::Deref;

use super::head::{HEADER_BYTES_MAX, Opcode};
use super::mask::apply_mask;
use super::{CONTROL_BYTES_MAX, is_close_code};

/// A frame header on the stack: 2 to 14 bytes; dereferences to them.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    len: u8,
}

impl Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Makes the header of an unfragmented frame with `len` bytes of payload.
///
/// A server passes no mask; a client passes a fresh random one for every frame and applies it to
/// the payload with [`apply_mask`].
pub fn header(opcode: Opcode, len: usize, mask: Option<[u8; 4]>) -> Header {
    let mut bytes = [0; HEADER_BYTES_MAX];
    bytes[0] = 0x80 | opcode as u8;
    let mut at = match len {
        0..=125 => {
            bytes[1] = len as u8;
            2
        }
        126..=0xffff => {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            4
        }
        _ => {
            bytes[1] = 127;
            bytes[2..10].copy_from_slice(&(len as u64).to_be_bytes());
            10
        }
    };
    if let Some(mask) = mask {
        bytes[1] |= 0x80;
        bytes[at..at + 4].copy_from_slice(&mask);
        at += 4;
    }
    Header {
        bytes,
        len: at as u8,
    }
}

/// The length of the header that [`header`] makes without a mask: 2, 4 or 10 bytes. A mask adds 4.
pub const fn frame_header_len(len: usize) -> usize {
    match len {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// Appends a complete unfragmented frame, masked if a mask is given. Copies the payload once.
pub fn encode_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    let header = header(opcode, payload.len(), mask);
    out.reserve(header.len() + payload.len());
    out.extend_from_slice(&header);
    let begin = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(mask, 0, &mut out[begin..]);
    }
}

/// A whole control frame on the stack, at most 131 bytes; dereferences to them.
#[derive(Debug, Clone, Copy)]
pub struct ControlFrame {
    bytes: [u8; 2 + 4 + CONTROL_BYTES_MAX],
    len: u8,
}

impl Deref for ControlFrame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl ControlFrame {
    fn new(opcode: Opcode, parts: [&[u8]; 2], mask: Option<[u8; 4]>) -> Self {
        let payload_len = parts[0].len() + parts[1].len();
        assert!(
            payload_len <= CONTROL_BYTES_MAX,
            "a control frame holds {CONTROL_BYTES_MAX} bytes, not {payload_len}"
        );
        let header = header(opcode, payload_len, mask);
        let mut bytes = [0; 2 + 4 + CONTROL_BYTES_MAX];
        let mut at = 0;
        for part in [&*header, parts[0], parts[1]] {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        if let Some(mask) = mask {
            apply_mask(mask, 0, &mut bytes[header.len()..at]);
        }
        Self {
            bytes,
            len: at as u8,
        }
    }
}

/// Makes a close frame. A reason of more than 123 bytes is cut at the last whole character.
///
/// # Panics
/// If `code` must not be sent, see [`is_close_code`]: a bug in the caller.
pub fn encode_close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> ControlFrame {
    assert!(is_close_code(code), "close code {code} must not be sent");
    let reason = &reason[..reason.floor_char_boundary(CONTROL_BYTES_MAX - 2)];
    ControlFrame::new(
        Opcode::Close,
        [&code.to_be_bytes(), reason.as_bytes()],
        mask,
    )
}

/// Makes a ping frame.
///
/// # Panics
/// If the payload has more than 125 bytes: a bug in the caller.
pub fn encode_ping(payload: &[u8], mask: Option<[u8; 4]>) -> ControlFrame {
    ControlFrame::new(Opcode::Ping, [payload, &[]], mask)
}

/// Makes a pong frame. The answer to a ping has the ping's payload.
///
/// # Panics
/// If the payload has more than 125 bytes: a bug in the caller, because a decoded ping never has.
pub fn encode_pong(payload: &[u8], mask: Option<[u8; 4]>) -> ControlFrame {
    ControlFrame::new(Opcode::Pong, [payload, &[]], mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_the_shortest_form() {
        let cases: [(usize, &[u8]); 7] = [
            (0, &[0x82, 0]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (255, &[0x82, 126, 0, 255]),
            (65_535, &[0x82, 126, 0xff, 0xff]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
            (1 << 40, &[0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0]),
        ];
        for (len, expected) in cases {
            assert_eq!(&*header(Opcode::Binary, len, None), expected);
            assert_eq!(frame_header_len(len), expected.len());
            let mut masked = expected.to_vec();
            masked[1] |= 0x80;
            masked.extend([9, 8, 7, 6]);
            assert_eq!(&*header(Opcode::Binary, len, Some([9, 8, 7, 6])), masked);
        }
    }

    #[test]
    fn control_frames_are_as_in_the_standard() {
        // RFC 6455, 5.7: a ping and its masked pong with the body "Hello".
        assert_eq!(&*encode_ping(b"Hello", None), b"\x89\x05Hello");
        let masked = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        assert_eq!(
            &*encode_pong(b"Hello", Some([0x37, 0xfa, 0x21, 0x3d])),
            masked
        );
        assert_eq!(&*encode_close(1000, "bye", None), b"\x88\x05\x03\xe8bye");
    }

    #[test]
    fn a_long_close_reason_is_cut_at_a_whole_character() {
        let frame = encode_close(1001, &"é".repeat(100), None);
        assert_eq!(frame.len(), 2 + 2 + 122);
        assert!(std::str::from_utf8(&frame[4..]).is_ok());
    }

    #[test]
    fn the_longest_control_frame_fits() {
        assert_eq!(encode_ping(&[7; 125], Some([1; 4])).len(), 131);
    }

    #[test]
    #[should_panic(expected = "a control frame holds 125 bytes, not 126")]
    fn a_longer_control_frame_is_a_bug() {
        encode_ping(&[7; 126], None);
    }
}
