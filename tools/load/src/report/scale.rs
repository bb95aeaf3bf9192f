//! What a million connections would take, extrapolated from a hundred thousand.

use std::fmt::Write as _;

use super::record::{Case, Series};
use crate::compare::digits;
use crate::scenario::Name;

const GIB: f64 = (1_u64 << 30) as f64;

/// What the kernel keeps for one end of an idle connection. Measured beforehand, with connections
/// that nobody reads.
pub(super) const KERNEL_BYTES: f64 = 4_900.0;

/// Memory of the machine in question.
const MACHINE_GIB: f64 = 24.0;

/// Writes the arithmetic, if the series has the figures.
pub(super) fn scale(out: &mut String, series: &Series) {
    let figure = |name: &str| series.figure(Case::Other(Name::Scale), "tidings", name);
    let (Some(bytes), Some(cpu_us)) = (
        figure("bytes_per_connection"),
        figure("cpu_us_per_connection_second"),
    ) else {
        return;
    };
    let gib = |bytes: f64| bytes * 1e6 / GIB;
    let files = series.machine.open_files_max;
    let _ = writeln!(
        out,
        "### A million on {MACHINE_GIB} GiB\n\n\
         | for a million connections | GiB |\n| --- | ---: |\n\
         | the servers' resident memory, {bytes:.0} bytes each | {:.1} |\n\
         | the kernel's end of the server, {KERNEL_BYTES} bytes each | {:.1} |\n\
         | **the servers' machine** | **{:.1}** |\n\
         | the kernel's end of the clients, if they are on the same machine | {:.1} |",
        gib(bytes),
        gib(KERNEL_BYTES),
        gib(bytes + KERNEL_BYTES),
        gib(KERNEL_BYTES),
    );
    let mut all = bytes + 2.0 * KERNEL_BYTES;
    if let Some(own) = figure("generator_bytes_per_connection") {
        all += own;
        let _ = writeln!(
            out,
            "| the generators' resident memory, {own:.0} bytes each | {:.1} |",
            gib(own)
        );
    }
    let fits = if gib(all) <= MACHINE_GIB {
        "fits"
    } else {
        "does not fit"
    };
    let _ = writeln!(out, "| **both on one machine** | **{:.1}** |\n", gib(all));
    if let Some(machine) = figure("machine_bytes_per_connection") {
        let _ = writeln!(
            out,
            "As a check: with all of them logged in the machine had {machine:.0} bytes per connection less than before, programs, kernel and both ends together: {:.1} GiB for a million.\n",
            gib(machine)
        );
    }
    let _ = writeln!(
        out,
        "It {fits} with the clients, and without them the servers leave {:.0} GiB. Heartbeats, here every 10 s, take {} cores of a million, and every 30 s about a third. \
         What stops it is the limit on open files of a process, {files} here: {} server processes, each with a port of its own, or a higher limit. \
         After that the ports of the clients: {} addresses, with a new one every 10,000 connections. \
         Neither is memory or CPU of the server. With TLS a connection takes what the table of idle connections says, and a million of them do not fit beside their clients.\n",
        MACHINE_GIB - gib(bytes + KERNEL_BYTES),
        digits(cpu_us),
        1_000_000_u64.div_ceil(files.saturating_sub(1_000).max(1)),
        1_000_000 / 10_000,
    );
}
