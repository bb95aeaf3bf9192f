//! Invitations: one record each, written by compare-and-swap.

use tidings_hub::store_ops::{InvitationName, StoreAnswer, StoredInvitation};

use crate::keys::{Key, Kind};
use crate::kv::{Backend, Group, ReadError};
use crate::record;

/// Replaces the record that has the given revision.
pub(crate) fn put<B: Backend>(
    group: &mut Group<'_, B>,
    name: &InvitationName,
    revision: u64,
    body: &bytes::Bytes,
) -> Result<StoreAnswer, ReadError> {
    let stored = load(group, name)?;
    if stored.as_ref().map_or(0, |stored| stored.revision) != revision {
        return Ok(StoreAnswer::InvitationConflict(stored));
    }
    let key = Key::Invitation(name.clone()).encode();
    let sealed = record::seal_invitation(
        &key,
        &StoredInvitation {
            revision: revision + 1,
            body: body.clone(),
        },
    );
    group.put(key, sealed);
    Ok(StoreAnswer::Done)
}

/// Reads a record.
pub(crate) fn read<B: Backend>(
    group: &mut Group<'_, B>,
    name: &InvitationName,
) -> Result<StoreAnswer, ReadError> {
    load(group, name).map(StoreAnswer::Invitation)
}

/// Deletes a record.
pub(crate) fn delete<B: Backend>(group: &mut Group<'_, B>, name: &InvitationName) -> StoreAnswer {
    group.delete(Key::Invitation(name.clone()).encode());
    StoreAnswer::Done
}

/// Lists records in key order. Records that cannot be read are counted and left out.
pub(crate) fn list<B: Backend>(
    group: &mut Group<'_, B>,
    after: Option<&InvitationName>,
    count_max: usize,
) -> Result<StoreAnswer, ReadError> {
    let from = match after {
        // No key lies between a key and the same key followed by a zero byte.
        Some(name) => [Key::Invitation(name.clone()).encode(), vec![0]].concat(),
        None => vec![Kind::Invitation as u8],
    };
    let mut found = Vec::new();
    let mut damaged = 0;
    let mut has_more = false;
    for pair in group.range(&from, &[Kind::Invitation as u8 + 1]) {
        let (key, record) = pair?;
        let Some(Key::Invitation(name)) = Key::decode(&key) else {
            damaged += 1;
            continue;
        };
        match record::open_invitation(&key, &record) {
            Ok(_) if found.len() == count_max => {
                has_more = true;
                break;
            }
            Ok(stored) => found.push((name, stored)),
            Err(ReadError::Damaged(_)) => damaged += 1,
            Err(error) => return Err(error),
        }
    }
    group.damaged += damaged;
    Ok(StoreAnswer::Invitations { found, has_more })
}

fn load<B: Backend>(
    group: &Group<'_, B>,
    name: &InvitationName,
) -> Result<Option<StoredInvitation>, ReadError> {
    let key = Key::Invitation(name.clone()).encode();
    let record = group.get(&key)?;
    record
        .map(|record| record::open_invitation(&key, &record))
        .transpose()
}
