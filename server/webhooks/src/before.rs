//! Moderation: an app's endpoint is asked about a message before it is sent (rest 12.6).
//!
//! Who holds the message and keeps the order is the hub. Here is where the question goes, and what
//! an answer means.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tidings_wire::limits::{MODERATION_APP_CALLS_MAX, MODERATION_WAIT_MS_MAX};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use utoipa::ToSchema;

use tidings_spans::{Kind, TraceContext};

use crate::Webhooks;
use crate::body;
use crate::call::{Call, Line};
use crate::error::{Fault, Field, Refusal, RefusalKind};
use crate::hook;
use crate::runner::Shared;
use crate::sign;
use crate::sources::{Event, Records, Table};
use crate::subscription::{PATTERN_HINT, Secret, SecretStep, check_patterns, random_hex};
use crate::word::{Word, understand};

/// The kind of a question.
const BEFORE: &str = "message.before";
/// Questions of all apps at once.
const CALLS_MAX: usize = 1_024;

/// The body of `PUT …/moderation`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = ModerationWish)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "url": "https://backend.example.com/before",
    "channels": ["news"],
    "timeout_ms": 500,
    "on_timeout": "pass"
}))]
pub struct NewModeration {
    /// Where questions go.
    pub url: String,
    /// Channels whose messages are held, exact or with `*` at the end.
    pub channels: Vec<String>,
    /// How long a message is held at most, 1 to 2,000.
    pub timeout_ms: u64,
    /// What becomes of a message without an answer in time.
    pub on_timeout: OnTimeout,
    /// The next step in replacing the secret; absent: it stays, or the first one is made.
    #[serde(default)]
    pub secret: Option<SecretStep>,
}

/// What becomes of a message without an answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ModerationOnTimeout)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// It is sent.
    Pass,
    /// It is refused.
    Refuse,
}

/// What is kept of an app's moderation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moderation {
    /// The id of the app whose messages are held.
    pub app: String,
    /// Where questions go.
    pub url: String,
    /// Channels whose messages are held.
    pub channels: Vec<String>,
    /// How long a message is held at most, in milliseconds.
    pub timeout_ms: u64,
    /// What becomes of a message without an answer in time.
    pub on_timeout: OnTimeout,
    /// In Unix milliseconds.
    pub created_ms: u64,
    /// As a subscription's.
    pub secrets: Vec<Secret>,
}

/// Moderation as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Moderation)]
pub struct ModerationView {
    /// Where questions go.
    pub url: String,
    /// Channels whose messages are held.
    pub channels: Vec<String>,
    /// How long a message is held at most, in milliseconds.
    pub timeout_ms: u64,
    /// What becomes of a message without an answer in time.
    pub on_timeout: OnTimeout,
    /// In Unix milliseconds.
    pub created_ms: u64,
    /// When each secret was made, in Unix milliseconds; the second one is the next.
    pub secrets_created_ms: Vec<u64>,
    /// The secret that this request made; shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// What has been answered since the server was started.
    pub status: Counts,
}

/// What has come of questions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ModerationStatus)]
pub struct Counts {
    /// Messages that were held to ask the app's endpoint about them.
    pub asked: u64,
    /// Answers that let the message pass.
    pub passed: u64,
    /// Answers that changed it.
    pub changed: u64,
    /// Answers that refused it.
    pub refused: u64,
    /// No answer in time, or none that is understood.
    pub unanswered: u64,
    /// Why the last of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A message that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The id of the app in which it was sent.
    pub app: String,
    /// Where it is sent.
    pub channel: String,
    /// The user id of the sender.
    pub user: String,
    /// `text`, `raw`, `file` or `image`.
    pub kind: &'static str,
    /// Its text, or the description of what it holds.
    pub text: Option<String>,
    /// The bytes of a raw message; `None` for other kinds.
    pub data: Option<Vec<u8>>,
    /// When it came, in Unix milliseconds.
    pub at_ms: u64,
}

/// Takes the rules of all apps whenever one of them changes.
pub type OnRules = Arc<dyn Fn(Vec<Moderation>) + Send + Sync>;

/// The moderation of all apps.
pub(crate) struct Desk {
    /// By app. Bound: one per app.
    apps: Mutex<BTreeMap<String, Arc<OfApp>>>,
    all: Semaphore,
    on_rules: OnRules,
}

struct OfApp {
    rule: Moderation,
    calls: Semaphore,
    /// Open connections. Bound: calls at once.
    lines: Mutex<Vec<Line>>,
    counts: Mutex<Counts>,
}

impl Desk {
    /// Reads the rules.
    pub(crate) async fn load(records: &dyn Records, on_rules: OnRules) -> Result<Self, Fault> {
        let rows = crate::manage::all(records, Table::Webhooks, String::new()).await?;
        let mut apps = BTreeMap::new();
        for (key, row) in rows.iter().filter(|(key, _)| key.ends_with(KEY)) {
            match serde_json::from_slice::<Moderation>(row) {
                Ok(rule) => {
                    apps.insert(rule.app.clone(), Arc::new(OfApp::new(rule, None)));
                }
                Err(error) => {
                    tracing::error!(record = key, %error, "a moderation rule cannot be read")
                }
            }
        }
        let desk = Self {
            apps: Mutex::new(apps),
            all: Semaphore::new(CALLS_MAX),
            on_rules,
        };
        desk.tell();
        Ok(desk)
    }

    fn apps(&self) -> MutexGuard<'_, BTreeMap<String, Arc<OfApp>>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, app: &str) -> Option<Arc<OfApp>> {
        self.apps().get(app).cloned()
    }

    fn tell(&self) {
        let rules = self.apps().values().map(|of| of.rule.clone()).collect();
        (self.on_rules)(rules);
    }
}

impl OfApp {
    fn new(rule: Moderation, before: Option<&Self>) -> Self {
        Self {
            rule,
            calls: Semaphore::new(MODERATION_APP_CALLS_MAX),
            lines: Mutex::default(),
            counts: Mutex::new(
                before
                    .map(|before| before.counts().clone())
                    .unwrap_or_default(),
            ),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self, secret: Option<Secret>) -> ModerationView {
        let rule = &self.rule;
        ModerationView {
            url: rule.url.clone(),
            channels: rule.channels.clone(),
            timeout_ms: rule.timeout_ms,
            on_timeout: rule.on_timeout,
            created_ms: rule.created_ms,
            secrets_created_ms: rule
                .secrets
                .iter()
                .map(|secret| secret.created_ms)
                .collect(),
            secret: secret.map(|secret| secret.text),
            status: self.counts().clone(),
        }
    }
}

/// The end of a rule's key, behind the app.
const KEY: &str = "/before";

impl Webhooks {
    /// An app's moderation.
    ///
    /// # Errors
    /// [`Refusal`]: it has none.
    pub fn moderation(&self, app: &str) -> Result<ModerationView, Refusal> {
        let found = self.desk.of(app);
        found.map(|of| of.view(None)).ok_or_else(none)
    }

    /// Sets an app's moderation: from now on, messages to these channels are held. The answer has
    /// the secret that was made, if one was.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was changed.
    pub async fn set_moderation(
        &self,
        app: &str,
        new: NewModeration,
    ) -> Result<ModerationView, Refusal> {
        self.shared.caller.rules.target(&new.url)?;
        new.check()?;
        let _managing = self.shared.managing.lock().await;
        let before = self.desk.of(app);
        let now_ms = self.shared.clock.now_ms();
        let known = before.as_ref().map(|of| &of.rule);
        let mut secrets = known.map(|rule| rule.secrets.clone()).unwrap_or_default();
        let mut made = None;
        if secrets.is_empty() || new.secret == Some(SecretStep::Rotate) && secrets.len() == 1 {
            let secret = Secret::make(now_ms);
            made = Some(secret.clone());
            secrets.push(secret);
        } else if new.secret == Some(SecretStep::DropOld) && secrets.len() > 1 {
            secrets.remove(0);
        } else if new.secret.is_some() {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                format!("there are {} secrets", secrets.len()),
                "rotate when there is one, and drop_old when there are two",
            ));
        }
        let rule = Moderation {
            app: app.to_owned(),
            url: new.url,
            channels: new.channels,
            timeout_ms: new.timeout_ms,
            on_timeout: new.on_timeout,
            created_ms: known.map_or(now_ms, |rule| rule.created_ms),
            secrets,
        };
        let written = hook::json(Table::Webhooks, format!("{app}{KEY}"), &rule);
        self.shared.records.write(vec![written]).await?;
        let of = Arc::new(OfApp::new(rule, before.as_deref()));
        self.desk.apps().insert(app.to_owned(), of.clone());
        self.desk.tell();
        Ok(of.view(made))
    }

    /// Ends an app's moderation: from now on, nothing is held.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn end_moderation(&self, app: &str) -> Result<(), Refusal> {
        let _managing = self.shared.managing.lock().await;
        if self.desk.of(app).is_none() {
            return Err(none());
        }
        let gone = hook::deletion(Table::Webhooks, format!("{app}{KEY}"));
        self.shared.records.write(vec![gone]).await?;
        self.desk.apps().remove(app);
        self.desk.tell();
        Ok(())
    }

    /// Asks an app's endpoint about a message, and gives its word to `then`, at the latest when the
    /// app's time is over. Returns at once; works from any thread.
    pub fn ask(&self, question: Question, then: impl FnOnce(Word) + Send + 'static) {
        let (desk, shared) = (self.desk.clone(), self.shared.clone());
        let asked = Instant::now();
        self.runtime.spawn(async move {
            let word = desk.ask(&shared, question, asked).await;
            then(word);
        });
    }
}

impl Desk {
    async fn ask(&self, shared: &Shared, question: Question, asked: Instant) -> Word {
        let Some(of) = self.of(&question.app) else {
            // It has ended since.
            return Word::Pass;
        };
        let deadline = asked + Duration::from_millis(of.rule.timeout_ms);
        of.counts().asked += 1;
        let called = tokio::time::timeout_at(deadline, self.call(shared, &of, &question, deadline));
        let word = match called.await {
            Ok(word) => word,
            Err(_) => Err("too many questions were waiting for an answer".to_owned()),
        };
        let mut counts = of.counts();
        match word {
            Ok(word) => {
                match word {
                    Word::Pass => counts.passed += 1,
                    Word::Text(_) | Word::Data(_) => counts.changed += 1,
                    Word::Refuse(_) => counts.refused += 1,
                    Word::Nothing(_) => counts.unanswered += 1,
                }
                word
            }
            Err(error) => {
                counts.unanswered += 1;
                counts.error = Some(error);
                Word::Nothing(of.rule.on_timeout)
            }
        }
    }

    async fn call(
        &self,
        shared: &Shared,
        of: &OfApp,
        question: &Question,
        deadline: Instant,
    ) -> Result<Word, String> {
        let closed = |_| "the server is being stopped".to_owned();
        let _own = of.calls.acquire().await.map_err(closed)?;
        let _all = self.all.acquire().await.map_err(closed)?;
        let target = shared.caller.rules.target(&of.rule.url);
        let target = target.map_err(|refusal| refusal.detail)?;
        let now_ms = shared.clock.now_ms();
        let event = question.event();
        let mut body = body::frame(&question.app, &event, now_ms);
        body["noticeId"] = json!(random_hex::<16>());
        let body = serde_json::to_vec(&body).expect("JSON is written");
        let mut secrets = of.rule.secrets.iter().map(|secret| secret.text.as_str());
        let secret = secrets.next().unwrap_or_default();
        let mut span = tidings_spans::begin("message.before", Kind::Client, None);
        span.set("tidings.app", question.app.clone());
        let mut headers = sign::headers(secret, secrets.next(), now_ms / 1_000, &body);
        let cause = span.context();
        headers.extend(cause.map(|cause| (TraceContext::HEADER, cause.to_string())));
        let call = Call {
            target: &target,
            headers: &headers,
            body: body.into(),
            deadline,
        };
        let mut line = of.lines().pop();
        let name = shared.slots.name(&question.app);
        let answer = shared.caller.post(&mut line, &call, name).await;
        match &answer {
            Ok(answer) => span.set("http.response.status_code", i64::from(answer.status)),
            Err(error) => span.fail(error.to_string()),
        }
        if let Some(line) = line {
            let mut lines = of.lines();
            if lines.len() < MODERATION_APP_CALLS_MAX {
                lines.push(line);
            }
        }
        understand(&answer.map_err(|error| error.to_string())?)
    }
}

impl Question {
    fn event(&self) -> Event {
        let mut detail = Map::new();
        detail.insert("message_type".to_owned(), json!(self.kind));
        if let Some(text) = &self.text {
            detail.insert("text".to_owned(), Value::from(text.as_str()));
        }
        if let Some(data) = &self.data {
            detail.insert("payload_base64".to_owned(), json!(BASE64.encode(data)));
        }
        Event {
            number: 0,
            place: String::new(),
            at_ms: self.at_ms,
            kind: BEFORE.to_owned(),
            user: Some(self.user.clone()),
            channel: Some(self.channel.clone()),
            order: 0,
            detail,
        }
    }
}

impl NewModeration {
    fn check(&self) -> Result<(), Refusal> {
        let refuse = |field, detail| Refusal::field(field, detail, PATTERN_HINT);
        check_patterns("channels", &self.channels)
            .map_err(|detail| refuse(Field::Channels, detail))?;
        if self.channels.is_empty() {
            let detail = "channels has no pattern: nothing would be held".to_owned();
            return Err(refuse(Field::Channels, detail));
        }
        if !(1..=MODERATION_WAIT_MS_MAX as u64).contains(&self.timeout_ms) {
            let detail = format!(
                "timeout_ms is {}, not 1 to {MODERATION_WAIT_MS_MAX}",
                self.timeout_ms
            );
            let hint = "give the milliseconds for which a sender may wait";
            return Err(Refusal::field(Field::TimeoutMs, detail, hint));
        }
        Ok(())
    }
}

fn none() -> Refusal {
    Refusal::new(
        RefusalKind::NotFound,
        "the app has no moderation".to_owned(),
        "set it: PUT /api/v1/apps/{app}/moderation",
    )
}
