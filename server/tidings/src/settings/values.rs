//! Values of settings as people write them: sizes and times with units, switches, addresses, rates.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer};
use tidings_server::Rate;

/// Longest time that a setting accepts: a hundred years. Anything longer is a mistake.
const SPAN_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Most calls in a rate.
pub(crate) const CALLS_MAX: u32 = 1_000_000;

/// Longest window of a rate, in milliseconds.
pub(crate) const WINDOW_MS_MAX: u32 = 3_600_000;

/// A number of bytes: `1048576`, `64MiB`, `1.5 GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a size: give bytes, or a number with a unit such as 512MiB, 10GiB or 1G"
            )
        };
        if !text.trim().starts_with(|c: char| c.is_ascii_digit()) {
            return Err(wrong());
        }
        text.trim()
            .parse::<ByteSize>()
            .map(|size| Self(size.as_u64()))
            .map_err(|_| wrong())
    }
}

/// A time: a number of the setting's own unit, or with units as in `500ms`, `90s`, `1h 30m`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// A number without a unit.
    Bare(u64),
    /// With a unit.
    Time(Duration),
}

impl Span {
    /// The time, if a number without a unit counts this much.
    pub(crate) fn of(self, unit: Duration) -> Duration {
        match self {
            Self::Bare(count) => unit
                .saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
                .min(SPAN_MAX),
            Self::Time(time) => time,
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a time: give a number, or one with a unit such as 500ms, 90s, 12h or 7d"
            )
        };
        if let Ok(count) = text.trim().parse() {
            return Ok(Self::Bare(count));
        }
        let time = humantime::parse_duration(text.trim()).map_err(|_| wrong())?;
        if time > SPAN_MAX {
            return Err(format!("{text:?} is longer than a hundred years"));
        }
        Ok(Self::Time(time))
    }
}

/// How help texts write a value.
#[cfg(test)]
pub(crate) trait Shown {
    fn shown(&self) -> String;
}

#[cfg(test)]
mod shown {
    use std::path::PathBuf;

    use super::{Listen, RateValue, Shown, Size, Span, Switch};
    use crate::log::Form;

    impl Shown for Listen {
        fn shown(&self) -> String {
            self.0.to_string()
        }
    }

    impl Shown for PathBuf {
        fn shown(&self) -> String {
            self.display().to_string()
        }
    }

    impl Shown for Switch {
        fn shown(&self) -> String {
            if self.0 { "on" } else { "off" }.into()
        }
    }

    impl Shown for Size {
        fn shown(&self) -> String {
            format!("{}GiB", self.0 >> 30)
        }
    }

    impl Shown for Span {
        fn shown(&self) -> String {
            match self {
                Self::Bare(count) => count.to_string(),
                Self::Time(time) if time.as_secs() >= 86_400 => {
                    format!("{}d", time.as_secs() / 86_400)
                }
                Self::Time(time) if time.as_secs() >= 3_600 => {
                    format!("{}h", time.as_secs() / 3_600)
                }
                Self::Time(time) if time.as_secs() == 0 => format!("{}ms", time.as_millis()),
                Self::Time(time) => format!("{}s", time.as_secs()),
            }
        }
    }

    impl Shown for RateValue {
        fn shown(&self) -> String {
            format!("{}/{}s", self.0.calls, self.0.window_ms / 1_000)
        }
    }

    impl Shown for Form {
        fn shown(&self) -> String {
            let value = clap::ValueEnum::to_possible_value(self).expect("no form is hidden");
            value.get_name().to_owned()
        }
    }

    impl Shown for String {
        fn shown(&self) -> String {
            self.clone()
        }
    }

    impl Shown for usize {
        fn shown(&self) -> String {
            self.to_string()
        }
    }

    impl Shown for f64 {
        fn shown(&self) -> String {
            self.to_string()
        }
    }

    impl Shown for u16 {
        fn shown(&self) -> String {
            self.to_string()
        }
    }

    impl Shown for u32 {
        fn shown(&self) -> String {
            self.to_string()
        }
    }
}

/// A number or a text, as a file may contain.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a number or a text is expected")]
enum NumberOrText {
    Number(u64),
    Text(String),
}

/// Reads a value that the file may state as a number or as a text.
fn number_or_text<'de, T: FromStr<Err = String>, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    let text = match NumberOrText::deserialize(from)? {
        NumberOrText::Number(number) => number.to_string(),
        NumberOrText::Text(text) => text,
    };
    text.parse().map_err(serde::de::Error::custom)
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        number_or_text(from)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        number_or_text(from)
    }
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Switch(pub(crate) bool);

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => Ok(Self(true)),
            "false" | "off" | "no" | "0" => Ok(Self(false)),
            _ => Err(format!("{text:?} is neither true nor false")),
        }
    }
}

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "true or false is expected")]
        enum Form {
            Plain(bool),
            Text(String),
        }
        match Form::deserialize(from)? {
            Form::Plain(is_on) => Ok(Self(is_on)),
            Form::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// Address and port to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listen(pub(crate) SocketAddr);

impl Listen {
    /// This machine alone.
    pub(crate) const HERE: Self = Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7400));
}

impl FromStr for Listen {
    type Err = String;

    /// `localhost` always means this machine, so it is accepted; other names are not: what they
    /// resolve to can change, and a listener needs an address.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(address) = text.parse() {
            return Ok(Self(address));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse::<u16>().ok()),
            None => (text, None),
        };
        if let ("localhost", Some(port)) = (host, port) {
            return Ok(Self(SocketAddr::from(([127, 0, 0, 1], port))));
        }
        let port_only = text.parse::<u16>().ok();
        if port.is_none() && host != text && !host.contains(':') {
            return Err(format!(
                "{text:?} has a port that is not a number up to 65535: give {host}:7400 for example"
            ));
        }
        Err(match (host, port.or(port_only)) {
            ("" | "*", Some(port)) => format!(
                "{text:?} names no address: give 127.0.0.1:{port} for this machine alone, or 0.0.0.0:{port} for all of \
                 its addresses"
            ),
            (_, Some(port)) if port_only.is_some() => {
                format!("{text:?} is a port without an address: give 127.0.0.1:{port}")
            }
            (host, None) if host.parse::<std::net::IpAddr>().is_ok() || host == "localhost" => {
                format!("{text:?} has no port: give {host}:7400")
            }
            (host, Some(port)) if host.contains(':') => {
                format!("{text:?} is not an address: an IPv6 one is written [::1]:{port}")
            }
            (_, Some(port)) => format!(
                "{text:?} has a name: give one of this machine's addresses, for example 127.0.0.1:{port}"
            ),
            _ => format!("{text:?} is not ADDRESS:PORT, for example 127.0.0.1:7400"),
        })
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// How often something may happen: `CALLS/TIME`, for example `60/1s`, or `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateValue(pub(crate) Rate);

impl FromStr for RateValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "unlimited" {
            return Ok(Self(Rate {
                calls: 0,
                window_ms: 1_000,
            }));
        }
        let wrong = || {
            format!(
                "{text:?} is not a rate: give CALLS/TIME, for example 60/1s, or unlimited (at most {CALLS_MAX} calls in \
                 1 to {WINDOW_MS_MAX} ms)"
            )
        };
        let (calls, window) = text.split_once('/').ok_or_else(wrong)?;
        let calls: u32 = calls.trim().parse().map_err(|_| wrong())?;
        let window: Span = window.parse().map_err(|_| wrong())?;
        let window_ms = window.of(Duration::from_millis(1)).as_millis();
        let window_ms = u32::try_from(window_ms).map_err(|_| wrong())?;
        if calls <= CALLS_MAX && (1..=WINDOW_MS_MAX).contains(&window_ms) {
            Ok(Self(Rate { calls, window_ms }))
        } else {
            Err(wrong())
        }
    }
}

impl<'de> Deserialize<'de> for RateValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_or_are_bytes() {
        let size = |text: &str| text.parse::<Size>().map(|size| size.0).ok();
        assert_eq!(size("67108864"), Some(67_108_864));
        assert_eq!(size("64MiB"), Some(64 << 20));
        assert_eq!(size("1G"), Some(1_000_000_000));
        assert_eq!(size("10 GiB"), Some(10 << 30));
        assert_eq!(size("1.5GiB"), Some(3 << 29));
        for wrong in ["", "-1", "much", "1X", "GiB", "1e30", "0x10"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_have_units_or_the_settings_own() {
        let span = |text: &str, unit_s| {
            let span = text.parse::<Span>().ok()?;
            Some(span.of(Duration::from_secs(unit_s)))
        };
        assert_eq!(span("7", 86_400), Some(Duration::from_secs(604_800)));
        assert_eq!(span("7d", 1), Some(Duration::from_secs(604_800)));
        assert_eq!(span("500ms", 1), Some(Duration::from_millis(500)));
        assert_eq!(span("1h 30m", 1), Some(Duration::from_secs(5_400)));
        assert_eq!(span("99999999999999", 86_400), Some(SPAN_MAX));
        for wrong in ["", "-1s", "soon", "1x", "1.5", "9000y"] {
            assert_eq!(span(wrong, 1), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_is_one_or_it_is_told_what_to_write() {
        let listen = |text: &str| text.parse::<Listen>().map(|listen| listen.0.to_string());
        assert_eq!(listen("localhost:7400").as_deref(), Ok("127.0.0.1:7400"));
        assert_eq!(listen("[::1]:9").as_deref(), Ok("[::1]:9"));
        for (text, told) in [
            (":7400", "0.0.0.0:7400"),
            ("*:80", "127.0.0.1:80"),
            ("7400", "give 127.0.0.1:7400"),
            ("127.0.0.1", "give 127.0.0.1:7400"),
            ("localhost", "give localhost:7400"),
            ("::1:80", "[::1]:80"),
            ("chat.example.org:443", "has a name"),
            ("127.0.0.1:99999", "not a number up to 65535"),
            ("chat", "not ADDRESS:PORT"),
        ] {
            let error = listen(text).expect_err(text);
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn rates_and_switches_are_read() {
        let rate = |text: &str| {
            let rate = text.parse::<RateValue>().ok()?.0;
            Some((rate.calls, rate.window_ms))
        };
        assert_eq!(rate("60/1s"), Some((60, 1_000)));
        assert_eq!(rate("60/1000"), Some((60, 1_000)));
        assert_eq!(rate("unlimited"), Some((0, 1_000)));
        for wrong in ["60", "60/0", "60/2h", "2000000/1s", "often", "-1/1s"] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
        assert_eq!("off".parse(), Ok(Switch(false)));
        assert!("maybe".parse::<Switch>().is_err());
    }
}
