//! A run described in words: the arguments of `cargo xtask sim`, a stored seed, or the text of a
//! failure.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::chaos::{ChaosConfig, FAULTS};

/// Switches of a run other than [`crate::chaos::Fault`].
const CUTS: &str = "cuts";
const KILLS: &str = "kills";
const SECOND_LOGINS: &str = "second-logins";
const RESTARTS: &str = "restarts";
const PAUSES: &str = "pauses";
const OUTSIDE: &str = "outside";
const NODE_KILLS: &str = "node-kills";
const LINK_FAULTS: &str = "link-faults";

/// Parses a run. Words about something else are ignored.
///
/// # Errors
/// A word that needs a value has none, or an invalid one.
pub fn parse(words: &[String]) -> Result<ChaosConfig, String> {
    let value = |name: &str| -> Result<Option<&String>, String> {
        match words.iter().position(|word| word == name) {
            Some(at) => words
                .get(at + 1)
                .map(Some)
                .ok_or(format!("{name} needs a value")),
            None => Ok(None),
        }
    };
    let number = |name: &str| -> Result<Option<u64>, String> {
        let parsed = value(name)?.map(|text| text.parse::<u64>());
        parsed
            .transpose()
            .map_err(|error| format!("{name}: {error}"))
    };
    let seed = number("--seed")?.unwrap_or(1);
    let mut config = match nodes(words)? {
        0 => ChaosConfig::for_seed(seed),
        nodes => ChaosConfig::for_nodes(seed, nodes),
    };
    if let Some(hubs) = number("--hubs")?.filter(|_| config.nodes.is_empty()) {
        config.hubs = u16::try_from(hubs).map_err(|error| format!("--hubs: {error}"))?;
    }
    config.duration_ms = number("--ms")?.unwrap_or(config.duration_ms);
    config.users_max = number("--users")?.unwrap_or(config.users_max);
    for name in value("--off")?.iter().flat_map(|list| list.split(',')) {
        if !switch_off(&mut config, name) {
            return Err(format!(
                "--off: there is no {name:?}; {}",
                names().join(", ")
            ));
        }
    }
    for range in value("--skip")?.iter().flat_map(|list| list.split(',')) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let parse = |text: &str| {
            text.parse::<u64>()
                .map_err(|error| format!("--skip: {error}"))
        };
        config.skipped.extend(parse(first)?..=parse(last)?);
    }
    config.is_traced = words.iter().any(|word| word == "--trace");
    Ok(config)
}

/// How many nodes are asked for; 0 = one that is alone.
///
/// # Errors
/// It is no number that makes sense.
pub fn nodes(words: &[String]) -> Result<u16, String> {
    let Some(at) = words.iter().position(|word| word == "--nodes") else {
        return Ok(0);
    };
    let text = words.get(at + 1).ok_or("--nodes needs a value")?;
    match text.parse::<u16>() {
        Ok(nodes @ 2..=5) => Ok(nodes),
        _ => Err(format!("--nodes {text}: it is a number from 2 to 5")),
    }
}

/// Names of everything that can be switched off.
pub fn names() -> Vec<&'static str> {
    let kinds = FAULTS.iter().map(|(_, name)| *name);
    let switches = [
        CUTS,
        KILLS,
        SECOND_LOGINS,
        RESTARTS,
        PAUSES,
        OUTSIDE,
        NODE_KILLS,
        LINK_FAULTS,
    ];
    switches.into_iter().chain(kinds).collect()
}

/// Whether the run has it switched on.
pub fn is_on(config: &ChaosConfig, name: &str) -> bool {
    match name {
        CUTS => config.has_faults,
        KILLS => config.has_kills,
        SECOND_LOGINS => config.has_second_logins,
        RESTARTS => config.has_restarts,
        PAUSES => config.has_pauses,
        OUTSIDE => config.has_outside,
        NODE_KILLS => config.has_node_kills,
        LINK_FAULTS => config.has_link_faults,
        _ => FAULTS
            .iter()
            .any(|(fault, of)| *of == name && config.faults.contains(fault)),
    }
}

/// Switches something off. `false` = there is no such switch.
pub fn switch_off(config: &mut ChaosConfig, name: &str) -> bool {
    match name {
        CUTS => config.has_faults = false,
        KILLS => config.has_kills = false,
        SECOND_LOGINS => config.has_second_logins = false,
        RESTARTS => config.has_restarts = false,
        PAUSES => config.has_pauses = false,
        OUTSIDE => config.has_outside = false,
        NODE_KILLS => config.has_node_kills = false,
        LINK_FAULTS => config.has_link_faults = false,
        _ => match FAULTS.iter().find(|(_, of)| *of == name) {
            Some((fault, _)) => {
                config.faults.remove(fault);
            }
            None => return false,
        },
    }
    true
}

/// The words that describe this run.
pub fn words(config: &ChaosConfig) -> String {
    let nodes = u16::try_from(config.nodes.len()).unwrap_or(0);
    let plain = match nodes {
        0 => ChaosConfig::for_seed(config.seed),
        _ => ChaosConfig::for_nodes(config.seed, nodes),
    };
    let mut text = format!("--seed {}", config.seed);
    if nodes > 0 {
        let _ = write!(text, " --nodes {nodes}");
    }
    // Writing to a string does not fail.
    if config.hubs != plain.hubs {
        let _ = write!(text, " --hubs {}", config.hubs);
    }
    if config.users_max != plain.users_max {
        let _ = write!(text, " --users {}", config.users_max);
    }
    if config.duration_ms != plain.duration_ms {
        let _ = write!(text, " --ms {}", config.duration_ms);
    }
    let off = names()
        .into_iter()
        .filter(|name| is_on(&plain, name) && !is_on(config, name));
    let off: Vec<_> = off.collect();
    if !off.is_empty() {
        let _ = write!(text, " --off {}", off.join(","));
    }
    if !config.skipped.is_empty() {
        let _ = write!(text, " --skip {}", ranges(&config.skipped));
    }
    text
}

fn ranges(numbers: &BTreeSet<u64>) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let texts = runs.into_iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    texts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_the_same_after_it_was_written_and_read() {
        for seed in 1..200 {
            let mut config = ChaosConfig::for_seed(seed);
            config.skipped = [1, 2, 3, 7, 9, 10].into();
            config.users_max = 3 + seed % 4;
            config.duration_ms = 1_000 * (1 + seed);
            config.hubs = 1 + (seed % 4) as u16;
            for name in names().into_iter().skip((seed % 5) as usize) {
                assert!(switch_off(&mut config, name));
            }
            let words: Vec<String> = words(&config).split(' ').map(Into::into).collect();
            assert_eq!(parse(&words), Ok(config));
        }
        for seed in 1..50 {
            let mut config = ChaosConfig::for_nodes(seed, 2 + (seed % 2) as u16);
            assert!(switch_off(&mut config, NODE_KILLS));
            let words: Vec<String> = words(&config).split(' ').map(Into::into).collect();
            assert_eq!(parse(&words), Ok(config));
        }
    }

    #[test]
    fn wrong_words_are_named() {
        let parse = |text: &str| parse(&text.split(' ').map(Into::into).collect::<Vec<_>>());
        assert!(parse("--off nothing").is_err_and(|text| text.contains("nothing")));
        assert!(parse("--seed x").is_err_and(|text| text.contains("--seed")));
        assert!(parse("--skip").is_err_and(|text| text.contains("--skip")));
        assert!(parse("--skip 3-x").is_err());
        for nodes in ["--nodes", "--nodes 1", "--nodes x", "--nodes 6"] {
            assert!(parse(nodes).is_err_and(|text| text.contains("--nodes")));
        }
    }
}
