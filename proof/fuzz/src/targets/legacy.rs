//! Legacy clients: their frames, and sequences of them through the translator against a real hub.

use std::collections::BTreeMap;

use tidings_hub::ids::{ConnectionId, InvitationId, UserKey};
use tidings_hub::{Input, Traits};
use tidings_legacy::{AppRules, Now, Output, Translator, codec};
use tidings_wire::names::{AppId, NameRule, UserId};

use super::{Script, put_piece};
use crate::node::{APPS, Node, Told};
use crate::target::{Answer, Target};

/// One text frame.
pub(super) const LEGACY_FRAME: Target = Target {
    name: "legacy_frame",
    run: legacy_frame,
    seeds: || FRAMES.iter().map(|text| text.as_bytes().to_vec()).collect(),
    bytes_max: codec::FRAME_BYTES_MAX + 100,
    memory_max: Some(frame_memory),
};

/// Text frames of three clients.
pub(super) const LEGACY_SESSION: Target = Target {
    name: "legacy_session",
    run: legacy_session,
    seeds: session_seeds,
    bytes_max: 16_384,
    memory_max: None,
};

const STEPS_MAX: usize = 150;
const SLOTS: u8 = 3;

/// A value of JSON takes 32 bytes or, in an object, 100 and its share of a tree; their number is bounded.
fn frame_memory(bytes: usize) -> u64 {
    let items = (bytes as u64).min(2 * codec::ITEMS_MAX as u64);
    2 * bytes as u64 + 4_096 + 400 * items
}

fn legacy_frame(input: &[u8]) -> Answer {
    match codec::decode(input) {
        Ok(codec::ClientFrame::Call(call)) => {
            let function = call.function.as_bytes();
            Answer::of((&function[..function.len().min(10)], call.args.len().min(6)))
        }
        Ok(frame) => Answer::named(&frame),
        Err(error) => Answer::named(&error),
    }
}

/// A frame of each kind.
const FRAMES: &[&str] = &[
    r#"["login",{"vid":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","account":"u0","uid":0,"token":"_no_need_token","device":"websdk","ip":""}]"#,
    r#"["set_flag",{"binary":1}]"#,
    r#"["ping",7]"#,
    r#"["call2",["user_sendmsg",1,{"line":"","peer":"u1","flag":"v1:E:3600","t":"instant","content":"hi"}]]"#,
    r#"["call2",["channel_join",2,{"line":"","name":"room"}]]"#,
    r#"["call2",["channel_sendmsg",3,{"line":"","name":"room","msg":"hello"}]]"#,
    r#"["call2",["channel_set_attr",4,{"line":"","channel":"room","name":"k","value":"\"v\""}]]"#,
    r#"["call2",["channel_leave",5,{"line":"","name":"room"}]]"#,
    r#"["call2",["user_getmsg",6,{"line":"","ver_clear":0,"max":30}]]"#,
    r#"["call2",["voip_invite",7,{"line":"","channelName":"room","peer":"u1","extra":"{\"a\":1}"}]]"#,
    r#"["call2",["user_query_user_status",8,{"line":"","account":"u1"}]]"#,
    r#"["call2",["user_get_attr_all",9,{"line":"","account":"u1"}]]"#,
    r#"["call2",["user_set_attr",10,{"line":"","name":"k","value":"v"}]]"#,
    r#"["call2",["channel_query_userlist",11,{"line":"","name":"room"}]]"#,
    r#"["call2",["user_logout",12,{"line":""}]]"#,
];

struct Party {
    translator: Translator,
    connection: ConnectionId,
    is_open: bool,
}

struct Stage {
    node: Node,
    parties: BTreeMap<u8, Party>,
    connections: u64,
    texts: Vec<String>,
}

impl Stage {
    fn now(&self) -> Now {
        let now = self.node.now();
        Now {
            mono_ms: now.mono_ms,
            unix_ms: now.unix_ms,
        }
    }

    fn open(&mut self, slot: u8) {
        self.close(slot);
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.node.give(Input::Opened { connection });
        let party = Party {
            translator: Translator::new(self.now(), APPS[0], self.connections),
            connection,
            is_open: true,
        };
        self.parties.insert(slot, party);
    }

    fn close(&mut self, slot: u8) {
        if let Some(party) = self.parties.remove(&slot)
            && party.is_open
        {
            let connection = party.connection;
            self.node.give(Input::Closed { connection });
        }
    }

    /// Does what the translators say and brings them what the hub says, until both are silent.
    fn settle(&mut self) {
        loop {
            let mut outputs = vec![];
            for party in self.parties.values_mut().filter(|party| party.is_open) {
                let of_party = party.translator.outputs().into_iter();
                outputs.extend(of_party.map(|output| (party.connection, output)));
            }
            let told = std::mem::take(&mut self.node.told);
            if outputs.is_empty() && told.is_empty() {
                return;
            }
            for (connection, output) in outputs {
                self.perform(connection, output);
            }
            let now = self.now();
            for (connection, told) in told {
                let mut parties = self.parties.values_mut();
                let Some(party) = parties.find(|party| party.connection == connection) else {
                    continue;
                };
                match told {
                    Told::Message(kind) => party.translator.take(now, *kind),
                    Told::Closed(code) => {
                        self.texts.extend(party.translator.end(code).texts);
                        party.is_open = false;
                    }
                }
            }
        }
    }

    fn perform(&mut self, connection: ConnectionId, output: Output) {
        let mut parties = self.parties.values_mut();
        let Some(party) = parties.find(|party| party.connection == connection) else {
            return;
        };
        match output {
            Output::Text(text) => {
                let frame: Result<serde_json::Value, _> = serde_json::from_str(&text);
                assert!(frame.is_ok(), "the answer is no JSON: {text}");
                self.texts.push(text);
            }
            Output::Login(login) => {
                let user = UserId::parse_by(NameRule::Wide, &login.account);
                let (Ok(user), Ok(app)) = (user, AppId::parse(APPS[0])) else {
                    party.is_open = false;
                    return self.node.give(Input::Closed { connection });
                };
                party.translator.admit(AppRules::default());
                self.node.give(Input::Admitted {
                    grant: Default::default(),
                    connection,
                    user: UserKey { app, user },
                    traits: Traits {
                        names: NameRule::Wide,
                        is_text_only: true,
                        processes_late: true,
                        ends_with_connection: true,
                        lists_all_members: true,
                        ..Traits::default()
                    },
                });
            }
            Output::Send(frame) => self.node.give(Input::Frame { connection, frame }),
            Output::Processed(sseq) => self.node.give(Input::Processed { connection, sseq }),
            Output::Rung(id) => {
                let id = <[u8; 16]>::try_from(&id[..]).expect("as the hub has made it");
                let id = InvitationId(id);
                self.node.give(Input::Rung { connection, id });
            }
            Output::Close { .. } => {
                party.is_open = false;
                self.node.give(Input::Closed { connection });
            }
        }
    }
}

fn legacy_session(input: &[u8]) -> Answer {
    let mut stage = Stage {
        node: Node::new(),
        parties: BTreeMap::new(),
        connections: 0,
        texts: vec![],
    };
    let mut script = Script::new(input);
    for _ in 0..STEPS_MAX {
        if script.is_over() {
            break;
        }
        let op = script.byte();
        let slot = (op >> 4) % SLOTS;
        match op & 0x0f {
            0 => stage.open(slot),
            1 => stage.close(slot),
            2 => {
                stage
                    .node
                    .pass([1, 100, 3_000, 31_000][usize::from(script.byte()) % 4]);
                let now = stage.now();
                for party in stage.parties.values_mut().filter(|party| party.is_open) {
                    party.translator.tick(now);
                }
            }
            _ => {
                let (now, piece) = (stage.now(), script.piece());
                if let Some(party) = stage.parties.get_mut(&slot).filter(|party| party.is_open) {
                    party.translator.hear(now, piece);
                }
            }
        }
        stage.settle();
    }
    let heads = stage.texts.iter().rev().take(4);
    let heads = heads.map(|text| {
        text.chars()
            .filter(|c| c.is_alphabetic())
            .take(40)
            .collect::<String>()
    });
    Answer::of(heads.collect::<Vec<_>>())
}

fn session_seeds() -> Vec<Vec<u8>> {
    let login = |slot: u8| FRAMES[0].replace("\"u0\"", &format!("\"u{slot}\""));
    let begin = || {
        let mut script = vec![];
        for slot in 0..2_u8 {
            script.extend([slot << 4, slot << 4 | 3]);
            put_piece(&mut script, login(slot).as_bytes());
            script.push(slot << 4 | 3);
            put_piece(&mut script, FRAMES[1].as_bytes());
        }
        script
    };
    let mut seeds = vec![];
    let mut all = begin();
    for frame in &FRAMES[2..] {
        let mut one = begin();
        for script in [&mut one, &mut all] {
            for slot in 0..2_u8 {
                script.push(slot << 4 | 3);
                put_piece(script, frame.as_bytes());
            }
            script.extend([2, 1]);
        }
        seeds.push(one);
    }
    all.extend([2, 3, 1, 0x11]);
    seeds.push(all);
    seeds
}
