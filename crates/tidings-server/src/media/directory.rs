//! Files in a directory: `<app id>/<media id>`, and `.partial/<media id>` while they come in.
//!
//! A file begins with three lines of text (this layout's name, content type, file name); its content follows. A
//! file appears under its app only whole and on disk: it is synced, then renamed, then its directory is synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tidings_store::embedded::{DiskReserve, Space};
use tidings_wire::names::AppId;
use tokio::task::spawn_blocking;

use super::usage::{Share, Usage};
use super::{About, Chunks, Content, Media, MediaId, MediaStore, StoreError, Stored, Upload, Work};

/// First line of a file.
const MAGIC: &str = "tidings-media 1";
/// Longest beginning of a file: the three lines, each at its longest.
const HEAD_BYTES_MAX: usize = 512;
const PARTIAL: &str = ".partial";
/// Bytes that are read or written in one go. More would let one transfer hold a thread for longer, less costs more
/// changes of thread per file.
const CHUNK_BYTES: usize = 128 * 1024;

/// How much a directory may hold, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Seconds.
    pub(crate) keep_s: u64,
    /// All files together.
    pub(crate) bytes_max: u64,
    /// The files of one app.
    pub(crate) app_bytes_max: u64,
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
    /// Held while an app's directory is made and filled, or removed.
    directories: Mutex<()>,
}

impl Directory {
    /// Makes the directory if it is not there, removes what was left half-written, and counts the rest.
    pub(crate) fn open(path: &Path, bounds: Bounds) -> io::Result<Self> {
        let partial = path.join(PARTIAL);
        match fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&partial)?,
        }
        if let Some(parent) = path.parent().filter(|parent| parent.is_dir()) {
            File::open(parent)?.sync_all()?;
        }
        let usage = Usage::new(bounds.bytes_max, bounds.app_bytes_max);
        for (app, directory) in apps(path)? {
            for (_, entry) in files(&directory)? {
                usage.found(&app, entry.metadata()?.len());
            }
        }
        let shared = Shared {
            path: path.to_owned(),
            bounds,
            usage,
            directories: Mutex::new(()),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

impl MediaStore for Directory {
    fn begin(
        &self,
        app: AppId,
        about: About,
        now_s: u64,
    ) -> Work<'_, Result<Box<dyn Upload>, StoreError>> {
        let shared = self.shared.clone();
        work(move || {
            let writing = Writing::begin(shared, app, &about, now_s)?;
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

    fn delete_expired(&self, now_s: u64) -> Work<'_, Result<u64, StoreError>> {
        let shared = self.shared.clone();
        work(move || shared.delete_expired(now_s))
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
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::NotFound,
            _ => error.into(),
        })?;
        let mut head = [0; HEAD_BYTES_MAX];
        let mut filled = 0;
        while filled < head.len() {
            match file.read_at(&mut head[filled..], filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file's head is damaged");
        let mut lines = head[..filled].splitn(4, |byte| *byte == b'\n');
        let mut line = || std::str::from_utf8(lines.next()?).ok();
        let (Some(MAGIC), Some(content_type), Some(file_name)) = (line(), line(), line()) else {
            return Err(StoreError::Io(damaged()));
        };
        let about = About::new(content_type, file_name).map_err(|_| StoreError::Io(damaged()))?;
        let head_len = head_of(&about).len() as u64;
        let size = file.metadata()?.len().checked_sub(head_len);
        Ok(Media {
            about,
            size: size.ok_or_else(|| StoreError::Io(damaged()))?,
            content: Box::new(Reading { file, head_len }),
        })
    }

    fn delete_expired(&self, now_s: u64) -> Result<u64, StoreError> {
        let mut count = 0;
        for (app, directory) in apps(&self.path)? {
            let mut is_empty = true;
            for (id, entry) in files(&directory)? {
                if self.expires_s(&id) > now_s {
                    is_empty = false;
                    continue;
                }
                let bytes = entry.metadata()?.len();
                fs::remove_file(entry.path())?;
                self.usage.gone(&app, bytes);
                count += 1;
            }
            if is_empty {
                let _held = self.hold_directories();
                // Something may have come in meanwhile; then it is not empty, and stays.
                let _ = fs::remove_dir(&directory);
            }
        }
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
fn apps(path: &Path) -> io::Result<Vec<(AppId, PathBuf)>> {
    let mut list = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if let Some(app) = entry.file_name().to_str().map(AppId::parse) {
            list.extend(app.ok().map(|app| (app, entry.path())));
        }
    }
    Ok(list)
}

fn files(directory: &Path) -> io::Result<Vec<(MediaId, fs::DirEntry)>> {
    let mut list = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let id = entry.file_name().to_str().and_then(MediaId::parse);
        list.extend(id.map(|id| (id, entry)));
    }
    Ok(list)
}

fn head_of(about: &About) -> String {
    format!("{MAGIC}\n{}\n{}\n", about.content_type(), about.file_name())
}

/// A file under `.partial`; removed when dropped, unless it was finished.
#[derive(Debug)]
struct Writing {
    shared: Arc<Shared>,
    app: AppId,
    id: MediaId,
    file: File,
    share: Share,
    file_bytes: u64,
}

impl Writing {
    fn begin(
        shared: Arc<Shared>,
        app: AppId,
        about: &About,
        now_s: u64,
    ) -> Result<Self, StoreError> {
        shared.check_disk()?;
        let id = MediaId::draw(now_s)?;
        let mut share = Share::new(shared.usage.clone(), app.clone());
        let head = head_of(about);
        share.grow(head.len() as u64)?;
        let path = shared.path.join(PARTIAL).join(id.as_str());
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let mut writing = Self {
            shared,
            app,
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
        self.share.grow(file_bytes)?;
        self.shared.check_disk()?;
        self.file.write_all(bytes)?;
        self.file_bytes = file_bytes;
        Ok(())
    }

    fn finish(self) -> Result<Stored, StoreError> {
        self.file.sync_all()?;
        let shared = self.shared.clone();
        let directory = shared.path.join(self.app.as_str());
        {
            let _held = shared.hold_directories();
            if !directory.exists() {
                fs::create_dir(&directory)?;
                File::open(&shared.path)?.sync_all()?;
            }
            fs::rename(self.path(), directory.join(self.id.as_str()))?;
        }
        if let Err(error) = File::open(&directory).and_then(|directory| directory.sync_all()) {
            // Nobody is told of it, so it must not stay.
            let _ = fs::remove_file(directory.join(self.id.as_str()));
            return Err(error.into());
        }
        let stored = Stored {
            id: self.id.clone(),
            expires_s: shared.expires_s(&self.id),
        };
        self.keep();
        Ok(stored)
    }

    fn path(&self) -> PathBuf {
        self.shared.path.join(PARTIAL).join(self.id.as_str())
    }

    fn keep(mut self) {
        let empty = Share::new(self.shared.usage.clone(), self.app.clone());
        std::mem::replace(&mut self.share, empty).keep();
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
