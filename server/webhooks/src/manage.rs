//! What the API asks: subscriptions made, changed and deleted; samples, deliveries, dead letters.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tidings_wire::limits::WEBHOOKS_PER_APP_MAX as SUBSCRIPTIONS_MAX;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::Webhooks;
use crate::body;
use crate::delivery::{Delivery, Progress, State, Verdict};
use crate::error::{Fault, Refusal, RefusalKind};
use crate::hook::{self, Hook, HookState, Kept};
use crate::runner::Shared;
use crate::slots::Standing;
use crate::sources::{Event, Records, Row, Table};
use crate::subscription::{
    Filter, NewSubscription, Secret, Subscription, SubscriptionChange, random_hex,
};

/// How long a redelivery of all dead letters goes on before it answers.
const REDELIVERY: Duration = Duration::from_secs(20);
/// Records that are read at once.
const PAGE: usize = 64;

/// A subscription as the API shows it. The secrets' texts are not in it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct View {
    /// The webhook's id, unique in the server.
    pub id: String,
    /// Where notices go.
    pub url: String,
    /// Kinds of events.
    pub events: Vec<String>,
    /// Which of these.
    pub filter: Filter,
    /// On or off.
    pub enabled: bool,
    /// Why it was turned off, if not by a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub off_reason: Option<String>,
    /// In Unix milliseconds.
    pub created_ms: u64,
    /// When each secret was made, in Unix milliseconds; the second one is the next.
    pub secrets_created_ms: Vec<u64>,
    /// The secret that this request made; shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Dead letters that are kept.
    pub dead_letters: usize,
    /// Where it is.
    pub status: Progress,
}

/// What became of the dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WebhookRedelivered)]
pub struct Redelivered {
    /// The target has them.
    pub delivered: usize,
    /// Left as dead letters.
    pub left: usize,
}

impl Webhooks {
    /// The subscriptions of an app, by id.
    #[must_use]
    pub fn list(&self, app: &str) -> Vec<View> {
        let hooks = self.hooks_of(app);
        hooks.iter().map(|hook| view(hook, None)).collect()
    }

    /// One subscription.
    ///
    /// # Errors
    /// [`Refusal`]: there is none.
    pub fn show(&self, app: &str, id: &str) -> Result<View, Refusal> {
        Ok(view(&*self.hook(app, id)?, None))
    }

    /// Makes a subscription. It is told what happens from now on. The answer has its secret.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn create(&self, app: &str, new: NewSubscription) -> Result<View, Refusal> {
        new.check(&self.shared.caller.rules)?;
        let _managing = self.shared.managing.lock().await;
        if self.hooks_of(app).len() >= SUBSCRIPTIONS_MAX {
            return Err(Refusal::new(
                RefusalKind::Full,
                format!("the app has {SUBSCRIPTIONS_MAX} webhooks, the most there can be"),
                "delete one, or give one of them more events",
            ));
        }
        let after = self.shared.events.newest(app.to_owned()).await?;
        let now_ms = self.shared.clock.now_ms();
        let secret = Secret::make(now_ms);
        let config = Subscription {
            id: format!("wh_{}", random_hex::<8>()),
            app: app.to_owned(),
            url: new.url,
            events: new.events,
            filter: new.filter,
            is_enabled: new.enabled,
            off_reason: None,
            created_ms: now_ms,
            secrets: vec![secret.clone()],
        };
        let progress = Progress {
            after,
            ..Progress::default()
        };
        let changes = vec![
            hook::json(Table::Cursors, hook::cursor_key(app, &config.id), &progress),
            hook::json(Table::Webhooks, hook::hook_key(app, &config.id), &config),
        ];
        self.shared.records.write(changes).await?;
        let state = HookState::restored(progress, VecDeque::new(), BTreeMap::new());
        let hook = self.run(Hook::new(config, state));
        Ok(view(&hook, Some(secret)))
    }

    /// Changes a subscription. The answer has the secret that was made, if one was.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was changed.
    pub async fn change(
        &self,
        app: &str,
        id: &str,
        change: SubscriptionChange,
    ) -> Result<View, Refusal> {
        let _managing = self.shared.managing.lock().await;
        let hook = self.hook(app, id)?;
        let mut config = (*hook.config()).clone();
        let now_ms = self.shared.clock.now_ms();
        let secret = change.apply(&mut config, &self.shared.caller.rules, now_ms)?;
        let written = hook::json(Table::Webhooks, hook::hook_key(app, id), &config);
        self.shared.records.write(vec![written]).await?;
        hook.set_config(config);
        Ok(view(&hook, secret))
    }

    /// Deletes a subscription with all that is kept of it.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn delete(&self, app: &str, id: &str) -> Result<(), Refusal> {
        let _managing = self.shared.managing.lock().await;
        let hook = self.hook(app, id)?;
        let gone = hook::deletion(Table::Webhooks, hook::hook_key(app, id));
        self.shared.records.write(vec![gone]).await?;
        self.forget(&hook).await;
        clear(&*self.shared.records, app, id).await?;
        Ok(())
    }

    /// Deletes the dead letters that name a user, and forgets the last deliveries, whose answers
    /// may. Returns how many dead letters went.
    ///
    /// # Errors
    /// [`Refusal`]; do it again.
    pub async fn erase(&self, app: &str, user: &str) -> Result<usize, Refusal> {
        let mut erased = 0;
        for hook in self.hooks_of(app) {
            let mut after = 0;
            loop {
                let letters = self.dead_letters(app, &hook.id, after, PAGE).await?;
                let Some(last) = letters.last() else { break };
                after = last.n;
                let about = letters.iter().filter(|letter| letter.names(user));
                let gone: Vec<u64> = about.map(|letter| letter.n).collect();
                let key = |n: &u64| hook::delivery_key(app, &hook.id, Kept::Dead, *n);
                let deletions = gone
                    .iter()
                    .map(|n| hook::deletion(Table::Deliveries, key(n)));
                self.shared.records.write(deletions.collect()).await?;
                let mut state = hook.state();
                gone.iter().for_each(|n| state.unburied(*n));
                erased += gone.len();
            }
            hook.state().forget_answers();
            self.shared.write(&hook).await;
        }
        Ok(erased)
    }

    /// Deletes all subscriptions of an app, and ends its moderation.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn delete_app(&self, app: &str) -> Result<(), Refusal> {
        for hook in self.hooks_of(app) {
            self.delete(app, &hook.id).await?;
        }
        match self.end_moderation(app).await {
            Err(refusal) if refusal.kind != RefusalKind::NotFound => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Sends a sample to a subscription's target, outside of the order.
    ///
    /// # Errors
    /// [`Refusal`]: there is no such subscription. What the target did is in the answer.
    pub async fn test(&self, app: &str, id: &str) -> Result<Delivery, Refusal> {
        let hook = self.hook(app, id)?;
        let event = body::sample(self.shared.clock.now_ms());
        let notice = body::notice_id(app, &event);
        let delivery = hook.state().delivery(notice, &event);
        self.try_once(hook, delivery, event).await
    }

    /// The last deliveries, newest first.
    ///
    /// # Errors
    /// [`Refusal`]: there is no such subscription.
    pub fn deliveries(&self, app: &str, id: &str) -> Result<Vec<Delivery>, Refusal> {
        let hook = self.hook(app, id)?;
        let state = hook.state();
        Ok(state.recent().rev().cloned().collect())
    }

    /// At most `limit` dead letters with a number above `after`, oldest first.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn dead_letters(
        &self,
        app: &str,
        id: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Delivery>, Refusal> {
        self.hook(app, id)?;
        let prefix = hook::deliveries_prefix(app, id, Kept::Dead);
        let after = hook::delivery_key(app, id, Kept::Dead, after);
        let rows = self
            .shared
            .records
            .scan(Table::Deliveries, prefix, Some(after), limit)
            .await?;
        Ok(rows.iter().filter_map(|(_, row)| read(row)).collect())
    }

    /// Delivers again, outside of the order, what was delivered, failed or given up.
    ///
    /// # Errors
    /// [`Refusal`]: there is no such delivery, or its event is gone. What the target did is in the
    /// answer.
    pub async fn retry(&self, app: &str, id: &str, n: u64) -> Result<Delivery, Refusal> {
        let hook = self.hook(app, id)?;
        let key = hook::delivery_key(app, id, Kept::Dead, n);
        if let Some(letter) = self.shared.records.get(Table::Deliveries, key).await? {
            let letter = read::<Delivery>(&letter);
            if let Some((letter, event)) = letter.and_then(|all| Some((all.clone(), all.event?))) {
                return self.try_once(hook, letter, event).await;
            }
        }
        let known = hook
            .state()
            .recent()
            .find(|delivery| delivery.n == n)
            .cloned();
        let delivery = known.ok_or_else(|| {
            Refusal::new(
                RefusalKind::NotFound,
                format!("there is no delivery {n}"),
                "list the last ones: GET …/deliveries",
            )
        })?;
        if delivery.state == State::Retrying {
            // Its turn comes at once, in its place.
            hook.set_config((*hook.config()).clone());
            return Ok(delivery);
        }
        let event = self.event(app, &delivery).await?;
        self.try_once(hook, delivery, event).await
    }

    /// Delivers the dead letters, oldest first, until one fails or a while has passed.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn retry_dead(&self, app: &str, id: &str) -> Result<Redelivered, Refusal> {
        let hook = self.hook(app, id)?;
        let begun = Instant::now();
        let mut delivered = 0;
        'all: loop {
            let letters = self.dead_letters(app, id, 0, PAGE).await?;
            if letters.is_empty() {
                break;
            }
            for letter in letters {
                let Some(event) = letter.event.clone() else {
                    break 'all;
                };
                let n = letter.n;
                self.try_once(hook.clone(), letter, event).await?;
                if hook.state().is_dead(n) || begun.elapsed() > REDELIVERY {
                    break 'all;
                }
                delivered += 1;
            }
        }
        let left = hook.state().dead_letters();
        Ok(Redelivered { delivered, left })
    }

    async fn event(&self, app: &str, delivery: &Delivery) -> Result<Event, Refusal> {
        if delivery.cursor.is_empty() {
            return Ok(body::sample(delivery.event_ms));
        }
        let after = delivery.after.clone();
        let read = self.shared.events.read(app.to_owned(), after, 1).await?;
        let is_it = |event: &Event| body::notice_id(app, event) == delivery.notice_id;
        let found = read.into_iter().find(is_it);
        found.ok_or_else(|| {
            Refusal::new(
                RefusalKind::Conflict,
                format!(
                    "event {} is not in the app's stream any more",
                    delivery.cursor
                ),
                "dead letters keep their event; others are kept as long as the stream",
            )
        })
    }

    /// One attempt on request, in the runtime of the webhooks. A dead letter that arrives is none
    /// any more.
    async fn try_once(
        &self,
        hook: Arc<Hook>,
        delivery: Delivery,
        event: Event,
    ) -> Result<Delivery, Refusal> {
        let shared = self.shared.clone();
        let tried = async move { shared.try_once(&hook, delivery, &event).await };
        self.runtime.spawn(tried).await.map_err(|_| {
            Refusal::new(
                RefusalKind::Unavailable,
                "the server is being stopped".to_owned(),
                "try again in a moment",
            )
        })
    }
}

impl Shared {
    async fn try_once(&self, hook: &Hook, mut delivery: Delivery, event: &Event) -> Delivery {
        let standing = match hook.state().progress.failing {
            Some(_) => Standing::Failing,
            None => Standing::Healthy,
        };
        let config = hook.config();
        let tried = self.attempt(&config, event, &mut None, standing).await;
        let is_delivered = tried.attempt.verdict() == Verdict::Delivered;
        let was_dead = hook.state().is_dead(delivery.n);
        let state = match (is_delivered, was_dead) {
            (true, _) => State::Delivered,
            (false, true) => State::Dead,
            (false, false) => State::Failed,
        };
        delivery.tried(tried.attempt, state);
        if was_dead {
            let key = hook::delivery_key(&hook.app, &hook.id, Kept::Dead, delivery.n);
            let change = if is_delivered {
                hook::deletion(Table::Deliveries, key)
            } else {
                hook::json(Table::Deliveries, key, &delivery)
            };
            match self.records.write(vec![change]).await {
                Ok(()) if is_delivered => hook.state().unburied(delivery.n),
                Ok(()) => {}
                Err(fault) => {
                    tracing::warn!(app = hook.app, webhook = hook.id, error = %fault, "a dead letter was not changed");
                }
            }
        }
        delivery.event = None;
        hook.state().keep(delivery.clone());
        self.write(hook).await;
        delivery
    }
}

pub(crate) fn view(hook: &Hook, secret: Option<Secret>) -> View {
    let config = hook.config();
    let state = hook.state();
    View {
        id: config.id.clone(),
        url: config.url.clone(),
        events: config.events.clone(),
        filter: config.filter.clone(),
        enabled: config.is_enabled,
        off_reason: config.off_reason.clone(),
        created_ms: config.created_ms,
        secrets_created_ms: config
            .secrets
            .iter()
            .map(|secret| secret.created_ms)
            .collect(),
        secret: secret.map(|secret| secret.text),
        dead_letters: state.dead_letters(),
        status: state.progress.clone(),
    }
}

fn read<T: serde::de::DeserializeOwned>(record: &[u8]) -> Option<T> {
    serde_json::from_slice(record).ok()
}

/// Reads all subscriptions, each with where it was.
pub(crate) async fn load(records: &Arc<dyn Records>) -> Result<Vec<Hook>, Fault> {
    let mut hooks = Vec::new();
    for (key, record) in all(&**records, Table::Webhooks, String::new()).await? {
        if !key.contains(hook::HOOK) {
            continue;
        }
        let Some(config) = read::<Subscription>(&record) else {
            tracing::error!(record = key, "a webhook cannot be read, and is left out");
            continue;
        };
        let cursor = hook::cursor_key(&config.app, &config.id);
        let progress = records.get(Table::Cursors, cursor).await?;
        let progress = progress
            .and_then(|record| read(&record))
            .unwrap_or_default();
        let last = hook::deliveries_prefix(&config.app, &config.id, Kept::Last);
        let last = all(&**records, Table::Deliveries, last).await?;
        let recent = last.iter().filter_map(|(_, record)| read(record)).collect();
        let dead = hook::deliveries_prefix(&config.app, &config.id, Kept::Dead);
        let dead = sizes(&**records, dead).await?;
        hooks.push(Hook::new(
            config,
            HookState::restored(progress, recent, dead),
        ));
    }
    Ok(hooks)
}

pub(crate) async fn all(
    records: &dyn Records,
    table: Table,
    prefix: String,
) -> Result<Vec<Row>, Fault> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after = rows.last().map(|(key, _)| key.clone());
        let page = records.scan(table, prefix.clone(), after, PAGE).await?;
        let is_last = page.len() < PAGE;
        rows.extend(page);
        if is_last {
            return Ok(rows);
        }
    }
}

/// Number and bytes of dead letters, which are not kept in memory.
async fn sizes(records: &dyn Records, prefix: String) -> Result<BTreeMap<u64, usize>, Fault> {
    let mut sizes = BTreeMap::new();
    let mut after = None;
    loop {
        let page = records
            .scan(Table::Deliveries, prefix.clone(), after, PAGE)
            .await?;
        let number = |key: &str| key.strip_prefix(&prefix)?.parse().ok();
        sizes.extend(
            page.iter()
                .filter_map(|(key, row)| Some((number(key)?, row.len()))),
        );
        if page.len() < PAGE {
            return Ok(sizes);
        }
        after = page.last().map(|(key, _)| key.clone());
    }
}

/// Deletes what is kept of a subscription besides its record.
async fn clear(records: &dyn Records, app: &str, id: &str) -> Result<(), Fault> {
    let cursor = hook::deletion(Table::Cursors, hook::cursor_key(app, id));
    records.write(vec![cursor]).await?;
    let prefix = format!("{app}/{id}/");
    loop {
        let page = records
            .scan(Table::Deliveries, prefix.clone(), None, PAGE)
            .await?;
        if page.is_empty() {
            return Ok(());
        }
        let gone = page
            .into_iter()
            .map(|(key, _)| hook::deletion(Table::Deliveries, key));
        records.write(gone.collect()).await?;
    }
}
