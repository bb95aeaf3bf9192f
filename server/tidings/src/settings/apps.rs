//! Where a server's apps come from.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tidings_server::{App, AppId, AppRules, Apps};

use super::Settings;
use crate::app::AppSpec;
use crate::failure::Failure;
use crate::registry::{Entry, Registry};

/// The systemd credential that is read as a file of apps.
const CREDENTIAL: &str = "apps";

/// Where a server's apps come from; read at the start and at each reload.
#[derive(Clone)]
pub(crate) struct AppSource {
    pub(super) accept_any: bool,
    /// The rules for legacy logins of apps that do not set their own.
    pub(super) legacy: AppRules,
    /// The values of `--app`.
    given: Vec<String>,
    /// The values of `--app-file`.
    files: Vec<PathBuf>,
    data_dir: PathBuf,
}

impl Settings {
    /// Where the apps come from.
    pub(crate) fn app_source(&self) -> AppSource {
        let mut files = self.app_file.clone().unwrap_or_default();
        if let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY") {
            let credential = Path::new(&directory).join(CREDENTIAL);
            if credential.exists() && !files.contains(&credential) {
                files.push(credential);
            }
        }
        AppSource {
            legacy: self.legacy_rules(),
            accept_any: self.is_dev(),
            given: self.app.clone().unwrap_or_default(),
            files,
            data_dir: self.data_dir(),
        }
    }
}

impl AppSource {
    /// The rules for legacy logins that the apps in the data directory set.
    pub(crate) fn read_legacy_rules(&self) -> Result<BTreeMap<AppId, AppRules>, Failure> {
        Registry::read(&self.data_dir)?.legacy_rules(&self.legacy)
    }

    /// The apps from options, from files and from the data directory.
    pub(crate) fn read(&self) -> Result<Apps, Failure> {
        self.read_with(&Registry::read(&self.data_dir)?)
    }

    /// The same, with the apps of the data directory as somebody has changed them.
    pub(crate) fn read_with(&self, registry: &Registry) -> Result<Apps, Failure> {
        let mut apps = Apps {
            accept_any: self.accept_any,
            ..Apps::default()
        };
        let mut all = Vec::new();
        for text in &self.given {
            all.push(app(AppSpec::of_setting(text)?));
        }
        for path in &self.files {
            all.extend(read_file(path)?);
        }
        all.extend(registry.apps()?);
        for (id, listed) in all {
            if apps.listed.insert(id.clone(), listed).is_some() {
                return Err(Failure::new(
                    format!("app {} is given twice", id.as_str()),
                    "give each app once: with --app, in an --app-file, or with `tidings app create`; two certificates of \
                     one app are written ID:NEW:OLD",
                ));
            }
        }
        Ok(apps)
    }
}

impl AppSource {
    /// Where the file of apps is.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Every app that an option or a file named by one gives.
    pub(crate) fn all_given(&self) -> Result<Vec<Entry>, Failure> {
        let of_options = self.given.iter().map(|text| {
            let AppSpec { id, certificates } = AppSpec::of_setting(text)?;
            Ok(entry(&id, certificates))
        });
        let mut all = of_options.collect::<Result<Vec<_>, Failure>>()?;
        for path in &self.files {
            let apps = read_file(path)?.into_iter();
            all.extend(apps.map(|(id, app)| entry(&id, app.certificates)));
        }
        Ok(all)
    }

    /// The app with this id, if an option gives it.
    pub(crate) fn given(&self, app: &AppId) -> Result<Option<Entry>, Failure> {
        let mut all = self.all_given()?.into_iter();
        Ok(all.find(|entry| entry.id == app.as_str()))
    }

    /// Whether an option gives this app.
    pub(crate) fn names(&self, app: &AppId) -> bool {
        self.given(app).is_ok_and(|given| given.is_some())
    }
}

fn entry(id: &AppId, certificates: Vec<String>) -> Entry {
    Entry {
        id: id.as_str().to_owned(),
        certificates,
        ..Entry::default()
    }
}

fn app(AppSpec { id, certificates }: AppSpec) -> (AppId, App) {
    let app = App {
        certificates,
        ..App::default()
    };
    (id, app)
}

fn read_file(path: &Path) -> Result<Vec<(AppId, App)>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::new(
            format!("cannot read the apps in {}: {error}", path.display()),
            "give --app-file a file that the server's user may read",
        )
    })?;
    if fs::metadata(path).is_ok_and(|file| file.mode() & 0o007 != 0) {
        tracing::warn!(path = %path.display(), "every user of this machine can read the certificates in this file");
    }
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            let place = format!("{}, line {number}", path.display());
            AppSpec::of_setting(line)
                .map(app)
                .map_err(|failure| failure.within(&place))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";
    const CERTIFICATE: &str = "fedcba9876543210fedcba9876543210";

    #[test]
    fn a_file_of_apps_has_one_in_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("apps");
        fs::write(&path, format!("# ours\n\n{ID}:{CERTIFICATE}\n")).expect("a file");
        let apps = read_file(&path).map_err(|failure| failure.to_string());
        assert_eq!(apps.expect("read")[0].1.certificates, [CERTIFICATE]);
        fs::write(&path, format!("{ID}\n{ID}:{CERTIFICATE}0\n")).expect("a file");
        let told = read_file(&path).expect_err("refused").to_string();
        assert!(
            told.contains("line 2") && !told.contains(CERTIFICATE),
            "{told}"
        );
    }
}
