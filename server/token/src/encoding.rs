//! Strict base64 and bounded zlib: the outer layers of 006 and 007 tokens.

use std::io::Write;

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};

use crate::refusal::Flaw;

/// First size of the inflate buffer: a token for one user has about 100 bytes, so it seldom grows.
const INFLATE_BYTES_FIRST: usize = 256;

/// Decodes the standard alphabet, padded and canonical; anything else is named by its position.
pub(crate) fn decode_base64(text: &str) -> Result<Vec<u8>, Flaw> {
    STANDARD.decode(text).map_err(|error| match error {
        DecodeError::InvalidByte(at, b' ') => Flaw::SpaceForPlus { at },
        DecodeError::InvalidByte(at, b'-' | b'_') => Flaw::UrlSafeBase64 { at },
        DecodeError::InvalidByte(at, _) => Flaw::Base64Character { at },
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => Flaw::Base64Padding,
        DecodeError::InvalidLastSymbol(..) => Flaw::Base64NotCanonical,
    })
}

/// Encodes with the standard alphabet and padding.
pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Inflates one zlib stream that must end exactly where the input ends.
///
/// Bound: the output exceeds `bytes_max` by one byte at most before it is refused, and the buffer
/// grows only with what has been written.
pub(crate) fn inflate(input: &[u8], bytes_max: usize) -> Result<Vec<u8>, Flaw> {
    let mut stream = Decompress::new(true);
    let mut output = Vec::with_capacity(INFLATE_BYTES_FIRST.min(bytes_max.saturating_add(1)));
    let mut rest = input;
    loop {
        let (read, written) = (stream.total_in(), stream.total_out());
        let status = stream
            .decompress_vec(rest, &mut output, FlushDecompress::None)
            .map_err(|_| Flaw::ZlibDamaged)?;
        let taken = stream.total_in() - read;
        rest = &rest[usize::try_from(taken).expect("no more is read than was given")..];
        if output.len() > bytes_max {
            return Err(Flaw::InflatedTooLarge { bytes_max });
        }
        if status == Status::StreamEnd {
            break;
        }
        if output.len() == output.capacity() {
            let more = output
                .capacity()
                .min((bytes_max - output.len()).saturating_add(1));
            output.reserve_exact(more);
        } else if taken == 0 && stream.total_out() == written {
            return Err(Flaw::ZlibCut);
        }
    }
    if !rest.is_empty() {
        return Err(Flaw::BytesAfterZlib { count: rest.len() });
    }
    Ok(output)
}

/// Wraps bytes into a zlib stream.
pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(bytes.len()), Compression::default());
    encoder
        .write_all(bytes)
        .expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflate_stops_at_the_bound_and_not_before() {
        for len in [0usize, 1, 255, 256, 257, 4096, 70_000] {
            let packed = deflate(&vec![7u8; len]);
            assert_eq!(
                inflate(&packed, len).expect("fits").len(),
                len,
                "{len} of {len}"
            );
            assert_eq!(inflate(&packed, len + 1).expect("fits").len(), len);
            if len > 0 {
                let refused = Err(Flaw::InflatedTooLarge { bytes_max: len - 1 });
                assert_eq!(inflate(&packed, len - 1), refused);
            }
        }
    }

    #[test]
    fn inflate_wants_the_whole_stream_and_nothing_more() {
        let packed = deflate(b"the quick brown fox jumps over the lazy dog");
        for cut in 0..packed.len() {
            assert!(inflate(&packed[..cut], 1000).is_err(), "cut at {cut}");
        }
        let longer = [&packed[..], b"x"].concat();
        assert_eq!(
            inflate(&longer, 1000),
            Err(Flaw::BytesAfterZlib { count: 1 })
        );
    }

    #[test]
    fn a_bomb_costs_the_bound_only() {
        let bomb = deflate(&vec![0u8; 4 << 20]);
        assert_eq!(
            inflate(&bomb, 8192),
            Err(Flaw::InflatedTooLarge { bytes_max: 8192 })
        );
    }

    #[test]
    fn base64_errors_say_what_happened() {
        assert_eq!(decode_base64("AA A"), Err(Flaw::SpaceForPlus { at: 2 }));
        assert_eq!(decode_base64("AA-A"), Err(Flaw::UrlSafeBase64 { at: 2 }));
        assert_eq!(decode_base64("AA\nA"), Err(Flaw::Base64Character { at: 2 }));
        assert_eq!(decode_base64("AAA"), Err(Flaw::Base64Padding));
        assert_eq!(decode_base64("AB=="), Err(Flaw::Base64NotCanonical));
        assert_eq!(decode_base64("AA=="), Ok(vec![0]));
    }
}
