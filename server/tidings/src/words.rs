//! Words: corrections of misspelt ones, plurals, and what says yes or no.

use crate::failure::Failure;

/// The known word most similar to a misspelt one; `None` if none is similar.
pub(crate) fn nearest<'a>(
    mistyped: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let likeness =
        |word: &str| strsim::jaro_winkler(&mistyped.to_lowercase(), &word.to_lowercase());
    let scored = known.into_iter().map(|word| (likeness(word), word));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    // The command line's own suggestions use the same threshold.
    (best.0 > 0.8).then_some(best.1)
}

/// A number with its noun.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}

/// A list of texts from a command line, where commas stand between them.
pub(crate) fn between_commas(text: &str) -> toml::Value {
    let parts = text.split(',').map(str::trim);
    let parts = parts.filter(|part| !part.is_empty());
    parts.map(toml::Value::from).collect::<Vec<_>>().into()
}

/// A setting that is true or false.
///
/// # Errors
/// It is something else.
pub(crate) fn truth(key: &str, value: &toml::Value) -> Result<bool, Failure> {
    value.as_bool().ok_or_else(|| {
        let text = format!("setting {key} cannot be {value}");
        Failure::new(text, "give true or false")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_nonsense_is_not() {
        let known = ["TIDINGS_LISTEN", "TIDINGS_LOG", "TIDINGS_DATA_DIR"];
        assert_eq!(nearest("TIDINGS_LISTN", known), Some("TIDINGS_LISTEN"));
        assert_eq!(nearest("TIDINGS_DATADIR", known), Some("TIDINGS_DATA_DIR"));
        assert_eq!(nearest("PATH", known), None);
    }
}
