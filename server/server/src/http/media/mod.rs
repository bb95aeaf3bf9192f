//! Uploads, downloads and deletions: `/v1/media/<app id>`, `/v1/media/<app id>/<media id>`.
//!
//! Who may: whoever could log in to the app, by the same check. What a client sees is in
//! `docs/internals/protocol.md`.

mod answer;
mod bandwidth;
mod guests;
mod range;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::{Router, get, post};
use bytes::Bytes;
use futures_util::StreamExt as _;
use percent_encoding::percent_decode_str;
use tidings_hub::Apps;
use tidings_hub::counts::{ByName, Tally};
use tidings_hub::credentials::{self, Credentials};
use tidings_wire::codes::Outcome;
use tidings_wire::names::AppId;
use tokio::time::sleep;

use self::answer::Problem;
use self::bandwidth::Bandwidth;
use self::guests::{Guests, Others, Seat};
use self::range::Wanted;
use super::guest::Guest;
use crate::clock::Clock;
use crate::config::MediaConfig;
use crate::media::{About, Media, MediaId, MediaStore, Owner, Shares, StoreError, Stored};
use crate::origins::{Origins, Page, StatedPage, has_own_rules};

/// Who uploads or downloads: the user id, percent-encoded, because it may hold spaces that headers
/// do not keep.
const USER: &str = "tidings-user";
/// The file's name, percent-encoded UTF-8.
const FILE_NAME: &str = "tidings-file-name";
/// How often files are looked for whose time is over.
const SWEEP: Duration = Duration::from_secs(600);

/// What the requests about files share.
pub(crate) struct MediaDoor {
    /// `None`: this server keeps no files.
    pub(crate) store: Option<Arc<dyn MediaStore>>,
    /// Replaced as a whole; held for the time of a copy of the pointer.
    apps: RwLock<Arc<Apps>>,
    pub(crate) origins: Origins,
    pub(crate) clock: Clock,
    config: MediaConfig,
    guests: Arc<Guests>,
    bandwidth: Bandwidth,
    /// Bytes of contents that have come in and gone out.
    received: AtomicU64,
    sent: Arc<AtomicU64>,
    /// What was refused because of a limit, by app and outcome.
    refusals: Mutex<Tally<ByName>>,
}

impl MediaDoor {
    pub(crate) fn new(
        store: Option<Arc<dyn MediaStore>>,
        apps: Arc<Apps>,
        origins: Origins,
        clock: Clock,
        config: MediaConfig,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            apps: RwLock::new(apps),
            origins,
            clock,
            config,
            guests: Arc::default(),
            bandwidth: Bandwidth::default(),
            received: AtomicU64::new(0),
            sent: Arc::default(),
            refusals: Mutex::default(),
        })
    }

    /// Bytes of contents that have come in, and that have gone out.
    pub(crate) fn transferred(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.received), count(&self.sent))
    }

    /// The answer to a request that is not done, which is counted if a limit is why.
    fn refuse(&self, app: &str, problem: Problem) -> Response<Body> {
        let is_limit = matches!(
            problem.outcome(),
            Outcome::MediaTooLarge
                | Outcome::MediaFull
                | Outcome::TooManyTransfers
                | Outcome::Overloaded
        );
        if is_limit && let Ok(app) = AppId::parse(app) {
            self.count_refusal(&app, problem.outcome());
        }
        problem.response()
    }

    fn count_refusal(&self, app: &AppId, outcome: Outcome) {
        let apps = self.apps();
        if apps.has(app) {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            let counts = refusals.of(app, || apps.listed.contains_key(app));
            counts.note(outcome.name());
        }
    }

    /// What was refused because of a limit, by app and outcome.
    pub(crate) fn refusals(&self) -> Tally<ByName> {
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.clone()
    }

    /// Bytes of files on disk, by app.
    pub(crate) fn stored(&self) -> Vec<(AppId, u64)> {
        let store = self.store.as_deref();
        store.map(MediaStore::stored).unwrap_or_default()
    }

    /// From now on, these are the tenants.
    pub(crate) fn replace_apps(&self, apps: Arc<Apps>) {
        *self.apps.write().unwrap_or_else(PoisonError::into_inner) = apps;
    }

    pub(crate) fn apps(&self) -> Arc<Apps> {
        let apps = self.apps.read().unwrap_or_else(PoisonError::into_inner);
        apps.clone()
    }

    /// Whether an app has the server for itself.
    fn others(&self) -> Others {
        let apps = self.apps();
        if apps.accept_any || apps.listed.len() > 1 {
            Others::Exist
        } else {
            Others::None
        }
    }

    fn shares(&self, app: &AppId) -> Shares {
        let apps = self.apps();
        let own = apps
            .listed
            .get(app)
            .and_then(|app| app.quotas.max_media_bytes);
        self.config.shares(self.others() == Others::Exist, own)
    }

    fn now_s(&self) -> u64 {
        self.clock.now().unix_s()
    }

    fn store(&self) -> Result<&dyn MediaStore, Problem> {
        self.store
            .as_deref()
            .ok_or_else(|| Problem::new(Outcome::MediaOff, "this server keeps no files".to_owned()))
    }

    /// The check of a login, with what the headers say.
    fn check(
        &self,
        guest: &Guest,
        app_id: &str,
        headers: &HeaderMap,
    ) -> Result<Credentials, Problem> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let user_id = text(USER).unwrap_or_default();
        let user_id = percent_decode_str(user_id).decode_utf8_lossy();
        let token = text(AUTHORIZATION.as_str()).unwrap_or_default();
        let token = match token.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => "",
        };
        let checked = credentials::check(&self.apps(), self.now_s(), (app_id, &user_id, token));
        let credentials = checked.map_err(|refused| {
            if is_guess(refused.outcome) {
                guest.note_failure();
            }
            Problem::new(refused.outcome, refused.text)
        })?;
        let value = |name| headers.get(name).map(HeaderValue::as_bytes);
        let page = StatedPage::of(Page {
            origin: value(ORIGIN),
            host: value(HOST),
        });
        let apps = self.apps();
        let listed = apps.listed.get(&credentials.app);
        self.origins
            .admit(listed, page.as_ref())
            .map_err(|text| Problem::new(Outcome::UnknownApp, text))?;
        Ok(credentials)
    }

    /// The same, and a seat.
    fn admit(
        &self,
        guest: &Guest,
        app_id: &str,
        headers: &HeaderMap,
    ) -> Result<(Credentials, Seat), Problem> {
        let credentials = self.check(guest, app_id, headers)?;
        let who = (&credentials.app, &credentials.user);
        let seat = self.guests.seat(who, self.others(), &guest.pace)?;
        Ok((credentials, seat))
    }
}

/// Whether credentials were wrong, as they are at the other doors.
fn is_guess(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::UnknownApp | Outcome::InvalidToken)
}

/// Deletes files whose time is over, now and then.
pub(super) async fn sweep(door: Arc<MediaDoor>) {
    let Some(store) = &door.store else { return };
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        match store.delete_expired(door.now_s()).await {
            Ok(0) => {}
            Ok(files) => tracing::debug!(files, "files deleted, their time was over"),
            Err(error) => {
                tracing::warn!(%error, "old files could not be deleted; tried again later")
            }
        }
    }
}

pub(super) fn routes(door: Arc<MediaDoor>) -> Router {
    Router::new()
        .route("/v1/media/{app}", post(upload).options(preflight))
        .route(
            "/v1/media/{app}/{id}",
            get(download).delete(delete).options(preflight),
        )
        .layer(from_fn_with_state(door.clone(), share))
        .with_state(door)
}

/// Lets pages of the allowed origins read the answer. No cookie is looked at, so any origin may be
/// allowed.
async fn share(State(door): State<Arc<MediaDoor>>, request: Request, next: Next) -> Response<Body> {
    let origin = request.headers().get(ORIGIN).cloned();
    let page = Page {
        origin: origin.as_ref().map(HeaderValue::as_bytes),
        host: request.headers().get(HOST).map(HeaderValue::as_bytes),
    };
    // Where an app has a list of its own, that one counts, and when it is known which app it is.
    let origins = if has_own_rules(&door.apps()) {
        &Origins::Any
    } else {
        &door.origins
    };
    if !origins.allow(page) {
        let mut response = Response::new(Body::from(
            "pages of this origin may not use this server\n\
             hint: Add the page's origin to the server's option --origin.\n",
        ));
        *response.status_mut() = StatusCode::FORBIDDEN;
        return response;
    }
    let mut response = next.run(request).await;
    answer::share(response.headers_mut(), origin, origins);
    response
}

async fn preflight() -> Response<Body> {
    answer::preflight()
}

async fn upload(
    State(door): State<Arc<MediaDoor>>,
    Extension(guest): Extension<Guest>,
    Path(app): Path<String>,
    request: Request,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    match receive(&door, &guest, &app, &head.headers, body).await {
        Ok((stored, size)) => answer::stored(&stored, size),
        Err(problem) => door.refuse(&app, problem),
    }
}

async fn receive(
    door: &MediaDoor,
    guest: &Guest,
    app: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Stored, u64), Problem> {
    let (credentials, _seat) = door.admit(guest, app, headers)?;
    if !credentials.may_upload() {
        let text = "the token permits to write to no channel and no user, so that there is nobody to upload for";
        return Err(Problem::new(Outcome::NotPermitted, text.to_owned()));
    }
    let store = door.store()?;
    let about = about(headers)?;
    let declared = headers.get(CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse().ok());
    door.check_size(declared.unwrap_or(0))?;
    let Credentials { app, user, .. } = credentials;
    let owner = Owner {
        app: app.clone(),
        user: Some(user.clone()),
    };
    let begun = store.begin(owner, door.shares(&app), about, door.now_s());
    let mut upload = begun.await?;
    let mut size = 0;
    let mut body = body.into_data_stream();
    while let Some(piece) = body.next().await {
        let piece: Bytes = piece.map_err(|error| {
            let text = format!("the upload ended after {size} bytes: {error}");
            Problem::new(Outcome::MediaTruncated, text)
        })?;
        size += piece.len() as u64;
        let received = piece.len() as u64;
        door.received.fetch_add(received, Ordering::Relaxed);
        door.check_size(size)?;
        let wait = door.bandwidth.spend(&app, &user, piece.len());
        upload.write(piece).await?;
        if !wait.is_zero() {
            guest.pace.excuse(wait);
            sleep(wait).await;
        }
    }
    if size == 0 {
        let text = "the file has no bytes".to_owned();
        return Err(Problem::new(Outcome::MediaEmpty, text));
    }
    Ok((upload.finish().await?, size))
}

impl MediaDoor {
    fn check_size(&self, size: u64) -> Result<(), Problem> {
        let max = self.config.file_bytes_max;
        if size <= max {
            return Ok(());
        }
        let text = format!("the file has {size} bytes or more; at most {max} are allowed");
        Err(Problem::new(Outcome::MediaTooLarge, text))
    }
}

fn about(headers: &HeaderMap) -> Result<About, Problem> {
    let invalid = |text| Problem::new(Outcome::InvalidArgument, text);
    let content_type = match headers.get(CONTENT_TYPE).map(|value| value.to_str()) {
        None => "",
        Some(Ok(text)) => text,
        Some(Err(_)) => return Err(invalid("the content type is not ASCII".to_owned())),
    };
    let name = match headers.get(FILE_NAME) {
        None => Default::default(),
        Some(value) => percent_decode_str(value.to_str().unwrap_or_default())
            .decode_utf8()
            .map_err(|_| invalid("the file name is not percent-encoded UTF-8".to_owned()))?,
    };
    About::new(content_type, &name).map_err(invalid)
}

async fn download(
    State(door): State<Arc<MediaDoor>>,
    Extension(guest): Extension<Guest>,
    Path((app, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    match find(&door, &guest, &app, &id, &headers).await {
        Ok((id, media, seat)) => {
            let wanted = Wanted::of(&headers, &answer::etag(&id), media.size);
            answer::content(&id, media, wanted, (seat, door.sent.clone()))
        }
        Err(problem) => door.refuse(&app, problem),
    }
}

/// Whoever has uploaded a file may delete it.
async fn delete(
    State(door): State<Arc<MediaDoor>>,
    Extension(guest): Extension<Guest>,
    Path((app, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    match remove(&door, &guest, &app, &id, &headers).await {
        Ok(()) => answer::deleted(),
        Err(problem) => problem.response(),
    }
}

async fn remove(
    door: &MediaDoor,
    guest: &Guest,
    app: &str,
    id: &str,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    let Credentials { app, user, .. } = door.check(guest, app, headers)?;
    let store = door.store()?;
    let id = MediaId::parse(id).ok_or_else(|| Problem::missing(&app, id))?;
    let owner = Owner {
        app,
        user: Some(user),
    };
    let deleted = store.delete(owner.clone(), id.clone(), door.now_s()).await;
    deleted.map_err(|error| match error {
        StoreError::NotFound => Problem::missing(&owner.app, id.as_str()),
        error => error.into(),
    })
}

async fn find(
    door: &MediaDoor,
    guest: &Guest,
    app: &str,
    id: &str,
    headers: &HeaderMap,
) -> Result<(MediaId, Media, Seat), Problem> {
    let (credentials, seat) = door.admit(guest, app, headers)?;
    let store = door.store()?;
    let id = MediaId::parse(id).ok_or_else(|| Problem::missing(&credentials.app, id))?;
    let app = credentials.app;
    match store.open(app.clone(), id.clone(), door.now_s()).await {
        Ok(media) => Ok((id, media, seat)),
        Err(StoreError::NotFound) => Err(Problem::missing(&app, id.as_str())),
        Err(error) => Err(error.into()),
    }
}
