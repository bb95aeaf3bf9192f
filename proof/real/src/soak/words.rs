//! The text of a message: it says which one it is.

use super::judge::{Destination, Series};

/// Writes the text of a series' message, filled up with `padding` bytes.
pub(super) fn write(series: &Series, number: u32, padding: usize) -> String {
    let (kind, to) = match &series.to {
        Destination::Peer(user) => ("peer", user),
        Destination::Channel(channel) => ("channel", channel),
    };
    let from = &series.from;
    format!("{kind} {from} {to} {number} {}", ".".repeat(padding))
}

/// Reads it back; none when it is no text of ours.
pub(super) fn read(text: &str) -> Option<(Series, u32)> {
    let mut words = text.splitn(5, ' ');
    let mut word = || words.next();
    let (kind, from, to) = (word()?, word()?.to_owned(), word()?.to_owned());
    let number = word()?.parse().ok()?;
    let to = match kind {
        "peer" => Destination::Peer(to),
        "channel" => Destination::Channel(to),
        _ => return None,
    };
    Some((Series { from, to }, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_were_written() {
        for to in [
            Destination::Peer("bob".into()),
            Destination::Channel("lobby".into()),
        ] {
            let from = "alice".into();
            let series = Series { from, to };
            assert_eq!(read(&write(&series, 7, 3)), Some((series, 7)));
        }
        assert_eq!(read("something else"), None);
    }
}
