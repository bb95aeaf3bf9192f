//! The same server behind TLS.

mod common;

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use common::{APP, Answer, Client, Seen, TestServer, config, connect_tcp, until};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tidings_server::{ServerConfig, StoreConfig, TlsFiles};
use tidings_wire::ws::Opcode;

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

struct TlsServer {
    server: TestServer,
    trust: Arc<ClientConfig>,
    /// Lives as long as the server, which reads its files when they change.
    folder: tempfile::TempDir,
}

impl TlsServer {
    fn start() -> Self {
        Self::start_with(|_| {})
    }

    fn start_with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(["localhost".into()]).expect("made");
        let files = TlsFiles {
            certificate: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
        };
        fs::write(&files.certificate, made.cert.pem()).expect("a file");
        fs::write(&files.key, made.signing_key.serialize_pem()).expect("a file");
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from(made.cert.der().to_vec()))
            .expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trust = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut config = config();
        config.tls = Some(files);
        config.store = StoreConfig::Directory(folder.path().join("data"));
        config.limits.request_head_wait_ms = 500;
        change(&mut config);
        Self {
            server: TestServer::start(config),
            trust: Arc::new(trust),
            folder,
        }
    }

    fn connect(&self) -> TlsStream {
        let name = ServerName::try_from("localhost").expect("a name");
        let session = ClientConnection::new(self.trust.clone(), name).expect("a session");
        StreamOwned::new(session, connect_tcp(self.server.address()))
    }
}

#[test]
fn a_client_logs_in_over_tls() {
    let server = TlsServer::start();
    let mut alice = Client::upgrade(server.connect());
    alice.log_in("alice");
    alice.send(Opcode::Ping, b"over tls");
    assert_eq!(alice.next(), Seen::Pong(b"over tls".to_vec()));
    alice.send_close(1000);
    assert_eq!(alice.closed().0, Some(1000));
    assert_eq!(alice.next(), Seen::Ended);
}

#[test]
fn files_come_and_go_over_tls() {
    let server = TlsServer::start();
    // Large enough for many records and for full socket buffers.
    let content: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let request = |head: &str, body: &[u8]| {
        let mut stream = server.connect();
        write!(
            stream,
            "{head} HTTP/1.1\r\nHost: localhost\r\nTidings-User: alice\r\n"
        )
        .expect("a head");
        write!(
            stream,
            "Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .expect("its end");
        stream.write_all(body).expect("a body");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        answer
    };
    let path = format!("/v1/media/{APP}");
    let answer = request(&format!("POST {path}"), &content);
    let answer = String::from_utf8(answer).expect("text");
    let (_, rest) = answer.split_once("\"mediaId\":\"").expect("an id");
    let answer = request(&format!("GET {path}/{}", &rest[..42]), b"");
    assert!(answer.ends_with(&content), "other bytes");
}

#[test]
fn pages_are_served_over_tls() {
    let server = TlsServer::start();
    for path in ["/healthz", "/nowhere"] {
        let mut stream = server.connect();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .expect("a request");
        let mut answer = String::new();
        // Also checks that the server says goodbye: a stream that is merely cut is an error.
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
}

#[test]
fn a_connection_is_kept_and_may_become_a_websocket() {
    let server = TlsServer::start();
    let mut stream = server.connect();
    for _ in 0..3 {
        write!(
            stream,
            "GET /version HTTP/1.1\r\nHost: chat.example\r\n\r\n"
        )
        .expect("a request");
        let answer = Answer::read(&mut stream);
        assert_eq!(answer.status, 200);
        let only = answer.header("strict-transport-security");
        assert!(
            only.is_some_and(|only| only.starts_with("max-age=")),
            "{answer:?}"
        );
    }
    write!(stream, "GET /version HTTP/1.1\r\nHost: localhost:1\r\n\r\n").expect("a request");
    let answer = Answer::read(&mut stream);
    assert_eq!(
        answer.header("strict-transport-security"),
        None,
        "a name of many servers"
    );
    let mut alice = Client::upgrade(stream);
    alice.log_in("alice");
    alice.send(Opcode::Ping, &[7; 100]);
    assert_eq!(alice.next(), Seen::Pong(vec![7; 100]));
}

/// Requests of one connection of HTTP/2, and their answers' status and body.
fn ask_over_http2(server: &TlsServer, paths: &[&str]) -> Vec<(u16, Vec<u8>)> {
    let mut trust = (*server.trust).clone();
    trust.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let address = server.server.address();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let tcp = tokio::net::TcpStream::connect(address)
            .await
            .expect("it accepts");
        let name = ServerName::try_from("localhost").expect("a name");
        let connector = tokio_rustls::TlsConnector::from(Arc::new(trust));
        let tls = connector.connect(name, tcp).await.expect("a handshake");
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let io = hyper_util::rt::TokioIo::new(tls);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
            .await
            .expect("a connection");
        tokio::spawn(connection);
        let request = |path: &str| {
            hyper::Request::builder()
                .uri(format!("https://localhost{path}"))
                .body(axum::body::Body::empty())
                .expect("a request")
        };
        // With the first answer come the server's settings.
        let first = sender.send_request(request("/version")).await;
        assert_eq!(first.expect("an answer").status().as_u16(), 200);
        let answers = paths.iter().map(|path| sender.send_request(request(path)));
        let mut seen = Vec::new();
        for answer in answers.collect::<Vec<_>>() {
            let answer = answer.await.expect("an answer");
            let status = answer.status().as_u16();
            let body = axum::body::Body::new(answer.into_body());
            let body = axum::body::to_bytes(body, usize::MAX)
                .await
                .expect("a body");
            seen.push((status, body.to_vec()));
        }
        seen
    })
}

#[test]
fn browsers_may_use_http_2() {
    let server = TlsServer::start();
    // More at once than the server takes at once.
    let paths = [["/version", "/nowhere", "/healthz"]; 20].concat();
    let answers = ask_over_http2(&server, &paths);
    for (path, (status, body)) in paths.iter().zip(answers) {
        assert_eq!(
            status,
            if *path == "/nowhere" { 404 } else { 200 },
            "{path}"
        );
        assert!(!body.is_empty());
    }
    let [socket, legacy] = &ask_over_http2(&server, &["/rtm", "/legacy"])[..] else {
        panic!("two answers");
    };
    for (status, text) in [socket, legacy] {
        assert_eq!(*status, 426);
        assert!(String::from_utf8_lossy(text).contains("HTTP/1.1"));
    }
    // A file of some size, if the SDK is built into this program.
    let (status, body) = ask_over_http2(&server, &["/sdk/tidings-rtm.tgz"]).remove(0);
    assert!(
        status == 404 || body.len() > 100_000,
        "{status}, {} bytes",
        body.len()
    );
}

#[test]
fn plain_text_on_a_tls_port_is_refused() {
    let server = TlsServer::start();
    let mut stream = connect_tcp(server.server.address());
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("a request");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => assert!(!answer.starts_with(b"HTTP"), "{answer:?}"),
        Err(error) => assert!(common::is_end(error.kind()), "{error}"),
    }
}

#[test]
fn a_handshake_that_does_not_come_to_an_end_is_cut_off() {
    let server = TlsServer::start();
    let mut silent = connect_tcp(server.server.address());
    // The beginning of a handshake record.
    let mut begun = connect_tcp(server.server.address());
    begun
        .write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01])
        .expect("sent");
    for stream in [&mut silent, &mut begun] {
        match stream.read(&mut [0; 64]) {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert!(common::is_end(error.kind()), "{:?}", ErrorKind::TimedOut),
        }
    }
}

#[test]
fn a_greeting_without_end_is_not_kept() {
    let server = TlsServer::start_with(|config| config.limits.request_head_wait_ms = 60_000);
    let mut stream = connect_tcp(server.server.address());
    // A record of 16,000 bytes with a client's greeting, all but its last byte.
    let mut begun = vec![0x16, 3, 1, 0x3e, 0x80, 1, 0, 0x3e, 0x7c, 3, 3];
    begun.resize(16_004, 0);
    // It may be over before all of it is sent.
    let _ = stream.write_all(&begun);
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => {}
        Err(error) => assert!(common::is_end(error.kind()), "{error}"),
    }
}

#[test]
fn a_drain_is_told_over_tls() {
    let server = TlsServer::start();
    let mut alice = Client::upgrade(server.connect());
    alice.log_in("alice");
    server.server.running().drain();
    assert_eq!(alice.closed(), (Some(4000), "going_away".into()));
}

#[test]
fn the_oldest_of_too_many_handshakes_is_given_up() {
    let server = TlsServer::start_with(|config| {
        config.hubs = 1;
        config.limits.tls_handshakes_max = 2;
        config.limits.request_head_wait_ms = 60_000;
    });
    // Handshakes that have ended do not count.
    let mut users: Vec<_> = (0..3)
        .map(|n| {
            let mut user = Client::upgrade(server.connect());
            user.log_in(&format!("user-{n}"));
            user
        })
        .collect();
    let mut silent: Vec<_> = (0..3)
        .map(|_| connect_tcp(server.server.address()))
        .collect();
    assert_eq!(silent[0].read(&mut [0; 1]).expect("the end"), 0);
    let mut late = Client::upgrade(server.connect());
    late.log_in("late");
    assert_eq!(silent[1].read(&mut [0; 1]).expect("the end"), 0);
    let third = &mut silent[2];
    third.set_nonblocking(true).expect("set");
    let error = third.read(&mut [0; 1]).expect_err("it still waits");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    for user in &mut users {
        user.send(Opcode::Ping, b"");
        assert_eq!(user.next(), Seen::Pong(Vec::new()));
    }
}

/// Makes a certificate, and writes what is asked for of it in the place of the server's.
fn replace_files(server: &TlsServer, with_key: bool) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).expect("made");
    let path = |name: &str| server.folder.path().join(name);
    let put = |name: &str, text: String| {
        fs::write(path("new"), text).expect("a file");
        fs::rename(path("new"), path(name)).expect("renamed");
    };
    put("cert.pem", made.cert.pem());
    if with_key {
        put("key.pem", made.signing_key.serialize_pem());
    }
    made.cert.der().to_vec()
}

/// The certificate that a new connection is shown.
fn presented(server: &TlsServer) -> Vec<u8> {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let provider = rustls::crypto::ring::default_provider();
    let trust = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Keep(shown.clone())))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(Arc::new(trust), name).expect("a session");
    let mut stream = StreamOwned::new(session, connect_tcp(server.server.address()));
    stream.flush().expect("a handshake");
    let shown = shown.lock().expect("nobody panicked");
    shown.clone()
}

/// Keeps the certificate that it is shown, and takes any.
#[derive(Debug)]
struct Keep(Arc<Mutex<Vec<u8>>>);

impl ServerCertVerifier for Keep {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().expect("nobody panicked") = end_entity.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        let provider = rustls::crypto::ring::default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Waits until new connections are shown this certificate.
fn wait_for(server: &TlsServer, certificate: &[u8]) {
    until("the new certificate is shown", || {
        presented(server) == certificate
    });
}

#[test]
fn a_renewed_certificate_is_served_without_a_restart() {
    let server = TlsServer::start();
    let mut alice = Client::upgrade(server.connect());
    alice.log_in("alice");
    let first = presented(&server);
    // Found by looking at the files.
    let second = replace_files(&server, true);
    assert_ne!(first, second);
    wait_for(&server, &second);
    // Told, with a key that belongs to another: the old one stays.
    let unfit = replace_files(&server, false);
    let handle = server.server.running().handle();
    handle.reload_certificate().expect_err("they do not fit");
    let third = {
        assert_ne!(presented(&server), unfit);
        assert_eq!(presented(&server), second);
        replace_files(&server, true)
    };
    handle.reload_certificate().expect("they fit");
    wait_for(&server, &third);
    alice.send(Opcode::Ping, b"still here");
    assert_eq!(alice.next(), Seen::Pong(b"still here".to_vec()));
}
