//! Two users with 20 channels each, using all features at once in random order for ten simulated
//! minutes under faults. A model that knows only the specification predicts every answer and every
//! event.
//!
//! The run consists of turns. In a turn both users act concurrently, each on channels that the
//! other does not touch in this turn (so that the model need not know who was first), while links
//! are cut, taken away for one second to more than three minutes, or the server is killed. At its
//! end every call must have been answered and every event seen as the model predicts, and nothing
//! else.
//!
//! Reading order: [`model`] (the predicted state), [`expect`] (comparing), this file (who does
//! what).

mod expect;
mod model;

use std::collections::BTreeSet;

use tidings_client_core::{
    AttributeWrite, Call, ClientEvent, InvitationCall, InvitationId, RemoteInvitationNews,
};
use tidings_hub::App;
use tidings_wire::names::AppId;

use self::expect::Turn;
use self::model::{Act, Away, CHANNELS, Model, NAMES, UserNo, channel_name};
use crate::checks::Violation;
use crate::random::Random;
use crate::world::{APP_ID, ClientId, Seen, World, WorldConfig};

/// Simulated time of a run, in milliseconds.
const DURATION_MS: u64 = 600_000;
/// Lengths of an absence, in seconds, none close to a threshold of the specification.
const ABSENCES_S: [u64; 7] = [1, 3, 8, 15, 40, 80, 200];

/// The outcome of a run.
#[derive(Debug)]
pub struct Report {
    /// Hash of the trace: equal for equal seeds.
    pub trace_hash: u64,
    /// The trace, if it was asked for.
    pub trace: Vec<String>,
    /// Deviations from the specification.
    pub violations: Vec<Violation>,
    /// Number of calls made.
    pub calls: u64,
    /// Number of events seen.
    pub events: u64,
    /// Turns with a fault.
    pub faults: u64,
}

struct Run {
    world: World,
    random: Random,
    model: Model,
    clients: [ClientId; 2],
    turn: Turn,
    turns: u64,
    texts: u64,
    calls: u64,
    events: u64,
    faults: u64,
    /// The last count of each channel that each user received.
    counts: [Vec<Option<u32>>; 2],
    /// The invitation that each user has received.
    invitation: [Option<InvitationId>; 2],
    /// Channels that have been joined, but whose members are not known yet.
    to_list: Vec<(UserNo, usize)>,
    /// The number of the invitation that each user has sent.
    invited: [Option<u64>; 2],
    has_kills: bool,
    violations: Vec<Violation>,
}

/// Runs a seed. Every fifth seed kills the server too.
pub fn run(seed: u64, is_traced: bool) -> Report {
    let mut random = Random::new(seed);
    let hubs = *random.pick(&[1, 2, 4]);
    let mut config = WorldConfig::new(random.next_u64(), hubs);
    config.network_delay_ms_max = *random.pick(&[0, 5, 50]);
    config.bus_delay_ms_max = *random.pick(&[0, 1, 20]);
    config.store_delay_ms_max = *random.pick(&[0, 3, 50]);
    config.is_traced = is_traced;
    let mut app = App::default();
    app.settings.rate_limits = false;
    // Longer than a run, because the model has no clock.
    app.settings.channel_attributes_keep_ms = 3_600_000;
    if let Ok(app_id) = AppId::parse(APP_ID) {
        config.apps.listed.insert(app_id, app);
    }
    let mut world = World::new(config);
    let clients = [world.add_client(), world.add_client()];
    let mut run = Run {
        world,
        random,
        model: Model::default(),
        clients,
        turn: Turn::default(),
        turns: 0,
        texts: 0,
        calls: 0,
        events: 0,
        faults: 0,
        counts: [vec![None; CHANNELS], vec![None; CHANNELS]],
        invitation: [None, None],
        to_list: Vec::new(),
        invited: [None, None],
        has_kills: seed.is_multiple_of(5),
        violations: Vec::new(),
    };
    run.begin();
    while run.world.now_ms() < DURATION_MS && run.violations.is_empty() {
        run.take_turn();
    }
    run.end();
    Report {
        trace_hash: run.world.trace_hash(),
        trace: run.world.trace().to_vec(),
        violations: run.violations,
        calls: run.calls,
        events: run.events,
        faults: run.faults,
    }
}

impl Run {
    /// Both log in, watch each other and join every channel in turn.
    fn begin(&mut self) {
        for user in [0, 1] {
            self.log_in(user);
            self.advance(1_000);
        }
        self.turn.must(0, "presence", "bob ONLINE");
        self.turn.must(1, "presence", "alice ONLINE");
        for user in [0, 1] {
            self.subscribe(user);
            self.advance(1_000);
        }
        for user in [0, 1] {
            for channel in 0..CHANNELS {
                self.act(user, &Act::Join { channel }, None);
            }
            self.advance(2_000);
        }
        for user in [0, 1] {
            for channel in 0..CHANNELS {
                self.act(user, &Act::List { channel }, None);
            }
        }
        self.advance(2_000);
        self.finish_turn("the beginning");
    }

    /// Both log out, and the hubs hold nothing for them.
    fn end(&mut self) {
        for client in self.clients {
            self.world.logout(client);
        }
        self.advance(10_000);
        // A sweep may be in progress.
        let until_ms = self.world.now_ms() + 10_000;
        self.world
            .run_while(until_ms, |world| world.held().open > 0);
        let held = self.world.held();
        if held != crate::inside::Held::default() && self.violations.is_empty() {
            let check = "queue.bounded";
            let text = format!("both have logged out; the hubs hold {held:?}");
            self.violations.push(Violation { check, text });
        }
    }

    fn log_in(&mut self, user: UserNo) {
        self.turn.must(user, "state", "CONNECTING LOGIN");
        self.turn.must(user, "state", "CONNECTED LOGIN_SUCCESS");
        let id = self.world.login(self.clients[user], NAMES[user], "");
        self.turn.answer(user, id, "done");
    }

    fn subscribe(&mut self, user: UserNo) {
        let user_ids = vec![NAMES[1 - user].into()];
        let id = self
            .world
            .call(self.clients[user], Call::SubscribePresence { user_ids });
        self.turn.answer(user, id, "done");
    }

    fn take_turn(&mut self) {
        match self.random.between(0, 99) {
            0..=54 => self.calm_turn(),
            55..=69 => self.cut_turn(),
            70..=91 => self.absence_turn(),
            92..=95 if self.has_kills => self.kill_turn(),
            _ => self.logout_turn(),
        }
    }

    /// Both act, and one may call the other.
    fn calm_turn(&mut self) {
        let caller = self
            .random
            .percent(40)
            .then(|| usize::from(self.random.percent(50)));
        if let Some(caller) = caller {
            self.invite(caller);
        }
        self.bursts(None);
        self.advance(4_000);
        if let Some(caller) = caller {
            self.decide(caller);
        }
        self.finish_turn("a calm turn");
    }

    /// Links break while both act, and recover at once: nobody may notice.
    fn cut_turn(&mut self) {
        self.faults += 1;
        self.bursts(None);
        let wait = self.random.between(0, 20);
        self.advance(wait);
        for user in [0, 1] {
            if self.random.percent(60) {
                self.world.cut(self.clients[user]);
            }
        }
        // A link that had been quiet may cause presence events.
        for user in [0, 1] {
            self.turn
                .may(1 - user, "presence", format!("{} UNREACHABLE", NAMES[user]));
            self.turn
                .may(1 - user, "presence", format!("{} ONLINE", NAMES[user]));
        }
        // Longer than it takes to notice a loss. A notice that the network is back ends the wait
        // for the next attempt, which grows with every loss.
        self.advance(100);
        for user in [0, 1] {
            self.world.wake(self.clients[user]);
        }
        self.advance(5_000);
        self.finish_turn("a turn with cuts");
    }

    /// One is away for some time; both act at its start.
    fn absence_turn(&mut self) {
        self.faults += 1;
        let user = usize::from(self.random.percent(50));
        let seconds = *self.random.pick(&ABSENCES_S);
        let away = Away { user, seconds };
        self.world.unplug(self.clients[user]);
        if seconds > 120 {
            self.model.gaps(user, &mut self.turn);
        }
        self.bursts(Some(away));
        self.model.absence(away, &mut self.turn);
        self.advance(seconds * 1_000);
        self.world.set_offline(self.clients[user], false);
        self.world.wake(self.clients[user]);
        self.advance(15_000);
        if seconds > 120 {
            // Members missing from the new session have 30 s to return.
            self.advance(30_000);
        }
        self.finish_turn(&format!("{} away for {seconds} s", NAMES[user]));
    }

    /// The server is killed and restarted: everything acknowledged is present, and nobody is seen
    /// to leave.
    fn kill_turn(&mut self) {
        self.faults += 1;
        self.world.kill_server();
        let down_ms = self.random.between(100, 6_000);
        for user in [0, 1] {
            self.model.gaps(user, &mut self.turn);
            self.turn.may(user, "state", "RECONNECTING INTERRUPTED");
            self.turn.may(user, "state", "CONNECTED LOGIN_SUCCESS");
            for state in ["OFFLINE", "UNREACHABLE", "ONLINE"] {
                self.turn
                    .may(user, "presence", format!("{} {state}", NAMES[1 - user]));
            }
        }
        self.advance(down_ms);
        self.world.start_server();
        self.advance(60_000);
        self.finish_turn("a turn with a kill");
    }

    /// One logs out and in again, and gets the messages stored for it.
    fn logout_turn(&mut self) {
        let user = usize::from(self.random.percent(50));
        let other = 1 - user;
        self.turn.must(user, "state", "DISCONNECTED LOGOUT");
        self.model.log_out(user, &mut self.turn);
        self.counts[user].fill(None);
        self.turn
            .must(other, "presence", format!("{} OFFLINE", NAMES[user]));
        let id = self.world.logout(self.clients[user]);
        self.turn.answer(user, id, "done");
        self.advance(2_000);
        for _ in 0..self.random.between(0, 3) {
            let (text, is_offline) = (self.text(), self.random.percent(60));
            if is_offline {
                self.turn
                    .must(user, "stored", format!("{} {text}", NAMES[other]));
            }
            let act = Act::ToPeer {
                text,
                is_offline,
                is_kept: false,
            };
            let id = self.world.call(self.clients[other], act.call(other));
            self.calls += 1;
            self.turn.answer(other, id, "received false");
        }
        self.advance(2_000);
        self.turn
            .must(other, "presence", format!("{} ONLINE", NAMES[user]));
        self.log_in(user);
        self.advance(2_000);
        self.turn
            .must(user, "presence", format!("{} ONLINE", NAMES[other]));
        self.subscribe(user);
        self.advance(2_000);
        self.finish_turn(&format!("a logout of {}", NAMES[user]));
    }

    fn invite(&mut self, caller: UserNo) {
        let content = self.text();
        self.turn
            .must(1 - caller, "invitation", format!("received {content}"));
        self.turn.must(caller, "sent invitation", "received");
        let call = InvitationCall::Invite {
            callee_id: NAMES[1 - caller].into(),
            content,
            channel: String::new(),
        };
        let id = self
            .world
            .call(self.clients[caller], Call::Invitation(call));
        self.turn.answer(caller, id, "done");
    }

    /// The invitation's fate: accepted, refused, cancelled, or left to expire.
    fn decide(&mut self, caller: UserNo) {
        let callee = 1 - caller;
        let (Some(id), Some(number)) =
            (self.invitation[callee].take(), self.invited[caller].take())
        else {
            return;
        };
        let response = self.text();
        let (who, call, here, there) = match self.random.between(0, 3) {
            0 => {
                let here = format!("accepted {response}");
                (
                    callee,
                    InvitationCall::Accept { id, response },
                    here,
                    "accepted",
                )
            }
            1 => {
                let here = format!("refused {response}");
                (
                    callee,
                    InvitationCall::Refuse { id, response },
                    here,
                    "refused",
                )
            }
            2 => (
                caller,
                InvitationCall::Cancel { number },
                "canceled".into(),
                "canceled",
            ),
            _ => {
                self.turn
                    .must(caller, "sent invitation", "failed InvitationExpire");
                self.turn
                    .must(callee, "invitation", "failed InvitationExpire");
                return self.advance(62_000);
            }
        };
        self.turn.must(caller, "sent invitation", here);
        self.turn.must(callee, "invitation", there);
        let id = self.world.call(self.clients[who], Call::Invitation(call));
        self.turn.answer(who, id, "done");
        self.advance(2_000);
    }

    /// Both act concurrently, each on its own share of the channels.
    fn bursts(&mut self, away: Option<Away>) {
        let parts: Vec<UserNo> = (0..CHANNELS)
            .map(|_| usize::from(self.random.percent(50)))
            .collect();
        let reads = [self.random.percent(35), self.random.percent(35)];
        for user in [0, 1] {
            let own: Vec<usize> = (0..CHANNELS)
                .filter(|channel| parts[*channel] == user)
                .collect();
            if own.is_empty() {
                continue;
            }
            let mut told = BTreeSet::new();
            let mut joined = BTreeSet::new();
            let is_long_away = away.is_some_and(|away| away.user == user && away.seconds > 8);
            for _ in 0..self.random.between(1, 6) {
                let act = if reads[user] {
                    self.draw_read(user, &own, reads[1 - user], away)
                } else {
                    self.draw_write(&own, away)
                };
                // A change of attributes is announced once it is durable: a later join or leave may
                // be seen first.
                match &act {
                    Act::WriteChannel {
                        channel,
                        is_told: true,
                        ..
                    } => drop(told.insert(*channel)),
                    Act::Join { channel } | Act::Leave { channel } if told.contains(channel) => {
                        continue;
                    }
                    // A leave overtakes a join that is under way, which then fails; whether others
                    // saw it is unknown. The client core's own tests cover it.
                    Act::Leave { channel } if joined.contains(channel) => continue,
                    // Whether a join or leave that timed out took effect is unknown.
                    Act::Join { .. } | Act::Leave { .. } if is_long_away => continue,
                    _ => {}
                }
                self.act(user, &act, away);
                // A client that does not know the members cannot learn what changed while it was
                // away.
                if let Act::Join { channel } = act {
                    joined.insert(channel);
                    self.to_list.push((user, channel));
                }
            }
        }
    }

    fn act(&mut self, user: UserNo, act: &Act, away: Option<Away>) {
        let answer = self.model.act(user, act, away, &mut self.turn);
        let id = self.world.call(self.clients[user], act.call(user));
        self.calls += 1;
        self.turn.answer(user, id, answer);
    }

    fn text(&mut self) -> String {
        self.texts += 1;
        format!("t{}", self.texts)
    }

    fn draw_write(&mut self, own: &[usize], away: Option<Away>) -> Act {
        let channel = *self.random.pick(own);
        // What a history holds of a message of unknown fate is unknown too.
        let is_kept = away.is_none() && self.random.percent(30);
        let kinds = [
            AttributeWrite::Set,
            AttributeWrite::Merge,
            AttributeWrite::Merge,
            AttributeWrite::Delete,
            AttributeWrite::Clear,
        ];
        match self.random.between(0, 9) {
            0 | 1 => Act::ToPeer {
                text: self.text(),
                is_offline: self.random.percent(50),
                is_kept,
            },
            2..=4 => Act::ToChannel {
                channel,
                text: self.text(),
                is_kept,
            },
            5 => Act::Leave { channel },
            6 => Act::Join { channel },
            7 => Act::WriteOwn {
                how: *self.random.pick(&kinds),
                key: format!("k{}", self.random.between(0, 5)),
                value: self.text(),
            },
            _ => Act::WriteChannel {
                channel,
                how: *self.random.pick(&kinds),
                key: format!("k{}", self.random.between(0, 5)),
                value: self.text(),
                is_told: self.random.percent(60),
            },
        }
    }

    fn draw_read(
        &mut self,
        user: UserNo,
        own: &[usize],
        other_reads: bool,
        away: Option<Away>,
    ) -> Act {
        let channel = *self.random.pick(own);
        // While one is away or may write, only what cannot change is queried.
        let is_settled = other_reads && away.is_none();
        match self.random.between(0, 8) {
            0 => Act::List { channel },
            1 => Act::Count {
                channels: vec![channel],
            },
            2 if is_settled => Act::Presence,
            3 => Act::Subscriptions,
            4 if is_settled => Act::Read { of: 1 - user },
            5 => Act::Read { of: user },
            6 => Act::ChannelHistory { channel },
            7 if is_settled => Act::PeerHistory,
            _ => Act::ReadChannel { channel },
        }
    }

    fn advance(&mut self, ms: u64) {
        let until = self.world.now_ms() + ms;
        self.world.run_until(until);
        for record in self.world.take_records() {
            let user = usize::from(record.client == self.clients[1]);
            match &record.what {
                Seen::Answer { id, result } => {
                    if let Ok(tidings_client_core::Answer::Invited { number }) = result {
                        self.invited[user] = Some(*number);
                    }
                    self.turn.see_answer(*id, result);
                }
                Seen::Event(event) => {
                    self.events += 1;
                    self.note(user, event);
                    self.turn.see(user, event);
                }
            }
        }
    }

    fn note(&mut self, user: UserNo, event: &ClientEvent) {
        match event {
            ClientEvent::MemberCount { channel, count } => {
                let number = channel
                    .strip_prefix('c')
                    .and_then(|number| number.parse::<usize>().ok());
                if let Some(told) = number.and_then(|number| self.counts[user].get_mut(number)) {
                    *told = Some(*count);
                }
            }
            ClientEvent::RemoteInvitation {
                id,
                news: RemoteInvitationNews::Received { .. },
                ..
            } => self.invitation[user] = Some(id.clone()),
            _ => {}
        }
    }

    fn finish_turn(&mut self, what: &str) {
        for (user, channel) in std::mem::take(&mut self.to_list) {
            self.act(user, &Act::List { channel }, None);
        }
        self.advance(1_500);
        self.turns += 1;
        let what = format!("turn {}, {what}, at {} ms", self.turns, self.world.now_ms());
        let turn = std::mem::take(&mut self.turn);
        self.violations.extend(turn.finish(&what));
        self.check_counts(&what);
    }

    /// Everybody in a channel has received the current count.
    fn check_counts(&mut self, what: &str) {
        for user in [0, 1] {
            for channel in self.model.joined[user].clone() {
                let members = self
                    .model
                    .joined
                    .iter()
                    .filter(|joined| joined.contains(&channel));
                let members = u32::try_from(members.count()).ok();
                let told = self.counts[user][channel];
                if told != members {
                    let (name, channel) = (NAMES[user], channel_name(channel));
                    let text = format!(
                        "{what}: {name} was told {told:?} of {channel}, which has {members:?}"
                    );
                    self.violations.push(Violation {
                        check: "presence.snapshot_equals_events",
                        text,
                    });
                }
            }
        }
    }
}
