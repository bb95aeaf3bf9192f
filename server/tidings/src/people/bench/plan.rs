//! What a run is: who writes to whom, how much, and how messages are told from others.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tidings_client::Message;

use crate::failure::Failure;
use crate::settings::values::Span;

/// Messages of one user in a second that its rate allows (180 in 3 s), with some to spare.
const USER_RATE_MAX: u32 = 50;

/// Deliveries in a second that one core of this program can take in.
const DELIVERY_RATE_MAX: u64 = 50_000;

/// Longest run, which ends a forgotten one.
const TIME_MAX: Duration = Duration::from_secs(600);

/// Who writes to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Pattern {
    // All clients are in one channel, and everybody gets every message.
    Channel,
    // Clients are in pairs, and one writes to the other.
    Pairs,
}

/// What a person wishes.
#[derive(Debug, Args)]
pub(super) struct Wish {
    /// Clients, 2 to 1000
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(2..=1_000)
    )]
    clients: u32,

    /// Messages in a second, of all clients together, 1 to 10000
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    rate: u32,

    /// How long to send, at most 10m; a number without a unit is seconds
    #[arg(long, value_name = "TIME", default_value = "10s")]
    time: Span,

    /// Bytes of a message, 40 to 32768
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(40..=32_768)
    )]
    size: u32,

    /// All clients in one channel, or in pairs of which one writes to the other
    #[arg(long, value_enum, value_name = "PATTERN", default_value_t = Pattern::Channel)]
    pattern: Pattern,
}

/// A run that can be made.
pub(super) struct Plan {
    /// In the names of users and the channel, so that runs do not meet.
    pub(super) run: String,
    pub(super) clients: usize,
    pub(super) rate: u32,
    pub(super) messages: u64,
    pub(super) size: usize,
    pub(super) pattern: Pattern,
}

impl Plan {
    pub(super) fn of(wish: &Wish) -> Result<Self, Failure> {
        let time = wish.time.of(Duration::from_secs(1));
        if time < Duration::from_secs(1) || time > TIME_MAX {
            return Err(Failure::new(
                format!("a run cannot last {}", humantime::format_duration(time)),
                "give --time 1s to 10m",
            ));
        }
        let senders = match wish.pattern {
            Pattern::Channel => wish.clients,
            Pattern::Pairs => wish.clients / 2,
        };
        let least = wish.rate.div_ceil(USER_RATE_MAX);
        if senders < least {
            let clients = match wish.pattern {
                Pattern::Channel => least,
                Pattern::Pairs => least * 2,
            };
            return Err(Failure::new(
                format!(
                    "{senders} senders may not send {} messages in a second: a user has a rate",
                    wish.rate
                ),
                format!("give --clients {clients} or more, or a lower --rate"),
            ));
        }
        let plan = Self {
            run: format!("{:08x}", getrandom::u32().unwrap_or_default()),
            clients: usize::try_from(wish.clients).unwrap_or(2),
            rate: wish.rate,
            messages: u64::from(wish.rate) * time.as_secs(),
            size: usize::try_from(wish.size).unwrap_or(40),
            pattern: wish.pattern,
        };
        let deliveries = u64::from(wish.rate) * plan.receivers();
        if deliveries > DELIVERY_RATE_MAX {
            return Err(Failure::new(
                format!(
                    "{deliveries} deliveries in a second are more than this program can take in"
                ),
                format!(
                    "stay below {DELIVERY_RATE_MAX}: clients times rate; run it on several \
                     machines for more"
                ),
            ));
        }
        Ok(plan)
    }

    /// How many clients get one message.
    pub(super) fn receivers(&self) -> u64 {
        match self.pattern {
            Pattern::Channel => self.clients as u64 - 1,
            Pattern::Pairs => 1,
        }
    }

    pub(super) fn user(&self, at: usize) -> String {
        format!("bench-{}-{at}", self.run)
    }

    pub(super) fn channel(&self) -> String {
        format!("bench-{}", self.run)
    }

    /// A message's text: the run, when it was due, and as much as is missing.
    pub(super) fn text(&self, due_us: u64) -> String {
        let mut text = format!("{} {due_us} ", self.run);
        text.extend(std::iter::repeat_n(
            '.',
            self.size.saturating_sub(text.len()),
        ));
        text
    }

    /// When a message of this run was due.
    pub(super) fn due_us(&self, message: &Message) -> Option<u64> {
        let Message::Text(text) = message else {
            return None;
        };
        let mut words = text.split(' ');
        (words.next() == Some(&self.run)).then(|| words.next()?.parse().ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(pattern: Pattern) -> Plan {
        Plan {
            run: "0a0b0c0d".into(),
            clients: 10,
            rate: 100,
            messages: 1_000,
            size: 100,
            pattern,
        }
    }

    #[test]
    fn a_message_has_its_size_and_tells_when_it_was_due() {
        let plan = plan(Pattern::Channel);
        let text = plan.text(599_999_999);
        assert_eq!(text.len(), 100);
        assert_eq!(plan.due_us(&Message::Text(text)), Some(599_999_999));
        let other = Message::Text("ffffffff 1 ...".into());
        assert_eq!(plan.due_us(&other), None);
        assert_eq!(
            (plan.receivers(), self::plan(Pattern::Pairs).receivers()),
            (9, 1)
        );
    }
}
