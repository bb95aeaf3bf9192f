//! Makes inputs from inputs.

/// SplitMix64: small, fast and the same on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Begins the sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 when `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next_u64() % (limit.max(1) as u64)).expect("it is below a usize")
    }
}

/// Boundary numbers: bytes of lengths, varints, counters and UTF-8.
const BORDERS: &[&[u8]] = &[
    &[0x00],
    &[0x01],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0x7d],
    &[0x7e],
    &[0xff, 0xff],
    &[0x00, 0x00, 0x00, 0x00],
    &[0xff, 0xff, 0xff, 0x7f],
    &[0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xed, 0xa0, 0x80],
    &[0xf4, 0x90, 0x80, 0x80],
    b"-1",
    b"18446744073709551616",
    b"1e999",
    b"[[[[[[[[",
    b"\\u0000",
    b"\r\n",
];

/// Makes an input from another with one to eight mutations; `other` supplies pieces.
pub fn mutate(random: &mut Random, input: &[u8], other: &[u8], bytes_max: usize) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(8) {
        mutate_once(random, &mut bytes, other);
        bytes.truncate(bytes_max);
    }
    bytes
}

fn mutate_once(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(bytes.len());
    let len_max = 1 + random.below(64).min(bytes.len());
    let len = 1 + random.below(len_max);
    let end = (at + len).min(bytes.len());
    match random.below(9) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = random.below(256) as u8,
        2 if !bytes.is_empty() => {
            bytes[at] = bytes[at].wrapping_add(1 + 254 * random.below(2) as u8)
        }
        3 => drop(bytes.drain(at..end)),
        4 => {
            let border = BORDERS[random.below(BORDERS.len())];
            match random.below(2) {
                0 => drop(bytes.splice(at..at, border.iter().copied())),
                _ => drop(bytes.splice(at..end.min(at + border.len()), border.iter().copied())),
            }
        }
        // Repeats a piece, small pieces very often, which finds disproportionate growth.
        5 => {
            let piece = bytes[at..end].to_vec();
            let times = [1, 2, 10, 300, 20_000][random.below(5)];
            let room = 64 * 1024 / piece.len().max(1);
            drop(bytes.splice(at..at, piece.repeat(times.min(room))));
        }
        6 => {
            let from = random.below(other.len());
            let piece = &other[from..(from + 4 * len).min(other.len())];
            drop(bytes.splice(at..end, piece.iter().copied()));
        }
        7 => bytes.truncate(at),
        _ => {
            let piece = bytes[at..end].to_vec();
            let to = random.below(bytes.len());
            drop(bytes.splice(to..to, piece));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_none_is_too_long() {
        let (mut one, mut two) = (Random::new(7), Random::new(7));
        for _ in 0..2_000 {
            let input = mutate(&mut one, b"some input", b"and another", 100);
            assert_eq!(input, mutate(&mut two, b"some input", b"and another", 100));
            assert!(input.len() <= 100);
        }
        assert!(mutate(&mut one, b"", b"", 10).len() <= 10);
    }
}
