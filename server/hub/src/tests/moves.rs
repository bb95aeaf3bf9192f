//! Sessions that move from one node to another, whatever happens on the way.

use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{PeerSent, PresenceState, Welcome, reply, request};

use crate::bus_ops::{BusInput, BusOp, Question};
use crate::ids::{ConnectionId, HubId};
use crate::io::Input;
use crate::tests::node::{Node, Pending};
use crate::tests::nodes::{has_ended, invite, join, leave, members, say, states, told, watch};

/// Alice on node 1, bob and carol on node 2, all in the channel.
struct Scene {
    node: Node,
    alice: ConnectionId,
    bob: ConnectionId,
    carol: ConnectionId,
    /// Not in the channel, one on each node.
    dave: ConnectionId,
    erin: ConnectionId,
    welcome: Welcome,
    /// What bob's client has had when its connection breaks.
    had: u64,
}

fn scene() -> Scene {
    let mut node = Node::cluster(2, 2);
    let alice = node.login(0, "alice");
    let bob = node.login(2, "bob");
    let carol = node.login(3, "carol");
    let dave = node.login(1, "dave");
    let erin = node.login(3, "erin");
    for client in [alice, bob, carol] {
        join(&mut node, client);
    }
    let welcome = node.welcome(bob);
    let had = node.numbered(bob);
    Scene {
        node,
        alice,
        bob,
        carol,
        dave,
        erin,
        welcome,
        had,
    }
}

impl Scene {
    /// A scene that is held so many steps after bob's client has come back on the first hub, and
    /// the connection over which it has.
    fn on_the_way(steps: usize) -> (Self, ConnectionId) {
        let mut scene = scene();
        scene.node.close(scene.bob);
        scene.node.is_held = true;
        let bob = scene.resume(0);
        for _ in 0..steps {
            scene.node.step();
        }
        (scene, bob)
    }

    /// Bob's client comes back on a hub, by its place.
    fn resume(&mut self, hub: usize) -> ConnectionId {
        self.node.now.mono_ms += 1;
        self.node.resume(hub, "bob", &self.welcome, self.had)
    }

    fn is_served(&self, connection: ConnectionId) -> bool {
        self.node.resumed_secret(connection).is_some()
    }

    /// Lets so much time pass that nothing is under way any more.
    fn rest(&mut self, bob: ConnectionId) {
        let alive = [self.alice, bob, self.carol, self.dave, self.erin];
        self.node.pass(5_000, &alive);
    }
}

/// Does something at each step of a move, each time in a node of its own. `check` sees what has
/// come of it: bob's new connection, and at which step it was done.
fn at_each_step(act: impl Fn(&mut Scene), check: impl Fn(&mut Scene, ConnectionId, usize)) {
    for at in 0..200 {
        let (mut scene, bob) = Scene::on_the_way(at);
        let is_over = scene.node.queue.is_empty();
        act(&mut scene);
        scene.node.is_held = false;
        scene.node.settle();
        scene.rest(bob);
        check(&mut scene, bob, at);
        if is_over {
            assert!(at > 20, "a move has more steps");
            return;
        }
    }
    panic!("a move does not end");
}

#[test]
fn a_session_goes_on_at_another_node_and_nobody_sees_it_leave() {
    let mut scene = scene();
    scene.node.close(scene.bob);
    say(&mut scene.node, scene.alice, "one");
    say(&mut scene.node, scene.carol, "two");
    let bob = scene.resume(1);
    assert!(scene.is_served(bob));
    say(&mut scene.node, scene.alice, "three");
    say(&mut scene.node, scene.carol, "four");
    let said = ["said one", "said two", "said three", "said four"];
    assert_eq!(told(&scene.node, bob), said);
    scene.rest(bob);
    assert_eq!(told(&scene.node, bob), said, "nothing comes late");
    assert!(!told(&scene.node, scene.alice).contains(&"left bob".to_owned()));
    assert!(!told(&scene.node, scene.carol).contains(&"left bob".to_owned()));
    assert_eq!(scene.node.hubs[2].kernel.sessions.len(), 0);
    // Its calls count on, and it is where its client is.
    scene.node.count_on(bob, 1);
    say(&mut scene.node, bob, "five");
    assert!(told(&scene.node, scene.carol).contains(&"said five".to_owned()));
    leave(&mut scene.node, bob);
    assert!(told(&scene.node, scene.alice).contains(&"left bob".to_owned()));
    assert!(told(&scene.node, scene.carol).contains(&"left bob".to_owned()));
    let carol = scene.carol;
    assert_eq!(members(&mut scene.node, carol), ["alice", "carol"]);
}

#[test]
fn channel_messages_come_once_whenever_they_are_sent() {
    at_each_step(
        |scene| {
            for text in ["a1", "a2"] {
                say(&mut scene.node, scene.alice, text);
            }
            say(&mut scene.node, scene.carol, "c1");
            scene.node.step();
            say(&mut scene.node, scene.carol, "c2");
        },
        |scene, bob, at| {
            assert!(scene.is_served(bob), "at step {at}");
            let words = told(&scene.node, bob);
            let of = |who: &str| -> Vec<String> {
                let mine = words.iter().filter(|word| word.starts_with(who));
                mine.cloned().collect()
            };
            assert_eq!(
                of("said a"),
                ["said a1", "said a2"],
                "at step {at}: {words:?}"
            );
            assert_eq!(
                of("said c"),
                ["said c1", "said c2"],
                "at step {at}: {words:?}"
            );
            assert_eq!(words.len(), 4, "at step {at}: {words:?}");
            for other in [scene.alice, scene.carol] {
                let seen = told(&scene.node, other);
                assert!(
                    !seen.contains(&"left bob".to_owned()),
                    "at step {at}: {seen:?}"
                );
            }
        },
    );
}

#[test]
fn peer_messages_come_once_and_their_senders_are_told_the_truth() {
    at_each_step(
        |scene| {
            scene.node.send(scene.alice, "bob", "a1", false);
            scene.node.send(scene.carol, "bob", "c1", false);
            scene.node.step();
            scene.node.send(scene.carol, "bob", "c2", true);
        },
        |scene, bob, at| {
            let confirmed = scene.had + scene.node.numbered(bob);
            scene.node.say(bob, confirmed, Vec::new());
            let mut texts = scene.node.texts(bob);
            let from_carol: Vec<_> = texts.iter().filter(|it| it.starts_with('c')).collect();
            assert_eq!(from_carol, ["c1", "c2"], "at step {at}");
            texts.sort_unstable();
            assert_eq!(texts, ["a1", "c1", "c2"], "at step {at}");
            scene.rest(bob);
            let received = |received| Some(reply::Result::PeerSent(PeerSent { received }));
            let replies = [
                scene.node.reply(scene.alice, 2),
                scene.node.reply(scene.carol, 2),
            ];
            assert_eq!(replies, [received(true), received(true)], "at step {at}");
            // What was to be stored may have been, while nobody confirmed it.
            assert!(scene.node.reply(scene.carol, 3).is_some(), "at step {at}");
        },
    );
}

#[test]
fn members_come_and_go_in_their_turn_while_a_member_moves() {
    at_each_step(
        |scene| {
            let (dave, erin) = (scene.dave, scene.erin);
            join(&mut scene.node, dave);
            say(&mut scene.node, dave, "hi");
            scene.node.step();
            leave(&mut scene.node, scene.carol);
            join(&mut scene.node, erin);
            leave(&mut scene.node, erin);
        },
        |scene, bob, at| {
            assert!(scene.is_served(bob), "at step {at}");
            let words = told(&scene.node, bob);
            let mut present = vec!["alice".to_owned(), "carol".to_owned()];
            for word in &words {
                match word.split_once(' ').expect("two words") {
                    ("joined", who) => {
                        assert!(!present.contains(&who.into()), "at step {at}: {words:?}");
                        present.push(who.into());
                    }
                    ("left", who) => {
                        assert!(present.contains(&who.into()), "at step {at}: {words:?}");
                        present.retain(|of| of != who);
                    }
                    ("said", _) => {
                        assert!(present.contains(&"dave".into()), "at step {at}: {words:?}");
                    }
                    other => panic!("{other:?} at step {at}"),
                }
            }
            present.sort_unstable();
            assert_eq!(present, ["alice", "dave"], "at step {at}: {words:?}");
            assert!(words.contains(&"said hi".into()), "at step {at}: {words:?}");
        },
    );
}

#[test]
fn a_user_who_was_gone_is_seen_to_come_back_on_another_node() {
    let mut scene = scene();
    scene.node.close(scene.bob);
    let alive = [scene.alice, scene.carol];
    scene.node.pass(40_000, &alive);
    say(&mut scene.node, scene.alice, "one");
    let bob = scene.resume(0);
    assert!(scene.is_served(bob));
    scene.rest(bob);
    for other in alive {
        let words = told(&scene.node, other);
        let of_bob: Vec<_> = words.iter().filter(|word| word.ends_with("bob")).collect();
        let last: Vec<_> = of_bob.iter().rev().take(2).rev().collect();
        assert_eq!(last, [&"left bob", &"joined bob"], "{words:?}");
    }
    assert_eq!(told(&scene.node, bob), ["said one"]);
    scene.node.count_on(bob, 1);
    assert_eq!(members(&mut scene.node, bob), ["alice", "bob", "carol"]);
}

#[test]
fn the_old_node_may_end_after_a_session_has_moved_and_nobody_is_missed() {
    let mut scene = scene();
    let (alice, carol) = (scene.alice, scene.carol);
    watch(&mut scene.node, alice, "bob");
    scene.node.close(scene.bob);
    let bob = scene.resume(0);
    leave(&mut scene.node, carol);
    scene.rest(bob);
    scene.node.lose(2);
    scene.node.pass(60_000, &[alice, bob]);
    assert_eq!(states(&scene.node, alice), [PresenceState::Online]);
    assert_eq!(members(&mut scene.node, alice), ["alice", "bob"]);
}

#[test]
fn whom_a_session_watches_it_watches_on() {
    let mut scene = scene();
    watch(&mut scene.node, scene.bob, "carol");
    watch(&mut scene.node, scene.bob, "alice");
    scene.had = scene.node.numbered(scene.bob);
    scene.node.close(scene.bob);
    // This one goes unseen, since nobody is connected; that one while the session moves.
    let logout = request::Call::Logout(tidings_wire::proto::Logout {});
    scene.node.call(scene.carol, logout);
    let bob = scene.resume(1);
    scene.rest(bob);
    assert_eq!(states(&scene.node, bob), [PresenceState::Offline]);
    let carol = scene.node.login(0, "carol");
    assert_eq!(states(&scene.node, bob)[1..], [PresenceState::Online]);
    scene.node.pass(1_000, &[scene.alice, carol, bob]);
    assert_eq!(states(&scene.node, bob).len(), 2);
}

#[test]
fn an_answer_that_is_lost_is_given_again() {
    let (mut scene, bob) = Scene::on_the_way(0);
    let is_given = |node: &Node| {
        let answers = node.queue.iter();
        let mut given = answers.filter(|next| {
            matches!(
                next,
                Pending::Bus(
                    _,
                    BusOp::Answer {
                        answer: crate::bus_ops::Answer::Given(_),
                        ..
                    }
                )
            )
        });
        given.next().is_some()
    };
    while !is_given(&scene.node) {
        assert!(scene.node.step(), "it is given at some time");
    }
    // It does not arrive.
    scene.node.cuts.insert((2, 1));
    scene.node.is_held = false;
    scene.node.settle();
    say(&mut scene.node, scene.alice, "one");
    assert!(!scene.is_served(bob));
    scene.node.cuts.clear();
    say(&mut scene.node, scene.carol, "two");
    scene.node.pass(3_000, &[scene.alice, scene.carol, bob]);
    assert!(scene.is_served(bob));
    assert_eq!(told(&scene.node, bob), ["said one", "said two"]);
    assert_eq!(scene.node.hubs[0].kernel.sessions.len(), 2, "alice and bob");
}

#[test]
fn a_copy_is_for_the_hub_that_has_asked_and_for_no_longer_than_it_may_ask_again() {
    let mut scene = scene();
    scene.node.close(scene.bob);
    let bob = scene.resume(0);
    assert!(scene.is_served(bob));
    let ask = |taker| {
        let session = crate::ids::SessionId(
            <[u8; 16]>::try_from(&scene.welcome.session_id[..]).expect("an id"),
        );
        Question::Give {
            session,
            secret: scene.welcome.secret.clone(),
            taker,
        }
    };
    let (other, taker) = (HubId { node: 1, hub: 1 }, HubId { node: 1, hub: 0 });
    let questions = [ask(other), ask(taker)];
    let mut answers = Vec::new();
    for question in questions {
        let input = BusInput::Asked {
            topic: crate::bus_ops::Topic::User(crate::rig::user("bob")),
            from: HubId { node: 1, hub: 0 },
            ask: crate::bus_ops::AskId {
                number: 1 << 40,
                asked: 1,
            },
            question: std::sync::Arc::new(question),
        };
        scene.node.is_held = true;
        scene.node.give(2, Input::Bus(input));
        scene.node.step();
        let answer = scene.node.queue.pop_back();
        answers.push(format!("{answer:?}").contains("Elsewhere"));
        scene.node.is_held = false;
    }
    assert_eq!(answers, [true, false]);
    scene.node.pass(121_000, &[scene.alice, scene.carol, bob]);
    assert!(scene.node.hubs[2].kernel.moves.given.is_empty());
}

#[test]
fn a_stranger_takes_nothing_and_disturbs_nobody() {
    let mut scene = scene();
    scene.welcome.secret = vec![7; 32].into();
    let stranger = scene.resume(0);
    assert_eq!(
        scene.node.refused(stranger),
        Some(Outcome::UnknownSession as u32)
    );
    assert_eq!(
        scene.node.closed(scene.bob),
        None,
        "bob is served as before"
    );
    say(&mut scene.node, scene.alice, "one");
    assert!(told(&scene.node, scene.bob).contains(&"said one".to_owned()));
    assert!(scene.node.hubs[0].kernel.moves.arriving.is_empty());
}

#[test]
fn a_session_whose_old_node_dies_on_the_way_is_not_known() {
    for at in 0..200 {
        let (mut scene, bob) = Scene::on_the_way(at);
        if scene.is_served(bob) {
            assert!(at > 20, "a move has more steps");
            return;
        }
        scene.node.dead.insert(2);
        scene.node.is_held = false;
        scene.node.settle();
        scene.node.lose(2);
        scene.node.pass(8_000, &[scene.alice, bob]);
        let is_told = scene.is_served(bob) || scene.node.refused(bob).is_some();
        assert!(is_told, "at step {at}");
        if !scene.is_served(bob) {
            // As a client does: it logs in anew.
            scene.node.log_in(bob, "bob");
            join(&mut scene.node, bob);
        }
        scene.node.pass(40_000, &[scene.alice, bob]);
        let alice = scene.alice;
        assert_eq!(
            members(&mut scene.node, alice),
            ["alice", "bob"],
            "at step {at}"
        );
        let words = told(&scene.node, alice);
        assert!(
            !words.contains(&"left bob".to_owned()),
            "at step {at}: {words:?}"
        );
    }
    panic!("a move does not end");
}

#[test]
fn a_login_while_a_session_moves_replaces_it() {
    at_each_step(
        |scene| {
            scene.node.now.mono_ms += 5;
            let other = scene.node.open(3);
            scene.node.log_in(other, "bob");
        },
        |scene, bob, at| {
            let sessions: usize = scene
                .node
                .hubs
                .iter()
                .map(|hub| hub.kernel.sessions.len())
                .sum();
            assert_eq!(sessions, 5, "at step {at}");
            let is_told = scene.node.closed(bob) == Some(CloseCode::RemoteLogin)
                || scene.node.refused(bob).is_some();
            assert!(is_told, "at step {at}: {:?}", scene.node.closed(bob));
            let alice = scene.alice;
            assert_eq!(
                members(&mut scene.node, alice),
                ["alice", "carol"],
                "at step {at}"
            );
        },
    );
}

#[test]
fn a_client_that_gives_up_finds_its_session_where_it_is() {
    at_each_step(
        |scene| {
            let last = scene.node.seen.keys().next_back().copied();
            let bob = last.expect("bob's connection");
            let newest = ConnectionId(bob.0.max(6));
            scene.node.close(newest);
        },
        |scene, _, at| {
            let bob = scene.resume(3);
            scene.rest(bob);
            let why = scene.node.seen.get(&bob);
            assert!(scene.is_served(bob), "at step {at}: {why:?}");
            let carol = scene.carol;
            let all = ["alice", "bob", "carol"];
            assert_eq!(members(&mut scene.node, carol), all, "at step {at}");
        },
    );
}

#[test]
fn a_session_moves_when_its_calls_are_answered() {
    let mut scene = scene();
    // Carol does not confirm it for now.
    let cseq = scene.node.send(scene.bob, "carol", "hi", false);
    scene.node.close(scene.bob);
    let bob = scene.resume(0);
    assert!(!scene.is_served(bob), "its call is not answered");
    let confirmed = scene.node.numbered(scene.carol);
    scene.node.say(scene.carol, confirmed, Vec::new());
    assert!(scene.is_served(bob));
    let received = PeerSent { received: true };
    assert_eq!(
        scene.node.reply(bob, cseq),
        Some(reply::Result::PeerSent(received))
    );
}

#[test]
fn what_rings_and_what_was_sent_goes_on_with_the_session() {
    let mut scene = scene();
    invite(&mut scene.node, scene.alice, "bob");
    invite(&mut scene.node, scene.bob, "carol");
    for client in [scene.bob, scene.carol] {
        let confirmed = scene.node.numbered(client);
        scene.node.say(client, confirmed, Vec::new());
    }
    scene.had = scene.node.numbered(scene.bob);
    scene.node.close(scene.bob);
    let bob = scene.resume(1);
    assert!(scene.is_served(bob));
    scene.rest(bob);
    scene.node.count_on(bob, 2);
    for client in [scene.alice, bob, scene.carol] {
        assert!(!has_ended(&scene.node, client));
    }
    let call = tidings_wire::proto::CancelInvitation { number: 1 };
    scene.node.call(bob, request::Call::CancelInvitation(call));
    assert!(has_ended(&scene.node, scene.carol), "bob's own");
    let call = tidings_wire::proto::CancelInvitation { number: 1 };
    scene
        .node
        .call(scene.alice, request::Call::CancelInvitation(call));
    let rings = scene.node.seen[&bob].messages.iter();
    let is_end = |kind: &&Kind| matches!(kind, Kind::RemoteInvitationEnded(_));
    assert_eq!(rings.filter(is_end).count(), 1, "alice's");
}

#[test]
fn a_node_that_drains_gives_its_sessions_and_takes_none() {
    let mut scene = scene();
    for hub in [2, 3] {
        scene.node.give(hub, Input::Drain);
    }
    assert_eq!(scene.node.closed(scene.bob), Some(CloseCode::GoingAway));
    let bob = scene.resume(0);
    assert!(scene.is_served(bob));
    say(&mut scene.node, scene.alice, "one");
    assert!(told(&scene.node, bob).contains(&"said one".to_owned()));
    let welcome = scene.node.welcome(scene.carol);
    let had = scene.node.numbered(scene.carol);
    let carol = scene.node.resume(1, "carol", &welcome, had);
    assert!(scene.is_served(carol));
    let left: usize = (2..4)
        .map(|hub| scene.node.hubs[hub].kernel.sessions.len())
        .sum();
    assert_eq!(left, 1, "erin's");
    let back = scene.node.open(2);
    assert_eq!(scene.node.closed(back), Some(CloseCode::GoingAway));
}

#[test]
fn what_is_given_and_makes_no_sense_is_refused_and_leaves_nothing_behind() {
    for record in [&b""[..], b"no record", &[0x08, 0x03], &[0xff; 64]] {
        let (mut scene, bob) = Scene::on_the_way(0);
        loop {
            let next = scene.node.queue.front_mut();
            if let Some(Pending::Bus(_, BusOp::Answer { answer, .. })) = next
                && let crate::bus_ops::Answer::Given(given) = answer
            {
                *given = bytes::Bytes::copy_from_slice(record);
                break;
            }
            assert!(scene.node.step(), "it is given at some time");
        }
        scene.node.is_held = false;
        scene.node.settle();
        assert_eq!(
            scene.node.refused(bob),
            Some(Outcome::UnknownSession as u32)
        );
        scene.rest(bob);
        assert!(scene.node.hubs[0].kernel.moves.arriving.is_empty());
        let alice = scene.alice;
        assert_eq!(members(&mut scene.node, alice), ["alice", "carol"]);
    }
}

#[test]
fn a_move_from_a_node_that_is_lost_is_given_up_at_once() {
    let (mut scene, bob) = Scene::on_the_way(0);
    while scene.node.hubs[0].kernel.moves.arriving.is_empty() {
        assert!(scene.node.step(), "it begins at some time");
    }
    scene.node.dead.insert(2);
    scene.node.is_held = false;
    scene.node.settle();
    assert_eq!(scene.node.refused(bob), None, "its node is silent");
    scene.node.lose(2);
    assert_eq!(
        scene.node.refused(bob),
        Some(Outcome::UnknownSession as u32)
    );
}

#[test]
fn a_session_that_comes_back_at_once_stays() {
    let mut scene = scene();
    for hub in [0, 2, 1, 3] {
        scene.node.close(scene.bob);
        let bob = scene.resume(hub);
        assert!(scene.is_served(bob), "on {hub}");
        scene.welcome.secret = scene.node.resumed_secret(bob).expect("a new one");
        scene.bob = bob;
    }
    let bob = scene.bob;
    scene.rest(bob);
    for other in [scene.alice, scene.carol] {
        let words = told(&scene.node, other);
        assert!(!words.contains(&"left bob".to_owned()), "{words:?}");
        assert_eq!(members(&mut scene.node, other), ["alice", "bob", "carol"]);
    }
}

#[test]
fn what_reaches_the_new_node_late_is_not_told_once_more() {
    let mut scene = scene();
    scene.node.close(scene.bob);
    let bob = scene.resume(0);
    // Carol's message was at the old node before the session moved, and comes here only now.
    let sent = |scene: &mut Scene, text: &str| {
        scene.node.is_held = true;
        say(&mut scene.node, scene.carol, text);
        let mut late = None;
        while scene.node.step() {
            let is_late = |next: &Pending| {
                let Pending::Input(0, Input::Bus(BusInput::Published { topic, .. })) = next else {
                    return false;
                };
                matches!(topic, crate::bus_ops::Topic::Channel(_))
            };
            if let Some(at) = scene.node.queue.iter().position(is_late) {
                late = scene.node.queue.remove(at);
            }
        }
        scene.node.is_held = false;
        late.expect("it goes to the other node")
    };
    let before = told(&scene.node, bob).len();
    let late = sent(&mut scene, "late");
    assert_eq!(told(&scene.node, bob).len(), before, "it is on its way");
    // Bob's client goes to the sender's node and back, where the message still is to come.
    scene.welcome.secret = scene.node.resumed_secret(bob).expect("a new one");
    scene.had += scene.node.numbered(bob);
    scene.node.close(bob);
    let there = scene.resume(2);
    say(&mut scene.node, scene.carol, "later");
    scene.welcome.secret = scene.node.resumed_secret(there).expect("a new one");
    scene.had += scene.node.numbered(there);
    scene.node.close(there);
    let back = scene.resume(0);
    scene.node.queue.push_back(late);
    scene.node.settle();
    scene.rest(back);
    let all = [told(&scene.node, there), told(&scene.node, back)].concat();
    let later = all.iter().filter(|word| *word == "said later").count();
    assert_eq!(later, 1, "{all:?}");
    let late = all.iter().filter(|word| *word == "said late").count();
    assert!(late <= 1, "{all:?}");
}

#[test]
fn a_client_that_comes_to_a_third_hub_meanwhile_is_never_told_that_it_is_not_known() {
    for hub in [1, 3] {
        let third = std::cell::Cell::new(None);
        at_each_step(
            |scene| {
                third.set(Some(scene.resume(hub)));
            },
            |scene, _, at| {
                let third = third.get().expect("it has come");
                let refused = scene.node.refused(third);
                assert_eq!(refused, None, "hub {hub} at step {at}");
                let is_sent_on = scene.node.closed(third) == Some(CloseCode::GoingAway);
                assert!(
                    is_sent_on || scene.is_served(third),
                    "hub {hub} at step {at}: {:?}",
                    scene.node.closed(third)
                );
                let sessions = scene.node.hubs.iter();
                let bobs = sessions.map(|hub| hub.kernel.sessions.len()).sum::<usize>();
                assert_eq!(bobs, 5, "hub {hub} at step {at}: one session of each user");
            },
        );
    }
}

#[test]
fn a_silent_hub_is_looked_at_again_before_a_session_is_not_known() {
    let mut scene = scene();
    scene.node.close(scene.bob);
    scene.node.cuts.extend([(1, 0), (0, 1), (1, 2), (2, 1)]);
    let bob = scene.resume(0);
    scene.node.pass(3_000, &[]);
    assert_eq!(scene.node.refused(bob), None, "somebody may have it");
    scene.node.heal();
    scene.node.pass(3_000, &[]);
    assert!(scene.is_served(bob));
}

#[test]
fn a_login_that_a_silent_hub_has_not_heard_of_replaces_its_session_later() {
    let mut node = Node::cluster(2, 2);
    let old = node.login(0, "bob");
    node.cuts.extend([(1, 0), (0, 1), (1, 2), (2, 1)]);
    let new = node.open(2);
    node.log_in(new, "bob");
    node.pass(3_000, &[old, new]);
    assert_eq!(node.closed(old), None, "it has not heard of it");
    assert!(node.numbered(new) == 0 && node.closed(new).is_none());
    node.heal();
    node.pass(3_000, &[old, new]);
    assert_eq!(node.closed(old), Some(CloseCode::RemoteLogin));
    assert_eq!(node.closed(new), None);
}
