//! Key sets of login servers: what is taken, and what is refused with words, by HTTP, by TLS and
//! from a file.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tidings_server::{KeySource, load_key_set};

const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// Answers one request with these bytes; gives back what was asked.
fn answer_once(answer: Vec<u8>) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a visitor");
        talk(&mut stream, &answer)
    });
    (address, thread)
}

fn talk(stream: &mut (impl std::io::Read + std::io::Write), answer: &[u8]) -> String {
    let mut asked = Vec::new();
    let mut piece = [0; 1024];
    while !asked.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => asked.extend(&piece[..count]),
        }
    }
    // Who has had enough hangs up.
    let _ = stream.write_all(answer);
    let _ = stream.flush();
    String::from_utf8_lossy(&asked).into_owned()
}

fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn at(url: String, authorities: Option<PathBuf>) -> KeySource {
    KeySource::Url { url, authorities }
}

fn load(answer: Vec<u8>) -> (Result<usize, String>, String) {
    let (address, thread) = answer_once(answer);
    let source = at(format!("http://{address}/keys?tenant=a%20b"), None);
    let loaded = load_key_set(&source).map(|set| set.keys.len());
    (loaded, thread.join().expect("it answers"))
}

#[test]
fn a_set_is_asked_for_plainly_and_read() {
    let (loaded, asked) = load(response("200 OK", "", SET));
    assert_eq!(loaded, Ok(1));
    assert!(
        asked.starts_with("GET /keys?tenant=a%20b HTTP/1.1\r\n"),
        "{asked}"
    );
    for header in [
        "host: 127.0.0.1:",
        "accept: application/jwk-set+json",
        "user-agent: tidings/",
    ] {
        assert!(asked.contains(header), "{header}: {asked}");
    }
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{SET}\r\n0\r\n\r\n",
        SET.len()
    );
    assert_eq!(load(chunked.into_bytes()).0, Ok(1));
}

#[test]
fn every_other_answer_is_told() {
    let large = format!("{{\"keys\":[],\"a\":\"{}\"}}", "a".repeat(64 * 1024));
    let endless = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        format!("1000\r\n{}\r\n", "a".repeat(4096)).repeat(40)
    );
    let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(128 * 1024));
    let cases: [(Vec<u8>, &str); 11] = [
        (
            response("302 Found", "Location: https://login.example.org/\r\n", ""),
            "redirects are not followed",
        ),
        (response("404 Not Found", "", SET), "404"),
        (response("500 Internal Server Error", "", ""), "500"),
        (
            response("200 OK", "Content-Encoding: gzip\r\n", SET),
            "compressed",
        ),
        (response("200 OK", "", "<html>"), "no key set"),
        (response("200 OK", "", "{\"keys\":[]}"), "empty"),
        (response("200 OK", "", &large), "more than 65536 bytes"),
        (endless.into_bytes(), "more than 65536 bytes"),
        (head.into_bytes(), "no answer"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{".to_vec(),
            "breaks off",
        ),
        (b"SSH-2.0-OpenSSH\r\n".to_vec(), "no answer"),
    ];
    for (answer, told) in cases {
        let error = load(answer).0.expect_err(told);
        assert!(error.contains(told), "{told}: {error}");
    }
    let (address, thread) = answer_once(Vec::new());
    TcpStream::connect(address).expect("it listens");
    thread.join().expect("it ends");
    let error = load_key_set(&at(format!("http://{address}/"), None)).expect_err("nobody is there");
    assert!(error.contains("no connection"), "{error}");
}

#[test]
fn by_tls_only_a_trusted_place_is_believed() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
    let folder = tempfile::tempdir().expect("a folder");
    let authorities = folder.path().join("authorities.pem");
    std::fs::write(&authorities, made.cert.pem()).expect("it can be written");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key);
    let config = Arc::new(config.expect("a pair"));
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let thread = std::thread::spawn(move || {
        for stream in listener.incoming().take(3) {
            let tls = ServerConnection::new(config.clone()).expect("a connection");
            let mut stream = StreamOwned::new(tls, stream.expect("a visitor"));
            talk(&mut stream, &response("200 OK", "", SET));
        }
    });
    let ask = |host: &str, authorities| {
        let source = at(format!("https://{host}:{port}/"), authorities);
        load_key_set(&source).map(|set| set.keys.len())
    };
    assert_eq!(ask("localhost", Some(authorities.clone())), Ok(1));
    let stranger = ask("localhost", None).expect_err("nobody has signed it");
    assert!(
        stranger.contains("no TLS") && stranger.contains("certificate"),
        "{stranger}"
    );
    let other = ask("127.0.0.1", Some(authorities)).expect_err("another name");
    assert!(other.contains("no TLS"), "{other}");
    thread.join().expect("it ends");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").expect("it can be written");
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let error = load_key_set(&at(format!("https://{address}/"), Some(empty))).expect_err("nobody");
    assert!(error.contains("there is no certificate"), "{error}");
}

#[test]
fn a_file_is_read_within_bounds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jwks.json");
    let load = || load_key_set(&KeySource::File(path.clone())).map(|set| set.keys.len());
    assert!(load().expect_err("no file").contains("No such file"));
    std::fs::write(&path, SET).expect("written");
    assert_eq!(load(), Ok(1));
    std::fs::write(&path, " ".repeat(70_000)).expect("written");
    assert!(load().expect_err("large").contains("more than 65536"));
    let device = load_key_set(&KeySource::File("/dev/zero".into()));
    assert!(device.expect_err("endless").contains("no file"));
}
