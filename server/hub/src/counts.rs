//! What has happened in apps, for whoever runs the server.

use std::collections::BTreeMap;

use tidings_wire::names::AppId;

/// Apps that are counted one by one; what others do is counted together. Bound: where every app id
/// is accepted, strangers choose how many there are.
pub const APPS_MAX: usize = 1_000;

/// What has happened in one app since the hub was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AppCounts {
    /// Logins that were let in.
    pub logins: u64,
    /// Sessions that were resumed.
    pub resumes: u64,
    /// Messages that users have sent here to other users.
    pub peer_messages: u64,
    /// Messages that users have sent here to channels.
    pub channel_messages: u64,
}

impl AppCounts {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            logins: self.logins + other.logins,
            resumes: self.resumes + other.resumes,
            peer_messages: self.peer_messages + other.peer_messages,
            channel_messages: self.channel_messages + other.channel_messages,
        }
    }
}

/// Counts by app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppTally {
    /// In the order in which they were first heard of. Bound: [`APPS_MAX`].
    apps: Vec<(AppId, AppCounts)>,
    places: BTreeMap<AppId, usize>,
    /// The place that was counted at last: mostly the next one is the same.
    last: usize,
    others: AppCounts,
}

impl AppTally {
    /// What has happened in single apps, in the order in which they were first heard of.
    pub fn apps(&self) -> &[(AppId, AppCounts)] {
        &self.apps
    }

    /// What has happened in all apps that had no place of their own, together.
    pub fn others(&self) -> AppCounts {
        self.others
    }

    /// The counts of an app, to be raised.
    pub(crate) fn of(&mut self, app: &AppId) -> &mut AppCounts {
        let is_last = self.apps.get(self.last).is_some_and(|(of, _)| of == app);
        if !is_last {
            match self.places.get(app) {
                Some(place) => self.last = *place,
                None if self.apps.len() >= APPS_MAX => return &mut self.others,
                None => {
                    self.last = self.apps.len();
                    self.places.insert(app.clone(), self.last);
                    self.apps.push((app.clone(), AppCounts::default()));
                }
            }
        }
        &mut self.apps[self.last].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_beyond_the_bound_are_counted_together() {
        let mut tally = AppTally::default();
        for round in 1..=2 {
            for app in 0..APPS_MAX + 5 {
                let app = AppId::parse(&format!("{app:032x}")).expect("an app id");
                tally.of(&app).logins += 1;
            }
            assert_eq!(tally.apps().len(), APPS_MAX);
            assert!(tally.apps().iter().all(|(_, of)| of.logins == round));
            assert_eq!(tally.others().logins, 5 * round);
        }
    }
}
