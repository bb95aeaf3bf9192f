//! What the API may do for an app, among its settings in `apps.toml`.

use crate::failure::Failure;

const ISSUE_TOKENS: &str = "issue_tokens";

/// All rules, by name.
pub(crate) const NAMES: [&str; 1] = [ISSUE_TOKENS];

/// Whether a rule has this name.
pub(crate) fn has(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The rules of one app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ApiRules {
    /// Whether callers with a key for the app may have tokens signed with its certificate. Off by
    /// default: whoever can have tokens can be any user, also where no record of calls is kept.
    pub(crate) issues_tokens: bool,
}

impl ApiRules {
    /// Those that are set.
    pub(crate) fn of(settings: &toml::Table) -> Result<Self, Failure> {
        let mut rules = Self::default();
        if let Some(value) = settings.get(ISSUE_TOKENS) {
            rules.issues_tokens = value.as_bool().ok_or_else(|| {
                let text = format!("setting {ISSUE_TOKENS} cannot be {value}");
                Failure::new(text, "give true or false")
            })?;
        }
        Ok(rules)
    }

    /// All rules, by name.
    pub(crate) fn settings(self) -> Vec<(&'static str, toml::Value)> {
        vec![(ISSUE_TOKENS, self.issues_tokens.into())]
    }
}
