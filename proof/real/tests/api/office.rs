//! Keys, apps and answers of the tests about what operators rule by.

use serde_json::{Value, json};
use tidings_client::{Client, ClientEvent, ConnectionState, Events};
use tidings_token::{NewAccess007, Service, build_007};

use crate::http::{Answer, Call};
use crate::world::World;

/// An app that a test has made for itself.
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) certificate: String,
}

impl Made {
    /// Makes an app through the API.
    pub(crate) fn by(world: &World) -> Self {
        let wish = json!({
            "name": "made",
            // Tests log in more often than people do.
            "rates": { "login": { "calls": 0, "window_ms": 1000 } },
        });
        let answer = world.post("/api/v1/apps", &wish);
        let body = answer.json();
        assert_eq!(answer.status, 201, "{body}");
        let text = |name: &str| body[name].as_str().expect("a text").to_owned();
        Self {
            id: text("id"),
            certificate: text("certificate"),
        }
    }

    /// A path below it.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/v1/apps/{}{rest}", self.id)
    }

    /// A token of one of its users.
    pub(crate) fn token(&self, user: &str) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.expect("after 1970").as_secs();
        build_007(&NewAccess007 {
            app_id: &self.id,
            certificate: &self.certificate,
            issued_at_unix_s: u32::try_from(now).expect("before 2106"),
            lifetime_s: 3_600,
            salt: 1,
            services: &[Service::rtm(user, 3_600)],
        })
        .expect("a token")
    }

    /// A client of it that is not logged in.
    pub(crate) fn client(&self, world: &World) -> (Client, Events) {
        world.client(&self.id)
    }

    /// A client of it that is logged in.
    pub(crate) async fn login(&self, world: &World, user: &str) -> (Client, Events) {
        let (client, events) = self.client(world);
        let token = self.token(user);
        client
            .login(user, Some(&token))
            .await
            .expect("the login succeeds");
        (client, events)
    }
}

/// A key that a test has made for itself.
pub(crate) struct MadeKey {
    pub(crate) id: String,
    /// Its whole text.
    pub(crate) text: String,
}

impl MadeKey {
    /// Makes a key through the API.
    pub(crate) fn by(world: &World, role: &str, apps: &[&str]) -> Self {
        let wish = json!({ "name": role, "role": role, "apps": apps });
        Self::of(&world.post("/api/v1/keys", &wish))
    }

    /// The key in an answer.
    pub(crate) fn of(answer: &Answer) -> Self {
        let body = answer.json();
        assert!(answer.status == 200 || answer.status == 201, "{body}");
        let text = |name: &str| body[name].as_str().expect("a text").to_owned();
        Self {
            id: text("id"),
            text: text("key"),
        }
    }

    /// Shows it with a call.
    pub(crate) fn sign(&self, call: Call) -> Call {
        call.header("Authorization", &format!("Bearer {}", self.text))
    }

    /// Makes a call with it.
    pub(crate) fn call(
        &self,
        world: &World,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let call = self.sign(Call::new(method, path));
        let call = match body {
            Some(body) => call.json(body),
            None => call,
        };
        call.send(world.address)
    }
}

/// Checks a problem: every field that it has to have, and which field of the request it names.
#[track_caller]
pub(crate) fn expect_problem(answer: &Answer, status: u16, code: &str, field: Option<&str>) {
    let body = answer.json();
    assert_eq!(
        (answer.status, &body["code"]),
        (status, &json!(code)),
        "{body}"
    );
    assert_eq!(body["status"], status, "{body}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    for name in ["type", "title", "detail", "hint", "request_id"] {
        assert!(
            body[name].as_str().is_some_and(|text| !text.is_empty()),
            "{name}: {body}"
        );
    }
    assert_eq!(body["field"].as_str(), field, "{body}");
}

/// Checks a reply that is no problem, and returns its body.
#[track_caller]
pub(crate) fn expect(answer: &Answer, status: u16) -> Value {
    let body = answer.json();
    assert_eq!(answer.status, status, "{body}");
    body
}

/// Waits for an event of a kind. The others that came are told when it does not.
pub(crate) async fn until(events: &mut Events, what: &str, is_it: impl Fn(&ClientEvent) -> bool) {
    let mut others = Vec::new();
    let found = async {
        loop {
            match events.next().await {
                Some(event) if is_it(&event) => return,
                Some(event) => others.push(event),
                None => panic!("the client has ended before {what}"),
            }
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(20), found).await;
    assert!(in_time.is_ok(), "never {what}, but {others:?}");
}

/// Waits until a client is told that it is out.
pub(crate) async fn is_out(events: &mut Events) {
    let is_it = |event: &ClientEvent| {
        matches!(
            event,
            ClientEvent::StateChanged {
                state: ConnectionState::Aborted,
                ..
            }
        )
    };
    until(events, "out", is_it).await;
}
