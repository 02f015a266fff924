//! Labels in odd places of a series message, and rows that grow.

use std::sync::Arc;

use crate::clock::Clock;
use crate::disk::SimulatedDisk;
use crate::ingest::protobuf::{append_bytes, append_fixed64, append_number};
use crate::ingest::{Ingest, IngestError, IngestLimits, WriteHead, Written};
use crate::model::{Labels, Matcher, TimeRange};
use crate::storage::view::Columns;
use crate::storage::{Storage, StorageOptions};

const NOW: i64 = 1_700_000_000_000;

/// A piece of a series message, in whatever order the sender likes.
enum Part {
    Label(&'static str, &'static str),
    Sample(i64, f64),
    Exemplar,
}
use Part::{Exemplar, Label, Sample as At};

fn series(parts: &[Part]) -> Vec<u8> {
    let mut series = Vec::new();
    for part in parts {
        let mut inner = Vec::new();
        let number = match part {
            Label(name, value) => {
                append_bytes(&mut inner, 1, name.as_bytes());
                append_bytes(&mut inner, 2, value.as_bytes());
                1
            }
            At(timestamp_ms, value) => {
                append_fixed64(&mut inner, 1, value.to_bits());
                append_number(&mut inner, 2, *timestamp_ms as u64);
                2
            }
            Exemplar => 3,
        };
        append_bytes(&mut series, number, &inner);
    }
    series
}

struct Fixture {
    ingest: Ingest,
    storage: Arc<Storage>,
    runtime: tokio::runtime::Runtime,
}

fn fixture(limits: IngestLimits) -> Fixture {
    let options = StorageOptions { out_of_order_window_ms: 0, ..StorageOptions::of_tests(2) };
    let (disk, clock) = (Arc::new(SimulatedDisk::new()), Clock::manual(NOW));
    let (storage, _, _) = Storage::open(options, disk, clock, Arc::new(|_: &Labels| false)).expect("it opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    Fixture { ingest: Ingest::new(storage.clone(), limits, Clock::system()), storage, runtime }
}

impl Fixture {
    fn send(&self, all: &[Vec<u8>]) -> Result<Written, IngestError> {
        let mut message = Vec::new();
        for series in all {
            append_bytes(&mut message, 1, series);
        }
        let body = snap::raw::Encoder::new().compress_vec(&message).expect("it compresses");
        self.runtime.block_on(self.ingest.remote_write(WriteHead::default(), body.into()))
    }

    /// Every series and its samples' values.
    fn stored(&self) -> Vec<(String, Vec<f64>)> {
        let any = Matcher::new("__name__", crate::model::MatchOp::NotEqual, "").expect("a matcher");
        let found = self.storage.view().select(&[any], TimeRange::ALL, 100).expect("a selection");
        let read = |view: &crate::storage::view::SeriesView| {
            let mut columns = Columns::default();
            view.read(TimeRange::ALL, &mut columns);
            (view.labels().to_string(), columns.values)
        };
        found.iter().map(read).collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.storage.close();
    }
}

#[test]
fn labels_behind_samples_name_their_own_series_and_no_other() {
    let fixture = fixture(IngestLimits::default());
    let mixed = |ms, value| series(&[Label("__name__", "up"), At(ms, value), Label("node", "1")]);
    let plain = |ms, value| series(&[Label("__name__", "up"), At(ms, value)]);
    let behind_exemplar = |ms, value| series(&[Label("__name__", "up"), Exemplar, Label("node", "2"), At(ms, value)]);
    for round in 0..3 {
        let (ms, value) = (NOW + round, round as f64);
        let all = [mixed(ms, value), plain(ms, value + 10.0), behind_exemplar(ms, value + 20.0)];
        assert_eq!(fixture.send(&all).expect("taken").samples, 3, "round {round}");
    }
    let expected = [
        ("up".to_owned(), vec![10.0, 11.0, 12.0]),
        (r#"up{node="1"}"#.to_owned(), vec![0.0, 1.0, 2.0]),
        (r#"up{node="2"}"#.to_owned(), vec![20.0, 21.0, 22.0]),
    ];
    assert_eq!(fixture.stored(), expected);
}

#[test]
fn a_series_without_labels_is_refused_whoever_wrote_its_samples_first() {
    let fixture = fixture(IngestLimits::default());
    fixture.send(&[series(&[At(NOW, 1.0), Label("__name__", "up")])]).expect("taken");
    let refused = fixture.send(&[series(&[At(NOW + 1, 2.0)])]);
    assert!(matches!(&refused, Err(IngestError::Partial(partial)) if partial.stored == 0), "{refused:?}");
    assert_eq!(fixture.stored(), [("up".to_owned(), vec![1.0])]);
}

#[test]
fn rows_that_take_more_memory_than_their_bytes_are_counted() {
    // 20,000 samples of two bytes are 40 kB, and 480 kB or more as rows.
    let fixture = fixture(IngestLimits { bytes_in_flight_max: 300 << 10, ..IngestLimits::default() });
    let mut flood = series(&[Label("__name__", "up")]);
    for _ in 0..20_000 {
        append_bytes(&mut flood, 2, &[]);
    }
    assert!(matches!(fixture.send(&[flood]), Err(IngestError::NoRoom { .. })));
    fixture.send(&[series(&[Label("__name__", "up"), At(NOW, 1.0)])]).expect("the room was given back");
}

#[test]
fn cut_and_garbled_bodies_are_refused_and_store_nothing() {
    let fixture = fixture(IngestLimits::default());
    let mut message = Vec::new();
    append_bytes(&mut message, 1, &series(&[Label("__name__", "up"), At(NOW, 1.0)]));
    let send = |message: &[u8]| {
        let body = snap::raw::Encoder::new().compress_vec(message).expect("it compresses");
        fixture.runtime.block_on(fixture.ingest.remote_write(WriteHead::default(), body.into()))
    };
    for length in 1..message.len() {
        assert!(matches!(send(&message[..length]), Err(IngestError::Malformed(_))), "length {length}");
    }
    assert!(fixture.stored().is_empty());
    // Any flipped bit is taken or refused, and never ends the shard.
    for bit in 0..message.len() * 8 {
        let mut garbled = message.clone();
        garbled[bit / 8] ^= 1 << (bit % 8);
        let _ = send(&garbled);
    }
    fixture.send(&[series(&[Label("__name__", "after"), At(NOW, 1.0)])]).expect("taken");
}
