//! Range checks of settings, as [`super::Settings`] names them. `name` is the field's name.

use std::time::Duration;

use tidings_server::{HUBS_MAX, MEMORY_MIN};

use super::values::{Size, Span};
use crate::failure::Failure;

/// A number without a unit counts days.
pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// A number without a unit counts seconds.
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// A number without a unit counts milliseconds.
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);

/// Longest time over which clients are disconnected. Source: contract 4.5.
const DRAIN_WINDOW_MAX: Duration = Duration::from_secs(20);

/// A number of connections or logins: 0 would keep everybody out.
pub(super) fn logins(count: &usize, name: &str) -> Result<(), Failure> {
    let option = name.replace('_', "-");
    at_least_one(*count > 0, &option, "nobody could log in")
}

/// Security events per second.
pub(super) fn security_log_rate(count: &u32, _name: &str) -> Result<(), Failure> {
    let why = "no security event would be logged";
    at_least_one(*count > 0, "security-log-rate", why)
}

/// Where spans go.
#[allow(
    clippy::ptr_arg,
    reason = "the table of settings gives each check its setting"
)]
pub(super) fn otlp_endpoint(endpoint: &String, _name: &str) -> Result<(), Failure> {
    crate::otlp::check_endpoint(endpoint).map(drop)
}

/// The share of traces that are sent.
pub(super) fn otlp_sample(share: &f64, _name: &str) -> Result<(), Failure> {
    if (0.0..=1.0).contains(share) {
        return Ok(());
    }
    Err(Failure::new(
        format!("{share} is no share of traces"),
        "give --otlp-sample a number from 0 to 1, for example 0.1 for every tenth",
    ))
}

fn at_least_one(is_so: bool, option: &str, otherwise: &str) -> Result<(), Failure> {
    if is_so {
        return Ok(());
    }
    Err(Failure::new(
        format!("with --{option} 0 {otherwise}"),
        format!("give --{option} 1 or more, or leave it out for the default"),
    ))
}

/// Most threads of the API's own port.
const API_THREADS_MAX: u16 = 64;

/// Threads of the API's own port.
pub(super) fn api_threads(count: &u16, _name: &str) -> Result<(), Failure> {
    if (1..=API_THREADS_MAX).contains(count) {
        return Ok(());
    }
    Err(Failure::new(
        format!("the API cannot run {count} threads"),
        format!("give --api-threads 1 to {API_THREADS_MAX}, or leave it out for one"),
    ))
}

/// Events of one app that its webhooks deliver.
pub(super) fn webhooks_rate(count: &u32, _name: &str) -> Result<(), Failure> {
    if (1..=1_000_000).contains(count) {
        return Ok(());
    }
    Err(Failure::new(
        format!("webhooks cannot deliver {count} events per second"),
        "give --webhooks-rate 1 to 1000000, or leave it out for 1000",
    ))
}

/// The pause after a webhook's first failed delivery.
pub(super) fn webhooks_pause(time: &Span, _name: &str) -> Result<(), Failure> {
    let pause = time.of(Duration::from_secs(1));
    if (Duration::from_millis(50)..=Duration::from_secs(3_600)).contains(&pause) {
        return Ok(());
    }
    Err(Failure::new(
        format!("webhooks cannot pause {pause:?} after a failure"),
        "give --webhooks-pause 50ms to 1h, or leave it out for 2s",
    ))
}

/// What a message to somebody who is offline is answered.
pub(super) fn api_offline_code(word: &String, _name: &str) -> Result<(), Failure> {
    if ["message_offline", "peer_offline"].contains(&word.as_str()) {
        return Ok(());
    }
    Err(Failure::new(
        format!("{word:?} is no word for a receiver who is offline"),
        "give --api-offline-code message_offline or peer_offline",
    ))
}

/// Hubs of a node.
pub(super) fn hubs(count: &u16, _name: &str) -> Result<(), Failure> {
    if (1..=HUBS_MAX).contains(count) {
        return Ok(());
    }
    Err(Failure::new(
        format!("the server cannot run {count} hubs"),
        format!("give --hubs 1 to {HUBS_MAX}, or leave it out for one per core"),
    ))
}

/// Memory of the process.
pub(super) fn memory_max(size: &Size, _name: &str) -> Result<(), Failure> {
    if size.0 >= MEMORY_MIN {
        return Ok(());
    }
    let (bytes, least) = (size.0, MEMORY_MIN >> 20);
    Err(Failure::new(
        format!(
            "{bytes} bytes of memory are too few; at least {MEMORY_MIN} ({least} MiB) are needed"
        ),
        format!("give --memory-max {least}MiB or more"),
    ))
}

/// How long uploaded files are kept.
pub(super) fn media_keep(time: &Span, _name: &str) -> Result<(), Failure> {
    if time.of(DAY) >= SECOND {
        return Ok(());
    }
    Err(Failure::new(
        "uploaded files cannot be kept for less than a second",
        "give --media-keep-days a longer time, for example 1d",
    ))
}

/// How long a login at the console lasts.
pub(super) fn oidc_session(time: &Span, _name: &str) -> Result<(), Failure> {
    const MINUTE: Duration = Duration::from_secs(60);
    const MONTH: Duration = Duration::from_secs(30 * 86_400);
    if (MINUTE..=MONTH).contains(&time.of(SECOND)) {
        return Ok(());
    }
    Err(Failure::new(
        "a login at the console lasts from a minute to 30 days",
        "give --oidc-session such a time, for example 8h",
    ))
}

/// How long a drain may take.
pub(super) fn drain_window(time: &Span, _name: &str) -> Result<(), Failure> {
    let window = time.of(SECOND);
    if window <= DRAIN_WINDOW_MAX {
        return Ok(());
    }
    Err(Failure::new(
        format!(
            "the disconnects cannot be spread over {} s",
            window.as_secs()
        ),
        "give --drain-window at most 20s",
    ))
}

/// How long logins and joins wait for NATS.
pub(super) fn interest_settle(time: &Span, _name: &str) -> Result<(), Failure> {
    const MOST: Duration = Duration::from_millis(1_000);
    if time.of(MILLISECOND) <= MOST {
        return Ok(());
    }
    Err(Failure::new(
        "logins and joins cannot wait longer than a second for NATS",
        "give --cluster-interest-settle at most 1s; servers of one network need 5ms",
    ))
}
