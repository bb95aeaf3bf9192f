//! A connection of HTTP/1.1 that is kept: whole requests out, whole answers in. A server that
//! closes after an answer gets a new connection with the next call, as it would from any client.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Headers of an answer. More would be a fault.
const HEADERS_MAX: usize = 64;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

pub(crate) struct Connection {
    address: SocketAddr,
    /// `None` = the server has said that it closes.
    stream: Option<TcpStream>,
    read: Vec<u8>,
}

/// An answer, as far as a caller looks at it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Its beginning if it was refused, to be shown; else empty.
    pub(crate) body: String,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self {
            address,
            stream: Some(connect(address).await?),
            read: Vec::new(),
        })
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.address).await?,
        };
        stream.write_all(request).await?;
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
                if head.is_kept {
                    self.stream = Some(stream);
                }
                return Ok(Answer { status, body });
            }
            if self.read.len() > ANSWER_BYTES_MAX {
                bail!("an answer of more than {ANSWER_BYTES_MAX} bytes");
            }
            if stream.read_buf(&mut self.read).await? == 0 {
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
        let mut is_kept = true;
        for header in response.headers.iter() {
            if header.name.eq_ignore_ascii_case("content-length") {
                length = Length::Bytes(std::str::from_utf8(header.value)?.trim().parse()?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                length = Length::Chunked;
            } else if header.name.eq_ignore_ascii_case("connection") {
                is_kept = !header.value.eq_ignore_ascii_case(b"close");
            }
        }
        let status = response.code.context("an answer without a status")?;
        let head = Head {
            head_bytes,
            length,
            is_kept,
        };
        Ok(Some((status, head)))
    }
}

#[derive(Debug, Clone, Copy)]
struct Head {
    head_bytes: usize,
    length: Length,
    is_kept: bool,
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.context("connecting")?;
    stream.set_nodelay(true)?;
    // Ports that linger for a minute after their end would run out.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
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
