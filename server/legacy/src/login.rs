//! Who may log in. Source: signaling 4.2, 4.8, 11.

use tidings_token::{AppKeys, Door, Granted, Policy, Refusal, check};

/// An app's rules for legacy logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRules {
    /// `_no_need_token` is accepted although the app has certificates.
    pub allows_debug_word: bool,
    /// Tokens of the legacy format, whose MD5 is weak, are accepted. Source: tokens 2, 6.6.
    pub allows_legacy_tokens: bool,
    /// Longest time from a login to the expiry of such a token, in seconds; 0 = no bound.
    pub legacy_token_max_s: u64,
    /// Longest life of a 007 token from its issue, in seconds; 0 = no bound.
    pub token_lifetime_max_s: u64,
    /// `force` on a channel message is honoured: messages from outside the channel.
    pub allows_force: bool,
    /// The channels that announce everything that happens in the app may be joined.
    pub allows_special_channels: bool,
    /// The user that answers for telephone numbers.
    pub phone_gateway: Option<String>,
}

impl Default for AppRules {
    fn default() -> Self {
        Self {
            allows_debug_word: false,
            allows_legacy_tokens: false,
            legacy_token_max_s: 86_400,
            token_lifetime_max_s: Policy::login().max_lifetime_s,
            allows_force: false,
            allows_special_channels: false,
            phone_gateway: None,
        }
    }
}

/// Why a login is refused, in the terms that clients know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefusal {
    /// This server does not serve the app.
    #[error("wrong vid")]
    UnknownApp,
    /// The account is not valid.
    #[error("wrong account")]
    WrongAccount,
    /// The token has expired.
    #[error("TokenErrorExpired")]
    TokenExpired,
    /// The token is not valid for this login.
    #[error("TokenErrorInvalid")]
    TokenInvalid,
    /// The account may not log in, or not from there.
    #[error("kick")]
    Banned,
    /// The server accepts no logins at present.
    #[error("server busy")]
    Busy,
}

/// How long after its expiry a token is still accepted, in seconds, from an account that was logged
/// in with it when its connection was lost. Counted from the token's expiry, so that successive
/// logins do not extend it. Source: signaling 4.8.
pub const LATE_LOGIN_S: u64 = 600;

/// Checks a login's token; `None` = the app has neither certificates nor keys for JSON Web Tokens.
/// `was_in_lately` = the account was logged in with this very token a moment ago (4.8).
///
/// # Errors
/// What is wrong with the token.
pub fn check_token(
    keys: &AppKeys<'_>,
    rules: &AppRules,
    account: &str,
    now_unix_s: u64,
    token: &str,
    was_in_lately: bool,
) -> Result<Option<Granted>, Refusal> {
    if keys.certificates.is_empty() && keys.jwt.is_none() {
        return Ok(None);
    }
    let policy = Policy {
        legacy_signaling_tokens: rules.allows_legacy_tokens,
        signaling_lifetime_max_s: rules.legacy_token_max_s,
        max_lifetime_s: rules.token_lifetime_max_s,
        legacy_debug_word: rules.allows_debug_word,
        leeway_s: if was_in_lately { LATE_LOGIN_S } else { 0 },
        ..Policy::login()
    };
    check(Door::Legacy, keys, &policy, account, now_unix_s, token).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "970CA35de60c44645bbae8a215061b33";
    const TOKEN: &str =
        "1:970CA35de60c44645bbae8a215061b33:1514219634:82539e1f3973bcfe3f0d0c8993e6c051";
    const ENDS_S: u64 = 1_514_219_634;
    const KEYS: AppKeys<'_> = AppKeys {
        app_id: APP,
        certificates: &["5CFd2fd1755d40ecb72977518be15d3b"],
        jwt: None,
    };

    fn ask(rules: &AppRules, now_s: u64, lately: bool) -> Result<Option<u64>, &'static str> {
        let granted = check_token(&KEYS, rules, "2882341273", now_s, TOKEN, lately);
        let granted = granted.map_err(|refusal| refusal.reason())?;
        Ok(granted.map(|granted| granted.expires_at_unix_s))
    }

    fn switched_on() -> AppRules {
        AppRules {
            allows_legacy_tokens: true,
            ..AppRules::default()
        }
    }

    #[test]
    fn tokens_of_the_legacy_format_are_taken_where_they_are_switched_on() {
        let rules = switched_on();
        let off = ask(&AppRules::default(), ENDS_S - 1, false);
        assert_eq!(off, Err("malformed"));
        assert_eq!(ask(&rules, ENDS_S - 1, false), Ok(Some(ENDS_S)));
        let other = check_token(&KEYS, &rules, "other", ENDS_S - 1, TOKEN, false);
        assert!(other.is_err_and(|refusal| refusal.reason() == "invalid_signature"));
    }

    #[test]
    fn one_that_is_good_for_years_is_refused() {
        let rules = switched_on();
        let day_s = 86_400;
        assert_eq!(ask(&rules, ENDS_S - day_s, false), Ok(Some(ENDS_S)));
        let early = ask(&rules, ENDS_S - day_s - 1, false);
        assert_eq!(early, Err("malformed"));
        let patient = AppRules {
            legacy_token_max_s: 0,
            ..rules
        };
        assert_eq!(ask(&patient, 1, false), Ok(Some(ENDS_S)));
    }

    #[test]
    fn its_end_counts_but_for_ten_minutes_of_those_who_were_in() {
        let rules = switched_on();
        assert_eq!(ask(&rules, ENDS_S, false), Err("expired"));
        assert_eq!(ask(&rules, ENDS_S, true), Ok(Some(ENDS_S)));
        let last = ENDS_S + LATE_LOGIN_S - 1;
        assert_eq!(ask(&rules, last, true), Ok(Some(ENDS_S)));
        let late = ask(&rules, last + 1, true);
        assert_eq!(late, Err("expired"));
    }

    #[test]
    fn the_debugging_word_is_for_apps_without_a_certificate_or_with_the_switch() {
        let none = AppKeys {
            app_id: APP,
            certificates: &[],
            jwt: None,
        };
        let say = |keys: &AppKeys<'_>, rules: &AppRules| {
            check_token(keys, rules, "a", 1, "_no_need_token", false)
                .map_err(|refusal| refusal.reason())
        };
        let shut = AppRules::default();
        assert_eq!(say(&KEYS, &shut), Err("malformed"));
        assert_eq!(say(&none, &shut), Ok(None));
        let open = AppRules {
            allows_debug_word: true,
            ..shut
        };
        assert!(say(&KEYS, &open).is_ok_and(|granted| granted.is_some()));
    }
}
