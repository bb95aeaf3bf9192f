//! Configuration files of arbitrary bytes: refused with an error or accepted, never a panic.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidings_fuzz::run;
use tidings_fuzz::target::{Answer, Target};

use crate::registry::Registry;
use crate::settings::Settings;

const SETTINGS: &str = "listen = \"127.0.0.1:0\"\nhubs = 3\ndev = true\napp = [\"0123456789abcdef0123456789abcdef\"]\n\
    disk-reserve = 5\ntrusted-proxy = [\"127.0.0.1\", \"10.0.0.0/8\"]\nlog = \"warn\"\n# größer\n";
const APPS: &str = "[[app]]\nid = \"0123456789abcdef0123456789abcdef\"\nname = \"größer\"\n\
    certificates = [\"fedcba9876543210fedcba9876543210\"]\nbanned = [\"bob\"]\n\
    [app.jwt]\nsecrets = [\"0123456789abcdef0123456789abcdef\"]\njwks_url = \"https://a.example/\"\nleeway_s = 5\n\
    [app.settings]\nrate-limits = false\n";

/// A folder for this process, created by the test.
fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("tidings-hostile-{}", std::process::id()))
}

fn written(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    fs::write(&path, bytes).expect("the folder takes a file");
    path
}

fn settings(bytes: &[u8]) -> Answer {
    match Settings::read(&written("tidings.toml", bytes)) {
        Ok(_) => Answer::of("taken"),
        Err(failure) => Answer::of(
            failure
                .to_string()
                .chars()
                .skip(90)
                .take(30)
                .collect::<String>(),
        ),
    }
}

fn apps(bytes: &[u8]) -> Answer {
    let path = written("apps.toml", bytes);
    let read = Registry::read(path.parent().unwrap_or(Path::new(".")));
    match read.and_then(|registry| registry.apps()) {
        Ok(apps) => Answer::of(apps.len()),
        Err(failure) => Answer::of(
            failure
                .to_string()
                .chars()
                .skip(60)
                .take(30)
                .collect::<String>(),
        ),
    }
}

#[test]
fn no_bytes_in_a_configuration_file_make_a_panic() {
    fs::create_dir_all(folder()).expect("a temporary folder");
    let target = |name, run, seeds| Target {
        name,
        run,
        seeds,
        bytes_max: 4_096,
        memory_max: None,
    };
    for target in [
        target("config_file", settings, || {
            vec![SETTINGS.as_bytes().to_vec()]
        }),
        target("apps_file", apps, || vec![APPS.as_bytes().to_vec()]),
    ] {
        let report = run::fuzz(&target, Duration::from_millis(800), 20_261_123);
        assert!(report.failure.is_none(), "{report}");
        assert!(report.inputs > 20 && report.answers > 5, "{report}");
    }
    fs::remove_dir_all(folder()).expect("the folder is there");
}
