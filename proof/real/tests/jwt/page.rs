//! A place in which a reader of the guide's page works: a running server, its commands, the page's
//! programs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use tidings_proof::program::{Program, build};

/// The app whose users have JSON Web Tokens.
pub(crate) const JWT_APP: &str = "fedcba9876543210fedcba9876543210";

pub(crate) fn unix_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970").as_secs()
}

/// A program that the guide's page prints.
pub(crate) fn program(name: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../site/guide/jwt.md");
    let text = std::fs::read_to_string(page).expect("the page");
    let mark = format!("<!-- program: {name} -->\n```");
    let (_, rest) = text.split_once(&mark).expect("the page has it");
    let (_, rest) = rest.split_once('\n').expect("the block has lines");
    rest.split_once("```").expect("the block ends").0.to_owned()
}

/// The body of an answer by HTTP.
pub(crate) fn fetch(url: &str) -> String {
    let rest = url.strip_prefix("http://").expect("a plain address");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("it listens");
    let limit = Some(Duration::from_secs(10));
    stream.set_read_timeout(limit).expect("a limit");
    let request = format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains(" 200 "), "{head}");
    body.to_owned()
}

/// Posts JSON with these headers; the whole answer.
pub(crate) fn post(address: SocketAddr, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let limit = Some(Duration::from_secs(10));
    stream.set_read_timeout(limit).expect("a limit");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// A process that is killed when dropped.
pub(crate) struct Started(Child);

impl Started {
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.expect("kill is there").success());
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Place {
    pub(crate) program: Program,
    folder: TempDir,
}

impl Place {
    pub(crate) fn start() -> Self {
        Self {
            program: Program::start(&[]).expect("it starts"),
            folder: TempDir::new().expect("a folder"),
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.program.data()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        path
    }

    /// Runs a command of the program on the server's data.
    fn tidings(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(build());
        command.args(arguments);
        command.arg("--data-dir").arg(self.data());
        self.run(command, input)
    }

    fn run(&self, mut command: Command, input: &str) -> Output {
        let started = command
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut to = child.stdin.take().expect("its input is piped");
        // One that reads nothing may have ended.
        let _ = to.write_all(input.as_bytes());
        drop(to);
        child.wait_with_output().expect("it ends")
    }

    /// Runs a command that must succeed; what it prints.
    pub(crate) fn works(&self, arguments: &[&str]) -> String {
        self.works_with(arguments, "")
    }

    /// The same, with this on its standard input.
    pub(crate) fn works_with(&self, arguments: &[&str], input: &str) -> String {
        printed(self.tidings(arguments, input))
    }

    /// Makes the app with these settings for JSON Web Tokens; its users may log in as often as they
    /// like.
    pub(crate) fn make_app(&self, jwt: &[&str], input: &str) {
        let mut create = vec!["app", "create", "--id", JWT_APP, "--open"];
        create.extend(jwt.iter().flat_map(|setting| ["--jwt", setting]));
        self.works_with(&create, input);
        self.works(&["app", "set", JWT_APP, "rate_limits=false"]);
    }

    /// Runs a command that must fail; what it says.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let output = self.tidings(arguments, "");
        assert!(!output.status.success(), "{arguments:?} succeeds");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Runs a program of the page.
    pub(crate) fn runs(&self, interpreter: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(interpreter);
        command.args(arguments);
        printed(self.run(command, ""))
    }

    /// Starts the page's login server; with its address.
    pub(crate) fn login_server(&self) -> (Started, String) {
        let mut child = Command::new("node")
            .arg("login-server.mjs")
            .current_dir(self.folder.path())
            .env("PORT", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is there");
        let output = child.stdout.take().expect("its output is piped");
        let started = Started(child);
        let mut line = String::new();
        let mut lines = BufReader::new(output);
        lines.read_line(&mut line).expect("it says where it is");
        let url = line.trim().strip_prefix("keys at ");
        let url = url.and_then(|url| url.strip_suffix("/.well-known/jwks.json"));
        let url = url.unwrap_or_else(|| panic!("it says {line:?}"));
        (started, url.to_owned())
    }
}

fn printed(output: Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).expect("it prints text")
}
