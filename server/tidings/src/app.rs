//! An app as it is named on the command line: `ID`, `ID:CERTIFICATE` or
//! `ID:CERTIFICATE:CERTIFICATE`.

use std::fmt;
use std::str::FromStr;

use tidings_server::AppId;

use crate::failure::Failure;

/// Length of a certificate: hexadecimal characters. Source: the token formats.
const CERTIFICATE_CHARS: usize = 32;

/// An app with its certificates. `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AppSpec {
    pub(crate) id: AppId,
    /// None, one or two.
    pub(crate) certificates: Vec<String>,
}

/// Why a text does not name an app. Certificates are secrets: their text is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AppSpecError {
    #[error("app id {id:?} cannot be used: {source}")]
    Id {
        id: String,
        source: tidings_server::NameError,
    },
    #[error(
        "certificate {number} of app {id} has {chars} characters; a certificate has 32 hexadecimal characters"
    )]
    CertificateLength {
        id: AppId,
        number: usize,
        chars: usize,
    },
    #[error("certificate {number} of app {id} has a character other than 0 to 9 and a to f")]
    CertificateForm { id: AppId, number: usize },
    #[error("app {id} has {count} certificates; it can have two, the newer first")]
    Certificates { id: AppId, count: usize },
}

impl FromStr for AppSpec {
    type Err = AppSpecError;

    fn from_str(text: &str) -> Result<Self, AppSpecError> {
        let mut parts = text.split(':');
        let id = parts.next().unwrap_or_default();
        let id = AppId::parse(id).map_err(|source| AppSpecError::Id {
            id: id.to_owned(),
            source,
        })?;
        let certificates: Vec<String> = parts.map(str::to_owned).collect();
        if certificates.len() > 2 {
            return Err(AppSpecError::Certificates {
                id,
                count: certificates.len(),
            });
        }
        for (number, certificate) in (1..).zip(&certificates) {
            let chars = certificate.chars().count();
            if chars != CERTIFICATE_CHARS {
                return Err(AppSpecError::CertificateLength { id, number, chars });
            }
            if !certificate.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(AppSpecError::CertificateForm { id, number });
            }
        }
        Ok(Self { id, certificates })
    }
}

impl AppSpec {
    /// Parses the value of `--app` and similar options.
    pub(crate) fn of_setting(text: &str) -> Result<Self, Failure> {
        text.trim().parse().map_err(|error: AppSpecError| {
            Failure::new(
                error.to_string(),
                "write an app as ID, ID:CERTIFICATE or ID:NEW:OLD, each part 32 characters",
            )
        })
    }
}

impl fmt::Debug for AppSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} with {} certificates",
            self.id.as_str(),
            self.certificates.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";
    const CERTIFICATE: &str = "fedcba9876543210fedcba9876543210";

    fn parse(text: &str) -> Result<usize, String> {
        text.parse::<AppSpec>()
            .map(|app| app.certificates.len())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_app_has_up_to_two_certificates() {
        assert_eq!(parse(ID), Ok(0));
        assert_eq!(parse(&format!("{ID}:{CERTIFICATE}")), Ok(1));
        assert_eq!(parse(&format!("{ID}:{CERTIFICATE}:{CERTIFICATE}")), Ok(2));
        let three = parse(&format!("{ID}:{CERTIFICATE}:{CERTIFICATE}:{CERTIFICATE}"));
        assert_eq!(
            three,
            Err(format!(
                "app {ID} has 3 certificates; it can have two, the newer first"
            ))
        );
    }

    #[test]
    fn a_wrong_certificate_is_told_without_its_text() {
        for wrong in ["hush", "secretsecretsecretsecretsecretse"] {
            let error = parse(&format!("{ID}:{wrong}")).expect_err("no certificate");
            assert!(!error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn an_app_does_not_show_its_certificates() {
        let app: AppSpec = format!("{ID}:{CERTIFICATE}").parse().expect("an app");
        assert!(!format!("{app:?}").contains(CERTIFICATE));
    }
}
