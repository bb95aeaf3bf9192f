//! `tidings doctor --running`: asks the server on a data directory how it is, looks at its figures,
//! and says what is wrong and what to do.

use std::net::SocketAddr;
use std::path::Path;

use super::{Findings, get, here};
use crate::control::{Health, Request, Status, ask};

/// A queue that is fuller than this is about to be full.
const FULL: f64 = 0.8;

/// Longer turns are noticed by people, in seconds.
const TURN_SLOW_S: f64 = 0.25;

/// A slower disk makes senders of stored messages wait, in seconds.
const SYNC_SLOW_S: f64 = 0.5;

/// More refused logins than this part of all are no accident, if there are some.
const REFUSED: f64 = 0.2;
const REFUSED_MIN: f64 = 20.0;

/// A certificate that ends within this time gets a warning, in seconds.
const CERTIFICATE_S: f64 = 14.0 * 86_400.0;

/// Looks at the server that runs on a data directory.
pub(super) fn look(findings: &mut Findings, data_dir: &Path) {
    let asked = ask(data_dir, Request::Status).and_then(|status| {
        let health = ask(data_dir, Request::Health)?;
        Ok(status.zip(health))
    });
    match asked {
        Ok(Some((status, health))) => {
            let status = status.status.unwrap_or_default();
            look_at_program(findings, &status);
            look_at_door(findings, &status);
            judge(findings, &health.health.unwrap_or_default());
        }
        Ok(None) => findings.bad(
            "server",
            &format!("none runs on {}", data_dir.display()),
            "start it, or give --data-dir the directory that it uses; its log tells why it ended",
        ),
        Err(failure) => findings.bad("server", failure.what(), failure.hint()),
    }
}

fn look_at_program(findings: &mut Findings, status: &Status) {
    let found = format!("{}, process {}", status.program, status.pid);
    let own = env!("CARGO_PKG_VERSION");
    if status.program.ends_with(own) {
        findings.good("server", &found);
    } else {
        findings.doubtful(
            "server",
            &format!("{found}; this program is {own}"),
            "restart the server, so that it is the program that is installed",
        );
    }
}

/// Whether it answers where clients and operators reach it.
fn look_at_door(findings: &mut Findings, status: &Status) {
    let mut doors = vec![("port of clients", status.listen.as_str())];
    doors.extend(
        status
            .admin_listen
            .as_deref()
            .map(|at| ("operators' port", at)),
    );
    for (what, at) in doors {
        let what = format!("{what} {at}");
        if status.tls && at == status.listen {
            findings.skipped(&what, "it speaks TLS; see `tidings doctor --endpoint`");
            continue;
        }
        let Ok(address) = at.parse::<SocketAddr>() else {
            continue;
        };
        match get(here(address), "/healthz") {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => {
                findings.good(&what, "answers");
            }
            Ok(answer) => findings.bad(
                &what,
                answer.lines().next().unwrap_or_default(),
                "see its log; if another program answers, give each a port of its own",
            ),
            Err(error) => findings.bad(
                &what,
                &format!("nobody answers: {error}"),
                "see `ss -ltnp` and the firewall of this machine",
            ),
        }
    }
}

/// What the server's own account and its figures say.
fn judge(findings: &mut Findings, health: &Health) {
    for trouble in &health.troubles {
        let note = if trouble.is_serious {
            Findings::bad
        } else {
            Findings::doubtful
        };
        note(findings, &trouble.reason, &trouble.detail, &trouble.hint);
    }
    if health.troubles.is_empty() {
        findings.good("readiness", "it should get traffic, and nothing is wrong");
    }
    look_at_promises(findings, health);
    look_at_hubs(findings, health);
    look_at_queues(findings, health);
    look_at_disk(findings, health);
    look_at_logins(findings, health);
    look_at_limits(findings, health);
    look_at_webhooks(findings, health);
    look_at_certificate(findings, health);
}

fn look_at_promises(findings: &mut Findings, health: &Health) {
    let broken = health.each("tidings_invariant_violation_total");
    let broken: Vec<_> = broken.filter(|(_, count)| *count > 0.0).collect();
    let ghosts = health.sum("tidings_ghost_swept_total");
    if broken.is_empty() && ghosts == 0.0 {
        return findings.good("promises of the contract", "none was broken");
    }
    let names: Vec<_> = broken.iter().map(|(name, _)| *name).collect();
    findings.bad(
        "promises of the contract",
        &format!("broken: {}; ghosts: {ghosts}", names.join(", ")),
        "keep the log and report it; this is a bug, or damaged memory",
    );
}

fn look_at_hubs(findings: &mut Findings, health: &Health) {
    let silent = health.sum("tidings_hubs_silent");
    if silent > 0.0 {
        findings.bad(
            "hubs",
            &format!("{silent} do not answer"),
            "see whether their threads (hub-N) have processor time: top -H; if it goes on, restart",
        );
    }
    let slowest = health.each("tidings_eventloop_lag_seconds");
    let slowest = slowest.max_by(|a, b| a.1.total_cmp(&b.1));
    match slowest {
        Some((hub, took_s)) if took_s > TURN_SLOW_S => findings.doubtful(
            "turns of the hubs",
            &format!("one in a hundred of hub {hub} takes up to {took_s} s"),
            "there is more work than processor time: bound the busiest app with max_fanout_per_s, or give --hubs more cores",
        ),
        Some((_, took_s)) => findings.good(
            "turns of the hubs",
            &format!("99 % take at most {} ms", took_s * 1e3),
        ),
        None => {}
    }
}

fn look_at_queues(findings: &mut Findings, health: &Health) {
    let lengths: Vec<_> = health.each("tidings_queue_length").collect();
    let mut is_good = true;
    for (queue, length) in lengths {
        let max = health.figure(&format!("tidings_queue_max {queue}"));
        let Some(max) = max.filter(|max| *max > 0.0) else {
            continue;
        };
        if length / max > FULL {
            is_good = false;
            findings.bad(
                &format!("queue {queue}"),
                &format!("{length} of {max} places are taken"),
                "what comes when it is full is refused; the guide's page of metrics says what to do: /docs/metrics#tidingsqueuefull",
            );
        }
    }
    if is_good {
        findings.good("queues", "none is near its bound");
    }
    let open = health.sum("tidings_open_files");
    let most = health.sum("tidings_open_files_max");
    if most > 0.0 && open / most > FULL {
        findings.doubtful(
            "open files",
            &format!("{open} of {most}"),
            "raise the limit: LimitNOFILE=1048576 in the systemd unit, then restart",
        );
    }
}

fn look_at_disk(findings: &mut Findings, health: &Health) {
    let took_s = health.figure("tidings_fsync_seconds").unwrap_or(0.0);
    if took_s > SYNC_SLOW_S {
        findings.doubtful(
            "disk",
            &format!("one write in a hundred takes up to {took_s} s"),
            "see `iostat -x 1`: who else writes? A local disk is faster than a network share",
        );
    } else {
        findings.good(
            "disk",
            &format!("99 % of the writes take at most {} ms", took_s * 1e3),
        );
    }
    let refused = health.sum("tidings_store_refused_total");
    if refused > 0.0 {
        findings.doubtful(
            "store",
            &format!("{refused} operations were refused since the start: the disk did not keep up"),
            "see whether it still happens with `tidings status`; a faster disk is the cure",
        );
    }
}

fn look_at_logins(findings: &mut Findings, health: &Health) {
    let taken = health.sum("tidings_logins_total") + health.sum("tidings_resumes_total");
    let harmless = ["unknown_session", "window_over"];
    let reasons = health.each("tidings_login_refused_total");
    let reasons: Vec<_> = reasons.filter(|(why, _)| !harmless.contains(why)).collect();
    // From 0: the sum of nothing is -0.
    let refused = reasons.iter().fold(0.0, |sum, (_, count)| sum + count);
    if refused < REFUSED_MIN || refused <= (taken + refused) * REFUSED {
        return findings.good(
            "logins",
            &format!("{taken} were taken and {refused} refused since the start"),
        );
    }
    let worst = reasons.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let worst = worst.map_or("", |(why, _)| *why);
    let hint = match worst {
        "invalid_token" => {
            "the backend signs with a wrong certificate, or for another app or user: tidings token inspect"
        }
        "token_expired" => "see the clocks of this machine and of the backend: timedatectl",
        "unknown_app" => "clients have a wrong app id, or strangers guess; see the security log",
        "banned" => "a rule bars more than was meant: tidings app show ID",
        _ => "the guide's page of errors says what the reason means: /docs/errors",
    };
    findings.doubtful(
        "logins",
        &format!(
            "{refused} of {} were refused, most with {worst}",
            taken + refused
        ),
        hint,
    );
}

fn look_at_limits(findings: &mut Findings, health: &Health) {
    for (name, what) in [
        ("tidings_refused_total", "limits of apps"),
        ("tidings_sockets_refused_total", "doors"),
    ] {
        let met = health.each(name).filter(|(_, count)| *count > 0.0);
        let mut met: Vec<_> = met.collect();
        met.sort_by(|a, b| b.1.total_cmp(&a.1));
        met.truncate(3);
        if met.is_empty() {
            continue;
        }
        let met: Vec<_> = met
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        findings.skipped(
            what,
            &format!("refused since the start: {}", met.join(", ")),
        );
    }
    let gaps = health
        .each("tidings_gap_total")
        .filter(|(_, count)| *count > 0.0);
    let gaps: Vec<_> = gaps
        .map(|(cause, count)| format!("{cause} {count}"))
        .collect();
    if !gaps.is_empty() {
        findings.skipped(
            "missed messages",
            &format!(
                "receivers were told of these since the start: {}",
                gaps.join(", ")
            ),
        );
    }
}

fn look_at_webhooks(findings: &mut Findings, health: &Health) {
    let failing = health.sum("tidings_webhooks_failing");
    let dead = health.sum("tidings_webhook_dead_letters");
    if failing > 0.0 {
        findings.doubtful(
            "webhooks",
            &format!("{failing} targets fail, and are tried again"),
            "GET /api/v1/apps/{app}/webhooks names the target and its error",
        );
    }
    if dead > 0.0 {
        findings.doubtful(
            "dead letters",
            &format!("{dead} notices were given up and are kept"),
            "when the target works again: POST …/webhooks/{id}/dead-letters/retry",
        );
    }
}

fn look_at_certificate(findings: &mut Findings, health: &Health) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_s = now.map_or(0.0, |now| now.as_secs_f64());
    let Some(end_s) = health.figure("tidings_certificate_end_seconds") else {
        return;
    };
    let left_s = end_s - now_s;
    // One that has ended is among the troubles.
    if (0.0..CERTIFICATE_S).contains(&left_s) {
        let days = (left_s / 86_400.0).floor();
        findings.doubtful(
            "TLS certificate",
            &format!("it ends in {days} days"),
            "renew it; the server reads the files by itself",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Figures = &'static [(&'static str, f64)];

    /// What is said about these figures: verdicts and subjects.
    fn judged(figures: &[(&str, f64)]) -> Vec<(&'static str, String)> {
        let mut findings = Findings {
            is_json: true,
            ..Findings::default()
        };
        judge(&mut findings, &Health::with(figures));
        let all = findings.all.into_iter();
        let bad = all.filter(|finding| finding.verdict != "ok" && finding.verdict != "skip");
        bad.map(|finding| {
            assert!(finding.hint.is_some(), "{} has no hint", finding.what);
            (finding.verdict, finding.what)
        })
        .collect()
    }

    #[test]
    fn a_server_that_is_well_is_told_so() {
        assert_eq!(judged(&[]), []);
        assert_eq!(
            judged(&[
                ("tidings_logins_total native", 100.0),
                ("tidings_login_refused_total invalid_token", 20.0),
                ("tidings_login_refused_total unknown_session", 500.0),
                ("tidings_queue_length hub_inbox", 10.0),
                ("tidings_queue_max hub_inbox", 100.0),
                ("tidings_fsync_seconds", 0.01),
                ("tidings_eventloop_lag_seconds 0", 0.001),
            ]),
            []
        );
    }

    #[test]
    fn each_thing_that_is_wrong_is_said_with_what_to_do() {
        let cases: [(Figures, (&str, &str)); 9] = [
            (
                &[("tidings_invariant_violation_total resume.contiguous", 1.0)],
                ("fail", "promises of the contract"),
            ),
            (&[("tidings_hubs_silent", 1.0)], ("fail", "hubs")),
            (
                &[("tidings_eventloop_lag_seconds 1", 0.5)],
                ("warn", "turns of the hubs"),
            ),
            (
                &[
                    ("tidings_queue_length store_bytes", 90.0),
                    ("tidings_queue_max store_bytes", 100.0),
                ],
                ("fail", "queue store_bytes"),
            ),
            (
                &[
                    ("tidings_open_files", 900.0),
                    ("tidings_open_files_max", 1_000.0),
                ],
                ("warn", "open files"),
            ),
            (&[("tidings_fsync_seconds", 1.0)], ("warn", "disk")),
            (
                &[("tidings_login_refused_total invalid_token", 30.0)],
                ("warn", "logins"),
            ),
            (&[("tidings_webhooks_failing", 1.0)], ("warn", "webhooks")),
            (
                &[("tidings_webhook_dead_letters", 1.0)],
                ("warn", "dead letters"),
            ),
        ];
        for (figures, (verdict, what)) in cases {
            assert_eq!(judged(figures), [(verdict, what.to_owned())], "{figures:?}");
        }
    }
}
