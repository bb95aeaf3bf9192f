//! Starts that must fail say why and what to do.

mod common;

use std::fs;

use common::{Client, config, start};
use tidings_server::{Server, ServerConfig, StartError, StoreConfig, TlsFiles};

fn refused(config: ServerConfig) -> StartError {
    match Server::start(config) {
        Err(error) => error,
        Ok(running) => {
            running.drain();
            running.join();
            panic!("the server starts");
        }
    }
}

#[test]
fn a_port_in_use_is_named_also_when_it_is_another_server_of_ours() {
    let first = start();
    let mut config = config();
    config.listen = first.address();
    let error = refused(config.clone());
    let address = first.address();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {address}: the port is in use")
    );
    assert!(
        error.hint().contains(&address.port().to_string()),
        "{}",
        error.hint()
    );
    // The first one is not disturbed, and the port is free after it.
    Client::login(address, "alice");
    first.end();
    common::TestServer::start(config);
}

#[test]
fn a_data_directory_has_one_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config();
    config.store = StoreConfig::Directory(folder.path().join("data"));
    let first = common::TestServer::start(config.clone());
    let error = refused(config.clone());
    assert!(matches!(error, StartError::Store(_)), "{error}");
    assert!(
        error.to_string().contains("in use by another process"),
        "{error}"
    );
    assert!(
        error.hint().contains("stop the other server"),
        "{}",
        error.hint()
    );
    first.end();
    common::TestServer::start(config);
}

#[test]
fn a_data_directory_of_another_kind_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config();
    config.store = StoreConfig::Directory(folder.path().into());
    fs::write(folder.path().join("FORMAT"), "tidings-store 999\n").expect("a file");
    let error = refused(config.clone());
    assert!(error.to_string().contains("version 999"), "{error}");
    let file = folder.path().join("FORMAT");
    config.store = StoreConfig::Directory(file.clone());
    assert!(matches!(refused(config), StartError::Store(_)));
    assert_eq!(
        fs::read_to_string(file).expect("the file"),
        "tidings-store 999\n"
    );
}

#[test]
fn hubs_are_bounded() {
    for hubs in [0, 257] {
        let mut config = config();
        config.hubs = hubs;
        assert!(matches!(refused(config), StartError::Hubs(found) if found == hubs));
    }
}

#[test]
fn tls_files_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let pem = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    };
    let made = || rcgen::generate_simple_self_signed(["localhost".into()]).expect("a certificate");
    let (one, other) = (made(), made());
    let certificate = pem("cert.pem", &one.cert.pem());
    let key = pem("key.pem", &one.signing_key.serialize_pem());
    let other_key = pem("other.pem", &other.signing_key.serialize_pem());
    let missing = folder.path().join("missing.pem");
    let with = |certificate: &std::path::PathBuf, key: &std::path::PathBuf| {
        let mut config = config();
        config.tls = Some(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        });
        refused(config)
    };
    let error = with(&missing, &key);
    assert!(
        matches!(
            error,
            StartError::TlsFile {
                what: "certificate",
                ..
            }
        ),
        "{error}"
    );
    let error = with(&key, &key);
    assert!(
        matches!(
            error,
            StartError::TlsContent {
                what: "certificate",
                ..
            }
        ),
        "{error}"
    );
    let error = with(&certificate, &certificate);
    assert!(
        matches!(error, StartError::TlsContent { what: "key", .. }),
        "{error}"
    );
    let error = with(&certificate, &other_key);
    assert!(matches!(error, StartError::TlsPair { .. }), "{error}");
}
