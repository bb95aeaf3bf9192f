//! What a person's groups at the login server permit here.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::Value;
use tidings_api::keys::Role;
use tidings_wire::names::AppId;

/// Groups of one person that are looked at.
const GROUPS_MAX: usize = 1_000;

/// One group, and what it permits: `GROUP=admin`, `GROUP=read`, `GROUP=app:APP`, `GROUP=read:APP`,
/// with more apps behind further colons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    group: String,
    role: Role,
    apps: Vec<AppId>,
}

/// Why a text is no grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// It has no group, or no role.
    #[error("{0:?} is not written as GROUP=ROLE")]
    Form(String),
    /// The role is none.
    #[error("{0}")]
    Role(String),
    /// An app's id has not the form of one.
    #[error("{0:?} is no app id: it has 32 letters or digits")]
    App(String),
    /// A grant of role `app` names no app.
    #[error("the role app is for apps: write GROUP=app:APP")]
    NoApps,
    /// A grant of role `admin` names apps.
    #[error("the role admin is for every app, so it cannot name some")]
    AdminWithApps,
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        // A group may have any character, also a `=`: roles and ids of apps have none.
        let (group, permitted) = text
            .rsplit_once('=')
            .filter(|(group, permitted)| !group.is_empty() && !permitted.is_empty())
            .ok_or_else(|| GrantError::Form(text.to_owned()))?;
        let mut parts = permitted.split(':');
        let role = parts.next().unwrap_or_default();
        let role = Role::from_str(role).map_err(GrantError::Role)?;
        let apps = parts
            .map(|app| AppId::parse(app).map_err(|_| GrantError::App(app.to_owned())))
            .collect::<Result<Vec<_>, _>>()?;
        match (role, apps.is_empty()) {
            (Role::App, true) => Err(GrantError::NoApps),
            (Role::Admin, false) => Err(GrantError::AdminWithApps),
            _ => Ok(Self {
                group: group.to_owned(),
                role,
                apps,
            }),
        }
    }
}

/// The groups in a claim: a text, or a list of texts; dots lead into objects, unless a claim has
/// just this name.
pub(crate) fn groups(claims: &BTreeMap<String, Value>, claim: &str) -> Vec<String> {
    let found = claims.get(claim).or_else(|| {
        let mut steps = claim.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    });
    match found {
        Some(Value::String(group)) => vec![group.clone()],
        Some(Value::Array(groups)) => {
            let groups = groups.iter().take(GROUPS_MAX);
            let groups = groups.filter_map(|group| group.as_str().map(str::to_owned));
            groups.collect()
        }
        _ => Vec::new(),
    }
}

/// What groups permit together: the strongest role, and for it all its apps. None of both = nothing
/// is permitted.
pub(crate) fn granted(grants: &[Grant], groups: &[String]) -> Option<(Role, Vec<AppId>)> {
    let own: Vec<&Grant> = grants
        .iter()
        .filter(|grant| groups.contains(&grant.group))
        .collect();
    let role = [Role::Admin, Role::App, Role::Read]
        .into_iter()
        .find(|role| own.iter().any(|grant| grant.role == *role))?;
    let of_role = || own.iter().filter(|grant| grant.role == role);
    if of_role().any(|grant| grant.apps.is_empty()) {
        return Some((role, Vec::new()));
    }
    let mut apps: Vec<AppId> = of_role().flat_map(|grant| grant.apps.clone()).collect();
    apps.sort();
    apps.dedup();
    Some((role, apps))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef";
    const B: &str = "fedcba9876543210fedcba9876543210";

    fn grants(texts: &[&str]) -> Vec<Grant> {
        let grants = texts.iter().map(|text| text.parse().expect(text));
        grants.collect()
    }

    fn given(texts: &[&str], groups: &[&str]) -> Option<(Role, Vec<String>)> {
        let groups: Vec<_> = groups.iter().map(|group| (*group).to_owned()).collect();
        let (role, apps) = granted(&grants(texts), &groups)?;
        let apps = apps.iter().map(|app| app.as_str().to_owned()).collect();
        Some((role, apps))
    }

    #[test]
    fn the_strongest_role_counts_with_all_its_apps() {
        let (a, b) = (format!("one=app:{A}"), format!("two=app:{B}:{A}"));
        let all = [a.as_str(), &b, "ops=admin", "eyes=read"];
        let apps = vec![A.to_owned(), B.to_owned()];
        assert_eq!(given(&all, &["eyes"]), Some((Role::Read, Vec::new())));
        assert_eq!(
            given(&all, &["eyes", "one", "two"]),
            Some((Role::App, apps))
        );
        assert_eq!(
            given(&all, &["two", "ops"]),
            Some((Role::Admin, Vec::new()))
        );
        assert_eq!(given(&all, &["Ops", "op", ""]), None);
        assert_eq!(given(&all, &[]), None);
        let read = format!("few=read:{A}");
        let few = Some((Role::Read, vec![A.to_owned()]));
        assert_eq!(given(&[&read, "eyes=read"], &["few"]), few);
        let every = Some((Role::Read, Vec::new()));
        assert_eq!(given(&[&read, "eyes=read"], &["few", "eyes"]), every);
    }

    #[test]
    fn grants_that_make_no_sense_are_refused() {
        let refused = |text: &str| text.parse::<Grant>().expect_err(text);
        for text in ["", "ops", "=admin", "ops="] {
            assert_eq!(refused(text), GrantError::Form(text.to_owned()));
        }
        assert!(matches!(refused("ops=boss"), GrantError::Role(_)));
        assert_eq!(refused("ops=app"), GrantError::NoApps);
        assert_eq!(refused("ops=app:x"), GrantError::App("x".into()));
        let admin = format!("ops=admin:{A}");
        assert_eq!(refused(&admin), GrantError::AdminWithApps);
        assert_eq!(grants(&["cn=ops,dc=x=admin"])[0].group, "cn=ops,dc=x");
    }

    #[test]
    fn groups_are_found_by_name_and_by_path() {
        let claims = json!({
            "groups": ["a", 1, "b"],
            "role": "ops",
            "realm_access": { "roles": ["x"] },
            "https://example.org/groups": ["y"],
        });
        let claims: BTreeMap<String, Value> = serde_json::from_value(claims).expect("an object");
        assert_eq!(groups(&claims, "groups"), ["a", "b"]);
        assert_eq!(groups(&claims, "role"), ["ops"]);
        assert_eq!(groups(&claims, "realm_access.roles"), ["x"]);
        assert_eq!(groups(&claims, "https://example.org/groups"), ["y"]);
        for none in ["", "x", "realm_access", "realm_access.x", "role.x"] {
            assert!(groups(&claims, none).is_empty(), "{none}");
        }
    }
}
