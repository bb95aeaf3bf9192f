//! Every way in which a peer can violate the protocol.

use super::head::Opcode;

/// The peer violated RFC 6455 or a limit; the connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reserved bits belong to extensions, and none was negotiated.
    #[error("reserved bits {0:#05b} are set, but no extension was negotiated")]
    ReservedBits(u8),
    /// An opcode that the protocol does not have.
    #[error("opcode {0:#x} is not defined")]
    UnknownOpcode(u8),
    /// A control frame without the final bit.
    #[error("a {0:?} frame is fragmented")]
    FragmentedControl(Opcode),
    /// A control frame of more than 125 bytes.
    #[error("a {0:?} frame announces more than 125 bytes")]
    ControlTooLong(Opcode),
    /// A continuation frame while no message is being continued.
    #[error("a continuation frame came while no message was unfinished")]
    NothingToContinue,
    /// A text or binary frame while a message is being continued.
    #[error("a {0:?} frame came while a message was unfinished")]
    MessageUnfinished(Opcode),
    /// A client must mask.
    #[error("a frame from the client is not masked")]
    MaskMissing,
    /// A server must not mask.
    #[error("a frame from the server is masked")]
    MaskUnexpected,
    /// The length is not in its shortest form.
    #[error("length {0} is not in its shortest form")]
    LengthNotMinimal(u64),
    /// The highest bit of a 64-bit length is set.
    #[error("length {0:#x} has its highest bit set")]
    LengthTooLarge(u64),
    /// The close code is cut off.
    #[error("a close frame has one byte, half a close code")]
    CloseCodeCut,
    /// A close code that must not be sent.
    #[error("close code {0} must not be sent")]
    CloseCode(u16),
    /// The text is not valid UTF-8.
    #[error("a text message is not valid UTF-8")]
    TextNotUtf8,
    /// The close reason is not valid UTF-8.
    #[error("a close reason is not valid UTF-8")]
    ReasonNotUtf8,
    /// The message exceeds the limit: detected from the announced length, before a byte of it is
    /// kept.
    #[error("a message of at least {bytes} bytes is longer than {bytes_max}")]
    MessageTooBig {
        /// Bytes received so far, plus those announced.
        bytes: u64,
        /// The limit that was exceeded.
        bytes_max: u32,
    },
    /// The message has too many fragments.
    #[error("a message has more than {fragments_max} fragments")]
    TooManyFragments {
        /// The limit that was exceeded.
        fragments_max: u16,
    },
}

impl Error {
    /// The close code to send: 1002 protocol error, 1007 invalid data, 1009 too big.
    pub fn close_code(&self) -> u16 {
        match self {
            Self::TextNotUtf8 | Self::ReasonNotUtf8 => 1007,
            Self::MessageTooBig { .. } | Self::TooManyFragments { .. } => 1009,
            _ => 1002,
        }
    }
}
