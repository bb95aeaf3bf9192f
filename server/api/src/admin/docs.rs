//! The description of these calls: shapes that are written without a type of their own, and the
//! list of handlers.

use std::collections::BTreeMap;

use utoipa::{OpenApi, ToSchema};

use super::audit::AuditPage;
use super::bans::BanView;
use super::files::FileRecord;
use super::key_routes::KeyView;
use crate::registry::{AppRecord, CertificateRecord};

/// The calls of operators and admin keys under `/api/v1`.
#[derive(OpenApi)]
#[openapi(
    paths(
        super::key_routes::list,
        super::key_routes::show,
        super::key_routes::create,
        super::key_routes::rotate,
        super::key_routes::revoke,
        super::apps::list,
        super::apps::show,
        super::apps::create,
        super::apps::change,
        super::apps::remove,
        super::certificates::list,
        super::certificates::add,
        super::certificates::promote,
        super::certificates::drop_one,
        super::tokens::issue,
        super::tokens::inspect,
        super::tokens::revoke,
        super::bans::routes::list,
        super::bans::routes::show,
        super::bans::routes::create,
        super::bans::routes::change,
        super::bans::routes::remove,
        super::files::list,
        super::files::remove,
        super::erasure::erase,
        super::audit_layer::read,
        super::nodes::nodes,
        super::nodes::drain,
        super::nodes::stats,
    ),
    components(schemas(AuditPage))
)]
pub(crate) struct AdminDoc;

macro_rules! page {
    ($(#[$doc:meta])* $name:ident of $item:ty) => {
        $(#[$doc])*
        #[derive(ToSchema)]
        #[allow(dead_code, reason = "only its schema is used")]
        pub(crate) struct $name {
            items: Vec<$item>,
            /// The `cursor` of the next page; null = this is the last.
            next: Option<String>,
        }
    };
}

page!(
    /// A page of keys.
    KeyPage of KeyView
);
page!(
    /// A page of apps.
    AppPage of AppRecord
);
page!(
    /// A page of certificates.
    CertificatePage of CertificateRecord
);
page!(
    /// A page of rules.
    BanPage of BanView
);
page!(
    /// A page of files.
    FilePage of FileRecord
);

/// A key with its text.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct NewKeyView {
    #[schema(inline)]
    #[serde(flatten)]
    view: KeyView,
    /// The whole text, `tdk_<id>_<secret>`: shown this once.
    key: String,
    /// The secret alone, for callers that use HTTP Basic.
    secret: String,
}

/// An app with the text of its certificate.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct NewAppView {
    #[schema(inline)]
    #[serde(flatten)]
    app: AppRecord,
    /// The text of its certificate, shown this once; null = it has none.
    certificate: Option<String>,
}

/// A new certificate.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct NewCertificate {
    /// Its text, shown this once.
    certificate: String,
    /// All certificates of the app now.
    items: Vec<CertificateRecord>,
}

/// A new token. Show it to its user: the server cannot show it again.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Issued {
    token: String,
    user_id: String,
    /// When it ends, in Unix milliseconds.
    expires_ms: u64,
}

/// A node: the server itself, as long as there is one.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Node {
    id: u16,
    /// Version of the program.
    program: String,
    pid: u32,
    uptime_s: u64,
    /// Where clients reach it.
    listen: String,
    admin_listen: Option<String>,
    /// How many hubs it runs.
    hubs: u16,
    tls: bool,
    /// What the store accepts: `everything`, `deletions` or `nothing`.
    store: String,
    /// Why, if it is not everything.
    store_reason: Option<String>,
    memory_bytes: Option<u64>,
}

page!(
    /// All nodes of the cluster.
    NodePage of Node
);

/// What the server has done and has to do, by name; figures besides these are added by versions.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Stats {
    /// When it was looked at, in Unix milliseconds.
    at_ms: u64,
    uptime_s: u64,
    memory_bytes: Option<u64>,
    /// As a node's `store`.
    store_accepts: String,
}

/// What a token says, and how the app judges it.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct InspectedView {
    /// `007`, `006`, `signaling` or `jwt`, in words.
    format: String,
    /// The app that it claims to be for; empty for a JSON Web Token.
    app_id: String,
    /// Unix seconds.
    issued_at: Option<u64>,
    /// The same as people write it.
    issued: Option<String>,
    /// The first Unix second at which it is over.
    expires_at: u64,
    /// The same as people write it.
    expires: String,
    is_expired: bool,
    salt: Option<u32>,
    /// Whether it lets anybody log in.
    has_rtm_login: bool,
    /// Of 006: numbers of privileges with their ends.
    privileges: Vec<(u16, u32)>,
    /// Only tokens of 007 have them.
    services: Vec<InspectedService>,
    /// Of a JSON Web Token: `algorithm`, `key_id` and `claims`.
    jwt: Option<BTreeMap<String, serde_json::Value>>,
    check: InspectedCheck,
}

/// A service of a 007 token.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct InspectedService {
    r#type: u16,
    name: String,
    channel: Option<String>,
    user: Option<String>,
    /// Numbers of privileges with their ends.
    privileges: Vec<(u16, u32)>,
    permissions: Option<String>,
}

/// How the app judges a token.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct InspectedCheck {
    /// `good`, `unknown`, `revoked`, `banned`, or why it is refused.
    verdict: String,
    /// The user that it lets in, if it is good.
    user: Option<String>,
    text: Option<String>,
}

/// A node that is ending.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Draining {
    id: u16,
    /// What it does from now on: always `draining`.
    state: String,
}

/// What was there of a user.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct ErasedView {
    /// Messages that waited for it.
    offline_messages: u64,
    /// Histories with other users, gone for them too.
    conversations: u64,
    /// Messages that it had sent to channels with a history.
    channel_messages: u64,
    /// Whether it had attributes.
    attributes: bool,
    /// Files that it had uploaded.
    files: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_described_with_what_it_answers() {
        let description = AdminDoc::openapi();
        let text = serde_json::to_value(&description).expect("JSON");
        let paths = text["paths"].as_object().expect("paths");
        let operations: Vec<_> = paths
            .values()
            .flat_map(|path| path.as_object().expect("operations").values())
            .collect();
        assert!(operations.len() >= 28, "{}", operations.len());
        for operation in operations {
            let words = operation["summary"]
                .as_str()
                .or(operation["description"].as_str());
            assert!(
                words.is_some_and(|words| words.ends_with('.')),
                "{operation}"
            );
            let statuses: Vec<_> = operation["responses"]
                .as_object()
                .expect("answers")
                .keys()
                .collect();
            assert!(
                statuses.iter().any(|status| status.starts_with('2')),
                "{statuses:?}"
            );
        }
    }
}
