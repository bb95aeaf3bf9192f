//! Where tests find the program nats-server.

use std::path::{Path, PathBuf};

/// The program. `cargo xtask test` installs it; by hand, `cargo xtask nats` does.
pub(crate) fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("TIDINGS_NATS_SERVER") {
        return path.into();
    }
    // Where `cargo xtask nats` puts it: beside the folder of this test's profile.
    let own = std::env::current_exe().expect("this program has a path");
    let target = own.ancestors().nth(3).unwrap_or(Path::new("target"));
    let path = target.join("nats-server-2.15.1/bin/nats-server");
    assert!(
        path.exists(),
        "there is no {}: run `cargo xtask nats`, or set TIDINGS_NATS_SERVER to a nats-server \
         2.15.1",
        path.display()
    );
    path
}
