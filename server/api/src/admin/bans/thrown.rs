//! Whoever is there and is to go once, without a rule. Rules are enforced by the hubs and the
//! shell, also upon those who are there.

use tidings_hub::bans::AddressPrefix;
use tidings_hub::ids::{ChannelKey, UserKey};
use tidings_hub::outside::{OutsideAnswer, OutsideCall};
use tidings_wire::codes::CloseCode;
use tidings_wire::names::{AppId, ChannelName, NameRule, UserId};
use tidings_wire::proto::{GetMembers, reply, request};

use super::words::Named;
use crate::{Api, Fault};

/// Sessions that are asked for at a time.
const PAGE: u16 = 500;

/// As whom the members of a channel are asked for.
const ASKER: &str = "api";

/// Throws out whom a rule names.
///
/// # Errors
/// A hub cannot be asked.
pub(super) async fn throw(api: &Api, app: &AppId, named: &Named) -> Result<(), Fault> {
    match (&named.user, &named.channel, &named.address) {
        (user, _, Some(address)) => from_address(api, app, user.as_ref(), address).await,
        (Some(user), Some(channel), None) => from_channel(api, app, channel, user).await,
        (None, Some(channel), None) => {
            for user in members(api, app, channel).await? {
                from_channel(api, app, channel, &user).await?;
            }
            Ok(())
        }
        (Some(user), None, None) => disconnect(api, app, user).await,
        (None, None, None) => Ok(()),
    }
}

/// Ends the sessions that come from an address.
async fn from_address(
    api: &Api,
    app: &AppId,
    user: Option<&UserId>,
    address: &AddressPrefix,
) -> Result<(), Fault> {
    for hub in 0..api.hubs() {
        let mut after = 0;
        loop {
            let call = OutsideCall::Sessions {
                app: app.clone(),
                user: user.cloned(),
                after,
                limit: PAGE,
            };
            let OutsideAnswer::Sessions { sessions, next } = api.ask(hub, call).await? else {
                return Err(strange());
            };
            let theirs = sessions
                .into_iter()
                .filter(|session| session.address.is_some_and(|from| address.contains(from)));
            for session in theirs {
                let call = OutsideCall::Disconnect {
                    user: session.user,
                    session: Some(session.session),
                    code: CloseCode::Banned,
                };
                api.ask(hub, call).await?;
            }
            match next {
                Some(next) => after = next,
                None => break,
            }
        }
    }
    Ok(())
}

async fn disconnect(api: &Api, app: &AppId, user: &UserId) -> Result<(), Fault> {
    let call = || OutsideCall::Disconnect {
        user: UserKey {
            app: app.clone(),
            user: user.clone(),
        },
        session: None,
        code: CloseCode::Banned,
    };
    api.ask_all(call).await.map(drop)
}

async fn from_channel(
    api: &Api,
    app: &AppId,
    channel: &ChannelName,
    user: &UserId,
) -> Result<(), Fault> {
    let call = || OutsideCall::RemoveMember {
        channel: ChannelKey {
            app: app.clone(),
            channel: channel.clone(),
        },
        user: user.clone(),
    };
    api.ask_all(call).await.map(drop)
}

/// The members of a channel, as many as one list has.
pub(crate) async fn members(
    api: &Api,
    app: &AppId,
    channel: &ChannelName,
) -> Result<Vec<UserId>, Fault> {
    let asker = UserId::parse(ASKER).map_err(|_| strange())?;
    let call = request::Call::GetMembers(GetMembers {
        channel: channel.as_str().to_owned(),
    });
    match api.ask_in(app, &asker, call).await? {
        OutsideAnswer::Call(reply::Result::Users(list)) => {
            let users = list.user_ids.iter();
            let users = users.filter_map(|user| UserId::parse_by(NameRule::Wide, user).ok());
            Ok(users.collect())
        }
        _ => Err(strange()),
    }
}

fn strange() -> Fault {
    tracing::error!("a hub has answered something else than it was asked");
    Fault::unavailable("the server has answered itself something strange; its log has more")
}
