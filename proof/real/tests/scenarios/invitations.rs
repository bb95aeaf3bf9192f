//! Invitations: which one a step is about.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tidings_client::{Client, InvitationId};
use tidings_scenario::{Action, Answer};

/// The invitations that a client has sent to, and been sent by, each user last.
#[derive(Clone, Default)]
pub struct Known {
    pub sent: Arc<Mutex<BTreeMap<String, u64>>>,
    pub received: Arc<Mutex<BTreeMap<String, InvitationId>>>,
}

pub fn is_about_invitation(action: &Action) -> bool {
    matches!(
        action,
        Action::Invite { .. }
            | Action::CancelInvitation { .. }
            | Action::AcceptInvitation { .. }
            | Action::RefuseInvitation { .. }
    )
}

pub async fn invitation(client: &Client, action: Action, known: Known) -> Result<Answer, u32> {
    let received = |caller_id: String| {
        let received = known.received.lock().expect("no panic");
        received
            .get(&caller_id)
            .cloned()
            .expect("a scenario decides on an invitation that has come")
    };
    let done = match action {
        Action::Invite {
            callee_id,
            content,
            channel,
        } => {
            let channel = Some(channel.as_str()).filter(|channel| !channel.is_empty());
            let number = client.invite(&callee_id, content, channel).await;
            number.map(|number| {
                let mut sent = known.sent.lock().expect("no panic");
                sent.insert(callee_id, number);
            })
        }
        Action::CancelInvitation { callee_id } => {
            let sent = known
                .sent
                .lock()
                .expect("no panic")
                .get(&callee_id)
                .copied();
            client.cancel_invitation(sent.unwrap_or(0)).await
        }
        Action::AcceptInvitation {
            caller_id,
            response,
        } => {
            client
                .accept_invitation(&received(caller_id), response)
                .await
        }
        Action::RefuseInvitation {
            caller_id,
            response,
        } => {
            client
                .refuse_invitation(&received(caller_id), response)
                .await
        }
        other => panic!("{other} is not about an invitation"),
    };
    done.map(|()| Answer::Done).map_err(|error| error.code())
}
