//! The options of `tidings token issue` that restrict a login.

use clap::Args;
use tidings_token::{Access, Permissions, Resource, Service};

/// What a token permits. With none of these options: everything.
#[derive(Args)]
#[command(next_help_heading = "Permissions (a name that ends in * stands for all that begin so)")]
pub(crate) struct PermissionArguments {
    /// Permit nothing but what the options below name
    #[arg(long)]
    restricted: bool,

    /// A channel that may be joined and read; can be given more than once
    #[arg(long, value_name = "CHANNEL")]
    read_channel: Vec<String>,

    /// A channel that may be sent to, and whose attributes may be changed
    #[arg(long, value_name = "CHANNEL")]
    write_channel: Vec<String>,

    /// A user whose presence and attributes may be read
    #[arg(long, value_name = "USER")]
    read_user: Vec<String>,

    /// A user who may be sent messages and invitations
    #[arg(long, value_name = "USER")]
    write_user: Vec<String>,
}

impl PermissionArguments {
    /// Whether the token restricts its login.
    pub(crate) fn is_restricted(&self) -> bool {
        self.restricted
            || self
                .lists()
                .into_iter()
                .any(|(.., names)| !names.is_empty())
    }

    /// The service that a token for this user carries.
    pub(crate) fn service<'a>(&self, user: &'a str, lifetime_s: u32) -> Service<'a> {
        if !self.is_restricted() {
            return Service::rtm(user, lifetime_s);
        }
        let mut permissions = Permissions::new();
        for (resource, access, names) in self.lists() {
            for name in names {
                permissions = permissions.with(resource, access, name);
            }
        }
        Service::rtm2(user, lifetime_s, permissions)
    }

    fn lists(&self) -> [(Resource, Access, &[String]); 4] {
        [
            (Resource::MessageChannel, Access::Read, &self.read_channel),
            (Resource::MessageChannel, Access::Write, &self.write_channel),
            (Resource::User, Access::Read, &self.read_user),
            (Resource::User, Access::Write, &self.write_user),
        ]
    }
}
