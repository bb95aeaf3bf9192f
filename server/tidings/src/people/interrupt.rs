//! How somebody, or a supervisor, ends a command that goes on until then.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when the command is to end: Ctrl-C, or SIGTERM, as supervisors and `timeout` send it.
pub(crate) async fn interrupted() {
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        // Without it there is still Ctrl-C.
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}
