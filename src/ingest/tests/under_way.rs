//! Senders who leave when they have sent: what they brought takes room until it is stored.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::*;

/// Samples of one request: of some 18 bytes each, so a request of 9 KiB reserves twice that.
const SAMPLES: i64 = 500;
const RESERVED_BYTES: usize = 17 << 10;

/// A fixture of which no shard gets past the beginning of a series `gate` while the mutex is held.
fn gated(limits: IngestLimits) -> (Fixture, Arc<Mutex<()>>) {
    let gate = Arc::new(Mutex::new(()));
    let asked = gate.clone();
    let interest: Interest = Arc::new(move |labels: &Labels| {
        if labels.metric_name() == Some("gate") {
            drop(asked.lock());
        }
        false
    });
    (Fixture::with_storage(limits, Clock::manual(NOW_MS), 100_000, interest), gate)
}

/// A series `gate` of the shard that has the series `known`.
fn gate_of_known(storage: &Storage) -> TimeSeries {
    let shard_of =
        |pairs: &[(&str, &str)]| storage.shard_of(&Labels::from_pairs(pairs.iter().copied()).expect("labels"));
    let known = shard_of(&[("__name__", "known")]);
    let is_beside = |number: &String| shard_of(&[("__name__", "gate"), ("number", number)]) == known;
    let number = (0..1_000).map(|number| number.to_string()).find(is_beside).expect("each shard has some");
    series(&[("__name__", "gate"), ("number", &number)], &[(NOW_MS, 1.0)])
}

fn known(request: i64) -> Vec<TimeSeries> {
    let sample = |index: i64| (NOW_MS + request * SAMPLES + index, 1.0);
    vec![series(&[("__name__", "known")], &(0..SAMPLES).map(sample).collect::<Vec<_>>())]
}

/// Sends a request, and leaves as soon as there is something to wait for.
fn send_and_leave(fixture: &Fixture, timeseries: Vec<TimeSeries>) -> Poll<Result<Written, IngestError>> {
    let request = pin!(fixture.ingest.remote_write(WriteHead::default(), compressed(&message(timeseries))));
    request.poll(&mut Context::from_waker(Waker::noop()))
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let real = Clock::system();
    let deadline = real.monotonic() + Duration::from_secs(60);
    while !is_so() {
        assert!(real.monotonic() < deadline, "{what}: not within a minute");
        std::thread::yield_now();
    }
}

#[test]
fn rows_of_senders_who_left_take_room_until_they_are_stored() {
    let (fixture, gate) = gated(IngestLimits { bytes_in_flight_max: 64 << 10, ..IngestLimits::default() });
    fixture.send(known(0)).expect("stored");
    assert_eq!(fixture.ingest.bytes_in_flight(), 0);

    let held = gate.lock();
    assert!(send_and_leave(&fixture, vec![gate_of_known(&fixture.storage)]).is_pending());
    wait_until("the shard is held up", || fixture.storage.queued_requests() == 0);
    for request in 1..4 {
        assert!(send_and_leave(&fixture, known(request)).is_pending());
        let bytes = fixture.ingest.bytes_in_flight();
        assert!(bytes >= request as usize * RESERVED_BYTES, "request {request}: {bytes} bytes");
    }
    assert_eq!(fixture.storage.queued_requests(), 3);
    match send_and_leave(&fixture, known(4)) {
        Poll::Ready(Err(error @ IngestError::NoRoom { .. })) => assert_eq!(error.status(), 503),
        other => panic!("there was room: {other:?}"),
    }

    drop(held);
    wait_until("all is stored, and the room given back", || fixture.ingest.bytes_in_flight() == 0);
    let (name, samples) = fixture.stored().pop().expect("a series");
    assert_eq!((name.as_str(), samples.len()), ("known", 4 * SAMPLES as usize));
    fixture.send(known(4)).expect("there is room");
}

#[test]
fn new_series_of_a_sender_who_left_count_against_budgets_until_they_are_in_memory() {
    let (fixture, gate) = gated(IngestLimits::default());
    let held = gate.lock();
    assert!(send_and_leave(&fixture, vec![gate_of_known(&fixture.storage)]).is_pending());
    assert!(!fixture.ingest.budget_is_quiet());
    drop(held);
    wait_until("nothing is under way", || fixture.ingest.budget_is_quiet());
    assert_eq!(fixture.storage.series_count_with("__name__", "gate"), 1);
}

#[test]
fn room_of_a_request_that_is_waited_for_is_given_back_before_its_answer() {
    let fixture = Fixture::new();
    for request in 0..20 {
        fixture.send(known(request)).expect("stored");
        assert_eq!(fixture.ingest.bytes_in_flight(), 0);
        assert!(fixture.ingest.budget_is_quiet());
    }
}
