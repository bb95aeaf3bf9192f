//! Small tables: what must survive besides what hubs keep.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use tidings_hub::store_ops::StoreAnswer;
use tidings_hub::store_ops::records::{
    Direction, Expect, RECORD_KEY_BYTES_MAX, RECORD_PAGE_BYTES_MAX, RECORD_PAGE_MAX,
    RECORD_WRITES_MAX, RecordAnswer, RecordOp, RecordWrite, Table, WhenFull,
};

use crate::keys::{Key, Kind};
use crate::kv::{Backend, Group, ReadError};
use crate::record;

/// Carries out an operation on tables.
pub(crate) fn carry_out<B: Backend>(
    group: &mut Group<'_, B>,
    op: &RecordOp,
) -> Result<StoreAnswer, ReadError> {
    let answer = match op {
        RecordOp::Write(writes) => write(group, writes)?,
        RecordOp::Read { table, key } => RecordAnswer::Value(load(group, *table, key)?),
        RecordOp::Scan {
            table,
            prefix,
            after,
            before,
            direction,
            count_max,
        } => {
            let range = between(*table, prefix, after.as_ref(), before.as_ref());
            scan(group, range, *direction, *count_max)?
        }
        RecordOp::DeleteRange { table, from, until } => delete_range(group, *table, from, until)?,
    };
    Ok(StoreAnswer::Record(Box::new(answer)))
}

/// The scope of a key: what is bounded together.
pub(crate) fn scope(key: &[u8]) -> &[u8] {
    let end = key.iter().position(|byte| *byte == b'/');
    end.map_or(&[], |end| &key[..end])
}

fn write<B: Backend>(
    group: &mut Group<'_, B>,
    writes: &[RecordWrite],
) -> Result<RecordAnswer, ReadError> {
    if let Some(reason) = too_large(writes) {
        return Ok(RecordAnswer::TooLarge { reason });
    }
    let mut counts = Counts::default();
    for (at, write) in writes.iter().enumerate() {
        match put(group, &mut counts, at, write)? {
            None => {}
            // The group has accepted what came before this operation: only its own writes go.
            Some(refused) => {
                group.take_back();
                return Ok(refused);
            }
        }
    }
    counts.save(group);
    Ok(RecordAnswer::Written)
}

/// Makes one write. `Some` = it is refused.
fn put<B: Backend>(
    group: &mut Group<'_, B>,
    counts: &mut Counts,
    at: usize,
    write: &RecordWrite,
) -> Result<Option<RecordAnswer>, ReadError> {
    let table = write.table;
    let found = match load(group, table, &write.key) {
        // Whoever replaces or deletes a damaged record without looking at it gets rid of it.
        Err(ReadError::Damaged(_)) if write.expect == Expect::Any => {
            group.damaged += 1;
            Some(Bytes::new())
        }
        found => found?,
    };
    let is_expected = match &write.expect {
        Expect::Any => true,
        Expect::Absent => found.is_none(),
        Expect::Value(value) => found.as_ref() == Some(value),
    };
    if !is_expected {
        return Ok(Some(RecordAnswer::Conflict { at, found }));
    }
    let key = Key::Record(table, write.key.clone()).encode();
    match (&write.value, found.is_some()) {
        (None, false) => return Ok(None),
        (None, true) => {
            *counts.of(group, table, scope(&write.key))? -= 1;
            group.delete(key);
            return Ok(None);
        }
        (Some(_), true) => {}
        (Some(_), false) => {
            let bounds = table.bounds();
            let scope = scope(&write.key);
            if *counts.of(group, table, scope)? >= bounds.records_max as i64 {
                if bounds.when_full == WhenFull::Refuse {
                    return Ok(Some(RecordAnswer::Full {
                        table,
                        records_max: bounds.records_max,
                    }));
                }
                if let Some(first) = first_of(group, table, scope)? {
                    group.delete(first);
                    *counts.of(group, table, scope)? -= 1;
                }
            }
            *counts.of(group, table, scope)? += 1;
        }
    }
    if let Some(value) = &write.value {
        let sealed = record::seal_bytes(&key, value);
        group.put(key, sealed);
    }
    Ok(None)
}

/// The key of the first record of a scope.
fn first_of<B: Backend>(
    group: &Group<'_, B>,
    table: Table,
    scope: &[u8],
) -> Result<Option<Bytes>, ReadError> {
    let prefix = match scope {
        [] => Vec::new(),
        scope => [scope, b"/"].concat(),
    };
    let (from, to) = range_of(table, &prefix);
    for pair in group.range(&from, &to) {
        let (key, _) = pair?;
        // Without a scope, records of other scopes lie in between.
        if self::scope(&key[2..]) == scope {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

fn too_large(writes: &[RecordWrite]) -> Option<String> {
    if writes.len() > RECORD_WRITES_MAX {
        return Some(format!(
            "{} writes are given together; at most {RECORD_WRITES_MAX} are carried out",
            writes.len()
        ));
    }
    writes.iter().find_map(|write| {
        let (table, key_bytes) = (write.table.name(), write.key.len());
        if key_bytes == 0 || key_bytes > RECORD_KEY_BYTES_MAX {
            return Some(format!(
                "a key of the table {table} has {key_bytes} bytes; 1 to {RECORD_KEY_BYTES_MAX} are possible"
            ));
        }
        let bytes = write.value.as_ref().map_or(0, Bytes::len);
        let bytes_max = write.table.bounds().value_bytes_max;
        (bytes > bytes_max).then(|| {
            format!("a record of the table {table} has {bytes} bytes; at most {bytes_max} are possible")
        })
    })
}

fn load<B: Backend>(
    group: &Group<'_, B>,
    table: Table,
    key: &Bytes,
) -> Result<Option<Bytes>, ReadError> {
    let key = Key::Record(table, key.clone()).encode();
    let record = group.get(&key)?;
    record
        .map(|record| record::open_bytes(&key, &record))
        .transpose()
}

/// Keys of a table that begin with a prefix: from the first, to the first that is none.
pub(crate) fn range_of(table: Table, prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let from = [&[Kind::Record as u8, table as u8], prefix].concat();
    let mut to = from.clone();
    // The table's number is small, so that this ends before the key does.
    while to.last() == Some(&u8::MAX) {
        to.pop();
    }
    if let Some(last) = to.last_mut() {
        *last += 1;
    }
    (from, to)
}

/// The part of [`range_of`] that lies between two keys, without these.
fn between(
    table: Table,
    prefix: &[u8],
    after: Option<&Bytes>,
    before: Option<&Bytes>,
) -> (Vec<u8>, Vec<u8>) {
    let (mut from, mut to) = range_of(table, prefix);
    let of_table = [Kind::Record as u8, table as u8];
    if let Some(after) = after {
        // No key lies between a key and the same key followed by a zero byte.
        from = from.max([&of_table, &after[..], &[0]].concat());
    }
    if let Some(before) = before {
        to = to.min([&of_table, &before[..]].concat());
    }
    (from, to)
}

fn scan<B: Backend>(
    group: &mut Group<'_, B>,
    (from, to): (Vec<u8>, Vec<u8>),
    direction: Direction,
    count_max: usize,
) -> Result<RecordAnswer, ReadError> {
    let count_max = count_max.clamp(1, RECORD_PAGE_MAX);
    let (mut records, mut bytes, mut damaged) = (Vec::new(), 0, 0);
    let mut has_more = false;
    for pair in group.range_by(&from, &to, direction) {
        let (key, record) = pair?;
        let value = match record::open_bytes(&key, &record) {
            Ok(value) => value,
            Err(ReadError::Damaged(_)) => {
                damaged += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        bytes += key.len() + value.len();
        let is_over = records.len() >= count_max || bytes > RECORD_PAGE_BYTES_MAX;
        if is_over && !records.is_empty() {
            has_more = true;
            break;
        }
        records.push((key.slice(2..), value));
    }
    group.damaged += damaged;
    Ok(RecordAnswer::Page { records, has_more })
}

fn delete_range<B: Backend>(
    group: &mut Group<'_, B>,
    table: Table,
    from: &[u8],
    until: &[u8],
) -> Result<RecordAnswer, ReadError> {
    let of_table = |key: &[u8]| [&[Kind::Record as u8, table as u8], key].concat();
    let mut keys = Vec::new();
    let mut has_more = false;
    for pair in group.range(&of_table(from), &of_table(until)) {
        let (key, _) = pair?;
        if keys.len() == RECORD_PAGE_MAX {
            has_more = true;
            break;
        }
        keys.push(key);
    }
    let count = keys.len();
    let mut counts = Counts::default();
    for key in keys {
        *counts.of(group, table, scope(&key[2..]))? -= 1;
        group.delete(key);
    }
    counts.save(group);
    Ok(RecordAnswer::Deleted { count, has_more })
}

/// How many records the scopes have that an operation changes.
#[derive(Default)]
struct Counts {
    known: BTreeMap<Vec<u8>, i64>,
}

impl Counts {
    fn of<B: Backend>(
        &mut self,
        group: &mut Group<'_, B>,
        table: Table,
        scope: &[u8],
    ) -> Result<&mut i64, ReadError> {
        let key = Key::RecordCount(table, Bytes::copy_from_slice(scope)).encode();
        let vacant = match self.known.entry(key) {
            Entry::Occupied(known) => return Ok(known.into_mut()),
            Entry::Vacant(vacant) => vacant,
        };
        let stored = match group.get(vacant.key())? {
            None => Ok(0),
            Some(record) => record::open_number(vacant.key(), &record),
        };
        let count = match stored {
            Ok(count) => i64::try_from(count).unwrap_or(i64::MAX),
            Err(ReadError::Damaged(_)) => {
                group.damaged += 1;
                count_again(group, table, scope)?
            }
            Err(error) => return Err(error),
        };
        Ok(vacant.insert(count))
    }

    fn save<B: Backend>(self, group: &mut Group<'_, B>) {
        for (key, count) in self.known {
            match u64::try_from(count) {
                Ok(count) if count > 0 => {
                    let sealed = record::seal_number(&key, count);
                    group.put(key, sealed);
                }
                _ => group.delete(key),
            }
        }
    }
}

/// Counts the records of a scope, whose count cannot be read. Cost: O(records of the table).
fn count_again<B: Backend>(
    group: &Group<'_, B>,
    table: Table,
    scope: &[u8],
) -> Result<i64, ReadError> {
    let (from, to) = range_of(table, scope);
    let mut count = 0;
    for pair in group.range(&from, &to) {
        count += i64::from(self::scope(&pair?.0[2..]) == scope);
    }
    Ok(count)
}
