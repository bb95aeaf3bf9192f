//! The document: tables side by side, ratios against the goals, plots. Made from the lines of a
//! series and nothing else.
//!
//! Reading order: `record` (the lines), `goals` (what is promised), `page`, `day` and `scale` (the
//! document), `svg` (plots).

mod day;
mod goals;
mod page;
mod plots;
mod readme;
mod record;
mod scale;
mod svg;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use record::Series;

/// Settings of a report.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// The figures: lines of JSON, as `series` and `compare --json` write them
    #[arg(long, default_value = "target/performance.jsonl")]
    json: PathBuf,
    /// The folder that gets performance.md and performance/*.svg
    #[arg(long, default_value = "docs/proven")]
    folder: PathBuf,
    /// The file whose figures between marks are made again; left alone when it has no marks
    #[arg(long, default_value = "README.md")]
    readme: PathBuf,
}

/// Writes the document and its plots.
///
/// # Errors
/// If the figures cannot be read or are empty, or a file cannot be written.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let path = &settings.json;
    let text = std::fs::read_to_string(path).with_context(|| {
        let path = path.display();
        format!("reading {path}; `tidings-load series` writes it")
    })?;
    let series = Series::parse(&text).with_context(|| format!("reading {}", path.display()))?;
    if series.records.is_empty() {
        bail!("{} has no figures", path.display());
    }
    let plots = settings.folder.join("performance");
    std::fs::create_dir_all(&plots).with_context(|| format!("making {}", plots.display()))?;
    let write = |path: PathBuf, text: String| {
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    let mut drawn = Vec::new();
    for plot in plots::all(&series) {
        write(plots.join(format!("{}.svg", plot.file)), plot.svg.clone())?;
        drawn.push(plot);
    }
    let page = settings.folder.join("performance.md");
    write(page.clone(), page::page(&series, &drawn))?;
    if let Ok(text) = std::fs::read_to_string(&settings.readme)
        && let Some(new) = readme::with_figures(&text, &series)
    {
        write(settings.readme.clone(), new)?;
    }
    println!("{} and {} plots are written", page.display(), drawn.len());
    Ok(())
}
