//! `/dev/v1/kicking-rule`, as the hosted service has it. Source: rest 6, 11.3.

use axum::extract::State;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_wire::names::AppId;

use super::routes::{add, alter, lift};
use super::words::{End, Fields, HOSTED_S_MAX, Named, address, privileges};
use super::{BanRecord, Privilege};
use crate::admin::{audited_of, iso};
use crate::auth::Principal;
use crate::body::Json;
use crate::params::{self, Query};
use crate::routes::Routes;
use crate::{Answer, Api, Fault, Shared};

/// Length of a ban if nothing is said, in minutes.
const DEFAULT_MINUTES: u64 = 60;

/// Shortest `time_in_seconds`. Source: rest 6.
const SECONDS_MIN: u64 = 10;

/// Most rules that the list has: it has no pages.
const LISTED_MAX: usize = 10_000;

const FIELDS: Fields = Fields {
    user: "uid",
    channel: "cname",
    address: "ip",
};

/// The routes; older editions write the path with a slash at the end.
pub(crate) fn routes() -> Routes {
    let methods = || get(list).post(create).put(change).delete(remove);
    Routes::new()
        .route("/dev/v1/kicking-rule", methods())
        .route("/dev/v1/kicking-rule/", methods())
}

/// A number, or its digits.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

impl Number {
    fn get(&self, field: &str) -> Result<u64, Fault> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Text(text) => text
                .parse()
                .ok()
                .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| Fault::invalid(field, format!("{field} is no number"))),
        }
    }
}

/// A user id: RTM has texts, calls have numbers.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Uid {
    Number(u64),
    Text(String),
}

/// A rule that is wanted. Fields that are null or empty count as left out, as callers fill them so.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleWish {
    appid: String,
    #[serde(default)]
    cname: Option<String>,
    #[serde(default)]
    uid: Option<Uid>,
    #[serde(default)]
    ip: Option<String>,
    #[serde(default)]
    time: Option<u64>,
    #[serde(default)]
    time_in_seconds: Option<u64>,
    #[serde(default)]
    privileges: Option<Vec<Privilege>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleChange {
    appid: String,
    id: Number,
    #[serde(default)]
    time: Option<u64>,
    #[serde(default)]
    time_in_seconds: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleNamed {
    appid: String,
    id: Number,
}

/// A rule as the hosted service shows it.
#[derive(Debug, Serialize)]
struct RuleView {
    id: u64,
    appid: String,
    uid: Value,
    opid: u64,
    cname: Option<String>,
    ip: Option<String>,
    ts: String,
    privileges: Vec<Privilege>,
    #[serde(rename = "createAt")]
    create_at: String,
    #[serde(rename = "updateAt")]
    update_at: String,
}

impl RuleView {
    fn of(app: &AppId, rule: BanRecord) -> Self {
        let number = rule.user.as_ref().and_then(|user| user.parse::<u64>().ok());
        let uid = match (number.filter(|_| rule.is_number), rule.user) {
            (Some(number), _) => number.into(),
            (None, Some(text)) => text.into(),
            (None, None) => Value::Null,
        };
        Self {
            // What is done is one operation for each rule.
            opid: rule.id,
            id: rule.id,
            appid: app.as_str().to_owned(),
            uid,
            cname: rule.channel,
            ip: rule.address.map(plain),
            ts: iso(rule.until_ms.unwrap_or(super::FOR_EVER)),
            privileges: rule.privileges,
            create_at: iso(rule.made_ms),
            update_at: iso(rule.changed_ms),
        }
    }
}

/// An address of which all bits count is shown without their number.
fn plain(prefix: String) -> String {
    let whole = prefix
        .strip_suffix("/32")
        .filter(|text| !text.contains(':'));
    let whole = whole.or_else(|| prefix.strip_suffix("/128"));
    whole.map(str::to_owned).unwrap_or(prefix)
}

async fn list(State(api): State<Shared>, principal: Principal, mut query: Query) -> Answer {
    let app = app_of(&api, &principal, &query.need("appid")?)?;
    query.end()?;
    let (rules, _) = api.admin().bans.list(&app, 0, LISTED_MAX, api.unix_ms());
    let rules: Vec<_> = rules
        .into_iter()
        .map(|rule| RuleView::of(&app, rule))
        .collect();
    crate::json(&json!({ "status": "success", "rules": rules }))
}

async fn create(
    State(api): State<Shared>,
    principal: Principal,
    Json(wish): Json<RuleWish>,
) -> Answer {
    let app = app_of(&api, &principal, &wish.appid)?;
    let named = named(&wish)?;
    let end = end(wish.time, wish.time_in_seconds, api.unix_ms())?;
    let end = end.unwrap_or(End::At(api.unix_ms() + DEFAULT_MINUTES * 60_000));
    // `join_channel` without a channel means login: the hubs take it so.
    let taken = privileges(wish.privileges, named.channel.is_some())?;
    let taken = taken.unwrap_or_else(|| vec![Privilege::JoinChannel]);
    let rule = BanRecord::new(named, Some(taken), end, principal.name(), api.unix_ms());
    let rule = add(&api, &app, rule, end).await?;
    let body = json!({ "status": "success", "id": rule.id });
    audited_of(crate::json(&body), &app, Value::Null, rule.state())
}

async fn change(
    State(api): State<Shared>,
    principal: Principal,
    Json(wish): Json<RuleChange>,
) -> Answer {
    let app = app_of(&api, &principal, &wish.appid)?;
    let id = wish.id.get("id")?;
    let until_ms = match end(wish.time, wish.time_in_seconds, api.unix_ms())? {
        Some(End::At(until_ms)) => until_ms,
        Some(_) => {
            return Err(Fault::invalid(
                "time",
                "a rule cannot be changed to end at once; delete it",
            ));
        }
        None => return Err(Fault::missing("time")),
    };
    let change = move |rule: &mut BanRecord| rule.until_ms = Some(until_ms);
    let (before, after) = match api.admin().bans.find(&app, id, api.unix_ms()) {
        Some(_) => alter(&api, &app, id, change).await?,
        None => return Err(unknown(id)),
    };
    let result = json!({ "id": id, "ts": iso(until_ms) });
    let body = json!({ "status": "success", "result": result });
    audited_of(crate::json(&body), &app, before.state(), after.state())
}

async fn remove(
    State(api): State<Shared>,
    principal: Principal,
    Json(wish): Json<RuleNamed>,
) -> Answer {
    let app = app_of(&api, &principal, &wish.appid)?;
    let id = wish.id.get("id")?;
    if api.admin().bans.find(&app, id, api.unix_ms()).is_none() {
        return Err(unknown(id));
    }
    let before = lift(&api, &app, id).await?;
    let body = json!({ "status": "success", "id": id });
    audited_of(crate::json(&body), &app, before.state(), Value::Null)
}

/// The app of a call, if the caller is a key that may ask about it.
fn app_of(api: &Api, principal: &Principal, text: &str) -> Result<AppId, Fault> {
    principal.must_be_key()?;
    let app = crate::reach::reachable(principal, text)?;
    crate::reach::served(api, "/dev/v1/kicking-rule", &app)?;
    Ok(app)
}

fn named(wish: &RuleWish) -> Result<Named, Fault> {
    fn given(text: &Option<String>) -> Option<&str> {
        text.as_deref().filter(|text| !text.is_empty())
    }
    let (user, is_number) = match &wish.uid {
        None => (None, false),
        Some(Uid::Text(text)) if text.is_empty() => (None, false),
        Some(Uid::Number(0)) => return Err(Fault::invalid("uid", "uid cannot be 0")),
        Some(Uid::Number(number)) => (Some(number.to_string()), true),
        Some(Uid::Text(text)) => (Some(text.clone()), false),
    };
    let user = user.map(|text| params::user("uid", &text));
    let channel = given(&wish.cname).map(|text| params::channel("cname", text));
    let address = given(&wish.ip).map(|text| address("ip", text));
    let named = Named {
        user: user.transpose()?,
        is_number,
        channel: channel.transpose()?,
        address: address.transpose()?,
    };
    named.check(&FIELDS)?;
    Ok(named)
}

/// When a rule ends; `None` = nothing is said.
fn end(minutes: Option<u64>, seconds: Option<u64>, now_ms: u64) -> Result<Option<End>, Fault> {
    match (seconds, minutes) {
        // The seconds win.
        (Some(s), _) if (SECONDS_MIN..=HOSTED_S_MAX).contains(&s) => {
            Ok(Some(End::At(now_ms + s * 1_000)))
        }
        (Some(s), _) => Err(Fault::invalid(
            "time_in_seconds",
            format!("time_in_seconds is {SECONDS_MIN} to {HOSTED_S_MAX}, not {s}"),
        )),
        (None, None) => Ok(None),
        (None, Some(0)) => Ok(Some(End::Once)),
        (None, Some(minutes)) if minutes <= HOSTED_S_MAX / 60 => {
            Ok(Some(End::At(now_ms + minutes * 60_000)))
        }
        (None, Some(minutes)) => Err(Fault::invalid(
            "time",
            format!("time is 0 to {} minutes, not {minutes}", HOSTED_S_MAX / 60),
        )),
    }
}

fn unknown(id: u64) -> Fault {
    Fault::not_found("unknown_ban", format!("there is no rule {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_win_over_minutes_and_both_have_bounds() {
        let of = |minutes, seconds| end(minutes, seconds, 1_000).map_err(|fault| fault.field);
        assert_eq!(of(Some(1), Some(10)), Ok(Some(End::At(11_000))));
        assert_eq!(of(Some(1), None), Ok(Some(End::At(61_000))));
        assert_eq!(of(Some(0), None), Ok(Some(End::Once)));
        assert_eq!(of(None, None), Ok(None));
        assert_eq!(of(None, Some(9)), Err(Some("time_in_seconds".into())));
        assert_eq!(of(Some(525_601), None), Err(Some("time".into())));
        assert!(of(Some(525_600), None).is_ok(), "a year");
    }

    #[test]
    fn what_callers_leave_empty_is_left_out() {
        let read = |body: &str| {
            let wish: RuleWish = serde_json::from_str(body).expect("JSON");
            named(&wish).map_err(|fault| fault.field)
        };
        let one = read(r#"{"appid":"a","cname":"","uid":7,"ip":null}"#).expect("a user");
        assert_eq!(one.user.as_ref().map(|user| user.as_str()), Some("7"));
        assert!(one.is_number && one.channel.is_none());
        assert_eq!(read(r#"{"appid":"a","uid":0}"#), Err(Some("uid".into())));
        assert_eq!(read(r#"{"appid":"a","uid":""}"#), Err(Some("uid".into())));
        assert_eq!(read(r#"{"appid":"a","ip":"x"}"#), Err(Some("ip".into())));
        let both = r#"{"appid":"a","ip":"192.0.2.1","cname":"c"}"#;
        assert_eq!(read(both), Err(Some("ip".into())));
    }

    #[test]
    fn an_address_is_shown_as_it_was_given() {
        assert_eq!(plain("192.0.2.1/32".into()), "192.0.2.1");
        assert_eq!(plain("2001:db8::1/128".into()), "2001:db8::1");
        assert_eq!(plain("192.0.2.0/24".into()), "192.0.2.0/24");
        assert_eq!(plain("2001:db8::/32".into()), "2001:db8::/32");
    }
}
