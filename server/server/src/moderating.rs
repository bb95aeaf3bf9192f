//! Moderation as part of a server: from a hub's question to an app's endpoint, and back.

use std::sync::Arc;

use bytes::Bytes;
use tidings_cell::Host as _;
use tidings_hub::Ticket;
use tidings_hub::moderation::{HeldMessage, ModerationRule, Otherwise, Verdict};
use tidings_webhooks::{Moderation, OnRules, OnTimeout, Question, Word};
use tidings_wire::names::AppId;
use tidings_wire::proto::{Message, Raw, message};

use crate::mailbox::{Envelope, Mailbox};
use crate::worker::Worker;

/// Tells the hubs which messages they hold, whenever that changes.
pub(crate) fn on_rules(mailboxes: Vec<Arc<Mailbox>>) -> OnRules {
    Arc::new(move |rules| {
        let rules = rules.into_iter().filter_map(rule);
        let rules = Arc::new(rules.collect());
        for mailbox in &mailboxes {
            mailbox.post(vec![Envelope::Moderation(Arc::clone(&rules))]);
        }
    })
}

fn rule(of: Moderation) -> Option<(AppId, ModerationRule)> {
    let rule = ModerationRule {
        channels: of.channels,
        wait_ms: of.timeout_ms,
        otherwise: match of.on_timeout {
            OnTimeout::Pass => Otherwise::Pass,
            OnTimeout::Refuse => Otherwise::Refuse,
        },
    };
    Some((AppId::parse(&of.app).ok()?, rule))
}

impl Worker {
    /// Asks the app's endpoint; its word comes back through the mailbox.
    pub(crate) fn ask_backend(&mut self, ticket: Ticket, held: HeldMessage) {
        let home = self.mail.peers[self.id.index()].clone();
        let at_ms = self.now().unix_ms;
        let question = question(&held, at_ms);
        self.node.webhooks.ask(question, move |word| {
            let verdict = Box::new(verdict(word, held.message));
            home.post(vec![Envelope::Moderated { ticket, verdict }]);
        });
    }
}

fn question(held: &HeldMessage, at_ms: u64) -> Question {
    let text = |bytes: &Bytes| Some(String::from_utf8_lossy(bytes).into_owned());
    let (kind, text, data) = match &held.message.body {
        Some(message::Body::Raw(raw)) => ("raw", text(&raw.description), Some(raw.data.to_vec())),
        Some(message::Body::File(file)) => ("file", text(&file.description), None),
        Some(message::Body::Image(image)) => {
            let file = image.file.as_ref();
            ("image", file.and_then(|file| text(&file.description)), None)
        }
        Some(message::Body::Text(body)) => ("text", text(body), None),
        None => ("text", None, None),
    };
    Question {
        app: held.channel.app.as_str().to_owned(),
        channel: held.channel.channel.as_str().to_owned(),
        user: held.from.as_str().to_owned(),
        kind,
        text,
        data,
        at_ms,
    }
}

/// What a word means for this message. A changed one keeps its type and its end.
fn verdict(word: Word, message: Message) -> Verdict {
    let with = |body| {
        Verdict::Change(Box::new(Message {
            body: Some(body),
            ..message
        }))
    };
    match word {
        Word::Pass | Word::Nothing(OnTimeout::Pass) => Verdict::Pass,
        Word::Text(text) => with(message::Body::Text(text.into())),
        Word::Data(data) => with(message::Body::Raw(Raw {
            data: data.into(),
            description: Bytes::new(),
        })),
        Word::Refuse(text) => Verdict::Refuse(text),
        // The hub has the words for that.
        Word::Nothing(OnTimeout::Refuse) => Verdict::Refuse(String::new()),
    }
}
