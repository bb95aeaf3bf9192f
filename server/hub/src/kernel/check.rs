//! Checks of messages, before anything else is done with them.

use tidings_wire::codes::Outcome;
use tidings_wire::limits::{MEDIA_ID_BYTES_MAX, MESSAGE_PAYLOAD_BYTES_MAX};
use tidings_wire::proto::{Error, File, Message, message};

use crate::kernel::reply::error;

/// A type that begins so is meant for client libraries.
pub(crate) const LIBRARY_TYPE: &str = "lib.";

/// Longest type of a text.
pub(crate) const TYPE_BYTES_MAX: usize = 64;

pub(crate) fn check_type(what: &str) -> Result<(), Error> {
    if what.len() <= TYPE_BYTES_MAX && what.is_ascii() {
        return Ok(());
    }
    let text = format!(
        "the type has {} bytes; it is at most {TYPE_BYTES_MAX} bytes of ASCII",
        what.len()
    );
    Err(error(Outcome::InvalidArgument, text))
}

/// Checks an application message: a body, UTF-8 where it is text, its size, and the id of a file.
pub(crate) fn check_message(message: Option<Message>) -> Result<Message, Error> {
    let message = message.unwrap_or_default();
    check_type(&message.r#type)?;
    let Some(body) = &message.body else {
        let text = "the message has neither text, raw data, a file nor an image";
        return Err(error(Outcome::InvalidMessage, text));
    };
    let (bytes, texts): (usize, [&[u8]; 2]) = match body {
        message::Body::Text(text) => (text.len(), [text, &[]]),
        message::Body::Raw(raw) => (
            raw.data.len() + raw.description.len(),
            [&raw.description, &[]],
        ),
        message::Body::File(file) => check_file(Some(file))?,
        message::Body::Image(image) => check_file(image.file.as_ref())?,
    };
    if bytes > MESSAGE_PAYLOAD_BYTES_MAX {
        let text = format!(
            "the message has {bytes} bytes; at most {MESSAGE_PAYLOAD_BYTES_MAX} are allowed"
        );
        return Err(error(Outcome::MessageTooLarge, text));
    }
    if let Some(bad) = texts
        .iter()
        .find_map(|text| std::str::from_utf8(text).err())
    {
        let text = format!(
            "the message's text is not UTF-8 from byte {} on",
            bad.valid_up_to()
        );
        return Err(error(Outcome::InvalidMessage, text));
    }
    Ok(message)
}

/// Bytes of a message, about.
pub(crate) fn message_bytes(message: &Message) -> usize {
    match &message.body {
        None => 0,
        Some(message::Body::Text(text)) => text.len(),
        Some(message::Body::Raw(raw)) => raw.data.len() + raw.description.len(),
        Some(message::Body::File(file)) => file.thumbnail.len() + file.description.len(),
        Some(message::Body::Image(image)) => image
            .file
            .as_ref()
            .map_or(0, |file| file.thumbnail.len() + file.description.len()),
    }
}

/// The bytes that count against the limit, and the texts. Whether the file is there is the
/// receiver's business.
pub(crate) fn check_file(file: Option<&File>) -> Result<(usize, [&[u8]; 2]), Error> {
    let id = file.map_or("", |file| file.media_id.as_str());
    match file {
        Some(file) if (1..=MEDIA_ID_BYTES_MAX).contains(&id.len()) && id.is_ascii() => Ok((
            file.thumbnail.len() + file.file_name.len() + file.description.len(),
            [&file.file_name, &file.description],
        )),
        _ => {
            let text = format!(
                "the media id has {} bytes; it is 1 to {MEDIA_ID_BYTES_MAX} bytes of ASCII",
                id.len()
            );
            Err(error(Outcome::InvalidMessage, text))
        }
    }
}
