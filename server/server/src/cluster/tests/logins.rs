//! Who is let in, and what those are told who are not.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use rustls::ClientConfig;
use tidings_nats::Credentials;

use super::super::authorities::tls;
use super::super::place::ClusterPlace;
use super::super::settings::NatsUrl;
use super::nats::Nats;
use super::rig::{Rig, at, place};

fn password(user: &str, password: &str) -> Credentials {
    Credentials::Password {
        user: user.into(),
        password: password.into(),
    }
}

fn with(port: u16, credentials: Credentials) -> ClusterPlace {
    ClusterPlace {
        credentials,
        ..place(vec![at(port)])
    }
}

fn refused(port: u16, credentials: Credentials) -> (String, &'static str) {
    Rig::new(with(port, credentials)).trouble()
}

#[test]
fn a_server_without_users_lets_everybody_in() {
    let nats = Nats::start("");
    let rig = Rig::up(place(vec![at(nats.port)]));
    let report = rig.link.report();
    assert_eq!(
        report.server,
        Some(format!("nats://127.0.0.1:{}", nats.port))
    );
    assert_eq!((report.ups, report.trouble), (1, None));
}

#[test]
fn a_user_with_a_password_is_let_in_and_no_other() {
    let nats = Nats::start("authorization { users: [{user: ann, password: \"p w\"}] }");
    Rig::up(with(nats.port, password("ann", "p w")));
    let (trouble, hint) = refused(nats.port, password("ann", "wrong"));
    assert!(
        trouble.contains("it refuses this node: it does not accept a user and a password")
            && trouble.contains("Authorization Violation"),
        "{trouble}"
    );
    assert!(
        hint.contains("`authorization` of the NATS server"),
        "{hint}"
    );
    assert!(!trouble.contains("wrong"), "{trouble}");
    let (trouble, hint) = refused(nats.port, Credentials::None);
    assert!(trouble.contains("no credentials"), "{trouble}");
    assert!(hint.contains("--cluster-credentials"), "{hint}");
}

#[test]
fn a_token_lets_in() {
    let nats = Nats::start("authorization { token: \"s3cret\" }");
    Rig::up(with(nats.port, Credentials::Token("s3cret".into())));
    let (trouble, _) = refused(nats.port, Credentials::Token("other".into()));
    assert!(trouble.contains("a token"), "{trouble}");
}

#[test]
fn an_nkey_lets_in() {
    let key = KeyPair::new_user();
    let seed = key.seed().expect("it has one");
    let config = format!(
        "authorization {{ users: [{{nkey: {}}}] }}",
        key.public_key()
    );
    let nats = Nats::start(&config);
    Rig::up(with(nats.port, Credentials::parse(&seed).expect("a key")));
    let other = KeyPair::new_user().seed().expect("it has one");
    let (trouble, hint) = refused(nats.port, Credentials::parse(&other).expect("a key"));
    assert!(trouble.contains("an nkey"), "{trouble}");
    assert!(hint.contains("public key"), "{hint}");
    // A server that knows no keys.
    let nats = Nats::start("");
    let (trouble, hint) = refused(nats.port, Credentials::parse(&seed).expect("a key"));
    assert!(trouble.contains("it gives nothing to sign"), "{trouble}");
    assert!(hint.contains("leave out --cluster-credentials"), "{hint}");
}

/// A JWT as `nsc` makes it.
fn jwt(issuer: &KeyPair, subject: &str, nats: serde_json::Value) -> String {
    let header = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;
    let claims = serde_json::json!({
        "jti": "TEST", "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "test",
        "sub": subject, "nats": nats,
    });
    let parts = [header.to_owned(), claims.to_string()];
    let signed = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = issuer.sign(signed.as_bytes()).expect("the issuer signs");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn creds(account: &KeyPair) -> String {
    let user = KeyPair::new_user();
    let claims = serde_json::json!({
        "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2,
    });
    let jwt = jwt(account, &user.public_key(), claims);
    let seed = user.seed().expect("it has one");
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

#[test]
fn a_credentials_file_lets_in() {
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let claims = serde_json::json!({ "type": "operator", "version": 2 });
    let operator_jwt = jwt(&operator, &operator.public_key(), claims);
    let claims = serde_json::json!({
        "limits": {
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
            "wildcards": true, "conn": -1, "leaf": -1,
        },
        "default_permissions": { "pub": {}, "sub": {} }, "type": "account", "version": 2,
    });
    let account_jwt = jwt(&operator, &account.public_key(), claims);
    let nats = Nats::start(&format!(
        "operator: \"{operator_jwt}\"\nresolver: MEMORY\n\
         resolver_preload: {{ {}: \"{account_jwt}\" }}\n",
        account.public_key()
    ));
    Rig::up(with(
        nats.port,
        Credentials::parse(&creds(&account)).expect("a file"),
    ));
    let stranger = creds(&KeyPair::new_account());
    let (trouble, hint) = refused(nats.port, Credentials::parse(&stranger).expect("a file"));
    assert!(trouble.contains("a JWT of a credentials file"), "{trouble}");
    assert!(hint.contains("account"), "{hint}");
}

/// A server's certificate for `localhost`, in this directory. Returns how TLS is spoken with it.
fn certificate(directory: &Path) -> Arc<ClientConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("one");
    std::fs::write(directory.join("cert.pem"), made.cert.pem()).expect("a file");
    std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).expect("a file");
    tls(Some(&directory.join("cert.pem"))).expect("an authority")
}

fn tls_config(directory: &Path, more: &str) -> String {
    let at = directory.display();
    format!("tls {{ cert_file: \"{at}/cert.pem\", key_file: \"{at}/key.pem\", {more} }}")
}

fn local(port: u16, is_tls: bool) -> NatsUrl {
    NatsUrl {
        host: "localhost".into(),
        port,
        is_tls,
    }
}

#[test]
fn tls_is_spoken_where_the_server_or_the_address_wants_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let tls = certificate(directory.path());
    let config = tls_config(directory.path(), "timeout: 5");
    let nats = Nats::start_in(directory, &config);
    for is_tls in [true, false] {
        let place = ClusterPlace {
            tls: tls.clone(),
            ..place(vec![local(nats.port, is_tls)])
        };
        let mut rig = Rig::up(place);
        rig.settle();
    }
    // The usual authorities do not know this one.
    let (trouble, hint) = Rig::new(place(vec![local(nats.port, true)])).trouble();
    assert!(
        trouble.contains("no TLS: ") && trouble.contains("certificate"),
        "{trouble}"
    );
    assert!(hint.contains("--cluster-ca"), "{hint}");
    // Another name than the certificate has.
    let other = ClusterPlace {
        tls,
        ..place(vec![NatsUrl {
            is_tls: true,
            ..at(nats.port)
        }])
    };
    let (trouble, _) = Rig::new(other).trouble();
    assert!(
        trouble.contains("no TLS: ") && trouble.contains("127.0.0.1"),
        "{trouble}"
    );
    // An address that asks for TLS where there is none: nothing goes out in clear.
    let plain = Nats::start("");
    let (trouble, hint) = Rig::new(place(vec![local(plain.port, true)])).trouble();
    assert!(trouble.contains("it has no TLS"), "{trouble}");
    assert!(hint.contains("`tls`"), "{hint}");
}

#[test]
fn a_server_that_begins_with_tls_is_found_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let tls = certificate(directory.path());
    let config = tls_config(directory.path(), "handshake_first: true");
    let nats = Nats::start_in(directory, &config);
    let place = ClusterPlace {
        tls,
        ..place(vec![local(nats.port, true)])
    };
    let mut rig = Rig::new(place);
    rig.until("it is found out", |rig| {
        // Time passes faster than the test has it.
        rig.ahead_ms += 50;
        rig.link.report().trouble.is_some()
    });
    let (trouble, _) = rig.trouble();
    assert!(trouble.contains("begins with TLS"), "{trouble}");
    rig.come_up();
    rig.settle();
    assert_eq!(rig.link.report().ups, 1);
}

#[test]
fn authorities_that_cannot_be_used_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ca.pem");
    let error = tls(Some(&path)).expect_err("there is no file");
    assert!(error.contains("ca.pem"), "{error}");
    std::fs::write(&path, "nothing").expect("a file");
    let error = tls(Some(&path)).expect_err("there is nothing in it");
    assert!(
        error.contains("ca.pem") && error.contains("no certificate"),
        "{error}"
    );
}
