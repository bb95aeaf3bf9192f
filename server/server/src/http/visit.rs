//! One visit: a connection, its requests, its end.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, HOST};
use axum::http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tidings_api::Stranger;
use tidings_wire::limits::{REQUEST_HEAD_BYTES_MAX, REQUEST_HEAD_HEADERS_MAX, VISIT_REQUESTS_MAX};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout};

use super::Visitor;
use super::answered::Answered;
use super::guest::{Client, head_bytes, wants_socket};
use super::io::{Parts, VisitorIo};
use super::linger::Lingering;
use super::pace::{Pace, Waits};
use super::routes::refusal;
use super::visits::{Visits, Word};
use crate::alpn::speaks_http2;
use crate::clock::Clock;
use crate::connection::Returned;
use crate::gate::StrangerPlace;
use crate::head::{Refusal, check_hosts, is_for_hub};
use crate::mailbox::{Envelope, Mailbox};
use crate::readiness::{Phase, Readiness};

/// What hyper may buffer in each direction: as much as a head has, the least that it takes.
const BUFFER_BYTES: usize = REQUEST_HEAD_BYTES_MAX;

/// A connection of HTTP/2 carries what a browser would open six others for, and takes the memory of
/// two.
const HTTP2_PLACES: usize = 2;

/// Requests at once on a connection of HTTP/2, each of which takes 3 KB: as many as a browser sends
/// on its connections of HTTP/1.1; it has the others wait.
const HTTP2_STREAMS_MAX: u32 = 6;

/// What a client may send ahead of what is read, on each stream and on all of a connection.
const HTTP2_WINDOW_BYTES: u32 = 64 * 1024;

/// What a visitor may take until it reads anything, and who finds no place for reading that.
const TURNED_AWAY: Duration = Duration::from_secs(1);

/// What all visits share. They are on one thread.
pub(super) struct House {
    pub(super) router: Router,
    /// The routes of the server-side API.
    pub(super) api: Router,
    pub(super) readiness: Arc<Readiness>,
    pub(super) clock: Clock,
    pub(super) waits: Waits,
    pub(super) visits: RefCell<Visits>,
    pub(super) lingering: RefCell<Lingering>,
}

/// What remains of a visit.
enum Rest {
    /// Its connection is over for the server.
    Over(Parts),
    /// Its connection goes to a hub, with these bytes.
    ToHub(Parts, Vec<u8>),
    /// Nothing remains of it.
    Nothing,
}

/// Serves a visitor until it leaves, or has to.
pub(super) async fn visit(house: Rc<House>, visitor: Box<Visitor>) {
    let Visitor {
        tcp,
        tls,
        bytes,
        stranger,
        home,
    } = *visitor;
    let is_http2 = tls.as_ref().is_some_and(|tls| speaks_http2(tls));
    let pace = Pace::begin(house.waits);
    let io = match VisitorIo::new(tcp, tls, bytes, pace.clone()) {
        Ok(io) => io,
        Err(error) => return tracing::debug!(%error, "a visitor could not be taken over"),
    };
    if !matches!(timeout(TURNED_AWAY, io.ready()).await, Ok(Ok(()))) {
        return tracing::debug!("a visitor reads nothing");
    }
    let places = if is_http2 { HTTP2_PLACES } else { 1 };
    let entered = house
        .visits
        .borrow_mut()
        .enter(stranger.visitor(), places, &pace);
    let Some((key, words)) = entered else {
        return Box::pin(turn_away(&house, io, is_http2, stranger)).await;
    };
    let client = Client::new(&stranger, &pace, house.clock);
    let visit = Visit {
        house: house.clone(),
        client,
        words: Some(words),
    };
    // Boxed, so that no visit has room for what only others need.
    let served: Pin<Box<dyn Future<Output = Rest>>> = if is_http2 {
        Box::pin(visit.serve_http2(io))
    } else {
        Box::pin(visit.serve_http1(io))
    };
    let rest = served.await;
    house.visits.borrow_mut().leave(key, &pace);
    match rest {
        Rest::Nothing => {}
        Rest::Over(parts) => Box::pin(close(&house, parts, stranger)).await,
        Rest::ToHub(parts, bytes) => send_to_hub(&home, parts, bytes, stranger),
    }
}

struct Visit {
    house: Rc<House>,
    client: Client,
    /// `None` once it was told something.
    words: Option<oneshot::Receiver<Word>>,
}

impl Visit {
    async fn serve_http1(mut self, io: VisitorIo) -> Rest {
        let service = {
            let (house, client) = (self.house.clone(), self.client.clone());
            service_fn(move |request| answer(house.clone(), client.clone(), request))
        };
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // The pace knows how long a head may take, and a pause between two.
            .header_read_timeout(None)
            .max_headers(REQUEST_HEAD_HEADERS_MAX)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(TokioIo::new(io), service);
        let end = self
            .keep_time(
                &mut connection,
                |connection, context| Pin::new(connection).poll(context),
                |connection| Pin::new(connection).graceful_shutdown(),
            )
            .await;
        let Some(result) = end else {
            return Rest::Nothing;
        };
        let parts = connection.into_parts();
        let mut left = parts.io.into_inner().into_parts();
        if let Some(mut bytes) = self.client.take_to_hub() {
            bytes.extend_from_slice(&parts.read_buf);
            bytes.append(&mut left.bytes);
            return Rest::ToHub(left, bytes);
        }
        if let Err(error) = result {
            tracing::debug!(%error, "a visit was broken off");
        }
        Rest::Over(left)
    }

    async fn serve_http2(mut self, io: VisitorIo) -> Rest {
        let service = {
            let (house, client) = (self.house.clone(), self.client.clone());
            service_fn(move |request| answer(house.clone(), client.clone(), request))
        };
        let connection = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .initial_stream_window_size(HTTP2_WINDOW_BYTES)
            .initial_connection_window_size(HTTP2_WINDOW_BYTES)
            .max_send_buf_size(BUFFER_BYTES)
            .max_header_list_size(REQUEST_HEAD_BYTES_MAX as u32)
            .serve_connection(TokioIo::new(io), service);
        let mut connection = Box::pin(connection);
        let end = self
            .keep_time(
                &mut connection,
                |connection, context| connection.as_mut().poll(context),
                |connection| connection.as_mut().graceful_shutdown(),
            )
            .await;
        if let Some(Err(error)) = end {
            tracing::debug!(%error, "a visit was broken off");
        }
        Rest::Nothing
    }

    /// Runs a connection to its end; `None` = it was cut off, for its slowness or because another
    /// needs its place.
    async fn keep_time<C, T>(
        &mut self,
        connection: &mut C,
        mut poll: impl FnMut(&mut C, &mut Context<'_>) -> Poll<T>,
        finish: impl Fn(&mut C),
    ) -> Option<T> {
        let pace = self.client.pace.clone();
        let mut timer = pin!(sleep_until(pace.deadline()));
        poll_fn(|context| {
            match self.poll_word(context) {
                Poll::Ready(Word::GiveUp) => return Poll::Ready(None),
                Poll::Ready(Word::Finish) => finish(connection),
                Poll::Pending => {}
            }
            if let Poll::Ready(end) = poll(connection, context) {
                return Poll::Ready(Some(end));
            }
            loop {
                let deadline = pace.deadline();
                if timer.deadline() != deadline {
                    timer.as_mut().reset(deadline);
                }
                if timer.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                if pace.is_over() {
                    return Poll::Ready(None);
                }
            }
        })
        .await
    }

    fn poll_word(&mut self, context: &mut Context<'_>) -> Poll<Word> {
        let Some(words) = &mut self.words else {
            return Poll::Pending;
        };
        let polled = Pin::new(words).poll(context);
        if polled.is_ready() {
            self.words = None;
        }
        // Without a sender there is nobody who could want anything.
        polled.map(|word| word.unwrap_or(Word::Finish))
    }
}

/// An answer, when it comes.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Answered>, LeavesForHub>>>>;

/// Ends the work of hyper on a connection that goes to a hub.
#[derive(Debug, thiserror::Error)]
#[error("the connection goes to a hub")]
struct LeavesForHub;

fn answer(house: Rc<House>, client: Client, request: Request<Incoming>) -> Answering {
    let begun = client.pace.begins_request();
    // Made first, so that the request ends however this one does.
    let mut answered = Answered::new(client.pace.clone());
    let is_http1 = request.version() <= Version::HTTP_11;
    if is_http1 {
        client.pace.takes(head_bytes(&request));
    }
    if is_http1 && is_for_hub(request.uri().path(), wants_socket(request.headers())) {
        return Box::pin(leave(client, request));
    }
    Box::pin(async move {
        let mut response = respond(&house, &client, request).await;
        let is_old = usize::try_from(begun).is_ok_and(|begun| begun >= VISIT_REQUESTS_MAX);
        let is_last =
            is_old && !client.pace.is_known() || house.readiness.phase() == Phase::Draining;
        if is_http1 && is_last {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        Ok(response.map(|body| {
            answered.take(body);
            answered
        }))
    })
}

async fn respond(house: &House, client: &Client, mut request: Request<Incoming>) -> Response<Body> {
    if request.version() == Version::HTTP_11 {
        let hosts = request.headers().get_all(HOST).iter();
        if let Err(fault) = check_hosts(hosts.map(HeaderValue::as_bytes)) {
            return refusal(&fault);
        }
    }
    if is_for_hub(request.uri().path(), false) {
        return refusal(&Refusal::Http2);
    }
    let guest = client.guest(request.headers());
    if tidings_api::is_path(request.uri().path()) {
        let stranger: Arc<dyn Stranger> = Arc::new(guest);
        request.extensions_mut().insert(stranger);
        let service = TowerToHyperService::new(house.api.clone());
        let answer: Result<_, Infallible> = service.call(request).await;
        return answer.unwrap_or_else(|never| match never {});
    }
    if let Err(full) = guest.enter() {
        return refusal(&full.into());
    }
    request.extensions_mut().insert(guest);
    let service = TowerToHyperService::new(house.router.clone());
    let answer: Result<_, Infallible> = service.call(request).await;
    answer.unwrap_or_else(|never| match never {})
}

/// Lets the connection go once everything before is written.
async fn leave(
    client: Client,
    request: Request<Incoming>,
) -> Result<Response<Answered>, LeavesForHub> {
    use axum::body::HttpBody as _;
    if !request.body().is_end_stream() {
        // A body would be taken for frames.
        let fault = Refusal::Body;
        let mut answered = Answered::new(client.pace.clone());
        return Ok(refusal(&fault).map(|body| {
            answered.take(body);
            answered
        }));
    }
    client.send_to_hub(&request);
    client.pace.drained().await;
    Err(LeavesForHub)
}

/// Ends a connection: what its client still sends is thrown away.
async fn close(house: &House, parts: Parts, stranger: StrangerPlace) {
    let Parts { mut tcp, tls, .. } = parts;
    if let Some(mut tls) = tls {
        tls.send_close_notify();
        // A socket that is full has no client that reads; it sees the end of the stream instead.
        let mut last = Vec::new();
        while tls.wants_write() && tls.write_tls(&mut last).is_ok() {}
        let _ = tcp.try_write(&last);
    }
    if tcp.shutdown().await.is_ok() {
        house.lingering.borrow_mut().add(tcp, Some(stranger));
    }
}

/// Gives a connection back to the hub that it came from.
fn send_to_hub(home: &Mailbox, parts: Parts, bytes: Vec<u8>, stranger: StrangerPlace) {
    let Parts { tcp, tls, .. } = parts;
    match tcp.into_std() {
        Ok(tcp) => home.post(vec![Envelope::Returned(Box::new(Returned {
            tcp,
            tls,
            bytes,
            stranger,
        }))]),
        Err(error) => tracing::debug!(%error, "a connection could not be given back"),
    }
}

/// Says that there is no place.
async fn turn_away(house: &House, mut io: VisitorIo, is_http2: bool, stranger: StrangerPlace) {
    tracing::debug!("a visitor found no place");
    if is_http2 {
        return;
    }
    let answer = Refusal::HttpBusy.response();
    let told = async {
        io.write_all(&answer).await?;
        io.flush().await
    };
    if matches!(timeout(TURNED_AWAY, told).await, Ok(Ok(()))) {
        close(house, io.into_parts(), stranger).await;
    }
}

/// Runs the tasks of HTTP/2 on this thread.
#[derive(Debug, Clone, Copy)]
struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}
