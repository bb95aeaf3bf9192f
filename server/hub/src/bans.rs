//! Who may not log in, join or send: rules of an app, as data. Source: rest 11.3.

use std::collections::BTreeMap;
use std::net::IpAddr;

use tidings_wire::names::{ChannelName, UserId};

/// What a rule takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Barred {
    /// Logins. A rule that names a channel cannot take them away.
    pub login: bool,
    /// Joins. Without a channel, those of every channel.
    pub join: bool,
    /// Messages: with a channel, those to it; without, all, to users too.
    pub send: bool,
}

impl Barred {
    /// Nothing else than logins.
    pub const LOGIN: Self = Self {
        login: true,
        join: false,
        send: false,
    };

    fn or(self, other: Self) -> Self {
        Self {
            login: self.login || other.login,
            join: self.join || other.join,
            send: self.send || other.send,
        }
    }

    /// Whether it takes nothing away.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// The addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressPrefix {
    address: IpAddr,
    bits: u8,
}

impl AddressPrefix {
    /// Of this many bits of `address`; `None` = it has not so many. What is an IPv4 address in IPv6
    /// counts as IPv4.
    pub fn new(address: IpAddr, bits: u8) -> Option<Self> {
        let (address, bits) = match address {
            IpAddr::V6(v6) if bits >= 96 => match v6.to_ipv4_mapped() {
                Some(v4) => (IpAddr::V4(v4), bits - 96),
                None => (address, bits),
            },
            _ => (address, bits),
        };
        let max = if address.is_ipv4() { 32 } else { 128 };
        debug_assert!(
            address.is_ipv4() || bits < 96 || address.to_canonical() == address,
            "an IPv4 address in IPv6"
        );
        (bits <= max).then_some(Self { address, bits })
    }

    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or an address alone.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => {
                let is_number = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
                (address, Some(bits.parse().ok().filter(|_: &u8| is_number)?))
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        Self::new(address, bits.unwrap_or(all))
    }

    /// Whether an address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        fn head(bits: u8, of: u8, value: u128) -> u128 {
            debug_assert!(bits <= of, "more bits than an address has");
            value.checked_shr(u32::from(of - bits)).unwrap_or(0)
        }
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let value = |it: std::net::Ipv4Addr| u128::from(u32::from(it));
                head(self.bits, 32, value(own)) == head(self.bits, 32, value(other))
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                head(self.bits, 128, u128::from(own)) == head(self.bits, 128, u128::from(other))
            }
            _ => false,
        }
    }
}

impl std::fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// One rule: whoever matches all that it names loses what it bars. One that names nothing matches
/// nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// The user whom it names; `None` = everybody.
    pub user: Option<UserId>,
    /// The channel in which it holds; `None` = everywhere.
    pub channel: Option<ChannelName>,
    /// From here. Looked at when somebody logs in or resumes: it bars logins only.
    pub address: Option<AddressPrefix>,
    /// What it takes away.
    pub barred: Barred,
    /// Until then, in Unix milliseconds; [`crate::FOR_EVER`] = until it is taken back.
    pub until_ms: u64,
}

/// The rules of an app, by what they are looked up by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bans {
    users: BTreeMap<UserId, Vec<Ban>>,
    /// Those that name a channel and no user.
    channels: BTreeMap<ChannelName, Vec<Ban>>,
    /// Those that name an address. Bound: the registry's.
    addresses: Vec<Ban>,
}

impl FromIterator<Ban> for Bans {
    fn from_iter<T: IntoIterator<Item = Ban>>(rules: T) -> Self {
        let mut bans = Self::default();
        for ban in rules {
            match (&ban.address, &ban.user, &ban.channel) {
                (Some(_), ..) => bans.addresses.push(ban),
                (None, Some(user), _) => bans.users.entry(user.clone()).or_default().push(ban),
                (None, None, Some(channel)) => {
                    let channel = channel.clone();
                    bans.channels.entry(channel).or_default().push(ban);
                }
                (None, None, None) => {}
            }
        }
        if cfg!(debug_assertions) {
            bans.assert_consistent();
        }
        bans
    }
}

impl Bans {
    /// Asserts that each rule is found by what it names, and only there: nothing else looks for it.
    fn assert_consistent(&self) {
        let of_users = self
            .users
            .iter()
            .flat_map(|(of, all)| all.iter().map(move |it| (of, it)));
        for (user, ban) in of_users {
            assert_eq!(ban.user.as_ref(), Some(user), "a rule about another user");
            assert!(
                ban.address.is_none(),
                "a rule of an address bars from everywhere"
            );
        }
        let of_channels = self.channels.iter();
        for (channel, ban) in of_channels.flat_map(|(of, all)| all.iter().map(move |it| (of, it))) {
            assert_eq!(
                ban.channel.as_ref(),
                Some(channel),
                "a rule about another channel"
            );
            assert!(
                ban.user.is_none() && ban.address.is_none(),
                "a rule about some shuts a channel for everybody"
            );
        }
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.channels.is_empty() && self.addresses.is_empty()
    }

    /// What a user may not do at this time, in Unix milliseconds, in a channel or, without one, in
    /// general. Cost: O(log of the rules), and the rules of this user and channel.
    pub fn barred(&self, user: &UserId, channel: Option<&ChannelName>, now_ms: u64) -> Barred {
        debug_assert!(!user.as_str().is_empty(), "rules for nobody");
        let of_user = self.users.get(user).into_iter().flatten();
        let of_channel = channel.and_then(|channel| self.channels.get(channel));
        let rules = of_user.chain(of_channel.into_iter().flatten());
        rules
            .filter(|ban| ban.until_ms > now_ms)
            .filter(|ban| ban.channel.is_none() || ban.channel.as_ref() == channel)
            .fold(Barred::default(), |all, ban| all.or(ban.effect()))
    }

    /// Whether the user may not log in from anywhere.
    pub fn bars_login(&self, user: &UserId, now_ms: u64) -> bool {
        self.barred(user, None, now_ms).login
    }

    /// Users whom rules name, in the order of their ids.
    pub(crate) fn users(&self) -> impl Iterator<Item = &UserId> {
        self.users.keys()
    }

    /// Channels that rules shut for everybody, in the order of their names.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.channels.keys()
    }

    /// Whether any rule names an address.
    pub fn bars_addresses(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// Whether the user may not log in from this address. Cost: O(rules that name addresses).
    pub fn bars_address(&self, user: &UserId, address: IpAddr, now_ms: u64) -> bool {
        self.addresses.iter().any(|ban| {
            debug_assert!(ban.address.is_some(), "a rule without an address");
            let is_from = ban.address.is_some_and(|prefix| prefix.contains(address));
            let is_user = ban.user.as_ref().is_none_or(|of| of == user);
            is_from && is_user && ban.effect().login && ban.until_ms > now_ms
        })
    }
}

impl Ban {
    /// What it takes away, as far as that has a meaning for what it names. Without a channel,
    /// whoever may join none may not log in (rest 11.3).
    fn effect(&self) -> Barred {
        match (&self.channel, &self.address) {
            (Some(_), _) => Barred {
                login: false,
                ..self.barred
            },
            (None, Some(_)) => Barred {
                login: !self.barred.is_nothing(),
                ..Barred::default()
            },
            (None, None) => Barred {
                login: self.barred.login || self.barred.join,
                ..self.barred
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).expect("a user id")
    }

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name).expect("a channel name")
    }

    fn ban(name: Option<&str>, room: Option<&str>, barred: Barred, until_ms: u64) -> Ban {
        Ban {
            user: name.map(user),
            channel: room.map(channel),
            address: None,
            barred,
            until_ms,
        }
    }

    const JOIN: Barred = Barred {
        login: false,
        join: true,
        send: false,
    };

    const SEND: Barred = Barred {
        login: false,
        join: false,
        send: true,
    };

    #[test]
    fn a_rule_bars_whoever_matches_all_that_it_names_until_it_ends() {
        let bans: Bans = [
            ban(Some("mallory"), Some("room"), JOIN, 1_000),
            ban(None, Some("closed"), JOIN, 1_000),
            ban(Some("loud"), None, SEND, 1_000),
            ban(Some("gone"), None, JOIN, 1_000),
            ban(None, None, Barred::LOGIN, 1_000),
        ]
        .into_iter()
        .collect();
        let barred = |name: &str, room: Option<&str>, now_ms| {
            let room = room.map(channel);
            bans.barred(&user(name), room.as_ref(), now_ms)
        };
        assert_eq!(barred("mallory", Some("room"), 999), JOIN);
        assert!(barred("mallory", Some("room"), 1_000).is_nothing());
        assert!(barred("mallory", Some("other"), 0).is_nothing());
        assert!(barred("mallory", None, 0).is_nothing());
        assert!(barred("alice", Some("room"), 0).is_nothing());
        assert_eq!(barred("alice", Some("closed"), 0), JOIN);
        assert_eq!(barred("loud", None, 0), SEND);
        assert_eq!(barred("loud", Some("room"), 0), SEND);
        assert!(bans.bars_login(&user("gone"), 0), "no channel at all");
        assert!(!bans.bars_login(&user("loud"), 0));
        assert!(!bans.bars_login(&user("alice"), 0), "nobody is named");
        assert!(!bans.is_empty());
        assert!(Bans::default().is_empty());
    }

    #[test]
    fn addresses_are_matched_by_their_first_bits() {
        let all = |prefix: &str, inside: &[&str], outside: &[&str]| {
            let parsed = AddressPrefix::parse(prefix).expect(prefix);
            for (texts, expected) in [(inside, true), (outside, false)] {
                for text in texts {
                    let address = text.parse().expect("an address");
                    assert_eq!(parsed.contains(address), expected, "{text} in {prefix}");
                }
            }
        };
        all(
            "192.0.2.0/24",
            &["192.0.2.1", "::ffff:192.0.2.255"],
            &["192.0.3.0", "2001:db8::1"],
        );
        all("0.0.0.0/0", &["255.255.255.255", "0.0.0.0"], &["::1"]);
        all("::/0", &["::1", "ffff::"], &["192.0.2.1"]);
        all("2001:db8::/33", &["2001:db8::1"], &["2001:db8:8000::1"]);
        all("192.0.2.7", &["192.0.2.7"], &["192.0.2.6"]);
        all("::ffff:192.0.2.0/120", &["192.0.2.9"], &["192.0.3.9"]);
        let bad = [
            "",
            "192.0.2.0/33",
            "::/129",
            "192.0.2.0/",
            "192.0.2.0/+8",
            "192.0.2.0/-1",
            "a/8",
            "192.0.2/24",
            "192.0.2.0/256",
            "192.0.2.0/8/8",
        ];
        for text in bad {
            assert_eq!(AddressPrefix::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_address_bars_logins_of_everybody_or_of_one_user() {
        let from = |name: Option<&str>, prefix: &str| Ban {
            address: AddressPrefix::parse(prefix),
            ..ban(name, None, JOIN, 1_000)
        };
        let bans: Bans = [from(None, "192.0.2.0/24"), from(Some("mallory"), "::/0")]
            .into_iter()
            .collect();
        let [near, far] = ["192.0.2.9", "2001:db8::1"].map(|text| text.parse().expect("one"));
        assert!(bans.bars_address(&user("alice"), near, 999));
        assert!(!bans.bars_address(&user("alice"), near, 1_000));
        assert!(!bans.bars_address(&user("alice"), far, 0));
        assert!(bans.bars_address(&user("mallory"), far, 0));
        assert!(!bans.bars_login(&user("mallory"), 0), "from elsewhere");
    }
}
