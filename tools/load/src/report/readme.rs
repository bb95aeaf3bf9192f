//! The figures in the README: they equal the document's.

use super::record::{Case, Series};
use crate::compare::digits;
use crate::scenario::Name;

const BEGIN: &str = "<!-- figures: made by cargo xtask performance -->";
const END: &str = "<!-- figures end -->";

/// The README with the figures of a series between its marks; `None` when it has no marks.
pub(super) fn with_figures(readme: &str, series: &Series) -> Option<String> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n{END}{after}", table(series)))
}

fn table(series: &Series) -> String {
    let room = Case::Fanout(1000, 128);
    let cpu = |server| series.figure(room, server, "cpu_us_per_delivery");
    let mut rows = Vec::new();
    if let Some(ours) = cpu("tidings") {
        let beside = match cpu("uws").filter(|theirs| *theirs > 0.0) {
            Some(theirs) => format!(" ({}× uWebSockets)", digits(ours / theirs)),
            None => String::new(),
        };
        let what = "CPU per delivery, in a channel of 1,000";
        rows.push(format!("| {what} | {} µs{beside} |", digits(ours)));
    }
    let idle = Case::Other(Name::Idle);
    if let Some(bytes) = series.figure(idle, "tidings", "bytes_per_connection") {
        let what = "Memory per idle connection, in the process";
        rows.push(format!("| {what} | {} bytes |", digits(bytes)));
    }
    if let Some(stored) = series.figure(Case::Other(Name::Offline), "tidings", "stored_per_s") {
        let what = "Durable offline messages per second";
        rows.push(format!("| {what} | {} |", digits(stored)));
    }
    format!(
        "| Measured on {} cores ({}) | |\n| --- | ---: |\n{}\n\n\
         [All figures, beside other servers](docs/proven/performance.md).",
        series.machine.cores,
        series.machine.cpu,
        rows.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::line;
    use super::*;

    #[test]
    fn figures_stand_between_their_marks_and_nowhere_else() {
        let cpu = |value| format!("\"cpu_us_per_delivery\":{value}");
        let text = line("fanout", "uws", 0, &cpu(0.5)) + &line("fanout", "tidings", 0, &cpu(0.25));
        let series = Series::parse(&text).expect("these are lines of a series");
        let readme = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let new = with_figures(&readme, &series).expect("there are marks");
        assert!(
            new.contains(
                "| CPU per delivery, in a channel of 1,000 | 0.250 µs (0.500× uWebSockets) |"
            ),
            "{new}"
        );
        assert!(
            new.starts_with("before\n") && new.ends_with("\nafter\n"),
            "{new}"
        );
        assert!(!new.contains("old"), "{new}");
        assert_eq!(
            with_figures(&new, &series).as_ref(),
            Some(&new),
            "twice is once"
        );
        assert_eq!(with_figures("nothing", &series), None);
    }
}
