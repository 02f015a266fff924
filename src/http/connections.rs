//! Who may connect: a bound on all connections, one on those of an address, and a few places kept for questions.
//!
//! ```text
//! 0 ───────────────────────────── 4,032 ─────────────────────── 4,096 = limits.connections_max
//!        served as they come         one question each, then closed       503, closed
//! ```
//!
//! Senders keep their connections open, so a fleet can take all places; whoever then looks what is wrong still finds one.
//! A write that comes to a kept place is told 503 and closed. A connection that has not said anything yet holds its
//! place only as long as nobody else wants it: when all are taken, the one that has been silent longest is closed for the
//! next that comes. So ten thousand silent connections keep nobody out.
//!
//! Always true: a place is given back once, when its [`Seat`] goes or is taken from it, however the connection ends, and
//! an address without connections takes no memory.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::limits::HttpLimits;

/// Most places that are kept for questions; of few places it is a sixteenth.
const KEPT_COUNT_MAX: usize = 64;

/// All open connections.
pub(super) struct Connections {
    connections_max: usize,
    per_address_max: usize,
    kept_count: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    count: usize,
    by_address: HashMap<IpAddr, usize>,
    next_number: u64,
    /// Those that have not said anything yet, in the order in which they came.
    silent: BTreeMap<u64, Silent>,
    /// Those whose place was taken from them and that have not seen it yet.
    closed: HashSet<u64>,
}

struct Silent {
    address: Option<IpAddr>,
    close: oneshot::Sender<()>,
}

impl Open {
    fn leave(&mut self, address: Option<IpAddr>) {
        self.count -= 1;
        let Some(address) = address else { return };
        if let Entry::Occupied(mut entry) = self.by_address.entry(address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    /// Closes the connection that has been silent longest. Its place is free at once.
    fn close_silent(&mut self) {
        let Some((number, silent)) = self.silent.pop_first() else { return };
        self.closed.insert(number);
        self.leave(silent.address);
        // One that ends by itself just now has no ears any more.
        let _ = silent.close.send(());
    }
}

/// A connection's place, given back when it is dropped.
pub(super) struct Seat {
    connections: Arc<Connections>,
    number: u64,
    closed: oneshot::Receiver<()>,
    /// By what it is counted, unless it is loopback.
    address: Option<IpAddr>,
    /// Whether it is one of those kept for questions.
    pub(super) is_kept: bool,
}

/// Why there is no place, by the setting that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSeat {
    ConnectionsMax,
    PerAddressMax,
}

impl NoSeat {
    /// What the client is told.
    pub(super) fn told(self) -> &'static str {
        match self {
            NoSeat::ConnectionsMax => "too many connections: close idle ones, or raise limits.connections_max",
            NoSeat::PerAddressMax => {
                "too many connections from your address: close idle ones, or raise limits.connections_per_address_max"
            }
        }
    }
}

impl Connections {
    pub(super) fn new(limits: &HttpLimits) -> Arc<Connections> {
        Arc::new(Connections {
            connections_max: limits.connections_max,
            per_address_max: limits.connections_per_address_max,
            kept_count: (limits.connections_max / 16).min(KEPT_COUNT_MAX),
            open: Mutex::default(),
        })
    }

    /// A place for a connection from this address.
    pub(super) fn seat(self: &Arc<Connections>, from: IpAddr) -> Result<Seat, NoSeat> {
        let mut open = self.open.lock();
        let address = counted_as(from);
        if address
            .is_some_and(|address| open.by_address.get(&address).is_some_and(|count| *count >= self.per_address_max))
        {
            return Err(NoSeat::PerAddressMax);
        }
        if open.count >= self.connections_max - self.kept_count {
            open.close_silent();
        }
        if open.count >= self.connections_max {
            return Err(NoSeat::ConnectionsMax);
        }
        if let Some(address) = address {
            *open.by_address.entry(address).or_default() += 1;
        }
        let is_kept = open.count >= self.connections_max - self.kept_count;
        open.count += 1;
        let number = open.next_number;
        open.next_number += 1;
        let (close, closed) = oneshot::channel();
        open.silent.insert(number, Silent { address, close });
        Ok(Seat { connections: self.clone(), number, closed, address, is_kept })
    }
}

impl Seat {
    /// Returns when the place was taken away, which happens only before [`Seat::speak`].
    pub(super) async fn taken_away(&mut self) {
        // The other end goes only with this one, or with these words.
        let _ = (&mut self.closed).await;
    }

    /// The client has said something, and keeps its place from now on. Returns `false` if it came too late.
    pub(super) fn speak(&mut self) -> bool {
        let mut open = self.connections.open.lock();
        open.silent.remove(&self.number);
        !open.closed.contains(&self.number)
    }
}

#[cfg(test)]
impl Connections {
    /// Addresses that are remembered.
    pub(super) fn address_count(&self) -> usize {
        self.open.lock().by_address.len()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.silent.remove(&self.number);
        if !open.closed.remove(&self.number) {
            open.leave(self.address);
        }
    }
}

/// Whose connection it is: of IPv6 the network of 64 bits, since whoever has one address there has them all. Loopback is
/// nobody's: a proxy on this machine speaks for many.
fn counted_as(from: IpAddr) -> Option<IpAddr> {
    match from.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V6(address) => Some(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))),
        address => Some(address),
    }
}
