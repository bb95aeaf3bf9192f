//! Installs what a fresh machine lacks, and builds the pages that the program serves.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::python;

/// Lowest major version of Node that builds and runs the SDKs.
pub(crate) const NODE_MAJOR_MIN: u32 = 20;
/// Lowest version of Python that runs the WebSocket conformance suite.
pub(crate) const PYTHON_MIN: &str = "3.10";

/// The folder of the project.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// The folder of cargo's output.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |set| root().join(set))
}

/// Cargo, as it runs this task.
pub(crate) fn cargo_program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// Runs a program in a folder of the project, and fails if it fails.
pub(crate) fn run(folder: &str, program: &str, args: &[&str]) -> Result<()> {
    run_with(folder, program, args, &[])
}

/// The same, with environment variables.
pub(crate) fn run_with(
    folder: &str,
    program: &str,
    args: &[&str],
    variables: &[(&str, &str)],
) -> Result<()> {
    println!("> {folder}: {program} {}", args.join(" "));
    let status = Command::new(program)
        .args(args)
        // This variable is for this task only: otherwise the build script of a dependency would run
        // again.
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_PKG_NAME")
        .envs(variables.iter().copied())
        .current_dir(root().join(folder))
        .status()
        .with_context(|| format!("running {program}; is it installed?"))?;
    if !status.success() {
        bail!(
            "{program} {} in {folder} ended with {status}",
            args.join(" ")
        );
    }
    Ok(())
}

/// Runs cargo in the project's folder.
pub(crate) fn cargo(args: &[&str]) -> Result<()> {
    run(".", &cargo_program(), args)
}

/// JavaScript packages, which the program serves as `npm install` takes them.
const PACKAGES: [&str; 4] = ["rtm", "signaling", "react", "server"];

/// Builds the web SDK, its reference, the console, the demo page and the guide, which the program serves.
pub(crate) fn web() -> Result<()> {
    check_node()?;
    for package in PACKAGES {
        let folder = format!("clients/js/{package}");
        run(&folder, "npm", &["ci", "--no-fund", "--no-audit"])?;
        run(&folder, "npm", &["run", "build"])?;
    }
    pack()?;
    // Beside them, so that the program serves it as well.
    python::build(&root().join("clients/js/pack"))?;
    for folder in ["site/reference", "site/console", "site/demo", "site/guide"] {
        run(folder, "npm", &["ci", "--no-fund", "--no-audit"])?;
        run(folder, "npm", &["run", "build"])?;
    }
    Ok(())
}

/// Builds the JavaScript SDK of RTM for Node from the current sources.
pub(crate) fn sdk() -> Result<()> {
    check_node()?;
    if !root().join("clients/js/rtm/node_modules").exists() {
        run("clients/js/rtm", "npm", &["ci", "--no-fund", "--no-audit"])?;
    }
    run("clients/js/rtm", "npm", &["run", "--silent", "build"])
}

/// Packs the JavaScript packages into `clients/js/pack`, with and without their versions in the
/// name, and the scripts for pages under names with hashes: the same sources give the same bytes on
/// every machine.
fn pack() -> Result<()> {
    let folders = PACKAGES.map(|package| format!("../{package}"));
    let mut words = vec!["pack.mjs", "../pack"];
    words.extend(folders.iter().map(String::as_str));
    run("clients/js/rtm", "node", &words)
}

/// Fails when Node is missing or too old.
pub(crate) fn check_node() -> Result<()> {
    let output = Command::new("node")
        .arg("--version")
        .output()
        .with_context(|| {
            format!("running node; install Node {NODE_MAJOR_MIN} or later with npm, then try again")
        })?;
    let version = String::from_utf8_lossy(&output.stdout);
    let major = version
        .trim()
        .trim_start_matches('v')
        .split('.')
        .next()
        .unwrap_or_default();
    if major
        .parse::<u32>()
        .is_ok_and(|major| major >= NODE_MAJOR_MIN)
    {
        return Ok(());
    }
    bail!(
        "node is {}, but {NODE_MAJOR_MIN} or later is needed; install it, then try again",
        version.trim()
    );
}

/// Chromium for the browser tests: installed from Debian's packages where it is missing.
pub(crate) fn chromium() -> Result<()> {
    if Path::new("/usr/bin/chromium").exists() {
        return Ok(());
    }
    install(&["chromium", "fonts-dejavu-core"])
        .context("/usr/bin/chromium is missing; install Chromium there")
}

/// Python with pip, for the WebSocket conformance suite: from Debian's packages where it is
/// missing.
pub(crate) fn python() -> Result<()> {
    let pip = Command::new("python3")
        .args(["-m", "pip", "--version"])
        .output();
    if pip.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    install(&["python3", "python3-pip"]).with_context(|| {
        format!("`python3 -m pip` does not run; install Python {PYTHON_MIN} or later with pip")
    })
}

/// The library that gives a process its own wall clock, for the proof that clock jumps do no harm:
/// from Debian's packages where it is missing.
pub(crate) fn own_clock() -> Result<()> {
    let is_there = ["x86_64", "aarch64"].iter().any(|machine| {
        Path::new(&format!(
            "/usr/lib/{machine}-linux-gnu/faketime/libfaketime.so.1"
        ))
        .exists()
    });
    if is_there {
        return Ok(());
    }
    install(&["libfaketime"]).context("libfaketime is missing; install it")
}

/// What makes a disk slow and a clock wrong for one program.
pub(crate) fn disturbers() -> Result<()> {
    own_clock()?;
    install_missing(&[("strace", "strace")]).context("it makes a disk slow")
}

/// Programs that inspect a Debian package and a systemd unit: from Debian's packages where they are
/// missing.
pub(crate) fn packaging() -> Result<()> {
    let needed = [
        ("dpkg-shlibdeps", "dpkg-dev"),
        ("lintian", "lintian"),
        ("objcopy", "binutils"),
        ("systemd-analyze", "systemd"),
        ("adduser", "adduser"),
    ];
    install_missing(&needed).context("these look into the Debian package and the systemd unit")
}

/// The proxies of the guide, which its tests put in front of the program: from Debian's packages
/// where they are missing.
pub(crate) fn proxies() -> Result<()> {
    let needed = [
        ("nginx", "nginx-light"),
        ("caddy", "caddy"),
        ("haproxy", "haproxy"),
    ];
    // Debian starts every server that it installs, now and at each boot, which nobody wants here.
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let is_ours = needed.iter().any(|(program, _)| !is_installed(program)) && !policy.exists();
    if is_ours {
        deny_starts(policy)?;
    }
    let installed = install_missing(&needed);
    if is_ours {
        fs::remove_file(policy)?;
        let names = needed.map(|(program, _)| program);
        // Without systemd, nothing has been enabled.
        let _ = Command::new("systemctl")
            .args(["disable", "--quiet"])
            .args(names)
            .status();
    }
    installed.context("the guide shows how nginx, Caddy and HAProxy are configured")
}

/// The languages of the guide's programs for backends: from Debian's packages where they are
/// missing. Java's is tried only where there is a compiler: it is ten times as large.
pub(crate) fn languages() -> Result<()> {
    let needed = [("php", "php-cli"), ("go", "golang-go")];
    install_missing(&needed).context("the guide shows how backends in PHP and Go make calls")
}

/// Prevents Debian's maintainer scripts from starting services.
fn deny_starts(policy: &Path) -> Result<()> {
    fs::write(policy, "#!/bin/sh\nexit 101\n")
        .and_then(|()| fs::set_permissions(policy, fs::Permissions::from_mode(0o755)))
        .with_context(|| {
            format!(
                "writing {}; install nginx-light, caddy and haproxy, or run this as root",
                policy.display()
            )
        })
}

/// Installs missing programs, each from the named package.
fn install_missing(needed: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(program, _)| !is_installed(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)
}

/// Whether a program is on the `PATH`.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).exists())
}

/// The command that makes a certificate, for the test that follows the guide's configuration: from
/// Debian's packages where it is missing.
pub(crate) fn openssl() -> Result<()> {
    let version = Command::new("openssl").arg("version").output();
    if version.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    install(&["openssl"]).context("`openssl` does not run; install it")
}

/// Installs Debian packages.
fn install(packages: &[&str]) -> Result<()> {
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("there is no apt-get to install {}", packages.join(" "));
    }
    run(".", "apt-get", &["update", "-qq"])?;
    let quiet = [("DEBIAN_FRONTEND", "noninteractive")];
    let head = ["install", "-y", "-qq", "--no-install-recommends"];
    run_with(".", "apt-get", &[&head, packages].concat(), &quiet)
}
