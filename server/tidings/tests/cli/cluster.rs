//! `tidings cluster`, as far as it needs no NATS server: the guide's test has real ones.

use std::os::unix::fs::PermissionsExt as _;

use crate::{run, text};

/// What a command that must fail says.
fn told(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    text(&output.stderr)
}

#[test]
fn a_key_is_made_once_and_for_its_owner_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cluster.key");
    let to = path.to_str().expect("a plain path");
    assert!(run(&["cluster", "key", "--to", to]).status.success());
    let mode = std::fs::metadata(&path)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = std::fs::read_to_string(&path).expect("a key");
    assert_eq!(key.trim().len(), 64);
    let told = told(&["cluster", "key", "--to", to]);
    assert!(told.contains("does not exist"), "{told}");
    assert_eq!(std::fs::read_to_string(&path).expect("a key"), key);
    let shown = text(&run(&["cluster", "key"]).stdout);
    assert!(shown.trim().len() == 64 && shown != key, "{shown}");
}

#[test]
fn a_cluster_has_to_be_named_and_its_servers_to_answer() {
    let told_of = told(&["cluster", "status"]);
    assert!(told_of.contains("--cluster-name"), "{told_of}");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cluster.key");
    let key = path.to_str().expect("a plain path");
    // Nobody listens at port 1.
    let which = [
        "--cluster-name",
        "prod",
        "--cluster-nats",
        "nats://127.0.0.1:1",
        "--cluster-key-file",
        key,
    ];
    let told_of = told(&[&["cluster", "status"][..], &which].concat());
    assert!(
        told_of.contains("cannot read the cluster's key"),
        "{told_of}"
    );
    // The first command makes the key.
    let told_of = told(&[&["cluster", "init"][..], &which].concat());
    assert!(
        told_of.contains("no NATS server answers: nats://127.0.0.1:1"),
        "{told_of}"
    );
    assert!(path.exists());
    for command in [&["cluster", "status"][..], &["cluster", "drain", "1"]] {
        let told_of = told(&[command, &which].concat());
        assert!(
            told_of.contains("hint: check that nats-server runs there"),
            "{told_of}"
        );
    }
}

#[test]
fn a_mistake_in_the_table_of_a_file_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tidings.toml");
    let file = path.to_str().expect("a plain path");
    for (content, expected) in [
        (
            "[cluster]\nnam = \"prod\"\n",
            "line 2: there is no setting \"nam\"",
        ),
        ("[cluster]\nname = \"a.b\"\n", "cannot be a cluster's name"),
        ("[cluster]\nname = \"prod\"\n", "needs 1 to 64 addresses"),
        ("cluster-nats = [\"nats://a\"]\n", "the cluster has no name"),
    ] {
        std::fs::write(&path, content).expect("a file");
        let told = told(&["serve", "--dev", "--config", file]);
        assert!(told.contains(expected), "{content}: {told}");
    }
}
