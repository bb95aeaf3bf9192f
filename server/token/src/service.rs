//! The services of a 007 token: what each type holds, read and written.

use crate::keys::{BuildError, put_bytes, put_len};
use crate::reader::Reader;
use crate::refusal::Flaw;
use crate::rights::Permissions;

/// The login privilege of the services of types 2 and 8.
const PRIVILEGE_LOGIN: u16 = 1;

/// One service of a 007 token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service<'a> {
    /// Privilege and its expiry in seconds from the token's issue, 0 = none of its own; by
    /// privilege.
    pub privileges: Vec<(u16, u32)>,
    /// The type, and what it holds.
    pub body: ServiceBody<'a>,
}

/// The type of a service and the fields of that type, texts as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceBody<'a> {
    /// Type 1: calls.
    Rtc {
        /// The call's channel.
        channel: &'a [u8],
        /// The user's number in decimal or its account; empty = any.
        uid: &'a [u8],
    },
    /// Type 2: messaging without restriction.
    Rtm {
        /// The user id.
        user: &'a [u8],
    },
    /// Type 3: mixing of streams.
    Streaming {
        /// The call's channel.
        channel: &'a [u8],
        /// The user's account.
        account: &'a [u8],
    },
    /// Type 4: accelerated routes.
    Fpa,
    /// Type 5: chat.
    Chat {
        /// The chat user; empty for a token of the app.
        user: &'a [u8],
    },
    /// Type 6: streams from an own network.
    Fcdn {
        /// The call's channel.
        channel: &'a [u8],
        /// The user's account.
        account: &'a [u8],
    },
    /// Type 7: class rooms.
    Apaas {
        /// The room of the classroom service.
        room: &'a [u8],
        /// The user in that room.
        user: &'a [u8],
        /// The user's role.
        role: i16,
    },
    /// Type 8: messaging within a permission list.
    Rtm2 {
        /// The user id.
        user: &'a [u8],
        /// All that the user may do.
        permissions: Permissions,
    },
    /// Type 9: conversational agents.
    ConvoAi,
    /// Type 10: transcripts.
    Stt,
}

impl<'a> Service<'a> {
    /// The right of `user` to log in to messaging, for `expire_s` seconds from the token's issue
    /// (0 = as long as the token).
    pub fn rtm(user: &'a str, expire_s: u32) -> Self {
        let body = ServiceBody::Rtm {
            user: user.as_bytes(),
        };
        Self {
            privileges: vec![(PRIVILEGE_LOGIN, expire_s)],
            body,
        }
    }

    /// The same, restricted to what `permissions` lists.
    pub fn rtm2(user: &'a str, expire_s: u32, permissions: Permissions) -> Self {
        let body = ServiceBody::Rtm2 {
            user: user.as_bytes(),
            permissions,
        };
        Self {
            privileges: vec![(PRIVILEGE_LOGIN, expire_s)],
            body,
        }
    }

    /// The format's number of this type of service.
    pub fn number(&self) -> u16 {
        match self.body {
            ServiceBody::Rtc { .. } => 1,
            ServiceBody::Rtm { .. } => 2,
            ServiceBody::Streaming { .. } => 3,
            ServiceBody::Fpa => 4,
            ServiceBody::Chat { .. } => 5,
            ServiceBody::Fcdn { .. } => 6,
            ServiceBody::Apaas { .. } => 7,
            ServiceBody::Rtm2 { .. } => 8,
            ServiceBody::ConvoAi => 9,
            ServiceBody::Stt => 10,
        }
    }

    /// The expiry of the login privilege, if the service has it.
    pub(crate) fn login(&self) -> Option<u32> {
        self.privileges
            .iter()
            .find(|(id, _)| *id == PRIVILEGE_LOGIN)
            .map(|found| found.1)
    }

    /// Reads one service; `None` for an unknown type, whose length is unknown too.
    fn decode(reader: &mut Reader<'a>) -> Result<Option<Self>, Flaw> {
        let number = reader.u16("service type")?;
        if !(1..=10).contains(&number) {
            return Ok(None);
        }
        let privileges = read_privileges(reader)?;
        let body = match number {
            1 => ServiceBody::Rtc {
                channel: reader.bytes("channel")?,
                uid: reader.bytes("uid")?,
            },
            2 => ServiceBody::Rtm {
                user: reader.bytes("user")?,
            },
            3 => ServiceBody::Streaming {
                channel: reader.bytes("channel")?,
                account: reader.bytes("account")?,
            },
            4 => ServiceBody::Fpa,
            5 => ServiceBody::Chat {
                user: reader.bytes("user")?,
            },
            6 => ServiceBody::Fcdn {
                channel: reader.bytes("channel")?,
                account: reader.bytes("account")?,
            },
            7 => ServiceBody::Apaas {
                room: reader.bytes("room")?,
                user: reader.bytes("user")?,
                role: i16::from_le_bytes(reader.array("role")?),
            },
            8 => ServiceBody::Rtm2 {
                user: reader.bytes("user")?,
                permissions: Permissions::decode(reader)?,
            },
            9 => ServiceBody::ConvoAi,
            _ => ServiceBody::Stt,
        };
        Ok(Some(Self { privileges, body }))
    }

    /// Writes one service, privileges in ascending order.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), BuildError> {
        let mut privileges = self.privileges.clone();
        privileges.sort_unstable();
        if let Some(privilege) = first_repeated(&privileges) {
            return Err(BuildError::RepeatedPrivilege { privilege });
        }
        out.extend_from_slice(&self.number().to_le_bytes());
        put_len(out, "privilege list", privileges.len())?;
        for (privilege, expire_s) in privileges {
            out.extend_from_slice(&privilege.to_le_bytes());
            out.extend_from_slice(&expire_s.to_le_bytes());
        }
        match &self.body {
            ServiceBody::Rtc { channel, uid: user }
            | ServiceBody::Streaming {
                channel,
                account: user,
            }
            | ServiceBody::Fcdn {
                channel,
                account: user,
            } => {
                put_bytes(out, "channel", channel)?;
                put_bytes(out, "user", user)
            }
            ServiceBody::Rtm { user } | ServiceBody::Chat { user } => put_bytes(out, "user", user),
            ServiceBody::Apaas { room, user, role } => {
                put_bytes(out, "room", room)?;
                put_bytes(out, "user", user)?;
                out.extend_from_slice(&role.to_le_bytes());
                Ok(())
            }
            ServiceBody::Rtm2 { user, permissions } => {
                put_bytes(out, "user", user)?;
                permissions.encode(out)
            }
            ServiceBody::Fpa | ServiceBody::ConvoAi | ServiceBody::Stt => Ok(()),
        }
    }
}

/// Reads the services of a token, up to the first of an unknown type.
///
/// Later bytes are left alone, as are bytes after the last service: they are covered by the
/// signature, and fields that later builders add must not lock people out.
pub(crate) fn read_services<'a>(reader: &mut Reader<'a>) -> Result<Vec<Service<'a>>, Flaw> {
    let mut services = Vec::new();
    for _ in 0..reader.u16("service count")? {
        match Service::decode(reader)? {
            Some(service) => services.push(service),
            None => break,
        }
    }
    Ok(services)
}

/// Writes the services of a token in ascending order of type.
pub(crate) fn write_services(
    out: &mut Vec<u8>,
    services: &[Service<'_>],
) -> Result<(), BuildError> {
    let mut sorted: Vec<_> = services.iter().collect();
    sorted.sort_by_key(|service| service.number());
    put_len(out, "service list", sorted.len())?;
    sorted
        .into_iter()
        .try_for_each(|service| service.encode(out))
}

/// Reads a list of privileges and their times, as 006 and 007 have it, and sorts it.
pub(crate) fn read_privileges(reader: &mut Reader<'_>) -> Result<Vec<(u16, u32)>, Flaw> {
    let mut privileges = Vec::new();
    for _ in 0..reader.u16("privilege count")? {
        privileges.push((reader.u16("privilege")?, reader.u32("privilege time")?));
    }
    privileges.sort_unstable();
    match first_repeated(&privileges) {
        Some(privilege) => Err(Flaw::RepeatedPrivilege { privilege }),
        None => Ok(privileges),
    }
}

fn first_repeated(sorted: &[(u16, u32)]) -> Option<u16> {
    sorted
        .windows(2)
        .find(|pair| pair[0].0 == pair[1].0)
        .map(|pair| pair[0].0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rights::{Access, Resource};

    /// One name per resource and access.
    fn full_permissions() -> Permissions {
        let resources = [
            Resource::MessageChannel,
            Resource::StreamChannel,
            Resource::GroupChannel,
            Resource::ServerGroup,
            Resource::User,
        ];
        resources
            .into_iter()
            .fold(Permissions::new(), |list, resource| {
                list.with(resource, Access::Read, "r")
                    .with(resource, Access::Write, "w*")
            })
    }

    #[test]
    fn every_type_of_service_reads_back_as_written() {
        let user: &[u8] = b"u";
        let bodies = [
            ServiceBody::Rtc {
                channel: b"c",
                uid: b"",
            },
            ServiceBody::Rtm { user },
            ServiceBody::Streaming {
                channel: b"c",
                account: user,
            },
            ServiceBody::Fpa,
            ServiceBody::Chat { user },
            ServiceBody::Fcdn {
                channel: b"c",
                account: user,
            },
            ServiceBody::Apaas {
                room: b"r",
                user,
                role: -2,
            },
            ServiceBody::Rtm2 {
                user,
                permissions: full_permissions(),
            },
            ServiceBody::ConvoAi,
            ServiceBody::Stt,
        ];
        let privileges = vec![(1, 0), (2, u32::MAX)];
        let services: Vec<_> = bodies
            .into_iter()
            .map(|body| Service {
                privileges: privileges.clone(),
                body,
            })
            .collect();
        let mut bytes = Vec::new();
        write_services(&mut bytes, &services).expect("short");
        let mut reader = Reader::new(&bytes);
        assert_eq!(read_services(&mut reader).expect("well-formed"), services);
        assert!(reader.rest().is_empty());
        for cut in 0..bytes.len() {
            let result = read_services(&mut Reader::new(&bytes[..cut]));
            assert!(
                matches!(result, Err(Flaw::Cut { .. })),
                "cut at {cut}: {result:?}"
            );
        }
    }

    #[test]
    fn a_repeated_privilege_is_neither_written_nor_read() {
        let privileges = vec![(1, 5), (2, 5), (1, 9)];
        let service = Service {
            privileges,
            body: ServiceBody::Fpa,
        };
        let refused = Err(BuildError::RepeatedPrivilege { privilege: 1 });
        assert_eq!(service.encode(&mut Vec::new()), refused);
        let bytes = [2, 0, 7, 0, 0, 0, 0, 0, 7, 0, 1, 0, 0, 0];
        let refused = Err(Flaw::RepeatedPrivilege { privilege: 7 });
        assert_eq!(read_privileges(&mut Reader::new(&bytes)), refused);
    }
}
