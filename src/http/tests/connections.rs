//! Places for connections.

use std::net::IpAddr;

use super::super::connections::*;
use super::*;

fn connections(connections_max: usize, connections_per_address_max: usize) -> Arc<Connections> {
    Connections::new(&HttpLimits { connections_max, connections_per_address_max, ..HttpLimits::default() })
}

/// A place whose client has spoken.
fn spoken(connections: &Arc<Connections>, from: IpAddr) -> Seat {
    let mut seat = connections.seat(from).expect("a place");
    assert!(seat.speak(), "nobody wanted its place");
    seat
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn last_sixteenth_is_kept_for_questions_and_what_is_past_the_limit_refused() {
    let connections = connections(32, 100);
    let from = address("10.0.0.1");
    let mut seats: Vec<Seat> = (0..32).map(|_| spoken(&connections, from)).collect();
    assert_eq!(seats.iter().filter(|seat| seat.is_kept).count(), 2);
    assert!(!seats[29].is_kept && seats[30].is_kept);
    assert_eq!(connections.seat(from).err(), Some(NoSeat::ConnectionsMax));
    seats.truncate(29);
    assert!(!connections.seat(from).expect("a place is free again").is_kept);
}

#[test]
fn most_places_that_are_kept_are_64() {
    let connections = connections(4096, 10_000);
    let from = address("10.0.0.1");
    let seats: Vec<Seat> = (0..4096).map(|_| spoken(&connections, from)).collect();
    assert_eq!(seats.iter().filter(|seat| seat.is_kept).count(), 64);
}

#[test]
fn an_address_has_its_own_limit_and_nothing_is_remembered_of_one_that_left() {
    let connections = connections(1_000, 2);
    let (one, other) = (address("10.0.0.1"), address("10.0.0.2"));
    let seats = [connections.seat(one).expect("first"), connections.seat(one).expect("second")];
    assert_eq!(connections.seat(one).err(), Some(NoSeat::PerAddressMax));
    assert_eq!(connections.seat(address("::ffff:10.0.0.1")).err(), Some(NoSeat::PerAddressMax), "the same, mapped");
    let _other = connections.seat(other).expect("another address has places of its own");
    drop(seats);
    assert_eq!(connections.address_count(), 1, "only the other is counted");
    connections.seat(one).expect("its places are free again");
}

#[test]
fn addresses_of_one_ipv6_network_are_counted_together_and_loopback_is_not_counted() {
    let connections = connections(1_000, 1);
    let _seat = connections.seat(address("2001:db8:1:2::1")).expect("first");
    assert_eq!(connections.seat(address("2001:db8:1:2:ffff::9")).err(), Some(NoSeat::PerAddressMax));
    connections.seat(address("2001:db8:1:3::1")).expect("another network");
    let _local: Vec<Seat> = ["127.0.0.1", "127.0.0.1", "127.9.9.9", "::1", "::1", "::ffff:127.0.0.1"]
        .map(|text| connections.seat(address(text)).expect("loopback is not counted"))
        .into();
}

#[tokio::test]
async fn silent_connections_keep_nobody_out() {
    let connections = connections(32, 100);
    let from = address("10.0.0.1");
    let _first = spoken(&connections, from);
    let mut silent: Vec<Seat> = (0..29).map(|_| connections.seat(from).expect("a place")).collect();
    for oldest in &mut silent[..3] {
        let next = spoken(&connections, address("10.0.0.2"));
        assert!(!next.is_kept, "it takes the place of one that is silent");
        oldest.taken_away().await;
        assert!(!oldest.speak(), "too late");
        std::mem::forget(next);
    }
    drop(silent);
    // Four have spoken: 26 more before the two that are kept.
    let seats: Vec<Seat> = (0..28).map(|_| spoken(&connections, from)).collect();
    assert_eq!(seats.iter().filter(|seat| seat.is_kept).count(), 2, "every place was given back once");
    assert_eq!(connections.seat(from).err(), Some(NoSeat::ConnectionsMax));
}
