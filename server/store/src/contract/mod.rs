//! The contract suite: what every store must do, run by every implementation and by every fake.
//!
//! A case gets an empty store. [`contract_tests`](crate::contract_tests) makes one test of each:
//!
//! ```
//! # use tidings_store::{Engine, MemoryEngine, contract::Subject};
//! struct Memory(MemoryEngine);
//!
//! impl Subject for Memory {
//!     fn engine(&mut self) -> &mut dyn Engine {
//!         &mut self.0
//!     }
//!     fn reopen(&mut self) {
//!         self.0 = std::mem::take(&mut self.0).reopen();
//!     }
//! }
//!
//! tidings_store::contract_tests!(|| Memory(MemoryEngine::new()));
//! ```

mod attributes;
mod events;
mod groups;
mod history;
mod inbox;
mod invitations;
mod records;
mod usage;

use bytes::Bytes;
use tidings_hub::ids::{ChannelKey, MessageId, UserKey};
use tidings_hub::store_ops::{
    AttributeEntry, AttributeLimits, AttributeOwner, InboxLimits, InboxLosses, StoreAnswer,
    StoreOp, StoredMessage,
};
use tidings_wire::names::{AppId, ChannelName, UserId};
use tidings_wire::proto::AttributeWrite;

pub use self::attributes::*;
pub use self::events::*;
pub use self::groups::*;
pub use self::history::*;
pub use self::inbox::*;
pub use self::invitations::*;
pub use self::records::*;
pub use self::usage::*;
use crate::engine::Engine;

/// A store under test.
pub trait Subject {
    /// The engine under test.
    fn engine(&mut self) -> &mut dyn Engine;

    /// Closes the store and opens it again, as a restart of the server does.
    fn reopen(&mut self);
}

/// Expands to one test per case of the contract, for stores made by the given closure.
#[macro_export]
macro_rules! contract_tests {
    ($make:expr) => {
        $crate::contract_tests! { @cases $make;
            an_inbox_keeps_messages_as_they_are
            inboxes_number_from_1_without_gaps
            numbering_goes_on_after_everything_was_confirmed
            numbering_goes_on_after_everything_was_expired
            pages_continue_where_the_last_ended
            a_confirmation_deletes_up_to_its_number_and_no_further
            a_confirmation_forgets_what_was_told
            a_message_is_removed_by_its_id
            the_oldest_message_gives_way_to_the_count
            a_sender_with_the_largest_share_gives_way_first
            shares_count_when_a_bound_is_lowered
            the_oldest_messages_give_way_to_the_bytes
            a_message_that_never_fits_is_refused
            an_append_expires_by_age
            a_read_expires_by_time
            messages_with_an_end_of_their_own_have_bounds_of_their_own
            messages_with_an_end_of_their_own_go_with_it
            expiry_does_not_rely_on_stamps_in_order
            losses_are_kept_until_told
            attributes_are_set_as_a_whole
            attributes_are_merged_by_key
            attributes_are_deleted_by_key
            attributes_are_cleared
            what_a_library_notes_of_a_channel_is_replaced_one_by_one
            revisions_of_attributes_rise_over_deletions
            of_two_entries_with_one_key_the_later_counts
            bounds_of_attributes_are_those_of_the_result
            deletions_of_attributes_are_never_refused
            attributes_are_dropped_unless_touched_later
            owners_are_listed_by_their_last_touch
            owners_are_listed_users_first_in_pages
            a_history_keeps_messages_as_they_are
            a_history_is_read_in_pages_from_both_ends
            a_history_is_read_by_time
            what_a_user_has_sent_is_emptied
            a_history_is_bounded_by_count_and_age
            conversations_do_not_mix
            histories_that_nobody_writes_to_any_more_are_emptied
            of_two_writes_of_an_invitation_the_first_wins
            an_invitation_is_deleted_and_may_be_deleted_again
            invitations_are_listed_in_pages
            invitations_survive_a_restart
            each_login_has_one_logout_and_each_join_one_leave
            channels_are_made_by_the_first_and_gone_with_the_last
            events_are_read_by_number_kind_and_age
            events_are_bounded_by_count_and_age
            orders_of_users_and_channels_rise
            an_event_of_a_queue_is_taken_once
            a_queue_of_events_is_bounded
            open_logins_become_those_that_are_there
            what_a_process_has_left_open_ends
            lost_events_leave_a_gap
            old_events_go_and_names_are_erased
            a_record_is_what_was_written_last
            writes_that_belong_together_are_made_together
            records_are_listed_from_the_last_on
            records_are_listed_in_pages
            each_scope_of_a_table_is_bounded
            a_full_log_drops_its_first_records
            apps_do_not_see_each_other
            users_and_channels_do_not_see_each_other
            names_that_begin_alike_do_not_mix
            operations_of_a_group_see_those_before
            a_refused_operation_does_not_disturb_its_group
            everything_survives_a_restart
            nothing_deleted_comes_back
            what_an_app_has_stored_is_counted
            an_app_stores_no_more_than_its_bound
            a_long_random_run_agrees_with_a_simple_model
        }
    };
    (@cases $make:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                let mut make = $make;
                $crate::contract::$case(&mut make());
            }
        )*
    };
}

/// Bounds that a case reaches only on purpose.
const WIDE: InboxLimits = InboxLimits {
    messages_max: 1000,
    bytes_max: 1 << 20,
    age_ms: u64::MAX,
};
const WIDE_ATTRIBUTES: AttributeLimits = AttributeLimits {
    entries_max: 1000,
    bytes_max: 1 << 20,
};
const NO_LOSSES: InboxLosses = InboxLosses {
    overflowed: 0,
    expired: 0,
    damaged: 0,
};

fn app(letter: char) -> AppId {
    AppId::parse(&letter.to_string().repeat(32)).expect("32 letters are an app id")
}

fn user(name: &str) -> UserKey {
    UserKey {
        app: app('a'),
        user: UserId::parse(name).expect("a case uses proper names"),
    }
}

fn channel(name: &str) -> ChannelKey {
    let channel = ChannelName::parse(name).expect("a case uses proper names");
    ChannelKey {
        app: app('a'),
        channel,
    }
}

fn of_user(name: &str) -> AttributeOwner {
    AttributeOwner::User(user(name))
}

fn of_channel(name: &str) -> AttributeOwner {
    AttributeOwner::Channel(channel(name))
}

fn message(seed: u8, server_ts: u64, body: &str) -> StoredMessage {
    let body = Bytes::copy_from_slice(body.as_bytes());
    StoredMessage {
        inbox: 0,
        id: MessageId([seed; 16]),
        from: format!("from{seed}"),
        body,
        server_ts,
        lasts_until: 0,
    }
}

fn entry(key: &str, value: &str, by: &str) -> AttributeEntry {
    AttributeEntry {
        key: key.into(),
        value: value.into(),
        updated_by: by.into(),
        updated_ts: 0,
    }
}

/// Applies one operation and returns its answer.
trait Single {
    fn single(&mut self, op: StoreOp) -> StoreAnswer;
    fn group(&mut self, ops: &[StoreOp]) -> Vec<StoreAnswer>;

    fn append(&mut self, user: &UserKey, message: StoredMessage, limits: InboxLimits) -> u64 {
        match self.single(StoreOp::InboxAppend {
            user: user.clone(),
            message,
            limits,
        }) {
            StoreAnswer::InboxAppended { inbox } => inbox,
            other => panic!("an append was answered {other:?}"),
        }
    }

    fn page(&mut self, user: &UserKey, after: u64, count_max: usize, not_before_ts: u64) -> Page {
        let op = StoreOp::InboxRead {
            user: user.clone(),
            after,
            count_max,
            not_before_ts,
        };
        match self.single(op) {
            StoreAnswer::InboxPage {
                messages,
                has_more,
                losses,
            } => Page {
                messages,
                has_more,
                losses,
            },
            other => panic!("a read was answered {other:?}"),
        }
    }

    /// The whole inbox: numbers and bodies, with losses.
    fn inbox(&mut self, user: &UserKey) -> (Vec<(u64, String)>, InboxLosses) {
        let page = self.page(user, 0, usize::MAX, 0);
        assert!(!page.has_more, "a read without bound leaves nothing");
        (page.bodies(), page.losses)
    }

    fn confirm(&mut self, user: &UserKey, up_to: u64, told: InboxLosses) {
        let answer = self.single(StoreOp::InboxConfirm {
            user: user.clone(),
            up_to,
            told,
        });
        assert_eq!(answer, StoreAnswer::Done);
    }

    fn remove(&mut self, user: &UserKey, seed: u8) {
        let id = MessageId([seed; 16]);
        assert_eq!(
            self.single(StoreOp::InboxRemove {
                user: user.clone(),
                id
            }),
            StoreAnswer::Done
        );
    }

    fn write(
        &mut self,
        owner: &AttributeOwner,
        how: AttributeWrite,
        entries: &[AttributeEntry],
        now_ts: u64,
    ) -> StoreAnswer {
        self.written(write_op(owner, how, entries, WIDE_ATTRIBUTES, now_ts))
    }

    fn written(&mut self, op: StoreOp) -> StoreAnswer {
        without_revision(self.single(op))
    }

    fn attributes(&mut self, owner: &AttributeOwner) -> Vec<AttributeEntry> {
        match self.single(StoreOp::AttributesRead {
            owner: owner.clone(),
        }) {
            StoreAnswer::Attributes(entries) => entries,
            other => panic!("a read was answered {other:?}"),
        }
    }

    fn touch(&mut self, owner: &AttributeOwner, now_ts: u64) {
        let op = StoreOp::AttributesTouch {
            owner: owner.clone(),
            now_ts,
        };
        assert_eq!(self.single(op), StoreAnswer::Done);
    }

    fn drop_unless_touched_after(&mut self, owner: &AttributeOwner, unless_touched_after: u64) {
        let op = StoreOp::AttributesDrop {
            owner: owner.clone(),
            unless_touched_after,
        };
        assert_eq!(self.single(op), StoreAnswer::Done);
    }

    fn owners(
        &mut self,
        touched_before: u64,
        count_max: usize,
        after: Option<AttributeOwner>,
    ) -> (Vec<AttributeOwner>, bool) {
        match self.single(StoreOp::AttributeOwners {
            touched_before,
            count_max,
            after,
        }) {
            StoreAnswer::AttributeOwners { owners, has_more } => (owners, has_more),
            other => panic!("a listing was answered {other:?}"),
        }
    }
}

impl Single for dyn Subject + '_ {
    fn single(&mut self, op: StoreOp) -> StoreAnswer {
        let mut answers = self.group(&[op]);
        answers.pop().expect("one operation has one answer")
    }

    fn group(&mut self, ops: &[StoreOp]) -> Vec<StoreAnswer> {
        let mut answers = Vec::new();
        self.engine().apply(ops, &mut answers);
        assert_eq!(answers.len(), ops.len(), "every operation has one answer");
        answers
    }
}

fn write_op(
    owner: &AttributeOwner,
    how: AttributeWrite,
    entries: &[AttributeEntry],
    limits: AttributeLimits,
    now_ts: u64,
) -> StoreOp {
    let owner = owner.clone();
    StoreOp::AttributesWrite {
        owner,
        how,
        entries: entries.to_vec(),
        limits,
        now_ts,
    }
}

/// What a write has left, in a form to compare with what was expected.
fn without_revision(answer: StoreAnswer) -> StoreAnswer {
    match answer {
        StoreAnswer::AttributesWritten { entries, .. } => StoreAnswer::Attributes(entries),
        other => other,
    }
}

struct Page {
    messages: Vec<StoredMessage>,
    has_more: bool,
    losses: InboxLosses,
}

impl Page {
    fn bodies(&self) -> Vec<(u64, String)> {
        let text = |body: &Bytes| String::from_utf8_lossy(body).into_owned();
        self.messages
            .iter()
            .map(|message| (message.inbox, text(&message.body)))
            .collect()
    }
}

fn numbered(bodies: &[(u64, &str)]) -> Vec<(u64, String)> {
    bodies
        .iter()
        .map(|(number, body)| (*number, (*body).to_owned()))
        .collect()
}
