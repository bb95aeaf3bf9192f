//! What a server, or an impostor, sends to the client core.

use bytes::Bytes;
use prost::Message as _;
use tidings_client_core::{Call, Client, Input, Message, Output};
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{ServerFrame, ServerMessage, Welcome};

use super::{Script, put_piece, vectors};
use crate::node::APPS;
use crate::target::{Answer, Target};

pub(super) const SDK_INPUT: Target = Target {
    name: "sdk_input",
    run: sdk_input,
    seeds,
    bytes_max: 32_768,
    memory_max: None,
};

const STEPS_MAX: usize = 200;
/// Most outputs for one input: more would be an amplification.
const OUTPUTS_MAX: usize = 70_000;

struct Driver {
    client: Client,
    connection: Option<u64>,
    now_ms: u64,
    calls: u64,
    answers: Vec<String>,
}

impl Driver {
    fn give(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut outputs = vec![];
            self.client.handle(self.now_ms, input, &mut outputs);
            assert!(
                outputs.len() <= OUTPUTS_MAX,
                "{} outputs of one input",
                outputs.len()
            );
            for output in outputs {
                match output {
                    Output::Open { connection } => {
                        self.connection = Some(connection);
                        inputs.push(Input::Opened { connection });
                    }
                    Output::Close { connection } if self.connection == Some(connection) => {
                        self.connection = None;
                    }
                    Output::Event(event) => self.note(&event),
                    Output::Answer { result, .. } => self.note(&result),
                    Output::Send { .. } | Output::Close { .. } => {}
                }
            }
        }
    }

    fn note(&mut self, what: &impl std::fmt::Debug) {
        let text: String = format!("{what:?}").chars().take(24).collect();
        self.answers.push(text);
    }

    fn call(&mut self, number: u8) {
        self.calls += 1;
        let (id, channel) = (self.calls, "room".to_owned());
        let call = match number % 4 {
            0 => Call::Join { channel },
            1 => Call::GetMembers { channel },
            2 => Call::SubscribePresence {
                user_ids: vec!["bob".into()],
            },
            _ => Call::SendToChannel {
                channel,
                message: Message::Text("hi".into()),
                history: false,
            },
        };
        self.give(Input::Call { id, call });
    }
}

fn sdk_input(input: &[u8]) -> Answer {
    let mut driver = Driver {
        client: Client::new("fuzz", 7),
        connection: None,
        now_ms: 1,
        calls: 1,
        answers: vec![],
    };
    driver.give(Input::Login {
        id: 1,
        app_id: APPS[0].into(),
        user_id: "alice".into(),
        token: String::new(),
    });
    let mut script = Script::new(input);
    for _ in 0..STEPS_MAX {
        if script.is_over() {
            break;
        }
        let op = script.byte();
        match op % 8 {
            0 => driver.call(op >> 4),
            1 => {
                driver.now_ms += [10, 1_000, 5_000, 40_000][usize::from(op >> 4) % 4];
                driver.give(Input::Tick);
            }
            2 => {
                if let Some(connection) = driver.connection.take() {
                    let code = (op & 0x80 != 0).then(|| 4_000 + u16::from(op >> 4));
                    driver.give(Input::Closed { connection, code });
                }
            }
            3 => driver.give(Input::Wake),
            _ => {
                let payload = Bytes::copy_from_slice(script.piece());
                if let Some(connection) = driver.connection {
                    driver.give(Input::Received {
                        connection,
                        payload,
                    });
                }
            }
        }
    }
    let last = driver.answers.iter().rev().take(5);
    Answer::of((driver.client.state(), last.collect::<Vec<_>>()))
}

fn seeds() -> Vec<Vec<u8>> {
    let welcome = Kind::Welcome(Welcome {
        session_id: vec![1; 16].into(),
        secret: vec![2; 32].into(),
        heartbeat_ms: 10_000,
        resume_window_ms: 120_000,
        presence_grace_ms: 30_000,
        server_ts: 1_700_000_000_000,
        server: "fuzz".into(),
    });
    let messages = vec![ServerMessage {
        kind: Some(welcome),
    }];
    let welcome = ServerFrame { messages }.encode_to_vec();
    let mut begin = vec![4];
    put_piece(&mut begin, &welcome);
    // Joins, asks for members, subscribes, sends.
    begin.extend([0x00, 0x10, 0x20, 0x30]);
    let frames = vectors("ServerFrame");
    let frames = frames.iter().filter(|frame| frame.len() < 4_000);
    frames
        .map(|frame| {
            let mut script = begin.clone();
            for _ in 0..2 {
                script.push(4);
                put_piece(&mut script, frame);
            }
            script.extend([0x01, 0x02, 0x11, 0x03, 0x31]);
            script
        })
        .collect()
}
