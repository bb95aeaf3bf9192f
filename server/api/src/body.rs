//! Bodies, strictly read: JSON without unknown, doubled or missing fields.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::problem::Fault;

/// Largest body, in bytes. Source: rest 12.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// A body of at most 64 KiB.
#[derive(Debug)]
pub struct Bytes64(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Bytes64 {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        read(request.headers().clone(), request.into_body())
            .await
            .map(Self)
    }
}

/// A body of JSON, as the type has it. The type denies unknown fields.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        check_type(request.headers())?;
        let bytes = read(request.headers().clone(), request.into_body()).await?;
        parse(&bytes).map(Self)
    }
}

/// A body of JSON, or none at all.
#[derive(Debug)]
pub struct MaybeJson<T>(pub Option<T>);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for MaybeJson<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let headers = request.headers().clone();
        let bytes = read(headers.clone(), request.into_body()).await?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        check_type(&headers)?;
        parse(&bytes).map(|value| Self(Some(value)))
    }
}

/// Reads a body of at most 64 KiB.
///
/// # Errors
/// 413; 400: it broke off.
pub(crate) async fn read(headers: HeaderMap, body: Body) -> Result<Bytes, Fault> {
    let stated = headers.get(CONTENT_LENGTH);
    let stated = stated.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if stated.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    axum::body::to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|error| {
            let is_too_large = std::error::Error::source(&error)
                .is_some_and(|source| source.to_string().contains("length limit"));
            if is_too_large {
                too_large()
            } else {
                Fault::invalid("body", "the body broke off")
            }
        })
}

fn too_large() -> Fault {
    let detail = format!("the body has more than {BODY_BYTES_MAX} bytes");
    let status = StatusCode::PAYLOAD_TOO_LARGE;
    Fault::new(status, "too_large", detail, "Split the call.").on("body")
}

/// Checks that the body is stated to be JSON in UTF-8, or nothing is stated.
///
/// # Errors
/// 415.
pub(crate) fn check_type(headers: &HeaderMap) -> Result<(), Fault> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|kind| kind == "application/json" || kind.ends_with("+json"));
    let is_utf8 = parts
        .filter_map(|part| part.strip_prefix("charset="))
        .all(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
    if is_json && is_utf8 {
        return Ok(());
    }
    let shown: String = text.chars().take(80).collect();
    let detail = format!("the body is stated to be {shown:?}; JSON in UTF-8 is taken");
    let hint = "Send Content-Type: application/json;charset=utf-8.";
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Fault::new(status, "unsupported_media_type", detail, hint).on("content-type"))
}

/// Reads JSON.
///
/// # Errors
/// 400, with the field where there is one.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|error| {
        // Only now is it worth while to know the path to the field.
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let traced: Result<T, _> = serde_path_to_error::deserialize(&mut reader);
        let path = traced.err().map(|error| error.path().to_string());
        bad_json(&error, path)
    })
}

fn bad_json(error: &serde_json::Error, path: Option<String>) -> Fault {
    let text = error.to_string();
    let quoted = |beginning: &str| {
        let rest = text.strip_prefix(beginning)?;
        Some(rest.split('`').next()?.to_owned())
    };
    if let Some(name) = quoted("missing field `") {
        return Fault::missing(within(path, &name));
    }
    if let Some(name) = quoted("unknown field `") {
        return Fault::invalid(
            within(path, &name),
            "the body has a field that is not known",
        );
    }
    if let Some(name) = quoted("duplicate field `") {
        return Fault::invalid(within(path, &name), "the body has the field twice");
    }
    let detail = format!("the body is not as documented: {text}");
    match path.filter(|path| path != "." && !error.is_syntax() && !error.is_eof()) {
        Some(path) => Fault::invalid(path, detail),
        None => Fault::invalid("body", detail).hint("Send one JSON object in UTF-8."),
    }
}

/// A field's name with what it is in: the path of an error ends at either.
fn within(path: Option<String>, name: &str) -> String {
    match path {
        None => name.to_owned(),
        Some(path) if path == "." => name.to_owned(),
        Some(path) if path == name || path.ends_with(&format!(".{name}")) => path,
        Some(path) => format!("{path}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[allow(dead_code)]
        name: String,
        #[serde(default)]
        #[allow(dead_code)]
        list: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code)]
        n: u8,
    }

    #[test]
    fn each_fault_of_a_body_names_its_field() {
        for (body, field, part) in [
            ("{}", "name", "missing"),
            (r#"{"name":"a","x":1}"#, "x", "not known"),
            (r#"{"name":"a","name":"b"}"#, "name", "twice"),
            (r#"{"name":5}"#, "name", "expected a string"),
            (r#"{"name":"a","list":[{"n":300}]}"#, "list[0].n", "300"),
            (r#"{"name":"a","list":[{"m":1}]}"#, "list[0].m", "not known"),
            ("[]", "body", "not as documented"),
            ("{\"name\":\"a\"} x", "body", "trailing"),
            ("", "body", "EOF"),
        ] {
            let fault = parse::<Outer>(body.as_bytes()).expect_err(body);
            assert_eq!(
                fault.field.as_deref(),
                Some(field),
                "{body}: {}",
                fault.detail
            );
            assert!(fault.detail.contains(part), "{body}: {}", fault.detail);
            assert_eq!(fault.status, StatusCode::BAD_REQUEST);
        }
        let fault = parse::<Outer>(b"{\"name\":\"\xff\"}").expect_err("no UTF-8");
        assert_eq!(fault.status, StatusCode::BAD_REQUEST);
    }
}
