//! Packages: the Debian package, the archive, the JavaScript packages, and their checksums.
//!
//! Made of the same commit twice, the files are the same: times are the commit's, owners are root, names are sorted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::setup::{self, cargo, root, run, run_with};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds everything in release form and leaves the files in `target/package`.
pub(crate) fn package() -> Result<()> {
    setup::web()?;
    cargo(&["build", "--release", "--locked", "--package", "tidings"])?;
    let out = root().join("target/package");
    make(&root().join("target/release/tidings"), &out, "-z9")?;
    println!("\nthe packages are in {}", out.display());
    Ok(())
}

/// Makes the packages of the test build and looks into them.
pub(crate) fn check() -> Result<()> {
    let out = root().join("target/package-check");
    let first = make(&root().join("target/debug/tidings"), &out, "-z1")?;
    let unpacked = out.join("unpacked");
    run_paths("dpkg-deb", &[Path::new("-x"), &first, &unpacked])?;
    for file in [
        "usr/bin/tidings",
        "etc/tidings/tidings.toml",
        "usr/lib/systemd/system/tidings.service",
        "usr/share/man/man1/tidings.1.gz",
        "usr/share/bash-completion/completions/tidings",
    ] {
        ensure!(
            unpacked.join(file).is_file(),
            "the Debian package lacks {file}"
        );
    }
    // The packaged program takes the packaged settings, but for the directory, which is not this machine's.
    let program = unpacked.join("usr/bin/tidings");
    let config = unpacked.join("etc/tidings/tidings.toml");
    let data = out.join("data");
    let arguments = |command: &'static str| {
        vec![
            command.to_owned(),
            "--data-dir".into(),
            data.display().to_string(),
        ]
    };
    let mut create = vec!["app".to_owned()];
    create.extend(arguments("create"));
    let mut doctor = arguments("doctor");
    doctor.extend([
        "--config".into(),
        config.display().to_string(),
        "--listen".into(),
        "127.0.0.1:0".into(),
        // How full this machine's disk is says nothing about the package.
        "--disk-reserve".into(),
        "0".into(),
    ]);
    for arguments in [create, doctor] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(".", &program.to_string_lossy(), &arguments)?;
    }
    let sum = sha256(&first)?;
    let second = make(&root().join("target/debug/tidings"), &out, "-z1")?;
    ensure!(
        sum == sha256(&second)?,
        "the Debian package differs when it is made again"
    );
    Ok(())
}

/// Makes all files, compressed with more effort or less; returns the Debian package.
fn make(program: &Path, out: &Path, effort: &str) -> Result<PathBuf> {
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    let tree = out.join("tree");
    stage(program, &tree)?;
    let epoch = commit_time()?;
    let debian = debian(&tree, out, &epoch, effort)?;
    archive(&tree, out, &epoch)?;
    for entry in fs::read_dir(root().join("sdk/js/pack"))? {
        let path = entry?.path();
        let name = path.file_name().context("a packed file has a name")?;
        fs::copy(&path, out.join(name))?;
    }
    fs::remove_dir_all(&tree)?;
    checksums(out)?;
    Ok(debian)
}

/// Lays the files out as they are installed.
fn stage(program: &Path, tree: &Path) -> Result<()> {
    let packaging = root().join("packaging");
    let install = |from: &Path, to: &str, mode: u32| -> Result<()> {
        let to = tree.join(to);
        fs::create_dir_all(to.parent().context("a file is in a folder")?)?;
        fs::copy(from, &to).with_context(|| format!("copying {}", from.display()))?;
        set_mode(&to, mode)
    };
    install(program, "usr/bin/tidings", 0o755)?;
    install(
        &packaging.join("tidings.service"),
        "usr/lib/systemd/system/tidings.service",
        0o644,
    )?;
    install(
        &packaging.join("tidings.toml"),
        "etc/tidings/tidings.toml",
        0o644,
    )?;
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        install(
            &root().join(licence),
            &format!("usr/share/doc/tidings/{licence}"),
            0o644,
        )?;
    }
    let man = tree.join("usr/share/man/man1");
    let program = program.to_string_lossy();
    run(
        ".",
        &program,
        &["reference", "man", "--to", &man.to_string_lossy()],
    )?;
    let mut pages = vec![PathBuf::from("-n9")];
    for entry in fs::read_dir(&man)? {
        pages.push(entry?.path());
    }
    run_paths(
        "gzip",
        &pages.iter().map(PathBuf::as_path).collect::<Vec<_>>(),
    )?;
    for (shell, to) in [
        ("bash", "usr/share/bash-completion/completions/tidings"),
        ("zsh", "usr/share/zsh/vendor-completions/_tidings"),
        ("fish", "usr/share/fish/vendor_completions.d/tidings.fish"),
    ] {
        let output = Command::new(&*program)
            .args(["reference", "completions", shell])
            .output()?;
        ensure!(output.status.success(), "no completions for {shell}");
        let to = tree.join(to);
        fs::create_dir_all(to.parent().context("a file is in a folder")?)?;
        fs::write(to, output.stdout)?;
    }
    fs::create_dir_all(tree.join("var/lib/tidings"))?;
    Ok(())
}

fn debian(tree: &Path, out: &Path, epoch: &str, effort: &str) -> Result<PathBuf> {
    let source = root().join("packaging/debian");
    let control = tree.join("DEBIAN");
    fs::create_dir_all(&control)?;
    let architecture = output("dpkg", &["--print-architecture"])
        .context("making a Debian package takes dpkg, which Debian and its like have")?;
    let text = fs::read_to_string(source.join("control"))?
        .replace("@VERSION@", VERSION)
        .replace("@ARCHITECTURE@", &architecture)
        .replace("@INSTALLED_KIB@", &(size(tree)? / 1024).to_string());
    fs::write(control.join("control"), text)?;
    for name in ["conffiles", "postinst", "prerm", "postrm"] {
        let to = control.join(name);
        fs::copy(source.join(name), &to)?;
        set_mode(&to, if name == "conffiles" { 0o644 } else { 0o755 })?;
    }
    let file = out.join(format!("tidings_{VERSION}_{architecture}.deb"));
    run_with(
        ".",
        "dpkg-deb",
        &[
            "--root-owner-group",
            "-Zgzip",
            effort,
            "--build",
            &tree.to_string_lossy(),
            &file.to_string_lossy(),
        ],
        &[("SOURCE_DATE_EPOCH", epoch)],
    )?;
    fs::remove_dir_all(control)?;
    Ok(file)
}

fn archive(tree: &Path, out: &Path, epoch: &str) -> Result<()> {
    let target = output("rustc", &["--print", "host-tuple"])?;
    let file = out.join(format!("tidings-{VERSION}-{target}.tar.gz"));
    run_with(
        ".",
        "tar",
        &[
            "--create",
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            &format!("--mtime=@{epoch}"),
            "--use-compress-program=gzip -n6",
            &format!("--file={}", file.display()),
            &format!("--directory={}", tree.display()),
            ".",
        ],
        &[],
    )
}

fn checksums(out: &Path) -> Result<()> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            lines.push(format!("{}  {name}\n", sha256(&path)?));
        }
    }
    lines.sort();
    fs::write(out.join("SHA256SUMS"), lines.concat())?;
    Ok(())
}

fn sha256(path: &Path) -> Result<String> {
    let line = output("sha256sum", &[&path.to_string_lossy()])?;
    Ok(line.split(' ').next().unwrap_or_default().to_owned())
}

/// Seconds since 1970 at which the present commit was made.
fn commit_time() -> Result<String> {
    output("git", &["log", "-1", "--format=%ct"])
}

fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => size(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .with_context(|| format!("running {program}; is it installed?"))?;
    if !output.status.success() {
        bail!(
            "{program} {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn run_paths(program: &str, arguments: &[&Path]) -> Result<()> {
    let arguments: Vec<_> = arguments
        .iter()
        .map(|path| path.to_string_lossy())
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    run(".", program, &arguments)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}
