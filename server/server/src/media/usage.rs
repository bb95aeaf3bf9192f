//! How much space files take: by user, by app, and in all.
//!
//! What is stored is counted apart from what is still coming in, so that it can be counted anew
//! from the disk, where an operator may have deleted files.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidings_wire::names::{AppId, UserId};

use super::StoreError;

/// A file system gives space out in blocks, and a name needs some too: counted like this, files of
/// one byte cannot use the disk up.
const BLOCK_BYTES: u64 = 4_096;

/// Whose a file is. Files of before it was noted belong to their app alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) app: AppId,
    pub(crate) user: Option<UserId>,
}

/// How much one app, and one user of it, may have. Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) app_bytes_max: u64,
    /// What has to be changed for the app to have more.
    pub(crate) app_rule: AppRule,
    pub(crate) user_bytes_max: u64,
}

/// What says how much an app may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppRule {
    /// The server's settings, for each app alike.
    Setting,
    /// The app's own quota, or the one that apps have which share a server.
    Quota,
}

/// Which bound a file would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    User(u64),
    App(u64, AppRule),
    Server,
}

/// Says nothing of what others have: an app could watch them by it.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(max) => write!(
                f,
                "the user's files have no room for it: a user may have {max} bytes (media-user-bytes-max)"
            ),
            Self::App(max, AppRule::Setting) => write!(
                f,
                "the app's files have no room for it: an app may have {max} bytes (media-app-bytes-max)"
            ),
            Self::App(max, AppRule::Quota) => write!(
                f,
                "the app's files have no room for it: its quota max_media_bytes is {max}; the operator sets it with \
                 `tidings app set`"
            ),
            Self::Server => f.write_str("the server has no room for it (media-bytes-max)"),
        }
    }
}

/// The count. Touched once per piece that is written.
#[derive(Debug)]
pub(super) struct Usage {
    bytes_max: u64,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    stored: Tally,
    coming: Tally,
}

/// Bound: the apps and users that have files.
#[derive(Debug, Default)]
struct Tally {
    total: u64,
    apps: HashMap<AppId, OfApp>,
}

#[derive(Debug, Default)]
struct OfApp {
    bytes: u64,
    users: HashMap<UserId, u64>,
}

impl Tally {
    fn add(&mut self, owner: &Owner, bytes: u64) {
        self.total += bytes;
        let of_app = self.apps.entry(owner.app.clone()).or_default();
        of_app.bytes += bytes;
        if let Some(user) = &owner.user {
            *of_app.users.entry(user.clone()).or_default() += bytes;
        }
    }

    fn subtract(&mut self, owner: &Owner, bytes: u64) {
        self.total = self.total.saturating_sub(bytes);
        let Some(of_app) = self.apps.get_mut(&owner.app) else {
            return;
        };
        of_app.bytes = of_app.bytes.saturating_sub(bytes);
        if let Some(user) = &owner.user
            && let Some(of_user) = of_app.users.get_mut(user)
        {
            *of_user = of_user.saturating_sub(bytes);
            if *of_user == 0 {
                of_app.users.remove(user);
            }
        }
        if of_app.bytes == 0 {
            self.apps.remove(&owner.app);
        }
    }

    fn of_app(&self, app: &AppId) -> u64 {
        self.apps.get(app).map_or(0, |of_app| of_app.bytes)
    }

    fn of_user(&self, owner: &Owner) -> u64 {
        let of_app = self.apps.get(&owner.app);
        let of_user = of_app.zip(owner.user.as_ref());
        let of_user = of_user.and_then(|(of_app, user)| of_app.users.get(user));
        of_user.copied().unwrap_or(0)
    }
}

impl Usage {
    pub(super) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            bytes_max,
            counts: Mutex::default(),
        })
    }

    /// Counts a file that is there already, whatever the bounds.
    pub(super) fn found(&self, owner: &Owner, file_bytes: u64) {
        self.counts().stored.add(owner, blocks(file_bytes));
    }

    /// Forgets a file.
    pub(super) fn gone(&self, owner: &Owner, file_bytes: u64) {
        self.counts().stored.subtract(owner, blocks(file_bytes));
    }

    /// Counts the stored files of an app anew.
    pub(super) fn recount(&self, app: &AppId, files: &[(Owner, u64)]) {
        let mut counts = self.counts();
        let stored = &mut counts.stored;
        if let Some(of_app) = stored.apps.remove(app) {
            stored.total = stored.total.saturating_sub(of_app.bytes);
        }
        for (owner, file_bytes) in files {
            stored.add(owner, blocks(*file_bytes));
        }
    }

    /// The apps of which files are counted as stored.
    pub(super) fn apps(&self) -> Vec<AppId> {
        self.counts().stored.apps.keys().cloned().collect()
    }

    /// Bytes of each app's files.
    pub(super) fn stored(&self) -> Vec<(AppId, u64)> {
        let counts = self.counts();
        let apps = counts.stored.apps.iter();
        apps.map(|(app, of_app)| (app.clone(), of_app.bytes))
            .collect()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, owner: &Owner, shares: Shares, bytes: u64) -> Result<(), StoreError> {
        let mut counts = self.counts();
        let Counts { stored, coming } = &mut *counts;
        // Order: where a user may have as much as its app, the app's bound is the one to be raised.
        let bounds = [
            (
                stored.of_app(&owner.app) + coming.of_app(&owner.app),
                shares.app_bytes_max,
                Bound::App(shares.app_bytes_max, shares.app_rule),
            ),
            (
                stored.of_user(owner) + coming.of_user(owner),
                shares.user_bytes_max,
                Bound::User(shares.user_bytes_max),
            ),
            (stored.total + coming.total, self.bytes_max, Bound::Server),
        ];
        for (used, max, bound) in bounds {
            if used.saturating_add(bytes) > max {
                return Err(StoreError::Full(bound));
            }
        }
        coming.add(owner, bytes);
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
    owner: Owner,
    shares: Shares,
    taken: u64,
}

impl Share {
    pub(super) fn new(usage: Arc<Usage>, owner: Owner, shares: Shares) -> Self {
        Self {
            usage,
            owner,
            shares,
            taken: 0,
        }
    }

    pub(super) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Makes the share large enough for a file of so many bytes.
    pub(super) fn grow(&mut self, file_bytes: u64) -> Result<(), StoreError> {
        let needed = blocks(file_bytes).saturating_sub(self.taken);
        if needed > 0 {
            self.usage.take(&self.owner, self.shares, needed)?;
            self.taken += needed;
        }
        Ok(())
    }

    /// The file is stored from now on.
    pub(super) fn keep(&mut self) {
        let mut counts = self.usage.counts();
        counts.coming.subtract(&self.owner, self.taken);
        counts.stored.add(&self.owner, self.taken);
        self.taken = 0;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.taken > 0 {
            self.usage.counts().coming.subtract(&self.owner, self.taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(app: &str, user: &str) -> Owner {
        Owner {
            app: AppId::parse(&app.repeat(32)).expect("an app id"),
            user: Some(UserId::parse(user).expect("a user id")),
        }
    }

    const SHARES: Shares = Shares {
        app_bytes_max: 3 * BLOCK_BYTES,
        app_rule: AppRule::Setting,
        user_bytes_max: 2 * BLOCK_BYTES,
    };

    fn share(usage: &Arc<Usage>, app: &str, user: &str) -> Share {
        Share::new(usage.clone(), owner(app, user), SHARES)
    }

    fn full(result: Result<(), StoreError>) -> Bound {
        match result {
            Err(StoreError::Full(bound)) => bound,
            other => panic!("not full but {other:?}"),
        }
    }

    #[test]
    fn a_user_an_app_and_the_server_have_bounds_and_space_comes_back() {
        let usage = Usage::new(5 * BLOCK_BYTES);
        let mut alice = share(&usage, "a", "alice");
        alice
            .grow(2 * BLOCK_BYTES)
            .expect("as much as a user may have");
        let bound = full(alice.grow(2 * BLOCK_BYTES + 1));
        assert_eq!(bound, Bound::User(SHARES.user_bytes_max));
        let mut bob = share(&usage, "a", "bob");
        bob.grow(BLOCK_BYTES).expect("the app's rest");
        assert_eq!(
            full(bob.grow(BLOCK_BYTES + 1)),
            Bound::App(SHARES.app_bytes_max, AppRule::Setting)
        );
        let mut carol = share(&usage, "b", "carol");
        carol.grow(2 * BLOCK_BYTES).expect("the server's rest");
        assert_eq!(full(share(&usage, "b", "dave").grow(1)), Bound::Server);
        drop(alice);
        carol.keep();
        usage.gone(&owner("b", "carol"), 2 * BLOCK_BYTES);
        let mut dave = share(&usage, "b", "dave");
        dave.grow(1).expect("space again");
        assert_eq!(dave.taken, BLOCK_BYTES, "one byte costs a block");
    }

    #[test]
    fn what_is_stored_can_be_counted_anew_while_files_come_in() {
        let usage = Usage::new(3 * BLOCK_BYTES);
        usage.found(&owner("a", "alice"), 1);
        usage.found(&owner("a", "bob"), 1);
        let mut coming = share(&usage, "a", "alice");
        coming.grow(1).expect("the last");
        assert_eq!(
            full(share(&usage, "a", "carol").grow(1)),
            Bound::App(SHARES.app_bytes_max, AppRule::Setting)
        );
        let app = owner("a", "bob").app;
        usage.recount(&app, &[(owner("a", "bob"), 1)]);
        share(&usage, "a", "carol")
            .grow(1)
            .expect("alice's was deleted");
        coming.keep();
        assert_eq!(usage.apps(), std::slice::from_ref(&app));
        usage.recount(&app, &[]);
        assert!(usage.apps().is_empty());
        assert_eq!(usage.counts().stored.total, 0);
    }

    #[test]
    fn errors_name_the_setting_and_nobody_elses_numbers() {
        for (bound, word) in [
            (Bound::User(7), "media-user-bytes-max"),
            (Bound::App(7, AppRule::Setting), "media-app-bytes-max"),
            (Bound::App(7, AppRule::Quota), "max_media_bytes"),
            (Bound::Server, "(media-bytes-max)"),
        ] {
            assert!(bound.to_string().contains(word), "{bound}");
        }
        assert!(!Bound::Server.to_string().contains(char::is_numeric));
    }
}
