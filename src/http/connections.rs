//! Who may connect: a bound on all connections, one on those of an address, and a few places kept for questions.
//!
//! ```text
//! 0 ───────────────────────────── 4,032 ─────────────────────── 4,096 = limits.connections_max
//!        served as they come         one question each, then closed       503, closed
//! ```
//!
//! Senders keep their connections open, so a fleet can take all places; whoever then looks what is wrong still finds one.
//! A write that comes to a kept place is told 503 and closed.
//!
//! Always true: a place is given back when its [`Seat`] goes, however the connection ends, and an address without
//! connections takes no memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

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
}

/// A connection's place, given back when it is dropped.
pub(super) struct Seat {
    connections: Arc<Connections>,
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
        if open.count >= self.connections_max {
            return Err(NoSeat::ConnectionsMax);
        }
        let address = counted_as(from);
        if let Some(address) = address {
            let count = open.by_address.entry(address).or_default();
            if *count >= self.per_address_max {
                return Err(NoSeat::PerAddressMax);
            }
            *count += 1;
        }
        let is_kept = open.count >= self.connections_max - self.kept_count;
        open.count += 1;
        Ok(Seat { connections: self.clone(), address, is_kept })
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
        open.count -= 1;
        let Some(address) = self.address else { return };
        if let Entry::Occupied(mut entry) = open.by_address.entry(address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
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
