//! Files that users upload and name in messages: where they are kept.
//!
//! [`MediaStore`] is what the HTTP side knows; [`Directory`] keeps files on this machine. Another
//! one could keep them in an object store: nothing here speaks of paths.

mod directory;
mod files;
mod usage;

use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use tidings_wire::limits::{MEDIA_FILE_NAME_BYTES_MAX, MEDIA_TYPE_BYTES_MAX};
use tidings_wire::names::{AppId, UserId};

pub(crate) use self::directory::{Bounds, Directory};
pub use self::files::{MediaFile, MediaFiles};
pub(crate) use self::usage::{AppRule, Bound, Owner, Shares};

/// Something that takes a while.
pub(crate) type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A file's bytes, in pieces.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Keeps files, each belonging to an app, for a time that the store was told.
pub(crate) trait MediaStore: Send + Sync {
    /// Begins a file. It is there once it is finished; dropped before, nothing of it stays.
    fn begin(
        &self,
        owner: Owner,
        shares: Shares,
        about: About,
        now_s: u64,
    ) -> Work<'_, Result<Box<dyn Upload>, StoreError>>;

    /// A file of this app, if it is there and its time is not over.
    fn open(&self, app: AppId, id: MediaId, now_s: u64) -> Work<'_, Result<Media, StoreError>>;

    /// Deletes a file for the user who has uploaded it.
    fn delete(&self, owner: Owner, id: MediaId, now_s: u64) -> Work<'_, Result<(), StoreError>>;

    /// Deletes the files whose time is over, and counts the others anew; returns how many there
    /// were.
    fn delete_expired(&self, now_s: u64) -> Work<'_, Result<u64, StoreError>>;

    /// Bytes of files on disk, in blocks of 4 KiB, by app.
    fn stored(&self) -> Vec<(AppId, u64)>;
}

/// A file that is coming in.
pub(crate) trait Upload: Send {
    /// Appends. After an error nothing more may be written.
    fn write(&mut self, bytes: Bytes) -> Work<'_, Result<(), StoreError>>;

    /// Makes the file durable and gives it its name.
    fn finish(self: Box<Self>) -> Work<'static, Result<Stored, StoreError>>;
}

/// A file that is there to stay until its time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) id: MediaId,
    /// When the file expires, in Unix seconds.
    pub(crate) expires_s: u64,
}

/// A file that was found.
pub(crate) struct Media {
    pub(crate) about: About,
    /// `None` = nobody has noted it.
    pub(crate) uploader: Option<UserId>,
    /// Bytes of its content.
    pub(crate) size: u64,
    pub(crate) content: Box<dyn Content>,
}

/// What is in a file.
pub(crate) trait Content: Send {
    /// Reads bytes of a range that lies within the file.
    fn read(self: Box<Self>, range: Range<u64>) -> Chunks;
}

/// What an upload says of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    content_type: String,
    file_name: String,
}

impl About {
    /// Checks lengths, and that there are no control characters: these could write headers or a
    /// terminal.
    pub(crate) fn new(content_type: &str, file_name: &str) -> Result<Self, String> {
        check("content type", content_type, MEDIA_TYPE_BYTES_MAX)?;
        check("file name", file_name, MEDIA_FILE_NAME_BYTES_MAX)?;
        if !content_type.is_ascii() {
            return Err("the content type is not ASCII".to_owned());
        }
        Ok(Self {
            content_type: content_type.to_owned(),
            file_name: file_name.to_owned(),
        })
    }

    pub(crate) fn content_type(&self) -> &str {
        &self.content_type
    }

    /// As stated: not a path.
    pub(crate) fn file_name(&self) -> &str {
        &self.file_name
    }
}

fn check(what: &str, text: &str, bytes_max: usize) -> Result<(), String> {
    if text.len() > bytes_max {
        let bytes = text.len();
        return Err(format!(
            "the {what} has {bytes} bytes; at most {bytes_max} are allowed"
        ));
    }
    match text.char_indices().find(|(_, char)| char.is_control()) {
        Some((at, char)) => Err(format!(
            "the {what} has the control character U+{:04X} at byte {at}",
            u32::from(char)
        )),
        None => Ok(()),
    }
}

/// Names a file: when it was uploaded, and 128 random bits that nobody can guess.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct MediaId(String);

impl MediaId {
    const TIME_DIGITS: usize = 10;
    const DIGITS: usize = Self::TIME_DIGITS + 32;

    /// Draws an id.
    pub(crate) fn draw(now_s: u64) -> io::Result<Self> {
        use std::fmt::Write as _;
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let mut id = format!("{now_s:010x}");
        for byte in random {
            let _ = write!(id, "{byte:02x}");
        }
        Ok(Self(id))
    }

    /// Exactly the form that `draw` makes: what passes holds no path, and one file has one name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_id = text.len() == Self::DIGITS && text.bytes().all(is_digit);
        is_id.then(|| Self(text.to_owned()))
    }

    /// When the file was uploaded, in Unix seconds.
    pub(crate) fn created_s(&self) -> u64 {
        u64::from_str_radix(&self.0[..Self::TIME_DIGITS], 16).unwrap_or(0)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Never there, another app's, or its time is over.
    #[error("there is no such file")]
    NotFound,
    /// Somebody else has uploaded it, or nobody knows who has.
    #[error("the file was not uploaded by this user")]
    NotOwner,
    /// No space by our own rules.
    #[error("{0}")]
    Full(Bound),
    /// No space on the disk, or less than must stay free.
    #[error("the disk has too little free space")]
    DiskFull,
    /// Any other fault.
    #[error("{0}")]
    Io(io::Error),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_of_one_form_only_and_tells_its_time() {
        let id = MediaId::draw(1_800_000_000).expect("random numbers");
        assert_eq!(MediaId::parse(id.as_str()), Some(id.clone()));
        assert_eq!(id.created_s(), 1_800_000_000);
        assert_ne!(id, MediaId::draw(1_800_000_000).expect("random numbers"));
        let upper = id.as_str().to_uppercase();
        let dots = format!("../{}", &id.as_str()[3..]);
        for text in [
            "",
            ".",
            "..",
            "/etc/passwd",
            &upper,
            &dots,
            &id.as_str()[1..],
        ] {
            assert_eq!(MediaId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_have_a_bound_and_no_control_characters() {
        let cases = [
            ("image/png", "a.png", true),
            ("", "", true),
            ("", "Überweisung 1.pdf", true),
            ("", "a\nb", false),
            ("", "a\u{0}", false),
            ("", "a\u{9b}31m", false),
            ("text/html\r\nX: y", "a", false),
            ("täxt", "a", false),
        ];
        for (content_type, name, is_good) in cases {
            assert_eq!(About::new(content_type, name).is_ok(), is_good, "{name:?}");
        }
        assert!(About::new("", &"n".repeat(255)).is_ok());
        assert!(About::new("", &"n".repeat(256)).is_err());
    }

    #[test]
    fn a_full_disk_is_told_from_other_faults() {
        let enospc = io::Error::from_raw_os_error(28);
        assert!(matches!(StoreError::from(enospc), StoreError::DiskFull));
        let eio = io::Error::from_raw_os_error(5);
        assert!(matches!(StoreError::from(eio), StoreError::Io(_)));
    }
}
