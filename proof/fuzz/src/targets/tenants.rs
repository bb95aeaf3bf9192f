//! Two apps on one hub: what the clients of one are told does not depend on the other. Source:
//! contract 6.7.

use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Reply, reply};

use super::session::{Driver, NATIVE_SESSION};
use super::{Script, put_piece};
use crate::node::Told;
use crate::target::{Answer, Target};

/// Two scripts, one for each app, with the same names of users and channels.
pub(super) const TWO_TENANTS: Target = Target {
    name: "two_tenants",
    run: two_tenants,
    seeds,
    bytes_max: 16_384,
    memory_max: None,
};

const STEPS_MAX: usize = 120;

fn two_tenants(input: &[u8]) -> Answer {
    let mut both = Script::new(input);
    let (ours, theirs) = (both.piece(), both.piece());
    let alone = told(ours, &[]);
    let together = told(ours, theirs);
    assert_eq!(
        alone, together,
        "an app is told something else when another is there"
    );
    Answer::of(
        alone
            .iter()
            .flatten()
            .rev()
            .take(6)
            .map(super::session::kind)
            .collect::<Vec<_>>(),
    )
}

/// What the clients of the first app are told. Time passes in its script only.
fn told(ours: &[u8], theirs: &[u8]) -> Vec<Vec<Told>> {
    let mut driver = Driver::new();
    let (mut ours, mut theirs) = (Script::new(ours), Script::new(theirs));
    for _ in 0..STEPS_MAX {
        if ours.is_over() {
            break;
        }
        driver.step(0, &mut ours, true);
        if !theirs.is_over() {
            driver.step(1, &mut theirs, false);
        }
    }
    let told = driver.told.into_iter().filter(|((app, _), _)| *app == 0);
    told.map(|(_, told)| told.into_iter().map(without_chance).collect())
        .collect()
}

/// Without what is drawn from the hub's random numbers, which both apps share.
fn without_chance(mut told: Told) -> Told {
    if let Told::Message(kind) = &mut told {
        match &mut **kind {
            Kind::Welcome(welcome) => {
                welcome.session_id.clear();
                welcome.secret.clear();
            }
            Kind::Resumed(resumed) => resumed.secret.clear(),
            Kind::PeerMessage(message) => message.id.clear(),
            Kind::IncomingInvitation(invitation) => invitation.id.clear(),
            Kind::RemoteInvitationEnded(ended) => ended.id.clear(),
            // A list is sorted by nothing that is promised.
            Kind::Reply(Reply {
                result: Some(reply::Result::Users(list)),
                ..
            }) => list.user_ids.sort(),
            _ => {}
        }
    }
    told
}

fn seeds() -> Vec<Vec<u8>> {
    let scripts = (NATIVE_SESSION.seeds)();
    let others = scripts.iter().rev();
    let pairs = scripts.iter().zip(others);
    pairs
        .map(|(ours, theirs)| {
            let mut input = vec![];
            put_piece(&mut input, ours);
            put_piece(&mut input, theirs);
            input
        })
        .collect()
}
