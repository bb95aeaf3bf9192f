//! Logins at the console by the operator's own login server, by OpenID Connect: authorization code
//! with PKCE, state and nonce.
//!
//! **What it is.** [`OpenId`] says what goes to the login server and judges what comes back, by the
//! crate `openidconnect`; `roles` makes a role here of the claims there.
//!
//! **What it is not.** It has no socket: requests go out by the [`Http`] that it is given. Cookies
//! and sessions are the API's (`login` there).

mod roles;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType,
    CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
    CoreProviderMetadata, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IdTokenClaims,
    IdTokenFields, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    StandardErrorResponse, StandardTokenResponse, TokenResponse as _,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidings_api::login::{Begun, Later, LoginFault, LoginServer, Pending, Person};
use tokio::sync::Mutex;

pub use self::roles::{Grant, GrantError};

/// For so long, what the login server tells of itself and its keys are not asked for again. A key
/// that it stops using is good here for as long, at most.
const FRESH: Duration = Duration::from_secs(300);

/// Longest name of a person, in characters.
const NAME_CHARS_MAX: usize = 120;

/// How requests go out: bounded in time and size, without redirects.
pub type Http =
    Arc<dyn Fn(HttpRequest) -> Pin<Box<dyn Future<Output = HttpAnswer> + Send>> + Send + Sync>;

/// What comes back.
pub type HttpAnswer = Result<HttpResponse, HttpError>;

/// A request that was not answered, and why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct HttpError(pub String);

/// How the login server is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The login server: what its ID tokens say that they are from.
    pub issuer: String,
    /// What people call it.
    pub name: String,
    /// As whom this server is known there.
    pub client_id: String,
    /// What proves that, if it was given one.
    pub client_secret: Option<Secret>,
    /// Where the login server sends the browser back to.
    pub callback: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim of ID tokens that holds a person's groups; dots lead into objects.
    pub claim: String,
    /// What groups permit here.
    pub grants: Vec<Grant>,
}

/// A secret text: it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Checks an issuer's address.
///
/// # Errors
/// Why it cannot be one.
pub fn check_issuer(text: &str) -> Result<(), String> {
    let url = IssuerUrl::new(text.to_owned()).map_err(|error| error.to_string())?;
    let parts = url.url();
    if !matches!(parts.scheme(), "https" | "http") || parts.host_str().is_none() {
        return Err("it is no https:// address".into());
    }
    if parts.query().is_some() || parts.fragment().is_some() {
        return Err("an issuer has no query and no fragment".into());
    }
    Ok(())
}

/// All claims that the standard does not name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct More(BTreeMap<String, Value>);

impl AdditionalClaims for More {}

type Tokens = StandardTokenResponse<
    IdTokenFields<
        More,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type Client = openidconnect::Client<
    More,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A login server that speaks OpenID Connect.
pub struct OpenId {
    settings: Settings,
    http: Http,
    /// What it has told of itself, and when.
    known: Mutex<Option<(Instant, CoreProviderMetadata)>>,
}

impl OpenId {
    /// A login server of these settings. It is not asked anything yet.
    pub fn new(settings: Settings, http: Http) -> Self {
        Self {
            settings,
            http,
            known: Mutex::default(),
        }
    }

    /// The way out, in the form that `openidconnect` takes.
    fn http(&self) -> impl Fn(HttpRequest) -> Pin<Box<dyn Future<Output = HttpAnswer> + Send>> {
        let http = self.http.clone();
        move |request| http(request)
    }

    /// What it tells of itself. Callers that come at once wait for the same answer.
    async fn metadata(&self) -> Result<CoreProviderMetadata, LoginFault> {
        let mut known = self.known.lock().await;
        if let Some((since, metadata)) = &*known
            && since.elapsed() < FRESH
        {
            return Ok(metadata.clone());
        }
        let issuer = IssuerUrl::new(self.settings.issuer.clone())
            .map_err(|error| LoginFault::Unavailable(error.to_string()))?;
        let found = CoreProviderMetadata::discover_async(issuer, &self.http()).await;
        let metadata = found.map_err(|error| {
            let issuer = &self.settings.issuer;
            LoginFault::Unavailable(format!(
                "{issuer} has not told of itself: {}",
                chain(&error)
            ))
        })?;
        *known = Some((Instant::now(), metadata.clone()));
        Ok(metadata)
    }

    async fn client(&self) -> Result<Client, LoginFault> {
        let metadata = self.metadata().await?;
        let id = ClientId::new(self.settings.client_id.clone());
        let secret = self.settings.client_secret.clone();
        let secret = secret.map(|secret| ClientSecret::new(secret.0));
        let back = RedirectUrl::new(self.settings.callback.clone())
            .map_err(|error| LoginFault::Unavailable(error.to_string()))?;
        Ok(Client::from_provider_metadata(metadata, id, secret).set_redirect_uri(back))
    }

    async fn begin_now(&self) -> Result<Begun, LoginFault> {
        let client = self.client().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let asked = client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        );
        let scopes = self.settings.scopes.iter().cloned().map(Scope::new);
        let (url, state, nonce) = asked.add_scopes(scopes).set_pkce_challenge(challenge).url();
        Ok(Begun {
            url: url.into(),
            pending: Pending {
                state: state.into_secret(),
                nonce: nonce.secret().clone(),
                verifier: verifier.into_secret(),
            },
        })
    }

    async fn finish_now(
        &self,
        pending: Pending,
        code: String,
        issuer: Option<String>,
    ) -> Result<Person, LoginFault> {
        if let Some(issuer) = issuer.filter(|issuer| *issuer != self.settings.issuer) {
            let own = &self.settings.issuer;
            let shown: String = issuer.chars().take(100).collect();
            return Err(LoginFault::Invalid(format!(
                "the code is from {shown:?}, not from {own}"
            )));
        }
        let client = self.client().await?;
        let exchange = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| LoginFault::Unavailable(error.to_string()))?;
        let exchange = exchange.set_pkce_verifier(PkceCodeVerifier::new(pending.verifier));
        let tokens = exchange.request_async(&self.http()).await;
        let tokens = tokens.map_err(|error| {
            LoginFault::Invalid(format!("the code was not redeemed: {}", chain(&error)))
        })?;
        let token = tokens
            .id_token()
            .ok_or_else(|| LoginFault::Invalid("there is no ID token in the answer".into()))?;
        // Signed by a key that it publishes: a secret that both share, or nothing, proves less.
        let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
        let claims = token.claims(&verifier, &Nonce::new(pending.nonce));
        let claims = match claims {
            Ok(claims) => claims,
            Err(error) => {
                // Its keys may be new ones.
                *self.known.lock().await = None;
                let why = chain(&error);
                return Err(LoginFault::Invalid(format!("the ID token: {why}")));
            }
        };
        self.person(claims)
    }

    fn person(&self, claims: &IdTokenClaims<More, CoreGenderClaim>) -> Result<Person, LoginFault> {
        let subject = claims.subject().as_str();
        let known_as = claims
            .preferred_username()
            .map(|name| name.as_str())
            .or_else(|| claims.email().map(|email| email.as_str()));
        // The subject tells people apart, whatever they call themselves.
        let name = match known_as {
            Some(known_as) if known_as != subject => format!("oidc:{known_as} ({subject})"),
            _ => format!("oidc:{subject}"),
        };
        let name: String = name
            .chars()
            .filter(|char| !char.is_control())
            .take(NAME_CHARS_MAX)
            .collect();
        let groups = roles::groups(&claims.additional_claims().0, &self.settings.claim);
        let Some((role, apps)) = roles::granted(&self.settings.grants, &groups) else {
            let claim = &self.settings.claim;
            return Err(LoginFault::NoRole(format!(
                "{name} has no role: its claim {claim} is {groups:?}, of which oidc-role names none"
            )));
        };
        Ok(Person { name, role, apps })
    }
}

/// What ID tokens may be signed by.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

impl LoginServer for OpenId {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn begin(&self) -> Later<'_, Result<Begun, LoginFault>> {
        Box::pin(self.begin_now())
    }

    fn finish(
        &self,
        pending: Pending,
        code: String,
        issuer: Option<String>,
    ) -> Later<'_, Result<Person, LoginFault>> {
        Box::pin(self.finish_now(pending, code, issuer))
    }
}

/// An error with its sources, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}
