//! `tidings top` on a pseudo terminal, whose screen a parser keeps as a person would see it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use super::Place;
use crate::{APP, Running, tidings, until};

/// A terminal and its screen.
struct Terminal {
    master: File,
    /// Kept open, so that what a program leaves behind can be looked at.
    slave: OwnedFd,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    fn new(rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let slave = rustix::fs::open(
            &name,
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY,
            rustix::fs::Mode::empty(),
        );
        let terminal = Self {
            master: master.into(),
            slave: slave.expect("its other side"),
            screen: Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0))),
        };
        terminal.resize(rows, columns);
        let screen = terminal.screen.clone();
        let mut master = terminal.master.try_clone().expect("a clone");
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(count) = master.read(&mut bytes) {
                if count == 0 {
                    break;
                }
                screen.lock().expect("no panic").process(&bytes[..count]);
            }
        });
        terminal
    }

    fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.master, size).expect("a size");
        let mut parser = self.screen.lock().expect("no panic");
        parser.screen_mut().set_size(rows, columns);
    }

    /// Starts a command as a shell would: the terminal is its own.
    fn start(&self, place: &Place, arguments: &[&str]) -> Running {
        let end = || self.slave.try_clone().expect("a clone");
        let program = tidings(arguments);
        let mut command = std::process::Command::new("setsid");
        command
            .args(["--ctty", "--wait"])
            .arg(program.get_program())
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TERM", "xterm-256color")
            .env("TIDINGS_DATA_DIR", &place.data)
            .stdin(end())
            .stdout(end())
            .stderr(end());
        Running(command.spawn().expect("the program runs"))
    }

    fn type_in(&self, keys: &str) {
        (&self.master).write_all(keys.as_bytes()).expect("typed");
    }

    fn contents(&self) -> String {
        self.screen.lock().expect("no panic").screen().contents()
    }

    fn until(&self, told: &str) {
        let begin = std::time::Instant::now();
        while !self.contents().contains(told) {
            let contents = self.contents();
            assert!(
                begin.elapsed() < crate::PATIENCE,
                "no {told:?}:\n{contents}"
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Whether a program has left it as it was: lines, echo, cursor, the page of the shell.
    fn check_clean(&self) {
        let modes = tcgetattr(self.slave.as_fd()).expect("modes").local_modes;
        assert!(
            modes.contains(rustix::termios::LocalModes::ICANON | rustix::termios::LocalModes::ECHO)
        );
        until("the terminal shows the shell's page", || {
            let screen = self.screen.lock().expect("no panic");
            !screen.screen().alternate_screen() && !screen.screen().hide_cursor()
        });
    }
}

#[test]
fn a_page_lives_obeys_keys_and_sizes_and_leaves_nothing_behind() {
    let place = Place::new();
    let alice = place.user("alice", &["lobby"]);
    for (end, is_signal) in [
        ("q", false),
        ("\u{3}", false),
        ("\u{1b}", false),
        ("TERM", true),
    ] {
        let terminal = Terminal::new(24, 80);
        let mut top = terminal.start(&place, &["top", "--interval", "500ms"]);
        terminal.until("1 session, 1 connection (0 legacy), 1 channel");
        terminal.until(APP);
        terminal.until("q quit");
        if end == "q" {
            place.runtime.block_on(async {
                for _ in 0..20 {
                    alice.channel("lobby").send("hello").await.expect("sent");
                }
            });
            terminal.until("20");
            terminal.type_in("s");
            terminal.until("s sort: messages");
            terminal.type_in("h");
            terminal.until("h closes this help");
            terminal.type_in("h");
            terminal.type_in("p");
            terminal.until("paused");
            terminal.resize(40, 120);
            terminal.until("paused");
            until("the last line is at the foot of the larger page", || {
                let contents = terminal.contents();
                contents.lines().count() == 40
                    && contents
                        .lines()
                        .last()
                        .is_some_and(|line| line.contains("q quit"))
            });
            terminal.resize(3, 10);
            terminal.resize(24, 80);
            terminal.until("q quit");
        }
        if is_signal {
            // `setsid` has become the program, or waits for it.
            let own = top.0.id();
            let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
            let children = children.unwrap_or_default();
            let program = children.split_whitespace().next().unwrap_or_default();
            let own = own.to_string();
            let program = if program.is_empty() { &own } else { program };
            let killed = std::process::Command::new("kill")
                .args(["-TERM", program])
                .status();
            assert!(killed.expect("kill runs").success());
        } else {
            terminal.type_in(end);
        }
        let ended = top.0.wait().expect("it ends");
        assert!(ended.success(), "{end:?}: {ended}");
        terminal.check_clean();
    }
}

#[test]
fn a_server_that_goes_away_is_told_and_the_page_goes_on() {
    let mut place = Place::new();
    let terminal = Terminal::new(24, 80);
    let mut top = terminal.start(&place, &["top", "--interval", "500ms"]);
    terminal.until("0 sessions");
    drop(place.server.take());
    terminal.until("no answer from http://127.0.0.1");
    place.restart();
    terminal.until("per second: ");
    drop(place.server.take());
    terminal.type_in("q");
    assert!(top.0.wait().expect("it ends").success());
    terminal.check_clean();
    // Without a server nothing is changed on the terminal.
    let mut top = terminal.start(&place, &["top"]);
    assert_eq!(top.0.wait().expect("it ends").code(), Some(1));
    terminal.until("no server runs on");
    terminal.check_clean();
}

#[test]
fn readings_are_lines_for_programs() {
    let place = Place::new();
    let lines = place.lines(&["top", "--interval", "500ms", "--count", "2"]);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["sessions"], 0);
    assert!(lines[1]["at_ms"].as_u64() > lines[0]["at_ms"].as_u64());
    let app = place.line(&["top", "--app", APP, "--count", "1"]);
    assert_eq!(
        (&app["is_of_app"], &app["apps"][0]["app"]),
        (&true.into(), &APP.into()),
        "{app}"
    );
    let error = place.fail(&["top"]);
    assert!(error.contains("needs a terminal"), "{error}");
    let error = place.fail(&["top", "--json", "--interval", "1ms"]);
    assert!(error.contains("give --interval 500ms to 60s"), "{error}");
}

#[test]
fn a_table_fits_the_terminal_it_is_on() {
    let place = Place::new();
    let name = "a".repeat(64);
    let _user = place.user(&name, &[]);
    assert!(
        place.succeed(&["who"]).contains(&name),
        "whole for a program"
    );
    let terminal = Terminal::new(24, 80);
    let mut who = terminal.start(&place, &["who"]);
    assert!(who.0.wait().expect("it ends").success());
    terminal.until("127.0.0.1");
    let contents = terminal.contents();
    assert!(contents.contains("aaa…  online"), "{contents}");
    assert_eq!(contents.trim_end().lines().count(), 2, "{contents}");
}
