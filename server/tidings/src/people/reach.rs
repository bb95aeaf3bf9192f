//! Which server a command is about, and which of its apps.

use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::complete;
use super::contexts::{Contexts, check_key, key_in};
use super::http::{Api, Target, path};
use super::shown::shown;
use crate::control::{Request, ask};
use crate::failure::Failure;
use crate::input;
use crate::settings::Settings;

/// Selects a server. Options come first, then variables, then the context in use, then the server
/// that runs on the data directory.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which server")]
pub(crate) struct Reach {
    /// A server that `tidings context add` has given a name [env: TIDINGS_CONTEXT]
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = ["url", "data_dir", "config"],
        add = ArgValueCompleter::new(complete::contexts)
    )]
    pub(crate) context: Option<String>,

    /// Address of a server, such as https://chat.example.org [env: TIDINGS_URL]
    #[arg(long, value_name = "URL", conflicts_with_all = ["data_dir", "config"])]
    pub(crate) url: Option<String>,

    /// File with the API key, or - for standard input [else: the variable TIDINGS_KEY]
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// PEM file with the authorities of the server's certificate, if they are not public ones
    #[arg(long, alias = "ca", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,

    /// Data directory of a server on this machine, which needs no key [env: TIDINGS_DATA_DIR]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) data_dir: Option<PathBuf>,

    /// TOML file with that server's settings [env: TIDINGS_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Longest wait for an answer, of completions.
    #[arg(skip)]
    pub(crate) patience: Option<std::time::Duration>,
}

/// Selects a server, and one of its apps.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which server")]
pub(crate) struct AppReach {
    /// The app: its id, how it begins, or its name [default: the context's, or the only one]
    #[arg(long, value_name = "APP", add = ArgValueCompleter::new(complete::apps))]
    pub(crate) app: Option<String>,

    #[command(flatten)]
    pub(crate) server: Reach,
}

/// A server that was found.
#[derive(Debug)]
pub(crate) enum Found {
    /// One with an address of its own.
    There(Door),
    /// The one on a data directory of this machine, whether it runs or not.
    Here(PathBuf),
}

/// A server that can be called.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) api: Api,
    /// The app of the context.
    app: Option<String>,
    /// Where clients log in, if that is another address.
    clients: Option<String>,
}

/// An app of a server that can be called.
#[derive(Debug)]
pub(crate) struct AppDoor {
    pub(crate) api: Api,
    /// The app's id.
    pub(crate) app: String,
    /// Where clients log in, if that is another address than the API's.
    pub(crate) clients: Option<String>,
}

impl AppDoor {
    /// The path of a call about the app, each part escaped.
    pub(crate) fn path(&self, parts: &[&str]) -> String {
        let all: Vec<&str> = ["apps", &self.app].iter().chain(parts).copied().collect();
        path(&all)
    }
}

impl Reach {
    /// Finds the server.
    ///
    /// # Errors
    /// What names it cannot be used.
    pub(crate) fn find(&self) -> Result<Found, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        if let Some(url) = &self.url {
            return self.at_url(url).map(Found::There);
        }
        if let Some(name) = &self.context {
            return self.of_context(&Contexts::read()?, name).map(Found::There);
        }
        if self.data_dir.is_some() || self.config.is_some() {
            let directory = directory(self.data_dir.as_deref(), self.config.as_deref())?;
            return Ok(Found::Here(directory));
        }
        if let Some(url) = variable("TIDINGS_URL") {
            return self.at_url(&url).map(Found::There);
        }
        if let Some(name) = variable("TIDINGS_CONTEXT") {
            return self.of_context(&Contexts::read()?, &name).map(Found::There);
        }
        let (data_dir, config) = (variable("TIDINGS_DATA_DIR"), variable("TIDINGS_CONFIG"));
        if data_dir.is_none() && config.is_none() {
            let contexts = Contexts::read()?;
            if let Some(name) = &contexts.in_use {
                return self.of_context(&contexts, name).map(Found::There);
            }
        }
        let directory = directory(
            data_dir.as_deref().map(Path::new),
            config.as_deref().map(Path::new),
        )?;
        Ok(Found::Here(directory))
    }

    /// Finds the server, which must be there to be called.
    ///
    /// # Errors
    /// As for [`Reach::find`]; or none runs on the data directory.
    pub(crate) fn open(&self) -> Result<Door, Failure> {
        match self.find()? {
            Found::There(door) => Ok(door),
            Found::Here(directory) => self.open_here(&directory),
        }
    }

    fn open_here(&self, directory: &Path) -> Result<Door, Failure> {
        let answer = ask(directory, Request::Door)?.ok_or_else(|| {
            Failure::new(
                format!("no server runs on {}", directory.display()),
                "for one elsewhere, give --url and --key-file, or --context; `tidings context add` \
                 gives it a name",
            )
        })?;
        let door = answer.door.unwrap_or_default();
        Ok(Door {
            api: Api::new(Target {
                url: door.url,
                key: self.key()?.or(Some(door.key)),
                // For clients: the API's own certificate is not checked here.
                ca_file: self.ca_file.clone(),
                is_local: true,
                patience: self.patience,
            })?,
            app: None,
            clients: Some(door.clients),
        })
    }

    /// The key that options or variables give.
    fn key(&self) -> Result<Option<String>, Failure> {
        match &self.key_file {
            Some(file) if file == Path::new("-") => {
                let text = input::secret("the API key")?;
                check_key(&text, "the standard input").map(Some)
            }
            Some(file) => key_in(file).map(Some),
            None => Ok(None),
        }
    }

    fn at_url(&self, url: &str) -> Result<Door, Failure> {
        let key = match self.key()? {
            None => match std::env::var("TIDINGS_KEY") {
                Ok(key) if !key.is_empty() => {
                    Some(check_key(key.trim(), "the variable TIDINGS_KEY")?)
                }
                _ => None,
            },
            key => key,
        };
        Ok(Door {
            api: Api::new(Target {
                url: check_url(url)?,
                key,
                ca_file: self.ca_file.clone(),
                is_local: false,
                patience: self.patience,
            })?,
            app: None,
            clients: None,
        })
    }

    fn of_context(&self, contexts: &Contexts, name: &str) -> Result<Door, Failure> {
        let context = contexts.find(name)?;
        let within = |failure: Failure| failure.within(&format!("context {name}"));
        let key = match self.key()? {
            None => context.key().map_err(within)?,
            key => key,
        };
        Ok(Door {
            api: Api::new(Target {
                url: check_url(&context.url).map_err(within)?,
                key,
                ca_file: self.ca_file.clone().or_else(|| context.ca_file.clone()),
                is_local: false,
                patience: self.patience,
            })
            .map_err(within)?,
            app: context.app.clone(),
            clients: None,
        })
    }
}

fn directory(data_dir: Option<&Path>, config: Option<&Path>) -> Result<PathBuf, Failure> {
    match (data_dir, config) {
        (Some(data_dir), _) => Ok(data_dir.to_owned()),
        (None, Some(config)) => Ok(Settings::read(config)?.data_dir()),
        (None, None) => Ok(Settings::default().data_dir()),
    }
}

impl AppReach {
    /// Finds the server and the app.
    ///
    /// # Errors
    /// As for [`Reach::open`]; or it is not clear which app is meant.
    pub(crate) fn open(&self) -> Result<AppDoor, Failure> {
        let Door { api, app, clients } = self.server.open()?;
        let app = match self.app.as_ref().or(app.as_ref()) {
            Some(named) => app_named(&api, named)?,
            None => only_app(&api)?,
        };
        Ok(AppDoor { api, app, clients })
    }
}

/// Whether a text is written as the id of an app is.
fn is_app_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The id of an app that a person has named somehow.
///
/// # Errors
/// There is no such app, or several.
pub(crate) fn app_named(api: &Api, named: &str) -> Result<String, Failure> {
    // Taken as it is, also since a server with --dev lists none.
    if is_app_id(named) {
        return Ok(named.to_owned());
    }
    let mut found: Vec<(String, String)> = Vec::new();
    for app in api.list("/api/v1/apps", &[]) {
        let app = app?;
        let text = |name: &str| app[name].as_str().unwrap_or_default().to_owned();
        let (id, name) = (text("id"), text("name"));
        if name == named || (!named.is_empty() && id.starts_with(named)) {
            found.push((id, name));
        }
    }
    match &found[..] {
        [(id, _)] => Ok(id.clone()),
        [] => Err(Failure::new(
            format!("there is no app with the id or name {named:?}"),
            "leave --app out to see which apps there are",
        )),
        several => Err(Failure::new(
            format!("{named:?} can be {}", told(several)),
            "give more of the id with --app",
        )),
    }
}

/// The app of a server that has only one.
fn only_app(api: &Api) -> Result<String, Failure> {
    let mut apps = Vec::new();
    for app in api.list("/api/v1/apps", &[]) {
        let app = app?;
        let text = |name: &str| app[name].as_str().unwrap_or_default().to_owned();
        apps.push((text("id"), text("name")));
    }
    if apps.is_empty() {
        // With --dev every id is accepted and none is listed: the one in use is meant.
        let stats = api.get("/api/v1/stats", &[]).unwrap_or_default();
        let used = stats["apps"].as_array().into_iter().flatten();
        let used = used.filter_map(|app| app["app"].as_str());
        apps.extend(used.map(|id| (id.to_owned(), String::new())));
    }
    match &apps[..] {
        [(id, _)] => Ok(id.clone()),
        [] => Err(Failure::new(
            "the server has no app that the key may ask about",
            "give --app ID: `tidings app create` on the server makes an app, and with --dev any 32 \
             letters or digits are one",
        )),
        several => Err(Failure::new(
            format!("the server has {}", told(several)),
            "say which one with --app; the beginning of the id, or the name, is enough",
        )),
    }
}

/// Apps as a sentence has them.
fn told(apps: &[(String, String)]) -> String {
    const TOLD_MAX: usize = 8;
    let one = |(id, name): &(String, String)| {
        if name.is_empty() {
            shown(id)
        } else {
            format!("{} ({})", shown(id), shown(name))
        }
    };
    let mut text = format!("{} apps: ", apps.len());
    text += &apps
        .iter()
        .take(TOLD_MAX)
        .map(one)
        .collect::<Vec<_>>()
        .join(", ");
    if apps.len() > TOLD_MAX {
        text += ", …";
    }
    text
}

/// The address without a slash at its end.
///
/// # Errors
/// It is none.
pub(crate) fn check_url(text: &str) -> Result<String, Failure> {
    let text = text.trim().trim_end_matches('/');
    let host = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let is_good = host.is_some_and(|host| {
        !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_graphic())
            && !host.contains(['/', '?', '#', '@', '\\'])
    });
    let has_port = |uri: ureq::http::Uri| {
        let authority = uri.authority()?;
        let is_whole = authority.port_u16().is_some() || authority.as_str() == authority.host();
        is_whole.then_some(())
    };
    if is_good && text.parse().ok().and_then(has_port).is_some() {
        return Ok(text.to_owned());
    }
    Err(Failure::new(
        format!("{text:?} is not the address of a server"),
        "give http://HOST:PORT or https://HOST, without a path",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_nothing_else() {
        for (given, read) in [
            ("http://127.0.0.1:7400", "http://127.0.0.1:7400"),
            ("https://chat.example.org/", "https://chat.example.org"),
            (" https://[::1]:443 ", "https://[::1]:443"),
        ] {
            assert_eq!(check_url(given), Ok(read.to_owned()));
        }
        for wrong in [
            "",
            "chat.example.org",
            "ws://chat.example.org",
            "https://",
            "https://chat.example.org/api/v1",
            "https://a@b",
            "https://a b",
            "https://a:port",
            "https://a:99999",
            "https://a:",
        ] {
            assert!(check_url(wrong).is_err(), "{wrong:?}");
        }
    }
}
