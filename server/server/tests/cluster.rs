//! Nodes of a cluster over real NATS servers: their places, and what they say when they have none.

mod common;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;

use common::nats_servers::{Nats, settings};
use common::{Answer, Client, PATIENCE, Seen, TestServer, config, connect_tcp, until};
use tidings_server::{
    ClusterError, ClusterKey, ClusterSettings, Ended, NatsLogin, Server, ServerConfig, StartError,
    cluster_status, drain_node, init_cluster,
};
use tidings_wire::codes::CloseCode;

fn node(cluster: ClusterSettings) -> ServerConfig {
    let mut config = config();
    config.admin_listen = Some("127.0.0.1:0".parse().expect("an address"));
    config.cluster = Some(cluster);
    config
}

fn start(name: &str, servers: &[&Nats]) -> TestServer {
    TestServer::start(node(settings(name, servers)))
}

fn refused(cluster: ClusterSettings) -> ClusterError {
    match Server::start(node(cluster)) {
        Err(StartError::Cluster(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(running) => {
            running.drain();
            running.join();
            panic!("the node starts");
        }
    }
}

fn get(address: SocketAddr, path: &str) -> Answer {
    let mut stream = connect_tcp(address);
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("the request is sent");
    Answer::read(&mut stream)
}

fn metric(server: &TestServer, name: &str) -> u64 {
    let reading = server.running().handle().metrics();
    let text = reading.to_text().expect("metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.expect(name).trim().parse::<f64>();
    value.expect("a number") as u64
}

fn nodes(settings: &ClusterSettings) -> Vec<(u16, String, bool)> {
    let report = cluster_status(settings).expect("the cluster answers");
    let nodes = report.nodes.into_iter();
    nodes
        .map(|node| (node.node, node.name, node.draining))
        .collect()
}

/// Waits until the server closes; returns with which code, and why.
fn closed(client: &mut Client<TcpStream>) -> (Option<u16>, String) {
    loop {
        match client.next() {
            Seen::Closed { code, reason } => return (code, reason),
            Seen::Ended => panic!("no close frame"),
            _ => {}
        }
    }
}

#[test]
fn nodes_have_places_see_each_other_and_leave() {
    let servers = Nats::three();
    let all: Vec<&Nats> = servers.iter().collect();
    let commands = settings("command", &all);
    // The servers may not have a leader yet.
    until("the cluster is made", || init_cluster(&commands).is_ok());
    let made = init_cluster(&commands).expect("again");
    assert!(!made.is_new);
    assert_eq!(
        (made.bucket.as_str(), made.copies),
        ("tidings-test-nodes", 3)
    );
    let first = start("a", &all);
    let second = start("b", &all);
    let third = start("b", &all);
    assert_eq!(
        nodes(&commands),
        [
            (0, "a".into(), false),
            (1, "b".into(), false),
            (2, "b".into(), false)
        ]
    );
    for node in [&first, &second, &third] {
        until("it knows the others", || {
            metric(node, "tidings_cluster_nodes") == 3
        });
        assert_eq!(metric(node, "tidings_cluster_isolated"), 0);
        assert_eq!(metric(node, "tidings_durability_relaxed"), 1);
        Client::login(node.address(), "alice");
    }
    // A name of two is nobody's.
    let error = drain_node(&commands, "b", PATIENCE).expect_err("two of them");
    assert!(error.to_string().contains("1 (b), 2 (b)"), "{error}");
    let addresses = get(first.address(), "/getaddr").text();
    for name in ["a", "b"] {
        assert!(
            addresses.contains(&format!("ws://{name}.example/legacy")),
            "{addresses}"
        );
    }
    let mut carol = Client::login(first.address(), "carol");
    let drained = drain_node(&commands, "a", PATIENCE).expect("it drains");
    // She is told where to go.
    let (code, reason) = closed(&mut carol);
    assert_eq!(code, Some(CloseCode::GoingAway as u16));
    assert_eq!(reason, "going_away ws://b.example");
    assert_eq!((drained.node, drained.draining), (0, true));
    until("the others know", || {
        !get(second.address(), "/getaddr")
            .text()
            .contains("ws://a.example")
    });
    let admin = first.running().admin_addr().expect("operators");
    let ready = get(admin, "/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("\"draining\""), "{}", ready.text());
    // It is empty, and goes on.
    assert_eq!(nodes(&commands).len(), 3);
    first.end();
    until("its place is free", || nodes(&commands).len() == 2);
    until("the others have seen it end", || {
        metric(&second, "tidings_cluster_nodes") == 2
    });
    assert_eq!(metric(&third, "tidings_cluster_nodes_lost_total"), 1);
}

#[test]
fn a_node_waits_for_nats_and_says_so() {
    let mut nats = Nats::alone();
    let port = nats.port;
    init_cluster(&settings("command", &[&nats])).expect("made");
    nats.kill();
    let mut config = node(settings("a", &[&nats]));
    let ports = common::nats_servers::free_ports(2);
    let admin: SocketAddr = ([127, 0, 0, 1], ports[0]).into();
    config.admin_listen = Some(admin);
    config.listen = ([127, 0, 0, 1], ports[1]).into();
    let clients = config.listen;
    let (started, is_started) = channel();
    let starting = thread::spawn(move || {
        let running = Server::start(config).expect("it starts in the end");
        started.send(()).expect("the test waits");
        running.drain();
        running.join()
    });
    until("health is told", || TcpStream::connect(admin).is_ok());
    until("it says what it waits for", || {
        get(admin, "/readyz").text().contains("NATS is away")
    });
    let ready = get(admin, "/readyz");
    assert_eq!(ready.status, 503);
    let text = ready.text();
    for part in [
        "\"isolated\"",
        &format!("nats://127.0.0.1:{port}"),
        "tidings cluster status",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(get(admin, "/healthz").status, 200);
    // A balancer goes to another node at once.
    assert!(TcpStream::connect(clients).is_err());
    nats.start();
    let outcome = is_started.recv_timeout(PATIENCE);
    if outcome.is_err() {
        panic!("{:?}", starting.join());
    }
    assert_eq!(starting.join().expect("it ends"), Ended::Stopped);
}

#[test]
fn whoever_cannot_have_a_place_is_told_why_and_what_to_change() {
    let nats = Nats::alone();
    let good = settings("a", &[&nats]);
    let error = refused(good.clone());
    assert_eq!(
        error,
        ClusterError::NoBucket {
            name: "test".into()
        }
    );
    assert!(error.hint().contains("tidings cluster init"));
    let made = init_cluster(&good).expect("made");
    assert_eq!((made.is_new, made.copies), (true, 1));
    let mut other = good.clone();
    other.key = ClusterKey([8; 32]);
    let error = refused(other.clone());
    assert!(error.to_string().contains("another key"), "{error}");
    assert_eq!(init_cluster(&other), Err(error));
    // Another name is another cluster at the same servers.
    other.name = "other".into();
    assert!(init_cluster(&other).expect("made").is_new);
    let (first, second) = (
        TestServer::start(node(good.clone())),
        TestServer::start(node(other)),
    );
    assert_eq!(nodes(&good), [(0, "a".into(), false)]);
    drop((first, second));

    let bare = Nats::with("");
    let error = refused(settings("a", &[&bare]));
    assert!(error.to_string().contains("it has no JetStream"), "{error}");
    assert!(
        error.hint().contains("jetstream { store_dir"),
        "{}",
        error.hint()
    );
    let error = refused(settings("a", &[&nats, &bare]));
    let told = format!("nats://{}", bare.address());
    assert!(error.to_string().contains(&told), "{error}");
}

#[test]
fn credentials_that_nats_refuses_are_told() {
    let lines = "jetstream { store_dir: STORE }\nauthorization { user: tidings, password: secret }";
    let nats = Nats::with(lines);
    let mut cluster = settings("a", &[&nats]);
    let error = init_cluster(&cluster).expect_err("nobody");
    assert!(matches!(error, ClusterError::Refused(_)), "{error}");
    assert!(error.hint().contains("--cluster-credentials"));
    let login = |password: &str| NatsLogin::Password {
        user: "tidings".into(),
        password: password.into(),
    };
    cluster.login = login("wrong");
    assert!(matches!(refused(cluster.clone()), ClusterError::Refused(_)));
    cluster.login = login("secret");
    init_cluster(&cluster).expect("made");
    TestServer::start(node(cluster)).end();
}

#[test]
fn an_old_server_and_one_that_is_none_are_named() {
    let greets = |greeting: &'static str| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = stream.and_then(|mut stream| stream.write_all(greeting.as_bytes()));
            }
        });
        address
    };
    let old = greets(
        "INFO {\"server_id\":\"X\",\"version\":\"2.10.4\",\"jetstream\":true,\"headers\":true} \r\n",
    );
    let nats = Nats::alone();
    let mut cluster = settings("a", &[&nats]);
    cluster.servers = vec![format!("nats://{old}").parse().expect("an address")];
    let error = refused(cluster.clone());
    assert!(
        error
            .to_string()
            .contains("nats-server 2.10.4 is older than 2.14.3"),
        "{error}"
    );
    let http = greets("HTTP/1.1 400 Bad Request\r\n\r\n");
    cluster.servers = vec![format!("nats://{http}").parse().expect("an address")];
    let error = init_cluster(&cluster).expect_err("no NATS");
    assert!(
        error
            .to_string()
            .contains("does not greet as a NATS server"),
        "{error}"
    );
}

#[test]
fn a_node_without_nats_sends_its_clients_away() {
    let mut nats = Nats::alone();
    let commands = settings("command", &[&nats]);
    init_cluster(&commands).expect("made");
    let running = Server::start(node(settings("a", &[&nats]))).expect("it starts");
    let (address, admin) = (
        running.local_addr(),
        running.admin_addr().expect("operators"),
    );
    let mut alice = Client::login(address, "alice");
    assert_eq!(get(admin, "/readyz").status, 200);
    nats.kill();
    until("it is isolated", || get(admin, "/readyz").status == 503);
    let text = get(admin, "/readyz").text();
    assert!(text.contains("could not renew its lease"), "{text}");
    let closed = closed(&mut alice);
    let code = Some(CloseCode::NodeIsolated as u16);
    assert_eq!(closed, (code, "node_isolated".to_owned()));
    // Nobody is let in who would talk to nobody.
    assert_eq!(get(address, "/rtm").status, 503);
    // That it starts again is seen by `cargo xtask cluster --check`, where its process is stopped.
    nats.start();
    running.drain();
    running.join();
}

#[test]
fn a_lease_is_held_over_tls_with_an_nkey() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".into()]).expect("made");
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&cert, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let user = nkeys::KeyPair::new_user();
    let nats = Nats::with(&format!(
        "jetstream {{ store_dir: STORE }}\ntls {{ cert_file: {cert:?}, key_file: {key:?} }}\n\
         authorization {{ users: [{{ nkey: {} }}] }}",
        user.public_key()
    ));
    let mut cluster = settings("a", &[&nats]);
    let url = format!("tls://127.0.0.1:{}", nats.port);
    cluster.servers = vec![url.parse().expect("an address")];
    let seed = user.seed().expect("a seed");
    cluster.login = NatsLogin::File(format!("{seed}\n"));
    let error = refused(cluster.clone());
    assert!(matches!(error, ClusterError::Tls(_)), "{error}");
    assert!(error.hint().contains("--cluster-ca"), "{}", error.hint());
    cluster.tls_ca = Some(cert);
    init_cluster(&cluster).expect("made");
    let node = TestServer::start(node(cluster.clone()));
    until("its hubs are connected too", || {
        metric(&node, "tidings_cluster_links") == 2
    });
    assert_eq!(nodes(&cluster), [(0, "a".into(), false)]);
    cluster.login = NatsLogin::File("no seed at all".into());
    let error = refused(cluster.clone());
    assert!(
        error.hint().contains("nkey") || error.hint().contains("creds"),
        "{}",
        error.hint()
    );
    cluster.tls_ca = Some(folder.path().join("nowhere.pem"));
    let error = refused(cluster);
    assert!(error.to_string().contains("nowhere.pem"), "{error}");
}
