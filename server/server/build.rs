//! Puts the built pages and packages into the program, compressed beforehand.
//!
//! What is not built is left out: the program says so where the page would be. Each directory is
//! watched as a whole, and made if its package is there, because Cargo takes a watched directory
//! that is not there for one that changes all the time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use sha2::{Digest as _, Sha256};

/// Name of the table, where its files are, from the workspace's root, and how their names may hold
/// hashes.
const DIRECTORIES: [(&str, &str, Hashed); 6] = [
    ("CONSOLE", "site/console/dist", Hashed::InAssets),
    ("DEMO", "site/demo/dist", Hashed::InAssets),
    ("GUIDE", "site/guide/dist", Hashed::InAssets),
    ("RTM", "clients/js/rtm/dist", Hashed::ByContent),
    ("SIGNALING", "clients/js/signaling/dist", Hashed::ByContent),
    ("PACKAGES", "clients/js/pack", Hashed::ByContent),
];

/// What the console may load and run: its own files, and the API of its own server. Text never
/// becomes markup or code: the browser refuses the ways in which a script could make it so.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Smaller files are not worth a second look.
const COMPRESSED_FROM: usize = 512;

/// Which names hold a hash of what is in the file, so that it never changes under that name.
#[derive(Clone, Copy)]
enum Hashed {
    /// Those that Vite and VitePress give in `assets/`: 8 letters of base64url before the ending.
    InAssets,
    /// Those with a part that is the beginning of the content's own SHA-256, in hexadecimal digits.
    ByContent,
}

type Fault = Box<dyn std::error::Error>;

fn main() -> Result<(), Fault> {
    println!("cargo::rerun-if-changed=build.rs");
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = manifest.join("../..");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut tables = String::new();
    for (name, directory, hashed) in DIRECTORIES {
        let directory = root.join(directory);
        let package_is_there = directory.parent().is_some_and(Path::is_dir);
        if package_is_there && !directory.exists() {
            // Where the sources may not be written, the pages are not built there either.
            let _ = fs::create_dir(&directory);
        }
        let mut files = BTreeMap::new();
        if directory.is_dir() {
            println!("cargo::rerun-if-changed={}", directory.display());
            gather(&directory, "", &mut files)?;
        }
        // What was compressed where it was built is a form of its file, not a file.
        let plain: Vec<String> = files.keys().cloned().collect();
        files.retain(|path, _| {
            let of = [".br", ".gz"].iter().find_map(|end| path.strip_suffix(end));
            of.is_none_or(|of| plain.binary_search_by(|one| one.as_str().cmp(of)).is_err())
        });
        writeln!(tables, "pub(super) static {name}: &[File] = &[")?;
        for (path, file) in &files {
            tables.push_str(&entry(name, (path, file), hashed, &out)?);
        }
        tables.push_str("];\n");
    }
    fs::write(out.join("files.rs"), tables)?;
    Ok(())
}

/// The files of a directory by their paths in it. The build's own notes, whose names begin with a
/// dot, are nobody's page.
fn gather(directory: &Path, prefix: &str, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            gather(&entry.path(), &format!("{path}/"), files)?
        } else {
            files.insert(path, entry.path().canonicalize()?);
        }
    }
    Ok(())
}

fn entry(
    table: &str,
    (path, file): (&str, &Path),
    hashed: Hashed,
    out: &Path,
) -> Result<String, Fault> {
    let content = fs::read(file)?;
    let digest = hex(&Sha256::digest(&content));
    let media_type = media_type(path);
    let policy = if table == "CONSOLE" {
        CONSOLE_POLICY.to_owned()
    } else if path.ends_with(".html") {
        policy(&String::from_utf8_lossy(&content))
    } else {
        "default-src 'none'; frame-ancestors 'none'".to_owned()
    };
    let [brotli, gzip] = if is_text(&media_type) && content.len() >= COMPRESSED_FROM {
        [
            compressed(&content, file, &out.join(format!("{digest}.br")), brotli)?,
            compressed(&content, file, &out.join(format!("{digest}.gz")), gzip)?,
        ]
    } else {
        [const { String::new() }; 2].map(|_| "None".to_owned())
    };
    let is_lasting = match hashed {
        Hashed::InAssets => path.starts_with("assets/") && has_build_hash(path),
        Hashed::ByContent => has_own_hash(path, &digest),
    };
    let tag = &digest[..32];
    // A copy, so that the pages may be built anew while the program is compiled.
    let copy = out.join(format!("{digest}.plain"));
    keep(&copy, &content)?;
    Ok(format!(
        "File {{ path: {path:?}, media_type: {media_type:?}, tag: {tag:?}, policy: {policy:?}, \
         is_lasting: {is_lasting}, plain: include_bytes!({copy:?}), brotli: {brotli}, gzip: {gzip} }},\n"
    ))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn media_type(path: &str) -> String {
    let guessed = match path.rsplit('.').next() {
        Some("tgz") => "application/gzip".to_owned(),
        Some("ts" | "mts" | "cts") => "text/plain".to_owned(),
        Some("cjs" | "mjs") => "text/javascript".to_owned(),
        _ => mime_guess::from_path(path)
            .first_or_octet_stream()
            .to_string(),
    };
    if guessed.starts_with("text/") {
        format!("{guessed}; charset=utf-8")
    } else {
        guessed
    }
}

fn is_text(media_type: &str) -> bool {
    let texts = ["text/", "application/json", "application/wasm", "image/svg"];
    texts.iter().any(|text| media_type.starts_with(text))
}

/// `app.Bx7k3a2D.js`, `main-DkJ3abcd.css`: a word that nobody would write before the ending.
fn has_build_hash(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some((stem, _)) = name.rsplit_once('.') else {
        return false;
    };
    let stem = stem.strip_suffix(".lean").unwrap_or(stem);
    let Some(hash) = stem.get(stem.len().saturating_sub(8)..) else {
        return false;
    };
    let before = &stem[..stem.len() - hash.len()];
    hash.len() == 8
        && before.ends_with(['.', '-'])
        && hash
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        && hash
            .chars()
            .any(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

fn has_own_hash(path: &str, digest: &str) -> bool {
    let mut parts = path.split(['.', '-', '/']);
    parts.any(|part| part.len() >= 8 && digest.starts_with(part))
}

/// What a page may load and run: what it says itself, else its own server's files and its own
/// inline scripts.
fn policy(page: &str) -> String {
    let stated = page
        .find("http-equiv=\"Content-Security-Policy\"")
        .and_then(|at| {
            let tag = &page[at..at + page[at..].find('>')?];
            let content = tag.split_once("content=\"")?.1;
            Some(content.split_once('"')?.0.replace("&#39;", "'"))
        });
    let policy = stated.unwrap_or_else(|| {
        let mut scripts = String::from("script-src 'self'");
        for script in inline_scripts(page) {
            let digest = base64(&Sha256::digest(script));
            if !scripts.contains(&digest) {
                let _ = write!(scripts, " 'sha256-{digest}'");
            }
        }
        format!(
            "default-src 'self'; {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
             base-uri 'none'; form-action 'self'; object-src 'none'"
        )
    });
    format!("{policy}; frame-ancestors 'self'")
}

fn inline_scripts(page: &str) -> Vec<&str> {
    let mut scripts = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find("<script") {
        rest = &rest[at + "<script".len()..];
        let Some(end) = rest.find('>') else { break };
        let attributes = &rest[..end];
        rest = &rest[end + 1..];
        let Some(close) = rest.find("</script") else {
            break;
        };
        if !attributes.contains("src=") && close > 0 {
            scripts.push(&rest[..close]);
        }
        rest = &rest[close..];
    }
    scripts
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three
            .iter()
            .fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            let is_there = place <= three.len();
            text.push(if is_there { char::from(letter) } else { '=' });
        }
    }
    text
}

/// An expression for the compressed content. What stands compressed beside the plain file, or was
/// compressed by a build before, which is named by its content, is taken as it is.
fn compressed(
    content: &[u8],
    plain: &Path,
    file: &Path,
    compress: fn(&[u8]) -> io::Result<Vec<u8>>,
) -> io::Result<String> {
    let ending = file.extension().and_then(|ending| ending.to_str());
    let beside = PathBuf::from(format!(
        "{}.{}",
        plain.display(),
        ending.unwrap_or_default()
    ));
    let made = match (fs::read(&beside), fs::read(file)) {
        (Ok(made), _) | (_, Ok(made)) => made,
        _ => compress(content)?,
    };
    keep(file, &made)?;
    Ok(if made.len() < content.len() {
        format!("Some(include_bytes!({file:?}))")
    } else {
        "None".to_owned()
    })
}

/// Writes a file at once, unless it is there as it should be.
fn keep(file: &Path, content: &[u8]) -> io::Result<()> {
    if fs::read(file).is_ok_and(|there| there == content) {
        return Ok(());
    }
    let partial = file.with_extension("partial");
    fs::write(&partial, content)?;
    fs::rename(&partial, file)
}

fn brotli(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut made = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams::default();
    brotli::BrotliCompress(&mut &content[..], &mut made, &parameters)?;
    Ok(made)
}

fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}
