//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::permissions::PermissionArguments;
use crate::settings::Settings;
use crate::settings::values::Span;

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
    /// Make apps, list them, change their certificates and settings, ban users
    #[command(subcommand)]
    App(AppCommand),
    /// Look into the store, back it up, restore it
    #[command(subcommand)]
    Store(StoreCommand),
    /// List the files that users have uploaded, and take one down
    #[command(subcommand)]
    Media(MediaCommand),
    /// Say how the server is that runs on a data directory
    Status(ListArguments),
    /// Have the server that runs on a data directory read its apps and its TLS certificate anew
    Reload(Place),
    /// Look at what a server needs, and say what to do about what is missing
    Doctor(DoctorArguments),
    /// Write shell completions, man pages or the list of settings
    #[command(subcommand)]
    Reference(ReferenceCommand),
}

/// Which data directory a command works on.
#[derive(Args)]
pub(crate) struct Place {
    /// The server's data directory [default: that of the file, else ./tidings-data]
    #[arg(long, env = "TIDINGS_DATA_DIR", value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,

    /// TOML file with the server's settings
    #[arg(long, env = "TIDINGS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    /// The directory itself.
    pub(crate) fn resolve(&self) -> Result<PathBuf, Failure> {
        match (&self.data_dir, &self.config) {
            (Some(data_dir), _) => Ok(data_dir.clone()),
            (None, Some(config)) => Ok(Settings::read(config)?.data_dir()),
            (None, None) => Ok(Settings::default().data_dir()),
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum MediaCommand {
    /// List files, oldest first
    List(MediaListArguments),
    /// Delete a file; a running server finds it missing at once
    Delete(MediaDeleteArguments),
}

#[derive(Args)]
pub(crate) struct MediaListArguments {
    /// Only the files of this app
    #[arg(long, value_name = "ID")]
    pub(crate) app: Option<String>,

    /// Only the files that this user has uploaded
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
pub(crate) struct MediaDeleteArguments {
    /// The app that the file belongs to
    #[arg(value_name = "APP")]
    pub(crate) app: String,

    /// The file's id, as `media list` prints it
    #[arg(value_name = "FILE")]
    pub(crate) id: String,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Subcommand)]
pub(crate) enum AppCommand {
    /// Make an app, with an id and a certificate
    Create(CreateArguments),
    /// List the apps of the data directory
    List(ListArguments),
    /// Change an app's certificate: first add a new one, later drop the old one
    Rotate(RotateArguments),
    /// Show an app's settings and rates, and who is banned from it
    Show(ShowArguments),
    /// Change an app's settings and rates
    Set(SetArguments),
    /// Ban users from an app: their logins end, and new ones are refused
    Ban(BanArguments),
    /// Let banned users in again
    Unban(BanArguments),
    /// Take tokens back before they end: logins by them end, and new ones are refused
    Revoke(RevokeArguments),
    /// Stop serving an app, and keep it: its logins end
    Disable(AppArguments),
    /// Serve an app again that was disabled
    Enable(AppArguments),
    /// Delete an app: its id, its certificates and its settings
    Delete(AppArguments),
}

#[derive(Args)]
pub(crate) struct ListArguments {
    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["token", "user", "everybody"]))]
#[command(after_help = "Examples:
  tidings app revoke ID --token -
      Take back one token, which is read from the standard input.
  tidings app revoke ID --user alice
      Take back all that alice has had until now; tokens that are made from now on are good.")]
pub(crate) struct RevokeArguments {
    /// The app's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// One token, or - to read it from the standard input
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,

    /// All tokens that a user has had until now
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// All tokens of all users until now
    #[arg(long)]
    pub(crate) everybody: bool,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
pub(crate) struct AppArguments {
    /// The app's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
#[command(after_help = "Examples:
  tidings app create --data-dir /var/lib/tidings --name Classroom
  tidings app create --id 0123456789abcdef0123456789abcdef --certificate -
      Keep the id and the certificate that your app has had elsewhere; the certificate is read from the standard input.")]
pub(crate) struct CreateArguments {
    /// The app's id: 32 letters or digits [default: a random one]
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,

    /// A name, for people
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// The app's certificate, 32 hexadecimal characters, or - to read it from the standard input, where no list of
    /// processes shows it [default: a random one]
    #[arg(long, value_name = "CERTIFICATE", conflicts_with = "open")]
    pub(crate) certificate: Option<String>,

    /// Make no certificate: whoever knows the id can be any user
    #[arg(long)]
    pub(crate) open: bool,

    /// Print id and certificate as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
#[command(after_help = "Examples:
  tidings app rotate ID
      Add a new certificate; tokens of both are good.
  tidings app rotate ID --drop-old
      Drop the old one, when no token of it is in use any more.
  tidings app rotate ID --drop-old --disconnect
      Drop it although some are, and end the logins that it has let in: for a certificate that became known.")]
pub(crate) struct RotateArguments {
    /// The app's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// Drop the older certificate
    #[arg(long, alias = "drop")]
    pub(crate) drop_old: bool,

    /// With --drop-old: end the logins that the older certificate has let in
    #[arg(long, requires = "drop_old")]
    pub(crate) disconnect: bool,

    /// The new certificate, or - to read it from the standard input [default: a random one]
    #[arg(long, value_name = "CERTIFICATE", conflicts_with = "drop_old")]
    pub(crate) certificate: Option<String>,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
pub(crate) struct ShowArguments {
    /// The app's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// Print everything as JSON; certificates are only counted
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
#[command(after_help = "Examples:
  tidings app set ID keep_user_attributes=true channel_attributes_keep_ms=forever
  tidings app set ID inbox_age_ms=7d origins=https://chat.example.org,https://*.example.com
      Times take units; pages of these origins may connect.
  tidings app set ID message=60/1s
      A rate: 60 calls in a second, or message=unlimited.
  tidings app set ID message=default
      As if it had never been set.")]
pub(crate) struct SetArguments {
    /// The app's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// What to change; `tidings app show` lists the names
    #[arg(value_name = "NAME=VALUE", required = true)]
    pub(crate) changes: Vec<String>,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
pub(crate) struct BanArguments {
    /// The app's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// The users' ids
    #[arg(value_name = "USER", required = true)]
    pub(crate) users: Vec<String>,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Subcommand)]
pub(crate) enum StoreCommand {
    /// Read every record and check it, also of a running server
    Verify(ListArguments),
    /// Write every record as a line of JSON, bodies as their length only
    Dump(Place),
    /// Copy everything that is kept into a new directory, also of a running server: records, apps, media
    Backup(BackupArguments),
    /// Make a data directory from a backup
    Restore(RestoreArguments),
}

#[derive(Args)]
#[command(
    after_help = "The server may be running: the backup holds the store as it was at one moment.

Example:
  tidings store backup --data-dir /var/lib/tidings --to /backup/today"
)]
pub(crate) struct BackupArguments {
    /// A directory for the backup, empty or new
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) to: PathBuf,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
#[command(after_help = "Example:
  tidings store restore --from /backup/today --data-dir /var/lib/tidings-new")]
pub(crate) struct RestoreArguments {
    /// The directory that `tidings store backup` has made
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) from: PathBuf,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
#[command(
    after_help = "Takes all settings of `tidings serve`, so that it looks at what the server would use.

Examples:
  tidings doctor --config /etc/tidings/tidings.toml
  tidings doctor --config /etc/tidings/tidings.toml --user alice --token TOKEN
      Also log in, to the first app that is given.
  tidings doctor --dev --endpoint wss://chat.example.org --user alice
      Look at the server from outside, through its proxy."
)]
pub(crate) struct DoctorArguments {
    /// Address at which clients reach the server [default: the one it listens on]
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,

    /// A user who logs in and out again
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// The user's token
    #[arg(
        long,
        env = "TIDINGS_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,

    /// Print what was found as one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) serving: Serving,
}

/// The settings of a server, as options of another command.
#[derive(Args)]
pub(crate) struct Serving {
    /// TOML file with settings
    #[arg(long, env = "TIDINGS_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) settings: Settings,
}

impl Serving {
    /// Options and variables, filled with what the file gives.
    pub(crate) fn read(self) -> Result<Settings, Failure> {
        match &self.config {
            Some(path) => Ok(self.settings.or(Settings::read(path)?)),
            None => Ok(self.settings),
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum ReferenceCommand {
    /// Completions for a shell, to its standard place: see the shell's manual
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Man pages, one for each command
    Man(ManArguments),
    /// All settings of `tidings serve`, as a page of the guide
    Settings,
}

#[derive(Args)]
pub(crate) struct ManArguments {
    /// Where to put them
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub(crate) to: PathBuf,
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
    #[command(flatten)]
    pub(crate) serving: Serving,
}

#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token with which a user logs in
    Issue(IssueArguments),
    /// Say what a token says of itself, and whether its signature is right
    Inspect(InspectArguments),
}

#[derive(Args)]
#[command(after_help = "Example:
  tidings token issue --app ID:CERTIFICATE --user alice --lifetime 1h
  tidings token issue --app ID:CERTIFICATE --user bob --read-channel lobby --write-user alice")]
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

    /// How long the token is good, from now; a number without a unit is seconds
    #[arg(long, value_name = "TIME", default_value = "1d")]
    pub(crate) lifetime: Span,

    /// The token's format
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = TokenFormat::Access007)]
    pub(crate) format: TokenFormat,

    #[command(flatten)]
    pub(crate) permissions: PermissionArguments,
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
#[command(
    after_help = "Without --app, --data-dir or --config the signature is not checked.

Examples:
  tidings token issue --app ID:CERTIFICATE --user alice | tidings token inspect -
  tidings token inspect TOKEN --data-dir /var/lib/tidings --user alice
      Say whether the server would let alice in with it."
)]
pub(crate) struct InspectArguments {
    /// The token, or - to read it from the standard input
    #[arg(value_name = "TOKEN")]
    pub(crate) token: String,

    /// The app whose certificates may have signed it
    #[arg(
        long,
        env = "TIDINGS_APP",
        value_name = "ID:CERTIFICATE",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub(crate) app: Vec<String>,

    /// The user who would log in with it [default: the one that it names]
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// A server's data directory, in which the app is looked up
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
