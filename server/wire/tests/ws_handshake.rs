//! The opening handshake, both sides, good and bad.

use tidings_wire::ws::{
    ClientRequest, HandshakeError, RequestError, ResponseError, Upgrade, accept_key, check_request,
    check_response, client_key, request_bytes, response_bytes,
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The lines after the first of a message's head, as a parser would give them.
fn headers(text: &str) -> Vec<(&str, &[u8])> {
    let lines = text.split("\r\n").skip(1).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.split_once(':').expect("a header");
            (name, value.trim().as_bytes())
        })
        .collect()
}

fn good() -> Vec<(&'static str, &'static str)> {
    vec![
        ("host", "chat.example"),
        ("Upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("sec-websocket-key", KEY),
        (
            "Sec-WebSocket-Extensions",
            "permessage-deflate; client_max_window_bits",
        ),
        ("Origin", "https://example"),
    ]
}

fn check<'a>(list: &[(&'a str, &'a str)]) -> Result<Upgrade<'a>, HandshakeError> {
    check_request(
        "GET",
        1,
        list.iter().map(|(name, value)| (*name, value.as_bytes())),
    )
}

#[test]
fn a_good_request_is_upgraded_and_its_protocols_are_read_in_order() {
    assert_eq!(
        check(&good()),
        Ok(Upgrade {
            key: KEY,
            protocols: vec![]
        })
    );
    let mut list = good();
    list.push(("Sec-WebSocket-Protocol", "tidings.v2, tidings.v1"));
    list.push(("sec-websocket-protocol", "other"));
    let upgrade = check(&list).expect("good");
    assert_eq!(upgrade.protocols, ["tidings.v2", "tidings.v1", "other"]);
}

#[test]
fn each_missing_or_wrong_header_is_named_with_its_status() {
    type Change = (&'static str, Option<&'static str>);
    let cases: [(Change, HandshakeError, u16); 12] = [
        (("Upgrade", None), HandshakeError::NotAnUpgrade, 426),
        (("Upgrade", Some("h2c")), HandshakeError::NotAnUpgrade, 426),
        (("connection", None), HandshakeError::Connection, 400),
        (
            ("connection", Some("close")),
            HandshakeError::Connection,
            400,
        ),
        (("host", None), HandshakeError::Missing("Host"), 400),
        (
            ("Sec-WebSocket-Version", None),
            HandshakeError::Missing("Sec-WebSocket-Version"),
            400,
        ),
        (
            ("Sec-WebSocket-Version", Some("8")),
            HandshakeError::Version("8".into()),
            426,
        ),
        (
            ("Sec-WebSocket-Version", Some("13, 8")),
            HandshakeError::Version("13, 8".into()),
            426,
        ),
        (
            ("sec-websocket-key", None),
            HandshakeError::Missing("Sec-WebSocket-Key"),
            400,
        ),
        (("sec-websocket-key", Some("abc")), HandshakeError::Key, 400),
        (
            ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZR==")),
            HandshakeError::Key,
            400,
        ),
        (("sec-websocket-key", Some("")), HandshakeError::Key, 400),
    ];
    for ((name, value), error, status) in cases {
        let mut list = good();
        match value {
            Some(value) => list
                .iter_mut()
                .filter(|line| line.0 == name)
                .for_each(|line| line.1 = value),
            None => list.retain(|line| line.0 != name),
        }
        assert_eq!(check(&list), Err(error.clone()), "{name}: {value:?}");
        assert_eq!(error.status(), status, "{error}");
    }
}

#[test]
fn what_may_stand_once_may_not_stand_twice() {
    for (name, value) in [("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13")] {
        let list = [good(), vec![(name, value)]].concat();
        assert_eq!(check(&list), Err(HandshakeError::Repeated(name)));
    }
}

#[test]
fn protocols_are_a_bounded_list_of_names() {
    let many = ["a"; 17].join(",");
    for value in ["tidings v1", "\"quoted\"", &many] {
        let list = [good(), vec![("Sec-WebSocket-Protocol", value)]].concat();
        assert_eq!(check(&list), Err(HandshakeError::Protocol), "{value}");
    }
    let list = good();
    let foreign = list.iter().map(|(name, value)| (*name, value.as_bytes()));
    let foreign = foreign.chain([("Sec-WebSocket-Protocol", &b"\xff"[..])]);
    assert_eq!(
        check_request("GET", 1, foreign),
        Err(HandshakeError::Protocol)
    );
}

#[test]
fn only_get_of_http_1_1_is_upgraded() {
    let list = good();
    let ask = |method, minor| {
        check_request(
            method,
            minor,
            list.iter().map(|(name, value)| (*name, value.as_bytes())),
        )
    };
    let error = ask("POST", 1).expect_err("POST");
    assert_eq!(
        (error.status(), error.headers()),
        (405, &[("Allow", "GET")][..])
    );
    assert_eq!(error.to_string(), r#"the method is "POST", not GET"#);
    assert_eq!(ask("GET", 0), Err(HandshakeError::HttpVersion(0)));
    let version = HandshakeError::Version("8".into());
    assert!(version.headers().contains(&("Sec-WebSocket-Version", "13")));
}

#[test]
fn both_sides_agree() {
    let key = client_key(*b"the sample nonce");
    assert_eq!(key, KEY);
    let request = request_bytes(&ClientRequest {
        host: "chat.example:8443",
        path: "/rtm?app=1",
        key: &key,
        protocols: &["tidings.v1", "tidings.v0"],
        headers: &[("Origin", "https://example")],
    })
    .expect("good inputs");
    let request = String::from_utf8(request).expect("ASCII");
    assert!(request.starts_with("GET /rtm?app=1 HTTP/1.1\r\nHost: chat.example:8443\r\n"));
    assert!(request.ends_with("\r\nOrigin: https://example\r\n\r\n"));
    let upgrade = check_request("GET", 1, headers(&request)).expect("ours");
    assert_eq!(
        upgrade,
        Upgrade {
            key: KEY,
            protocols: vec!["tidings.v1", "tidings.v0"]
        }
    );

    for protocol in [None, Some("tidings.v1")] {
        let response = String::from_utf8(response_bytes(upgrade.key, protocol)).expect("ASCII");
        assert!(response.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
        assert!(response.ends_with("\r\n\r\n"));
        let chosen = check_response(101, headers(&response), &key, &["tidings.v1", "tidings.v0"]);
        assert_eq!(chosen, Ok(protocol));
    }
}

#[test]
fn a_request_cannot_be_smuggled() {
    let good = ClientRequest {
        host: "h",
        path: "/",
        key: KEY,
        protocols: &[],
        headers: &[],
    };
    assert!(request_bytes(&good).is_ok());
    let cases = [
        (
            ClientRequest {
                host: "h\r\nX: y",
                ..good
            },
            "host",
        ),
        (ClientRequest { host: "", ..good }, "host"),
        (
            ClientRequest {
                path: "/ HTTP/1.1\r\n",
                ..good
            },
            "path",
        ),
        (
            ClientRequest {
                path: "rtm",
                ..good
            },
            "path",
        ),
        (
            ClientRequest {
                path: "/a#b",
                ..good
            },
            "path",
        ),
        (
            ClientRequest {
                protocols: &["a", "b,c"],
                ..good
            },
            "protocol",
        ),
        (
            ClientRequest {
                headers: &[("A b", "c")],
                ..good
            },
            "header name",
        ),
        (
            ClientRequest {
                headers: &[("A", "b\nC: d")],
                ..good
            },
            "header value",
        ),
    ];
    for (request, wrong) in cases {
        match request_bytes(&request) {
            Err(RequestError::Text { part, .. }) => assert_eq!(part, wrong, "{request:?}"),
            other => panic!("{request:?} gives {other:?}"),
        }
    }
    assert_eq!(
        request_bytes(&ClientRequest { key: "x", ..good }),
        Err(RequestError::Key)
    );
}

#[test]
fn a_wrong_answer_is_refused() {
    let accept = accept_key(KEY);
    let good = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", &accept),
    ];
    let ask = |status, more: &[(&'static str, &'static str)], without: &str| {
        let lines = good.iter().filter(|line| line.0 != without).chain(more);
        let lines = lines.map(|(name, value)| (*name, value.as_bytes()));
        check_response(status, lines, KEY, &["tidings.v1"]).map(|chosen| chosen.map(str::to_owned))
    };
    assert_eq!(ask(101, &[], ""), Ok(None));
    assert_eq!(ask(404, &[], ""), Err(ResponseError::Status(404)));
    for name in ["Upgrade", "Connection", "Sec-WebSocket-Accept"] {
        assert_eq!(ask(101, &[], name), Err(ResponseError::Header(name)));
    }
    let other = ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOq=");
    assert_eq!(
        ask(101, &[other], "Sec-WebSocket-Accept"),
        Err(ResponseError::Accept)
    );
    let chosen = ("Sec-WebSocket-Protocol", "tidings.v9");
    assert_eq!(
        ask(101, &[chosen], ""),
        Err(ResponseError::Protocol("tidings.v9".into()))
    );
    let extension = ("Sec-WebSocket-Extensions", "permessage-deflate");
    let refused = Err(ResponseError::Extension("permessage-deflate".into()));
    assert_eq!(ask(101, &[extension], ""), refused);
}
