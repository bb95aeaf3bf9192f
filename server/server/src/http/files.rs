//! Files that are built into the program: the console, the demonstration, the guide, the SDK's
//! bundles and packages.
//!
//! Conditions, ranges and `HEAD` are the library's; here is which form of a file is sent, for how
//! long it may be kept, and in what pieces.

use std::ops::Range;
use std::pin::Pin;
use std::time::SystemTime;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RANGE,
    VARY,
};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http_serve::{BoxError, Entity};

/// What is queued for a visitor in one go: they are parts of the program itself, so that nothing is
/// copied for it.
const PIECE_BYTES: u64 = 16 * 1024;

/// One file, in the forms in which it can be sent.
#[derive(Debug)]
pub(super) struct File {
    /// Where it is in its directory.
    pub(super) path: &'static str,
    media_type: &'static str,
    /// Of its content: 32 hexadecimal digits.
    tag: &'static str,
    /// What it may load and run when it is shown as a page.
    policy: &'static str,
    /// Its name holds a hash of its content.
    is_lasting: bool,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

mod embedded {
    //! Written by the build script, in the order of the paths.
    use super::File;
    include!(concat!(env!("OUT_DIR"), "/files.rs"));
}

/// A directory of files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Files(&'static [File]);

pub(super) const CONSOLE: Files = Files(embedded::CONSOLE);
pub(super) const DEMO: Files = Files(embedded::DEMO);
pub(super) const GUIDE: Files = Files(embedded::GUIDE);
/// Bundles of both SDKs, and the packages as `npm install` takes them. Their names do not overlap.
pub(super) const SDK: [Files; 3] = [
    Files(embedded::RTM),
    Files(embedded::SIGNALING),
    Files(embedded::PACKAGES),
];

/// What the program was built without, by where it would be.
#[must_use]
pub fn unbuilt() -> Vec<&'static str> {
    empty_of(&[
        ("/console", &[CONSOLE]),
        ("/demo", &[DEMO]),
        ("/docs", &[GUIDE]),
        ("/sdk", &SDK),
    ])
}

fn empty_of(parts: &[(&'static str, &[Files])]) -> Vec<&'static str> {
    let is_empty = |files: &[Files]| files.iter().all(|files| files.is_empty());
    let empty = parts.iter().filter(|(_, files)| is_empty(files));
    empty.map(|(path, _)| *path).collect()
}

impl Files {
    /// Whether the program was built without them.
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn find(self, path: &str) -> Option<&'static File> {
        let found = self.0.binary_search_by(|file| file.path.cmp(path));
        found.ok().map(|at| &self.0[at])
    }

    /// A page by its address: with or without `.html`, a directory by its `index.html`.
    pub(super) fn page(self, path: &str) -> Option<&'static File> {
        if path.is_empty() || path.ends_with('/') {
            return self.find(&format!("{path}index.html"));
        }
        self.find(path)
            .or_else(|| self.find(&format!("{path}.html")))
    }
}

impl File {
    /// Answers `GET` and `HEAD`.
    pub(super) fn serve<B>(&'static self, mut request: Request<B>) -> Response<Body> {
        let sent = self.form(request.headers());
        // Several parts in one answer have a head each, which would be made for all at once; the
        // standard lets a server send the whole instead.
        let is_several = |range: &HeaderValue| range.as_bytes().contains(&b',');
        if request.headers().get(RANGE).is_some_and(is_several) {
            request.headers_mut().remove(RANGE);
        }
        let mut response = http_serve::serve(sent, &request).map(Body::new);
        let headers = response.headers_mut();
        let cache = if self.is_lasting {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
        headers.insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(self.policy),
        );
        response
    }

    /// Answers that something else was not found, with this page.
    pub(super) fn serve_missing(&'static self, head: &HeaderMap) -> Response<Body> {
        let mut request = Request::new(());
        if let Some(accepted) = head.get(ACCEPT_ENCODING) {
            request
                .headers_mut()
                .insert(ACCEPT_ENCODING, accepted.clone());
        }
        let mut response = self.serve(request);
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    }

    /// The smallest form that the client takes.
    fn form(&'static self, request: &HeaderMap) -> Sent {
        let accepted = request.get_all(ACCEPT_ENCODING).iter();
        let accepted: Vec<_> = accepted.filter_map(|value| value.to_str().ok()).collect();
        let accepted = accepted.join(",");
        let forms = [("br", self.brotli), ("gzip", self.gzip)];
        let best = forms
            .into_iter()
            .filter_map(|(coding, bytes)| Some((coding, bytes?, quality(&accepted, coding)?)))
            .max_by(|(_, left, left_q), (_, right, right_q)| {
                (left_q, right.len()).cmp(&(right_q, left.len()))
            });
        let plain = quality(&accepted, "identity").unwrap_or(0);
        let (coding, bytes) = match best {
            Some((coding, bytes, quality)) if quality >= plain => (Some(coding), bytes),
            _ => (None, self.plain),
        };
        Sent {
            file: self,
            coding,
            bytes,
        }
    }
}

/// How much a client wants a coding, in thousandths; `None` = not at all. Source: RFC 9110, 12.5.3.
fn quality(accepted: &str, coding: &str) -> Option<u16> {
    let stated = accepted.split(',').map(|one| {
        let (name, parameter) = one.split_once(';').unwrap_or((one, ""));
        let quality = match parameter.trim().split_once('=') {
            Some((q, value)) if q.trim().eq_ignore_ascii_case("q") => {
                let value: f32 = value.trim().parse().unwrap_or(0.0);
                (value.clamp(0.0, 1.0) * 1_000.0) as u16
            }
            _ => 1_000,
        };
        (name.trim(), quality)
    });
    let of = |wanted: &str| {
        let mut stated = stated.clone();
        stated.find_map(|(name, q)| name.eq_ignore_ascii_case(wanted).then_some(q))
    };
    // What is not named may be sent plain only.
    let unnamed = (coding == "identity").then_some(1);
    let quality = of(coding).or_else(|| of("*")).or(unnamed)?;
    (quality > 0).then_some(quality)
}

/// One form of a file, as an answer sends it.
struct Sent {
    file: &'static File,
    coding: Option<&'static str>,
    bytes: &'static [u8],
}

impl Entity for Sent {
    type Error = BoxError;
    type Data = Bytes;

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn get_range(
        &self,
        range: Range<u64>,
    ) -> Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send + Sync>> {
        let bytes = self.bytes;
        Box::pin(stream::unfold(range, move |left| async move {
            if left.is_empty() {
                return None;
            }
            let end = left.end.min(left.start + PIECE_BYTES);
            let whole = usize::try_from(left.start).ok()?..usize::try_from(end).ok()?;
            let piece = bytes.get(whole)?;
            Some((Ok(Bytes::from_static(piece)), end..left.end))
        }))
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        let media_type = HeaderValue::from_static(self.file.media_type);
        headers.insert(CONTENT_TYPE, media_type);
        if let Some(coding) = self.coding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
    }

    fn etag(&self) -> Option<HeaderValue> {
        // Each form has bytes of its own, of which a client may ask for parts.
        let form = self.coding.map(|coding| format!("-{coding}"));
        let tag = format!("\"{}{}\"", self.file.tag, form.unwrap_or_default());
        HeaderValue::from_str(&tag).ok()
    }

    fn last_modified(&self) -> Option<SystemTime> {
        None
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Method;
    use axum::http::header::{
        ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE,
    };
    use futures_util::StreamExt as _;

    use super::*;

    static PLAIN: [u8; 40_000] = [b'p'; 40_000];

    static FILE: File = File {
        path: "a.js",
        media_type: "text/javascript; charset=utf-8",
        tag: "00112233445566778899aabbccddeeff",
        policy: "default-src 'none'",
        is_lasting: false,
        plain: &PLAIN,
        brotli: Some(b"br"),
        gzip: Some(b"gzip"),
    };

    #[test]
    fn what_the_program_was_built_without_is_named() {
        let none = Files(&[]);
        assert_eq!(
            empty_of(&[("/a", &[none]), ("/b", &[none, none])]),
            ["/a", "/b"]
        );
        let some = Files(std::slice::from_ref(&FILE));
        assert!(empty_of(&[("/a", &[some]), ("/b", &[none, some])]).is_empty());
    }

    fn ask(method: Method, headers: &[(axum::http::HeaderName, &str)]) -> Response<Body> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        for (name, value) in headers {
            let value = value.parse().expect("a header");
            request.headers_mut().append(name, value);
        }
        FILE.serve(request)
    }

    fn header(response: &Response<Body>, name: axum::http::HeaderName) -> &str {
        let value = response.headers().get(name);
        value.map_or("", |value| value.to_str().expect("text"))
    }

    #[test]
    fn the_smallest_form_that_is_wanted_is_sent() {
        let cases = [
            ("", ""),
            ("gzip, deflate, br", "br"),
            ("gzip", "gzip"),
            ("GZIP;q=0.5", "gzip"),
            ("br;q=0, gzip", "gzip"),
            ("br;q=0.2, gzip;q=0.8", "gzip"),
            ("*", "br"),
            ("br;q=0, gzip;q=0", ""),
            ("identity, br;q=0.5", ""),
            ("zstd", ""),
            ("br;q=nonsense", ""),
            ("br; q=1", "br"),
        ];
        for (accepted, expected) in cases {
            let response = ask(Method::GET, &[(ACCEPT_ENCODING, accepted)]);
            assert_eq!(header(&response, CONTENT_ENCODING), expected, "{accepted}");
            assert_eq!(header(&response, VARY), "Accept-Encoding");
        }
        let response = ask(
            Method::GET,
            &[(ACCEPT_ENCODING, "gzip"), (ACCEPT_ENCODING, "br")],
        );
        assert_eq!(header(&response, CONTENT_ENCODING), "br");
    }

    #[test]
    fn conditions_are_read_as_the_standard_says() {
        let tag = "\"00112233445566778899aabbccddeeff\"";
        let cases = [
            (IF_NONE_MATCH, tag.to_owned(), 304),
            (IF_NONE_MATCH, format!("W/{tag}"), 304),
            (IF_NONE_MATCH, format!("\"x\", W/{tag}, \"y\""), 304),
            (IF_NONE_MATCH, "*".to_owned(), 304),
            (IF_NONE_MATCH, "\"x\"".to_owned(), 200),
            (IF_NONE_MATCH, "nonsense".to_owned(), 200),
            (IF_MATCH, tag.to_owned(), 200),
            (IF_MATCH, "\"x\"".to_owned(), 412),
        ];
        for (name, value, expected) in cases {
            for method in [Method::GET, Method::HEAD] {
                let response = ask(method, &[(name.clone(), &value)]);
                assert_eq!(response.status().as_u16(), expected, "{name}: {value}");
                assert_eq!(header(&response, ETAG), tag);
            }
        }
        // Another form is another sequence of bytes.
        let other = ask(
            Method::GET,
            &[(ACCEPT_ENCODING, "br"), (IF_NONE_MATCH, tag)],
        );
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[test]
    fn parts_can_be_asked_for() {
        let cases = [
            ("bytes=1-3", 206, "3", "bytes 1-3/40000"),
            ("bytes=-5", 206, "5", "bytes 39995-39999/40000"),
            ("bytes=40000-", 416, "", "bytes */40000"),
            ("bytes=0-0,5-6", 200, "40000", ""),
            ("lines=1", 200, "40000", ""),
        ];
        for (range, status, length, part) in cases {
            let response = ask(Method::GET, &[(RANGE, range)]);
            assert_eq!(response.status().as_u16(), status, "{range}");
            assert_eq!(header(&response, CONTENT_LENGTH), length, "{range}");
            assert_eq!(header(&response, CONTENT_RANGE), part, "{range}");
        }
        let stale = ask(Method::GET, &[(RANGE, "bytes=1-3"), (IF_RANGE, "\"x\"")]);
        assert_eq!(stale.status(), StatusCode::OK);
        assert_eq!(header(&stale, ACCEPT_RANGES), "bytes");
    }

    #[tokio::test]
    async fn a_body_comes_in_pieces_of_the_program_itself() {
        let mut pieces = ask(Method::GET, &[]).into_body().into_data_stream();
        let mut at = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece.expect("no fault");
            assert!(piece.len() as u64 <= PIECE_BYTES);
            assert_eq!(piece.as_ptr(), PLAIN[at..].as_ptr(), "a copy");
            at += piece.len();
        }
        assert_eq!(at, PLAIN.len());
        let head = ask(Method::HEAD, &[]);
        assert_eq!(header(&head, CONTENT_LENGTH), "40000");
        assert!(head.into_body().into_data_stream().next().await.is_none());
    }
}
