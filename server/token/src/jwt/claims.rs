//! Reads the claims of a token: times, texts, lists, rights.

use serde_json::{Map, Value};

use super::flaw::JwtFlaw;
use crate::rights::{Access, Permissions, Resource, Rights};

/// Latest time that a claim can state: the largest whole number that every JSON reader keeps.
const TIME_MAX: f64 = 9_007_199_254_740_992.0;

/// The claims of a token.
pub(crate) struct Claims(Map<String, Value>);

impl Claims {
    pub(crate) fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// A claim by its name; if there is none, by the name as a path of objects: `tidings.rights` is
    /// `{"tidings":{"rights":…}}`. An empty name is no claim.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let of_path = || {
            let mut at = self.0.get(name.split('.').next()?)?;
            for part in name.split('.').skip(1) {
                at = at.as_object()?.get(part)?;
            }
            Some(at)
        };
        self.0.get(name).or_else(of_path)
    }

    /// A time in Unix seconds, a fraction cut off.
    pub(crate) fn time(&self, name: &str) -> Result<Option<u64>, JwtFlaw> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let seconds = value.as_f64().filter(|at| (0.0..=TIME_MAX).contains(at));
        match (value.as_u64(), seconds) {
            (Some(whole), Some(_)) => Ok(Some(whole)),
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and 2^53"
            )]
            (None, Some(seconds)) => Ok(Some(seconds as u64)),
            _ => Err(wrong(name, value, "a time in seconds since 1970")),
        }
    }

    /// A claim that names a user: a text, or a whole number, which stands for its digits.
    pub(crate) fn user(&self, name: &str) -> Result<Option<String>, JwtFlaw> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) if number.is_u64() => Ok(Some(number.to_string())),
            Some(other) => Err(wrong(name, other, "a text or a whole number")),
        }
    }

    /// A claim that is one text or a list of texts, such as `aud`.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, JwtFlaw> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let texts = match value {
            Value::String(text) => Some(vec![text.as_str()]),
            Value::Array(list) => list.iter().map(Value::as_str).collect(),
            _ => None,
        };
        texts
            .map(Some)
            .ok_or_else(|| wrong(name, value, "a text or a list of texts"))
    }

    /// What the login may do: everything without the claim, else what it lists.
    ///
    /// Unlike the list of a 007 token, whose unknown numbers come from newer builders, this object
    /// is written by hand, so that an unknown name is a mistake and told.
    pub(crate) fn rights(&self, claim: &str) -> Result<Rights, JwtFlaw> {
        const WANTED: &str = "an object of lists of names";
        let Some(value) = self.get(claim) else {
            return Ok(Rights::Unrestricted);
        };
        let Some(object) = value.as_object() else {
            return Err(wrong(claim, value, WANTED));
        };
        let mut permissions = Permissions::new();
        for (name, names) in object {
            let (resource, access) = match name.as_str() {
                "read_channels" => (Resource::MessageChannel, Access::Read),
                "write_channels" => (Resource::MessageChannel, Access::Write),
                "read_users" => (Resource::User, Access::Read),
                "write_users" => (Resource::User, Access::Write),
                _ => {
                    let (claim, name) = (claim.to_owned(), short(name));
                    return Err(JwtFlaw::Right { claim, name });
                }
            };
            let path = || format!("{claim}.{name}");
            let list = names.as_array();
            for name in list.ok_or_else(|| wrong(&path(), names, "a list of names"))? {
                let text = name.as_str();
                let text = text.ok_or_else(|| wrong(&path(), name, "a list of names"))?;
                permissions = permissions.with(resource, access, text);
            }
        }
        Ok(Rights::Rtm2(permissions))
    }
}

/// A text from a token, cut for a message.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The complaint that a field has another form.
pub(crate) fn wrong(name: &str, found: &Value, wanted: &'static str) -> JwtFlaw {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    let name = short(name);
    JwtFlaw::Field {
        name,
        found,
        wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: Value) -> Claims {
        match value {
            Value::Object(object) => Claims::new(object),
            _ => unreachable!("an object"),
        }
    }

    #[test]
    fn a_claim_is_found_by_name_and_else_by_path() {
        let of = claims(json!({ "a.b": 1, "a": { "b": 2, "c": { "d": 3 } }, "": 4 }));
        assert_eq!(of.get("a.b"), Some(&json!(1)));
        assert_eq!(of.get("a.c.d"), Some(&json!(3)));
        assert_eq!(of.get("a.c.x"), None);
        assert_eq!(of.get("a.b.c"), None);
    }

    #[test]
    fn times_are_numbers_that_every_reader_keeps() {
        let of = claims(json!({
            "whole": 1_700_000_000, "part": 1_700_000_000.9, "text": "1700000000",
            "before": -1, "far": 1e300, "edge": 9_007_199_254_740_993_u64, "none": null,
        }));
        assert_eq!(of.time("whole"), Ok(Some(1_700_000_000)));
        assert_eq!(of.time("part"), Ok(Some(1_700_000_000)));
        assert_eq!(of.time("missing"), Ok(None));
        for wrong in ["text", "before", "far", "none"] {
            assert!(of.time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rights_are_what_is_listed_and_a_slip_is_told() {
        let rights =
            |value| claims(json!({ "tidings": { "rights": value } })).rights("tidings.rights");
        let lobby = Permissions::new().with(Resource::MessageChannel, Access::Read, "lobby");
        let listed = rights(json!({ "read_channels": ["lobby"], "write_users": [] }));
        assert_eq!(listed, Ok(Rights::Rtm2(lobby)));
        assert_eq!(rights(json!({})), Ok(Rights::Rtm2(Permissions::new())));
        assert_eq!(
            claims(json!({})).rights("tidings.rights"),
            Ok(Rights::Unrestricted)
        );
        for wrong in [
            json!(null),
            json!("*"),
            json!({ "read_channel": ["lobby"] }),
            json!({ "read_channels": "lobby" }),
            json!({ "read_channels": [1] }),
        ] {
            assert!(rights(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
