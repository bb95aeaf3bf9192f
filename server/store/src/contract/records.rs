//! Cases about small tables.

use bytes::Bytes;
use tidings_hub::store_ops::records::{
    Direction, Expect, RECORD_KEY_BYTES_MAX, RECORD_PAGE_MAX, RecordAnswer, RecordOp, RecordWrite,
    Table,
};
use tidings_hub::store_ops::{StoreAnswer, StoreOp};

use super::{Single, Subject};

fn ask(store: &mut dyn Subject, op: RecordOp) -> RecordAnswer {
    match store.single(StoreOp::Record(Box::new(op))) {
        StoreAnswer::Record(answer) => *answer,
        other => panic!("a table answered {other:?}"),
    }
}

fn write(table: Table, key: &str, expect: Expect, value: Option<&str>) -> RecordWrite {
    RecordWrite {
        table,
        key: Bytes::copy_from_slice(key.as_bytes()),
        expect,
        value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
    }
}

fn put(table: Table, key: &str, value: &str) -> RecordWrite {
    write(table, key, Expect::Any, Some(value))
}

fn get(store: &mut dyn Subject, table: Table, key: &str) -> Option<Bytes> {
    let key = Bytes::copy_from_slice(key.as_bytes());
    match ask(store, RecordOp::Read { table, key }) {
        RecordAnswer::Value(value) => value,
        other => panic!("a read answered {other:?}"),
    }
}

fn scan(
    store: &mut dyn Subject,
    table: Table,
    (prefix, after): (&[u8], Option<&[u8]>),
    count_max: usize,
) -> (Vec<Vec<u8>>, bool) {
    let op = RecordOp::Scan {
        table,
        prefix: Bytes::copy_from_slice(prefix),
        after: after.map(Bytes::copy_from_slice),
        before: None,
        direction: Direction::Forward,
        count_max,
    };
    keys_of(store, op)
}

/// The keys that a scan finds, and whether there are more.
fn keys_of(store: &mut dyn Subject, op: RecordOp) -> (Vec<Vec<u8>>, bool) {
    match ask(store, op) {
        RecordAnswer::Page { records, has_more } => {
            let keys = records.into_iter().map(|(key, _)| key.to_vec());
            (keys.collect(), has_more)
        }
        other => panic!("a scan answered {other:?}"),
    }
}

/// A record is what was written last, in its own table, also after a restart.
pub fn a_record_is_what_was_written_last(store: &mut dyn Subject) {
    let writes = vec![
        put(Table::Keys, "k", "1"),
        put(Table::Bans, "k", "2"),
        put(Table::Keys, "k", "3"),
    ];
    assert_eq!(ask(store, RecordOp::Write(writes)), RecordAnswer::Written);
    store.reopen();
    assert_eq!(get(store, Table::Keys, "k").as_deref(), Some(&b"3"[..]));
    assert_eq!(get(store, Table::Bans, "k").as_deref(), Some(&b"2"[..]));
    assert_eq!(get(store, Table::Audit, "k"), None);
    let gone = RecordOp::Write(vec![write(Table::Keys, "k", Expect::Any, None)]);
    assert_eq!(ask(store, gone.clone()), RecordAnswer::Written);
    assert_eq!(ask(store, gone), RecordAnswer::Written, "gone already");
    store.reopen();
    assert_eq!(get(store, Table::Keys, "k"), None);
    assert_eq!(get(store, Table::Bans, "k").as_deref(), Some(&b"2"[..]));
}

/// Of writes that belong together, none is made if one finds something else than it expects.
pub fn writes_that_belong_together_are_made_together(store: &mut dyn Subject) {
    let first = RecordOp::Write(vec![
        write(Table::Cursors, "a", Expect::Absent, Some("1")),
        put(Table::Deliveries, "app/1", "x"),
    ]);
    assert_eq!(ask(store, first.clone()), RecordAnswer::Written);
    let conflict = RecordAnswer::Conflict {
        at: 0,
        found: Some(Bytes::from_static(b"1")),
    };
    assert_eq!(ask(store, first), conflict);
    let second = RecordOp::Write(vec![
        put(Table::Deliveries, "app/2", "y"),
        write(Table::Deliveries, "app/1", Expect::Any, None),
        write(
            Table::Cursors,
            "a",
            Expect::Value(Bytes::from_static(b"2")),
            Some("3"),
        ),
    ]);
    let conflict = RecordAnswer::Conflict {
        at: 2,
        found: Some(Bytes::from_static(b"1")),
    };
    assert_eq!(ask(store, second), conflict);
    let kept = scan(store, Table::Deliveries, (b"app/", None), 9);
    assert_eq!(kept, (vec![b"app/1".to_vec()], false));
    assert_eq!(get(store, Table::Cursors, "a").as_deref(), Some(&b"1"[..]));
}

/// Records are listed in the order of their keys, by prefix and in pages; keys may hold any byte.
pub fn records_are_listed_in_pages(store: &mut dyn Subject) {
    let keys: [&[u8]; 6] = [b"a", b"a\0", b"a\xff", b"a\xff\xff", b"b", b"\xff\xff"];
    let mut writes: Vec<_> = keys
        .iter()
        .map(|key| RecordWrite {
            key: Bytes::from_static(key),
            ..put(Table::Webhooks, "", "v")
        })
        .collect();
    writes.reverse();
    assert_eq!(ask(store, RecordOp::Write(writes)), RecordAnswer::Written);
    ask(store, RecordOp::Write(vec![put(Table::Audit, "a", "v")]));
    let all: Vec<Vec<u8>> = keys.iter().map(|key| key.to_vec()).collect();
    let (first, has_more) = scan(store, Table::Webhooks, (b"", None), 4);
    assert_eq!((&first[..], has_more), (&all[..4], true));
    let (rest, has_more) = scan(store, Table::Webhooks, (b"", Some(&all[3])), 4);
    assert_eq!((&rest[..], has_more), (&all[4..], false));
    assert_eq!(scan(store, Table::Webhooks, (b"a", None), 9).0, all[..4]);
    assert_eq!(
        scan(store, Table::Webhooks, (b"a\xff", None), 9).0,
        all[2..4]
    );
    assert_eq!(scan(store, Table::Webhooks, (b"\xff", None), 9).0, all[5..]);
    assert_eq!(
        scan(store, Table::Webhooks, (b"a", Some(b"b")), 9).0,
        Vec::<Vec<u8>>::new()
    );
}

/// Records are listed from the last key on too, between two keys; one that the same group writes is
/// in its place.
pub fn records_are_listed_from_the_last_on(store: &mut dyn Subject) {
    let keys: [&[u8]; 6] = [b"a", b"a\0", b"a\xff", b"a\xff\xff", b"b", b"\xff\xff"];
    let writes = keys.map(|key| RecordWrite {
        key: Bytes::from_static(key),
        ..put(Table::Webhooks, "", "v")
    });
    let written = ask(store, RecordOp::Write(writes.to_vec()));
    assert_eq!(written, RecordAnswer::Written);
    ask(store, RecordOp::Write(vec![put(Table::Audit, "a", "v")]));
    let back = |store: &mut dyn Subject, after: Option<&[u8]>, before: Option<&[u8]>, count_max| {
        let op = RecordOp::Scan {
            table: Table::Webhooks,
            prefix: Bytes::new(),
            after: after.map(Bytes::copy_from_slice),
            before: before.map(Bytes::copy_from_slice),
            direction: Direction::Backward,
            count_max,
        };
        keys_of(store, op)
    };
    let reversed: Vec<Vec<u8>> = keys.iter().rev().map(|key| key.to_vec()).collect();
    let (last, has_more) = back(store, None, None, 4);
    assert_eq!((&last[..], has_more), (&reversed[..4], true));
    let (rest, has_more) = back(store, None, Some(&last[3]), 4);
    assert_eq!((&rest[..], has_more), (&reversed[4..], false));
    let between = back(store, Some(b"a"), Some(b"b"), 9).0;
    assert_eq!(between, reversed[2..5]);
    assert!(back(store, Some(b"b"), Some(b"a"), 9).0.is_empty());
    // One that is written in the same group is in its place too.
    let mut answers = Vec::new();
    let written = RecordWrite {
        key: Bytes::from_static(b"aa"),
        ..put(Table::Webhooks, "", "v")
    };
    let gone = RecordWrite {
        key: Bytes::from_static(b"b"),
        value: None,
        ..put(Table::Webhooks, "", "v")
    };
    let scan = RecordOp::Scan {
        table: Table::Webhooks,
        prefix: Bytes::from_static(b"a"),
        after: None,
        before: None,
        direction: Direction::Backward,
        count_max: 3,
    };
    let group = [RecordOp::Write(vec![written, gone]), scan];
    let group = group.map(|op| StoreOp::Record(Box::new(op)));
    store.engine().apply(&group, &mut answers);
    let Some(StoreAnswer::Record(answer)) = answers.pop() else {
        panic!("a scan is not answered");
    };
    let RecordAnswer::Page { records, .. } = *answer else {
        panic!("a scan answered {answer:?}");
    };
    let found: Vec<&[u8]> = records.iter().map(|(key, _)| &key[..]).collect();
    assert_eq!(found, [&b"a\xff\xff"[..], b"a\xff", b"aa"]);
}

/// A scope holds no more than its table allows, whatever other scopes hold; deleting makes room.
pub fn each_scope_of_a_table_is_bounded(store: &mut dyn Subject) {
    let most = usize::try_from(Table::Webhooks.bounds().records_max).unwrap_or(usize::MAX);
    let fill = |scope: &str| {
        (0..most)
            .map(|n| put(Table::Webhooks, &format!("{scope}{n:04}"), "v"))
            .collect()
    };
    for scope in ["", "app/"] {
        assert_eq!(
            ask(store, RecordOp::Write(fill(scope))),
            RecordAnswer::Written
        );
    }
    store.reopen();
    let one_more = RecordOp::Write(vec![put(Table::Webhooks, "app/x", "v")]);
    let full = RecordAnswer::Full {
        table: Table::Webhooks,
        records_max: most as u64,
    };
    assert_eq!(ask(store, one_more.clone()), full);
    assert_eq!(get(store, Table::Webhooks, "app/x"), None);
    let replaced = RecordOp::Write(vec![put(Table::Webhooks, "app/0001", "w")]);
    assert_eq!(ask(store, replaced), RecordAnswer::Written);
    let other = RecordOp::Write(vec![put(Table::Webhooks, "other/x", "v")]);
    assert_eq!(ask(store, other), RecordAnswer::Written);
    let gone = RecordOp::Write(vec![write(Table::Webhooks, "app/0000", Expect::Any, None)]);
    assert_eq!(ask(store, gone), RecordAnswer::Written);
    assert_eq!(ask(store, one_more), RecordAnswer::Written);
    let too_large = [
        put(Table::Keys, "", "v"),
        put(Table::Keys, &"k".repeat(RECORD_KEY_BYTES_MAX + 1), "v"),
        put(Table::Keys, "k", &"v".repeat((4 << 10) + 1)),
    ];
    for write in too_large {
        let answer = ask(store, RecordOp::Write(vec![write]));
        assert!(
            matches!(answer, RecordAnswer::TooLarge { .. }),
            "{answer:?}"
        );
    }
}

/// A full audit log drops its oldest entries, and a range is deleted in steps.
pub fn a_full_log_drops_its_first_records(store: &mut dyn Subject) {
    let most = Table::Audit.bounds().records_max;
    let entries: Vec<u64> = (0..most + 3).collect();
    let mut answers = Vec::new();
    for group in entries.chunks(5_000) {
        let ops: Vec<StoreOp> = group
            .chunks(200)
            .map(|entries| {
                let writes = entries
                    .iter()
                    .map(|n| put(Table::Audit, &format!("app/{n:09}"), "v"));
                StoreOp::Record(Box::new(RecordOp::Write(writes.collect())))
            })
            .collect();
        store.engine().apply(&ops, &mut answers);
    }
    let written = StoreAnswer::Record(Box::new(RecordAnswer::Written));
    assert!(answers.iter().all(|answer| *answer == written));
    let (first, _) = scan(store, Table::Audit, (b"app/", None), 1);
    assert_eq!(first, [b"app/000000003".to_vec()]);
    let mut left = most;
    loop {
        let op = RecordOp::DeleteRange {
            table: Table::Audit,
            from: Bytes::from_static(b"app/"),
            until: Bytes::from_static(b"app/000019999"),
        };
        let RecordAnswer::Deleted { count, has_more } = ask(store, op) else {
            panic!("a deletion of a range was refused");
        };
        assert!(count <= RECORD_PAGE_MAX);
        left -= count as u64;
        if !has_more {
            break;
        }
    }
    assert_eq!(left, 4);
    let (rest, _) = scan(store, Table::Audit, (b"app/", None), 9);
    assert_eq!(rest.len(), 4);
}
