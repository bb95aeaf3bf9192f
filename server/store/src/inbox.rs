//! Inboxes: numbering, bounds, expiry, confirmation.
//!
//! An inbox is a head and one record per message. Damage is dealt with where it is found: a message
//! that cannot be read is deleted and counted; a head that cannot be read is rebuilt, with a number
//! that no inbox has reached.

use std::ops::ControlFlow::{self, Break, Continue};

use tidings_fault::fault;
use tidings_hub::ids::{MessageId, UserKey};
use tidings_hub::store_ops::{InboxLimits, InboxLosses, StoreAnswer, StoredMessage};

use crate::keys::Key;
use crate::kinds::{Class, Ends, Weight, count_in};
use crate::kv::{Backend, Group, ReadError};
use crate::record::{self, InboxHead, Lasting};
use crate::shares::{self, KNOWN_MAX, Place, Shares};

/// Numbers reserved at once in the store-wide ceiling. A larger step writes the ceiling less often
/// but leaves a larger gap in the numbers of an inbox whose head was damaged.
const CEILING_STEP: u64 = 4096;

/// Appends a message. The inbox is brought within its bounds first: expiry, then overflow.
pub(crate) fn append<B: Backend>(
    group: &mut Group<'_, B>,
    user: &UserKey,
    message: &StoredMessage,
    limits: &InboxLimits,
) -> Result<StoreAnswer, ReadError> {
    let bytes = message.body.len();
    let InboxLimits {
        messages_max,
        bytes_max,
        age_ms,
    } = *limits;
    if bytes > bytes_max || messages_max == 0 {
        let reason = format!(
            "a message of {bytes} bytes cannot be stored in an inbox of at most {messages_max} messages \
             and {bytes_max} bytes; raise the app's inbox limits or send less"
        );
        return Ok(StoreAnswer::Failed { reason });
    }
    let mut inbox = Inbox::load(group, user)?;
    let class = Class::of(message);
    inbox.expire(group, Ends::of_append(message, age_ms))?;
    inbox.make_room(
        group,
        (class, shares::sender(message)),
        messages_max as u64 - 1,
        (bytes_max - bytes) as u64,
    )?;
    let number = inbox.head.next;
    raise_ceiling(group, number)?;
    let key = inbox.message_key(number);
    let record = record::seal_message(&key, message);
    group.put(key, record);
    inbox.head.next += 1;
    let (count_before, _) = class.figures(&inbox.head);
    let place = Place::of(number, message);
    class.shares(&mut inbox.head).appended(place, count_before);
    count_in(&mut inbox.head, message);
    inbox.save(group);
    Ok(StoreAnswer::InboxAppended { inbox: number })
}

/// Reads a page. Messages without an end of their own stamped before `not_before_ts` are deleted
/// and counted.
pub(crate) fn read<B: Backend>(
    group: &mut Group<'_, B>,
    user: &UserKey,
    after: u64,
    count_max: usize,
    not_before_ts: u64,
) -> Result<StoreAnswer, ReadError> {
    let mut inbox = Inbox::load(group, user)?;
    let ends = Ends::by_age(not_before_ts);
    inbox.expire(group, ends)?;
    let mut page = inbox.page(group, after, count_max)?;
    let is_whole = after < inbox.head.first && !page.has_more;
    if page.damaged > 0 || (is_whole && page.messages.len() as u64 != inbox.head.count) {
        inbox.recount(group, ends)?;
        page = inbox.page(group, after, count_max)?;
    }
    inbox.save(group);
    let Page {
        messages, has_more, ..
    } = page;
    Ok(StoreAnswer::InboxPage {
        messages,
        has_more,
        losses: inbox.head.losses,
    })
}

/// Deletes all messages up to and including `up_to`, and forgets the losses that the receiver has
/// learned of.
pub(crate) fn confirm<B: Backend>(
    group: &mut Group<'_, B>,
    user: &UserKey,
    up_to: u64,
    told: &InboxLosses,
) -> Result<StoreAnswer, ReadError> {
    if fault!(ConfirmedStaysInInbox) {
        return Ok(StoreAnswer::Done);
    }
    let mut inbox = Inbox::load(group, user)?;
    let end = up_to.saturating_add(1).min(inbox.head.next);
    let mut confirmed = Vec::new();
    let mut damaged = 0;
    inbox.visit(group, inbox.head.first, end, &mut |number, found| {
        match found {
            Some(message) => confirmed.push((number, Weight::of(&message))),
            None => damaged += 1,
        }
        Continue(())
    })?;
    for (number, weight) in confirmed {
        inbox.delete(group, number, weight);
    }
    if damaged > 0 {
        inbox.recount(group, Ends::NONE)?;
    }
    inbox.head.first = inbox.head.first.max(end);
    let losses = &mut inbox.head.losses;
    losses.overflowed = losses.overflowed.saturating_sub(told.overflowed);
    losses.expired = losses.expired.saturating_sub(told.expired);
    losses.damaged = losses.damaged.saturating_sub(told.damaged);
    inbox.save(group);
    Ok(StoreAnswer::Done)
}

/// Deletes one message by id. Cost: O(messages older than it); usually few, because live deliveries
/// are confirmed in order.
pub(crate) fn remove<B: Backend>(
    group: &mut Group<'_, B>,
    user: &UserKey,
    id: MessageId,
) -> Result<StoreAnswer, ReadError> {
    let mut inbox = Inbox::load(group, user)?;
    let mut place = None;
    let mut damaged = 0;
    inbox.visit(
        group,
        inbox.head.first,
        inbox.head.next,
        &mut |number, found| match found {
            Some(message) if message.id == id => {
                place = Some((number, Weight::of(&message)));
                Break(())
            }
            Some(_) => Continue(()),
            None => {
                damaged += 1;
                Continue(())
            }
        },
    )?;
    if let Some((number, weight)) = place {
        inbox.delete(group, number, weight);
    }
    if damaged > 0 {
        inbox.recount(group, Ends::NONE)?;
    }
    inbox.save(group);
    Ok(StoreAnswer::Done)
}

struct Page {
    messages: Vec<StoredMessage>,
    has_more: bool,
    damaged: u64,
}

/// Takes the number of a message, and the message unless it is damaged.
type Visit<'v> = &'v mut dyn FnMut(u64, Option<StoredMessage>) -> ControlFlow<()>;

struct Inbox<'u> {
    user: &'u UserKey,
    head_key: Vec<u8>,
    head: InboxHead,
    /// As it is stored.
    stored: InboxHead,
}

impl<'u> Inbox<'u> {
    fn load<B: Backend>(group: &mut Group<'_, B>, user: &'u UserKey) -> Result<Self, ReadError> {
        let head_key = Key::InboxHead(user.clone()).encode();
        let opened = match group.get(&head_key) {
            Ok(None) => Ok(InboxHead::default()),
            Ok(Some(record)) => InboxHead::open(&head_key, &record),
            Err(error) => Err(error),
        };
        match opened {
            Ok(head) => Ok(Self {
                user,
                head_key,
                stored: head.clone(),
                head,
            }),
            Err(ReadError::Damaged(_)) => Self::make_anew(group, user, head_key),
            Err(error) => Err(error),
        }
    }

    /// Makes a head for an inbox whose head cannot be read.
    fn make_anew<B: Backend>(
        group: &mut Group<'_, B>,
        user: &'u UserKey,
        head_key: Vec<u8>,
    ) -> Result<Self, ReadError> {
        group.damaged += 1;
        let losses = InboxLosses {
            damaged: 1,
            ..InboxLosses::default()
        };
        let head = InboxHead {
            next: ceiling(group)? + 1,
            losses,
            ..InboxHead::default()
        };
        let mut inbox = Self {
            user,
            head_key,
            stored: InboxHead::default(),
            head,
        };
        inbox.head.first = inbox.lowest_number(group);
        inbox.recount(group, Ends::NONE)?;
        Ok(inbox)
    }

    /// The lowest number that a readable message may have.
    fn lowest_number<B: Backend>(&self, group: &Group<'_, B>) -> u64 {
        let range = (self.message_key(0), self.message_key(self.head.next));
        match group.range(&range.0, &range.1).next() {
            Some(Ok((key, _))) => message_number(&key),
            // Both messages and head are damaged. How far back messages go is unknown, so the walk
            // is bounded.
            Some(Err(_)) => self.head.next.saturating_sub(2 * CEILING_STEP).max(1),
            None => self.head.next,
        }
    }

    fn message_key(&self, number: u64) -> Vec<u8> {
        Key::Message(self.user.clone(), number).encode()
    }

    fn save<B: Backend>(&self, group: &mut Group<'_, B>) {
        if self.head != self.stored {
            group.put(self.head_key.clone(), self.head.seal(&self.head_key));
        }
    }

    /// Visits the messages with `from <= number < end`, in order.
    fn visit<B: Backend>(
        &self,
        group: &Group<'_, B>,
        from: u64,
        end: u64,
        visit: Visit<'_>,
    ) -> Result<(), ReadError> {
        if from >= end {
            return Ok(());
        }
        let mut next = from;
        for pair in group.range(&self.message_key(from), &self.message_key(end)) {
            let found = match pair {
                Ok((key, record)) => {
                    let number = message_number(&key);
                    next = number + 1;
                    (number, record::open_message(&key, number, &record))
                }
                // A whole block is damaged: only asking for each message shows which of them are in
                // it.
                Err(ReadError::Damaged(_)) => return self.visit_each(group, next, end, visit),
                Err(error) => return Err(error),
            };
            if visit(found.0, intact(found.1)?).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn visit_each<B: Backend>(
        &self,
        group: &Group<'_, B>,
        from: u64,
        end: u64,
        visit: Visit<'_>,
    ) -> Result<(), ReadError> {
        for number in from..end {
            let key = self.message_key(number);
            let found = match group.get(&key) {
                Ok(None) => continue,
                Ok(Some(record)) => record::open_message(&key, number, &record),
                Err(error) => Err(error),
            };
            if visit(number, intact(found)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn page<B: Backend>(
        &self,
        group: &Group<'_, B>,
        after: u64,
        count_max: usize,
    ) -> Result<Page, ReadError> {
        let mut page = Page {
            messages: Vec::new(),
            has_more: false,
            damaged: 0,
        };
        let from = after.saturating_add(1).max(self.head.first);
        self.visit(group, from, self.head.next, &mut |_, found| {
            match found {
                None => page.damaged += 1,
                Some(_) if page.messages.len() == count_max => {
                    page.has_more = true;
                    return Break(());
                }
                Some(message) => page.messages.push(message),
            }
            Continue(())
        })?;
        Ok(page)
    }

    /// Deletes a message and keeps the head's figures right.
    fn delete<B: Backend>(
        &mut self,
        group: &mut Group<'_, B>,
        number: u64,
        Weight { class, bytes }: Weight,
    ) {
        group.delete(self.message_key(number));
        let head = &mut self.head;
        class.shares(head).forget(number);
        head.count = head.count.saturating_sub(1);
        head.bytes = head.bytes.saturating_sub(bytes);
        if class == Class::Lasting {
            head.lasting.count = head.lasting.count.saturating_sub(1);
            head.lasting.bytes = head.lasting.bytes.saturating_sub(bytes);
        }
        if head.lasting.count == 0 {
            head.lasting = Lasting::default();
        }
        if head.count == 0 {
            head.first = head.next;
            head.bytes = 0;
            head.oldest_ts = u64::MAX;
            head.lasting = Lasting::default();
            head.aging_shares = Shares::default();
            head.lasting_shares = Shares::default();
        } else if number == head.first {
            head.first += 1;
        }
    }

    /// Deletes and counts expired messages. Costs nothing when there are none.
    fn expire<B: Backend>(
        &mut self,
        group: &mut Group<'_, B>,
        ends: Ends,
    ) -> Result<(), ReadError> {
        if ends.may_concern(&self.head) {
            self.recount(group, ends)?;
        }
        Ok(())
    }

    /// Deletes and counts messages of a class until the class is within `count_max` and
    /// `bytes_max`, to make room for a message of `sender`: see [`shares`](crate::shares). Cost:
    /// O(`KNOWN_MAX`) each, and each message is examined once.
    fn make_room<B: Backend>(
        &mut self,
        group: &mut Group<'_, B>,
        (class, sender): (Class, u64),
        count_max: u64,
        bytes_max: u64,
    ) -> Result<(), ReadError> {
        let is_over = |(count, bytes)| count > count_max || bytes > bytes_max;
        while is_over(class.figures(&self.head)) {
            let is_whole = self.look(group, class)?;
            match class.shares(&mut self.head).next_to_go(sender) {
                Some(place) if is_whole => {
                    let is_uncounted = fault!(OverflowIsNotCounted);
                    if !is_uncounted {
                        self.head.losses.overflowed += 1;
                    }
                    let bytes = u64::from(place.bytes);
                    self.delete(group, place.number, Weight { class, bytes });
                }
                // Damage had made the figures wrong; the recount corrects them, so the loop ends.
                _ => self.recount(group, Ends::NONE)?,
            }
        }
        Ok(())
    }

    /// Finds out who sent the oldest messages of a class, as far as that is not known. `false` =
    /// something is damaged.
    fn look<B: Backend>(&mut self, group: &Group<'_, B>, class: Class) -> Result<bool, ReadError> {
        let (count, _) = class.figures(&self.head);
        let known = class.shares(&mut self.head);
        if !known.is_short(count) {
            return Ok(true);
        }
        let mut found = std::mem::take(known);
        let from = found
            .0
            .last()
            .map_or(self.head.first, |last| last.number + 1);
        let mut damaged = false;
        self.visit(group, from, self.head.next, &mut |number, message| {
            match message {
                None => damaged = true,
                Some(message) if Class::of(&message) == class => {
                    found.0.push(Place::of(number, &message));
                }
                Some(_) => {}
            }
            if found.0.len() >= KNOWN_MAX || damaged {
                Break(())
            } else {
                Continue(())
            }
        })?;
        *class.shares(&mut self.head) = found;
        Ok(!damaged)
    }

    /// Walks the whole inbox: deletes and counts damaged and expired messages, counts missing ones
    /// as damaged, and corrects the head's figures. A message that has reached the end its sender
    /// gave it is no loss.
    fn recount<B: Backend>(
        &mut self,
        group: &mut Group<'_, B>,
        ends: Ends,
    ) -> Result<(), ReadError> {
        let (from, end) = (self.head.first, self.head.next);
        let mut kept = InboxHead {
            next: end,
            first: end,
            losses: self.head.losses,
            ..InboxHead::default()
        };
        let (mut over, mut damaged) = (Vec::new(), Vec::new());
        self.visit(group, from, end, &mut |number, found| {
            match found {
                None => damaged.push(number),
                Some(message) if ends.has(&message) => over.push((number, Class::of(&message))),
                Some(message) => {
                    kept.first = kept.first.min(number);
                    count_in(&mut kept, &message);
                }
            }
            Continue(())
        })?;
        let found = kept.count + (over.len() + damaged.len()) as u64;
        let lost = damaged.len() as u64 + self.head.count.saturating_sub(found);
        group.damaged += lost;
        self.head = kept;
        let aged = over.iter().filter(|(_, class)| *class == Class::Aging);
        self.head.losses.expired += aged.count() as u64;
        self.head.losses.damaged += lost;
        let over = over.into_iter().map(|(number, _)| number);
        for number in over.chain(damaged) {
            group.delete(self.message_key(number));
        }
        Ok(())
    }
}

fn intact(found: Result<StoredMessage, ReadError>) -> Result<Option<StoredMessage>, ReadError> {
    match found {
        Ok(message) => Ok(Some(message)),
        Err(ReadError::Damaged(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn message_number(key: &[u8]) -> u64 {
    let number = key
        .last_chunk()
        .expect("a key within the range of an inbox ends with a number");
    u64::from_be_bytes(*number)
}

/// Ensures that the stored ceiling is at least `number`.
pub(crate) fn raise_ceiling<B: Backend>(
    group: &mut Group<'_, B>,
    number: u64,
) -> Result<(), ReadError> {
    if number > ceiling(group)? {
        let key = Key::NumberCeiling.encode();
        let record = record::seal_number(&key, number + CEILING_STEP);
        group.put(key, record);
    }
    Ok(())
}

/// A number that no inbox has exceeded.
pub(crate) fn ceiling<B: Backend>(group: &mut Group<'_, B>) -> Result<u64, ReadError> {
    let key = Key::NumberCeiling.encode();
    let opened = match group.get(&key) {
        Ok(None) => return Ok(0),
        Ok(Some(record)) => record::open_number(&key, &record),
        Err(error) => Err(error),
    };
    if !matches!(opened, Err(ReadError::Damaged(_))) {
        return opened;
    }
    // The ceiling is damaged: the highest head plus one step is the best estimate left.
    group.damaged += 1;
    let mut highest = 0;
    for pair in group.range(b"h", b"i") {
        if let Ok((key, record)) = pair
            && let Ok(head) = InboxHead::open(&key, &record)
        {
            highest = highest.max(head.next);
        }
    }
    let ceiling = highest + CEILING_STEP;
    let record = record::seal_number(&key, ceiling);
    group.put(key, record);
    Ok(ceiling)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use bytes::Bytes;
    use tidings_wire::names::{AppId, UserId};

    use super::*;
    use crate::cache::RecordCache;
    use crate::kv::{Fault, Pairs, Writes};

    /// A disk without a record: a group sees what it has written itself.
    struct Empty;

    impl Backend for Empty {
        fn get(&self, _: &[u8]) -> Result<Option<Bytes>, ReadError> {
            Ok(None)
        }

        fn range(&self, _: &[u8], _: &[u8]) -> Pairs<'_> {
            Box::new(std::iter::empty())
        }

        fn commit(&mut self, _: Writes) -> Result<(), Fault> {
            Ok(())
        }
    }

    fn bob() -> UserKey {
        UserKey {
            app: AppId::parse(&"a".repeat(32)).unwrap(),
            user: UserId::parse("bob").unwrap(),
        }
    }

    fn id(number: u64) -> MessageId {
        MessageId(u128::from(number).to_be_bytes())
    }

    /// An inbox with the messages 1 to `count`, and its group.
    fn with_messages<'a>(cache: &'a RefCell<RecordCache>, count: u64) -> Group<'a, Empty> {
        let mut group = Group::new(&Empty, cache);
        for number in 1..=count {
            let message = StoredMessage {
                inbox: 0,
                id: id(number),
                from: "ann".into(),
                body: "hi".into(),
                server_ts: 5,
                lasts_until: 0,
            };
            let limits = InboxLimits {
                messages_max: 100,
                bytes_max: 10_000,
                age_ms: u64::MAX,
            };
            append(&mut group, &bob(), &message, &limits).unwrap();
        }
        group
    }

    /// The head's first number, next number and count.
    fn head(group: &mut Group<'_, Empty>) -> (u64, u64, u64) {
        let head = Inbox::load(group, &bob()).unwrap().head;
        (head.first, head.next, head.count)
    }

    #[test]
    fn the_first_number_is_above_what_was_confirmed_also_over_a_hole() {
        let cache = RefCell::default();
        let mut group = with_messages(&cache, 6);
        assert_eq!(head(&mut group), (1, 7, 6));
        let told = InboxLosses::default();
        confirm(&mut group, &bob(), 1, &told).unwrap();
        assert_eq!(head(&mut group), (2, 7, 5));
        // A live form was confirmed out of order, which leaves a hole.
        remove(&mut group, &bob(), id(3)).unwrap();
        assert_eq!(head(&mut group), (2, 7, 4));
        confirm(&mut group, &bob(), 4, &told).unwrap();
        assert_eq!(head(&mut group), (5, 7, 2), "nobody looks at 2 to 4 again");
        remove(&mut group, &bob(), id(5)).unwrap();
        assert_eq!(head(&mut group), (6, 7, 1));
        confirm(&mut group, &bob(), 6, &told).unwrap();
        assert_eq!(head(&mut group), (7, 7, 0));
    }
}
