//! A server that sends every message back, made of the codec that the real one uses, with its
//! limits.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tidings_wire::limits::{FRAME_BYTES_MAX, FRAME_FRAGMENTS_MAX, REQUEST_HEAD_BYTES_MAX};
use tidings_wire::ws::{
    Decoder, Event, Kind, Limits, Opcode, Role, check_request, encode_close, encode_frame,
    encode_pong, is_close_code, response_bytes,
};

/// As the real server's shared buffer.
const READ_BYTES: usize = 64 * 1024;
/// Headers of a request; the suite sends few.
const HEADERS_MAX: usize = 64;
/// A peer that is silent for longer is given up, so that no thread stays.
const SILENCE: Duration = Duration::from_secs(10);

/// Serves on a free port for as long as the process lives.
pub(super) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // How a case ends is the suite's business.
            std::thread::spawn(move || serve(stream));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mut buffer = vec![0; READ_BYTES];
    let rest = shake_hands(&mut stream, &mut buffer)?;
    let limits = Limits {
        message_bytes_max: u32::try_from(FRAME_BYTES_MAX).expect("limits.toml keeps it small"),
        fragments_max: u16::try_from(FRAME_FRAGMENTS_MAX).expect("limits.toml keeps it small"),
    };
    let mut decoder = Decoder::new(Role::Server, limits);
    let mut count = rest;
    loop {
        let mut answers = vec![];
        let goes_on = echo(&mut decoder, &mut buffer[..count], &mut answers);
        stream.write_all(&answers)?;
        if !goes_on {
            stream.shutdown(std::net::Shutdown::Write)?;
            // What the peer still sends is read, so that the end is no reset.
            while stream.read(&mut buffer)? > 0 {}
            return Ok(());
        }
        count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
    }
}

/// Answers everything in `input`; false when the connection ends.
fn echo(decoder: &mut Decoder, input: &mut [u8], answers: &mut Vec<u8>) -> bool {
    let mut events = decoder.decode(input);
    loop {
        match events.next_event() {
            Ok(None) => return true,
            Ok(Some(Event::Message { kind, payload })) => {
                let opcode = match kind {
                    Kind::Text => Opcode::Text,
                    Kind::Binary => Opcode::Binary,
                };
                encode_frame(answers, opcode, payload, None);
            }
            Ok(Some(Event::Ping(payload))) => answers.extend(&*encode_pong(payload, None)),
            Ok(Some(Event::Pong(_))) => {}
            // As `tidings-server/src/writing.rs` answers it.
            Ok(Some(Event::Close { code, .. })) => {
                let code = code.filter(|code| is_close_code(*code)).unwrap_or(1000);
                answers.extend(&*encode_close(code, "", None));
                return false;
            }
            Err(error) => {
                answers.extend(&*encode_close(error.close_code(), "", None));
                return false;
            }
        }
    }
}

/// Answers the request. Returns how many bytes after it stand at the beginning of the buffer.
fn shake_hands(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    loop {
        let read = stream.read(&mut buffer[count..REQUEST_HEAD_BYTES_MAX])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        count += read;
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let head = request.parse(&buffer[..count]).map_err(io::Error::other)?;
        let httparse::Status::Complete(len) = head else {
            continue;
        };
        let headers = request
            .headers
            .iter()
            .map(|header| (header.name, header.value));
        let minor = request.version.unwrap_or(0);
        let upgrade = check_request(request.method.unwrap_or(""), minor, headers);
        let upgrade = upgrade.map_err(io::Error::other)?;
        stream.write_all(&response_bytes(upgrade.key, None))?;
        buffer.copy_within(len..count, 0);
        return Ok(count - len);
    }
}
