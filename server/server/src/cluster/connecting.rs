//! How a link comes to a server, and what it does when it loses one.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::thread::Builder;

use mio::Registry;
use mio::net::TcpStream;
use tidings_cluster::LinkEvent;
use tidings_nats::Tls;

use super::link::{LINK, Link, Socket};
use super::resolved::Resolved;
use super::stream::Stream;
use crate::mailbox::Envelope;

/// How long a name may take to be resolved, a TCP connection to be made, or an INFO in clear to
/// come where TLS is spoken, in milliseconds. Larger: a server that is cut off is left later;
/// smaller: one far away is never reached.
const STEP_WAIT_MS: u64 = 2_000;

/// How long a TLS handshake may take before anything else, in milliseconds.
const TLS_WAIT_MS: u64 = 5_000;

/// A connection that has lasted so long was a good one: the next attempt is made at once.
const LASTING_MS: u64 = 5_000;

/// The same trouble is told again after this long, in milliseconds.
const TELL_AGAIN_MS: u64 = 60_000;

impl Link {
    /// Tries the next server.
    pub(super) fn begin(&mut self, now_ms: u64, registry: &Registry) {
        self.attempt += 1;
        self.servers.advance(random);
        let Some(candidate) = self.servers.current() else {
            return;
        };
        self.report.server = Some(candidate.server.to_string());
        let (host, port) = (candidate.server.host.clone(), candidate.server.port);
        if let Ok(address) = host.parse::<IpAddr>() {
            let found = vec![SocketAddr::new(address, port)];
            return self.connect_to(now_ms, registry, found);
        }
        let due_ms = now_ms + STEP_WAIT_MS;
        self.socket = Socket::Resolving { due_ms };
        if self.is_resolving {
            // The system still looks for an earlier name: the next server, or this one later.
            return;
        }
        let (attempt, mailbox) = (self.attempt, self.mailbox.clone());
        let resolve = move || {
            let found = (host.as_str(), port).to_socket_addrs();
            let found = found.map(Iterator::collect);
            let resolved = Resolved { attempt, found };
            mailbox.post(vec![Envelope::Resolved(Box::new(resolved))]);
        };
        match Builder::new().name("nats-name".into()).spawn(resolve) {
            Ok(_) => self.is_resolving = true,
            Err(error) => {
                let why = format!("no thread for its name: {error}");
                self.lose(now_ms, registry, &why, None);
            }
        }
    }

    pub(super) fn connect_to(&mut self, now_ms: u64, registry: &Registry, found: Vec<SocketAddr>) {
        if let Some(candidate) = self.servers.current() {
            candidate.addresses.clone_from(&found);
        }
        self.addresses = found;
        // Those in front are the system's choice.
        self.addresses.reverse();
        let none = io::Error::from(ErrorKind::AddrNotAvailable);
        self.try_next_address(now_ms, registry, &none);
    }

    /// Tries the server's next address, or gives the server up for this error.
    pub(super) fn try_next_address(&mut self, now_ms: u64, registry: &Registry, error: &io::Error) {
        let mut why = error.to_string();
        while let Some(address) = self.addresses.pop() {
            self.is_readable = false;
            self.is_writable = false;
            let begun =
                TcpStream::connect(address).and_then(|tcp| Stream::register(tcp, registry, LINK));
            match begun {
                Ok(stream) => {
                    let due_ms = now_ms + STEP_WAIT_MS;
                    let before =
                        std::mem::replace(&mut self.socket, Socket::Connecting { stream, due_ms });
                    return before.end(registry);
                }
                Err(error) => why = error.to_string(),
            }
        }
        let why = format!("no connection: {why}");
        let hint = "check that nats-server runs there and that no firewall is in between";
        self.lose(now_ms, registry, &why, Some(hint));
    }

    /// TCP is connected.
    pub(super) fn open(&mut self, now_ms: u64, registry: &Registry) {
        let next = Socket::Waiting { until_ms: now_ms };
        let Socket::Connecting { mut stream, .. } = std::mem::replace(&mut self.socket, next)
        else {
            return;
        };
        let Some(candidate) = self.servers.current() else {
            return;
        };
        if candidate.server.is_tls && candidate.begins_with_tls {
            let started = stream.start_tls(&self.place.tls, &candidate.tls_name);
            let due_ms = now_ms + TLS_WAIT_MS;
            self.socket = Socket::Securing { stream, due_ms };
            if let Err(error) = started {
                self.fail(now_ms, registry, &error);
            }
            return;
        }
        let (tls, info_due_ms) = if candidate.server.is_tls {
            (Tls::AfterInfo, Some(now_ms + STEP_WAIT_MS))
        } else {
            (Tls::IfRequired, None)
        };
        self.socket = Socket::Open {
            stream,
            info_due_ms,
        };
        self.nats.opened(now_ms, tls);
    }

    /// The TLS handshake is done.
    pub(super) fn secured(&mut self, now_ms: u64) {
        let next = Socket::Waiting { until_ms: now_ms };
        self.socket = match std::mem::replace(&mut self.socket, next) {
            Socket::Securing { stream, .. } => {
                self.nats.opened(now_ms, Tls::First);
                Socket::Open {
                    stream,
                    info_due_ms: None,
                }
            }
            other => {
                self.nats.secured(now_ms);
                other
            }
        };
    }

    pub(super) fn start_tls(&mut self, now_ms: u64, registry: &Registry) {
        let (Socket::Open { stream, .. }, Some(candidate)) =
            (&mut self.socket, self.servers.current())
        else {
            return;
        };
        if let Err(error) = stream.start_tls(&self.place.tls, &candidate.tls_name) {
            self.fail(now_ms, registry, &error);
        }
    }

    pub(super) fn turn_tls_around(&mut self, begins_with_tls: bool) {
        if let Some(candidate) = self.servers.current() {
            candidate.begins_with_tls = begins_with_tls;
        }
    }

    // ------------------------------------------------------------ what goes wrong

    /// The socket has failed.
    pub(super) fn fail(&mut self, now_ms: u64, registry: &Registry, error: &io::Error) {
        let is_tls = error.kind() == ErrorKind::InvalidData;
        let hint = if is_tls {
            // The other way round the next time, if that was the mistake.
            if matches!(self.socket, Socket::Securing { .. }) {
                self.turn_tls_around(false);
            }
            Some(
                "check that the certificate is for the name in --cluster-nats, and signed by an \
                 authority in --cluster-ca",
            )
        } else {
            None
        };
        let what = if is_tls {
            "no TLS"
        } else {
            "the connection broke"
        };
        self.lose(now_ms, registry, &format!("{what}: {error}"), hint);
    }

    /// The server is given up; the next attempt is made after a pause.
    pub(super) fn lose(
        &mut self,
        now_ms: u64,
        registry: &Registry,
        why: &str,
        hint: Option<&'static str>,
    ) {
        self.nats.closed();
        if let Some(up_ms) = self.up_ms.take() {
            self.heard.push_back(LinkEvent::Down);
            if now_ms - up_ms >= LASTING_MS {
                self.servers.succeed();
            }
        }
        self.is_readable = false;
        self.is_writable = false;
        let until_ms = now_ms + self.servers.pause_ms(now_ms, random());
        let before = std::mem::replace(&mut self.socket, Socket::Waiting { until_ms });
        before.end(registry);
        self.tell(now_ms, why, hint);
    }

    /// Says what is wrong with the present server: each trouble once, and again after a while.
    pub(super) fn tell(&mut self, now_ms: u64, why: &str, hint: Option<&'static str>) {
        let server = self.report.server.clone().unwrap_or_default();
        let trouble = format!("{server}: {why}");
        let is_new = self.report.trouble.as_ref() != Some(&trouble);
        let told_ms = self.told_ms.filter(|_| !is_new);
        if told_ms.is_none_or(|told_ms| now_ms - told_ms >= TELL_AGAIN_MS) {
            self.told_ms = Some(now_ms);
            tracing::warn!(
                hub = self.hub.hub,
                server,
                error = why,
                hint,
                "NATS is not as it should be"
            );
        } else {
            tracing::debug!(
                hub = self.hub.hub,
                server,
                error = why,
                "NATS is still not as it should be"
            );
        }
        self.report.trouble = Some(trouble);
        self.report.hint = hint;
    }
}

/// A number that nobody can foresee; without one, nodes would only come back at the same time.
fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}
