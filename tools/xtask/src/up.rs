//! The first command: builds what is needed to look at Tidings, says what it is doing, and starts
//! the server.

use std::fs::{self, File};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};

use crate::setup::{self, cargo_program, root, target};

/// Disk space of a cold build, in the project's folder and in the caches of npm and cargo.
const DISK_NEEDED_MIB: u64 = 3_000;
/// Time between two progress lines where the output is not a terminal.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// A job that runs concurrently with others, its output in a file.
struct Job {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// Whether a failure is ignored, because a later step does the same again.
    may_fail: bool,
}

/// Sets everything up and runs the server with the demo. `args` go to `tidings serve`.
pub(crate) fn up(args: &[String]) -> Result<()> {
    let began = Instant::now();
    build_all()?;
    step(
        4,
        &format!("starting it, after {} s", began.elapsed().as_secs()),
    );
    serve(args)
}

/// Builds the pages and the server with them, where they are not as they should be. Returns the
/// program.
pub(crate) fn build_all() -> Result<PathBuf> {
    step(1, "looking at what is here");
    setup::check_node()?;
    compiler()?;
    disk()?;

    let mut jobs = Vec::new();
    let stamp = target().join("up/pages.stamp");
    let is_fresh = pages_are_fresh(&stamp);
    let is_built = target().join("quick/tidings").exists();
    step(
        2,
        match (is_fresh, is_built) {
            (true, _) => "the pages are as they were; cargo builds what has changed",
            (false, true) => {
                "npm builds the SDKs, the demo and the guide (a minute), cargo what has changed"
            }
            (false, false) => {
                "npm builds the SDKs, the demo and the guide, cargo the server's libraries \
                 (two to three minutes)"
            }
        },
    );
    if !is_fresh {
        jobs.push(start(
            "pages",
            std::env::current_exe()?.as_path(),
            &["web"],
        )?);
    }
    // It may meet pages that are just being replaced, and fail: the next step then builds what is
    // there.
    let mut libraries = start("libraries", Path::new(&cargo_program()), &build())?;
    libraries.may_fail = true;
    jobs.push(libraries);
    wait(jobs)?;
    if !is_fresh {
        File::create(&stamp)?;
    }

    step(3, "the server with these pages (up to half a minute)");
    let server = start("server", Path::new(&cargo_program()), &build())?;
    wait(vec![server])?;
    Ok(target().join("quick/tidings"))
}

/// Whether the pages are newer than everything that they are built from.
fn pages_are_fresh(stamp: &Path) -> bool {
    let built = fs::metadata(stamp).and_then(|stamp| stamp.modified());
    let are_there = [
        "site/console/dist",
        "site/demo/dist",
        "site/guide/dist",
        "clients/js/pack",
    ]
    .iter()
    .all(|folder| root().join(folder).is_dir());
    built.is_ok_and(|built| {
        are_there
            && ["clients/js", "site", "packaging", "proto"]
                .iter()
                .all(|folder| newest(&root().join(folder)).is_ok_and(|changed| changed < built))
    })
}

/// When a file of a folder last changed, ignoring build output.
fn newest(folder: &Path) -> std::io::Result<SystemTime> {
    let mut newest = fs::metadata(folder)?.modified()?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_built = ["node_modules", "dist", "pack"]
            .iter()
            .any(|built| name == *built);
        if is_built || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let changed = if entry.file_type()?.is_dir() {
            self::newest(&entry.path())?
        } else {
            entry.metadata()?.modified()?
        };
        newest = newest.max(changed);
    }
    Ok(newest)
}

fn build() -> [&'static str; 5] {
    ["build", "--profile", "quick", "--package", "tidings"]
}

fn step(number: u32, what: &str) {
    println!("[{number}/4] {what}");
}

fn compiler() -> Result<()> {
    let found = ["cc", "gcc", "clang"].iter().any(|name| {
        Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    if !found {
        bail!(
            "there is no C compiler, which Rust links with; on Debian: apt-get install gcc libc6-dev"
        );
    }
    Ok(())
}

/// Warns where the disk is too small, before it is full.
fn disk() -> Result<()> {
    let listed = Command::new("df")
        .args(["-Pk", "."])
        .current_dir(root())
        .output();
    let Some(free) = listed.ok().and_then(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .nth(1)?
            .split_whitespace()
            .nth(3)?
            .parse::<u64>()
            .ok()
    }) else {
        return Ok(());
    };
    let free = free / 1024;
    if free < DISK_NEEDED_MIB && !target().join("quick/tidings").exists() {
        bail!(
            "the disk has {free} MB free, and a first build takes {DISK_NEEDED_MIB} MB; make room, then try again"
        );
    }
    Ok(())
}

fn start(name: &'static str, program: &Path, args: &[&str]) -> Result<Job> {
    let folder = target().join("up");
    fs::create_dir_all(&folder)?;
    let log = folder.join(format!("{name}.log"));
    let output = File::create(&log)?;
    let child = Command::new(program)
        .args(args)
        .current_dir(root())
        // This variable is for this task only: otherwise the build script of a dependency would run
        // again.
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_PKG_NAME")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("running {}; is it installed?", program.display()))?;
    Ok(Job {
        name,
        child,
        log,
        may_fail: false,
    })
}

/// Waits until all jobs have ended, showing the elapsed time and what each is doing. Shows the
/// output of a job that fails.
fn wait(mut jobs: Vec<Job>) -> Result<()> {
    let began = Instant::now();
    let terminal = std::io::stdout().is_terminal();
    let mut told = Instant::now();
    while !jobs.is_empty() {
        let mut ended = None;
        let mut open = Vec::new();
        for mut job in jobs {
            match job.child.try_wait()? {
                None => open.push(job),
                Some(status) if status.success() || job.may_fail => {}
                Some(status) => ended = Some((job, status)),
            }
        }
        if let Some((job, status)) = ended {
            clear(terminal);
            end(&mut open);
            let output = fs::read_to_string(&job.log).unwrap_or_default();
            bail!("{} ended with {status}; it said:\n{output}", job.name);
        }
        jobs = open;
        if terminal || told.elapsed() >= LINE_EVERY {
            told = Instant::now();
            let at: Vec<String> = jobs.iter().map(Job::at).collect();
            let line = format!("      {} s: {}", began.elapsed().as_secs(), at.join("; "));
            if terminal {
                let line: String = line.chars().take(100).collect();
                print!("\r\x1b[K{line}");
                std::io::stdout().flush()?;
            } else if !jobs.is_empty() {
                println!("{line}");
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    clear(terminal);
    println!("      done in {} s", began.elapsed().as_secs());
    Ok(())
}

fn clear(terminal: bool) {
    if terminal {
        print!("\r\x1b[K");
    }
}

/// Jobs that are still running are not left behind.
fn end(jobs: &mut [Job]) {
    for job in jobs {
        let _ = job.child.kill();
        let _ = job.child.wait();
    }
}

impl Job {
    /// What a job is doing: its last line.
    fn at(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let last = text
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| !line.is_empty());
        let last: String = last
            .unwrap_or("starting")
            .chars()
            .filter(|c| !c.is_control())
            .take(60)
            .collect();
        format!("{}: {last}", self.name)
    }
}

/// Runs the server until it is stopped.
fn serve(args: &[String]) -> Result<()> {
    let data_dir = root().join(".tidings");
    let mut command = Command::new(target().join("quick/tidings"));
    // 256 MiB: the default of 5 % would refuse messages on a large, nearly full disk, and this is a
    // demo.
    command
        .args([
            "serve",
            "--dev",
            "--disk-reserve",
            "268435456",
            "--data-dir",
        ])
        .arg(&data_dir)
        .args(args)
        .current_dir(root());
    let listen = listen(args);
    println!(
        "\n  demo   http://{listen}/demo   (open it in two tabs)\
         \n  guide  http://{listen}/docs\
         \n  data   {}   (delete it to begin anew)\
         \n  stop   Ctrl-C\n",
        data_dir.display()
    );
    let status = command.status().context("running the server")?;
    // The first Ctrl-C stops it gracefully, a second one at once.
    if status.success() || status.code() == Some(130) || status.code().is_none() {
        return Ok(());
    }
    bail!(
        "the server ended with {status}; what it said stands above. If another program has the port, stop that, or \
         take another: cargo xtask up --listen 127.0.0.1:7401"
    )
}

/// Where the server will listen.
fn listen(args: &[String]) -> String {
    let mut words = args.iter();
    while let Some(word) = words.next() {
        if let Some(address) = word.strip_prefix("--listen=") {
            return address.to_owned();
        }
        if word == "--listen" {
            return words.next().cloned().unwrap_or_default();
        }
    }
    std::env::var("TIDINGS_LISTEN").unwrap_or_else(|_| "127.0.0.1:7400".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{listen, start, wait};

    #[test]
    fn the_address_is_the_one_that_was_asked_for() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(listen(&words("--listen 127.0.0.1:9")), "127.0.0.1:9");
        assert_eq!(listen(&words("--hubs 1 --listen=[::1]:9")), "[::1]:9");
        assert_eq!(listen(&[]), "127.0.0.1:7400");
    }

    #[test]
    fn a_failure_shows_what_was_said_and_leaves_nothing_running() {
        let shell = std::path::Path::new("sh");
        let fails = start("test-fails", shell, &["-c", "echo what went wrong; exit 3"]);
        let lasts = start("test-lasts", shell, &["-c", "exec sleep 1000"]).expect("a shell");
        let id = lasts.child.id();
        let error = wait(vec![fails.expect("a shell"), lasts]).expect_err("one of them fails");
        let text = format!("{error:#}");
        assert!(
            text.contains("what went wrong") && text.contains("exit status: 3"),
            "{text}"
        );
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }
}
