//! The setting of an attack: the server, the time, and what the attackers have done.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::door::{Door, End};

/// An attacker whose connection is refused retries after this time: often, but not in a tight loop.
pub(crate) const COME_AGAIN: Duration = Duration::from_millis(2);

/// The state shared by attackers.
pub(crate) struct Field {
    pub(crate) door: Door,
    is_ready: watch::Sender<bool>,
    /// Messages, requests or connections: whatever the attack counts.
    pub(crate) done: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// Connections held now, and the highest number so far.
    held: AtomicU64,
    held_max: AtomicU64,
    ends: Mutex<BTreeMap<End, u64>>,
}

impl Field {
    pub(crate) fn new(door: Door) -> Arc<Self> {
        Arc::new(Self {
            door,
            is_ready: watch::Sender::new(false),
            done: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            held: AtomicU64::new(0),
            held_max: AtomicU64::new(0),
            ends: Mutex::default(),
        })
    }

    /// Reports that everything is prepared: the attack starts here.
    pub(crate) fn ready(&self) {
        self.is_ready.send_replace(true);
    }

    /// Waits until everything is prepared.
    pub(crate) async fn until_ready(&self) {
        let mut is_ready = self.is_ready.subscribe();
        // The sender lives as long as this value.
        let _ = is_ready.wait_for(|is_ready| *is_ready).await;
    }

    /// Notes what was done.
    pub(crate) fn did(&self, count: u64, bytes: usize) {
        self.done.fetch_add(count, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes how a connection ended.
    pub(crate) fn note(&self, end: End) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        *ends.entry(end).or_default() += 1;
    }

    /// Counts a connection as held until the guard is dropped.
    pub(crate) fn hold(self: &Arc<Self>) -> Held {
        let now = self.held.fetch_add(1, Ordering::Relaxed) + 1;
        self.held_max.fetch_max(now, Ordering::Relaxed);
        Held(self.clone())
    }

    pub(crate) fn held_max(&self) -> u64 {
        self.held_max.load(Ordering::Relaxed)
    }

    /// How connections ended, and how many of each.
    pub(crate) fn ends(&self) -> BTreeMap<End, u64> {
        self.ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A connection that an attacker holds.
pub(crate) struct Held(Arc<Field>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does something repeatedly; a failure is noted, and the next attempt comes a little later.
pub(crate) async fn again<F, T>(field: &Arc<Field>, mut attempt: impl FnMut(u64) -> F)
where
    F: Future<Output = Result<T, End>>,
{
    for number in 0.. {
        if let Err(end) = attempt(number).await {
            field.note(end);
            tokio::time::sleep(COME_AGAIN).await;
        }
    }
}

/// Makes this many attackers do the same concurrently, each repeatedly; every attempt has a number
/// of its own.
pub(crate) async fn crowd<F>(
    field: Arc<Field>,
    count: u64,
    attempt: impl Fn(Arc<Field>, u64) -> F + Clone + Send + Sync + 'static,
) -> Result<(), End>
where
    F: Future<Output = Result<(), End>> + Send + 'static,
{
    field.ready();
    let mut tasks = JoinSet::new();
    for n in 0..count {
        let (field, attempt) = (field.clone(), attempt.clone());
        tasks.spawn(async move {
            let inner = field.clone();
            again(&field, move |round| {
                attempt(inner.clone(), round * count + n)
            })
            .await;
        });
        // All at once would only test the kernel's queue.
        if n % 64 == 63 {
            tokio::task::yield_now().await;
        }
    }
    tasks.join_all().await;
    Ok(())
}

/// The `n`th IPv4 address of attackers, each a source of its own.
pub(crate) fn v4(n: u64) -> Option<IpAddr> {
    let n = u32::try_from(n % (1 << 17)).unwrap_or(0);
    Some(Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + n).into())
}

/// An address in the `n`th /64 of one customer's /48; the first 256 form one /56.
pub(crate) fn v6(n: u64) -> Option<IpAddr> {
    let net = u128::from(n % (1 << 16));
    Some(Ipv6Addr::from((0x2001_0db8_0001 << 80) | (net << 64) | 1).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_networks_in_the_order_in_which_providers_give_them() {
        assert_eq!(v6(0), "2001:db8:1:0::1".parse().ok());
        assert_eq!(v6(255), "2001:db8:1:ff::1".parse().ok());
        assert_eq!(v6(256), "2001:db8:1:100::1".parse().ok());
        assert_eq!(v4(257), "198.18.1.1".parse().ok());
    }
}
