//! What the API asks of the program: the apps, and how the server is.

mod records;
mod tokens;

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tidings_server::AppId;
use tidings_server::registry::{
    AppChange, AppRecord, IssuedToken, NewApp, Refused, RefusedKind, Registry as ApiRegistry,
    Revocation, TokenWish,
};

use crate::changes::{check_certificate, check_name, check_user, secret};
use crate::failure::Failure;
use crate::registry::{Entry, Held, Registry};
use crate::revocations::now_unix_s;
use crate::settings::AppSource;

/// What the running server does for the API.
pub(crate) trait Running: Send + Sync + 'static {
    /// Reads the apps again and tells the hubs.
    fn take_in(&self) -> Result<(), Failure>;

    /// Tells the hubs the rules of bans that are in the store.
    fn apply_bans(&self);

    /// Ends the server as a signal does.
    fn drain(&self);

    /// The state of the node, as `tidings status --json` shows it.
    fn status(&self) -> Value;
}

/// The apps of a server, as the API sees and changes them.
pub(crate) struct ServedApps {
    source: AppSource,
    /// Set once the server runs; before that nobody calls.
    running: OnceLock<Arc<dyn Running>>,
}

impl ServedApps {
    pub(crate) fn new(source: AppSource) -> Self {
        Self {
            source,
            running: OnceLock::new(),
        }
    }

    /// The server runs.
    pub(crate) fn started(&self, running: Arc<dyn Running>) {
        let _ = self.running.set(running);
    }

    /// Changes the file of apps under its lock, and tells the hubs. If the change makes an app that
    /// cannot be served, nothing is written.
    fn changing<T>(
        &self,
        change: impl FnOnce(&mut Registry) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let data_dir = self.source.data_dir();
        let held = Held::of(data_dir).map_err(unavailable)?;
        let mut registry = Registry::read(data_dir).map_err(unavailable)?;
        let done = change(&mut registry)?;
        self.source.read_with(&registry).map_err(conflict)?;
        registry.write().map_err(unavailable)?;
        drop(held);
        self.take_in()?;
        Ok(done)
    }

    fn take_in(&self) -> Result<(), Refused> {
        match self.running.get() {
            Some(running) => running.take_in().map_err(unavailable),
            None => Ok(()),
        }
    }

    /// Changes one app of the file.
    fn changing_one<T>(
        &self,
        app: &AppId,
        change: impl FnOnce(&mut Entry) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        self.changing(|registry| change(self.entry(registry, app)?))
    }

    fn entry<'a>(&self, registry: &'a mut Registry, app: &AppId) -> Result<&'a mut Entry, Refused> {
        if self.source.names(app) {
            return Err(Refused {
                kind: RefusedKind::Conflict,
                what: format!("app {app} is given by an option of the server"),
                hint: "change it there, or create it with POST /api/v1/apps instead".into(),
            });
        }
        registry
            .find(app.as_str())
            .map_err(|failure| refused(RefusedKind::NotFound, &failure))
    }

    fn read(&self) -> Result<Registry, Refused> {
        Registry::read(self.source.data_dir()).map_err(unavailable)
    }

    /// Certificates and settings of an app, wherever it is written down.
    fn found(&self, app: &AppId) -> Result<Entry, Refused> {
        if let Some(entry) = self.source.given(app).map_err(unavailable)? {
            return Ok(entry);
        }
        let mut registry = self.read()?;
        self.entry(&mut registry, app).map(|entry| entry.clone())
    }
}

impl ApiRegistry for ServedApps {
    fn apps(&self) -> Result<Vec<AppRecord>, Refused> {
        let registry = self.read()?;
        let own = registry.entries().iter().map(records::of_file);
        let given = self.source.all_given().map_err(unavailable)?;
        let given = given.iter().map(records::of_options);
        own.chain(given)
            .collect::<Result<_, _>>()
            .map_err(unavailable)
    }

    fn create(&self, wish: NewApp) -> Result<(AppRecord, Option<String>), Refused> {
        let mut entry = Entry {
            id: wish.id.map_or_else(secret, Ok).map_err(unavailable)?,
            name: wish.name,
            created: now_unix_s().map_err(unavailable)?,
            ..Entry::default()
        };
        let id = AppId::parse(&entry.id).map_err(|error| Refused {
            kind: RefusedKind::Invalid("id".into()),
            what: format!(
                "{:?} cannot be an app's id: {error}",
                records::shown(&entry.id)
            ),
            hint: "give 32 letters or digits, or leave it out to get a random one".into(),
        })?;
        check_name(&entry.name).map_err(invalid("name"))?;
        let certificate = match (wish.open, wish.certificate) {
            (true, None) => None,
            (true, Some(_)) => {
                return Err(Refused {
                    kind: RefusedKind::Invalid("open".into()),
                    what: "an open app has no certificate, but one is given".into(),
                    hint: "leave out open or certificate".into(),
                });
            }
            (false, given) => Some(certificate(given)?),
        };
        if let Some(certificate) = &certificate {
            let added = entry.add_certificate(certificate.clone());
            added.map_err(invalid("certificate"))?;
        }
        records::set_all(&mut entry, wish.settings, &wish.rates)?;
        let record = records::of_file(&entry).map_err(invalid("settings"))?;
        self.changing(|registry| {
            if self.source.names(&id) {
                let failure = Failure::new(
                    format!("app {id} already exists"),
                    "an option of the server gives it; choose another id",
                );
                return Err(conflict(failure));
            }
            registry.add(entry).map_err(conflict)
        })?;
        Ok((record, certificate))
    }

    fn change(&self, app: &AppId, change: AppChange) -> Result<AppRecord, Refused> {
        self.changing_one(app, |entry| {
            if let Some(name) = change.name {
                check_name(&name).map_err(invalid("name"))?;
                entry.name = name;
            }
            if let Some(enabled) = change.enabled {
                entry.disabled = !enabled;
            }
            records::change_all(entry, change.settings, &change.rates)?;
            if let Some(services) = change.services {
                services
                    .iter()
                    .try_for_each(|user| check_user(user))
                    .map_err(invalid("services"))?;
                entry.services = services;
            }
            if let Some(jwt) = change.jwt {
                records::change_jwt(entry, jwt)?;
            }
            records::of_file(entry).map_err(invalid("settings"))
        })
    }

    fn delete(&self, app: &AppId) -> Result<AppRecord, Refused> {
        self.changing(|registry| {
            self.entry(registry, app)?;
            let entry = registry.remove(app.as_str()).map_err(unavailable)?;
            registry.keep_copy().map_err(unavailable)?;
            records::of_file(&entry).map_err(unavailable)
        })
    }

    fn add_certificate(&self, app: &AppId, given: Option<String>) -> Result<String, Refused> {
        let certificate = certificate(given)?;
        self.changing_one(app, |entry| {
            entry
                .add_certificate(certificate.clone())
                .map_err(|failure| Refused {
                    hint: "DELETE one of its certificates first, or give another one".into(),
                    ..conflict(failure)
                })
        })?;
        Ok(certificate)
    }

    fn promote_certificate(&self, app: &AppId, number: usize) -> Result<AppRecord, Refused> {
        self.changing_one(app, |entry| {
            let at = records::certificate_at(entry, number)?;
            let certificate = entry.certificates.remove(at);
            entry.certificates.insert(0, certificate);
            records::of_file(entry).map_err(unavailable)
        })
    }

    fn drop_certificate(
        &self,
        app: &AppId,
        number: usize,
        ends_sessions: bool,
    ) -> Result<AppRecord, Refused> {
        self.changing_one(app, |entry| {
            let at = records::certificate_at(entry, number)?;
            if entry.certificates.len() == 1 {
                return Err(conflict(Failure::new(
                    format!("it is the only certificate of app {app}: without one, anybody can be any user"),
                    "add another one first: POST /api/v1/apps/{app}/certificates",
                )));
            }
            entry.drop_certificate(at, ends_sessions);
            records::of_file(entry).map_err(unavailable)
        })
    }

    fn replace_certificates(
        &self,
        app: &AppId,
        wanted: bool,
    ) -> Result<(AppRecord, Option<String>), Refused> {
        let new = if wanted {
            Some(certificate(None)?)
        } else {
            None
        };
        self.changing_one(app, |entry| {
            while !entry.certificates.is_empty() {
                entry.drop_certificate(0, false);
            }
            if let Some(new) = &new {
                entry.add_certificate(new.clone()).map_err(conflict)?;
            }
            let record = records::of_file(entry).map_err(unavailable)?;
            Ok((record, new.clone()))
        })
    }

    fn revoke(&self, app: &AppId, what: Revocation) -> Result<(), Refused> {
        let now_s = now_unix_s().map_err(unavailable)?;
        self.changing_one(app, |entry| match what {
            Revocation::Token(token) => entry
                .revoked
                .add_token(app.as_str(), &token, now_s)
                .map_err(invalid("token")),
            Revocation::User(user, before_s) => {
                check_user(&user).map_err(invalid("user_id"))?;
                let added = entry
                    .revoked
                    .add_user_before(&user, before_s.unwrap_or(now_s + 1));
                added.map_err(conflict)
            }
            Revocation::Everybody(before_s) => {
                entry
                    .revoked
                    .add_everybody_before(before_s.unwrap_or(now_s + 1));
                Ok(())
            }
        })
    }

    fn issue(&self, app: &AppId, wish: TokenWish) -> Result<IssuedToken, Refused> {
        tokens::issue(&self.found(app)?, &wish)
    }

    fn inspect(&self, app: &AppId, token: &str, user: Option<&str>) -> Result<Value, Refused> {
        tokens::inspect(&self.found(app)?, token, user)
    }

    fn bans_changed(&self) -> Result<(), Refused> {
        // The file of apps is not read: whatever is wrong with it keeps nobody from banning.
        if let Some(running) = self.running.get() {
            running.apply_bans();
        }
        Ok(())
    }

    fn drain(&self) -> Result<(), Refused> {
        if let Some(running) = self.running.get() {
            running.drain();
        }
        Ok(())
    }

    fn status(&self) -> Value {
        self.running
            .get()
            .map_or(Value::Null, |running| running.status())
    }
}

fn certificate(given: Option<String>) -> Result<String, Refused> {
    match given {
        None => secret().map_err(unavailable),
        Some(certificate) => {
            check_certificate(&certificate).map_err(invalid("certificate"))?;
            Ok(certificate)
        }
    }
}

fn refused(kind: RefusedKind, failure: &Failure) -> Refused {
    Refused {
        kind,
        what: failure.what().into(),
        hint: failure.hint().into(),
    }
}

fn unavailable(failure: Failure) -> Refused {
    refused(RefusedKind::Unavailable, &failure)
}

fn conflict(failure: Failure) -> Refused {
    refused(RefusedKind::Conflict, &failure)
}

fn invalid(field: &str) -> impl FnOnce(Failure) -> Refused {
    let field = field.to_owned();
    move |failure| refused(RefusedKind::Invalid(field), &failure)
}
