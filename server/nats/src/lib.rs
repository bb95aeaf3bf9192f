//! The client side of the NATS protocol, without sockets: codec and connection machine.
//!
//! **What it is.** [`Connection`] is one node's way to a group of NATS servers: bytes, operations
//! and the time go in, [`Event`]s and bytes come out. It outlives its sockets: what was not yet
//! written when one broke is sent on the next, in order, and nothing of it twice.
//!
//! **What it is not.** It opens no socket, resolves no name, does no TLS and chooses no server: its
//! host does (`cluster::link` in the server). It remembers no subscription: whoever has made some
//! makes them again after [`Event::Up`]. It knows nothing of what Tidings sends over NATS.
//!
//! **Reading order.** [`connection`] (the machine), [`options`] (what it is made with), [`events`]
//! (what it tells), [`outbox`] (what waits to be written), [`decode`] and `head` (bytes to
//! [`Item`]s), [`encode`] (operations to bytes), [`subject`] (what may be one), [`info`] (what a
//! server says of itself), [`credentials`] (who we are), [`refusal`] (why a server will not have us).
//!
//! The protocol: <https://docs.nats.io/reference/reference-protocols/nats-protocol>; what the page
//! leaves open was observed on nats-server 2.15.1.
//!
//! ```
//! use std::sync::Arc;
//! use tidings_nats::{Connection, Event, Options, Tls};
//!
//! let mut nats = Connection::new(Arc::new(Options::default()));
//! let mut events = Vec::new();
//! nats.opened(0, Tls::IfRequired);
//! let info = b"INFO {\"server_id\":\"a\",\"version\":\"2.15.1\",\"headers\":true,\"proto\":1,\
//!     \"max_payload\":1048576}\r\n";
//! nats.receive(1, info, &mut |event| events.push(event));
//! assert!(nats.output().starts_with(b"CONNECT {"));
//! let written = nats.output().len();
//! nats.wrote(1, written);
//! nats.receive(2, b"PONG\r\n", &mut |event| events.push(event));
//! assert!(matches!(&events[..], [Event::Up(up)] if up.payload_max == 1_048_576));
//! nats.subscribe(1, "chat.*").unwrap();
//! assert_eq!(nats.output(), b"SUB chat.* 1\r\n");
//! ```

pub mod connection;
pub mod credentials;
pub mod decode;
pub mod encode;
pub mod events;
mod head;
pub mod info;
pub mod options;
pub mod outbox;
pub mod refusal;
pub mod subject;

pub use connection::Connection;
pub use credentials::{Credentials, CredentialsError};
pub use decode::{Decoder, Item, Message, ProtocolError};
pub use events::{Event, Gone, PublishError, Up};
pub use info::Info;
pub use options::{Options, Tls};
pub use refusal::{Reason, Refusal};
pub use subject::SubjectError;
