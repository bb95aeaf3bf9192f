//! What a stranger costs in memory over HTTP, of every kind: measured in a process of its own.
//!
//! Run with [`SERVER`] in its environment, this program is the server that is measured.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;
use std::{env, fs};

use common::{APP, PATIENCE, config};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, Socket, Type};
use tidings_server::{Server, TlsFiles};
use tidings_wire::limits::{
    REQUEST_HEAD_BYTES_MAX, TLS_SESSION_BYTES_MAX, VISIT_BYTES_MAX, VISIT_HTTP2_BYTES_MAX,
    VISIT_TLS_BYTES_MAX,
};

/// Set to `plain` or `tls`.
const SERVER: &str = "TIDINGS_TEST_SERVER";

/// Where the certificate is.
const FOLDER: &str = "TIDINGS_TEST_FOLDER";

/// Strangers of each kind. More would be given up for others.
const STRANGERS: usize = 200;

/// What a kind of stranger does with its connection.
struct Kind {
    name: &'static str,
    sends: Vec<u8>,
    /// HTTP/2 is spoken.
    is_http2: bool,
    /// What it sends is encrypted already, or pretends to be.
    is_raw: bool,
    /// It is borne: nobody closes it while it is measured.
    stays: bool,
}

fn main() {
    if let Ok(kind) = env::var(SERVER) {
        return serve(&kind);
    }
    if env::args().any(|argument| argument == "--list") {
        println!("visitors: test");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).expect("a certificate");
    let pem = made.cert.pem();
    fs::write(folder.path().join("cert.pem"), &pem).expect("written");
    let key = made.signing_key.serialize_pem();
    assert!(PrivateKeyDer::from_pem_slice(key.as_bytes()).is_ok());
    fs::write(folder.path().join("key.pem"), key).expect("written");
    let mut above = Vec::new();
    for is_tls in [false, true] {
        for kind in kinds() {
            if (kind.is_http2 || kind.is_raw) && !is_tls {
                continue;
            }
            let bytes = measure(&kind, is_tls, folder.path().to_owned());
            let way = if is_tls { "TLS" } else { "plain" };
            println!("{way:>5}  {:<24} {bytes:>6} bytes", kind.name);
            let most = match is_tls {
                true if kind.is_http2 => VISIT_HTTP2_BYTES_MAX,
                // A record of TLS holds as many requests as the client likes, and is decrypted as a
                // whole.
                true if !kind.stays => VISIT_TLS_BYTES_MAX,
                true => VISIT_BYTES_MAX + TLS_SESSION_BYTES_MAX,
                false => VISIT_BYTES_MAX,
            };
            if bytes > most {
                above.push(format!("{}, {way}: {bytes} bytes", kind.name));
            }
        }
    }
    assert!(
        above.is_empty(),
        "each of {STRANGERS} takes more than it may: {above:#?}"
    );
}

fn kinds() -> Vec<Kind> {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
    let padding = "a".repeat(REQUEST_HEAD_BYTES_MAX - 200);
    let kind = |name, sends| Kind {
        name,
        sends,
        is_http2: false,
        is_raw: false,
        stays: true,
    };
    // Who asks for more than it reads, or for what it may not, may be given up.
    let wrong = |name, sends| Kind {
        stays: false,
        ..kind(name, sends)
    };
    vec![
        kind("nothing", Vec::new()),
        kind("a head that does not end", get("/")[..20].to_vec()),
        kind(
            "a long head",
            format!("GET / HTTP/1.1\r\nHost: localhost\r\nA: {padding}").into_bytes(),
        ),
        Kind {
            is_raw: true,
            ..kind("a record of 16 KiB that does not end", half_record())
        },
        kind("a page, kept", get("/version")),
        kind("a file, not read", get("/sdk/tidings-rtm.tgz")),
        kind("a few files, not read", get("/sdk/tidings-rtm.tgz").repeat(8)),
        wrong("files, not read", get("/sdk/tidings-rtm.tgz").repeat(100)),
        wrong("pages, not read", get("/nowhere").repeat(20_000)),
        wrong(
            "long heads, not read",
            format!("GET /nowhere HTTP/1.1\r\nHost: localhost\r\nA: {padding}\r\n\r\n")
                .repeat(500)
                .into_bytes(),
        ),
        wrong(
            "an upload without a token",
            format!(
                "POST /v1/media/{APP} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n{padding}{padding}{padding}"
            )
            .into_bytes(),
        ),
        wrong(
            "a body for a page",
            format!(
                "POST /version HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n{padding}{padding}{padding}"
            )
            .into_bytes(),
        ),
        Kind {
            name: "a page, HTTP/2",
            sends: http2(&["/version"]),
            is_http2: true,
            is_raw: false,
            stays: true,
        },
        Kind {
            name: "files, HTTP/2, not read",
            sends: http2(&["/sdk/tidings-rtm.tgz"; 32]),
            is_http2: true,
            is_raw: false,
            stays: true,
        },
    ]
}

/// The largest record of TLS, all but its last bytes.
fn half_record() -> Vec<u8> {
    let mut bytes = vec![0x17, 3, 3, 0x41, 0];
    bytes.resize(16_600, 0);
    bytes
}

/// The beginning of a connection of HTTP/2, and requests for pages. Source: RFC 9113, RFC 7541.
fn http2(paths: &[&str]) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // Settings: the answers may be as long as they are.
    bytes.extend([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff]);
    bytes.extend([0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0]);
    for (number, path) in (0..).zip(paths) {
        // GET, https, the path, the host.
        let mut head = vec![0x82, 0x87, 0x04, u8::try_from(path.len()).expect("short")];
        head.extend(path.as_bytes());
        head.extend([0x41, 9]);
        head.extend(b"localhost");
        let length = u8::try_from(head.len()).expect("short");
        bytes.extend([0, 0, length, 1, 5, 0, 0, 0, 2 * number + 1]);
        bytes.extend(head);
    }
    bytes
}

/// Bytes that the server takes for each of many strangers of a kind.
fn measure(kind: &Kind, is_tls: bool, folder: PathBuf) -> usize {
    let (server, address) = Process::start(is_tls, &folder);
    let trust = Arc::new(trust(&folder, kind.is_http2));
    // What is made once, and what the allocator keeps ready, counts for nobody.
    let first: Vec<_> = (0..20)
        .map(|_| stranger(kind, address, is_tls, &trust))
        .collect();
    server.settled();
    drop(first);
    wait_until_gone(address.port());
    let before = server.settled();
    let strangers: Vec<_> = (0..STRANGERS)
        .map(|_| stranger(kind, address, is_tls, &trust))
        .collect();
    let after = server.settled();
    let open = open_to(address.port());
    assert!(
        !kind.stays || open >= STRANGERS,
        "{}: {open} of {STRANGERS} are still connected",
        kind.name
    );
    drop(strangers);
    after.saturating_sub(before) / STRANGERS
}

/// Between two measurements of what is watched over a time.
fn pace() {
    std::thread::sleep(std::time::Duration::from_millis(10));
}

/// Waits until the server knows that all have gone: they are not to be counted among those that
/// come next.
fn wait_until_gone(port: u16) {
    let until = Instant::now() + PATIENCE;
    while open_to(port) > 0 {
        assert!(Instant::now() < until, "connections that are over stay");
        std::thread::yield_now();
    }
}

/// How many connections to a port of this machine its server has not ended.
fn open_to(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    let table = fs::read_to_string("/proc/net/tcp").expect("the table of connections");
    // Another address of this machine may have a connection from a port of that number.
    let server = format!("0100007F:{port:04X}");
    let rows = table.lines().filter(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        // The server's side: it is over there before the client, who does not read, can hear of it.
        matches!(columns[..], [_, local, _, ESTABLISHED, ..] if local == server)
    });
    rows.count()
}

/// Connects, sends without ever waiting, and reads nothing.
fn stranger(
    kind: &Kind,
    address: SocketAddr,
    is_tls: bool,
    trust: &Arc<ClientConfig>,
) -> Box<dyn Send> {
    let stream = connect(address);
    if !is_tls {
        stream.set_nonblocking(true).expect("set");
        // What does not go is not sent: the socket is full.
        let _ = (&stream).write_all(&kind.sends);
        return Box::new(stream);
    }
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(trust.clone(), name).expect("a session");
    let mut stream = StreamOwned::new(session, stream);
    while stream.conn.is_handshaking() {
        stream
            .conn
            .complete_io(&mut stream.sock)
            .expect("a handshake");
    }
    stream.sock.set_nonblocking(true).expect("set");
    let _ = if kind.is_raw {
        stream.sock.write_all(&kind.sends)
    } else {
        stream.write_all(&kind.sends)
    };
    Box::new(stream)
}

/// The kernel holds little for it, as for a client that is far away.
fn connect(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("set");
    socket.connect(&address.into()).expect("the server accepts");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn trust(folder: &std::path::Path, is_http2: bool) -> ClientConfig {
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).expect("read");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    if is_http2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    config
}

/// The server that is measured.
struct Process {
    child: Child,
    _stdout: ChildStdout,
}

impl Process {
    fn start(is_tls: bool, folder: &std::path::Path) -> (Self, SocketAddr) {
        let mut child = Command::new(env::current_exe().expect("this program"))
            .env(SERVER, if is_tls { "tls" } else { "plain" })
            .env(FOLDER, folder)
            // Memory is given out from one place, so that what one thread frees another can use.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdout = child.stdout.take().expect("its output");
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            stdout.read_exact(&mut byte).expect("its address");
            line.push(byte[0]);
        }
        let address = String::from_utf8(line).expect("text");
        let address = address.trim().parse().expect("an address");
        let process = Self {
            child,
            _stdout: stdout,
        };
        (process, address)
    }

    /// Bytes of its memory, once they have stood still for a while.
    fn settled(&self) -> usize {
        let begin = Instant::now();
        let (mut last, mut since) = (self.memory(), Instant::now());
        while since.elapsed().as_millis() < 300 {
            assert!(begin.elapsed() < PATIENCE, "its memory never stands still");
            pace();
            let now = self.memory();
            if now.abs_diff(last) > 64 * 1024 {
                (last, since) = (now, Instant::now());
            }
        }
        last
    }

    fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it lives");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kilobytes
            .and_then(|kb| kb.parse::<usize>().ok())
            .expect("a figure")
            * 1_024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn serve(kind: &str) {
    let folder = PathBuf::from(env::var(FOLDER).expect("a folder"));
    let mut config = config();
    if kind == "tls" {
        config.tls = Some(TlsFiles {
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        });
    }
    // Nobody is cut off while it is measured.
    config.limits.request_head_wait_ms = 60_000;
    config.limits.visit_idle_ms = 60_000;
    config.limits.close_wait_ms = 60_000;
    let server = Server::start(config).expect("it starts");
    println!("{}", server.local_addr());
    let _ = std::io::stdin().read(&mut [0]);
    server.drain();
    std::process::exit(0);
}
