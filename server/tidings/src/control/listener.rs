//! The server's side of the control socket.

use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use tidings_store::embedded::Snapshots;

use super::{
    Answer, CONNECTIONS_MAX, Change, Envelope, FILE, Health, KeyAnswer, KeyRequest, LINE_BYTES_MAX,
    Request, Status, VERSION, WAIT, bind, report_json,
};
use crate::failure::Failure;
use crate::local_key::LocalDoor;

/// Longest wait for the request of a connection beyond the limit: the others wait meanwhile.
const TURN_AWAY_WAIT: Duration = Duration::from_millis(200);

/// What the server does on request.
pub(crate) trait Office: Send + Sync + 'static {
    /// The server's state.
    fn status(&self) -> Status;

    /// How the server is.
    fn health(&self) -> Health;

    /// Reloads everything that can change. Returns the number of apps.
    fn reload(&self) -> Result<usize, Failure>;

    /// Does what is asked of the keys of the API.
    fn keys(&self, request: &KeyRequest) -> Result<KeyAnswer, Failure>;

    /// Where the API is, and a key to it.
    fn door(&self) -> LocalDoor;

    /// Snapshots of the server's store, if it has one on disk.
    fn snapshots(&self) -> Option<Snapshots>;
}

/// The open control socket, which is removed when this is dropped.
pub(crate) struct Control {
    path: PathBuf,
    is_over: Arc<AtomicBool>,
}

impl Control {
    /// Opens the socket in the data directory, which this process has locked.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn open(data_dir: &Path, office: impl Office) -> io::Result<Self> {
        let listener = bind(data_dir)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let theirs = is_over.clone();
        let desk = Arc::new(Desk {
            office,
            owner: std::fs::metadata(data_dir)?.uid(),
            open: AtomicUsize::new(0),
        });
        std::thread::Builder::new()
            .name("control".into())
            .spawn(move || {
                for stream in listener.incoming() {
                    if theirs.load(Ordering::Acquire) {
                        break;
                    }
                    match stream {
                        Ok(stream) => Desk::attend(&desk, stream),
                        Err(error) => {
                            // Without a free descriptor, accepting would fail again at once.
                            tracing::warn!(%error, "a connection to the control socket failed");
                            std::thread::sleep(Duration::from_millis(100));
                        }
                    }
                }
            })?;
        Ok(Self {
            path: data_dir.join(FILE),
            is_over,
        })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread, which then sees that it must end.
        if let Some(folder) = self.path.parent() {
            let _ = super::connect(folder);
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

struct Desk<O> {
    office: O,
    /// Who may connect, besides root and the server's own user.
    owner: u32,
    open: AtomicUsize,
}

/// A slot for one connection.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<O: Office> Desk<O> {
    fn attend(desk: &Arc<Self>, mut stream: UnixStream) {
        if desk.open.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS_MAX {
            desk.open.fetch_sub(1, Ordering::AcqRel);
            let _ = turn_away(&mut stream);
            return;
        }
        let theirs = desk.clone();
        let started = std::thread::Builder::new()
            .name("command".into())
            .spawn(move || {
                let _place = Place(&theirs.open);
                if let Err(error) = theirs.serve(&stream) {
                    tracing::debug!(%error, "a connection to the control socket broke off");
                }
            });
        if started.is_err() {
            desk.open.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn serve(&self, stream: &UnixStream) -> io::Result<()> {
        let peer = socket_peercred(stream)?;
        let uid = peer.uid.as_raw();
        let own = rustix::process::geteuid().as_raw();
        let mut out = stream;
        if uid != 0 && uid != own && uid != self.owner {
            return answer(
                &mut out,
                &refusal(
                    "this user may not command the server",
                    "run the command as the user of the service",
                ),
            );
        }
        stream.set_read_timeout(Some(WAIT))?;
        stream.set_write_timeout(Some(WAIT))?;
        let mut line = String::new();
        BufReader::new(stream)
            .take(LINE_BYTES_MAX)
            .read_line(&mut line)?;
        match parse(&line) {
            Err(refused) => answer(&mut out, &refused),
            Ok(Request::Backup) => self.backup(stream),
            Ok(request) => answer(&mut out, &self.carry_out(request, uid)),
        }
    }

    fn carry_out(&self, request: Request, uid: u32) -> Answer {
        match request {
            Request::Status => Answer {
                status: Some(self.office.status()),
                ..good()
            },
            Request::Health => Answer {
                health: Some(self.office.health()),
                ..good()
            },
            Request::Reload { because } => {
                note(&because.unwrap_or_default(), uid);
                match self.office.reload() {
                    Ok(apps) => Answer {
                        apps: Some(apps),
                        ..good()
                    },
                    Err(failure) => refusal(failure.what(), failure.hint()),
                }
            }
            Request::Verify => self.verify(),
            Request::Key { key } => {
                note(&Change::new("key", "", key.name()), uid);
                match self.office.keys(&key) {
                    Ok(keys) => Answer {
                        keys: Some(keys),
                        ..good()
                    },
                    Err(failure) => refusal(failure.what(), failure.hint()),
                }
            }
            Request::Door => {
                note(&Change::new("api", "", ""), uid);
                Answer {
                    door: Some(self.office.door()),
                    ..good()
                }
            }
            Request::Backup => unreachable!("it is answered elsewhere"),
        }
    }

    fn verify(&self) -> Answer {
        let Some(snapshots) = self.office.snapshots() else {
            return refusal("it has no store", "check its log");
        };
        match snapshots.take().and_then(|snapshot| snapshot.verify()) {
            Ok(report) => Answer {
                verified: Some(report_json(&report)),
                ..good()
            },
            Err(error) => refusal(
                &format!("the store cannot be read: {error}"),
                "check the disk",
            ),
        }
    }

    fn backup(&self, mut stream: &UnixStream) -> io::Result<()> {
        let snapshot = self.office.snapshots().map(|snapshots| snapshots.take());
        let snapshot = match snapshot {
            Some(Ok(snapshot)) => snapshot,
            Some(Err(error)) => {
                return answer(
                    &mut stream,
                    &refusal(&error.to_string(), "try again in a minute"),
                );
            }
            None => {
                return answer(&mut stream, &refusal("it has no store", "check its log"));
            }
        };
        answer(&mut stream, &good())?;
        let mut out = BufWriter::with_capacity(256 << 10, stream);
        let written = snapshot.backup(&mut out).and_then(|records| {
            out.flush()?;
            Ok(records)
        });
        match written {
            Ok(records) => tracing::info!(records, "a backup was taken"),
            Err(error) => tracing::warn!(%error, "a backup broke off"),
        }
        Ok(())
    }
}

/// Records in the security log who has changed what.
fn note(change: &Change, uid: u32) {
    let Change {
        command,
        app,
        detail,
    } = change;
    let command = match command.as_str() {
        "" => "reload",
        command => command,
    };
    tracing::info!(
        target: "tidings::security",
        event = "operator",
        command,
        app,
        detail,
        uid,
        "an operator's command"
    );
}

/// Refuses a connection beyond the limit. Its request is read first, because otherwise the system
/// would discard the answer with it.
fn turn_away(stream: &mut UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(TURN_AWAY_WAIT))?;
    stream.set_write_timeout(Some(TURN_AWAY_WAIT))?;
    answer(stream, &refusal("too many commands at once", "try again"))?;
    let mut line = String::new();
    BufReader::new(&*stream)
        .take(LINE_BYTES_MAX)
        .read_line(&mut line)?;
    Ok(())
}

/// A refusal on its way to the client.
fn boxed(error: &str, hint: &str) -> Box<Answer> {
    Box::new(refusal(error, hint))
}

fn parse(line: &str) -> Result<Request, Box<Answer>> {
    let version = serde_json::from_str::<serde_json::Value>(line)
        .ok()
        .and_then(|value| value.get("version")?.as_u64());
    match version {
        None => Err(boxed(
            "this is not a request",
            "use the program of the server's version",
        )),
        Some(version) if version != u64::from(VERSION) => Err(boxed(
            &format!(
                "version {version} of the protocol is not known; this server speaks {VERSION}"
            ),
            "use the program of the server's version",
        )),
        Some(_) => serde_json::from_str::<Envelope>(line)
            .map(|envelope| envelope.request)
            .map_err(|error| {
                boxed(
                    &format!("the request is not known: {error}"),
                    "use the program of the server's version",
                )
            }),
    }
}

fn good() -> Answer {
    Answer {
        version: VERSION,
        ..Answer::default()
    }
}

fn refusal(error: &str, hint: &str) -> Answer {
    Answer {
        error: Some(error.into()),
        hint: Some(hint.into()),
        ..good()
    }
}

fn answer(to: &mut impl io::Write, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_string(answer)?;
    line.push('\n');
    to.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::{Reached, ask, connect, reach};
    use super::*;

    struct Still;

    impl Office for Still {
        fn health(&self) -> Health {
            Health::default()
        }

        fn status(&self) -> Status {
            Status {
                program: "tidings test".into(),
                ..Status::default()
            }
        }

        fn reload(&self) -> Result<usize, Failure> {
            Err(Failure::new("the file is broken", "mend it"))
        }

        fn keys(&self, _: &KeyRequest) -> Result<KeyAnswer, Failure> {
            Ok(KeyAnswer::default())
        }

        fn door(&self) -> LocalDoor {
            LocalDoor::default()
        }

        fn snapshots(&self) -> Option<Snapshots> {
            None
        }
    }

    fn said(data_dir: &Path, line: &[u8]) -> String {
        let mut stream = connect(data_dir).expect("a server");
        stream.write_all(line).expect("sent");
        stream.shutdown(std::net::Shutdown::Write).expect("ended");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    #[test]
    fn a_server_is_found_in_its_directory_however_long_its_path_is() {
        for length in [5, 200] {
            let folder = tempfile::tempdir().expect("a folder");
            let data_dir = folder.path().join("d".repeat(length));
            std::fs::create_dir(&data_dir).expect("made");
            let nobody = reach(&data_dir);
            assert!(matches!(nobody, Ok(Reached::Nobody)));
            let control = Control::open(&data_dir, Still).expect("opened");
            let mode = std::fs::metadata(data_dir.join(FILE)).expect("a socket");
            assert_eq!(mode.permissions().mode() & 0o777, 0o600);
            let status = ask(&data_dir, Request::Status).map_err(|failure| failure.to_string());
            let status = status.expect("an answer").expect("a server").status;
            assert_eq!(status.expect("a status").program, "tidings test");
            drop(control);
            assert!(matches!(reach(&data_dir), Ok(Reached::Nobody)));
            assert!(!data_dir.join(FILE).exists());
        }
    }

    #[test]
    fn what_is_no_request_is_answered_and_costs_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let _control = Control::open(folder.path(), Still).expect("opened");
        let long = vec![b'x'; LINE_BYTES_MAX as usize];
        for (line, told) in [
            (&b"hello\n"[..], "not a request"),
            (b"", "not a request"),
            (&long, "not a request"),
            (b"{\"version\":2,\"request\":\"status\"}\n", "version 2"),
            (b"{\"version\":1,\"request\":\"dance\"}\n", "not known"),
            (
                b"{\"version\":1,\"request\":\"reload\"}\n",
                "the file is broken",
            ),
            (b"{\"version\":1,\"request\":\"backup\"}\n", "no store"),
        ] {
            let answer = said(folder.path(), line);
            assert!(answer.contains(told), "{told}: {answer}");
        }
    }

    #[test]
    fn connections_have_a_bound_and_places_come_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let _control = Control::open(folder.path(), Still).expect("opened");
        let held: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|_| connect(folder.path()).expect("a place"))
            .collect();
        let refused = said(folder.path(), b"");
        assert!(refused.contains("too many"), "{refused}");
        drop(held);
        let begin = std::time::Instant::now();
        while said(folder.path(), b"{\"version\":1,\"request\":\"status\"}\n").contains("too many")
        {
            assert!(begin.elapsed() < WAIT);
            std::thread::yield_now();
        }
    }
}
