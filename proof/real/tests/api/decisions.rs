//! Invitations that a backend decides: rest 12.

use serde_json::{Value, json};
use tidings_client::ClientEvent;

use crate::v1::{good, path, problem, until};
use crate::world::{World, each};

#[test]
fn a_backend_decides_for_a_callee() {
    each(async |world: &World| {
        let (_tom, mut events) = world.login("tom").await;
        for (accept, state) in [(true, "accepted"), (false, "refused")] {
            let new = json!({ "from": "desk", "to": "tom", "content": state });
            let made = good(&world.post(&path("/invitations"), &new));
            let id = made["id"].as_str().expect("an id");
            until(&mut events, |event| {
                matches!(event, ClientEvent::RemoteInvitation { .. }).then_some(())
            })
            .await;
            let decide = |user: &str| {
                let said = json!({ "user": user, "accept": accept, "response": "by phone" });
                let at = path(&format!("/invitations/{id}/decision"));
                world.post(&at, &said)
            };
            problem(&decide("desk"), 404, "unknown_invitation");
            assert_eq!(good(&decide("tom")), json!({ "decided": 1 }));
            problem(&decide("tom"), 404, "unknown_invitation");
            // Both sides are told, and the backend by its events.
            let event = || {
                let listed = world.get(&path("/events?types=invitation.*&limit=1000"));
                let items = good(&listed)["items"].as_array().expect("items").clone();
                let named = |event: &Value| {
                    let named = event["id"].as_str().is_some_and(|it| id.starts_with(it));
                    named && event["type"] != "invitation.sent" && event["detail"] != ""
                };
                items.into_iter().rfind(named)
            };
            let begun = std::time::Instant::now();
            let told = loop {
                match event().filter(|event| event.to_string().contains(state)) {
                    Some(event) => break event,
                    None => assert!(begun.elapsed().as_secs() < 10, "{:?}", event()),
                }
            };
            assert_eq!(told["user"], "desk", "{told}");
        }
        let nothing = json!({ "user": "tom", "accept": true });
        let wrong = world.post(&path("/invitations/zz/decision"), &nothing);
        problem(&wrong, 404, "unknown_invitation");
        let missing = world.post(&path("/invitations/zz/decision"), &json!({ "user": "tom" }));
        assert_eq!(problem(&missing, 400, "missing_field")["field"], "accept");
    });
}
