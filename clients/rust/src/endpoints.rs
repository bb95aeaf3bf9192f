//! Which of a client's servers it connects to.

use http::Uri;
use tidings_wire::codes::CloseCode;

/// The servers of a cluster, of which a client uses one at a time.
///
/// A server that was reached is kept, also over a broken network: the session is there, and goes on
/// without a move. The next one in the list follows when a connection was never answered, or when
/// the server has sent its clients away; then an address that it has named goes first.
#[derive(Debug)]
pub(crate) struct Endpoints {
    /// At least one.
    uris: Vec<Uri>,
    at: usize,
    /// An address that the server has named, for the next attempt alone.
    hint: Option<Uri>,
}

impl Endpoints {
    /// The servers, which must be some. `first` chooses among them: a random number, so that
    /// clients with one list spread over its servers.
    pub(crate) fn new(uris: Vec<Uri>, first: u64) -> Self {
        assert!(!uris.is_empty(), "a client without a server");
        let count = uris.len() as u64;
        let at = usize::try_from(first % count).unwrap_or(0);
        Self {
            uris,
            at,
            hint: None,
        }
    }

    /// The address for the next connection.
    pub(crate) fn uri(&self) -> &Uri {
        self.hint.as_ref().unwrap_or(&self.uris[self.at])
    }

    /// A connection has ended. `was_heard`: the server has said something on it. `reason`: the
    /// text of its close frame.
    pub(crate) fn ended(&mut self, was_heard: bool, code: Option<u16>, reason: &str) {
        let is = |of: CloseCode| code == Some(of as u16);
        let is_sent_away = is(CloseCode::GoingAway) || is(CloseCode::NodeIsolated);
        if was_heard && !is_sent_away {
            return;
        }
        let hint = is_sent_away.then(|| hinted(reason, self.uri())).flatten();
        if self.hint.take().is_none() {
            self.at = (self.at + 1) % self.uris.len();
        }
        let known = |uri: &Uri| self.uris.iter().position(|of| of == uri);
        match hint.as_ref().and_then(known) {
            Some(at) => self.at = at,
            None => self.hint = hint,
        }
    }
}

/// The address behind the name of a close code, as that of a server like this one. It never leads
/// from an encrypted connection to one that is not.
fn hinted(reason: &str, from: &Uri) -> Option<Uri> {
    let (_, address) = reason.split_once(' ')?;
    let uri: Uri = address.parse().ok()?;
    let scheme = match uri.scheme_str()? {
        "wss" | "https" => "wss",
        "ws" | "http" if from.scheme_str() != Some("wss") => "ws",
        _ => return None,
    };
    if scheme == "wss" && !cfg!(feature = "tls") {
        return None;
    }
    let authority = uri.authority()?;
    let path = match uri.path().trim_end_matches('/') {
        "" => from.path(),
        path => path,
    };
    format!("{scheme}://{authority}{path}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOING_AWAY: Option<u16> = Some(CloseCode::GoingAway as u16);

    fn endpoints(first: u64) -> Endpoints {
        let uri = |name| format!("ws://{name}/rtm").parse().expect("an address");
        Endpoints::new(["a", "b", "c"].map(uri).into(), first)
    }

    fn host(endpoints: &Endpoints) -> &str {
        endpoints.uri().authority().expect("a host").as_str()
    }

    #[test]
    fn the_first_is_any_of_them() {
        let first: Vec<_> = (0..3)
            .map(|first| host(&endpoints(first)).to_owned())
            .collect();
        assert_eq!(first, ["a", "b", "c"]);
    }

    #[test]
    fn a_server_that_was_reached_is_kept_unless_it_sends_its_clients_away() {
        let mut all = endpoints(0);
        all.ended(true, None, "");
        all.ended(true, Some(CloseCode::Overloaded as u16), "overloaded");
        assert_eq!(host(&all), "a");
        all.ended(true, GOING_AWAY, "going_away");
        assert_eq!(host(&all), "b");
        let isolated = Some(CloseCode::NodeIsolated as u16);
        all.ended(true, isolated, "node_isolated");
        assert_eq!(host(&all), "c");
        all.ended(false, None, "");
        assert_eq!(host(&all), "a");
    }

    #[test]
    fn an_address_that_the_server_names_goes_first_and_once() {
        let mut all = endpoints(0);
        all.ended(true, GOING_AWAY, "going_away http://d:8080");
        assert_eq!(all.uri().to_string(), "ws://d:8080/rtm");
        all.ended(false, None, "");
        assert_eq!(host(&all), "b");
        all.ended(true, GOING_AWAY, "going_away ws://a/rtm");
        assert_eq!(host(&all), "a");
        all.ended(false, None, "");
        assert_eq!(host(&all), "b");
    }

    #[test]
    fn nothing_leads_astray_that_is_no_address_or_gives_encryption_up() {
        for reason in [
            "going_away",
            "going_away d",
            "going_away ftp://d",
            "http://d",
        ] {
            let mut all = endpoints(0);
            all.ended(true, GOING_AWAY, reason);
            assert_eq!(host(&all), "b", "{reason}");
        }
        let from: Uri = "wss://a/rtm".parse().expect("an address");
        assert_eq!(hinted("going_away http://d", &from), None);
        let to = hinted("going_away https://d", &from);
        assert_eq!(to.is_some(), cfg!(feature = "tls"));
    }
}
