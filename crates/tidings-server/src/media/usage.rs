//! How much space files take, by app and in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tidings_wire::names::AppId;

use super::StoreError;

/// A file system gives space out in blocks, and a name needs some too: counted like this, files of one byte cannot
/// use the disk up.
const BLOCK_BYTES: u64 = 4_096;

/// The count. Touched once per piece that is written.
#[derive(Debug)]
pub(super) struct Usage {
    bytes_max: u64,
    app_bytes_max: u64,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: u64,
    /// Bound: the apps that have files.
    by_app: HashMap<AppId, u64>,
}

impl Usage {
    pub(super) fn new(bytes_max: u64, app_bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            bytes_max,
            app_bytes_max,
            counts: Mutex::default(),
        })
    }

    /// Counts a file that is there already, whatever the bounds.
    pub(super) fn found(&self, app: &AppId, file_bytes: u64) {
        self.change(app, |count| *count += blocks(file_bytes));
    }

    /// Forgets a file.
    pub(super) fn gone(&self, app: &AppId, file_bytes: u64) {
        self.change(app, |count| {
            *count = count.saturating_sub(blocks(file_bytes))
        });
    }

    fn change(&self, app: &AppId, change: impl Fn(&mut u64)) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut counts.total);
        let of_app = counts.by_app.entry(app.clone()).or_default();
        change(of_app);
        if *of_app == 0 {
            counts.by_app.remove(app);
        }
    }

    fn take(&self, app: &AppId, bytes: u64) -> Result<(), StoreError> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_app = counts.by_app.get(app).copied().unwrap_or(0);
        for (what, used, max) in [
            ("the app", of_app, self.app_bytes_max),
            ("the server", counts.total, self.bytes_max),
        ] {
            if used + bytes > max {
                return Err(StoreError::Full { what, used, max });
            }
        }
        counts.total += bytes;
        *counts.by_app.entry(app.clone()).or_default() += bytes;
        Ok(())
    }
}

fn blocks(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK_BYTES).max(BLOCK_BYTES)
}

/// The space of one file that is being written; given back when dropped, unless kept.
#[derive(Debug)]
pub(super) struct Share {
    usage: Arc<Usage>,
    app: AppId,
    taken: u64,
}

impl Share {
    pub(super) fn new(usage: Arc<Usage>, app: AppId) -> Self {
        Self {
            usage,
            app,
            taken: 0,
        }
    }

    /// Makes the share large enough for a file of so many bytes.
    pub(super) fn grow(&mut self, file_bytes: u64) -> Result<(), StoreError> {
        let needed = blocks(file_bytes).saturating_sub(self.taken);
        if needed > 0 {
            self.usage.take(&self.app, needed)?;
            self.taken += needed;
        }
        Ok(())
    }

    /// The file stays.
    pub(super) fn keep(mut self) {
        self.taken = 0;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.taken > 0 {
            self.usage.gone(&self.app, self.taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(letter: &str) -> AppId {
        AppId::parse(&letter.repeat(32)).expect("an app id")
    }

    #[test]
    fn an_app_and_the_server_have_bounds_and_space_comes_back() {
        let usage = Usage::new(5 * BLOCK_BYTES, 3 * BLOCK_BYTES);
        let mut first = Share::new(usage.clone(), app("a"));
        first
            .grow(3 * BLOCK_BYTES)
            .expect("as much as an app may have");
        let full = first
            .grow(3 * BLOCK_BYTES + 1)
            .expect_err("one byte too many");
        assert!(full.to_string().starts_with("the app has 12288 of 12288"));
        let mut second = Share::new(usage.clone(), app("b"));
        second.grow(2 * BLOCK_BYTES).expect("the rest");
        let full = second
            .grow(2 * BLOCK_BYTES + 1)
            .expect_err("the server is full");
        assert!(
            full.to_string()
                .starts_with("the server has 20480 of 20480")
        );
        drop(first);
        second.grow(3 * BLOCK_BYTES).expect("space again");
        second.keep();
        usage.gone(&app("b"), 3 * BLOCK_BYTES);
        let mut third = Share::new(usage, app("b"));
        third.grow(1).expect("space again");
        assert_eq!(third.taken, BLOCK_BYTES, "one byte costs a block");
    }
}
