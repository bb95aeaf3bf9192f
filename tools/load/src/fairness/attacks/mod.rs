//! The attacks by name. Each runs until it is stopped, and tolerates whatever the server does to
//! it.
//!
//! Reading order: `flood` (one connection), `users` and `crowds` (after a login), `strangers`,
//! `http`, `tls`, `h2`.

mod crowds;
mod flood;
pub(super) mod h2;
pub(super) mod http;
mod strangers;
mod tls;
mod users;

use std::pin::Pin;
use std::sync::Arc;

use super::door::End;
use super::field::Field;
use super::world::Wire;

type Run = Pin<Box<dyn Future<Output = Result<(), End>> + Send>>;

/// One attack on the program.
pub(crate) struct Attack {
    /// The name: letters, digits and dashes.
    pub(crate) name: &'static str,
    /// A description for the page.
    pub(crate) what: &'static str,
    pub(crate) over: Wire,
    pub(crate) run: fn(Arc<Field>) -> Run,
}

macro_rules! attacks {
    ($($wire:ident $name:literal $what:literal $run:expr;)*) => {
        &[$(Attack {
            name: $name,
            what: $what,
            over: Wire::$wire,
            run: |field| Box::pin($run(field)),
        },)*]
    };
}

/// All attacks, in the order of the page.
pub(crate) const ATTACKS: &[Attack] = attacks! {
    // Attacks by a user who has logged in.
    Plain "pings-1" "one user, `Ping`, 264 a frame" (|f| users::pings(f, 1));
    Plain "pings-4" "four users, the same" (|f| users::pings(f, 4));
    Plain "pongs" "one user, `Pong` that answers nothing, 264 a frame" users::pongs;
    Plain "nothings" "one user, messages that say nothing, 264 a frame" users::nothings;
    Plain "repeats" "one user, the request that was answered already, 264 a frame" users::repeats;
    Plain "empty-frames" "two users, binary frames without content" users::empty_frames;
    Plain "fragments" "two users, each message in 64 fragments, most of them empty" users::fragments;
    Plain "confirms" "two users, frames that confirm nothing new" users::confirms;
    Plain "ws-pings" "two users, pings of WebSocket" users::ws_pings;
    Plain "ws-pongs" "two users, pongs of WebSocket" users::ws_pongs;
    Plain "large-text" "two users, text frames of 65 KB where binary is expected" users::large_text;
    Plain "leaves" "one user who confirms, leaves of channels that were not joined" users::leaves;
    Plain "cancels" "one user who confirms, ends of invitations that there are not" users::cancels;
    Plain "unknown-calls" "one user who confirms, calls that the server does not know" users::unknown;
    Plain "bad-arguments" "four users who confirm, messages to nobody" users::bad_arguments;
    Plain "unread-answers" "four users, calls whose answers they do not read" users::unread;
    Plain "counts" "two users, member counts of 32 channels, far above the rate" users::counts;
    Plain "invites" "two users, invitations sent and cancelled" users::invites;
    Plain "talk-after-close" "four users, a close frame and pings after it, again and again" users::talk_after_close;
    Plain "login-loops" "four users, login, 180 messages, logout, again" users::login_loops;
    Plain "login-over-login" "one user, login over login, 180 messages each" users::login_over_login;
    Plain "resuming-flood" "two users, `Ping`, resumed at once when sent away" users::resuming_flood;
    Plain "resume-loops" "two users, resume and close, again and again" users::resume_loops;
    // Attacks by many users of one app.
    Plain "large-fan-out" "32 KB to 400 members, 55 a second" crowds::large_fan_out;
    Plain "chatter" "100 members of a channel, 20 bytes each 55 times a second" crowds::chatter;
    Plain "deaf" "five senders of 32 KB, 55 a second each, to 100 who never read" crowds::deaf;
    Plain "attributes" "32 KB of channel attributes with notice to 400 members, 40 a second" crowds::attributes;
    Plain "joins" "150 users, 60 channels, 4,800 joins and leaves a second" crowds::joins;
    Plain "presence" "20 users, 512 names watched, asked for, forgotten, 200 calls a second" crowds::presence;
    Plain "stored" "five users, 32 KB for names that nobody has, to be stored, 55 a second each" crowds::stored;
    Plain "histories" "60 users write and read a history, 240 calls a second" crowds::histories;
    Plain "logins" "logins of an open app, as many as the machine can make" crowds::logins;
    Plain "legacy-lists" "one legacy client, the list of 1,500 members, 60 a second" crowds::legacy_lists;
    // Attacks by strangers.
    Plain "empty-resumes-1" "one stranger, empty `Resume` frames" (|f| strangers::empty_resumes(f, 1));
    Plain "empty-resumes-4" "four strangers, the same" (|f| strangers::empty_resumes(f, 4));
    Plain "empty-resumes-8" "eight strangers, the same" (|f| strangers::empty_resumes(f, 8));
    Plain "fresh-pings" "four strangers, `Ping` before any login" strangers::pings;
    Plain "fresh-empty" "four strangers, empty frames" strangers::empty_frames;
    Plain "bogus-resumes" "resumes of sessions that there are not, each on its connection, from 1,310 addresses" (|f| strangers::bogus_resumes(f, strangers::hundred_each));
    Plain "bogus-resumes-unstated" "the same, no address stated" (|f| strangers::bogus_resumes(f, strangers::unstated));
    Plain "bogus-logins" "logins with tokens of 3 KB that are none, each on its connection" (|f| strangers::bogus_logins(f, strangers::hundred_each));
    Plain "bogus-logins-unstated" "the same, no address stated" (|f| strangers::bogus_logins(f, strangers::unstated));
    Plain "half-logins" "2,000 strangers, a login of 8 KB but for its last byte" strangers::half_logins;
    Plain "silent-56" "2,600 silent WebSockets of 26 /64s in one /56" (|f| strangers::silent(f, 2_600, strangers::line));
    Plain "silent-48" "10,000 silent WebSockets of 100 /64s in one /48" (|f| strangers::silent(f, 10_000, strangers::line));
    Plain "silent-v4" "10,000 silent WebSockets of 100 IPv4 addresses" (|f| strangers::silent(f, 10_000, strangers::hundred_each));
    Plain "silent-unstated" "10,000 silent WebSockets, no address stated" (|f| strangers::silent(f, 10_000, strangers::unstated));
    Plain "mute" "3,000 TCP connections on which nothing is said" strangers::mute;
    Plain "slow-heads" "3,000 requests that come a byte at a time, from 30 addresses" strangers::slow_heads;
    Plain "head-bombs" "heads of 8 KB with more headers than are allowed" strangers::head_bombs;
    Plain "refused-and-kept" "4,000 refused requests whose connections stay open" strangers::refused_and_kept;
    Plain "churn" "TCP connections opened and closed" strangers::churn;
    Plain "upgrade-churn" "WebSockets opened and closed" strangers::upgrade_churn;
    // Attacks on the legacy door.
    Plain "legacy-pings-1" "one legacy stranger, `[\"ping\",1]`" (|f| strangers::legacy_pings(f, 1));
    Plain "legacy-pings-4" "four legacy strangers, the same" (|f| strangers::legacy_pings(f, 4));
    Plain "legacy-calls" "four legacy strangers, calls without a login" strangers::legacy_calls;
    Plain "legacy-nonsense" "four legacy strangers, frames that nobody knows" strangers::legacy_nonsense;
    Plain "legacy-silent" "450 legacy handshakes a second from one address, nothing after them" strangers::legacy_silent;
    Plain "legacy-bogus" "legacy logins with tokens that are none" strangers::legacy_bogus;
    Plain "legacy-login-loops" "eight legacy accounts, login and logout" strangers::legacy_login_loops;
    Plain "legacy-unknown-calls" "four legacy accounts, calls that the server does not know" (|f| strangers::legacy_flood(f, 4, strangers::unknown_calls));
    Plain "legacy-polls" "four legacy accounts, polls for nothing" (|f| strangers::legacy_flood(f, 4, strangers::polls));
    Plain "legacy-user-pings" "four legacy accounts, `[\"ping\",1]`" (|f| strangers::legacy_flood(f, 4, strangers::pings_of_legacy));
    // Attacks over HTTP.
    Plain "slow-readers" "1,024 visitors of 12 addresses ask for the largest file and do not read it" http::slow_readers;
    Plain "slow-downloads" "600 downloads of a file of 4 MB by 100 users who do not read" http::slow_downloads;
    Plain "slow-posts" "1,200 uploads without a token, two bytes a second" http::slow_posts;
    Plain "slow-uploads" "15 users, 18 uploads each, two bytes a second" http::slow_uploads;
    Plain "filling" "one user, files of 32 MB, six at a time" http::filling;
    Plain "bogus-bearers" "uploads with tokens of 3 KB that are none" http::bogus_tokens;
    Plain "pages" "the largest file, as often as the machine can ask" http::pages;
    Plain "pipelines" "200 requests in one piece, on eight connections" http::pipelines;
    Plain "kept" "2,000 connections kept after a page" http::kept;
    Plain "kept-upgrades" "1,500 connections kept after a page, then made WebSockets" http::kept_upgrades;
    // Attacks on TLS.
    Tls "tls-half-open" "3,000 TLS handshakes begun and not ended" tls::half_open;
    Tls "tls-handshakes" "whole TLS handshakes, as many as the machine can make" tls::handshakes;
    Tls "tls-silent" "1,500 TLS connections on which nothing is said" tls::silent;
    Tls "tls-tiny-records" "four users, each byte a TLS record of its own" tls::tiny_records;
    Tls "tls-pings" "four users, `Ping`, 264 a frame, over TLS" (|f| users::pings(f, 4));
    Tls "h2-rapid-reset" "four strangers, HTTP/2 requests taken back at once" h2::rapid_reset;
    Tls "h2-settings" "four strangers, settings of HTTP/2" h2::settings;
    Tls "h2-pings" "four strangers, pings of HTTP/2" h2::pings;
    Tls "h2-windows" "four strangers, window updates of a byte" h2::windows;
    Tls "h2-continuations" "four strangers, headers that never end" h2::continuations;
    Tls "h2-empty-data" "four strangers, bodies in pieces of nothing" h2::empty_data;
    Tls "h2-no-window" "200 connections, 100 requests each whose answers have no room to come" h2::no_window;
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_different_and_can_be_typed() {
        let names: BTreeSet<_> = ATTACKS.iter().map(|attack| attack.name).collect();
        assert_eq!(names.len(), ATTACKS.len());
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(names.iter().all(|name| name.chars().all(is_plain)));
    }
}
