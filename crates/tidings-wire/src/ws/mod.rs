//! WebSocket (RFC 6455) without I/O.

/// A frame's opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// Continues a fragmented message.
    Continuation = 0,
    /// A text message.
    Text = 1,
    /// A binary message.
    Binary = 2,
    /// A close frame.
    Close = 8,
    /// A ping.
    Ping = 9,
    /// A pong.
    Pong = 10,
}

/// A frame header on the stack: 2 to 14 bytes; dereferences to them.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    bytes: [u8; 14],
    len: u8,
}

impl std::ops::Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Makes the header of an unfragmented frame.
pub fn header(opcode: Opcode, len: usize, mask: Option<[u8; 4]>) -> Header {
    let mut bytes = [0; 14];
    bytes[0] = 0x80 | opcode as u8;
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut at = match len {
        0..=125 => {
            bytes[1] = masked | u8::try_from(len).unwrap_or(0);
            2
        }
        126..=0xffff => {
            bytes[1] = masked | 126;
            bytes[2..4].copy_from_slice(&u16::try_from(len).unwrap_or(0).to_be_bytes());
            4
        }
        _ => {
            bytes[1] = masked | 127;
            bytes[2..10].copy_from_slice(&(len as u64).to_be_bytes());
            10
        }
    };
    if let Some(mask) = mask {
        bytes[at..at + 4].copy_from_slice(&mask);
        at += 4;
    }
    Header { bytes, len: u8::try_from(at).unwrap_or(14) }
}
