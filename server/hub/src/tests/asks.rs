//! What several hubs answer, put together.

use crate::bus_ops::{Answer, Inherited, MemberSnapshot};
use crate::channels;
use crate::ids::HubId;
use crate::life::login;

#[test]
fn a_hub_that_knows_is_not_outvoted_by_one_that_has_just_left() {
    let claim = &login::CLAIM;
    let yielded = |was_here| {
        Answer::Yielded(Inherited {
            was_here,
            ..Inherited::default()
        })
    };
    assert!(!(claim.is_decided_by)(&yielded(true)));
    let answers = vec![
        (HubId::local(1), Answer::Superseded),
        (HubId::local(2), yielded(false)),
    ];
    assert_eq!(
        claim.best_of(answers),
        Some((HubId::local(1), Answer::Superseded))
    );
    let answers = vec![
        (HubId::local(1), yielded(true)),
        (HubId::local(2), yielded(false)),
    ];
    assert_eq!(
        claim.best_of(answers),
        Some((HubId::local(2), yielded(true)))
    );
}

#[test]
fn member_lists_of_all_hubs_are_put_together() {
    let one = |hub| MemberSnapshot {
        origin: HubId::local(hub),
        epoch: 1,
        seq: 1,
        members: Vec::new(),
    };
    let answers = vec![
        (HubId::local(1), Answer::Members(vec![one(1)])),
        (HubId::local(2), Answer::Members(Vec::new())),
    ];
    let best = channels::state::MEMBERS.best_of(answers);
    assert_eq!(best, Some((HubId::local(2), Answer::Members(vec![one(1)]))));
}

#[test]
fn a_hub_that_has_lost_a_user_outvotes_one_that_has_given_its_session_away() {
    let rule = &crate::peers::state::DELIVER;
    let from = |node| HubId { node, hub: 0 };
    let best = |answers: [Answer; 2]| {
        let answers = answers.into_iter().zip(1..);
        let best = rule.best_of(answers.map(|(answer, node)| (from(node), answer)).collect());
        best.map(|(_, answer)| answer)
    };
    assert_eq!(best([Answer::Moved, Answer::Gone]), Some(Answer::Gone));
    assert_eq!(best([Answer::Gone, Answer::Moved]), Some(Answer::Gone));
    assert_eq!(best([Answer::Moved, Answer::Moved]), Some(Answer::Moved));
}
