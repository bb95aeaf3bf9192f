//! The byte sequences of group 6 of the Autobahn test suite.

/// Valid and invalid UTF-8 by the suite's numbers; a sequence stands alone in a text message.
pub(crate) fn utf8_sequences() -> Vec<(String, Vec<u8>, bool)> {
    let mut all = Vec::new();
    let mut add = |group: &str, valid: bool, sequences: &[&[u8]]| {
        for (index, bytes) in sequences.iter().enumerate() {
            all.push((format!("{group}.{}", index + 1), bytes.to_vec(), valid));
        }
    };
    let kosme = "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}".as_bytes();
    add(
        "6.5",
        true,
        &[
            kosme,
            b"edited",
            "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!".as_bytes(),
            kosme,
            kosme,
        ],
    );
    for len in 1..=kosme.len() {
        let valid = [2, 5, 7, 9, 11].contains(&len);
        add(&format!("6.6.{len}"), valid, &[&kosme[..len]]);
    }
    add(
        "6.7",
        true,
        &[b"\0", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"],
    );
    add(
        "6.8",
        false,
        &[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    );
    add(
        "6.9",
        true,
        &[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
    );
    add(
        "6.10",
        false,
        &[
            b"\xf7\xbf\xbf\xbf",
            b"\xfb\xbf\xbf\xbf\xbf",
            b"\xfd\xbf\xbf\xbf\xbf\xbf",
        ],
    );
    add(
        "6.11",
        true,
        &[
            b"\xed\x9f\xbf",
            b"\xee\x80\x80",
            b"\xef\xbf\xbd",
            b"\xf4\x8f\xbf\xbf",
        ],
    );
    add("6.11 beyond", false, &[b"\xf4\x90\x80\x80"]);
    let alternating: Vec<u8> = (0..6)
        .map(|n| if n % 2 == 0 { 0x80 } else { 0xbf })
        .collect();
    let every: Vec<u8> = (0x80..=0xbf).collect();
    add("6.12", false, &[b"\x80", b"\xbf"]);
    for len in 2..=6 {
        add(&format!("6.12 of {len}"), false, &[&alternating[..len]]);
    }
    add("6.12 every", false, &[&every]);
    for (index, starts) in [
        0xc0..=0xdf,
        0xe0..=0xef,
        0xf0..=0xf7,
        0xf8..=0xfb,
        0xfc..=0xfd_u8,
    ]
    .into_iter()
    .enumerate()
    {
        let spaced: Vec<u8> = starts.flat_map(|start| [start, b' ']).collect();
        add(&format!("6.13.{}", index + 1), false, &[&spaced]);
    }
    let cut: [&[u8]; 10] = [
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xf8\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xfb\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf",
    ];
    add("6.14", false, &cut);
    add("6.15", false, &[&cut.concat()]);
    add("6.16", false, &[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]);
    add(
        "6.17",
        false,
        &[
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xf0\x80\x80\xaf",
            b"\xf8\x80\x80\x80\xaf",
            b"\xfc\x80\x80\x80\x80\xaf",
        ],
    );
    add(
        "6.18",
        false,
        &[
            b"\xc1\xbf",
            b"\xe0\x9f\xbf",
            b"\xf0\x8f\xbf\xbf",
            b"\xf8\x87\xbf\xbf\xbf",
            b"\xfc\x83\xbf\xbf\xbf\xbf",
        ],
    );
    add(
        "6.19",
        false,
        &[
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xf0\x80\x80\x80",
            b"\xf8\x80\x80\x80\x80",
            b"\xfc\x80\x80\x80\x80\x80",
        ],
    );
    let surrogates: [&[u8]; 7] = [
        b"\xed\xa0\x80",
        b"\xed\xad\xbf",
        b"\xed\xae\x80",
        b"\xed\xaf\xbf",
        b"\xed\xb0\x80",
        b"\xed\xbe\x80",
        b"\xed\xbf\xbf",
    ];
    add("6.20", false, &surrogates);
    for (index, high) in surrogates[..4].iter().enumerate() {
        let pairs = [
            [high, surrogates[4]].concat(),
            [high, surrogates[6]].concat(),
        ];
        add(
            &format!("6.21.{}", index + 1),
            false,
            &[&pairs[0], &pairs[1]],
        );
    }
    for plane in 0..=16u32 {
        for low in [0xfffe, 0xffff] {
            let character = char::from_u32(plane << 16 | low).expect("no surrogate");
            add(
                &format!("6.22 {plane:x}{low:x}"),
                true,
                &[character.to_string().as_bytes()],
            );
        }
    }
    for low in 0xfff9..=0xffff_u32 {
        let character = char::from_u32(low).expect("no surrogate");
        add(
            &format!("6.23 {low:x}"),
            true,
            &[character.to_string().as_bytes()],
        );
    }
    all
}
