//! Makes the store forget a user.

use tidings_hub::ids::UserKey;
use tidings_hub::store_ops::events::{EventAnswer, EventOp};
use tidings_hub::store_ops::{AttributeOwner, Conversation, InboxLosses, StoreAnswer, StoreOp};

use crate::committer::Submitter;
use crate::pending::Pending;
use crate::records::RecordError;

/// What was there of a user, and is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Messages that waited for it.
    pub inbox_messages: u64,
    /// Whether it had attributes.
    pub had_attributes: bool,
    /// Histories with other users: gone as a whole, also for them.
    pub conversations: u64,
    /// Messages that it had sent to channels with a history: emptied.
    pub channel_messages: u64,
}

/// Messages that are read of an inbox at a time.
const PAGE: usize = 256;

/// Makes the store forget users. Its calls wait for the store: not for threads of a runtime.
#[derive(Clone)]
pub struct Erasure {
    submitter: Submitter,
}

impl Erasure {
    /// Of a committer's store.
    pub fn new(submitter: Submitter) -> Self {
        Self { submitter }
    }

    /// Forgets a user: its inbox, its attributes, its histories with other users, what it has sent
    /// to channels, and its name in events. Messages of it that wait in inboxes of others are
    /// theirs, and stay.
    ///
    /// Cost: a look at every history of the store. What was done before an error stays done; do it
    /// again.
    ///
    /// # Errors
    /// [`RecordError::Unavailable`]
    pub fn erase(&self, user: &UserKey) -> Result<Erased, RecordError> {
        let inbox_messages = self.erase_inbox(user)?;
        let had_attributes = self.erase_attributes(user)?;
        let mut erased = Erased {
            inbox_messages,
            had_attributes,
            ..Erased::default()
        };
        self.erase_from_events(user)?;
        let mut after = None;
        loop {
            let list = StoreOp::HistoryList {
                first_before_ts: u64::MAX,
                after,
            };
            let StoreAnswer::Histories {
                conversations,
                next,
            } = self.ask(list)?
            else {
                return Err(strange());
            };
            for conversation in conversations {
                self.erase_history(user, conversation, &mut erased)?;
            }
            after = next;
            if after.is_none() {
                return Ok(erased);
            }
        }
    }

    /// Events stay, without the user's name: those of others count on their numbers.
    fn erase_from_events(&self, user: &UserKey) -> Result<(), RecordError> {
        let mut after = Some(0);
        while let Some(number) = after {
            let erase = EventOp::Erase {
                app: user.app.clone(),
                user: user.user.clone(),
                after: number,
            };
            let StoreAnswer::Events(answer) = self.ask(StoreOp::Events(Box::new(erase)))? else {
                return Err(strange());
            };
            let EventAnswer::Erased { next } = *answer else {
                return Err(strange());
            };
            after = next;
        }
        self.submitter.feed().forget(&user.app);
        Ok(())
    }

    fn erase_inbox(&self, user: &UserKey) -> Result<u64, RecordError> {
        let (mut after, mut count) = (0, 0);
        loop {
            let read = StoreOp::InboxRead {
                user: user.clone(),
                after,
                count_max: PAGE,
                not_before_ts: 0,
            };
            let StoreAnswer::InboxPage {
                messages, has_more, ..
            } = self.ask(read)?
            else {
                return Err(strange());
            };
            let Some(last) = messages.last() else {
                return Ok(count);
            };
            after = last.inbox;
            count += messages.len() as u64;
            self.ask(StoreOp::InboxConfirm {
                user: user.clone(),
                up_to: after,
                told: InboxLosses::default(),
            })?;
            if !has_more {
                return Ok(count);
            }
        }
    }

    fn erase_attributes(&self, user: &UserKey) -> Result<bool, RecordError> {
        let owner = AttributeOwner::User(user.clone());
        let read = StoreOp::AttributesRead {
            owner: owner.clone(),
        };
        let StoreAnswer::Attributes(entries) = self.ask(read)? else {
            return Err(strange());
        };
        self.ask(StoreOp::AttributesDrop {
            owner,
            unless_touched_after: u64::MAX,
        })?;
        Ok(!entries.is_empty())
    }

    fn erase_history(
        &self,
        user: &UserKey,
        conversation: Conversation,
        erased: &mut Erased,
    ) -> Result<(), RecordError> {
        if *conversation.app() != user.app {
            return Ok(());
        }
        match &conversation {
            Conversation::Users(pair) => {
                let (one, other) = pair.users();
                if *one == user.user || *other == user.user {
                    self.drop_history(conversation)?;
                    erased.conversations += 1;
                }
            }
            Conversation::Channel(_) => {
                erased.channel_messages += self.empty_messages(user, &conversation)?;
            }
        }
        Ok(())
    }

    fn drop_history(&self, conversation: Conversation) -> Result<(), RecordError> {
        loop {
            let trim = StoreOp::HistoryTrim {
                conversation: conversation.clone(),
                not_before_ts: u64::MAX,
            };
            match self.ask(trim)? {
                StoreAnswer::HistoryTrimmed { has_more: true } => {}
                StoreAnswer::HistoryTrimmed { has_more: false } => return Ok(()),
                _ => return Err(strange()),
            }
        }
    }

    fn empty_messages(
        &self,
        user: &UserKey,
        conversation: &Conversation,
    ) -> Result<u64, RecordError> {
        let (mut after, mut emptied) = (0, 0);
        loop {
            let erase = StoreOp::HistoryErase {
                conversation: conversation.clone(),
                from: user.user.clone(),
                after,
            };
            let StoreAnswer::HistoryErased { count, next } = self.ask(erase)? else {
                return Err(strange());
            };
            emptied += count;
            after = next;
            if after == 0 {
                return Ok(emptied);
            }
        }
    }

    fn ask(&self, op: StoreOp) -> Result<StoreAnswer, RecordError> {
        let (sender, pending) = Pending::new();
        self.submitter.submit_one(op, move |answer| {
            // Whoever has asked may have gone.
            let _ = sender.send(answer);
        });
        match pending.wait() {
            Some(StoreAnswer::Failed { reason }) => Err(RecordError::Unavailable { reason }),
            Some(answer) => Ok(answer),
            None => Err(RecordError::Unavailable {
                reason: "the store has ended; restart the server".into(),
            }),
        }
    }
}

fn strange() -> RecordError {
    RecordError::Unavailable {
        reason: "the store has answered something else than it was asked; report this as a bug"
            .into(),
    }
}
