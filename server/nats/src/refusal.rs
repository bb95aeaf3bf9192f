//! Why a server will not have us, and what to change.

use std::fmt;

/// A server refuses this client. Trying again changes nothing until somebody has changed
/// something, but the host tries on: that somebody may be at the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal it is.
    pub reason: Reason,
    /// What we had shown: [`crate::Credentials::kind`].
    pub shown: &'static str,
    /// The server's words; empty if it is we who refuse.
    pub words: String,
}

/// A kind of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It does not know or believe us.
    Credentials,
    /// What we show was good once: a JWT, or an account, has expired or was revoked.
    Expired,
    /// It has as many connections as it takes.
    TooMany,
    /// It speaks TLS only, and we were told to do without.
    NeedsTls,
    /// It has no TLS, and we were told to use it.
    NoTls,
    /// It gives nothing to sign, but our credentials sign.
    NoNonce,
    /// It is too old for headers, without which it cannot say that nobody responds.
    NoHeaders,
}

impl Refusal {
    /// What to do: one imperative sentence.
    pub fn hint(&self) -> &'static str {
        match (self.reason, self.shown) {
            (Reason::Credentials, "no credentials") => {
                "give --cluster-credentials, or a user and a password in --cluster-nats"
            }
            (Reason::Credentials, "an nkey") => {
                "put the public key of this nkey among the `users` of the server's `authorization`"
            }
            (Reason::Credentials, "a JWT of a credentials file") => {
                "check that the NATS server knows the account that has signed the credentials file"
            }
            (Reason::Credentials, _) => {
                "compare what is set here with the `authorization` of the NATS server"
            }
            (Reason::Expired, _) => "make new credentials with `nsc generate creds`",
            (Reason::TooMany, _) => {
                "raise `max_connections` of the NATS server or account: each hub has a connection"
            }
            (Reason::NeedsTls, _) => {
                "write the server's address in --cluster-nats with tls:// instead of nats://"
            }
            (Reason::NoTls, _) => {
                "configure `tls` at the NATS server, or write its address with nats://"
            }
            (Reason::NoNonce, _) => {
                "configure users with nkeys or JWT at the NATS server, or leave out --cluster-credentials"
            }
            (Reason::NoHeaders, _) => {
                "use nats-server 2.14.3 or newer, without `no_header_support`"
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.reason {
            Reason::Credentials => "it does not accept",
            Reason::Expired => "it no longer accepts",
            Reason::TooMany => "it has as many connections as it takes; shown was",
            Reason::NeedsTls => "it speaks TLS only; shown was",
            Reason::NoTls => "it has no TLS, which the address asks for; not shown was",
            Reason::NoNonce => "it gives nothing to sign, as is needed for",
            Reason::NoHeaders => "it has no headers; shown was",
        };
        write!(f, "{what} {}", self.shown)?;
        if !self.words.is_empty() {
            write!(f, " ({})", self.words)?;
        }
        Ok(())
    }
}

/// What an error of a server means for its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It will not have us.
    Refused(Reason),
    /// It ends this connection; another may go well.
    Ended,
    /// One operation was not carried out.
    Complaint,
}

/// Reads an error's words. Source: nats-server's `server/errors.go`, as of 2.15.
pub(crate) fn verdict(words: &str) -> Verdict {
    let lower = words.to_ascii_lowercase();
    let has = |part: &str| lower.contains(part);
    if lower.starts_with("permissions violation")
        || has("invalid subject")
        || has("invalid publish subject")
        || has("maximum subscriptions exceeded")
        || has("too many subscriptions")
    {
        return Verdict::Complaint;
    }
    if has("expired") || has("revoked") {
        return Verdict::Refused(Reason::Expired);
    }
    if has("authorization violation") || has("authentication timeout") || has("authentication") {
        return Verdict::Refused(Reason::Credentials);
    }
    if has("maximum") && has("connections") {
        return Verdict::Refused(Reason::TooMany);
    }
    if has("tls") {
        return Verdict::Refused(Reason::NeedsTls);
    }
    Verdict::Ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_server_are_told_apart() {
        let cases = [
            (
                "Authorization Violation",
                Verdict::Refused(Reason::Credentials),
            ),
            (
                "Authentication Timeout",
                Verdict::Refused(Reason::Credentials),
            ),
            (
                "User Authentication Expired",
                Verdict::Refused(Reason::Expired),
            ),
            (
                "User Authentication Revoked",
                Verdict::Refused(Reason::Expired),
            ),
            (
                "Account Authentication Expired",
                Verdict::Refused(Reason::Expired),
            ),
            (
                "maximum connections exceeded",
                Verdict::Refused(Reason::TooMany),
            ),
            (
                "maximum account active connections exceeded",
                Verdict::Refused(Reason::TooMany),
            ),
            (
                "Secure Connection - TLS Required",
                Verdict::Refused(Reason::NeedsTls),
            ),
            (
                "Permissions Violation for Publish to \"a.expired\"",
                Verdict::Complaint,
            ),
            ("maximum subscriptions exceeded", Verdict::Complaint),
            ("Invalid Subject", Verdict::Complaint),
            ("Stale Connection", Verdict::Ended),
            ("Maximum Payload Violation", Verdict::Ended),
            ("Server Shutdown", Verdict::Ended),
            ("", Verdict::Ended),
        ];
        for (words, expected) in cases {
            assert_eq!(verdict(words), expected, "{words}");
        }
    }

    #[test]
    fn a_refusal_says_what_was_shown_and_what_to_do() {
        let refusal = Refusal {
            reason: Reason::Credentials,
            shown: "a token",
            words: "Authorization Violation".into(),
        };
        let text = "it does not accept a token (Authorization Violation)";
        assert_eq!(refusal.to_string(), text);
        assert!(refusal.hint().contains("`authorization`"));
    }
}
