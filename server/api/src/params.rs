//! Parameters of paths and queries, strictly read.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::Uri;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use tidings_wire::names::{ChannelName, NameError, NameRule, UserId};

use crate::problem::Fault;

/// The decoded parameters of a path.
#[derive(Debug)]
pub struct PathParams(RawPathParams);

impl<S: Send + Sync> FromRequestParts<S> for PathParams {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        params
            .map(Self)
            .map_err(|_| Fault::invalid("path", "the path has escapes that are no UTF-8 text"))
    }
}

impl PathParams {
    /// A parameter as text; empty if the route has none of this name.
    pub fn text(&self, name: &str) -> &str {
        let mut params = self.0.iter();
        params
            .find_map(|(key, value)| (key == name).then_some(value))
            .unwrap_or_default()
    }

    /// A parameter as a user id.
    ///
    /// # Errors
    /// 400 with the reason.
    pub fn user(&self, name: &str) -> Result<UserId, Fault> {
        let text = self.text(name);
        if text.starts_with(' ') || text.ends_with(' ') {
            return Err(Fault::invalid(
                name,
                "a user id in a URL neither starts nor ends with a space",
            ));
        }
        user(name, text)
    }

    /// A parameter as a channel name.
    ///
    /// # Errors
    /// 400 with the reason.
    pub fn channel(&self, name: &str) -> Result<ChannelName, Fault> {
        channel(name, self.text(name))
    }
}

/// A user id, by the wide rule: legacy users are reached too.
///
/// # Errors
/// 400 with the field and the reason.
pub fn user(field: &str, text: &str) -> Result<UserId, Fault> {
    UserId::parse_by(NameRule::Wide, text).map_err(|error| bad_name(field, "user id", text, &error))
}

/// A channel name, by the wide rule.
///
/// # Errors
/// 400 with the field and the reason.
pub fn channel(field: &str, text: &str) -> Result<ChannelName, Fault> {
    let parsed = ChannelName::parse_by(NameRule::Wide, text);
    parsed.map_err(|error| bad_name(field, "channel", text, &error))
}

fn bad_name(field: &str, what: &str, text: &str, error: &NameError) -> Fault {
    let shown: String = text.chars().take(80).collect();
    Fault::invalid(field, format!("{what} {shown:?}: {error}"))
}

/// The parameters of a query. Whoever reads them tells which there are, so that others are refused.
#[derive(Debug, Default)]
pub struct Query {
    /// In the order of the query; taken ones are gone.
    pairs: Vec<(String, String)>,
}

/// Most parameters in a query.
const PAIRS_MAX: usize = 64;

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        Self::parse(&parts.uri)
    }
}

impl Query {
    /// Reads the query of an address.
    ///
    /// # Errors
    /// 400: a parameter is given twice, or is no UTF-8 text.
    pub fn parse(uri: &Uri) -> Result<Self, Fault> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let Some(query) = uri.query() else {
            return Ok(Self { pairs });
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(Fault::invalid(name, "the parameter is given twice"));
            }
            if pairs.len() == PAIRS_MAX {
                let detail = format!("the query has more than {PAIRS_MAX} parameters");
                return Err(Fault::invalid(name, detail));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// Takes a parameter.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(other, _)| other == name)?;
        Some(self.pairs.swap_remove(at).1)
    }

    /// Takes a parameter that has to be there.
    ///
    /// # Errors
    /// 400 if it is not.
    pub fn need(&mut self, name: &str) -> Result<String, Fault> {
        self.take(name).ok_or_else(|| Fault::missing(name))
    }

    /// Takes `true` or `false`.
    ///
    /// # Errors
    /// 400 for any other text.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, Fault> {
        match self.take(name).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(Fault::invalid(
                name,
                format!("{:?} is neither true nor false", shown(other)),
            )),
        }
    }

    /// Takes a whole number within bounds.
    ///
    /// # Errors
    /// 400 for any other text.
    pub fn number(&mut self, name: &str, from: u64, to: u64) -> Result<Option<u64>, Fault> {
        let Some(text) = self.take(name) else {
            return Ok(None);
        };
        let number = text
            .parse()
            .ok()
            .filter(|number| (from..=to).contains(number));
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(Fault::invalid(
                name,
                format!("{:?} is no whole number from {from} to {to}", shown(&text)),
            )),
        }
    }

    /// All parameters are taken.
    ///
    /// # Errors
    /// 400 with the first that is not known.
    pub fn end(self) -> Result<(), Fault> {
        match self.pairs.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(Fault::invalid(name, "the call has no such parameter")),
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

fn decode(text: &str) -> Result<String, Fault> {
    // Order: `+` is a space in a query, `%2B` a plus.
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    match decoded {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err(Fault::invalid(
            "query",
            "the query has escapes that are no UTF-8 text",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query, Fault> {
        Query::parse(&format!("/a?{text}").parse().expect("an address"))
    }

    #[test]
    fn a_query_is_read_strictly() {
        let mut read = query("a=1&b=x%20y+z&&c").expect("a query");
        assert_eq!(read.number("a", 0, 9).ok().flatten(), Some(1));
        assert_eq!(read.take("b").as_deref(), Some("x y z"));
        let left = read.end().expect_err("c is left");
        assert_eq!(left.field.as_deref(), Some("c"));
        assert!(query("a=1&a=2").is_err() && query("a=%ff").is_err());
        let mut read = query("wait=maybe&limit=0").expect("a query");
        assert!(read.flag("wait").is_err() && read.number("limit", 1, 9).is_err());
    }
}
