//! Whom a request is from, and what is remembered of it.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use axum::http::header::UPGRADE;
use axum::http::{HeaderMap, Request, Version};

use tidings_api::Stranger;

use super::pace::Pace;
use crate::api::wait_ms;
use crate::clock::Clock;
use crate::forwarded::forwarded_by;
use crate::gate::{Full, Gate, StrangerPlace};

/// Whom a request is from. Handlers find it among the request's extensions.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) pace: Pace,
    gate: Arc<Gate>,
    /// `None` = nobody in particular.
    address: Option<IpAddr>,
    /// The connection may be others' too.
    is_shared: bool,
    clock: Clock,
}

impl Guest {
    /// Counts a request.
    ///
    /// # Errors
    /// Its source sends too many, or has to pause.
    pub(super) fn enter(&self) -> Result<(), Full> {
        match self.address {
            Some(address) => self.gate.request(address, self.now_ms()),
            None => Ok(()),
        }
    }

    /// It has shown a wrong token: who does so too often has to pause, at every door.
    pub(super) fn note_failure(&self) {
        if let Some(address) = self.address {
            self.gate.note_failure_of(address, self.now_ms());
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.now().mono_ms
    }
}

impl Stranger for Guest {
    fn check(&self) -> Result<(), u64> {
        if self.pace.is_known() && !self.is_shared {
            return Ok(());
        }
        self.enter().map_err(|full| wait_ms(full.into()))
    }

    fn note_failure(&self) {
        Self::note_failure(self);
    }

    fn address(&self) -> Option<IpAddr> {
        self.address
    }

    fn note_welcome(&self) {
        if !self.pace.is_known() {
            self.pace.becomes_known();
        }
        if let Some(address) = self.address.filter(|_| self.is_shared) {
            self.gate.give_back_request(address);
        }
    }
}

/// The client of a connection, of which requests are made guests.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) pace: Pace,
    gate: Arc<Gate>,
    address: Option<IpAddr>,
    /// Each request may be somebody else's, whom the proxy names.
    is_shared: bool,
    clock: Clock,
    /// The head of a request that is for a hub.
    to_hub: Rc<RefCell<Option<Vec<u8>>>>,
}

impl Client {
    pub(super) fn new(stranger: &StrangerPlace, pace: &Pace, clock: Clock) -> Self {
        Self {
            pace: pace.clone(),
            gate: stranger.gate().clone(),
            address: Some(stranger.address()),
            is_shared: stranger.is_shared(),
            clock,
            to_hub: Rc::default(),
        }
    }

    pub(super) fn guest(&self, headers: &HeaderMap) -> Guest {
        let address = if self.is_shared {
            forwarded_by(headers, &self.gate)
        } else {
            self.address
        };
        Guest {
            pace: self.pace.clone(),
            gate: self.gate.clone(),
            address,
            is_shared: self.is_shared,
            clock: self.clock,
        }
    }

    /// Notes that the connection goes to a hub, with this request.
    pub(super) fn send_to_hub<B>(&self, request: &Request<B>) {
        *self.to_hub.borrow_mut() = Some(head_of(request));
    }

    pub(super) fn take_to_hub(&self) -> Option<Vec<u8>> {
        self.to_hub.borrow_mut().take()
    }
}

/// Whether the request wants another protocol.
pub(super) fn wants_socket(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
}

/// About as many bytes as the head of a request had.
pub(super) fn head_bytes<B>(request: &Request<B>) -> usize {
    let target = request.uri().path_and_query();
    let line = target.map_or(1, |target| target.as_str().len()) + request.method().as_str().len();
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + "  HTTP/1.1\r\n\r\n".len() + headers.sum::<usize>()
}

/// The head of a request, to be judged by a hub as if it had come first on its connection.
fn head_of<B>(request: &Request<B>) -> Vec<u8> {
    let version = match request.version() {
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    let target = request.uri().path_and_query();
    let target = target.map_or("/", |target| target.as_str());
    let mut head = format!("{} {target} HTTP/{version}\r\n", request.method()).into_bytes();
    for (name, value) in request.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_written_as_it_was_read() {
        let request = Request::builder()
            .uri("/rtm?a=b")
            .header("Host", "a")
            .header("Origin", "https://a")
            .header("X-Twice", "1")
            .header("X-Twice", "2")
            .body(())
            .expect("a request");
        assert_eq!(head_bytes(&request), head_of(&request).len());
        let head = String::from_utf8(head_of(&request)).expect("text");
        assert_eq!(
            head,
            "GET /rtm?a=b HTTP/1.1\r\nhost: a\r\norigin: https://a\r\nx-twice: 1\r\nx-twice: 2\r\n\r\n"
        );
    }
}
