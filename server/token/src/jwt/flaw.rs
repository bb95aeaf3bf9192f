//! What can be wrong with a JSON Web Token.

/// What is wrong with the form of a JSON Web Token. Texts from the token are cut to 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtFlaw {
    /// A signed token has three parts.
    #[error("it has {0} part(s) between dots, not 3")]
    Parts(usize),
    /// A token of five parts.
    #[error("it is encrypted; signed ones are taken")]
    Encrypted,
    /// A part is no base64url: another alphabet, padding, a space, or bits that mean nothing.
    #[error("its {part} is no base64url without padding")]
    Base64 {
        /// Header, payload or signature.
        part: &'static str,
    },
    /// A part is no JSON object, or has a name twice.
    #[error("its {part} cannot be read: {error}")]
    Json {
        /// Header, payload or signature.
        part: &'static str,
        /// What the reader says.
        error: String,
    },
    /// The header names an algorithm that is not for us, `none` among them.
    #[error("its alg is {0:?}; HS256, RS256, ES256 and EdDSA are taken")]
    Algorithm(String),
    /// The header demands what we do not know.
    #[error("its header has `{0}`, which is not supported")]
    Header(&'static str),
    /// The header names another type of token.
    #[error("its typ is {0:?}, not \"JWT\"")]
    Type(String),
    /// A field has another form than documented.
    #[error("`{name}` is {found}, not {wanted}")]
    Field {
        /// Its name, or its path in the claims.
        name: String,
        /// What it is.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// A name in the claim of rights that is none of ours.
    #[error(
        "`{claim}` has {name:?}; it may have read_channels, write_channels, read_users, write_users"
    )]
    Right {
        /// The claim of rights.
        claim: String,
        /// The unknown name.
        name: String,
    },
    /// A token without a time of issue that is good for longer than the app allows.
    #[error("it ends {ends_in_s} s from now and has no iat; such a token ends within {max_s} s")]
    TooLong {
        /// Seconds until its end.
        ends_in_s: u64,
        /// The app's bound.
        max_s: u64,
    },
}

impl JwtFlaw {
    /// How to fix it, one imperative sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Parts(_) | Self::Base64 { .. } | Self::Json { .. } => {
                "Pass the token exactly as the library that signs it returned it."
            }
            Self::Encrypted => "Sign the token instead of encrypting it.",
            Self::Algorithm(_) => "Sign the token with HS256, RS256, ES256 or EdDSA.",
            Self::Header(_) | Self::Type(_) => {
                "Sign a plain JWT: a header with alg, kid and typ \"JWT\" is enough."
            }
            Self::Field { .. } | Self::Right { .. } => {
                "Write the claim in the form that the guide shows under JWT."
            }
            Self::TooLong { .. } => {
                "Give the token an iat, let it end sooner, or raise jwt.lifetime_max_s of the app."
            }
        }
    }
}
