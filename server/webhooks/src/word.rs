//! What an app's endpoint says about a message, and what that means.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use crate::before::OnTimeout;
use crate::call::Answer;

/// What the endpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// It is sent.
    Pass,
    /// This text is sent in its place.
    Text(String),
    /// These bytes are sent in its place.
    Data(Vec<u8>),
    /// It is refused, with this text.
    Refuse(String),
    /// Nothing, or nothing that is understood: the app's rule decides.
    Nothing(OnTimeout),
}

/// The answer of an endpoint.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Said {
    Pass,
    Change {
        #[serde(default)]
        text: Option<String>,
        #[serde(default)]
        payload_base64: Option<String>,
    },
    Refuse {
        #[serde(default)]
        text: Option<String>,
    },
}

/// What an answer means.
pub(crate) fn understand(answer: &Answer) -> Result<Word, String> {
    if answer.status != 200 || answer.is_cut {
        return Err(format!(
            "the endpoint answered {}, not 200 with an action",
            answer.status
        ));
    }
    let said = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("the endpoint's answer has no action that is known: {error}"))?;
    match said {
        Said::Pass => Ok(Word::Pass),
        Said::Refuse { text } => {
            let text = text.filter(|text| !text.is_empty());
            let otherwise = || "the app's backend has refused the message".to_owned();
            Ok(Word::Refuse(text.unwrap_or_else(otherwise)))
        }
        Said::Change {
            text: Some(text),
            payload_base64: None,
        } => Ok(Word::Text(text)),
        Said::Change {
            text: None,
            payload_base64: Some(data),
        } => {
            let data = BASE64.decode(data);
            let data = data.map_err(|error| format!("payload_base64 is not base64: {error}"))?;
            Ok(Word::Data(data))
        }
        Said::Change { .. } => Err("a change has either text or payload_base64".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood_or_not() {
        let answer = |status, body: &str| Answer {
            status,
            body: body.as_bytes().to_vec().into(),
            is_cut: false,
            retry_after: None,
        };
        for (body, word) in [
            (r#"{"action":"pass"}"#, Word::Pass),
            (r#"{"action":"change","text":"a"}"#, Word::Text("a".into())),
            (
                r#"{"action":"change","payload_base64":"AAE="}"#,
                Word::Data(vec![0, 1]),
            ),
            (
                r#"{"action":"refuse","text":"no"}"#,
                Word::Refuse("no".into()),
            ),
        ] {
            assert_eq!(understand(&answer(200, body)), Ok(word));
        }
        assert!(matches!(
            understand(&answer(200, r#"{"action":"refuse"}"#)),
            Ok(Word::Refuse(text)) if !text.is_empty()
        ));
        for body in [
            "",
            "{}",
            "[]",
            "pass",
            r#"{"action":"allow"}"#,
            r#"{"action":"change"}"#,
            r#"{"action":"change","text":"a","payload_base64":"AAE="}"#,
            r#"{"action":"change","payload_base64":"!"}"#,
        ] {
            assert!(understand(&answer(200, body)).is_err(), "{body}");
        }
        assert!(understand(&answer(204, "")).is_err());
        assert!(understand(&answer(500, r#"{"action":"pass"}"#)).is_err());
    }
}
