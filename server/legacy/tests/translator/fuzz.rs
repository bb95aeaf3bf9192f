//! A hundred thousand inputs from one seed: nothing panics, every call is answered, and no frame
//! costs more memory than its bytes allow.

use serde_json::Value;
use tidings_legacy::codec::{self, FRAME_BYTES_MAX};
use tidings_legacy::{AppRules, Now, Output, Translator};
use tidings_wire::proto::Welcome;
use tidings_wire::proto::server_message::Kind;

const INPUTS: u64 = 100_000;
/// The line of the translator under test, and of another.
const LINE: &str = "1000000007";
const OTHER_LINE: &str = "1000000008";
/// Bytes that one frame may hold at once while it is handled: a part that does not depend on it,
/// and a part per byte of it. A byte of `[1,1,1…` is half an item of a vector of 32 bytes each that
/// grows by doubling.
const MEMORY_BASE: u64 = 32_768;
const MEMORY_PER_BYTE: u64 = 128;

/// Frames of real clients, `LINE` written as `@`.
const CORPUS: &[&str] = &[
    r#"["login",{"vid":"app","account":"alice","uid":0,"token":"_no_need_token","device":"websdk","ip":""}]"#,
    r#"["line_login",{"line":"@"}]"#,
    r#"["ping",17]"#,
    r#"["set_flag",{"binary":1}]"#,
    r#"["call2",["user_getmsg",1,{"line":"@","ver_clear":0,"max":30}]]"#,
    r#"["call2",["user_getmsg2",1,{"line":"@","clear_msgs":["a"],"max":30}]]"#,
    r#"["call2",["user_sendmsg",2,{"line":"@","peer":"bob","flag":"v1:E:3600","t":"instant","content":"hi","messageID":7}]]"#,
    r#"["call2",["channel_join",3,{"line":"@","name":"room"}]]"#,
    r#"["call2",["channel_join",3,{"line":"@","name":"__agora_user_online"}]]"#,
    r#"["call2",["channel_leave",3,{"line":"@","name":"room"}]]"#,
    r#"["call2",["channel_sendmsg",4,{"line":"@","name":"room","msg":{"a":[1,null]},"force":true}]]"#,
    r#"["call2",["channel_set_attr",5,{"line":"@","channel":"room","name":"_channel_ttl","value":"60"}]]"#,
    r#"["call2",["channel_del_attr",5,{"line":"@","channel":"room","name":"k"}]]"#,
    r#"["call2",["channel_clear_attr",5,{"line":"@","channel":"room"}]]"#,
    r#"["call2",["voip_invite",6,{"line":"@","channelName":"c","peer":"bob","extra":"{\"_timeout\":20,\"_require_peer_online\":1}"}]]"#,
    r#"["call2",["voip_invite_phone",6,{"line":"@","channelName":"c","peer":"4930","extra":{"a":{}}}]]"#,
    r#"["call2",["voip_invite_ack",7,{"line":"@","channelName":"c","peer":"bob","extra":""}]]"#,
    r#"["call2",["voip_invite_accept",8,{"line":"@","channelName":"c","peer":"bob","extra":[]}]]"#,
    r#"["call2",["voip_invite_refuse",8,{"line":"@","channelName":"c","peer":"bob","extra":"no"}]]"#,
    r#"["call2",["voip_invite_bye",9,{"line":"@","channelName":"c","peer":"bob","extra":""}]]"#,
    r#"["call2",["voip_invite_msg",9,{"line":"@","channelName":"c","peer":"bob","extra":"{\"msgtype\":\"dtmf\"}"}]]"#,
    r#"["call2",["user_query_user_status",10,{"line":"@","account":"bob"}]]"#,
    r#"["call2",["user_set_attr",11,{"line":"@","name":"k","value":5}]]"#,
    r#"["call2",["user_get_attr",11,{"line":"@","account":"bob","name":"k"}]]"#,
    r#"["call2",["user_get_attr_all",11,{"line":"@","account":"bob"}]]"#,
    r#"["call2",["channel_query_num",12,{"line":"@","name":"room"}]]"#,
    r#"["call2",["channel_query_user_isin",12,{"line":"@","name":"room","account":"bob"}]]"#,
    r#"["call2",["channel_query_userlist_all",12,{"line":"@","name":"room","num":5}]]"#,
    r#"["call2",["user_ext_call",13,{"line":"@","package":"io.agora.media.bc"}]]"#,
];

/// A piece that is put into frames.
const PIECES: &[&str] = &[
    "null",
    "-1",
    "1e999",
    "18446744073709551616",
    "\"\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "[]",
    "{}",
    "[[]]",
    ",",
    ":",
    "\"",
    "\\",
    "]",
    "}",
    "{\"line\":",
    "\"line\":\"\"",
    "\u{a0}",
    "\u{feff}",
    "\u{1f600}",
    "true",
    "\"v1:E:99999999999999999999\"",
    "\"v1:C:1\"",
];

/// xorshift64*: enough to mix, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }

    /// Makes one input.
    fn frame(&mut self) -> Vec<u8> {
        match self.roll(1_000) {
            0..30 => self.noise(),
            30..50 => self.deep(),
            50..53 => self.wide(),
            _ => self.mutated(),
        }
    }

    fn noise(&mut self) -> Vec<u8> {
        let length = self.roll(200);
        (0..length).map(|_| self.roll(256) as u8).collect()
    }

    fn deep(&mut self) -> Vec<u8> {
        let depth = 1 + self.roll(400);
        let opens = ["[", "{\"a\":", "[[\"call2\",", "{\"line\":["];
        let open = self.pick(&opens);
        format!("[\"call2\",[\"f\",1,{}", open.repeat(depth)).into_bytes()
    }

    fn wide(&mut self) -> Vec<u8> {
        let items = 1 + self.roll(6_000);
        let item = self.pick(&["1,", "[],", "{},", "\"\","]);
        let list = item.repeat(items);
        format!("[\"call2\",[\"user_getmsg2\",1,{{\"line\":\"{LINE}\",\"x\":[{list}1]}}]]")
            .into_bytes()
    }

    fn mutated(&mut self) -> Vec<u8> {
        let line = match self.roll(8) {
            0 => OTHER_LINE,
            1 => "",
            _ => LINE,
        };
        let mut bytes = self.pick(CORPUS).replace('@', line).into_bytes();
        for _ in 0..self.roll(4) {
            let at = self.roll(bytes.len() + 1);
            match self.roll(6) {
                0 if at < bytes.len() => bytes[at] = self.roll(256) as u8,
                1 => bytes.truncate(at),
                2 => {
                    let piece = self.pick(PIECES);
                    bytes.splice(at..at, piece.bytes());
                }
                3 => {
                    let end = (at + self.roll(12)).min(bytes.len());
                    bytes.drain(at..end);
                }
                4 => {
                    let other = self.pick(CORPUS);
                    let from = self.roll(other.len());
                    bytes.splice(at.., other.bytes().skip(from));
                }
                _ => self.replace_value(&mut bytes),
            }
            if bytes.is_empty() {
                break;
            }
        }
        bytes
    }

    /// Puts a piece, or a long text, in the place of a value.
    fn replace_value(&mut self, bytes: &mut Vec<u8>) {
        let colons: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b':').collect();
        if colons.is_empty() {
            return;
        }
        let from = colons[self.roll(colons.len())] + 1;
        let rest = &bytes[from..];
        let end = rest.iter().position(|byte| matches!(byte, b',' | b'}'));
        let end = from + end.unwrap_or(rest.len());
        let piece = match self.roll(400) {
            0 => format!("\"{}\"", "x".repeat(self.roll(FRAME_BYTES_MAX + 100))),
            _ => self.pick(PIECES).to_owned(),
        };
        bytes.splice(from..end, piece.into_bytes());
    }
}

fn ready(dice: &mut Dice, now: Now) -> Translator {
    let mut translator = Translator::new(now, "", 7);
    translator.hear(
        now,
        br#"["login",{"vid":"a","account":"alice","token":""}]"#,
    );
    let flags = dice.roll(16);
    translator.admit(AppRules {
        allows_force: flags & 1 > 0,
        allows_special_channels: flags & 2 > 0,
        phone_gateway: (flags & 4 > 0).then(|| "gateway".into()),
        ..AppRules::default()
    });
    if flags & 8 > 0 {
        translator.take(now, Kind::Welcome(Welcome::default()));
    }
    translator.outputs();
    translator
}

/// The number of a call that must be answered at once: it is not of this line.
fn owed_answer(bytes: &[u8]) -> Option<Value> {
    match codec::decode(bytes) {
        Ok(codec::ClientFrame::Call(call)) if call.args.get("line")?.as_str()? != LINE => {
            Some(call.id)
        }
        _ => None,
    }
}

#[test]
fn nothing_panics_and_no_frame_costs_more_than_its_bytes_allow() {
    let mut dice = Dice(0x7131_d1e5);
    let mut now = Now {
        mono_ms: 1,
        unix_ms: 1_700_000_000_000,
    };
    let mut translator = ready(&mut dice, now);
    let mut ended = 0;
    for number in 0..INPUTS {
        let bytes = dice.frame();
        let owed = owed_answer(&bytes);
        let mut outputs = Vec::new();
        let spent = allocation_counter::measure(|| {
            translator.hear(now, &bytes);
            outputs = translator.outputs();
        });
        let allowed = MEMORY_BASE + MEMORY_PER_BYTE * bytes.len() as u64;
        let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
        assert!(
            spent.bytes_max <= allowed,
            "input {number}, {} bytes, held {}: {}",
            bytes.len(),
            spent.bytes_max,
            shown()
        );
        let said = |text: &str| {
            outputs
                .iter()
                .any(|output| matches!(output, Output::Text(said) if said.contains(text)))
        };
        if let Some(id) = owed {
            assert!(
                said(&format!("[\"call2-ret\",[{id},")),
                "input {number} is not answered: {}",
                shown()
            );
            assert!(said("wrong line"), "input {number}: {}", shown());
        }
        let is_over = outputs
            .iter()
            .any(|output| matches!(output, Output::Close { .. }));
        if dice.roll(3) == 0 {
            now.mono_ms += dice.roll(2_000) as u64;
            now.unix_ms = 1_700_000_000_000 + now.mono_ms;
            translator.tick(now);
            translator.outputs();
        }
        // Now and then a fresh one, so that states of every age are met.
        if is_over || dice.roll(500) == 0 {
            ended += u64::from(is_over);
            translator = ready(&mut dice, now);
        }
    }
    assert!(
        (INPUTS / 20..INPUTS).contains(&ended),
        "{ended} connections were closed: the inputs are one-sided"
    );
}
