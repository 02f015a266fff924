//! A way in over an empty database in memory, made once: what is read is not stored.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use dozor::clock::Clock;
use dozor::config::WalSync;
use dozor::disk::SimulatedDisk;
use dozor::ingest::{Ingest, IngestError, IngestLimits, OtlpOptions, Protocol, Reading};
use dozor::model::{Labels, SeriesRef};
use dozor::storage::{Storage, StorageOptions};

/// What the clock shows.
pub(super) const NOW_MS: i64 = 1_700_000_000_000;

/// Samples by series: times in ms, and the bits of values, sorted.
pub(super) type Read = HashMap<String, Vec<(i64, u64)>>;

pub(super) static INGEST: LazyLock<Ingest> = LazyLock::new(|| {
    let options = StorageOptions {
        data_dir: PathBuf::from("/data"),
        shard_count: 2,
        wal_sync: WalSync::Always,
        retention_ms: 0,
        retention_rules: Vec::new(),
        retention_bytes: 0,
        out_of_order_window_ms: 3_600_000,
        series_max: 100_000,
        head_bytes_max: usize::MAX,
        hash_seed: 3,
        recovery: Arc::default(),
    };
    let clock = Clock::manual(NOW_MS);
    let disk = Arc::new(SimulatedDisk::new());
    let (storage, _, _) =
        Storage::open(options, disk, clock.clone(), Arc::new(|_: &Labels| false)).expect("an empty database opens");
    let otlp =
        OtlpOptions { scope_labels: true, promoted_attributes: vec!["os.type".to_owned()], ..OtlpOptions::default() };
    Ingest::new(storage, IngestLimits::default(), clock).with_otlp(otlp)
});

/// Reads a body when its series are unknown, and again when all of them are known. Both must say the same, and as many
/// must be refused: that a series is found by a hash changes nothing. Gives what was read.
pub(super) fn read(protocol: Protocol<'_>, body: &[u8]) -> Result<(Read, u64), IngestError> {
    let unknown = INGEST.read_as(protocol, body)?;
    let (mut learned, mut names) = (Vec::new(), HashMap::new());
    for (shard, batch) in unknown.batches.iter().enumerate() {
        for (slot, new) in batch.new.iter().enumerate() {
            let series = SeriesRef::new(shard as u8, 1, slot as u32);
            learned.push((new.raw_hash, series));
            names.insert(series, new.labels.to_string());
        }
    }
    let is_new = !learned.is_empty();
    let read = (by_series(&unknown, &names), unknown.refused_count);
    if is_new {
        INGEST.resolver().pretend(learned);
        let known = INGEST.read_as(protocol, body);
        INGEST.resolver().forget_all();
        let known = known.unwrap_or_else(|error| panic!("refused when its series are known: {error}"));
        assert_eq!((by_series(&known, &names), known.refused_count), read, "with known series and without");
    }
    Ok(read)
}

fn by_series(reading: &Reading, names: &HashMap<SeriesRef, String>) -> Read {
    let mut read = Read::new();
    for batch in &reading.batches {
        for new in &batch.new {
            let samples = new.samples.iter().map(|sample| (sample.timestamp_ms, sample.value.to_bits()));
            read.entry(new.labels.to_string()).or_default().extend(samples);
        }
        for row in &batch.rows {
            let series = names.get(&row.series).expect("a known series was learned here");
            read.entry(series.clone()).or_default().push((row.timestamp_ms, row.value.to_bits()));
        }
    }
    sorted(read)
}

/// Without series that have no samples. The parts of a series that is written in two ways are in no order.
pub(super) fn sorted(mut read: Read) -> Read {
    read.retain(|_, samples| !samples.is_empty());
    read.values_mut().for_each(|samples| samples.sort_unstable());
    read
}

/// What an error says if it is about the bytes; one about a limit is nobody's mistake.
pub(super) fn malformed(error: IngestError) -> Option<String> {
    match error {
        IngestError::Malformed(words) => Some(words),
        IngestError::TooLarge { .. } => None,
        other => panic!("bytes that are read are wrong or too many: {other}"),
    }
}
