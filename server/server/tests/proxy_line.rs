//! Connections through a proxy that forwards bytes and says for whom in a line of its own.

mod common;

use std::io::Write as _;
use std::net::TcpStream;

use common::{TestServer, UPGRADE, config, connect_tcp, exchange, read_head};

const GET: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

fn line(source: &str) -> String {
    format!("PROXY TCP4 {source} 10.0.0.1 5555 80\r\n")
}

#[test]
fn a_line_is_understood_of_anybody_and_a_second_one_of_nobody() {
    let server = common::start();
    let answer = exchange(server.address(), &format!("{}{GET}", line("203.0.113.7")));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = exchange(server.address(), &format!("PROXY UNKNOWN\r\n{GET}"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let twice = format!("{0}{0}{GET}", line("203.0.113.7"));
    let answer = exchange(server.address(), &twice);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    // A byte at a time.
    let mut stream = connect_tcp(server.address());
    for byte in format!("{}{UPGRADE}", line("203.0.113.7")).bytes() {
        stream.write_all(&[byte]).expect("sent");
    }
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101"));
}

#[test]
fn a_line_of_a_trusted_proxy_says_who_is_counted() {
    let mut config = config();
    config.trusted_proxies = vec!["127.0.0.1".parse().expect("a network")];
    config.limits.handshakes = tidings_server::Rate {
        calls: 2,
        window_ms: 1_000_000,
    };
    let server = TestServer::start(config);
    let open = |source: &str, header: &str| -> (TcpStream, String) {
        let mut stream = connect_tcp(server.address());
        let upgrade = UPGRADE.replace("\r\n\r\n", &format!("\r\n{header}\r\n"));
        let request = format!("{}{upgrade}", line(source));
        stream.write_all(request.as_bytes()).expect("sent");
        let head = read_head(&mut stream);
        (stream, head)
    };
    for _ in 0..2 {
        let (_open, head) = open("203.0.113.7", "");
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    }
    // The header is the client's own.
    let (_refused, head) = open("203.0.113.7", "X-Forwarded-For: 203.0.113.99\r\n");
    assert!(head.starts_with("HTTP/1.1 429"), "{head}");
    let (_other, head) = open("203.0.113.8", "");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
}
