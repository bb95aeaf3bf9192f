//! The Python package for backends: its tools, its tests, its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::setup::{self, root, target};

/// Where it lies.
const FOLDER: &str = "clients/python";
/// When every file in its archives was changed, as in those of the JavaScript packages.
const MODIFIED: &str = "499162500";
/// The first names of its files.
const STEM: &str = "tidings_server-";

/// The folder of the packages that build and test it, installed if they are missing.
fn tools() -> Result<PathBuf> {
    installed(FOLDER, "tools/python")
}

/// The packages that a folder's `requirements.txt` names, in a folder of the target's, installed if
/// they are missing.
fn installed(of: &str, to: &str) -> Result<PathBuf> {
    let list = root().join(of).join("requirements.txt");
    let wanted =
        fs::read_to_string(&list).with_context(|| format!("reading {}", list.display()))?;
    let folder = target().join(to);
    let stamp = folder.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    setup::python()?;
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    // Into a directory of its own: a virtual environment would need a module that many systems
    // lack.
    pip(
        &[
            "--no-deps",
            "--only-binary",
            ":all:",
            "-r",
            &list.to_string_lossy(),
        ],
        &folder,
        &[],
    )?;
    fs::write(stamp, wanted)?;
    Ok(folder)
}

/// Installs into a folder.
pub(crate) fn pip(words: &[&str], folder: &Path, variables: &[(&str, &str)]) -> Result<()> {
    let status = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(words)
        .arg("--target")
        .arg(folder)
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .envs(variables.iter().copied())
        .status()
        .context("python3 cannot be started")?;
    if !status.success() {
        bail!(
            "pip install {} {status}; python3 {} or later with pip, and PyPI, must be there",
            words.join(" "),
            setup::PYTHON_MIN
        );
    }
    Ok(())
}

/// Runs Python in the package's folder, with its tools.
fn python(words: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let tools = tools()?;
    let path = tools.to_string_lossy();
    let own = [("PYTHONPATH", &*path), ("PYTHONDONTWRITEBYTECODE", "1")];
    setup::run_with(FOLDER, "python3", words, &[&own, variables].concat())
}

/// Checks types, format and the made file, and runs the tests, against the real program, too.
pub(crate) fn test() -> Result<()> {
    python(&["unasync.py", "--check"], &[])?;
    python(&["-m", "mypy"], &[])?;
    python(&["-m", "ruff", "format", "--check", "."], &[])?;
    let program = target().join("debug/tidings");
    python(
        &["-m", "pytest"],
        &[("TIDINGS_BIN", &program.to_string_lossy())],
    )
}

/// Asks every call of the API's description, and holds the answers to it; bounded to 80 s.
pub(crate) fn ask_api() -> Result<()> {
    let folder = "proof/openapi";
    let tools = installed(folder, "tools/openapi")?;
    let program = target().join("debug/tidings");
    setup::run_with(
        folder,
        "python3",
        &["ask.py"],
        &[
            ("PYTHONPATH", &*tools.to_string_lossy()),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("TIDINGS_BIN", &*program.to_string_lossy()),
        ],
    )
}

/// Builds the wheel and the source archive into a folder: the same sources give the same bytes.
pub(crate) fn build(out: &Path) -> Result<()> {
    let out = out.to_string_lossy();
    let words = ["-m", "hatchling", "build", "-d", &out];
    python(&words, &[("SOURCE_DATE_EPOCH", MODIFIED)])
}

/// Installs the files of a folder as a user would, and uses what was installed: no file of the
/// checkout.
pub(crate) fn check(out: &Path) -> Result<()> {
    let tools = tools()?;
    for end in [".whl", ".tar.gz"] {
        let file = find(out, end)?;
        let to = target().join("package-python");
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        let file = file.to_string_lossy();
        let path = tools.to_string_lossy();
        // The source archive is built with the tools that are there.
        let words = ["--no-deps", "--no-index", "--no-build-isolation", &file];
        pip(&words, &to, &[("PYTHONPATH", &path)])?;
        let program = "import tidings_server as t, os; \
            assert os.path.exists(os.path.join(os.path.dirname(t.__file__), 'py.typed')); \
            print(t.__file__, t.__version__)";
        let used = Command::new("python3")
            .args(["-c", program])
            .env("PYTHONPATH", format!("{}:{path}", to.display()))
            .current_dir(&to)
            .output()
            .context("python3 cannot be started")?;
        let told = String::from_utf8_lossy(&used.stdout);
        ensure!(
            used.status.success()
                && told.starts_with(&*to.to_string_lossy())
                && told.trim().ends_with(env!("CARGO_PKG_VERSION")),
            "{file}, installed, does not work: {told}{}",
            String::from_utf8_lossy(&used.stderr)
        );
    }
    println!("the Python package is installed from its wheel and its source archive");
    Ok(())
}

fn find(out: &Path, end: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(STEM) && name.ends_with(end) {
            return Ok(path);
        }
    }
    bail!("{} has no {STEM}*{end}", out.display())
}
