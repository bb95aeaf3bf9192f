//! Planned restarts with all their outcomes, pauses, and kills of the server.

use super::*;

/// How long nothing listens, in milliseconds: during a restart, and during one after which sessions
/// are too old.
const AWAY_MS_MAX: u64 = 10_000;
const AWAY_TOO_LONG_MS: u64 = 121_000;

impl Chaos {
    /// The operator restarts the server, or its process is suspended.
    pub(super) fn break_off(&mut self, config: &ChaosConfig) {
        if config.has_restarts && self.random.percent(1) {
            self.restarts += 1;
            self.restart(config);
        }
        if config.has_pauses && self.random.percent(1) {
            self.pauses += 1;
            let ms = *self.random.pick(&[500, 3_000, 20_000, 40_000, 120_000]);
            self.world.pause_server(ms);
        }
    }

    fn restart(&mut self, config: &ChaosConfig) {
        self.world.drain_server();
        // Clients continue in the meantime.
        for _ in 0..self.random.between(0, 4) {
            let client = *self.random.pick(&self.clients);
            self.act(client);
            let pause = self.random.between(0, 300);
            self.advance(pause);
        }
        if config.has_kills && self.random.percent(25) {
            // OVL-9: the server crashes during the drain.
            return self.kill();
        }
        let is_kept = self.world.stop_server();
        let has_well_disk = self.swarm.has_well_disk();
        if !is_kept {
            self.note_crash();
            if has_well_disk {
                let text = "what was under way did not come to an end in time".to_owned();
                self.checker.violate_now("drain.no_loss", text);
            }
        }
        let away_ms = if !is_calm(config) && self.random.percent(5) {
            AWAY_TOO_LONG_MS
        } else {
            self.random.between(0, AWAY_MS_MAX)
        };
        self.advance(away_ms);
        if is_kept {
            self.jump_while_away();
        } else {
            // Nobody remembers that the clock was not to be trusted.
            self.world.set_clock_right();
        }
        if config.has_kills && self.random.percent(15) {
            let after_ms = self.random.between(0, 20);
            self.world.start_and_kill_server(after_ms);
            return self.come_back();
        }
        let takes_over = self.world.start_server();
        if is_kept && !takes_over {
            // The sessions were too old, or appeared so by the wall clock.
            self.note_crash();
        }
    }

    fn note_crash(&mut self) {
        self.checker.note_crash(self.world.now_ms());
        self.legacy.excuse_handed();
    }

    pub(super) fn kill(&mut self) {
        self.world.kill_server();
        self.come_back();
    }

    /// After a kill, the operator corrects the clock and starts the server.
    fn come_back(&mut self) {
        self.faults += 1;
        self.note_crash();
        self.world.set_clock_right();
        let away = self.random.between(0, 8_000);
        self.advance(away);
        self.world.start_server();
    }
}
