//! Who may log in. Source: signaling-wire 4.2, 4.8, 11.

use tidings_token::{AppKeys, Door, Policy, Refusal, check};

/// What an app says of its legacy logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRules {
    /// `_no_need_token` is accepted although the app has certificates.
    pub allows_debug_word: bool,
    /// Tokens of the legacy format, whose MD5 is weak, are accepted.
    pub allows_legacy_tokens: bool,
    /// `force` of a channel message is obeyed: messages from outside.
    pub allows_force: bool,
    /// The channels in which everything that happens in the app is told may be joined.
    pub allows_special_channels: bool,
    /// The user that answers for telephone numbers.
    pub phone_gateway: Option<String>,
}

impl Default for AppRules {
    fn default() -> Self {
        Self {
            allows_debug_word: false,
            allows_legacy_tokens: true,
            allows_force: false,
            allows_special_channels: false,
            phone_gateway: None,
        }
    }
}

/// Why a login is refused, in the words that clients know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefusal {
    /// The app is not served here.
    #[error("wrong vid")]
    UnknownApp,
    /// The account is no account.
    #[error("wrong account")]
    WrongAccount,
    /// The token has ended.
    #[error("TokenErrorExpired")]
    TokenExpired,
    /// The token does not fit.
    #[error("TokenErrorInvalid")]
    TokenInvalid,
    /// The server takes nobody now.
    #[error("server busy")]
    Busy,
}

/// Checks a login's token. `was_in_lately` = the account was logged in with this very token a moment ago, so
/// that its end does not count (4.8).
///
/// # Errors
/// The reason to be told.
pub fn check_token(
    keys: &AppKeys<'_>,
    rules: &AppRules,
    account: &str,
    now_unix_s: u64,
    token: &str,
    was_in_lately: bool,
) -> Result<(), LoginRefusal> {
    if keys.certificates.is_empty() {
        return Ok(());
    }
    let policy = Policy {
        legacy_signaling_tokens: rules.allows_legacy_tokens,
        legacy_debug_word: rules.allows_debug_word,
        ..Policy::login()
    };
    match check(Door::Legacy, keys, &policy, account, now_unix_s, token) {
        Ok(_) => Ok(()),
        Err(Refusal::Expired { .. }) if was_in_lately => Ok(()),
        Err(Refusal::Expired { .. }) => Err(LoginRefusal::TokenExpired),
        Err(_) => Err(LoginRefusal::TokenInvalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_checked_as_the_app_wants() {
        let app = "970CA35de60c44645bbae8a215061b33";
        let token =
            "1:970CA35de60c44645bbae8a215061b33:1514219634:82539e1f3973bcfe3f0d0c8993e6c051";
        let keys = AppKeys {
            app_id: app,
            certificates: &["5CFd2fd1755d40ecb72977518be15d3b"],
        };
        let none = AppKeys {
            app_id: app,
            certificates: &[],
        };
        let rules = AppRules::default();
        let ask = |account: &str, now: u64, token: &str, lately: bool| {
            check_token(&keys, &rules, account, now, token, lately)
        };
        assert_eq!(ask("2882341273", 1_514_219_633, token, false), Ok(()));
        assert_eq!(
            ask("2882341273", 1_514_219_634, token, false),
            Err(LoginRefusal::TokenExpired)
        );
        assert_eq!(ask("2882341273", 1_514_219_634, token, true), Ok(()));
        assert_eq!(
            ask("other", 1_514_219_633, token, false),
            Err(LoginRefusal::TokenInvalid)
        );
        assert_eq!(
            ask("a", 1, "_no_need_token", false),
            Err(LoginRefusal::TokenInvalid)
        );
        assert_eq!(
            check_token(&none, &rules, "a", 1, "_no_need_token", false),
            Ok(())
        );
        let open = AppRules {
            allows_debug_word: true,
            ..rules.clone()
        };
        assert_eq!(
            check_token(&keys, &open, "a", 1, "_no_need_token", false),
            Ok(())
        );
    }
}
