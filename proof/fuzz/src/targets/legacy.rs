//! Legacy clients: single frames, and sequences of them against a real cell.

use std::collections::BTreeMap;

use tidings_hub::ids::ConnectionId;
use tidings_legacy::codec;

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

/// A JSON value takes 32 bytes or, in an object, 100 and its share of a tree; their number is
/// bounded.
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

struct Stage {
    node: Node,
    /// Open connections, by slot.
    parties: BTreeMap<u8, ConnectionId>,
    connections: u64,
    texts: Vec<String>,
}

impl Stage {
    fn open(&mut self, slot: u8) {
        self.close(slot);
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let (app, random) = (APPS[0], self.connections);
        self.node.desk.open_legacy(0, connection, app, random);
        self.parties.insert(slot, connection);
    }

    fn close(&mut self, slot: u8) {
        if let Some(connection) = self.parties.remove(&slot) {
            self.node.desk.lose(connection);
        }
    }

    fn hear(&mut self, slot: u8, text: &[u8]) {
        if let Some(connection) = self.parties.get(&slot) {
            self.node.desk.hear(*connection, text);
        }
    }

    /// Checks what clients were sent.
    fn collect(&mut self) {
        for (connection, told) in self.node.take_told() {
            match told {
                Told::Message(kind) => panic!("a native message for a legacy client: {kind:?}"),
                Told::Text(text) => {
                    let frame: Result<serde_json::Value, _> = serde_json::from_str(&text);
                    assert!(frame.is_ok(), "the answer is no JSON: {text}");
                    self.texts.push(text);
                }
                Told::Closed(_) => {
                    self.parties.retain(|_, open| *open != connection);
                    self.node.desk.forget(connection);
                }
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
                let ms = [1, 100, 3_000, 31_000][usize::from(script.byte()) % 4];
                stage.node.pass(ms);
            }
            _ => {
                let piece = script.piece();
                stage.hear(slot, piece);
            }
        }
        stage.collect();
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
