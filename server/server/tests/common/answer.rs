//! One answer of HTTP/1, read to its end and no further.

use std::io::Read;

use serde_json::Value;

use super::read_head;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads an answer to a `GET`, or to what is answered like it.
    pub(crate) fn read(stream: &mut impl Read) -> Self {
        let mut answer = Self::read_to_head(stream);
        if let Some(length) = answer.header("content-length") {
            let length = length.parse().expect("a length");
            answer.body = vec![0; length];
            stream.read_exact(&mut answer.body).expect("the body");
        } else if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = read_chunks(stream);
        }
        answer
    }

    /// Reads an answer to `HEAD`, or another that has no body.
    pub(crate) fn read_to_head(stream: &mut impl Read) -> Self {
        let head = read_head(stream);
        let status = head[9..12].parse().expect("a status");
        let body = Vec::new();
        Self { status, head, body }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

fn read_chunks(stream: &mut impl Read) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a chunk's length");
            line.push(byte[0]);
        }
        let digits = std::str::from_utf8(&line[..line.len() - 2]).expect("text");
        let length = usize::from_str_radix(digits, 16).expect("a chunk's length");
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk).expect("a chunk");
        body.extend_from_slice(&chunk[..length]);
        if length == 0 {
            return body;
        }
    }
}
