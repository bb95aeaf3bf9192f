//! Makes and checks the kinds of token with which users prove who they are.
//!
//! **What it is.** Pure functions of bytes, key and time for the three formats in use among the
//! clients that Tidings serves: the legacy signaling token (`1:…`), AccessToken 006 and
//! AccessToken2 007; and for signed JSON Web Tokens ([`jwt`]), which are checked only. [`check`]
//! answers whether a token lets a user in, until when and with which rights; [`build_signaling`],
//! [`build_006`] and [`build_007`] make tokens; [`inspect`] describes one without a key.
//!
//! **What it is not.** It knows no clock, no random source, no socket and no store: the time and
//! the salt are arguments. It keeps no list of apps, revocations or bans, and it does not decide
//! what an app *without* a certificate does; such an app asks for no token, so nobody calls
//! [`check`] for it.
//!
//! **Reading order.** `door` and `grant` (what is asked, what is granted), `check` (dispatch), then
//! one file per format: `signaling`, `access006`, `access007` with its `service` list, `jwt`;
//! `rights` says what a permission list allows; `refusal` is every way in which a token can fail;
//! `encoding` and `reader` are the bounded base64, zlib and field readers that face the bytes of
//! strangers.
//!
//! ```
//! use tidings_token::{AppKeys, Door, NewAccess007, Policy, Service, build_007, check};
//!
//! let app_id = "0123456789abcdef0123456789abcdef";
//! let certificate = "fedcba9876543210fedcba9876543210";
//! let token = build_007(&NewAccess007 {
//!     app_id,
//!     certificate,
//!     issued_at_unix_s: 1_700_000_000,
//!     lifetime_s: 3600,
//!     salt: 12_345_678,
//!     services: &[Service::rtm("alice", 3600)],
//! })?;
//!
//! let keys = AppKeys { app_id, certificates: &[certificate], jwt: None };
//! let policy = Policy::login();
//! let granted = check(Door::Rtm, &keys, &policy, "alice", 1_700_000_060, &token)?;
//! assert_eq!(granted.expires_at_unix_s, 1_700_003_600);
//!
//! let refusal = check(Door::Rtm, &keys, &policy, "bob", 1_700_000_060, &token).unwrap_err();
//! assert_eq!(refusal.reason(), "wrong_user");
//! assert_eq!(refusal.to_string(), r#"the token is for user "alice", not for "bob""#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access006;
mod access007;
mod check;
mod door;
mod encoding;
mod grant;
mod inspect;
pub mod jwt;
mod keys;
mod reader;
mod refusal;
mod rights;
mod service;
mod signaling;

pub use access006::build_006;
pub use access007::{NewAccess007, build_007};
pub use check::check;
pub use door::{Door, Format};
pub use grant::{Granted, NEVER, Policy, TokenId};
pub use inspect::{Inspection, JwtInspection, ServiceInspection, inspect};
pub use keys::{AppKeys, BuildError};
pub use refusal::{Flaw, Refusal, TokenUser};
pub use rights::{Access, Permissions, Resource, Rights};
pub use service::{Service, ServiceBody};
pub use signaling::build_signaling;
