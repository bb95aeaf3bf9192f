//! When a delivery that failed is tried again.

use std::time::Duration;

/// The first pause if nothing else is set. Half of it is left to chance.
pub(crate) const FIRST: Duration = Duration::from_secs(2);
/// The longest pause: 24 hours hold about 30 attempts.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The pause after `attempts` attempts that failed, in milliseconds: it begins with `first`,
/// doubles, and lies between three quarters of that and five. `chance` is 0 to 255. `asked` is what
/// the target asked for (`Retry-After`).
#[must_use]
pub fn pause_ms(first: Duration, attempts: u32, chance: u8, asked: Option<Duration>) -> u64 {
    let factor = 1_u32
        .checked_shl(attempts.saturating_sub(1))
        .unwrap_or(u32::MAX);
    let pause = first.saturating_mul(factor).min(LONGEST);
    let jittered = pause.mul_f64(0.75 + f64::from(chance) / 510.0);
    let pause = asked.map_or(jittered, |asked| asked.min(LONGEST).max(jittered));
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
}

/// Chance, for [`pause_ms`].
pub(crate) fn chance() -> u8 {
    let mut byte = [0];
    getrandom::fill(&mut byte).expect("the system gives random bytes");
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        assert_eq!(pause_ms(FIRST, 1, 0, None), 1_500);
        assert_eq!(pause_ms(FIRST, 1, 255, None), 2_500);
        assert_eq!(pause_ms(FIRST, 2, 0, None), 3_000);
        assert_eq!(pause_ms(FIRST, 11, 0, None), 1_536_000);
        for attempts in [12, 40, u32::MAX] {
            assert_eq!(pause_ms(FIRST, attempts, 0, None), 2_700_000);
        }
        let total: u64 = (1..=33)
            .map(|attempts| pause_ms(FIRST, attempts, 127, None))
            .sum();
        assert!(total > 22 * 3_600_000 && total < 26 * 3_600_000, "{total}");
    }

    #[test]
    fn the_first_pause_is_the_operators_choice() {
        let first = Duration::from_millis(100);
        assert_eq!(pause_ms(first, 1, 0, None), 75);
        assert_eq!(pause_ms(first, 3, 255, None), 500);
    }

    #[test]
    fn a_target_may_ask_for_more_but_not_for_less_or_for_days() {
        assert_eq!(pause_ms(FIRST, 1, 0, Some(Duration::from_secs(30))), 30_000);
        assert_eq!(pause_ms(FIRST, 5, 0, Some(Duration::from_secs(1))), 24_000);
        assert_eq!(
            pause_ms(FIRST, 1, 0, Some(Duration::from_secs(86_400))),
            3_600_000
        );
    }
}
