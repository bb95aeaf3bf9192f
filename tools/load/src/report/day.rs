//! The table of a mixed day: a row for each operation.

use std::fmt::Write as _;

use super::record::{Case, Series};
use crate::compare::digits;
use crate::scenario::Name;
use crate::scenario::blend::{BLEND, LOGIN};

/// Writes the day, if the series has one.
pub(super) fn day(out: &mut String, series: &Series) {
    let case = Case::Other(Name::Day);
    let records = series.of(case);
    let Some(record) = records
        .iter()
        .rev()
        .find(|record| record.server == "tidings")
    else {
        return;
    };
    let figure = |name: &str| record.figures.get(name).copied().unwrap_or_default();
    let size = &record.size;
    let _ = writeln!(
        out,
        "## A mixed day\n\n\
         {} clients: nine of ten stay, each in a channel of 10 and in one of {}; the tenth logs in, joins a lobby and logs out, over and over. \
         {} operations a second are due, drawn by the shares below; four bodies of five have {} bytes, the fifth has 1024. \
         Latency is from when an operation was due until it is answered: a channel message, when the last member has it; \
         a peer message, when the sender knows that it was received; an invitation, when the caller knows that it was accepted; \
         a login, when the lobby is joined. Median of {}.\n",
        size.clients, size.members, size.rate, size.bytes, record.rounds
    );
    out.push_str("| operation | share, % | p50, µs | p99, µs | p99.9, µs |\n| --- | ---: | ---: | ---: | ---: |\n");
    let shares = BLEND
        .iter()
        .map(|(name, share)| (*name, format!("{:.1}", *share as f64 / 10.0)));
    // Logins and logouts alternate, so they share one share.
    for (name, share) in shares.chain([(LOGIN, "(with logout)".to_owned())]) {
        if figure(&format!("{name}_count")) == 0.0 {
            continue;
        }
        let cells = ["p50", "p99", "p999"].map(|word| digits(figure(&format!("{name}_{word}_us"))));
        let name = name.replace('_', " ");
        let _ = writeln!(out, "| {name} | {share} | {} |", cells.join(" | "));
    }
    let _ = writeln!(
        out,
        "\nDone: {} operations a second, {} deliveries; {} µs of the server's CPU for an operation with all that follows from it, \
         {} of a core; {} resident bytes per client. Lost {}, doubled {}, disordered {}.\n",
        digits(figure("operations_per_s")),
        digits(figure("deliveries_per_s")),
        digits(figure("cpu_us_per_operation")),
        digits(figure("cpu_share")),
        digits(figure("bytes_per_connection")),
        figure("lost"),
        figure("doubled"),
        figure("disordered"),
    );
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::line;
    use super::*;

    #[test]
    fn a_row_for_each_operation_that_was_done() {
        let figures = r#""peer_count":3.0,"peer_p50_us":700.0,"peer_p99_us":1500.0,"lost":2.0"#;
        let text = line("day", "tidings", 4000, figures);
        let series = Series::parse(&text).expect("this is a line of a series");
        let mut out = String::new();
        day(&mut out, &series);
        assert!(out.contains("| peer | 30.0 | 700 | 1500 | 0 |"), "{out}");
        assert!(out.contains("Lost 2, doubled 0"), "{out}");
        assert!(!out.contains("| login |"), "nobody logged in: {out}");
    }
}
