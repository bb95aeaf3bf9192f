//! Legacy clients: each has a translator for its text frames, whose outputs are carried out here.

use tidings_hub::ids::{ConnectionId, InvitationId};
use tidings_hub::{Input, Time};
use tidings_legacy::{Ending, LoginRequest, Now, Output, Translator};
use tidings_wire::codes::CloseCode;
use tidings_wire::frame::{decode_server, payload};
use tidings_wire::proto::server_message::Kind;

use crate::drive::{end as end_connection, give, settle};
use crate::host::{Closing, Host};
use crate::logins;
use crate::translators::Client;

/// A legacy client's connection was opened; the host gives `Input::Opened` next.
///
/// `app` is the app in its URL, empty if there is none. `random` makes the word with which the
/// client proves that later frames belong to this connection; it is only checked against this
/// connection.
pub fn open_legacy<H: Host>(host: &mut H, connection: ConnectionId, app: &str, random: u64) {
    let translator = Translator::new(now(host.now()), app, random);
    host.cell().translators.insert(connection, translator);
}

/// A legacy client has sent a text frame with this payload. Ignored for any other connection.
pub fn hear<H: Host>(host: &mut H, connection: ConnectionId, text: &[u8]) {
    let now = now(host.now());
    let Some(client) = host.cell().translators.get(connection) else {
        return;
    };
    client.translator.hear(now, text);
    obey(host, connection);
    settle(host);
}

/// Ticks the translators that are due, ordered by time and then by connection.
pub fn tick_translators<H: Host>(host: &mut H) {
    let now = now(host.now());
    while let Some(connection) = host.cell().translators.pop_due(now.mono_ms) {
        if let Some(client) = host.cell().translators.get(connection) {
            client.translator.tick(now);
        }
        obey(host, connection);
        settle(host);
    }
}

/// A connection is gone that the hub still has: it handles a legacy client's last frames, then the
/// end.
pub fn closed<H: Host>(host: &mut H, connection: ConnectionId) {
    let now = now(host.now());
    if let Some(mut client) = drop_client(host, connection) {
        client.translator.lose(now);
        for output in client.translator.outputs() {
            if let Output::Send(frame) = output {
                give(host, Input::Frame { connection, frame });
            }
        }
    }
    give(host, Input::Closed { connection });
}

/// A connection is gone whose end the hub knows.
pub fn forget<H: Host>(host: &mut H, connection: ConnectionId) {
    drop_client(host, connection);
}

fn drop_client<H: Host>(host: &mut H, connection: ConnectionId) -> Option<Box<Client>> {
    let now_ms = host.now().mono_ms;
    if host.cell().translators.is_empty() {
        return None;
    }
    let mut client = host.cell().translators.remove(connection)?;
    if let Some(key) = client.recent.take() {
        host.recent_logins(|recent| recent.end(&key, now_ms));
    }
    Some(client)
}

/// Handles a frame of the hub for a client. `false` = it is not a legacy client.
pub(crate) fn translate<H: Host>(host: &mut H, connection: ConnectionId, frame: &[u8]) -> bool {
    let now = now(host.now());
    let Some(client) = host.cell().translators.get(connection) else {
        return false;
    };
    // The hub speaks one protocol: for each legacy receiver its frame is decoded and translated. A
    // snapshot of the previous process may contain anything, so a frame that cannot be decoded is
    // not passed on.
    let Ok(frame) = decode_server(payload(frame)) else {
        return true;
    };
    let mut is_welcome = false;
    for kind in frame.messages.into_iter().filter_map(|it| it.kind) {
        is_welcome |= matches!(kind, Kind::Welcome(_));
        client.translator.take(now, kind);
    }
    if is_welcome {
        host.note_welcome(connection);
    }
    obey(host, connection);
    true
}

/// The text with which a legacy client's connection ends; `None` if it is not one.
pub(crate) fn end<H: Host>(
    host: &mut H,
    connection: ConnectionId,
    code: CloseCode,
) -> Option<Ending> {
    let client = host.cell().translators.get(connection)?;
    let ending = client.translator.end(code);
    if code == CloseCode::TokenExpired
        && let Some(key) = client.recent.clone()
    {
        // It was not lost: its token's time was up.
        host.recent_logins(|recent| recent.forget(&key));
    }
    Some(ending)
}

/// Carries out what a translator requests.
fn obey<H: Host>(host: &mut H, connection: ConnectionId) {
    let Some(client) = host.cell().translators.get(connection) else {
        return;
    };
    for output in client.translator.outputs() {
        match output {
            Output::Text(text) => host.send_text(connection, &text),
            Output::Login(request) => check_login(host, connection, request),
            Output::Send(frame) => queue(host, Input::Frame { connection, frame }),
            Output::Processed(sseq) => queue(host, Input::Processed { connection, sseq }),
            Output::Rung(id) => match <[u8; 16]>::try_from(&id[..]) {
                Ok(id) => {
                    let id = InvitationId(id);
                    queue(host, Input::Rung { connection, id });
                }
                Err(_) => debug_assert!(false, "an invitation's id that no hub has made"),
            },
            Output::Close { code, reason } => {
                let closing = Closing {
                    cause: None,
                    texts: &[],
                    code,
                    reason,
                };
                host.close(connection, closing);
                queue(host, Input::Closed { connection });
            }
        }
    }
    host.cell().translators.note_due(connection);
}

fn queue<H: Host>(host: &mut H, input: Input) {
    host.cell().translators.queue(input);
}

fn check_login<H: Host>(host: &mut H, connection: ConnectionId, request: LoginRequest) {
    let checked = host
        .admit_page(connection, &request)
        .and_then(|()| logins::check(host, &request));
    match checked {
        Ok(admitted) => {
            if !host.charge_login(connection, &request) {
                if let Some(key) = &admitted.recent {
                    let now_ms = host.now().mono_ms;
                    host.recent_logins(|recent| recent.end(key, now_ms));
                }
                // Its protocol cannot express a retry time; it retries on its own, after some
                // seconds.
                end_connection(host, connection, CloseCode::Overloaded);
                return queue(host, Input::Closed { connection });
            }
            let Some(client) = host.cell().translators.get(connection) else {
                return;
            };
            client.translator.admit(admitted.rules);
            client.recent = admitted.recent;
            let input = Input::Admitted {
                connection,
                user: admitted.user,
                traits: admitted.traits,
                grant: admitted.grant,
            };
            queue(host, input);
        }
        Err(why) => {
            host.note_refusal(connection, &why);
            if let Some(client) = host.cell().translators.get(connection) {
                client.translator.refuse(why);
            }
            obey(host, connection);
        }
    }
}

fn now(time: Time) -> Now {
    Now {
        mono_ms: time.mono_ms,
        unix_ms: time.unix_ms,
    }
}
