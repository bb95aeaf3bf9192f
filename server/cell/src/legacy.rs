//! Legacy clients: their text frames go to a translator each, and what that wants is done here.

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

/// A legacy client's connection was opened: the host gives `Input::Opened` next.
///
/// `app` is the app of its URL, empty if that names none. `random` makes the word by which the client proves later
/// frames to be of this connection; it is checked against this connection only.
pub fn open_legacy<H: Host>(host: &mut H, connection: ConnectionId, app: &str, random: u64) {
    let translator = Translator::new(now(host.now()), app, random);
    host.cell().translators.insert(connection, translator);
}

/// A legacy client has sent a text frame with this payload. Nothing happens for a connection that is not one's.
pub fn hear<H: Host>(host: &mut H, connection: ConnectionId, text: &[u8]) {
    let now = now(host.now());
    let Some(client) = host.cell().translators.get(connection) else {
        return;
    };
    client.translator.hear(now, text);
    obey(host, connection);
    settle(host);
}

/// Lets the translators do what they are due for, by time and then by connection.
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

/// A connection is gone that the hub counts on: it hears a legacy client's last words, then of the end.
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

/// A connection is gone of whose end the hub knows.
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

/// The hub has a frame for a client. False if it is no legacy one.
pub(crate) fn translate<H: Host>(host: &mut H, connection: ConnectionId, frame: &[u8]) -> bool {
    let now = now(host.now());
    let Some(client) = host.cell().translators.get(connection) else {
        return false;
    };
    // The hub speaks one protocol: for each legacy receiver its frame is decoded and said in the other one.
    // What the process before has left may hold anything: what cannot be decoded is not passed on.
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

/// The words in which a legacy client's connection ends; `None` if it is no legacy one.
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
        // It was not lost: it has had its time.
        host.recent_logins(|recent| recent.forget(&key));
    }
    Some(ending)
}

/// Does what a translator wants.
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
                // Its protocol has no word for a time to come back; it tries again by itself, after seconds.
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
