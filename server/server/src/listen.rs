//! The listener sockets: one per hub, all on one address.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use crate::error::StartError;

/// Connections that the kernel holds for a hub that has not accepted them. Source: contract 4.1.
const BACKLOG: i32 = 1_024;

fn fault(address: SocketAddr, source: io::Error) -> StartError {
    match source.kind() {
        ErrorKind::AddrInUse => StartError::PortInUse(address),
        ErrorKind::PermissionDenied => StartError::PortForbidden(address),
        _ => StartError::Listen { address, source },
    }
}

/// Opens a listener for operators, which no hub serves.
pub(crate) fn open_one(address: SocketAddr) -> Result<std::net::TcpListener, StartError> {
    let listener = std::net::TcpListener::bind(address).map_err(|source| fault(address, source))?;
    listener
        .set_nonblocking(true)
        .map_err(|source| fault(address, source))?;
    Ok(listener)
}

/// Opens a listener for each hub; the kernel spreads connections over them.
pub(crate) fn open(
    address: SocketAddr,
    hubs: u16,
) -> Result<(Vec<TcpListener>, SocketAddr), StartError> {
    let (listeners, bound) = open_shared(address, hubs)?;
    let listeners = listeners.into_iter().map(TcpListener::from_std);
    Ok((listeners.collect(), bound))
}

/// Opens so many listeners on one address.
pub(crate) fn open_shared(
    address: SocketAddr,
    count: u16,
) -> Result<(Vec<std::net::TcpListener>, SocketAddr), StartError> {
    let fault = |source| fault(address, source);
    if address.port() != 0 {
        // A port may be shared by all who ask for it shared, also by another server of this user.
        // One bind that does not share finds out whether anybody is there.
        bind(address, Sharing::No).map_err(fault)?;
    }
    let mut listeners = Vec::new();
    let mut bound = address;
    for _ in 0..count {
        let socket = bind(bound, Sharing::Yes).map_err(fault)?;
        socket.listen(BACKLOG).map_err(fault)?;
        if bound.port() == 0 {
            let local = socket.local_addr().map_err(fault)?;
            bound = local
                .as_socket()
                .expect("an internet socket has an internet address");
        }
        listeners.push(socket.into());
    }
    Ok((listeners, bound))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Yes,
    No,
}

fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of a former life may still be closing.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Yes)?;
    socket.set_nonblocking(true)?;
    // Without it the kernel would hold small frames back. Those that are accepted inherit it, which
    // saves each of them a system call.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn those_who_are_accepted_inherit_that_small_frames_are_not_held_back() {
        let any = "127.0.0.1:0".parse().expect("an address");
        let (listeners, address) = open(any, 1).expect("a listener");
        let _client = TcpStream::connect(address).expect("connected");
        let accepted = loop {
            match listeners[0].accept() {
                Ok((accepted, _)) => break accepted,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        };
        assert!(accepted.nodelay().expect("read"));
    }
}
