//! Which authorities a client believes when a server shows its certificate.

use std::io;

use tokio_websockets::Connector;

/// The public authorities, or those of the application's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tls {
    #[cfg(feature = "tls")]
    own: Option<std::sync::Arc<tokio_rustls::rustls::ClientConfig>>,
}

impl Tls {
    /// Those in a PEM text, and no others.
    ///
    /// # Errors
    /// What is wrong with the text.
    #[cfg(feature = "tls")]
    pub(crate) fn of(pem: &[u8]) -> Result<Self, String> {
        use tokio_rustls::rustls::pki_types::CertificateDer;
        use tokio_rustls::rustls::pki_types::pem::PemObject as _;
        use tokio_rustls::rustls::{ClientConfig, RootCertStore};

        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("it is no PEM: {error}"))?;
            let added = roots.add(certificate);
            added.map_err(|error| format!("a certificate in it is no authority's: {error}"))?;
        }
        if roots.is_empty() {
            return Err("there is no certificate in it".into());
        }
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            own: Some(config.into()),
        })
    }

    /// What puts TLS over a connection.
    ///
    /// # Errors
    /// The library has none.
    pub(crate) fn connector(&self) -> io::Result<Connector> {
        #[cfg(feature = "tls")]
        if let Some(config) = &self.own {
            return Ok(Connector::Rustls(config.clone().into()));
        }
        Connector::new().map_err(io::Error::other)
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::Tls;

    #[test]
    fn a_text_without_a_certificate_names_no_authority() {
        for wrong in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
            assert!(Tls::of(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let wrong = Tls::of(no_certificate.as_bytes()).err();
        assert!(wrong.is_some_and(|what| what.contains("no authority's")));
    }
}
