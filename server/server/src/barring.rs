//! Rules that bar addresses: at logins and resumes, and at once for clients that are connected.

use tidings_hub::Input;
use tidings_hub::ids::UserKey;
use tidings_hub::outside::OutsideCall;
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::names::{AppId, NameRule, UserId};
use tidings_wire::proto::Error;

use crate::worker::Worker;

impl Worker {
    /// Whether the client may log in or resume as this user from where it is.
    ///
    /// # Errors
    /// If a rule of the app bars its address.
    pub(crate) fn check_address(
        &mut self,
        slot: usize,
        app: &str,
        user: &str,
    ) -> Result<(), Error> {
        let (Ok(app), Ok(user)) = (AppId::parse(app), UserId::parse_by(NameRule::Wide, user))
        else {
            // Whoever looks at the names next refuses them.
            return Ok(());
        };
        let is_barred = self.is_barred(slot, &UserKey { app, user });
        if !is_barred {
            return Ok(());
        }
        Err(Error {
            outcome: Outcome::Banned as u32,
            text: "a rule of the app bars logins from this address".into(),
            retry_after_ms: 0,
        })
    }

    fn is_barred(&mut self, slot: usize, user: &UserKey) -> bool {
        let (apps, now_ms) = (self.cell.apps().clone(), self.now.unix_ms);
        let listed = apps.listed.get(&user.app);
        if !listed.is_some_and(|app| app.bans.bars_addresses()) {
            return false;
        }
        let connection = self.connections.get(slot);
        let source = connection.and_then(|connection| connection.source());
        source.is_some_and(|address| apps.is_banned_from(user, address, now_ms))
    }

    /// The rules have changed: whoever is connected from a barred address is sent away for good.
    /// Cost: a look at each connection, if any rule bars addresses.
    pub(crate) fn end_barred(&mut self) {
        let apps = self.cell.apps().clone();
        if !apps.listed.values().any(|app| app.bans.bars_addresses()) {
            return;
        }
        for slot in self.connections.slots() {
            let id = self.connections.get(slot).map(|connection| connection.id);
            let user = id.and_then(|id| self.cell.hub().user_of(id).cloned());
            if let Some(user) = user
                && self.is_barred(slot, &user)
            {
                let ticket = self.next_ticket();
                let call = OutsideCall::Disconnect {
                    user,
                    session: None,
                    code: CloseCode::Banned,
                };
                self.give(Input::Outside { ticket, call });
            }
        }
    }
}
