//! Uploads and downloads.
//!
//! Dropping the future of a transfer cancels it: its connection is closed, and the server forgets
//! what has come.

mod error;
mod exchange;
mod meter;

use std::fmt;
use std::future::Future;

use bytes::Bytes;
use tidings_client_core::{ConnectionState, MediaFile};
use tidings_wire::codes::Outcome;
use tidings_wire::limits::{
    MEDIA_BYTES_MAX, MEDIA_FILE_NAME_BYTES_MAX, MEDIA_ID_BYTES_MAX, MEDIA_STALL_MS,
    MEDIA_TRANSFERS_MAX,
};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep_until;

use self::error::Cause;
pub use self::error::{DownloadMediaError, UploadMediaError};
use self::exchange::{Exchange, Outgoing};
use self::meter::Meter;
use crate::access::Access;
use crate::client::Client;
use crate::driver::Command;

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes so far. Of an upload: what the system has taken to be sent.
    pub current: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Told of progress: about once a second, and at the end.
pub(crate) type Listener = Box<dyn FnMut(Progress) + Send>;

/// A file to be uploaded: 1 byte to 32 MB.
#[must_use]
pub struct Upload {
    data: Bytes,
    content_type: String,
    file_name: String,
    listener: Option<Listener>,
}

impl Upload {
    /// A file without a name.
    pub fn new(data: impl Into<Bytes>) -> Self {
        Self {
            data: data.into(),
            content_type: "application/octet-stream".to_owned(),
            file_name: String::new(),
            listener: None,
        }
    }

    /// The file's name, at most 255 bytes without control characters.
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = name.into();
        self
    }

    /// The MIME type, with which the server hands the file out. At most 127 bytes of ASCII.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = content_type.into();
        self
    }

    /// Calls `listener` about once a second, and at the end. It must not block.
    pub fn on_progress(mut self, listener: impl FnMut(Progress) + Send + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("bytes", &self.data.len())
            .field("content_type", &self.content_type)
            .field("file_name", &self.file_name)
            .finish_non_exhaustive()
    }
}

/// A file to be downloaded. A media id alone will do where this is expected.
#[must_use]
pub struct Download {
    media_id: String,
    listener: Option<Listener>,
}

impl Download {
    /// The file of this id.
    pub fn new(media_id: impl Into<String>) -> Self {
        Self {
            media_id: media_id.into(),
            listener: None,
        }
    }

    /// Calls `listener` about once a second, and at the end. It must not block.
    pub fn on_progress(mut self, listener: impl FnMut(Progress) + Send + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("media_id", &self.media_id)
            .finish_non_exhaustive()
    }
}

impl<T: Into<String>> From<T> for Download {
    fn from(media_id: T) -> Self {
        Self::new(media_id)
    }
}

impl Client {
    /// Uploads a file. It is kept for 7 days; what is returned goes into
    /// [`Message::File`](crate::Message::File) or [`Message::Image`](crate::Message::Image), as
    /// often as wanted.
    ///
    /// Dropping the future cancels the upload. At most 9 uploads and downloads go on at once.
    ///
    /// ```no_run
    /// # async fn example(client: tidings_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use tidings_client::{Message, SendOptions, Upload};
    ///
    /// let upload = Upload::new(std::fs::read("plan.pdf")?)
    ///     .file_name("plan.pdf")
    ///     .content_type("application/pdf")
    ///     .on_progress(|progress| println!("{} of {}", progress.current, progress.total));
    /// let file = client.upload_media(upload).await?;
    /// client.send_to_peer("bob", Message::File(file), SendOptions::new().offline()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`UploadMediaError`] with the codes `UPLOAD_MEDIA_ERR_…`: 102 without a login, 2 for a bad
    /// name, 4 for a file that is empty or too large, 5 for a tenth transfer, 3 after 120 s without
    /// progress, 6 when the login ends during it, otherwise 1.
    pub async fn upload_media(&self, upload: Upload) -> Result<MediaFile, UploadMediaError> {
        let access = self.access().await?;
        let Upload {
            data,
            content_type,
            file_name,
            listener,
        } = upload;
        check_upload(data.len(), &file_name)?;
        let size = data.len() as u64;
        let meter = Meter::begin(size, listener);
        let outgoing = Outgoing {
            data,
            content_type,
            file_name: file_name.clone(),
        };
        let exchange = Exchange::new(access, meter.clone());
        let media_id = self.transfer(&meter, exchange.upload(outgoing)).await?;
        Ok(MediaFile {
            media_id,
            size,
            file_name,
            ..MediaFile::default()
        })
    }

    /// Downloads a file that somebody of the same app has uploaded.
    ///
    /// Dropping the future cancels the download. At most 9 uploads and downloads go on at once.
    ///
    /// # Errors
    /// [`DownloadMediaError`] with the codes `DOWNLOAD_MEDIA_ERR_…`: 102 without a login, 2 for an
    /// id that is none, 4 when there is no such file or it has expired, 5 for a tenth transfer, 3
    /// after 120 s without progress, 6 when the login ends during it, otherwise 1.
    pub async fn download_media(
        &self,
        download: impl Into<Download>,
    ) -> Result<Bytes, DownloadMediaError> {
        let access = self.access().await?;
        let Download { media_id, listener } = download.into();
        if !(1..=MEDIA_ID_BYTES_MAX).contains(&media_id.len()) || !media_id.is_ascii() {
            let text =
                format!("media id {media_id:?} is not 1 to {MEDIA_ID_BYTES_MAX} bytes of ASCII");
            return Err(Cause::refused(Outcome::InvalidArgument, text).into());
        }
        let meter = Meter::begin(0, listener);
        let exchange = Exchange::new(access, meter.clone());
        Ok(self.transfer(&meter, exchange.download(&media_id)).await?)
    }

    async fn access(&self) -> Result<Access, Cause> {
        let (reply, answer) = oneshot::channel();
        let asked = self.commands.send(Command::Access { reply }).await;
        asked.map_err(|_| Cause::NotLoggedIn)?;
        answer.await.ok().flatten().ok_or(Cause::NotLoggedIn)
    }

    /// Does the work, unless it stalls or the login ends.
    async fn transfer<T>(
        &self,
        meter: &Meter,
        work: impl Future<Output = Result<T, Cause>>,
    ) -> Result<T, Cause> {
        let Ok(_place) = self.transfers.try_acquire() else {
            let text = format!("{MEDIA_TRANSFERS_MAX} uploads and downloads go on already");
            return Err(Cause::refused(Outcome::TooManyTransfers, text));
        };
        let mut work = std::pin::pin!(work);
        let mut state = self.state.clone();
        loop {
            let deadline = meter.deadline();
            tokio::select! {
                result = &mut work => return result,
                () = login_end(&mut state) => return Err(Cause::Interrupted),
                () = sleep_until(deadline) => {
                    if meter.deadline() <= deadline {
                        let text = format!("no progress for {} s", MEDIA_STALL_MS / 1_000);
                        return Err(Cause::refused(Outcome::TimedOut, text));
                    }
                }
            }
        }
    }
}

async fn login_end(state: &mut watch::Receiver<ConnectionState>) {
    // A driver that has ended has ended the login too.
    let _ = state
        .wait_for(|state| {
            matches!(
                state,
                ConnectionState::Disconnected | ConnectionState::Aborted
            )
        })
        .await;
}

fn check_upload(bytes: usize, file_name: &str) -> Result<(), Cause> {
    if file_name.len() > MEDIA_FILE_NAME_BYTES_MAX || file_name.contains(char::is_control) {
        let text = format!(
            "file name {file_name:?} is longer than {MEDIA_FILE_NAME_BYTES_MAX} bytes or has control \
             characters"
        );
        return Err(Cause::refused(Outcome::InvalidArgument, text));
    }
    match bytes {
        0 => {
            let text = "the file has no bytes".to_owned();
            Err(Cause::refused(Outcome::MediaEmpty, text))
        }
        1..=MEDIA_BYTES_MAX => Ok(()),
        _ => {
            let text =
                format!("the file has {bytes} bytes; at most {MEDIA_BYTES_MAX} are possible");
            Err(Cause::refused(Outcome::MediaTooLarge, text))
        }
    }
}
