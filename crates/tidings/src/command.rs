//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::settings::Settings;

/// Real-time messaging on your own server.
#[derive(Parser)]
#[command(version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  tidings serve --dev
      Try it: open http://127.0.0.1:7400/demo in a browser.
  tidings serve --app 0123456789abcdef0123456789abcdef:fedcba9876543210fedcba9876543210
      Serve one app whose users log in with tokens.
  tidings token issue --app ID:CERTIFICATE --user alice
      Make a token with which alice logs in for a day.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(ServeArguments),
    /// Make tokens and look into them
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Args)]
#[command(
    after_help = "Every option can also stand in the environment or in the file; the option counts \
more than the variable, the variable more than the file.

Examples:
  tidings serve --dev
      Accept every app id, on this machine only.
  tidings serve --app ID:CERTIFICATE --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem
      Serve one app to the world.
  tidings serve --app ID:CERTIFICATE --listen 10.0.0.5:7400 --insecure
      The same behind a proxy that does TLS.
  tidings serve --config tidings.toml
      With a file such as:
          listen = \"127.0.0.1:7400\"
          data-dir = \"/var/lib/tidings\"
          app = [\"ID:CERTIFICATE\"]"
)]
pub(crate) struct ServeArguments {
    /// TOML file with settings
    #[arg(long, env = "TIDINGS_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token with which a user logs in
    Issue(IssueArguments),
    /// Say what a token says of itself; its signature is not checked
    Inspect(InspectArguments),
}

#[derive(Args)]
#[command(after_help = "Example:
  tidings token issue --app ID:CERTIFICATE --user alice --lifetime 3600")]
pub(crate) struct IssueArguments {
    /// The app, with the certificate that signs
    #[arg(
        long,
        env = "TIDINGS_APP",
        value_name = "ID:CERTIFICATE",
        hide_env_values = true
    )]
    pub(crate) app: String,

    /// The user id that logs in
    #[arg(long, value_name = "USER")]
    pub(crate) user: String,

    /// Seconds for which the token is good, from now
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    pub(crate) lifetime: u32,

    /// The token's format
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = TokenFormat::Access007)]
    pub(crate) format: TokenFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenFormat {
    /// AccessToken2, the newest
    #[value(name = "007")]
    Access007,
    /// AccessToken, for older clients
    #[value(name = "006")]
    Access006,
}

#[derive(Args)]
#[command(after_help = "Example:
  tidings token issue --app ID:CERTIFICATE --user alice | tidings token inspect -")]
pub(crate) struct InspectArguments {
    /// The token, or - to read it from the standard input
    #[arg(value_name = "TOKEN")]
    pub(crate) token: String,
}
