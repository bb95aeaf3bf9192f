//! The loop: all client connections of this process in one thread.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use mio::{Events, Poll, Token};

use crate::drivers::{Driver, News};
use crate::link::{Arrival, Link, Out, Target};

/// One buffer for all reads, in bytes.
const BUFFER_BYTES: usize = 1 << 20;

/// Reads of one connection before the others get their turn.
const READS_PER_TURN: usize = 4;

/// Connections from one address of this machine: with more, the kernel's search for a free port
/// becomes slow.
const LINKS_PER_ADDRESS: usize = 10_000;

/// All client connections, and the protocol that they use.
pub(crate) struct Engine {
    poll: Poll,
    events: Events,
    links: Vec<Link>,
    /// Connections that have something to write.
    dirty: Vec<usize>,
    buffer: Vec<u8>,
    pub(crate) driver: Box<dyn Driver>,
    target: Target,
    /// Added to the number of a connection when its address is chosen, so that processes of one run
    /// do not overlap.
    first: usize,
    began: Instant,
}

impl Engine {
    pub(crate) fn new(target: Target, driver: Box<dyn Driver>, first: usize) -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(4096),
            links: Vec::new(),
            dirty: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
            driver,
            target,
            first,
            began: Instant::now(),
        })
    }

    /// Nanoseconds since the engine started.
    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Starts one more connection.
    pub(crate) fn connect(&mut self) -> Result<usize> {
        let number = self.links.len();
        let link = self.begin(number)?;
        self.links.push(link);
        Ok(number)
    }

    /// Reopens a connection that was expected to end.
    pub(crate) fn reconnect(&mut self, number: usize) -> Result<()> {
        self.links[number] = self.begin(number)?;
        Ok(())
    }

    /// From now on the server may close a connection.
    pub(crate) fn expect_end(&mut self, number: usize) {
        self.links[number].is_ending = true;
    }

    fn begin(&mut self, number: usize) -> Result<Link> {
        let from = self.target.address.ip().is_loopback().then(|| {
            let host = 2 + (self.first + number) / LINKS_PER_ADDRESS;
            IpAddr::V4(Ipv4Addr::new(127, 0, 0, u8::try_from(host).unwrap_or(254)))
        });
        let path = self.driver.path(number);
        let mut link = Link::connect(&self.target, &path, from, (self.first + number) as u64)?;
        link.register(self.poll.registry(), Token(number))?;
        Ok(link)
    }

    pub(crate) fn links(&self) -> usize {
        self.links.len()
    }

    /// Lets the driver send something on a connection.
    pub(crate) fn say(&mut self, link: usize, say: impl FnOnce(&mut dyn Driver, &mut Out<'_>)) {
        say(&mut *self.driver, &mut self.links[link].out());
        mark(&mut self.links[link], &mut self.dirty, link);
    }

    /// Writes pending data, waits no longer than given, and handles what has arrived.
    pub(crate) fn turn(
        &mut self,
        wait: Duration,
        tell: &mut dyn FnMut(usize, News<'_>),
    ) -> Result<()> {
        self.flush()?;
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            let number = event.token().0;
            let link = &mut self.links[number];
            if event.is_writable() && link.has_output() {
                mark(link, &mut self.dirty, number);
            }
            if !(event.is_readable() || event.is_read_closed()) {
                continue;
            }
            let driver = &mut self.driver;
            let (mut fault, mut is_turned_away) = (None, false);
            for _ in 0..READS_PER_TURN {
                let is_more = link.read(&mut self.buffer, &mut |arrival, out| match arrival {
                    Arrival::Open => {
                        driver.opened(number, out);
                        if driver.is_in_when_open() {
                            tell(number, News::LoggedIn);
                        }
                    }
                    Arrival::Message(kind, payload) => {
                        driver.take(number, kind, payload, out, &mut |news| {
                            is_turned_away |= matches!(news, News::ComeAgain(_));
                            tell(number, news);
                        });
                    }
                    Arrival::ComeAgain(after_ms) => {
                        is_turned_away = true;
                        tell(number, News::ComeAgain(after_ms));
                    }
                    Arrival::Closed(why) => fault = Some(why),
                })?;
                if !is_more {
                    break;
                }
            }
            link.is_ending |= is_turned_away;
            if let Some(why) = fault.filter(|_| !link.is_ending) {
                bail!("the server has closed connection {number}: {why}");
            }
            if link.has_output() {
                mark(link, &mut self.dirty, number);
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        for number in self.dirty.drain(..) {
            let link = &mut self.links[number];
            link.is_dirty = false;
            link.flush()?;
        }
        Ok(())
    }
}

fn mark(link: &mut Link, dirty: &mut Vec<usize>, number: usize) {
    if !link.is_dirty {
        link.is_dirty = true;
        dirty.push(number);
    }
}
