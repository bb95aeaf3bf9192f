//! The server memory that a connection costs before its login, for every kind that a stranger can
//! hold.

use std::any::Any;
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tidings_wire::limits::{
    LOGIN_FRAME_BYTES_MAX, TLS_SESSION_BYTES_MAX, VISIT_BYTES_MAX, VISIT_HTTP2_BYTES_MAX,
};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::OnceCell;

use super::attacks::{h2, http};
use super::door::{Door, End, SAFE_APP, binary, text, upgrade};
use super::field::v4;
use super::runtime;
use super::world::{Server, Wire};

/// Connections of each kind: enough that the fixed needs of the process do not matter.
pub(crate) const COUNT: u64 = 200;

/// Connections before the first reading, so that whatever is allocated on first use exists by then.
const FIRST: u64 = 20;

/// Connections per address, below every door's limit.
const OF_ADDRESS: u64 = 10;

/// How long memory is measured: until everything that the strangers sent has been processed.
const WATCHED: Duration = Duration::from_millis(700);

/// A connection that is held open and never read.
type Kept = Box<dyn Any + Send>;

type Opening = Pin<Box<dyn Future<Output = Result<Kept, End>> + Send>>;

/// One kind of stranger.
pub(crate) struct Kind {
    pub(crate) what: &'static str,
    pub(super) over: Wire,
    open: fn(Door, u64) -> Opening,
}

macro_rules! kinds {
    ($($wire:ident $what:literal $open:expr;)*) => {
        &[$(Kind {
            what: $what,
            over: Wire::$wire,
            open: |door, n| Box::pin($open(door, n)),
        },)*]
    };
}

impl Kind {
    /// The highest allowed cost of one, in bytes: HTTP/2 counts as two slots.
    pub(crate) fn bytes_max(&self) -> u64 {
        let most = match self.over {
            Wire::Plain => VISIT_BYTES_MAX,
            Wire::Tls if self.what.starts_with("HTTP/2") => VISIT_HTTP2_BYTES_MAX,
            Wire::Tls => VISIT_BYTES_MAX + TLS_SESSION_BYTES_MAX,
        };
        most as u64
    }
}

/// All kinds. Each sends as much as it may, without the end.
pub(crate) const KINDS: &[Kind] = kinds! {
    Plain "TCP, nothing said" mute;
    Plain "half a request of 8 KB" half_head;
    Plain "a refused request, its answer unread" refused;
    Plain "a WebSocket, nothing said" silent;
    Plain "a WebSocket, half a login of 8 KB" half_login;
    Plain "a legacy WebSocket, nothing said" legacy_silent;
    Plain "a legacy WebSocket, half a frame of 8 KB" legacy_half;
    Plain "HTTP, the largest file unread" unread_file;
    Plain "HTTP, an upload without a token" upload;
    Plain "HTTP, kept after a page" kept;
    Tls "TLS, half a handshake" half_handshake;
    Tls "TLS, nothing said" tls_silent;
    Tls "TLS, half a request of 8 KB" half_head;
    Tls "TLS, a WebSocket, half a login of 8 KB" half_login;
    Tls "TLS, the largest file unread" unread_file;
    Tls "HTTP/2, nothing said" h2_silent;
    Tls "HTTP/2, 100 requests for the largest file, no room for an answer" h2_no_window;
};

fn from(n: u64) -> Option<std::net::IpAddr> {
    // From networks of their own too.
    v4(n / OF_ADDRESS * 256)
}

async fn mute(door: Door, _: u64) -> Result<Kept, End> {
    Ok(Box::new(door.tcp().await?))
}

async fn half_head(door: Door, n: u64) -> Result<Kept, End> {
    let mut stream = door.connect().await?;
    let mut head = upgrade("/rtm", from(n));
    head.truncate(head.len() - 2);
    // One header as long as a head may be.
    head += "A: ";
    let room = 8_000 - head.len();
    head += &"b".repeat(room);
    stream.write_all(head.as_bytes()).await?;
    Ok(Box::new(stream))
}

async fn refused(door: Door, n: u64) -> Result<Kept, End> {
    let mut stream = door.connect().await?;
    let head = upgrade("/rtm", from(n)).replace("Version: 13", "Version: 7");
    stream.write_all(head.as_bytes()).await?;
    Ok(Box::new(stream))
}

async fn silent(door: Door, n: u64) -> Result<Kept, End> {
    let socket = door.open("/rtm", from(n)).await?;
    Ok(Box::new(socket))
}

async fn half_login(door: Door, n: u64) -> Result<Kept, End> {
    let mut socket = door.open("/rtm", from(n)).await?;
    let frame = binary(&[0; LOGIN_FRAME_BYTES_MAX]);
    socket.writer.write_all(&frame[..frame.len() - 1]).await?;
    socket.writer.flush().await?;
    Ok(Box::new(socket))
}

async fn legacy_silent(door: Door, n: u64) -> Result<Kept, End> {
    let socket = door.open("/", from(n)).await?;
    Ok(Box::new(socket))
}

async fn legacy_half(door: Door, n: u64) -> Result<Kept, End> {
    let mut socket = door.open("/", from(n)).await?;
    let frame = text(&"x".repeat(LOGIN_FRAME_BYTES_MAX));
    socket.writer.write_all(&frame[..frame.len() - 1]).await?;
    Ok(Box::new(socket))
}

async fn unread_file(door: Door, n: u64) -> Result<Kept, End> {
    // The measured program runs in only one process.
    static LARGEST: OnceCell<&str> = OnceCell::const_new();
    let find = async || Ok::<_, End>(http::largest(&door).await?.0);
    let path = LARGEST.get_or_try_init(find).await?;
    let mut stream = door.connect_narrow().await?;
    let request = http::get(path, from(n));
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    Ok(Box::new(stream))
}

async fn upload(door: Door, n: u64) -> Result<Kept, End> {
    let mut stream = door.connect_narrow().await?;
    let head = http::post(SAFE_APP, "eve", None, 1 << 20, from(n));
    stream.write_all(head.as_bytes()).await?;
    // As much of the body as the kernel accepts at once.
    let _ = tokio::time::timeout(
        Duration::from_millis(20),
        stream.write_all(&vec![b'x'; 256 << 10]),
    )
    .await;
    Ok(Box::new(stream))
}

async fn kept(door: Door, n: u64) -> Result<Kept, End> {
    let mut stream = door.connect().await?;
    http::ask(&mut stream, &http::get("/version", from(n))).await?;
    Ok(Box::new(stream))
}

async fn half_handshake(door: Door, _: u64) -> Result<Kept, End> {
    let mut tcp = door.tcp().await?;
    // A ClientHello of 8,000 bytes in one record, without its last 100: with a longer one, the
    // server would not wait for the end.
    let mut begin = vec![0x16, 3, 1, 0x1f, 0x44, 1, 0, 0x1f, 0x40, 3, 3];
    begin.resize(7_900, 0);
    tcp.write_all(&begin).await?;
    Ok(Box::new(tcp))
}

async fn tls_silent(door: Door, _: u64) -> Result<Kept, End> {
    Ok(Box::new(door.connect().await?))
}

async fn h2_silent(door: Door, _: u64) -> Result<Kept, End> {
    Ok(Box::new(h2::open(&door, &[]).await?))
}

async fn h2_no_window(door: Door, n: u64) -> Result<Kept, End> {
    let mut stream = h2::open(&door, h2::NO_WINDOW).await?;
    stream.write_all(&h2::requests(100, from(n))).await?;
    stream.flush().await?;
    Ok(Box::new(stream))
}

/// Bytes of memory that one connection of this kind costs the program; `None` = the program does
/// not support what is needed.
///
/// # Errors
/// If it does not start, or admits fewer than it should.
pub(crate) fn of_one(program: &Path, kind: &Kind) -> Result<Option<u64>> {
    let server = Server::start(program, kind.over, &[])?;
    let runtime = runtime(|| {})?;
    let open = async |count: u64, first: u64| {
        let mut held = Vec::new();
        for n in first..first + count {
            held.push((kind.open)(server.door.clone(), n).await?);
        }
        Ok::<_, End>(held)
    };
    let first = match runtime.block_on(open(FIRST, 0)) {
        Err(End::Absent) => return Ok(None),
        other => other.map_err(|end| anyhow::anyhow!("{end}")),
    };
    let first = first.with_context(|| format!("{}: the first are not let in", kind.what))?;
    settled(&server);
    let before = server.memory();
    let held = runtime.block_on(open(COUNT, FIRST));
    let held = held.map_err(|end| anyhow::anyhow!("{end}"));
    let held = held.with_context(|| format!("{}: they are not let in", kind.what))?;
    let most = settled(&server);
    drop((first, held));
    Ok(Some(most.saturating_sub(before) / COUNT))
}

/// The most memory used during the next moments.
fn settled(server: &Server) -> u64 {
    let began = Instant::now();
    let mut most = server.memory();
    while began.elapsed() < WATCHED {
        std::thread::sleep(Duration::from_millis(20));
        most = most.max(server.memory());
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `dos.preauth_memory`, for every kind.
    #[test]
    fn no_kind_of_stranger_holds_more_memory_than_it_may() {
        let program = crate::fairness::world::built_program();
        let mut too_much = Vec::new();
        for kind in KINDS {
            let each = of_one(&program, kind).expect("it is measured");
            println!("{}: {each:?} bytes", kind.what);
            if each.is_some_and(|each| each > kind.bytes_max()) {
                too_much.push((kind.what, each, kind.bytes_max()));
            }
        }
        assert!(too_much.is_empty(), "more than it may: {too_much:?}");
    }
}
