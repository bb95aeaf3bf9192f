//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::cluster_command::ClusterCommand;
use crate::failure::Failure;
use crate::people::Reach;
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
      Issue a token with which alice can log in for a day.
  tidings top
      Watch the server that runs on this directory.
  tidings who --url https://chat.example.org --key-file admin.key
      List who is logged in to a server elsewhere.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(ServeArguments),
    /// Issue tokens and inspect them
    #[command(subcommand)]
    Token(TokenCommand),
    /// Create and list apps, change their certificates and settings, ban users
    #[command(subcommand)]
    App(AppCommand),
    /// Create, list, rotate and revoke the keys of the server-side API
    #[command(subcommand)]
    Key(KeyCommand),
    /// Verify, export, back up and restore the store
    #[command(subcommand)]
    Store(StoreCommand),
    /// List or delete files that users have uploaded
    #[command(subcommand)]
    Media(MediaCommand),
    /// Make a cluster of servers, show it, and drain its nodes
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Show the status of a server
    Status(StatusArguments),
    /// Make the running server read its apps and its TLS certificate again
    Reload(Place),
    /// Check everything that a server needs, and say how to fix what is wrong
    Doctor(DoctorArguments),
    #[command(flatten)]
    People(crate::people::PeopleCommand),
    /// Write shell completions, man pages or the list of settings
    #[command(subcommand)]
    Reference(ReferenceCommand),
}

/// Selects the data directory that a command works on.
#[derive(Args)]
pub(crate) struct Place {
    /// The server's data directory [default: from the settings file, or ./tidings-data]
    #[arg(long, env = "TIDINGS_DATA_DIR", value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,

    /// TOML file with the server's settings
    #[arg(long, env = "TIDINGS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    /// The path of the directory.
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
    /// Delete a file; a running server stops serving it at once
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
pub(crate) enum KeyCommand {
    /// Create a key, and show it this once
    Create(KeyCreateArguments),
    /// List keys, with when each was last used
    List(ListArguments),
    /// Revoke a key: calls with it are refused at once
    Revoke(KeyArguments),
    /// Give a key a new secret; the old one stays good for a time
    Rotate(KeyRotateArguments),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyRole {
    /// Every call
    Admin,
    /// Every call about the apps that --app names, but for those that change the app itself
    App,
    /// Calls that only read, about the apps that --app names or about all
    Read,
}

#[derive(Args)]
#[command(after_help = "Examples:
  tidings key create --role admin --name console
  tidings key create --role app --app 0123456789abcdef0123456789abcdef --lifetime 90d
      Callers send it as `Authorization: Bearer tdk_...`, or as user and password of HTTP Basic:
      the id in its middle, and the secret at its end.")]
pub(crate) struct KeyCreateArguments {
    /// What the key permits
    #[arg(long, value_enum, value_name = "ROLE")]
    pub(crate) role: KeyRole,

    /// An app that the key is for; can be given more than once
    #[arg(long, value_name = "ID")]
    pub(crate) app: Vec<String>,

    /// A name for people
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// How long the key is good, from now; a number without a unit is seconds [default: until it is
    /// revoked]
    #[arg(long, value_name = "TIME")]
    pub(crate) lifetime: Option<Span>,

    /// Print id and key as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
pub(crate) struct KeyArguments {
    /// The key's id, as `key list` prints it
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
#[command(after_help = "Examples:
  tidings key rotate ID
      Show a new secret; callers have a day to change over.
  tidings key rotate ID --overlap 0
      End all older secrets at once: for one that has leaked.")]
pub(crate) struct KeyRotateArguments {
    /// The key's id, as `key list` prints it
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// How long older secrets stay good; a number without a unit is seconds
    #[arg(long, value_name = "TIME", default_value = "1d")]
    pub(crate) overlap: Span,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Subcommand)]
pub(crate) enum AppCommand {
    /// Create an app with an id and a certificate
    Create(CreateArguments),
    /// List the apps of the data directory
    List(ListArguments),
    /// Rotate an app's certificate: first add a new one, later drop the old one
    Rotate(RotateArguments),
    /// Show an app's settings, rates and banned users
    Show(ShowArguments),
    /// Change an app's settings and rates
    Set(SetArguments),
    /// Ban users from an app: their sessions end, and new logins are refused
    Ban(BanArguments),
    /// Lift the ban of users
    Unban(BanArguments),
    /// Revoke tokens before they expire: their sessions end, and new logins with them are refused
    Revoke(RevokeArguments),
    /// Stop serving an app but keep its data: its sessions end
    Disable(AppArguments),
    /// Serve a disabled app again
    Enable(AppArguments),
    /// Delete an app: its id, its certificates and its settings
    Delete(AppArguments),
}

#[derive(Args)]
pub(crate) struct StatusArguments {
    /// Print everything as one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) server: Reach,
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
#[command(group = clap::ArgGroup::new("what").required(true).args(["token", "jti", "user", "everybody"]))]
#[command(after_help = "Examples:
  tidings app revoke ID --token -
      Revoke one token, read from standard input.
  tidings app revoke ID --user alice
      Revoke every token issued to alice until now; later tokens are valid.")]
pub(crate) struct RevokeArguments {
    /// The app's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// One token, or - to read it from standard input
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,

    /// All JSON Web Tokens with this jti
    #[arg(long, value_name = "JTI")]
    pub(crate) jti: Option<String>,

    /// All tokens issued to a user until now
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// All tokens issued to anyone until now
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
      Keep the id and the certificate that your app already has; the certificate is read from standard input.
  tidings app create --open --jwt jwks_url=https://login.example.org/.well-known/jwks.json
      No certificate: users log in with JSON Web Tokens that a login server has signed.")]
pub(crate) struct CreateArguments {
    /// The app's id: 32 letters or digits [default: a random one]
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,

    /// A display name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// The app's certificate, 32 hexadecimal characters, or - to read it from standard input, which
    /// keeps it out of process lists [default: a random one]
    #[arg(long, value_name = "CERTIFICATE", conflicts_with = "open")]
    pub(crate) certificate: Option<String>,

    /// Create no certificate: anyone who knows the id can be any user
    #[arg(long)]
    pub(crate) open: bool,

    /// A key or rule for JSON Web Tokens, as `tidings app set` takes it after `jwt.`; can be given
    /// more than once
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) jwt: Vec<String>,

    /// Print id and certificate as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
#[command(after_help = "Examples:
  tidings app rotate ID
      Add a new certificate; tokens signed by either are valid.
  tidings app rotate ID --drop-old
      Drop the old one, once none of its tokens is in use.
  tidings app rotate ID --drop-old --disconnect
      Drop it at once and end its sessions: for a certificate that has leaked.")]
pub(crate) struct RotateArguments {
    /// The app's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// Drop the older certificate
    #[arg(long, alias = "drop")]
    pub(crate) drop_old: bool,

    /// With --drop-old: end the sessions that logged in with the older certificate
    #[arg(long, requires = "drop_old")]
    pub(crate) disconnect: bool,

    /// The new certificate, or - to read it from standard input [default: a random one]
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
      Times take units; only pages of these origins may connect.
  tidings app set ID message=60/1s
      A rate: 60 calls in a second, or message=unlimited.
  tidings app set ID message=default
      Back to the default.
  tidings app set ID jwt.secrets=-
      Takes JSON Web Tokens signed with a secret (HS256), read from standard input: one in each line, the newer first.
  tidings app set ID jwt.public_key_files=/etc/tidings/login.pem
  tidings app set ID jwt.jwks_url=https://login.example.org/.well-known/jwks.json jwt.audiences=chat
      The same for RS256, ES256 and EdDSA, by public keys or a key set. Also jwt.jwks_file, jwt.public_keys,
      jwt.issuers, jwt.user_claim, jwt.rights_claim, jwt.app_claim, jwt.require_app, jwt.leeway_s, jwt.lifetime_max_s,
      jwt.jwks_allow_http and jwt.jwks_authorities; jwt=default takes no JSON Web Tokens any more.")]
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
    /// Read and check every record; the server may be running
    Verify(ListArguments),
    /// Print every record as a line of JSON, with the length of bodies instead of their content
    Dump(Place),
    /// Copy records, apps and media into a new directory; the server may be running
    Backup(BackupArguments),
    /// Create a data directory from a backup
    Restore(RestoreArguments),
}

#[derive(Args)]
#[command(
    after_help = "The server may be running: the backup is a snapshot of one moment.

Example:
  tidings store backup --data-dir /var/lib/tidings --to /backup/today"
)]
pub(crate) struct BackupArguments {
    /// Directory for the backup: empty or new
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) to: PathBuf,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Args)]
#[command(after_help = "Example:
  tidings store restore --from /backup/today --data-dir /var/lib/tidings-new")]
pub(crate) struct RestoreArguments {
    /// The directory that `tidings store backup` created
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
    /// Look at the server that is running on the data directory: what it says is wrong, its figures, and what to do
    #[arg(long, conflicts_with_all = ["endpoint", "user", "token"])]
    pub(crate) running: bool,

    /// Address at which clients reach the server [default: the one it listens on]
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,

    /// User to try a login with
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// That user's token
    #[arg(
        long,
        env = "TIDINGS_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,

    /// Print the findings as one JSON object
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
    /// Options and variables, completed by the file.
    pub(crate) fn read(self) -> Result<Settings, Failure> {
        match &self.config {
            Some(path) => Ok(self.settings.or(Settings::read(path)?)),
            None => Ok(self.settings),
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum ReferenceCommand {
    /// Completions for a shell, on standard output; see the shell's manual for where to save them
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Man pages, one per command
    Man(ManArguments),
    /// All settings of `tidings serve`, as a page of the guide
    Settings,
    /// All commands, as a page of the guide
    Commands,
}

#[derive(Args)]
pub(crate) struct ManArguments {
    /// Directory to write them to
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub(crate) to: PathBuf,
}

#[derive(Args)]
#[command(
    after_help = "Every option can also be set as an environment variable or in the file; options \
override variables, and variables override the file.

Examples:
  tidings serve --dev
      Accept every app id, on this machine only.
  tidings serve --app ID:CERTIFICATE --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem
      Serve one app on the internet.
  tidings serve --app ID:CERTIFICATE --listen 10.0.0.5:7400 --insecure
      The same behind a proxy that terminates TLS.
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
    /// Issue a token with which a user can log in
    Issue(IssueArguments),
    /// Show what a token contains, and whether its signature is valid
    Inspect(InspectArguments),
}

#[derive(Args)]
#[command(after_help = "Example:
  tidings token issue --app ID:CERTIFICATE --user alice --lifetime 1h
  tidings token issue --app ID:CERTIFICATE --user bob --read-channel lobby --write-user alice")]
pub(crate) struct IssueArguments {
    /// The app, with the certificate that signs the token
    #[arg(
        long,
        env = "TIDINGS_APP",
        value_name = "ID:CERTIFICATE",
        hide_env_values = true
    )]
    pub(crate) app: String,

    /// The user that the token is for
    #[arg(long, value_name = "USER")]
    pub(crate) user: String,

    /// How long the token is valid, from now; a number without a unit is seconds
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
    /// The token, or - to read it from standard input
    #[arg(value_name = "TOKEN")]
    pub(crate) token: String,

    /// The app whose certificate may have signed it
    #[arg(
        long,
        env = "TIDINGS_APP",
        value_name = "ID:CERTIFICATE",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub(crate) app: Vec<String>,

    /// The user who would log in with it [default: the user that it names]
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// A server's data directory in which to look up the app
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
