//! The commands' side of the control socket.

use std::io::{self, BufRead, BufReader, ErrorKind, Read as _, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Answer, Change, Envelope, LINE_BYTES_MAX, Request, VERSION, WAIT, connect};
use crate::failure::Failure;

/// Longest wait for a check of all records.
const VERIFY_WAIT: Duration = Duration::from_secs(3_600);

/// Longest line of a backup: a record and its key in base64, with room.
const RECORD_LINE_BYTES_MAX: u64 = 64 << 20;

/// Whether a server is running on a data directory.
pub(crate) enum Reached {
    /// The control socket of the server that is running on it.
    Server(Line),
    /// No server with a control socket is running.
    Nobody,
}

/// A connection to a server.
pub(crate) struct Line(BufReader<UnixStream>);

/// Connects to the server that is running on a data directory.
pub(crate) fn reach(data_dir: &Path) -> Result<Reached, Failure> {
    match connect(data_dir) {
        Ok(stream) => Ok(Reached::Server(Line(BufReader::new(stream)))),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory
            ) =>
        {
            Ok(Reached::Nobody)
        }
        Err(error) => Err(Failure::new(
            format!(
                "the server on {} could not be reached: {error}",
                data_dir.display()
            ),
            "run the command as the user of the service, or as root",
        )),
    }
}

impl Line {
    fn send(&mut self, request: Request) -> io::Result<Answer> {
        let wait = match &request {
            Request::Verify => VERIFY_WAIT,
            _ => WAIT,
        };
        let stream = self.0.get_mut();
        stream.set_read_timeout(Some(wait))?;
        stream.set_write_timeout(Some(WAIT))?;
        let envelope = Envelope {
            version: VERSION,
            request,
        };
        writeln!(stream, "{}", serde_json::to_string(&envelope)?)?;
        let mut line = String::new();
        (&mut self.0).take(LINE_BYTES_MAX).read_line(&mut line)?;
        if line.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_str(&line).map_err(io::Error::from)
    }

    /// Sends a request and decodes the answer.
    fn ask(&mut self, request: Request) -> Result<Answer, Failure> {
        let answer = self.send(request).map_err(|error| {
            Failure::new(
                format!("the server did not answer as it should: {error}"),
                "check its log; use the program of the same version as the server's",
            )
        })?;
        match answer.error {
            None => Ok(answer),
            Some(error) => Err(Failure::new(
                format!("the server says: {error}"),
                answer.hint.unwrap_or_else(|| "check its log".into()),
            )),
        }
    }
}

/// Sends a request to the server of a data directory; `None` = no server is running there.
pub(crate) fn ask(data_dir: &Path, request: Request) -> Result<Option<Answer>, Failure> {
    match reach(data_dir)? {
        Reached::Server(mut line) => line.ask(request).map(Some),
        Reached::Nobody => Ok(None),
    }
}

/// Has the server of a data directory write its store. Returns the number of records; `None` = no
/// server is running there.
pub(crate) fn backup(data_dir: &Path, to: &mut dyn Write) -> Result<Option<u64>, Failure> {
    let Reached::Server(mut line) = reach(data_dir)? else {
        return Ok(None);
    };
    line.ask(Request::Backup)?;
    let copied = copy_records(&mut line.0, to);
    copied.map(Some).map_err(|error| {
        Failure::new(
            format!("the backup broke off: {error}"),
            "remove what was written, check the server's log and both disks, and try again",
        )
    })
}

/// Copies line by line up to the end, which is a line without a record.
fn copy_records(from: &mut impl BufRead, to: &mut dyn Write) -> io::Result<u64> {
    let mut line = Vec::new();
    let mut lines = 0;
    loop {
        line.clear();
        let mut limited = (&mut *from).take(RECORD_LINE_BYTES_MAX);
        limited.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Err(io::Error::other("the server's log says why"));
        }
        to.write_all(&line)?;
        lines += 1;
        if line.starts_with(b"{\"records\":") {
            // The head and the end are not records.
            return Ok(lines - 2);
        }
    }
}

impl Change {
    /// The change, shortened to what a line can hold.
    pub(crate) fn new(command: &str, app: &str, detail: &str) -> Self {
        const DETAIL_CHARS_MAX: usize = 256;
        Self {
            command: command.into(),
            app: app.into(),
            detail: detail.chars().take(DETAIL_CHARS_MAX).collect(),
        }
    }
}
