//! A client's byte stream: TCP, or TLS over TCP.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use mio::net::TcpStream;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use socket2::Socket;

/// The certificates that clients trust.
pub(crate) type Trust = Arc<ClientConfig>;

/// Settings of clients that trust this certificate and no other. Each handshake is a full one,
/// because clients that are new to the server are measured.
///
/// # Errors
/// If the file cannot be read or contains no certificate.
pub(crate) fn trust(certificate: &Path) -> Result<Trust> {
    let reading = || format!("reading {}", certificate.display());
    let mut roots = RootCertStore::empty();
    let der = CertificateDer::from_pem_file(certificate).with_context(reading)?;
    roots.add(der).with_context(reading)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A byte stream that never blocks.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

/// A stream with TLS.
pub(crate) struct Tls {
    tcp: TcpStream,
    session: ClientConnection,
}

impl Wire {
    /// Takes a socket that is connecting.
    pub(crate) fn new(socket: Socket, trust: Option<&Trust>, server: IpAddr) -> Result<Self> {
        let tcp = TcpStream::from_std(socket.into());
        Ok(match trust {
            None => Self::Plain(tcp),
            Some(trust) => {
                let name = ServerName::IpAddress(server.into());
                let session = ClientConnection::new(trust.clone(), name)?;
                Self::Tls(Box::new(Tls { tcp, session }))
            }
        })
    }

    pub(crate) fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &mut tls.tcp,
        }
    }

    /// Reads available data into the buffer; 0 = the server sends no more.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let tls = match self {
            Self::Plain(tcp) => return tcp.read(buffer),
            Self::Tls(tls) => tls,
        };
        // Readiness is reported once, whatever TLS holds back: everything must be read.
        let mut count = 0;
        while count < buffer.len() {
            let mut stream = rustls::Stream::new(&mut tls.session, &mut tls.tcp);
            match stream.read(&mut buffer[count..]) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) if count > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    /// Writes what is accepted.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => rustls::Stream::new(&mut tls.session, &mut tls.tcp).write(bytes),
        }
    }

    /// Whether TLS holds data that the kernel has not accepted.
    pub(crate) fn holds_back(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.session.wants_write())
    }

    /// Writes what TLS holds back, as far as the kernel accepts it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let Self::Tls(tls) = self else {
            return Ok(());
        };
        while tls.session.wants_write() {
            match tls.session.write_tls(&mut tls.tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    let waits = matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::NotConnected
                    );
                    return if waits { Ok(()) } else { Err(error) };
                }
            }
        }
        Ok(())
    }
}
