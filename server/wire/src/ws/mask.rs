//! Masking, which is its own inverse.

/// Masks or unmasks `bytes` in place; `offset` is how many payload bytes of the frame came before.
pub fn apply_mask(mask: [u8; 4], offset: usize, bytes: &mut [u8]) {
    let mut mask = mask;
    mask.rotate_left(offset % 4);
    let [a, b, c, d] = mask;
    // Eight bytes at a time, which the compiler turns into vector instructions.
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_meets_the_key_of_its_place_for_every_length_and_offset() {
        let mask = [0x11, 0x22, 0x44, 0x88];
        for len in 0..40 {
            for offset in 0..9 {
                let mut bytes: Vec<u8> = (0..len).collect();
                apply_mask(mask, offset, &mut bytes);
                for (index, byte) in bytes.iter().enumerate() {
                    let original = u8::try_from(index).expect("short");
                    assert_eq!(
                        *byte,
                        original ^ mask[(index + offset) % 4],
                        "{len} {offset}"
                    );
                }
            }
        }
    }
}
