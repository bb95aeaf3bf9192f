//! What a login may do: everything, or what a permission list names.
//!
//! The meaning of the names in a list is documented nowhere. Our interpretation is in
//! [`Permissions::allow`] alone, so that it can be changed in one place.

use std::fmt;

use crate::keys::{BuildError, put_bytes, put_len};
use crate::reader::Reader;
use crate::refusal::Flaw;

/// What a token permits its user after login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// Everything that the app's rules allow.
    Unrestricted,
    /// Only what the list names (a token with a service of type 8).
    Rtm2(Permissions),
}

impl Rights {
    /// Whether `access` to the resource called `name` is within these rights.
    pub fn allow(&self, resource: Resource, access: Access, name: &str) -> bool {
        match self {
            Self::Unrestricted => true,
            Self::Rtm2(permissions) => permissions.allow(resource, access, name),
        }
    }
}

/// A type of thing that a permission list can name; the values are those of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Resource {
    /// Message channels by name.
    MessageChannel = 0,
    /// Stream channels by name.
    StreamChannel = 1,
    /// Group channels; parsed, without meaning to us.
    GroupChannel = 2,
    /// Server groups; parsed, without meaning to us.
    ServerGroup = 3,
    /// Users by id.
    User = 4,
}

impl Resource {
    fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            0 => Self::MessageChannel,
            1 => Self::StreamChannel,
            2 => Self::GroupChannel,
            3 => Self::ServerGroup,
            4 => Self::User,
            _ => return None,
        })
    }
}

/// A way to use a resource; the values are those of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Access {
    /// Subscribe, join, receive, query.
    Read = 0,
    /// Send, set, lock.
    Write = 1,
}

impl Access {
    fn from_number(number: u16) -> Option<Self> {
        match number {
            0 => Some(Self::Read),
            1 => Some(Self::Write),
            _ => None,
        }
    }
}

/// The permission list of a service of type 8.
///
/// Bound: as long as the token that carried it, that is a few hundred names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    /// In the order in which they were listed; kept flat since lists are short.
    grants: Vec<(Resource, Access, Box<str>)>,
}

impl Permissions {
    /// A list that names nothing and so allows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one name; a name that ends in `*` stands for every name with that prefix.
    #[must_use]
    pub fn with(mut self, resource: Resource, access: Access, name: &str) -> Self {
        self.grants.push((resource, access, name.into()));
        self
    }

    /// Whether the list names this use of this resource. O(names).
    ///
    /// Names are exact. A name that ends in `*` stands for every name with that prefix (our
    /// extension; `*` is not allowed in ids and channel names, so there is no ambiguity). Nothing
    /// is permitted on a resource type that the list lacks.
    pub fn allow(&self, resource: Resource, access: Access, name: &str) -> bool {
        self.names(resource, access)
            .any(|listed| match listed.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == listed,
            })
    }

    /// The names listed for one use of one resource type.
    pub fn names(&self, resource: Resource, access: Access) -> impl Iterator<Item = &str> {
        let listed = self
            .grants
            .iter()
            .filter(move |g| g.0 == resource && g.1 == access);
        listed.map(|grant| &*grant.2)
    }

    /// Whether the list permits writing anywhere: to some channel, or to some user.
    pub fn has_writes(&self) -> bool {
        let counts = [Resource::MessageChannel, Resource::User];
        self.grants
            .iter()
            .any(|(resource, access, _)| *access == Access::Write && counts.contains(resource))
    }

    /// The list as it is encoded in a token; [`Permissions::from_bytes`] decodes it.
    ///
    /// # Errors
    /// [`BuildError`] when a name or a list is longer than the format can say; none that was read
    /// from a token is.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BuildError> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes)?;
        Ok(bytes)
    }

    /// Decodes what [`Permissions::to_bytes`] has written; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let list = Self::decode(&mut reader).ok()?;
        reader.rest().is_empty().then_some(list)
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }

    /// Reads the list that ends a service of type 8.
    ///
    /// Unknown resource and access numbers and names that are not UTF-8 are skipped: they are
    /// covered by the signature and grant nothing.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let mut permissions = Self::default();
        for _ in 0..reader.u16("permission resource count")? {
            let resource = Resource::from_number(reader.u16("permission resource")?);
            for _ in 0..reader.u16("permission count")? {
                let access = Access::from_number(reader.u16("permission")?);
                for _ in 0..reader.u16("permission name count")? {
                    let name = std::str::from_utf8(reader.bytes("permission name")?);
                    if let (Some(resource), Some(access), Ok(name)) = (resource, access, name) {
                        permissions.grants.push((resource, access, name.into()));
                    }
                }
            }
        }
        Ok(permissions)
    }

    /// Writes the list, resources and accesses in ascending order, names in the order listed.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), BuildError> {
        let mut sorted: Vec<_> = self.grants.iter().collect();
        sorted.sort_by_key(|grant| (grant.0, grant.1));
        let by_resource = |a: &&(Resource, _, _), b: &&(Resource, _, _)| a.0 == b.0;
        let by_access = |a: &&(_, Access, _), b: &&(_, Access, _)| a.1 == b.1;
        put_len(
            out,
            "permission resource list",
            sorted.chunk_by(by_resource).count(),
        )?;
        for of_resource in sorted.chunk_by(by_resource) {
            out.extend_from_slice(&(of_resource[0].0 as u16).to_le_bytes());
            put_len(
                out,
                "permission list",
                of_resource.chunk_by(by_access).count(),
            )?;
            for of_access in of_resource.chunk_by(by_access) {
                out.extend_from_slice(&(of_access[0].1 as u16).to_le_bytes());
                put_len(out, "permission name list", of_access.len())?;
                for grant in of_access {
                    put_bytes(out, "permission name", grant.2.as_bytes())?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        for (index, (resource, access, name)) in self.grants.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let resource = match resource {
                Resource::MessageChannel => "message channel",
                Resource::StreamChannel => "stream channel",
                Resource::GroupChannel => "group channel",
                Resource::ServerGroup => "server group",
                Resource::User => "user",
            };
            let access = match access {
                Access::Read => "read",
                Access::Write => "write",
            };
            write!(f, "{comma}{access} {resource} {name:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact_unless_they_end_in_a_star() {
        let list = Permissions::new()
            .with(Resource::MessageChannel, Access::Read, "lobby")
            .with(Resource::MessageChannel, Access::Write, "team-*")
            .with(Resource::User, Access::Write, "*");
        let cases = [
            (Resource::MessageChannel, Access::Read, "lobby", true),
            (Resource::MessageChannel, Access::Read, "Lobby", false),
            (Resource::MessageChannel, Access::Read, "lobby2", false),
            (Resource::MessageChannel, Access::Write, "lobby", false),
            (Resource::MessageChannel, Access::Write, "team-", true),
            (Resource::MessageChannel, Access::Write, "team-red", true),
            (Resource::MessageChannel, Access::Write, "team", false),
            (Resource::User, Access::Write, "anyone", true),
            (Resource::User, Access::Read, "anyone", false),
            (Resource::StreamChannel, Access::Read, "lobby", false),
        ];
        for (resource, access, name, expected) in cases {
            let allowed = list.allow(resource, access, name);
            assert_eq!(allowed, expected, "{access:?} {resource:?} {name}");
        }
        assert!(Rights::Unrestricted.allow(Resource::User, Access::Read, "anyone"));
    }

    #[test]
    fn a_list_is_read_as_it_was_written_and_nothing_else_is() {
        let list = Permissions::new()
            .with(Resource::MessageChannel, Access::Read, "lobby")
            .with(Resource::User, Access::Write, "team-*");
        let bytes = list.to_bytes().expect("short");
        assert_eq!(Permissions::from_bytes(&bytes), Some(list.clone()));
        assert_eq!(Permissions::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Permissions::from_bytes(&[&bytes[..], &[0]].concat()), None);
        assert!(list.has_writes());
        let reader = Permissions::new().with(Resource::User, Access::Read, "*");
        let groups = reader.with(Resource::GroupChannel, Access::Write, "*");
        assert!(!groups.has_writes(), "groups have no meaning here");
    }

    #[test]
    fn unknown_numbers_and_foreign_bytes_grant_nothing() {
        let bytes = [
            &[3, 0][..],
            &[9, 0, 1, 0, 0, 0, 1, 0, 1, 0, b'a'],
            &[0, 0, 1, 0, 7, 0, 1, 0, 1, 0, b'b'],
            &[0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 0xff, 1, 0, b'c'],
        ]
        .concat();
        let mut reader = Reader::new(&bytes);
        let list = Permissions::decode(&mut reader).expect("well-formed");
        assert!(reader.rest().is_empty());
        assert_eq!(
            list,
            Permissions::new().with(Resource::MessageChannel, Access::Read, "c")
        );
    }
}
