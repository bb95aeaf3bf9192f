//! The first bytes of a frame: read and checked as soon as they have arrived.

use super::decoder::{Limits, Role};
use super::error::Error;

/// Longest frame header: 2 bytes, 8 of length, 4 of mask.
pub(super) const HEADER_BYTES_MAX: usize = 14;

/// A frame's opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// A ping frame.
    Ping = 9,
    /// A pong frame.
    Pong = 10,
}

impl Opcode {
    fn from_number(number: u8) -> Result<Self, Error> {
        Ok(match number {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return Err(Error::UnknownOpcode(number)),
        })
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame's decoded header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) is_final: bool,
    pub(super) opcode: Opcode,
    /// Zero where the frame is not masked: applying it changes nothing.
    pub(super) mask: [u8; 4],
    /// At most 125, or the message limit.
    pub(super) payload_len: usize,
}

/// What is already known when a frame begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    pub(super) role: Role,
    pub(super) limits: Limits,
    /// Bytes and fragments so far of a message that waits for its continuation.
    pub(super) unfinished: Option<(usize, u16)>,
}

impl Head {
    /// Reads a header from the start of `bytes` and returns its length as well; `None` if there are
    /// too few bytes.
    ///
    /// Order: every byte is checked before the next is waited for, so that a bad frame fails at its
    /// first bad byte however it is split.
    pub(super) fn parse(bytes: &[u8], context: &Context) -> Result<Option<(Self, usize)>, Error> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let opcode = judge_first(first, context)?;
        let is_final = first & 0x80 != 0;

        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        let is_masked = second & 0x80 != 0;
        match (context.role, is_masked) {
            (Role::Server, false) => return Err(Error::MaskMissing),
            (Role::Client, true) => return Err(Error::MaskUnexpected),
            _ => {}
        }
        let short = second & 0x7f;
        if opcode.is_control() && short > 125 {
            return Err(Error::ControlTooLong(opcode));
        }
        let Some((announced, at)) = read_length(short, bytes)? else {
            return Ok(None);
        };
        let payload_len = judge_length(opcode, announced, context)?;

        if !is_masked {
            return Ok(Some((
                Self {
                    is_final,
                    opcode,
                    mask: [0; 4],
                    payload_len,
                },
                at,
            )));
        }
        let Some(&mask) = bytes[at..].first_chunk::<4>() else {
            return Ok(None);
        };
        Ok(Some((
            Self {
                is_final,
                opcode,
                mask,
                payload_len,
            },
            at + 4,
        )))
    }
}

fn judge_first(first: u8, context: &Context) -> Result<Opcode, Error> {
    let reserved = (first >> 4) & 0b111;
    if reserved != 0 {
        return Err(Error::ReservedBits(reserved));
    }
    let opcode = Opcode::from_number(first & 0x0f)?;
    if opcode.is_control() && first & 0x80 == 0 {
        return Err(Error::FragmentedControl(opcode));
    }
    match (opcode, context.unfinished) {
        (Opcode::Continuation, None) => Err(Error::NothingToContinue),
        (Opcode::Text | Opcode::Binary, Some(_)) => Err(Error::MessageUnfinished(opcode)),
        (Opcode::Continuation, Some((_, fragments)))
            if fragments >= context.limits.fragments_max =>
        {
            Err(Error::TooManyFragments {
                fragments_max: context.limits.fragments_max,
            })
        }
        _ => Ok(opcode),
    }
}

/// The announced length, and where the length field ends.
fn read_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, Error> {
    let (length, at, smallest) = match short {
        126 => match bytes[2..].first_chunk::<2>() {
            Some(&field) => (u64::from(u16::from_be_bytes(field)), 4, 126),
            None => return Ok(None),
        },
        127 => match bytes[2..].first_chunk::<8>() {
            Some(&field) => (u64::from_be_bytes(field), 10, 0x1_0000),
            None => return Ok(None),
        },
        _ => (u64::from(short), 2, 0),
    };
    if length < smallest {
        return Err(Error::LengthNotMinimal(length));
    }
    if length >> 63 != 0 {
        return Err(Error::LengthTooLarge(length));
    }
    Ok(Some((length, at)))
}

/// Checks the announced length against the limit of a message.
fn judge_length(opcode: Opcode, announced: u64, context: &Context) -> Result<usize, Error> {
    if !opcode.is_control() {
        let before = context.unfinished.map_or(0, |(bytes, _)| bytes as u64);
        let (bytes, bytes_max) = (before + announced, context.limits.message_bytes_max);
        if bytes > u64::from(bytes_max) {
            return Err(Error::MessageTooBig { bytes, bytes_max });
        }
    }
    Ok(usize::try_from(announced).expect("at most 125 or the limit, which has 32 bits"))
}
