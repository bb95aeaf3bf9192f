//! Queries: who is online, who is in a channel, which attributes. Source: signaling 5.2, 5.3.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidings_wire::codes::Outcome;
use tidings_wire::proto::request::Call as HubCall;
use tidings_wire::proto::{
    Error, GetMemberCounts, GetMembers, PresenceList, PresenceState, QueryPresence,
    ReadUserAttributes, reply,
};

use crate::channels::USERS_MAX;
use crate::codec::Call;
use crate::ids;
use crate::requests::{Pending, ok_with, reason};
use crate::special;
use crate::translator::Translator;

impl Translator {
    pub(crate) fn query(&mut self, call: &Call) {
        match call.function.as_str() {
            "user_query_user_status" => self.query_status(call),
            "user_set_attr" => self.set_user_attribute(call),
            "user_get_attr" | "user_get_attr_all" => self.read_user_attributes(call),
            "channel_query_num"
            | "channel_query_user_isin"
            | "channel_query_userlist"
            | "channel_query_userlist_all" => self.query_channel(call),
            _ => self.fail(&call.id, "unknown"),
        }
    }

    fn query_status(&mut self, call: &Call) {
        let account = call.text("account").unwrap_or_default();
        let Some(user) = ids::to_user_id(&account) else {
            return self.fail(&call.id, "wrong param");
        };
        let id = call.id.clone();
        let ask = presence(user);
        self.request_for(&call.id, ask, Pending::UserStatus { id, account });
    }

    fn read_user_attributes(&mut self, call: &Call) {
        let account = call.text("account").unwrap_or_default();
        let Some(user_id) = ids::to_user_id(&account) else {
            return self.fail(&call.id, "wrong param");
        };
        let id = call.id.clone();
        let name =
            (call.function == "user_get_attr").then(|| call.text("name").unwrap_or_default());
        let read = HubCall::ReadUserAttributes(ReadUserAttributes {
            user_id,
            keys: Vec::new(),
        });
        let pending = match name {
            Some(name) => Pending::UserAttribute { id, account, name },
            None => Pending::UserAttributes { id, account },
        };
        self.request_for(&call.id, read, pending);
    }

    fn query_channel(&mut self, call: &Call) {
        let name = call.text("name").unwrap_or_default();
        if !ids::is_name(&name) {
            return self.fail(&call.id, "wrong param");
        }
        if special::hub_name(&name).is_some() {
            return self.fail(&call.id, "not allowed");
        }
        let id = call.id.clone();
        let members = HubCall::GetMembers(GetMembers {
            channel: name.clone(),
        });
        let (ask, pending) = match call.function.as_str() {
            "channel_query_num" => {
                let channels = vec![name.clone()];
                let counts = HubCall::GetMemberCounts(GetMemberCounts { channels });
                (counts, Pending::ChannelNumber { id, name })
            }
            "channel_query_user_isin" => {
                let account = call.text("account").unwrap_or_default();
                (members, Pending::ChannelHas { id, name, account })
            }
            function => {
                let is_all = function == "channel_query_userlist_all";
                let wanted = call.args.get("num").and_then(Value::as_u64);
                let wanted = wanted.map_or(usize::MAX, |num| usize::try_from(num).unwrap_or(0));
                let max = if is_all { wanted } else { USERS_MAX };
                let pending = Pending::ChannelUsers {
                    id,
                    name,
                    max,
                    is_all,
                };
                (members, pending)
            }
        };
        self.request_for(&call.id, ask, pending);
    }

    pub(crate) fn settle_query(&mut self, query: Pending, result: Result<reply::Result, Error>) {
        match query {
            Pending::UserStatus { id, account } => match result {
                Ok(reply::Result::Presence(list)) => {
                    let status = u8::from(is_here(&list));
                    self.answer(&id, &ok_with(json!({"account": account, "status": status})));
                }
                other => self.fail_with(&id, other),
            },
            Pending::UserAttribute { id, account, name } => match pairs(result) {
                Ok(mut pairs) => {
                    let value = pairs.remove(&name).unwrap_or_default();
                    let body = json!({"account": account, "name": name, "value": value});
                    self.answer(&id, &ok_with(body));
                }
                other => self.fail_with(&id, other),
            },
            Pending::UserAttributes { id, account } => match pairs(result) {
                Ok(pairs) => {
                    self.answer(&id, &ok_with(json!({"account": account, "json": pairs})));
                }
                other => self.fail_with(&id, other),
            },
            Pending::ChannelNumber { id, name } => match result {
                Ok(reply::Result::MemberCounts(list)) => {
                    let num = list.counts.first().map_or(0, |count| count.count);
                    self.answer(&id, &ok_with(json!({"name": name, "num": num})));
                }
                other => self.fail_with(&id, other),
            },
            Pending::ChannelHas { id, name, account } => match result {
                Ok(reply::Result::Users(list)) => {
                    let user = ids::to_user_id(&account).unwrap_or_default();
                    let isin = u8::from(list.user_ids.contains(&user));
                    let body = json!({"name": name, "account": account, "isin": isin});
                    self.answer(&id, &ok_with(body));
                }
                other => self.fail_with(&id, other),
            },
            Pending::ChannelUsers {
                id,
                name,
                max,
                is_all,
            } => match result {
                Ok(reply::Result::Users(list)) => {
                    let num = list.user_ids.len();
                    let list = self.user_list(list.user_ids, max);
                    let body = if is_all {
                        json!({"num": num, "list": list})
                    } else {
                        json!({"name": name, "num": num, "list": list})
                    };
                    self.answer(&id, &ok_with(body));
                }
                other => self.fail_with(&id, other),
            },
            other => unreachable!("{other:?} is settled elsewhere"),
        }
    }

    fn fail_with<T>(&mut self, id: &Value, result: Result<T, Error>) {
        let error = result.err().unwrap_or_default();
        self.fail(id, reason(&error));
    }
}

pub(crate) fn presence(user: String) -> HubCall {
    HubCall::QueryPresence(QueryPresence {
        user_ids: vec![user],
    })
}

pub(crate) fn is_here(list: &PresenceList) -> bool {
    list.users
        .iter()
        .any(|user| user.state() != PresenceState::Offline)
}

/// Attributes as a map; a user who is offline has none.
fn pairs(result: Result<reply::Result, Error>) -> Result<BTreeMap<String, String>, Error> {
    match result {
        Ok(reply::Result::Attributes(list)) => Ok(list
            .attributes
            .into_iter()
            .map(|pair| (pair.key, pair.value))
            .collect()),
        Err(error) if error.outcome == Outcome::UserNotFound as u32 => Ok(BTreeMap::new()),
        Ok(_) => Err(Error::default()),
        Err(error) => Err(error),
    }
}
