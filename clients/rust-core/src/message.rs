//! The messages that applications send.

use bytes::Bytes;
use tidings_wire::proto::{self, message::Body};

/// An application message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// UTF-8 text, at most 32 KB.
    Text(String),
    /// Bytes with a description, together at most 32 KB.
    Raw {
        /// The bytes themselves.
        data: Bytes,
        /// What the payload is, for the receiver. May be empty.
        description: String,
    },
    /// Names a file that was uploaded.
    File(MediaFile),
    /// Names a picture that was uploaded.
    Image {
        /// The picture's file.
        file: MediaFile,
        /// Size of the picture; zeros = not known.
        size: PixelSize,
        /// Size of the thumbnail; zeros = not known, or there is no thumbnail.
        thumbnail_size: PixelSize,
    },
}

/// What a message says about an uploaded file. Name, description and thumbnail may have 32 KB
/// together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MediaFile {
    /// As returned by the upload: 1 to 64 bytes of ASCII.
    pub media_id: String,
    /// The file's size in bytes, as the sender states it.
    pub size: u64,
    /// The file's name, as the sender states it: check it before using it as a path.
    pub file_name: String,
    /// A text for the receiver. May be empty.
    pub description: String,
    /// A small picture. May be empty.
    pub thumbnail: Bytes,
}

/// Width and height of a picture, in pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PixelSize {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Message {
    /// Bytes that count against the limit of 32 KB.
    pub fn payload_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Raw { data, description } => data.len() + description.len(),
            Self::File(file) | Self::Image { file, .. } => file.payload_bytes(),
        }
    }

    /// The file that the message names, if it is a file or an image.
    pub fn file(&self) -> Option<&MediaFile> {
        match self {
            Self::Text(_) | Self::Raw { .. } => None,
            Self::File(file) | Self::Image { file, .. } => Some(file),
        }
    }

    pub(crate) fn to_proto(&self) -> proto::Message {
        let body = match self {
            Self::Text(text) => Body::Text(Bytes::copy_from_slice(text.as_bytes())),
            Self::Raw { data, description } => Body::Raw(proto::Raw {
                data: data.clone(),
                description: Bytes::copy_from_slice(description.as_bytes()),
            }),
            Self::File(file) => Body::File(file.to_proto()),
            Self::Image {
                file,
                size,
                thumbnail_size,
            } => Body::Image(proto::Image {
                file: Some(file.to_proto()),
                width: size.width,
                height: size.height,
                thumbnail_width: thumbnail_size.width,
                thumbnail_height: thumbnail_size.height,
            }),
        };
        proto::Message {
            body: Some(body),
            ..proto::Message::default()
        }
    }

    /// Reads a message. One without a body, which the server lets nobody send, becomes an empty
    /// text.
    pub(crate) fn from_proto(message: Option<proto::Message>) -> Self {
        match message.and_then(|message| message.body) {
            Some(Body::Raw(raw)) => Self::Raw {
                data: raw.data,
                description: text(&raw.description),
            },
            Some(Body::Text(bytes)) => Self::Text(text(&bytes)),
            Some(Body::File(file)) => Self::File(MediaFile::from_proto(file)),
            Some(Body::Image(image)) => Self::Image {
                size: PixelSize {
                    width: image.width,
                    height: image.height,
                },
                thumbnail_size: PixelSize {
                    width: image.thumbnail_width,
                    height: image.thumbnail_height,
                },
                file: MediaFile::from_proto(image.file.unwrap_or_default()),
            },
            None => Self::Text(String::new()),
        }
    }
}

impl MediaFile {
    fn payload_bytes(&self) -> usize {
        self.thumbnail.len() + self.file_name.len() + self.description.len()
    }

    fn to_proto(&self) -> proto::File {
        proto::File {
            media_id: self.media_id.clone(),
            size: self.size,
            file_name: Bytes::copy_from_slice(self.file_name.as_bytes()),
            description: Bytes::copy_from_slice(self.description.as_bytes()),
            thumbnail: self.thumbnail.clone(),
        }
    }

    fn from_proto(file: proto::File) -> Self {
        Self {
            media_id: file.media_id,
            size: file.size,
            file_name: text(&file.file_name),
            description: text(&file.description),
            thumbnail: file.thumbnail,
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_from_the_wire_as_it_was() {
        let file = MediaFile {
            media_id: "m1".to_owned(),
            size: 9,
            file_name: "ä.png".to_owned(),
            description: "d".to_owned(),
            thumbnail: Bytes::from_static(&[1, 2]),
        };
        let size = |width, height| PixelSize { width, height };
        let raw = Message::Raw {
            data: Bytes::from_static(&[0]),
            description: "r".to_owned(),
        };
        let image = Message::Image {
            file: file.clone(),
            size: size(640, 480),
            thumbnail_size: size(32, 24),
        };
        assert_eq!(image.payload_bytes(), "ä.png".len() + 1 + 2);
        for message in ["text".into(), raw, Message::File(file), image] {
            assert_eq!(Message::from_proto(Some(message.to_proto())), message);
        }
    }
}
