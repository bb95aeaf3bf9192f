//! What happens to a connection, drawn when it is opened.

use std::time::Duration;

use crate::random::Random;

/// How bad a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weather {
    /// Longest time from a connection's opening to its end. Larger: fewer cuts.
    pub life_ms_max: u64,
    /// Longest delay of one direction.
    pub latency_ms_max: u64,
    /// Longest time for which a half-open connection is kept before it is reset.
    pub half_open_ms_max: u64,
    /// After a connection's end, in how many of 100 cases and for how long nothing can be opened.
    /// The first that is drawn counts.
    pub outages: &'static [Outage],
}

/// A time without any network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// How often: cases of 1,000.
    pub per_mille: u64,
    /// Its shortest time.
    pub ms_min: u64,
    /// Its longest time.
    pub ms_max: u64,
}

impl Weather {
    /// For runs of seconds: much happens soon, and nobody is away for long.
    pub const GUSTS: Self = Self {
        life_ms_max: 2_500,
        latency_ms_max: 40,
        half_open_ms_max: 2_000,
        outages: &[Outage {
            per_mille: 150,
            ms_min: 100,
            ms_max: 1_500,
        }],
    };

    /// For runs of minutes and hours: also with users who are away beyond the presence grace (30
    /// s).
    pub const STORM: Self = Self {
        life_ms_max: 12_000,
        latency_ms_max: 400,
        half_open_ms_max: 25_000,
        outages: &[
            Outage {
                per_mille: 200,
                ms_min: 100,
                ms_max: 5_000,
            },
            Outage {
                per_mille: 15,
                ms_min: 32_000,
                ms_max: 50_000,
            },
        ],
    };

    /// As `STORM`, with users who come back after the resume window (120 s): what they have missed
    /// is a gap.
    pub const HURRICANE: Self = Self {
        outages: &[
            Outage {
                per_mille: 200,
                ms_min: 100,
                ms_max: 5_000,
            },
            Outage {
                per_mille: 15,
                ms_min: 32_000,
                ms_max: 50_000,
            },
            Outage {
                per_mille: 10,
                ms_min: 125_000,
                ms_max: 150_000,
            },
        ],
        ..Self::STORM
    };
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Closed in order on both sides.
    Close,
    /// Reset on both sides.
    Reset,
    /// One or both directions are silent for a while, then it is reset.
    HalfOpen {
        /// Whether what the client writes is swallowed.
        up: bool,
        /// Whether what the server writes is swallowed.
        down: bool,
        /// For how long.
        hold: Duration,
    },
    /// It is reset towards the client, but what the client wrote last reaches the server later:
    /// possibly after the first bytes of the next connection.
    Overtaken {
        /// How much later.
        hold: Duration,
    },
}

/// What makes a connection end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Once the connection is this old.
    After(Duration),
    /// Bytes carried to the server: mostly in the middle of a frame.
    AfterBytesUp(u64),
    /// Bytes carried to the client.
    AfterBytesDown(u64),
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Direction {
    /// From reading to writing.
    pub latency: Duration,
    /// Bandwidth in bytes per second, if it is narrow.
    pub bytes_per_s: Option<u64>,
    /// After so many bytes nothing is read for this long: a slow reader.
    pub stall: Option<(u64, Duration)>,
    /// Only so many bytes are carried; what follows is swallowed.
    pub bytes_max: Option<u64>,
}

/// What happens to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// From client to server.
    pub up: Direction,
    /// From server to client.
    pub down: Direction,
    /// When it ends.
    pub trigger: Trigger,
    /// How it ends.
    pub ending: Ending,
    /// How long nothing can be opened then.
    pub outage: Duration,
}

impl Plan {
    /// Draws the plan of the connection with this number.
    pub fn draw(weather: &Weather, seed: u64, number: u64) -> Self {
        let mut random = Random::new(seed, number);
        let mut up = direction(weather, &mut random);
        let mut down = direction(weather, &mut random);
        let ending = ending(weather, &mut random);
        // What arrives late must have been read before: no count has stopped the reading.
        let is_by_time = matches!(ending, Ending::Overtaken { .. });
        let trigger = match random.between(if is_by_time { 6 } else { 0 }, 9) {
            // The request of the WebSocket handshake has about 200 bytes: some end within it.
            0..=2 => Trigger::AfterBytesUp(bytes(&mut random)),
            3..=5 => Trigger::AfterBytesDown(bytes(&mut random)),
            _ => {
                let life = random.between(50, weather.life_ms_max);
                Trigger::After(Duration::from_millis(life))
            }
        };
        match trigger {
            Trigger::After(_) => {}
            Trigger::AfterBytesUp(count) => up.bytes_max = Some(count),
            Trigger::AfterBytesDown(count) => down.bytes_max = Some(count),
        }
        Self {
            up,
            down,
            trigger,
            ending,
            outage: outage(weather, &mut random),
        }
    }
}

fn bytes(random: &mut Random) -> u64 {
    let most = *[300, 3_000, 30_000]
        .get(random.between(0, 2) as usize)
        .expect("one of three");
    random.between(1, most)
}

fn direction(weather: &Weather, random: &mut Random) -> Direction {
    let latency = random.between(0, weather.latency_ms_max);
    let bytes_per_s = random.percent(20).then(|| random.between(8_000, 200_000));
    let stall = random.percent(15).then(|| {
        let pause = random.between(100, weather.life_ms_max);
        (random.between(200, 20_000), Duration::from_millis(pause))
    });
    Direction {
        latency: Duration::from_millis(latency),
        bytes_per_s,
        stall,
        bytes_max: None,
    }
}

fn ending(weather: &Weather, random: &mut Random) -> Ending {
    match random.between(0, 9) {
        0..=2 => Ending::Close,
        3..=5 => Ending::Reset,
        6 | 7 => {
            let both = random.percent(34);
            let up = both || random.percent(50);
            let hold = random.between(100, weather.half_open_ms_max);
            Ending::HalfOpen {
                up,
                down: both || !up,
                hold: Duration::from_millis(hold),
            }
        }
        _ => Ending::Overtaken {
            hold: Duration::from_millis(random.between(50, 3_000)),
        },
    }
}

fn outage(weather: &Weather, random: &mut Random) -> Duration {
    for outage in weather.outages {
        if random.between(0, 999) < outage.per_mille {
            return Duration::from_millis(random.between(outage.ms_min, outage.ms_max));
        }
    }
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_its_seed_and_number_and_every_kind_is_drawn() {
        let mut kinds = std::collections::BTreeSet::new();
        for number in 0..300 {
            let plan = Plan::draw(&Weather::HURRICANE, 7, number);
            assert_eq!(plan, Plan::draw(&Weather::HURRICANE, 7, number));
            kinds.insert(match plan.ending {
                Ending::Close => "close",
                Ending::Reset => "reset",
                Ending::HalfOpen {
                    up: true,
                    down: true,
                    ..
                } => "dead",
                Ending::HalfOpen { up: true, .. } => "deaf server",
                Ending::HalfOpen { .. } => "deaf client",
                Ending::Overtaken { .. } => "overtaken",
            });
            kinds.insert(match plan.trigger {
                Trigger::After(_) => "time",
                Trigger::AfterBytesUp(_) => "up",
                Trigger::AfterBytesDown(_) => "down",
            });
            if plan.outage > Duration::from_secs(120) {
                kinds.insert("beyond the window");
            }
        }
        assert_eq!(kinds.len(), 10, "{kinds:?}");
        assert_ne!(
            Plan::draw(&Weather::GUSTS, 7, 1),
            Plan::draw(&Weather::GUSTS, 8, 1)
        );
    }
}
