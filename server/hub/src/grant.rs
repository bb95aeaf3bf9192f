//! What a token gives its user.

use std::sync::Arc;

use tidings_token::{Permissions, TokenId};

/// What a token gives its user. The default is what logins to an app without a certificate have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// The Unix second at which the token ends; `None` = the app has no certificate.
    pub expires_s: Option<u64>,
    /// What it permits.
    pub rights: Restriction,
    /// Whether it says that its user is part of the app's backend.
    pub is_service: bool,
    /// By what it can be taken back.
    pub proof: Proof,
}

/// What is remembered of the token of a session, so that it ends when the token is taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proof {
    /// The certificate that has signed it, by its [fingerprint](crate::credentials::fingerprint); 0
    /// = none has.
    pub certificate: u64,
    /// Its name.
    pub token: Option<TokenId>,
    /// When it was issued, in Unix seconds, where its format tells.
    pub issued_s: Option<u64>,
}

impl Proof {
    /// As a session keeps it: nothing where there is nothing to be taken back.
    pub(crate) fn kept(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// What a token lets its user do: everything (`None`), or what the list names.
pub type Restriction = Option<Arc<Permissions>>;
