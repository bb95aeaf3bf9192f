// The real program for the examples of the documentation, which include this file in hidden lines.

/// A running server, killed when dropped.
struct Served {
    endpoint: String,
    process: std::process::Child,
    _directory: tempfile::TempDir,
}

/// Starts `target/debug/tidings` on a free port, building it before.
fn serve() -> Served {
    use std::io::BufRead as _;
    use std::process::{Command, Stdio};

    let built = Command::new(env!("CARGO"))
        // They belong to this test, not to the build: with them, build scripts would run again.
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_PKG_NAME")
        .args(["build", "--quiet", "--package", "tidings"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo starts");
    assert!(built.success(), "the program does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        std::path::PathBuf::from,
    );
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut process = Command::new(target.join("debug/tidings"))
        .args(["serve", "--dev", "--hubs", "1", "--disk-reserve", "0"])
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let output = process.stdout.take().expect("its output is piped");
    let mut lines = std::io::BufReader::new(output).lines();
    let endpoint = loop {
        let line = lines.next().expect("the server ended early").expect("a line of text");
        if let Some(rest) = line.strip_prefix("tidings is ready: ") {
            let address = rest.split_whitespace().next().unwrap_or(rest);
            // Of the address of its page, the server's own part.
            break address.split('/').take(3).collect::<Vec<_>>().join("/");
        }
    };
    // Whatever else it says must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    Served { endpoint, process, _directory: directory }
}

impl Served {
    /// A client that is logged in, and its events.
    #[allow(dead_code, reason = "not every example wants one")]
    async fn client(&self, user_id: &str) -> (tidings_client::Client, tidings_client::Events) {
        let (client, events) = tidings_client::Client::builder()
            .endpoint(&self.endpoint)
            .app_id("0123456789abcdef0123456789abcdef")
            .build()
            .expect("the settings are good");
        client.login(user_id, None).await.expect("the login succeeds");
        (client, events)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
