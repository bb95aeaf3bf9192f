//! An app's rule for the life of tokens, among its settings in `apps.toml`.

use tidings_server::App;

use crate::failure::Failure;
use crate::legacy_rules::lifetime_s;

const MAX_LIFETIME: &str = "max_lifetime";

/// All rules, by name.
pub(crate) const NAMES: [&str; 1] = [MAX_LIFETIME];

/// Whether a rule has this name.
pub(crate) fn has(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The rules of an app, by name.
pub(crate) fn settings(of: &App) -> Vec<(&'static str, toml::Value)> {
    let max_s = of.token_policy().max_lifetime_s;
    let max_s = i64::try_from(max_s).unwrap_or(i64::MAX);
    vec![(MAX_LIFETIME, max_s.into())]
}

/// Sets the rules that are given.
pub(crate) fn apply(to: &mut App, settings: &toml::Table) -> Result<(), Failure> {
    if let Some(value) = settings.get(MAX_LIFETIME) {
        to.token_lifetime_max_s = Some(lifetime_s(MAX_LIFETIME, value)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_is_a_day_unless_it_is_set() {
        let of = |text: &str| {
            let mut app = App::default();
            let settings = text.parse().expect("TOML");
            apply(&mut app, &settings).map_err(|failure| failure.to_string())?;
            Ok::<_, String>(settings_of(&app))
        };
        assert_eq!(of(""), Ok(86_400));
        assert_eq!(of("max_lifetime = \"30d\""), Ok(30 * 86_400));
        assert_eq!(of("max_lifetime = 600"), Ok(600));
        assert_eq!(of("max_lifetime = 0"), Ok(0));
        for wrong in ["-1", "true", "\"long\""] {
            let told = of(&format!("max_lifetime = {wrong}")).expect_err(wrong);
            assert!(told.contains("max_lifetime"), "{told}");
        }
    }

    fn settings_of(app: &App) -> i64 {
        let (_, value) = settings(app).remove(0);
        value.as_integer().expect("a number")
    }
}
