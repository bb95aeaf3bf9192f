//! How the table of settings is written.

/// Declares the settings: one entry per option, with everything there is to say about it.
///
/// `name: Type = default => check;` where the default and the check may be missing. It generates:
/// the field as one source gives it; the option, whose help is the doc comment; the key of the
/// file; the layering of sources; for a setting with a default, a method of its name that returns
/// the given value or the default; and, for a setting with a check, its part of
/// [`Settings::check`]. Tests compare the help with the defaults and the variables with the names.
macro_rules! settings {
    ($(
        $(#[$attribute:meta])*
        $name:ident: $type:ty $(= $default:expr)? $(=> $check:path)?;
    )*) => {
        /// The settings as one source gives them; `None` = not given.
        ///
        /// A field's name with dashes is its key in the file and its option; in capitals after
        /// `TIDINGS_` it is its variable. Apps are taken as text and parsed later: an error of the
        /// option parser would show a certificate.
        #[derive(Default, clap::Args, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub(crate) struct Settings {
            $(
                $(#[$attribute])*
                #[arg(long)]
                $name: Option<$type>,
            )*
            /// The table `[cluster]` of a file, until [`Settings::read`] has taken it.
            #[arg(skip)]
            cluster: Option<cluster::Section>,
        }

        impl Settings {
            /// Fills missing settings with those of a weaker source.
            pub(crate) fn or(self, weaker: Self) -> Self {
                Self {
                    $($name: self.$name.or(weaker.$name),)*
                    cluster: None,
                }
            }

            /// Refuses values that are out of range, whichever source gave them.
            fn check(&self) -> Result<(), Failure> {
                $($(
                    if let Some(value) = &self.$name {
                        $check(value, stringify!($name))?;
                    }
                )?)*
                Ok(())
            }

            $($(
                /// The given value, or the default.
                pub(crate) fn $name(&self) -> $type {
                    self.$name.clone().unwrap_or_else(|| $default)
                }
            )?)*
        }

        /// Every setting with a default, as people write it.
        #[cfg(test)]
        fn defaults() -> Vec<(&'static str, String)> {
            vec![$($((stringify!($name), values::Shown::shown(&$default)),)?)*]
        }
    };
}
