//! Changes a TOML file without touching what stays the same: comments, order, and the notation of
//! values.

use toml_edit::{ArrayOfTables, DocumentMut, Item, TableLike, TomlError};

/// `text`, changed to say what `wanted` says. Tables in lists correspond when their `id` is equal.
///
/// # Errors
/// If one of them is not TOML.
pub(crate) fn merged(text: &str, wanted: &str) -> Result<String, TomlError> {
    let mut document: DocumentMut = text.parse()?;
    let wanted: DocumentMut = wanted.parse()?;
    merge_tables(document.as_table_mut(), wanted.as_table());
    Ok(document.to_string())
}

fn merge_tables(into: &mut dyn TableLike, wanted: &dyn TableLike) {
    let keys: Vec<String> = into.iter().map(|(key, _)| key.to_owned()).collect();
    for key in keys.iter().filter(|key| !wanted.contains_key(key)) {
        into.remove(key);
    }
    for (key, wanted) in wanted.iter() {
        match into.get_mut(key) {
            None => drop(into.insert(key, wanted.clone())),
            Some(item) => merge_items(item, wanted),
        }
    }
}

fn merge_items(into: &mut Item, wanted: &Item) {
    if let Some(lists) = wanted.as_array_of_tables() {
        // A list of inline tables is converted to the usual form, so that all are changed in the
        // same way.
        let taken = std::mem::take(into);
        let mut there = taken.into_array_of_tables().unwrap_or_default();
        merge_lists(&mut there, lists);
        *into = Item::ArrayOfTables(there);
        return;
    }
    if let (Some(into), Some(wanted)) = (into.as_table_like_mut(), wanted.as_table_like()) {
        return merge_tables(into, wanted);
    }
    if let (Some(old), Some(new)) = (into.as_value(), wanted.as_value()) {
        let plain = |value: &toml_edit::Value| value.clone().decorated("", "").to_string();
        let is_same = plain(old) == plain(new) || same_value(old, new);
        if !is_same {
            let decor = old.decor().clone();
            let mut new = new.clone();
            *new.decor_mut() = decor;
            *into = Item::Value(new);
        }
        return;
    }
    *into = wanted.clone();
}

/// Whether both have the same value, however they are written.
fn same_value(one: &toml_edit::Value, other: &toml_edit::Value) -> bool {
    let meaning = |value: &toml_edit::Value| {
        let text = format!("a = {}", value.clone().decorated("", ""));
        text.parse::<toml::Table>().ok()
    };
    let (one, other) = (meaning(one), meaning(other));
    one.is_some() && one == other
}

fn merge_lists(into: &mut ArrayOfTables, wanted: &ArrayOfTables) {
    let id = |table: &toml_edit::Table| {
        let id = table.get("id").and_then(Item::as_str);
        id.map(str::to_owned)
    };
    into.retain(|there| wanted.iter().any(|table| id(table) == id(there)));
    for table in wanted.iter() {
        let at = into.iter().position(|there| id(there) == id(table));
        match at.and_then(|at| into.get_mut(at)) {
            Some(there) => merge_tables(there, table),
            None => {
                let mut table = table.clone();
                // Appended after the existing entries, not at its position in `wanted`.
                table.set_position(None);
                into.push(table);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_the_same_is_not_touched() {
        let text =
            "# top\na = 1 # one\nlist = [ 'x' , \"y\" ]\n\n[[t]]\nid = 'p' # first\nv = 0x10\n";
        let wanted = "a = 1\nlist = [\"x\", \"y\"]\n[[t]]\nid = \"p\"\nv = 16\n";
        assert_eq!(merged(text, wanted).expect("TOML"), text);
    }

    #[test]
    fn what_differs_is_changed_in_its_place() {
        let text =
            "# top\na = 1 # one\nb = 2\n\n[[t]]\nid = 'p' # first\n[t.s]\nk = 1 # kept\nl = 2\n";
        let wanted =
            "a = 5\nc = true\n[[t]]\nid = \"p\"\nn = \"new\"\n[t.s]\nk = 1\n[[t]]\nid = \"q\"\n";
        let found = merged(text, wanted).expect("TOML");
        for line in [
            "# top",
            "a = 5 # one",
            "c = true",
            "id = 'p' # first",
            "k = 1 # kept",
            "n = \"new\"",
        ] {
            assert!(found.lines().any(|there| there == line), "{line}:\n{found}");
        }
        let meant: toml::Table = wanted.parse().expect("TOML");
        assert_eq!(
            found.parse::<toml::Table>().expect("TOML"),
            meant,
            "{found}"
        );
    }

    #[test]
    fn a_list_in_one_line_is_taken_too() {
        let found =
            merged("t = [{ id = 'p', v = 1 }]\n", "[[t]]\nid = \"p\"\nv = 2\n").expect("TOML");
        let meant: toml::Table = "[[t]]\nid = \"p\"\nv = 2\n".parse().expect("TOML");
        assert_eq!(
            found.parse::<toml::Table>().expect("TOML"),
            meant,
            "{found}"
        );
    }
}
