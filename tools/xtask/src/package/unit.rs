//! The systemd unit, as systemd itself reads it.

use std::fs;

use anyhow::{Context as _, Result};

use super::output;
use crate::setup::{root, target};

/// Highest exposure that `systemd-analyze security` may report, in tenths; it calls up to 20 "OK"
/// and 100 the worst.
const EXPOSURE_MAX: &str = "18";

/// Fails when systemd does not understand the unit, or when the unit protects the service less than
/// before.
pub(super) fn check() -> Result<()> {
    let text = fs::read_to_string(root().join("packaging/tidings.service"))
        .context("reading packaging/tidings.service")?;
    let folder = target().join("package-unit");
    super::empty(&folder)?;
    // The program that it names must exist.
    let program = target().join("debug/tidings");
    let unit = folder.join("tidings.service");
    fs::write(
        &unit,
        text.replace("/usr/bin/tidings", &program.to_string_lossy()),
    )?;
    let unit = unit.to_string_lossy();
    output("systemd-analyze", &["verify", "--man=no", &unit])?;
    output(
        "systemd-analyze",
        &[
            "security",
            "--offline=true",
            "--no-pager",
            "--threshold",
            EXPOSURE_MAX,
            &unit,
        ],
    )?;
    Ok(())
}
