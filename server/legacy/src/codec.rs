//! Text frames to typed calls and back. Source: signaling 3 and 5.1.

use serde_json::{Map, Value, json};

/// Largest text frame, in bytes: four texts of 8 KB, escaped. Source: ours.
pub const FRAME_BYTES_MAX: usize = 65_536;
/// Deepest allowed nesting of arrays and objects. Source: ours.
pub const DEPTH_MAX: usize = 24;
/// Most commas and colons, and so items and names, in one frame. Source: ours.
pub const ITEMS_MAX: usize = 4_096;

/// A decoded frame of a client.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientFrame {
    /// Opens the login.
    Login(Login),
    /// No known build sends this: refused.
    LineLogin,
    /// Asks for a pong with the same argument.
    Ping(Value),
    /// A sign of life of builds from 1.3.2 on.
    SetFlag,
    /// A call of a function.
    Call(Call),
    /// An event that this server does not know: ignored, as clients ignore ours.
    Unknown,
}

/// The arguments of a login, as received.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Login {
    /// The app; empty if missing.
    pub app: String,
    /// A text or a number; any other type is not an account.
    pub account: Value,
    /// The token; empty if missing.
    pub token: String,
    /// The library's name for itself; empty if missing.
    pub device: String,
}

/// A call of a function, `call2`.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Name of the function.
    pub function: String,
    /// Repeated in the answer, as a number.
    pub id: Value,
    /// The arguments, including the line.
    pub args: Map<String, Value>,
}

/// Why a text is not a valid frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The text has too many bytes.
    #[error("the frame has {0} bytes; at most {FRAME_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// The JSON is nested too deeply.
    #[error("the frame is nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// The JSON has too many items.
    #[error("the frame has more than {ITEMS_MAX} items")]
    TooManyItems,
    /// The frame is not JSON.
    #[error("the frame is not JSON: {0}")]
    NotJson(String),
    /// The JSON does not have the shape of a frame.
    #[error("the frame is not [event, argument]: {0}")]
    Shape(&'static str),
}

/// Decodes a text frame. Sizes are checked on the bytes, before anything is allocated for them.
///
/// [`FrameError`]; the connection must end, because an unanswered call would wait for ever.
/// [`FrameError`]; the connection cannot go on, since an unanswered call would wait for ever.
pub fn decode(bytes: &[u8]) -> Result<ClientFrame, FrameError> {
    scan(bytes)?;
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| FrameError::NotJson(error.to_string()))?;
    let Value::Array(mut items) = value else {
        return Err(FrameError::Shape("it is not an array"));
    };
    if items.len() != 2 {
        return Err(FrameError::Shape("it does not have two items"));
    }
    let (Some(argument), Some(Value::String(event))) = (items.pop(), items.pop()) else {
        return Err(FrameError::Shape("the event is not a text"));
    };
    match event.as_str() {
        "login" => login(argument).map(ClientFrame::Login),
        "line_login" => Ok(ClientFrame::LineLogin),
        "ping" => Ok(ClientFrame::Ping(argument)),
        "set_flag" => Ok(ClientFrame::SetFlag),
        "call2" => call(argument).map(ClientFrame::Call),
        _ => Ok(ClientFrame::Unknown),
    }
}

/// Scans the bytes and counts.
fn scan(bytes: &[u8]) -> Result<(), FrameError> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong(bytes.len()));
    }
    let (mut depth, mut items) = (0_usize, 0_usize);
    let mut bytes = bytes.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' => items += 1,
            b'"' => skip_text(&mut bytes),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(FrameError::TooDeep);
        }
        if items > ITEMS_MAX {
            return Err(FrameError::TooManyItems);
        }
    }
    Ok(())
}

fn skip_text(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

fn login(argument: Value) -> Result<Login, FrameError> {
    let Value::Object(mut fields) = argument else {
        return Err(FrameError::Shape("the login has no object"));
    };
    Ok(Login {
        app: text_of(fields.remove("vid")),
        account: fields.remove("account").unwrap_or_default(),
        token: text_of(fields.remove("token")),
        device: text_of(fields.remove("device")),
    })
}

fn call(argument: Value) -> Result<Call, FrameError> {
    const SHAPE: FrameError = FrameError::Shape("a call is [function, number, object]");
    let Value::Array(items) = argument else {
        return Err(SHAPE);
    };
    let Ok([function, id, args]) = <[Value; 3]>::try_from(items) else {
        return Err(SHAPE);
    };
    match (function, id, args) {
        (Value::String(function), id @ Value::Number(_), Value::Object(args)) => {
            Ok(Call { function, id, args })
        }
        _ => Err(SHAPE),
    }
}

fn text_of(value: Option<Value>) -> String {
    match value {
        Some(Value::String(text)) => text,
        _ => String::new(),
    }
}

impl Call {
    /// An argument that is a text, or a number in place of one.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.args.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// An argument of any type; missing and null become the empty text.
    pub(crate) fn value(&self, name: &str) -> Value {
        match self.args.get(name) {
            None | Some(Value::Null) => Value::String(String::new()),
            Some(value) => value.clone(),
        }
    }
}

/// A value as text: a text unchanged, anything else as JSON.
pub(crate) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Frames of the server.
pub(crate) mod server {
    use super::{Value, json};

    pub(crate) fn login_ret(body: &Value) -> String {
        json!(["login_ret", ["", body.to_string()]]).to_string()
    }

    pub(crate) fn login_refused(reason: &str) -> String {
        login_ret(&json!({"result": "failed", "reason": reason}))
    }

    pub(crate) fn pong(argument: &Value) -> String {
        json!(["pong", argument]).to_string()
    }

    pub(crate) fn call_ret(id: &Value, body: &Value) -> String {
        json!(["call2-ret", [id, "", body.to_string()]]).to_string()
    }

    pub(crate) fn failed(reason: &str) -> Value {
        json!({"result": "failed", "reason": reason, "data": {"result": reason}})
    }

    pub(crate) fn recvmsg(version: u64, line: &str) -> String {
        let item = json!([version, line]).to_string();
        json!(["notify", format!("notify recvmsg {item}")]).to_string()
    }

    pub(crate) fn channel_event(channel: &str, msgid: u64, line: &str) -> String {
        json!(["notify", ["channel2", channel, msgid, line]]).to_string()
    }

    pub(crate) fn up_to(version: u64) -> String {
        json!(["notify", ["msg", version]]).to_string()
    }

    pub(crate) fn kick(reason: &str) -> String {
        json!(["kick", reason]).to_string()
    }

    pub(crate) fn close(reason: &str) -> String {
        json!(["close", reason]).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_logins_are_read() {
        let frame = decode(br#"["call2",["user_logout",12,{"line":"9"}]]"#).expect("a call");
        let ClientFrame::Call(call) = frame else {
            panic!("{frame:?}");
        };
        assert_eq!(
            (call.function.as_str(), &call.id),
            ("user_logout", &json!(12))
        );
        let frame = decode(br#"["login",{"account":42,"token":null}]"#).expect("a login");
        let login = Login {
            account: json!(42),
            ..Login::default()
        };
        assert_eq!(frame, ClientFrame::Login(login));
        assert_eq!(decode(b"[\"news\",1]"), Ok(ClientFrame::Unknown));
    }

    #[test]
    fn what_is_no_frame_is_told_why() {
        let deep = format!("[\"ping\",{}{}]", "[".repeat(30), "]".repeat(30));
        let wide = format!("[\"ping\",[{}1]]", "1,".repeat(5_000));
        let long = format!("[\"ping\",\"{}\"]", "x".repeat(FRAME_BYTES_MAX));
        assert_eq!(decode(deep.as_bytes()), Err(FrameError::TooDeep));
        assert_eq!(decode(wide.as_bytes()), Err(FrameError::TooManyItems));
        assert!(matches!(
            decode(long.as_bytes()),
            Err(FrameError::TooLong(_))
        ));
        assert!(matches!(decode(b"[\"ping\","), Err(FrameError::NotJson(_))));
        for wrong in [
            "{}",
            "[]",
            "[1,2]",
            "[\"a\",1,2]",
            "[\"login\",1]",
            "[\"call2\",[]]",
            "[\"call2\",[\"f\",\"1\",{}]]",
            "[\"call2\",[1,1,{}]]",
            "[\"call2\",[\"f\",1,[]]]",
        ] {
            assert!(
                matches!(decode(wrong.as_bytes()), Err(FrameError::Shape(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn brackets_within_texts_do_not_count() {
        let text = format!(
            "[\"ping\",\"{}\\\"{}\"]",
            "[".repeat(100),
            ",".repeat(5_000)
        );
        assert!(matches!(decode(text.as_bytes()), Ok(ClientFrame::Ping(_))));
    }
}
