//! Attributes: one record holds all entries of an owner, so that a change is one step. When the
//! owner was last touched is a record of its own, so that a touch does not rewrite the entries.

use std::collections::BTreeMap;

use tidings_fault::fault;
use tidings_hub::store_ops::{
    AttributeEntry, AttributeLimits, AttributeOwner, LIBRARY_KEY, StoreAnswer,
};
use tidings_wire::proto::AttributeWrite;

use crate::keys::{Key, Kind};
use crate::kv::{Backend, Group, ReadError};
use crate::record;

/// Changes attributes in one step.
pub(crate) fn write<B: Backend>(
    group: &mut Group<'_, B>,
    owner: &AttributeOwner,
    how: AttributeWrite,
    entries: &[AttributeEntry],
    limits: &AttributeLimits,
    now_ts: u64,
) -> Result<StoreAnswer, ReadError> {
    let begins_empty = fault!(MergeBeginsFromNothing);
    let mut result = match how {
        // What a library has noted about a channel survives; a damaged record is overwritten.
        AttributeWrite::Set | AttributeWrite::Clear => match (owner, load(group, owner)) {
            (AttributeOwner::User(_), _) | (_, Err(ReadError::Damaged(_))) => BTreeMap::new(),
            (_, Err(error)) => return Err(error),
            (AttributeOwner::Channel(_), Ok(entries)) => entries
                .into_iter()
                .filter(is_of_library)
                .map(|entry| (entry.key.clone(), entry))
                .collect(),
        },
        AttributeWrite::Merge if begins_empty => BTreeMap::new(),
        AttributeWrite::Merge | AttributeWrite::Delete => load(group, owner)?
            .into_iter()
            .map(|entry| (entry.key.clone(), entry))
            .collect(),
    };
    match how {
        AttributeWrite::Set | AttributeWrite::Merge => {
            for entry in entries {
                let stamped = AttributeEntry {
                    updated_ts: now_ts,
                    ..entry.clone()
                };
                result.insert(entry.key.clone(), stamped);
            }
            for of_library in [false, true] {
                let kin = result
                    .values()
                    .filter(|entry| is_of_library(entry) == of_library);
                let sizes = kin.map(|entry| entry.key.len() + entry.value.len());
                let (entries, bytes) =
                    sizes.fold((0, 0), |(count, sum), size| (count + 1, sum + size));
                if entries > limits.entries_max || bytes > limits.bytes_max {
                    return Ok(StoreAnswer::Overflow { entries, bytes });
                }
            }
        }
        AttributeWrite::Delete => entries.iter().for_each(|entry| {
            result.remove(&entry.key);
        }),
        AttributeWrite::Clear => {}
    }
    let result: Vec<AttributeEntry> = result.into_values().collect();
    if result.is_empty() {
        delete(group, owner)?;
    } else {
        let touched_ts = touched(group, owner)?.unwrap_or(0).max(now_ts);
        let key = Key::Attributes(owner.clone()).encode();
        let sealed = record::seal_attributes(&key, &result);
        group.put(key, sealed);
        put_touched(group, owner, touched_ts);
    }
    Ok(StoreAnswer::AttributesWritten {
        // Given by the store, which numbers the writes of all owners.
        revision: 0,
        entries: result,
    })
}

fn is_of_library(entry: &AttributeEntry) -> bool {
    entry.key.starts_with(LIBRARY_KEY)
}

/// Reads all entries of an owner.
pub(crate) fn read<B: Backend>(
    group: &mut Group<'_, B>,
    owner: &AttributeOwner,
) -> Result<StoreAnswer, ReadError> {
    load(group, owner).map(StoreAnswer::Attributes)
}

/// Notes that an owner that has attributes was in use.
pub(crate) fn touch<B: Backend>(
    group: &mut Group<'_, B>,
    owner: &AttributeOwner,
    now_ts: u64,
) -> Result<StoreAnswer, ReadError> {
    if touched(group, owner)?.is_some_and(|touched_ts| touched_ts < now_ts) {
        put_touched(group, owner, now_ts);
    }
    Ok(StoreAnswer::Done)
}

/// Deletes all attributes of an owner unless it was touched after the given time.
pub(crate) fn drop_all<B: Backend>(
    group: &mut Group<'_, B>,
    owner: &AttributeOwner,
    unless_touched_after: u64,
) -> Result<StoreAnswer, ReadError> {
    if touched(group, owner)?.is_some_and(|touched_ts| touched_ts <= unless_touched_after) {
        delete(group, owner)?;
    }
    Ok(StoreAnswer::Done)
}

/// Lists owners last touched before a time. Cost: O(owners after `after`), about a microsecond
/// each.
pub(crate) fn owners<B: Backend>(
    group: &mut Group<'_, B>,
    touched_before: u64,
    count_max: usize,
    after: Option<&AttributeOwner>,
) -> Result<StoreAnswer, ReadError> {
    let from = match after {
        // No key lies between a key and the same key followed by a zero byte.
        Some(owner) => [Key::Touched(owner.clone()).encode(), vec![0]].concat(),
        None => vec![Kind::Touched as u8],
    };
    let mut owners = Vec::new();
    let mut damaged = 0;
    let mut has_more = false;
    for pair in group.range(&from, &[Kind::Touched as u8 + 1]) {
        let (key, record) = pair?;
        let Some(Key::Touched(owner)) = Key::decode(&key) else {
            damaged += 1;
            continue;
        };
        let touched_ts = match record::open_number(&key, &record) {
            Err(ReadError::Damaged(_)) => {
                damaged += 1;
                newest_entry_ts(group, &owner)
            }
            opened => opened?,
        };
        if touched_ts < touched_before {
            has_more = owners.len() == count_max;
            if has_more {
                break;
            }
            owners.push(owner);
        }
    }
    group.damaged += damaged;
    Ok(StoreAnswer::AttributeOwners { owners, has_more })
}

fn load<B: Backend>(
    group: &mut Group<'_, B>,
    owner: &AttributeOwner,
) -> Result<Vec<AttributeEntry>, ReadError> {
    let key = Key::Attributes(owner.clone()).encode();
    let opened = match group.get(&key) {
        Ok(None) => return Ok(Vec::new()),
        Ok(Some(record)) => record::open_attributes(&key, &record),
        Err(error) => Err(error),
    };
    opened.map_err(|error| match error {
        ReadError::Damaged(how) => {
            group.damaged += 1;
            ReadError::Damaged(format!(
                "the attributes of {owner:?}: {how}; set or clear them again"
            ))
        }
        error => error,
    })
}

fn delete<B: Backend>(group: &mut Group<'_, B>, owner: &AttributeOwner) -> Result<(), ReadError> {
    for key in [
        Key::Attributes(owner.clone()).encode(),
        Key::Touched(owner.clone()).encode(),
    ] {
        // A record that is absent needs no deletion on disk; one that cannot be read does.
        match group.get(&key) {
            Ok(None) => {}
            Ok(Some(_)) | Err(ReadError::Damaged(_)) => group.delete(key),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// When the owner was last touched; `None` if it has no attributes.
fn touched<B: Backend>(
    group: &mut Group<'_, B>,
    owner: &AttributeOwner,
) -> Result<Option<u64>, ReadError> {
    let key = Key::Touched(owner.clone()).encode();
    let opened = match group.get(&key) {
        Ok(None) => return Ok(None),
        Ok(Some(record)) => record::open_number(&key, &record),
        Err(error) => Err(error),
    };
    match opened {
        Err(ReadError::Damaged(_)) => {
            group.damaged += 1;
            Ok(Some(newest_entry_ts(group, owner)))
        }
        opened => opened.map(Some),
    }
}

/// Stands in for a damaged `touched_ts`: the latest time at which the owner was certainly in use.
fn newest_entry_ts<B: Backend>(group: &Group<'_, B>, owner: &AttributeOwner) -> u64 {
    let key = Key::Attributes(owner.clone()).encode();
    let entries = match group.get(&key) {
        Ok(Some(record)) => record::open_attributes(&key, &record).unwrap_or_default(),
        _ => Vec::new(),
    };
    entries
        .iter()
        .map(|entry| entry.updated_ts)
        .max()
        .unwrap_or(0)
}

fn put_touched<B: Backend>(group: &mut Group<'_, B>, owner: &AttributeOwner, touched_ts: u64) {
    let key = Key::Touched(owner.clone()).encode();
    let sealed = record::seal_number(&key, touched_ts);
    group.put(key, sealed);
}
