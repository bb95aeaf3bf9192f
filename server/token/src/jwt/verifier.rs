//! The keys and rules by which an app's tokens are checked.

use super::key::Key;

/// Longest leeway that is accepted, in seconds.
pub const LEEWAY_S_MAX: u64 = 300;

/// What an app demands of its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Who may have issued it (`iss`); empty = anybody who has the key.
    pub issuers: Vec<String>,
    /// For whom it may be (`aud`), one of these. Empty: a token that names an audience must name
    /// the app id.
    pub audiences: Vec<String>,
    /// The claim that is the user id.
    pub user_claim: String,
    /// The claim that lists what the login may do.
    pub rights_claim: String,
    /// The claim that, where there, must be the app id; empty = none is.
    pub app_claim: String,
    /// Whether the token must have the claim of the app id.
    pub requires_app: bool,
    /// How far the clocks of whoever signs may differ from ours, in seconds.
    pub leeway_s: u64,
    /// Cap on the time from `iat` to the end, in seconds; 0 = none.
    pub lifetime_max_s: u64,
}

impl Default for Rules {
    /// Any issuer; `sub`, `tidings.rights` and `app`; half a minute of leeway, a day of lifetime.
    fn default() -> Self {
        Self {
            issuers: Vec::new(),
            audiences: Vec::new(),
            user_claim: "sub".into(),
            rights_claim: "tidings.rights".into(),
            app_claim: "app".into(),
            requires_app: false,
            leeway_s: 30,
            lifetime_max_s: 86_400,
        }
    }
}

/// The keys and rules by which an app's tokens are checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verifier {
    /// Bound: [`super::KEYS_MAX`] from each place where the app keeps keys.
    pub keys: Vec<Key>,
    /// What is demanded besides a signature.
    pub rules: Rules,
}
