//! Key sets that were fetched, in the store: a start does not wait for the login server.
//!
//! Only the first load after a start looks there, and what it finds is replaced by what is fetched.
//! Keys that were withdrawn while the server was down are good until then, as they would have been
//! for a server that had gone on running.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidings_hub::jwt::KeySource;
use tidings_store::records::{Records, Table};
use tidings_token::jwt::KeySet;
use tidings_wire::hex;

/// Older ones are not used, in seconds: whoever was down for longer begins anew.
const AGE_S_MAX: u64 = 24 * 3_600;

/// A set on disk, and when it was fetched, in Unix seconds.
fn record(at_s: u64, set: &str) -> Vec<u8> {
    json!({ "at_s": at_s, "set": set }).to_string().into_bytes()
}

fn now_s() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    unix.unwrap_or_default().as_secs()
}

/// The record's key; `None` = the set is in a file, which is there after a restart.
fn key(source: &KeySource) -> Option<String> {
    let KeySource::Url { url, authorities } = source else {
        return None;
    };
    let trusted = authorities
        .as_deref()
        .map(|path| path.display().to_string());
    let mut hash = Sha256::new();
    for part in [url, &trusted.unwrap_or_default()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    Some(format!("keyset/{}", hex(&hash.finalize()[..16])))
}

/// The set as it was fetched last, for the first load after a start.
pub(super) async fn recall(
    records: &Records,
    source: &KeySource,
    is_first: bool,
) -> Option<KeySet> {
    let key = key(source).filter(|_| is_first)?;
    let found = records.get(Table::Node, key).await.ok()??;
    let record: Value = serde_json::from_slice(&found).ok()?;
    let at_s = record["at_s"].as_u64()?;
    let is_young = at_s.saturating_add(AGE_S_MAX) > now_s();
    let set = KeySet::parse(record["set"].as_str()?.as_bytes()).ok();
    set.filter(|_| is_young)
}

/// Keeps a set that was fetched. One that is too long for a record is not kept.
pub(super) async fn keep(records: &Records, source: &KeySource, bytes: &[u8]) {
    let Some((key, set)) = key(source).zip(std::str::from_utf8(bytes).ok()) else {
        return;
    };
    let value = record(now_s(), set);
    if let Err(error) = records.put(Table::Node, key, value).await {
        tracing::debug!(%error, "a key set will be fetched anew after a restart");
    }
}

#[cfg(test)]
mod tests {
    use tidings_store::{Committer, MemoryEngine};

    use super::*;

    const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn at(url: &str) -> KeySource {
        let (url, authorities) = (url.to_owned(), None);
        KeySource::Url { url, authorities }
    }

    #[tokio::test]
    async fn a_set_is_found_again_by_its_place_and_only_at_the_first_load() {
        let committer = Committer::open(MemoryEngine::new(), |_, _| ()).expect("a store");
        let records = Records::new(committer.submitter());
        let source = at("https://login.example.org/keys");
        assert!(recall(&records, &source, true).await.is_none());
        keep(&records, &source, SET.as_bytes()).await;
        let found = recall(&records, &source, true).await.expect("it is there");
        assert_eq!(found.keys.len(), 1);
        assert!(recall(&records, &source, false).await.is_none());
        let other = at("https://other.example.org/keys");
        assert!(recall(&records, &other, true).await.is_none());
        // Too old, or nothing that this version has written.
        let old = record(now_s() - AGE_S_MAX, SET);
        for value in [old, b"?".to_vec()] {
            let key = key(&source).expect("a key");
            records.put(Table::Node, key, value).await.expect("written");
            assert!(recall(&records, &source, true).await.is_none());
        }
        let too_long = format!("{{\"keys\":[],\"x\":\"{}\"}}", "a".repeat(60_000));
        keep(&records, &other, too_long.as_bytes()).await;
        assert!(recall(&records, &other, true).await.is_none());
    }
}
