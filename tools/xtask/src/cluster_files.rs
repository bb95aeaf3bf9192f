//! Checks the files for running a cluster, each with the program that it is for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::setup::{self, root, target};
use crate::{nats, python};

/// Readers of files that no program here runs: each with the version that is tested.
const READERS: [&str; 2] = ["kubernetes-validate==1.37.0", "compose-spec==0.2.1"];

/// The release of Kubernetes whose rules the file must keep.
const KUBERNETES: &str = "1.33";

/// Checks all of them.
pub(crate) fn check() -> Result<()> {
    setup::proxies()?;
    setup::packaging()?;
    setup::openssl()?;
    let scratch = target().join("cluster-files");
    fs::create_dir_all(&scratch)?;
    let files = root().join("packaging/cluster");
    certificate(&scratch)?;
    nginx(&files, &scratch)?;
    haproxy(&files, &scratch)?;
    nats_server(&files, &scratch)?;
    systemd(&files, &scratch)?;
    settings(&files, &scratch)?;
    let readers = readers()?;
    kubernetes(&files, &readers)?;
    compose(&files, &readers)?;
    println!("the files of packaging/cluster are as their programs want them");
    Ok(())
}

fn certificate(scratch: &Path) -> Result<()> {
    run(Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=chat.example.org"])
        .args(["-keyout", "privkey.pem", "-out", "fullchain.pem"])
        .current_dir(scratch))?;
    let both = [
        fs::read(scratch.join("fullchain.pem"))?,
        fs::read(scratch.join("privkey.pem"))?,
    ];
    fs::write(scratch.join("chat.example.org.pem"), both.concat())?;
    Ok(())
}

fn nginx(files: &Path, scratch: &Path) -> Result<()> {
    let own = scratch.display().to_string();
    let text = with(
        &files.join("nginx.conf"),
        &[("/etc/letsencrypt/live/chat.example.org", &own)],
    )?;
    let text =
        format!("pid {own}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{text}\n}}\n");
    let file = scratch.join("nginx.conf");
    fs::write(&file, text)?;
    let mut command = Command::new("nginx");
    let said = run(command.args(["-t", "-e", "stderr", "-c"]).arg(&file))?;
    if said.contains("[warn]") {
        bail!("nginx warns of packaging/cluster/nginx.conf: {said}");
    }
    Ok(())
}

fn haproxy(files: &Path, scratch: &Path) -> Result<()> {
    let own = scratch.display().to_string();
    let text = with(&files.join("haproxy.cfg"), &[("/etc/haproxy", &own)])?;
    let file = scratch.join("haproxy.cfg");
    fs::write(&file, text)?;
    let said = run(Command::new("haproxy").args(["-c", "-f"]).arg(&file))?;
    if said.contains("[WARNING]") {
        bail!("HAProxy warns of packaging/cluster/haproxy.cfg: {said}");
    }
    Ok(())
}

/// The configuration of NATS on machines, and that in the file for Kubernetes.
fn nats_server(files: &Path, scratch: &Path) -> Result<()> {
    let own = scratch.join("nats").display().to_string();
    let server = nats::server()?;
    let text = with(&files.join("nats.conf"), &[("/var/lib/nats", &own)])?;
    let kubernetes = fs::read_to_string(files.join("kubernetes.yaml"))?;
    let inside = kubernetes
        .split("  nats.conf: |\n")
        .nth(1)
        .and_then(|rest| rest.split("\n---\n").next())
        .context("kubernetes.yaml has no nats.conf")?;
    let inside = inside.replace("/data", &own);
    for (name, text) in [("nats.conf", text), ("nats-kubernetes.conf", inside)] {
        let file = scratch.join(name);
        fs::write(&file, text)?;
        run(Command::new(&server)
            .args(["-t", "--config"])
            .arg(&file)
            .env("POD_NAME", "nats-0")
            .env("NATS_PASSWORD", "secret"))?;
    }
    Ok(())
}

fn systemd(files: &Path, scratch: &Path) -> Result<()> {
    let units = scratch.join("units");
    let added = units.join("tidings.service.d");
    fs::create_dir_all(&added)?;
    // The programs need not be where they are on a machine that runs them.
    let nats = with(
        &files.join("nats.service"),
        &[("/usr/bin/nats-server", "/bin/true")],
    )?;
    fs::write(units.join("nats.service"), nats)?;
    let unit = root().join("packaging/tidings.service");
    let tidings = with(&unit, &[("/usr/bin/tidings", "/bin/true")])?;
    fs::write(units.join("tidings.service"), tidings)?;
    let drop_in = files.join("tidings.service.d-cluster.conf");
    fs::copy(drop_in, added.join("cluster.conf"))?;
    for unit in ["nats.service", "tidings.service"] {
        let mut command = Command::new("systemd-analyze");
        command.args(["verify", "--man=no", "--recursive-errors=no"]);
        run(command
            .arg(units.join(unit))
            .env("SYSTEMD_UNIT_PATH", format!("{}:", units.display())))?;
    }
    Ok(())
}

/// The program reads the settings; there is no NATS at those addresses.
fn settings(files: &Path, scratch: &Path) -> Result<()> {
    let key = scratch.join("cluster.key");
    fs::write(&key, "ab".repeat(32))?;
    let own = key.display().to_string();
    let replaced = [
        ("/etc/tidings/cluster.key", own.as_str()),
        ("10.0.0.1:4222", "127.0.0.1:1"),
        ("10.0.0.2:4222", "127.0.0.1:2"),
        ("10.0.0.3:4222", "127.0.0.1:3"),
    ];
    let file = scratch.join("tidings.toml");
    fs::write(&file, with(&files.join("tidings.toml"), &replaced)?)?;
    let output = Command::new(target().join("debug/tidings"))
        .args(["cluster", "status", "--config"])
        .arg(&file)
        .output()
        .context("running the test build; `cargo build -p tidings` makes it")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !said.contains("no NATS server answers") {
        bail!("the program does not read packaging/cluster/tidings.toml: {said}");
    }
    Ok(())
}

/// Installs the readers. Returns their folder.
fn readers() -> Result<PathBuf> {
    let folder = target().join("cluster-files/readers");
    let stamp = folder.join(READERS.join("+"));
    if !stamp.exists() {
        setup::python()?;
        let words = [&["--only-binary", ":all:", "--upgrade"], &READERS[..]].concat();
        python::pip(&words, &folder, &[])?;
        fs::write(&stamp, "")?;
    }
    Ok(folder)
}

fn kubernetes(files: &Path, readers: &Path) -> Result<()> {
    let mut command = Command::new("python3");
    command.args([
        "-m",
        "kubernetes_validate",
        "--strict",
        "--quiet",
        "-k",
        KUBERNETES,
    ]);
    run(command
        .arg(files.join("kubernetes.yaml"))
        .env("PYTHONPATH", readers))
    .map(drop)
}

fn compose(files: &Path, readers: &Path) -> Result<()> {
    // Anchors and merge keys are YAML's: what is left of them is what compose reads.
    const READ: &str = "import json, sys, yaml\n\
        from compose_spec import PyCompose\n\
        file = PyCompose.from_json(json.dumps(yaml.safe_load(open(sys.argv[1]).read())))\n\
        file.validate()\n\
        file.to_spec()";
    let mut command = Command::new("python3");
    command.args(["-c", READ]).arg(files.join("compose.yaml"));
    run(command.env("PYTHONPATH", readers)).map(drop)
}

/// A file with some of its words replaced, each of which it has.
fn with(file: &Path, replaced: &[(&str, &str)]) -> Result<String> {
    let mut text =
        fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    for (from, to) in replaced {
        if !text.contains(from) {
            bail!("{} does not have {from}", file.display());
        }
        text = text.replace(from, to);
    }
    Ok(text)
}

/// Runs a program that must succeed. Returns what it said.
fn run(command: &mut Command) -> Result<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    // Where Debian keeps servers; not everybody has it on the path.
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("running {program}; is it installed?"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if !output.status.success() {
        bail!("{command:?} ended with {}: {said}", output.status);
    }
    Ok(said)
}
