//! Logins at the console by the operator's own login server.

use std::sync::Arc;
use std::time::Duration;

use tidings_api::login::LoginParts;
use tidings_oidc::{Http, HttpError, OpenId};

use crate::config::LoginConfig;
use crate::key_sets;

/// Longest time for one question to the login server, from the look-up of its name on. A person
/// waits for it.
const TIME: Duration = Duration::from_secs(8);

/// What the API needs for it.
pub(crate) fn parts(config: LoginConfig) -> LoginParts {
    let authorities = config.authorities.map(Arc::new);
    let http: Http = Arc::new(move |request| {
        let authorities = authorities.clone();
        Box::pin(async move {
            let authorities = authorities.as_ref().map(|path| path.as_path());
            let answer = tokio::time::timeout(TIME, key_sets::call(request, authorities)).await;
            answer
                .unwrap_or_else(|_| Err(format!("no answer within {} s", TIME.as_secs())))
                .map_err(HttpError)
        })
    });
    LoginParts {
        server: Arc::new(OpenId::new(config.oidc, http)),
        console: config.console,
        lasts_ms: config.lasts_ms,
    }
}
