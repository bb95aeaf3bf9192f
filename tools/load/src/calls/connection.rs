//! A connection of HTTP/1.1 that is kept: whole requests out, whole answers in.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Headers of an answer. More would be a fault.
const HEADERS_MAX: usize = 64;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

pub(super) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer, as far as a caller looks at it.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Its beginning if it was refused, to be shown; else empty.
    pub(super) body: String,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::new(),
        })
    }

    /// Sends a request and reads its answer.
    pub(super) async fn call(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await?;
        self.read.clear();
        loop {
            if let Some((status, head)) = self.head()?
                && let Some(end) = body_end(&self.read, head)?
            {
                if self.read.len() > end {
                    bail!("{} bytes behind the answer", self.read.len() - end);
                }
                let body = match status {
                    200 => String::new(),
                    _ => String::from_utf8_lossy(&self.read[head.head_bytes..end])
                        .chars()
                        .take(300)
                        .collect(),
                };
                return Ok(Answer { status, body });
            }
            if self.read.len() > ANSWER_BYTES_MAX {
                bail!("an answer of more than {ANSWER_BYTES_MAX} bytes");
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                bail!("the server has closed the connection");
            }
        }
    }

    fn head(&self) -> Result<Option<(u16, Head)>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head_bytes) = response.parse(&self.read)? else {
            return Ok(None);
        };
        let mut length = Length::None;
        for header in response.headers.iter() {
            if header.name.eq_ignore_ascii_case("content-length") {
                length = Length::Bytes(std::str::from_utf8(header.value)?.trim().parse()?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                length = Length::Chunked;
            }
        }
        let status = response.code.context("an answer without a status")?;
        Ok(Some((status, Head { head_bytes, length })))
    }
}

#[derive(Debug, Clone, Copy)]
struct Head {
    head_bytes: usize,
    length: Length,
}

#[derive(Debug, Clone, Copy)]
enum Length {
    None,
    Bytes(usize),
    Chunked,
}

/// Where the answer ends, if all of it is there. Chunked answers are short here: the last chunk
/// ends what has been read.
fn body_end(read: &[u8], head: Head) -> Result<Option<usize>> {
    Ok(match head.length {
        Length::None => Some(head.head_bytes),
        Length::Bytes(bytes) => Some(head.head_bytes + bytes).filter(|end| read.len() >= *end),
        Length::Chunked => read.ends_with(b"0\r\n\r\n").then_some(read.len()),
    })
}
