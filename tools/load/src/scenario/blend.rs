//! What users do in a mixed day, and in which shares.

/// What a user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    SmallChannel,
    LargeChannel,
    Peer,
    Offline,
    UserAttributes,
    ChannelAttributes,
    ReadAttributes,
    Presence,
    Members,
    Invitation,
    /// A user who is logged in logs out, one who is away logs in.
    Commute,
    /// The second half of `Commute`, whose share covers both.
    Login,
}

/// Operations per thousand, and their names in the report.
pub(crate) const BLEND: [(&str, usize); 11] = [
    ("small_channel", 400),
    ("large_channel", 20),
    ("peer", 300),
    ("offline", 50),
    ("user_attributes", 50),
    ("channel_attributes", 20),
    ("read_attributes", 30),
    ("presence", 50),
    ("members", 30),
    ("invitation", 20),
    ("logout", 30),
];

/// The name of the one operation that has no share of its own.
pub(crate) const LOGIN: &str = "login";

/// Operations in the order of [`BLEND`], and the one without a share.
pub(crate) const OPS: [Op; 12] = [
    Op::SmallChannel,
    Op::LargeChannel,
    Op::Peer,
    Op::Offline,
    Op::UserAttributes,
    Op::ChannelAttributes,
    Op::ReadAttributes,
    Op::Presence,
    Op::Members,
    Op::Invitation,
    Op::Commute,
    Op::Login,
];

impl Op {
    /// The operation that a number below 1000 stands for.
    pub(crate) fn of(mut drawn: usize) -> Self {
        for ((_, share), op) in BLEND.iter().zip(OPS) {
            if drawn < *share {
                return op;
            }
            drawn -= share;
        }
        Self::Commute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_a_thousand() {
        let sum: usize = BLEND.iter().map(|(_, share)| share).sum();
        assert_eq!(sum, 1000);
    }

    #[test]
    fn numbers_stand_for_operations_by_their_shares() {
        let ops = [0, 399, 400, 420, 999].map(Op::of);
        let expected = [
            Op::SmallChannel,
            Op::SmallChannel,
            Op::LargeChannel,
            Op::Peer,
            Op::Commute,
        ];
        assert_eq!(ops, expected);
    }
}
