//! Old versions of TLS are refused with the alert that says so.

mod common;

use std::fs;
use std::io::{Read as _, Write as _};

use common::{TestServer, config, connect_tcp};
use tidings_server::TlsFiles;

/// A record of an alert; fatal; the version is not supported. Source: RFC 8446, 6.
const ALERT: u8 = 21;
const FATAL: u8 = 2;
const PROTOCOL_VERSION: u8 = 70;

/// A record of a handshake. Source: RFC 8446, 5.1.
const HANDSHAKE: u8 = 22;

/// The greeting of a client that speaks this version at most (`[3, 1]` = TLS 1.0), with suites that
/// every version has.
fn greeting(version: [u8; 2]) -> Vec<u8> {
    let mut hello = version.to_vec();
    hello.extend([7; 32]);
    // No session; ECDHE with RSA or ECDSA, with AES-128-CBC and AES-128-GCM; no compression.
    hello.push(0);
    hello.extend([0, 8, 0xc0, 0x13, 0xc0, 0x09, 0xc0, 0x2f, 0xc0, 0x2b, 1, 0]);
    let extensions: [&[u8]; 3] = [
        // Curve X25519 and P-256.
        &[0, 10, 0, 6, 0, 4, 0, 29, 0, 23],
        // Points without compression.
        &[0, 11, 0, 2, 1, 0],
        // Signatures: ECDSA with P-256 and SHA-256, RSA-PSS and PKCS#1 with SHA-256.
        &[0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1],
    ];
    let extensions = extensions.concat();
    hello.extend((extensions.len() as u16).to_be_bytes());
    hello.extend(extensions);
    let mut message = vec![1];
    message.extend(&(hello.len() as u32).to_be_bytes()[1..]);
    message.extend(hello);
    let mut record = vec![HANDSHAKE, 3, 1];
    record.extend((message.len() as u16).to_be_bytes());
    record.extend(message);
    record
}

#[test]
fn versions_before_tls_1_2_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).expect("made");
    let files = TlsFiles {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
    };
    fs::write(&files.certificate, made.cert.pem()).expect("a file");
    fs::write(&files.key, made.signing_key.serialize_pem()).expect("a file");
    let mut config = config();
    config.tls = Some(files);
    let server = TestServer::start(config);
    let answer_to = |version| {
        let mut stream = connect_tcp(server.address());
        stream.write_all(&greeting(version)).expect("a greeting");
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).expect("an answer");
        answer
    };
    for old in [[3, 0], [3, 1], [3, 2]] {
        let answer = answer_to(old);
        assert_eq!(answer[0], ALERT, "{old:?}: {answer:?}");
        assert_eq!(answer[5..], [FATAL, PROTOCOL_VERSION], "{old:?}");
    }
    // The same greeting in TLS 1.2 is taken: it was the version that was refused.
    assert_eq!(answer_to([3, 3])[0], HANDSHAKE);
}
