//! Which nodes live, over a simulated bucket: see `world`.

mod world;

use self::world::{World, lease};
use super::*;

#[test]
fn nodes_take_the_lowest_free_numbers_and_know_each_other() {
    let mut world = World::new(&["a", "b", "c"]);
    world.run(3_000);
    assert_eq!(world.numbers(), [Some(0), Some(1), Some(2)]);
    assert_eq!(world.living(0), [1, 2]);
    assert_eq!(world.living(2), [0, 1]);
    let incarnations: Vec<u64> = world
        .hosts
        .iter()
        .map(|host| host.nodes.own().incarnation)
        .collect();
    assert!(incarnations.windows(2).all(|pair| pair[0] < pair[1]));
    world.run(600_000);
    for at in 0..3 {
        assert_eq!(world.lost(at), [], "nobody is lost while all renew");
    }
}

#[test]
fn a_node_that_dies_is_lost_to_each_of_the_others_once_its_key_expires() {
    let mut world = World::new(&["a", "b", "c"]);
    world.run(3_000);
    let incarnation = world.hosts[1].nodes.own().incarnation;
    world.hosts[1].is_paused = true;
    world.run(4_000);
    assert_eq!(world.lost(0), [], "its lease is good");
    world.run(2_000);
    for at in [0, 2] {
        assert_eq!(world.lost(at), [(1, incarnation)]);
        assert!(!world.living(at).contains(&1));
    }
}

#[test]
fn a_number_that_is_used_again_has_a_greater_incarnation() {
    let mut world = World::new(&["a", "b"]);
    world.run(2_000);
    let before = world.hosts[1].nodes.own().incarnation;
    world.hosts[1].is_paused = true;
    world.run(6_000);
    let again = world.add("b");
    world.run(2_000);
    assert_eq!(world.numbers()[again], Some(1));
    assert!(world.hosts[again].nodes.own().incarnation > before);
    assert_eq!(world.lost(0), [(1, before)]);
    assert_eq!(world.living(0), [1]);
}

#[test]
fn a_node_that_was_paused_for_ten_minutes_is_over_when_it_wakes() {
    let mut world = World::new(&["a", "b"]);
    world.run(2_000);
    world.hosts[1].is_paused = true;
    world.run(600_000);
    let other = world.add("c");
    world.run(2_000);
    assert_eq!(world.numbers()[other], Some(1), "its number is another's");
    let host = &world.hosts[1];
    let now_ms = world.now_ms - 1_000_000 + host.clock_ms;
    assert_eq!(host.nodes.isolation_at(now_ms), Isolation::Closed);
    world.hosts[1].is_paused = false;
    world.step();
    // Order: it closes its clients before it learns that it is over.
    let said = &world.hosts[1].said;
    let closed = said
        .iter()
        .position(|effect| *effect == Effect::Isolation(Isolation::Closed));
    let over = said
        .iter()
        .position(|effect| matches!(effect, Effect::Over(_)));
    assert!(closed.is_some() && closed < over, "{said:?}");
    world.run(2_000);
    assert_eq!(world.numbers()[1], None);
    let held = world.bucket.keys.get(&1).expect("c's key");
    assert_eq!(held.1.name, "c", "it has written nothing");
}

#[test]
fn a_node_that_cannot_renew_goes_silent_and_then_closes() {
    let mut world = World::new(&["a", "b"]);
    world.run(2_000);
    world.hosts[0].is_cut = true;
    let levels = |world: &World| -> Vec<Isolation> {
        let said = world.hosts[0].said.iter();
        said.filter_map(|effect| match effect {
            Effect::Isolation(level) => Some(*level),
            _ => None,
        })
        .collect()
    };
    world.run(3_900);
    assert_eq!(levels(&world), []);
    world.run(1_200);
    assert_eq!(levels(&world), [Isolation::Silent]);
    world.run(5_000);
    assert_eq!(levels(&world), [Isolation::Silent, Isolation::Closed]);
    assert_eq!(world.lost(0), [], "it cannot tell what became of the other");
    world.hosts[0].is_cut = false;
    world.run(500);
    assert!(world.has_said(0, &Effect::Over(OverBy::Expired)));
}

#[test]
fn a_short_cut_changes_nothing() {
    let mut world = World::new(&["a", "b"]);
    world.run(2_000);
    world.hosts[0].is_cut = true;
    world.run(3_500);
    world.hosts[0].is_cut = false;
    world.run(20_000);
    assert_eq!(world.numbers(), [Some(0), Some(1)]);
    assert_eq!((world.lost(0), world.lost(1)), (vec![], vec![]));
    assert_eq!(world.hosts[0].nodes.isolation, Isolation::None);
}

#[test]
fn a_renewal_whose_answer_was_lost_is_found_out() {
    let mut world = World::new(&["a"]);
    world.run(2_000);
    world.hosts[0].unanswered = 1;
    world.run(10_000);
    assert_eq!(world.numbers(), [Some(0)]);
    assert_eq!(world.hosts[0].nodes.isolation, Isolation::None);
}

#[test]
fn a_creation_whose_answer_was_lost_costs_a_number_for_a_while() {
    let mut world = World::new(&["a"]);
    world.hosts[0].unanswered = 1;
    world.run(2_000);
    assert_eq!(world.numbers(), [Some(1)]);
    world.run(6_000);
    assert_eq!(world.bucket.keys.len(), 1, "the first one has expired");
}

#[test]
fn two_nodes_of_one_name_both_run_and_are_told() {
    let mut world = World::new(&["a", "a"]);
    world.run(10_000);
    assert_eq!(world.numbers(), [Some(0), Some(1)]);
    for (at, node) in [(0, 1), (1, 0)] {
        let told = world.hosts[at].said.iter();
        let told = told.filter(|effect| **effect == Effect::SameName { node });
        assert_eq!(told.count(), 1);
    }
}

#[test]
fn the_predecessor_of_a_restarted_node_is_no_other_of_its_name() {
    let mut world = World::new(&["a"]);
    world.run(2_000);
    world.hosts[0].is_paused = true;
    let again = world.add("a");
    world.run(20_000);
    assert_eq!(world.numbers()[again], Some(1));
    assert!(!world.has_said(again, &Effect::SameName { node: 0 }));
}

#[test]
fn a_node_that_drains_says_so_at_once_and_its_key_goes_with_it() {
    let mut world = World::new(&["a", "b"]);
    world.run(2_000);
    world.give(1, Input::Draining);
    world.run(100);
    let living = world.hosts[0].nodes.living().next().expect("b");
    assert!(living.1.lease.draining);
    let incarnation = living.1.incarnation;
    world.give(1, Input::Leave);
    world.run(100);
    assert_eq!(world.lost(0), [(1, incarnation)]);
    assert!(!world.bucket.keys.contains_key(&1));
}

#[test]
fn an_end_that_the_watch_has_missed_is_asked_for() {
    let mut world = World::new(&["a", "b"]);
    world.run(2_000);
    let incarnation = world.hosts[1].nodes.own().incarnation;
    world.hosts[1].is_paused = true;
    world.run(4_500);
    // The watch jumps over what the bucket says of the end.
    for _ in 0..20 {
        world.now_ms += 50;
        world.bucket.expire(world.now_ms);
    }
    assert!(!world.bucket.keys.contains_key(&1));
    world.hosts[0].watched = world.bucket.log.len();
    world.run(8_000);
    assert_eq!(world.lost(0), [(1, incarnation)]);
}

#[test]
fn a_watch_that_begins_behind_loses_nobody() {
    let mut world = World::new(&["a", "b", "c"]);
    world.run(2_000);
    // Its server does not know of b yet, and shows c as it was.
    let c = world.bucket.keys[&2].clone();
    world.give(0, Input::WatchBegan);
    world.give(
        0,
        Input::Seen {
            number: 2,
            revision: c.0 - 1,
            lease: c.1,
        },
    );
    world.give(0, Input::WatchSettled);
    world.run(1_000);
    assert_eq!(world.lost(0), []);
    // b ends while there is no watch.
    let incarnation = world.hosts[1].nodes.own().incarnation;
    world.give(1, Input::Leave);
    world.hosts[0].watched = world.bucket.log.len();
    world.give(0, Input::WatchBegan);
    world.give(0, Input::WatchSettled);
    world.run(1_000);
    assert_eq!(world.lost(0), [(1, incarnation)]);
    assert_eq!(world.living(0), [2]);
}

#[test]
fn what_is_shown_late_is_older_and_ignored() {
    let mut world = World::new(&["a", "b"]);
    world.run(2_000);
    let (revision, lease, _) = world.bucket.keys[&1].clone();
    let old = lease.clone();
    world.give(
        0,
        Input::Gone {
            number: 1,
            revision: revision - 1,
        },
    );
    assert_eq!(world.lost(0), []);
    world.give(
        0,
        Input::Gone {
            number: 1,
            revision: revision + 1,
        },
    );
    world.give(
        0,
        Input::Seen {
            number: 1,
            revision,
            lease: old,
        },
    );
    assert!(world.living(0).is_empty());
    let number = NODES_MAX;
    world.give(
        0,
        Input::Seen {
            number,
            revision: 99_999,
            lease,
        },
    );
    assert!(world.living(0).is_empty(), "there is no such number");
}

#[test]
fn a_full_cluster_is_told_and_tried_again() {
    let mut world = World::new(&[]);
    for number in 0..NODES_MAX {
        world.bucket.put(number, &lease("x"), world.now_ms);
    }
    let at = world.add("a");
    world.run(200);
    assert_eq!(world.numbers()[at], None);
    assert!(world.has_said(at, &Effect::Full));
    // They all expire.
    world.run(7_000);
    assert_eq!(world.numbers()[at], Some(0));
}

/// A small generator: the same numbers from the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Whatever happens: nobody speaks for a number that is another's ([`World::check`]), and once it
/// is over all that live know each other and nobody else.
#[test]
fn a_number_never_has_two_that_speak_for_it() {
    for seed in 1..=200_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut world = World::new(&["a", "b", "c", "d"]);
        for _ in 0..400 {
            let at = usize::try_from(random.below(4)).expect("small");
            match random.below(12) {
                0 => world.hosts[at].is_cut = true,
                1 | 2 => world.hosts[at].is_cut = false,
                3 => world.hosts[at].is_paused = true,
                4 | 5 => world.hosts[at].is_paused = false,
                6 => world.hosts[at].unanswered = 2,
                7 if world.hosts[at].nodes.number().is_none() => {
                    let clock_ms = world.hosts[at].clock_ms;
                    world.hosts[at].nodes = Nodes::new(lease("again"));
                    world.hosts[at].pending.clear();
                    world.hosts[at].clock_ms = clock_ms;
                }
                _ => {}
            }
            let ms = 50 * (1 + random.below(60));
            world.run(ms);
        }
        for host in &mut world.hosts {
            host.is_cut = false;
            host.is_paused = false;
            host.unanswered = 0;
        }
        world.run(15_000);
        let mut numbers: Vec<u16> = world.numbers().into_iter().flatten().collect();
        numbers.sort_unstable();
        for (at, host) in world.hosts.iter().enumerate() {
            let Some(own) = host.nodes.number() else {
                continue;
            };
            let others: Vec<u16> = numbers.iter().copied().filter(|it| *it != own).collect();
            assert_eq!(world.living(at), others, "seed {seed}, host {at}");
            let keys: Vec<u16> = world.bucket.keys.keys().copied().collect();
            assert_eq!(keys, numbers, "seed {seed}");
        }
    }
}
