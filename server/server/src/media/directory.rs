//! Files in a directory: `<app id>/<media id>`, and `.partial/<media id>` while they come in.
//!
//! A file begins with four lines of text (this layout's name, content type, file name, the user who
//! has uploaded it); its content follows. In the layout before there was no user. A file appears
//! under its app only whole and on disk: it is synced, then renamed, then its directory is synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tidings_store::embedded::{DiskReserve, Space};
use tidings_wire::names::{AppId, NameRule, UserId};
use tokio::task::spawn_blocking;

use super::usage::{Owner, Share, Shares, Usage};
use super::{About, Chunks, Content, Media, MediaId, MediaStore, StoreError, Stored, Upload, Work};

/// First line of a file, and of those that do not say who has uploaded them.
const MAGIC: &str = "tidings-media 2";
const MAGIC_1: &str = "tidings-media 1";
/// Longest beginning of a file: the four lines, each at its longest.
const HEAD_BYTES_MAX: usize = 1_024;
/// Space that seems to be used up is counted anew at most so often.
const RECOUNT: Duration = Duration::from_secs(5);
const PARTIAL: &str = ".partial";
/// Bytes that are read or written in one go. More would let one transfer hold a thread for longer,
/// less costs more changes of thread per file.
const CHUNK_BYTES: usize = 128 * 1024;

/// How much a directory may hold, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// How long a file is kept, in seconds.
    pub(crate) keep_s: u64,
    /// All files together.
    pub(crate) bytes_max: u64,
    /// The disk keeps this much free: the store of messages needs it more. Source: contract CRA-6.
    pub(crate) disk_reserve: DiskReserve,
}

/// Keeps files in a directory of this machine. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    bounds: Bounds,
    usage: Arc<Usage>,
    /// Held while an app's directory is made, filled, counted or removed.
    directories: Mutex<()>,
    /// When everything was last counted anew for somebody who found no room.
    counted: Mutex<Option<Instant>>,
}

impl Directory {
    /// Makes the directory if it is not there, removes what was left half-written, and counts the
    /// rest.
    pub(crate) fn open(path: &Path, bounds: Bounds) -> io::Result<Self> {
        let partial = path.join(PARTIAL);
        match fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&partial)?,
        }
        if let Some(parent) = path.parent().filter(|parent| parent.is_dir()) {
            File::open(parent)?.sync_all()?;
        }
        let usage = Usage::new(bounds.bytes_max);
        for (app, directory) in apps(path)? {
            for (owner, bytes) in owned(&app, &directory)? {
                usage.found(&owner, bytes);
            }
        }
        let shared = Shared {
            path: path.to_owned(),
            bounds,
            usage,
            directories: Mutex::new(()),
            counted: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

impl MediaStore for Directory {
    fn begin(
        &self,
        owner: Owner,
        shares: Shares,
        about: About,
        now_s: u64,
    ) -> Work<'_, Result<Box<dyn Upload>, StoreError>> {
        let shared = self.shared.clone();
        work(move || {
            let share = Share::new(shared.usage.clone(), owner, shares);
            let writing = Writing::begin(shared, share, &about, now_s)?;
            let upload: Box<dyn Upload> = Box::new(Incoming {
                writing: Some(writing),
                buffer: BytesMut::new(),
            });
            Ok(upload)
        })
    }

    fn open(&self, app: AppId, id: MediaId, now_s: u64) -> Work<'_, Result<Media, StoreError>> {
        let shared = self.shared.clone();
        work(move || shared.read_head(&app, &id, now_s))
    }

    fn delete(&self, owner: Owner, id: MediaId, now_s: u64) -> Work<'_, Result<(), StoreError>> {
        let shared = self.shared.clone();
        work(move || shared.delete(&owner, &id, now_s))
    }

    fn delete_expired(&self, now_s: u64) -> Work<'_, Result<u64, StoreError>> {
        let shared = self.shared.clone();
        work(move || shared.delete_expired(now_s))
    }

    fn stored(&self) -> Vec<(AppId, u64)> {
        self.shared.usage.stored()
    }
}

/// Runs on a thread that may wait for the disk.
fn work<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Work<'static, Result<T, StoreError>> {
    Box::pin(async {
        match spawn_blocking(run).await {
            Ok(result) => result,
            Err(stopped) => Err(StoreError::Io(io::Error::other(stopped))),
        }
    })
}

impl Shared {
    fn expires_s(&self, id: &MediaId) -> u64 {
        id.created_s().saturating_add(self.bounds.keep_s)
    }

    fn read_head(&self, app: &AppId, id: &MediaId, now_s: u64) -> Result<Media, StoreError> {
        if self.expires_s(id) <= now_s {
            return Err(StoreError::NotFound);
        }
        let path = self.path.join(app.as_str()).join(id.as_str());
        let file = File::open(path).map_err(or_missing)?;
        let Beginning {
            about,
            uploader,
            len,
        } = Beginning::read(&file)?;
        let size = file.metadata()?.len().checked_sub(len);
        Ok(Media {
            about,
            uploader,
            size: size.ok_or_else(damaged)?,
            content: Box::new(Reading {
                file,
                head_len: len,
            }),
        })
    }

    fn delete(&self, owner: &Owner, id: &MediaId, now_s: u64) -> Result<(), StoreError> {
        let media = self.read_head(&owner.app, id, now_s)?;
        if media.uploader.is_none() || media.uploader != owner.user {
            return Err(StoreError::NotOwner);
        }
        let path = self.path.join(owner.app.as_str()).join(id.as_str());
        let _held = self.hold_directories();
        let bytes = fs::metadata(&path).map_err(or_missing)?.len();
        fs::remove_file(&path).map_err(or_missing)?;
        self.usage.gone(owner, bytes);
        Ok(())
    }

    /// Counts everything anew: files may have been deleted on the disk.
    fn recount(&self) -> Result<(), StoreError> {
        let mut left = self.usage.apps();
        for (app, directory) in apps(&self.path)? {
            left.retain(|one| *one != app);
            // Nothing is stored meanwhile that would not be seen.
            let _held = self.hold_directories();
            self.usage.recount(&app, &owned(&app, &directory)?);
        }
        for app in left {
            let _held = self.hold_directories();
            if !self.path.join(app.as_str()).exists() {
                self.usage.recount(&app, &[]);
            }
        }
        Ok(())
    }

    /// Takes space for a file; what seems to be full is counted anew now and then.
    fn grow(&self, share: &mut Share, file_bytes: u64) -> Result<(), StoreError> {
        let refused = match share.grow(file_bytes) {
            Err(refused @ StoreError::Full(_)) => refused,
            other => return other,
        };
        {
            let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            if counted.is_some_and(|counted| counted.elapsed() < RECOUNT) {
                return Err(refused);
            }
            *counted = Some(Instant::now());
        }
        self.recount()?;
        share.grow(file_bytes)
    }

    fn delete_expired(&self, now_s: u64) -> Result<u64, StoreError> {
        let mut count = 0;
        for (_, directory) in apps(&self.path)? {
            let mut is_empty = true;
            for (id, entry) in files(&directory)? {
                if self.expires_s(&id) > now_s {
                    is_empty = false;
                    continue;
                }
                match fs::remove_file(entry.path()) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(error.into());
                    }
                    _ => count += 1,
                }
            }
            if is_empty {
                let _held = self.hold_directories();
                // Something may have come in meanwhile; then it is not empty, and stays.
                let _ = fs::remove_dir(&directory);
            }
        }
        self.recount()?;
        Ok(count)
    }

    fn hold_directories(&self) -> std::sync::MutexGuard<'_, ()> {
        self.directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn check_disk(&self) -> Result<(), StoreError> {
        let space = Space::of(&self.path)?;
        if space.free_bytes < self.bounds.disk_reserve.bytes(space.total_bytes) {
            return Err(StoreError::DiskFull);
        }
        Ok(())
    }
}

/// The directories of apps; other entries are none of ours.
pub(super) fn apps(path: &Path) -> io::Result<Vec<(AppId, PathBuf)>> {
    let mut list = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if let Some(app) = entry.file_name().to_str().map(AppId::parse) {
            list.extend(app.ok().map(|app| (app, entry.path())));
        }
    }
    Ok(list)
}

pub(super) fn files(directory: &Path) -> io::Result<Vec<(MediaId, fs::DirEntry)>> {
    let mut list = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let id = entry.file_name().to_str().and_then(MediaId::parse);
        list.extend(id.map(|id| (id, entry)));
    }
    Ok(list)
}

/// The files of an app, with whose they are and how many bytes they have.
fn owned(app: &AppId, directory: &Path) -> io::Result<Vec<(Owner, u64)>> {
    let mut list = Vec::new();
    for (_, entry) in files(directory)? {
        let file = match File::open(entry.path()) {
            Ok(file) => file,
            // Deleted meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        // A damaged file takes space as any other.
        let beginning = Beginning::read(&file).ok();
        let owner = Owner {
            app: app.clone(),
            user: beginning.and_then(|beginning| beginning.uploader),
        };
        list.push((owner, file.metadata()?.len()));
    }
    Ok(list)
}

fn or_missing(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound => StoreError::NotFound,
        _ => error.into(),
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the file's head is damaged")
}

/// What a file begins with.
pub(super) struct Beginning {
    pub(super) about: About,
    /// `None` in the layout before.
    pub(super) uploader: Option<UserId>,
    /// Bytes, after which its content follows.
    pub(super) len: u64,
}

impl Beginning {
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut head = [0; HEAD_BYTES_MAX];
        let mut filled = 0;
        while filled < head.len() {
            match file.read_at(&mut head[filled..], filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        let mut rest = &head[..filled];
        let mut len = 0;
        let mut line = || {
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let line = std::str::from_utf8(&rest[..end]).ok()?;
            rest = &rest[end + 1..];
            len += end as u64 + 1;
            Some(line)
        };
        let has_uploader = match line() {
            Some(MAGIC) => true,
            Some(MAGIC_1) => false,
            _ => return Err(damaged()),
        };
        let (Some(content_type), Some(file_name)) = (line(), line()) else {
            return Err(damaged());
        };
        let about = About::new(content_type, file_name).map_err(|_| damaged())?;
        let uploader = match has_uploader.then(line).flatten() {
            Some(user) => Some(UserId::parse_by(NameRule::Wide, user).map_err(|_| damaged())?),
            None if has_uploader => return Err(damaged()),
            None => None,
        };
        Ok(Self {
            about,
            uploader,
            len,
        })
    }
}

fn head_of(about: &About, owner: &Owner) -> String {
    // A user id has no line breaks.
    let user = owner.user.as_ref().map_or("", UserId::as_str);
    let (content_type, file_name) = (about.content_type(), about.file_name());
    match user {
        "" => format!("{MAGIC_1}\n{content_type}\n{file_name}\n"),
        user => format!("{MAGIC}\n{content_type}\n{file_name}\n{user}\n"),
    }
}

/// A file under `.partial`; removed when dropped, unless it was finished.
#[derive(Debug)]
struct Writing {
    shared: Arc<Shared>,
    id: MediaId,
    file: File,
    share: Share,
    file_bytes: u64,
}

impl Writing {
    fn begin(
        shared: Arc<Shared>,
        mut share: Share,
        about: &About,
        now_s: u64,
    ) -> Result<Self, StoreError> {
        shared.check_disk()?;
        let id = MediaId::draw(now_s)?;
        let head = head_of(about, share.owner());
        shared.grow(&mut share, head.len() as u64)?;
        let path = shared.path.join(PARTIAL).join(id.as_str());
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let mut writing = Self {
            shared,
            id,
            file,
            share,
            file_bytes: 0,
        };
        writing.append(head.as_bytes())?;
        Ok(writing)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let file_bytes = self.file_bytes + bytes.len() as u64;
        self.shared.grow(&mut self.share, file_bytes)?;
        self.shared.check_disk()?;
        self.file.write_all(bytes)?;
        self.file_bytes = file_bytes;
        Ok(())
    }

    fn finish(mut self) -> Result<Stored, StoreError> {
        self.file.sync_all()?;
        let shared = self.shared.clone();
        let directory = shared.path.join(self.share.owner().app.as_str());
        {
            let _held = shared.hold_directories();
            if !directory.exists() {
                fs::create_dir(&directory)?;
                File::open(&shared.path)?.sync_all()?;
            }
            fs::rename(self.path(), directory.join(self.id.as_str()))?;
            self.share.keep();
        }
        if let Err(error) = File::open(&directory).and_then(|directory| directory.sync_all()) {
            // Nobody is told of it, so it must not stay.
            let _ = fs::remove_file(directory.join(self.id.as_str()));
            shared.usage.gone(self.share.owner(), self.file_bytes);
            return Err(error.into());
        }
        Ok(Stored {
            id: self.id.clone(),
            expires_s: shared.expires_s(&self.id),
        })
    }

    fn path(&self) -> PathBuf {
        self.shared.path.join(PARTIAL).join(self.id.as_str())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        match fs::remove_file(self.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "a half-written file could not be removed; the next start removes it");
            }
            _ => {}
        }
    }
}

/// Gathers what comes in until it is worth a write.
struct Incoming {
    /// `None` after an error.
    writing: Option<Writing>,
    /// Bound: `CHUNK_BYTES` and one piece.
    buffer: BytesMut,
}

impl Incoming {
    /// Writes the buffer out, on another thread.
    fn flush(&mut self) -> Work<'static, Result<Writing, StoreError>> {
        let bytes = self.buffer.split();
        let writing = self.writing.take();
        work(move || {
            let mut writing = writing.ok_or_else(|| io::Error::other("the write before failed"))?;
            writing.append(&bytes)?;
            Ok(writing)
        })
    }
}

impl Upload for Incoming {
    fn write(&mut self, bytes: Bytes) -> Work<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.buffer.extend_from_slice(&bytes);
            if self.buffer.len() >= CHUNK_BYTES {
                self.writing = Some(self.flush().await?);
            }
            Ok(())
        })
    }

    fn finish(mut self: Box<Self>) -> Work<'static, Result<Stored, StoreError>> {
        Box::pin(async move {
            let writing = self.flush().await?;
            work(move || writing.finish()).await
        })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(writing) = self.writing.take() {
            // Removing waits for the disk; without a runtime, at its end, it is done here.
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn_blocking(move || drop(writing))),
                Err(_) => drop(writing),
            }
        }
    }
}

struct Reading {
    file: File,
    head_len: u64,
}

impl Content for Reading {
    fn read(self: Box<Self>, range: Range<u64>) -> Chunks {
        let file = Arc::new(self.file);
        let head_len = self.head_len;
        Box::pin(stream::try_unfold(range, move |left| {
            let file = file.clone();
            async move {
                if left.is_empty() {
                    return Ok(None);
                }
                let bytes = (left.end - left.start).min(CHUNK_BYTES as u64);
                let mut chunk = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
                let at = head_len + left.start;
                let read = spawn_blocking(move || {
                    file.read_exact_at(&mut chunk, at)?;
                    Ok::<_, io::Error>(Bytes::from(chunk))
                });
                let chunk = read.await.map_err(io::Error::other)??;
                Ok(Some((chunk, left.start + bytes..left.end)))
            }
        }))
    }
}
