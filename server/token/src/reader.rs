//! Reads little-endian fields from untrusted bytes; every length is compared with what remains.

use crate::refusal::Flaw;

/// A cursor over bytes that may end anywhere.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `len` bytes; `part` names them in the error.
    pub(crate) fn take(&mut self, part: &'static str, len: usize) -> Result<&'a [u8], Flaw> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(Flaw::Cut {
                part,
                need: len,
                left: self.rest.len(),
            }),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], Flaw> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(Flaw::Cut {
                part,
                need: N,
                left: self.rest.len(),
            }),
        }
    }

    pub(crate) fn u16(&mut self, part: &'static str) -> Result<u16, Flaw> {
        Ok(u16::from_le_bytes(self.array(part)?))
    }

    pub(crate) fn u32(&mut self, part: &'static str) -> Result<u32, Flaw> {
        Ok(u32::from_le_bytes(self.array(part)?))
    }

    /// A 16-bit length and as many bytes.
    pub(crate) fn bytes(&mut self, part: &'static str) -> Result<&'a [u8], Flaw> {
        let len = self.u16(part)?;
        self.take(part, usize::from(len))
    }

    /// A signature: a length that must be 32, and the bytes.
    pub(crate) fn signature(&mut self) -> Result<[u8; 32], Flaw> {
        let len = self.u16("signature length")?;
        if len != 32 {
            return Err(Flaw::SignatureLength(len));
        }
        self.array("signature")
    }
}
