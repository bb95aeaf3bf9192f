//! A subscription: what an app wants to be told, and where.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Field, Refusal, RefusalKind};
use crate::guard::Rules;
use crate::kinds;
use crate::sources::{Event, GAP};

/// Patterns in one list of a subscription, at most.
pub(crate) const PATTERNS_MAX: usize = 64;
/// Bytes of one pattern, at most.
pub(crate) const PATTERN_BYTES_MAX: usize = 64;

/// What a subscription keeps on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its name, unique in the server.
    pub id: String,
    /// The app whose events it is told.
    pub app: String,
    /// Where notices go.
    pub url: String,
    /// Kinds of events: `user.login`, `user.*`, `*`.
    pub events: Vec<String>,
    /// Which of these events.
    #[serde(default)]
    pub filter: Filter,
    /// Off: the cursor stays where it is.
    pub is_enabled: bool,
    /// Why it was turned off, if not by a request.
    #[serde(default)]
    pub off_reason: Option<String>,
    /// In Unix milliseconds.
    pub created_ms: u64,
    /// What notices are signed with; the second one, if there is one, is going to replace the
    /// first.
    pub secrets: Vec<Secret>,
}

/// Which events of the kinds asked for: all, if a list is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookFilter)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Channels, exact or with `*` at the end; events without a channel do not match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// User ids, exact or with `*` at the end; events without a user do not match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
}

/// A secret that notices are signed with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// It is shown once, when it is made.
    pub text: String,
    /// In Unix milliseconds.
    pub created_ms: u64,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "Secret({})", self.created_ms)
    }
}

impl Secret {
    pub(crate) fn make(now_ms: u64) -> Self {
        Self {
            text: format!("whsec_{}", random_hex::<32>()),
            created_ms: now_ms,
        }
    }
}

/// Hex digits of `BYTES` random bytes.
pub(crate) fn random_hex<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    tidings_wire::hex(&bytes)
}

/// The body of `POST …/webhooks`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookWish)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "url": "https://backend.example.com/hook", "events": ["user.*"] }))]
pub struct NewSubscription {
    /// Where notices go.
    pub url: String,
    /// Kinds of events.
    pub events: Vec<String>,
    /// Which of these.
    #[serde(default)]
    pub filter: Filter,
    /// Off until it is turned on.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

/// The body of `PATCH …/webhooks/{id}`: what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookPatch)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({ "events": ["user.login"] }))]
pub struct SubscriptionChange {
    /// Where notices go.
    pub url: Option<String>,
    /// Kinds of events.
    pub events: Option<Vec<String>>,
    /// Which of these.
    pub filter: Option<Filter>,
    /// On or off.
    pub enabled: Option<bool>,
    /// The next step in replacing the secret.
    pub secret: Option<SecretStep>,
}

/// A step in replacing a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretStep {
    /// Makes a second one. Notices are signed with both.
    Rotate,
    /// Drops the old one, and the second takes its place.
    DropOld,
}

impl NewSubscription {
    pub(crate) fn check(&self, rules: &Rules) -> Result<(), Refusal> {
        rules.target(&self.url)?;
        check_events(&self.events)?;
        self.filter.check()
    }
}

impl SubscriptionChange {
    /// Applies the change. Returns the secret that was made.
    pub(crate) fn apply(
        &self,
        to: &mut Subscription,
        rules: &Rules,
        now_ms: u64,
    ) -> Result<Option<Secret>, Refusal> {
        if let Some(url) = &self.url {
            rules.target(url)?;
            to.url.clone_from(url);
        }
        if let Some(events) = &self.events {
            check_events(events)?;
            to.events.clone_from(events);
        }
        if let Some(filter) = &self.filter {
            filter.check()?;
            to.filter.clone_from(filter);
        }
        if let Some(enabled) = self.enabled {
            to.is_enabled = enabled;
            to.off_reason = None;
        }
        match self.secret {
            None => Ok(None),
            Some(SecretStep::Rotate) if to.secrets.len() > 1 => Err(Refusal::new(
                RefusalKind::Conflict,
                "there are two secrets already".to_owned(),
                "drop the old one first: {\"secret\": \"drop_old\"}",
            )),
            Some(SecretStep::Rotate) => {
                let made = Secret::make(now_ms);
                to.secrets.push(made.clone());
                Ok(Some(made))
            }
            Some(SecretStep::DropOld) if to.secrets.len() < 2 => Err(Refusal::new(
                RefusalKind::Conflict,
                "there is one secret only".to_owned(),
                "make the next one first: {\"secret\": \"rotate\"}",
            )),
            Some(SecretStep::DropOld) => {
                to.secrets.remove(0);
                Ok(None)
            }
        }
    }
}

fn check_events(events: &[String]) -> Result<(), Refusal> {
    let hint = "give kinds such as user.login, user.* or *; the guide page \"Webhooks\" lists them";
    let refuse = |detail| Err(Refusal::field(Field::Events, detail, hint));
    if events.is_empty() || events.len() > PATTERNS_MAX {
        return refuse(format!(
            "events has {} kinds, not 1 to {PATTERNS_MAX}",
            events.len()
        ));
    }
    match events.iter().find(|pattern| !kinds::is_known(pattern)) {
        Some(unknown) => refuse(format!("there are no events {unknown:?}")),
        None => Ok(()),
    }
}

impl Filter {
    fn check(&self) -> Result<(), Refusal> {
        for (name, list) in [("channels", &self.channels), ("users", &self.users)] {
            check_patterns(name, list)
                .map_err(|detail| Refusal::field(Field::Filter, detail, PATTERN_HINT))?;
        }
        Ok(())
    }
}

pub(crate) const PATTERN_HINT: &str =
    "give names of 1 to 64 bytes; a * at the end stands for any rest";

/// What is wrong with a list of patterns.
pub(crate) fn check_patterns(name: &str, list: &[String]) -> Result<(), String> {
    if list.len() > PATTERNS_MAX {
        return Err(format!(
            "{name} has {} patterns, more than {PATTERNS_MAX}",
            list.len()
        ));
    }
    let wrong = list
        .iter()
        .find(|pattern| pattern.is_empty() || pattern.len() > PATTERN_BYTES_MAX);
    match wrong {
        Some(wrong) => Err(format!("{name} has a pattern of {} bytes", wrong.len())),
        None => Ok(()),
    }
}

impl Subscription {
    /// Whether it is to be told of the event. Lost events are always told.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        let fits = |list: &[String], text: Option<&str>| {
            list.is_empty()
                || text.is_some_and(|text| list.iter().any(|pattern| kinds::matches(pattern, text)))
        };
        event.kind == GAP
            || self
                .events
                .iter()
                .any(|pattern| kinds::matches(pattern, &event.kind))
                && fits(&self.filter.channels, event.channel.as_deref())
                && fits(&self.filter.users, event.user.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, user: Option<&str>, channel: Option<&str>) -> Event {
        Event {
            number: 1,
            place: String::new(),
            at_ms: 0,
            kind: kind.to_owned(),
            user: user.map(str::to_owned),
            channel: channel.map(str::to_owned),
            order: 0,
            detail: serde_json::Map::new(),
        }
    }

    fn subscription(filter: Filter) -> Subscription {
        Subscription {
            id: "wh_1".to_owned(),
            app: "a".repeat(32),
            url: "https://example.com".to_owned(),
            events: vec!["channel.*".to_owned(), "user.login".to_owned()],
            filter,
            is_enabled: true,
            off_reason: None,
            created_ms: 0,
            secrets: vec![Secret::make(0)],
        }
    }

    #[test]
    fn kinds_and_filters_decide() {
        let all = subscription(Filter::default());
        assert!(all.wants(&event("user.login", Some("a"), None)));
        assert!(!all.wants(&event("user.logout", Some("a"), None)));
        assert!(all.wants(&event("channel.join", Some("a"), Some("c"))));
        assert!(all.wants(&event(GAP, None, None)));
        let some = subscription(Filter {
            channels: vec!["room.*".to_owned(), "hall".to_owned()],
            users: Vec::new(),
        });
        assert!(some.wants(&event("channel.join", Some("a"), Some("room.1"))));
        assert!(some.wants(&event("channel.join", Some("a"), Some("hall"))));
        assert!(!some.wants(&event("channel.join", Some("a"), Some("hall2"))));
        assert!(
            !some.wants(&event("user.login", Some("a"), None)),
            "it has no channel"
        );
        assert!(some.wants(&event(GAP, None, None)));
    }

    #[test]
    fn a_secret_is_replaced_in_two_steps_and_never_printed() {
        let mut subscription = subscription(Filter::default());
        let rules = Rules::default();
        let first = subscription.secrets[0].clone();
        let step = |secret| SubscriptionChange {
            secret: Some(secret),
            ..Default::default()
        };
        let early = step(SecretStep::DropOld).apply(&mut subscription, &rules, 1);
        assert_eq!(early.expect_err("one only").kind, RefusalKind::Conflict);
        let made = step(SecretStep::Rotate).apply(&mut subscription, &rules, 1);
        let made = made.expect("a second").expect("a secret");
        assert_eq!(subscription.secrets, [first.clone(), made.clone()]);
        assert!(
            step(SecretStep::Rotate)
                .apply(&mut subscription, &rules, 1)
                .is_err()
        );
        assert_eq!(
            step(SecretStep::DropOld).apply(&mut subscription, &rules, 1),
            Ok(None)
        );
        assert_eq!(subscription.secrets, [made]);
        assert!(!format!("{subscription:?}").contains("whsec_"));
        assert_ne!(first.text, subscription.secrets[0].text);
    }

    #[test]
    fn wrong_bodies_name_their_field() {
        let rules = Rules::default();
        let body = |json| serde_json::from_value::<NewSubscription>(json);
        let good = serde_json::json!({"url": "https://example.com/h", "events": ["*"]});
        assert!(body(good).expect("a body").check(&rules).is_ok());
        for (json, field) in [
            (
                serde_json::json!({"url": "gopher://x/", "events": ["*"]}),
                Field::Url,
            ),
            (
                serde_json::json!({"url": "https://x.org", "events": []}),
                Field::Events,
            ),
            (
                serde_json::json!({"url": "https://x.org", "events": ["user.logins"]}),
                Field::Events,
            ),
            (
                serde_json::json!({"url": "https://x.org", "events": ["*"], "filter": {"users": [""]}}),
                Field::Filter,
            ),
        ] {
            let refusal = body(json)
                .expect("a body")
                .check(&rules)
                .expect_err("refused");
            assert_eq!(refusal.kind, RefusalKind::Field(field));
        }
        let unknown = serde_json::json!({"url": "https://x.org", "events": ["*"], "secrets": 1});
        assert!(
            body(unknown)
                .expect_err("unknown")
                .to_string()
                .contains("secrets")
        );
    }
}
