//! The files of a data directory, for operators.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tidings_wire::names::{AppId, UserId};

use super::MediaId;
use super::directory::{Beginning, apps, files};

/// The files that users have uploaded, in a data directory. A server may run on it meanwhile: it
/// finds deleted files missing at once, and counts the space that they had as free within ten
/// minutes, or when it needs it.
#[derive(Debug, Clone)]
pub struct MediaFiles {
    path: PathBuf,
}

/// One uploaded file, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaFile {
    /// The app that it belongs to.
    pub app: AppId,
    /// Its id in the app.
    pub id: String,
    /// Who has uploaded it; `None` = it is of a version that did not note it.
    pub user: Option<UserId>,
    /// Bytes of its content.
    pub bytes: u64,
    /// As the upload has stated it.
    pub content_type: String,
    /// As the upload has stated it: no path.
    pub file_name: String,
    /// When it was uploaded, in Unix seconds.
    pub uploaded_s: u64,
}

impl MediaFiles {
    /// The files of a data directory, which need not have any.
    pub fn of(data_directory: &Path) -> Self {
        Self {
            path: data_directory.join("media"),
        }
    }

    /// The files of one app or all, of one user or all; oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self, app: Option<&AppId>, user: Option<&UserId>) -> io::Result<Vec<MediaFile>> {
        let mut list = Vec::new();
        let all = match apps(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(list),
            all => all?,
        };
        for (its_app, directory) in all {
            if app.is_some_and(|app| *app != its_app) {
                continue;
            }
            for (id, entry) in files(&directory)? {
                let file = match describe(&its_app, &id, &entry.path()) {
                    // It has gone meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    file => file?,
                };
                if user.is_none() || file.user.as_ref() == user {
                    list.push(file);
                }
            }
        }
        list.sort_by(|left, right| (&left.id, &left.app).cmp(&(&right.id, &right.app)));
        Ok(list)
    }

    /// Deletes a file; returns whether it was there.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn delete(&self, app: &AppId, id: &str) -> io::Result<bool> {
        let Some(id) = MediaId::parse(id) else {
            return Ok(false);
        };
        match fs::remove_file(self.path.join(app.as_str()).join(id.as_str())) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A file whose beginning is damaged is listed with what is known of it, so that it can be deleted.
fn describe(app: &AppId, id: &MediaId, path: &Path) -> io::Result<MediaFile> {
    let file = File::open(path)?;
    let whole = file.metadata()?.len();
    let beginning = match Beginning::read(&file) {
        Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(error),
        read => read.ok(),
    };
    let head = beginning.as_ref().map_or(0, |beginning| beginning.len);
    let stated = |what: fn(&Beginning) -> &str| {
        let text = beginning.as_ref().map(what);
        text.unwrap_or_default().to_owned()
    };
    Ok(MediaFile {
        app: app.clone(),
        id: id.as_str().to_owned(),
        bytes: whole.saturating_sub(head),
        content_type: stated(|beginning| beginning.about.content_type()),
        file_name: stated(|beginning| beginning.about.file_name()),
        uploaded_s: id.created_s(),
        user: beginning.and_then(|beginning| beginning.uploader),
    })
}
