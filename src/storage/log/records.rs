//! What the records of a share of the shards say, told to a target.

use hashbrown::HashMap;
use storage_format::{Corruption, log};

use super::replay::ReplayTarget;
use crate::model::{Labels, SeriesRef, TimeRange};

/// A whole record of a segment.
pub(super) struct Record<'a> {
    pub(super) offset: u64,
    pub(super) kind: u8,
    pub(super) shard: u16,
    pub(super) payload: &'a [u8],
}

/// The rows of a record, references not looked up yet; none of one that is damaged, or of another kind.
pub(super) struct Decoded {
    rows: Vec<(u64, i64, f64)>,
    outcome: Result<(), Corruption>,
}

impl Decoded {
    /// Decodes the record, into the room of one that was used before.
    pub(super) fn of(record: &Record<'_>, room: Option<Decoded>) -> Decoded {
        let mut rows = room.map(|room| room.rows).unwrap_or_default();
        rows.clear();
        let row = |reference, timestamp_ms, value| rows.push((reference, timestamp_ms, value));
        let outcome = match record.kind {
            log::KIND_ROWS => log::decode_rows(record.payload, row).map(|_| ()),
            log::KIND_SAMPLES | log::KIND_BELATED => log::decode_samples(record.payload, row).map(|_| ()),
            _ => Ok(()),
        };
        if outcome.is_err() {
            rows.clear();
        }
        Decoded { rows, outcome }
    }
}

/// One target's part in reading one segment.
pub(super) struct ShareReplay {
    series: SegmentSeries,
    rows: Vec<(SeriesRef, i64, f64)>,
    torn_from: Option<u64>,
    pub(super) newest_ms: i64,
    pub(super) holds_belated: bool,
    pub(super) sample_count: u64,
    pub(super) damage: Vec<Corruption>,
}

impl ShareReplay {
    /// From `torn_from` on, a series that is not known is no damage: its definition was cut off with the write.
    pub(super) fn new(torn_from: Option<u64>) -> ShareReplay {
        ShareReplay {
            series: SegmentSeries::default(),
            rows: Vec::new(),
            torn_from,
            newest_ms: i64::MIN,
            holds_belated: false,
            sample_count: 0,
            damage: Vec::new(),
        }
    }

    pub(super) fn record<T: ReplayTarget>(&mut self, record: &Record<'_>, decoded: &Decoded, target: &mut T) {
        let Record { offset, kind, payload, .. } = *record;
        let read = match kind {
            log::KIND_SERIES => self.define(payload, target),
            log::KIND_ROWS | log::KIND_SAMPLES | log::KIND_BELATED => self.gather(decoded),
            log::KIND_DELETION => self.delete(payload, target),
            log::KIND_HISTOGRAMS => self.histograms(payload, target),
            _ => Err(Corruption { offset: 0, what: "a record of an unknown kind" }),
        };
        if kind == log::KIND_BELATED {
            self.holds_belated = true;
            target.belated(&self.rows);
        } else {
            target.samples(&self.rows);
        }
        self.sample_count += self.rows.len() as u64;
        self.rows.clear();
        let unknown_series_count = std::mem::take(&mut self.series.unknown_count);
        let is_torn = self.torn_from.is_some_and(|from| from < offset);
        match read {
            Err(damage) => self.damage.push(damage.moved(offset)),
            Ok(()) if unknown_series_count > 0 && !is_torn => {
                self.damage.push(Corruption { offset, what: "it names a series whose definition was damaged" });
            }
            Ok(()) => {}
        }
    }

    fn define<T: ReplayTarget>(&mut self, payload: &[u8], target: &mut T) -> Result<(), Corruption> {
        for definition in log::decode_series(payload) {
            let definition = definition?;
            let labels = Labels::from_pairs(definition.labels.iter().copied())
                .map_err(|_| Corruption { offset: 0, what: "a series with labels that are not allowed" })?;
            self.series.define(definition.reference, target.series(labels));
        }
        Ok(())
    }

    /// Looks up the series of the rows.
    fn gather(&mut self, decoded: &Decoded) -> Result<(), Corruption> {
        for &(reference, timestamp_ms, value) in &decoded.rows {
            self.newest_ms = self.newest_ms.max(timestamp_ms);
            if let Some(series) = self.series.find(reference) {
                self.rows.push((series, timestamp_ms, value));
            }
        }
        decoded.outcome
    }

    fn histograms<T: ReplayTarget>(&mut self, payload: &[u8], target: &mut T) -> Result<(), Corruption> {
        let mut rows = Vec::new();
        let decoded = log::decode_histograms(payload, |reference, timestamp_ms, histogram| {
            if let Some(series) = self.series.find(reference) {
                rows.push((series, timestamp_ms, histogram.clone()));
            }
        });
        target.histograms(&rows);
        decoded.map(|_| ())
    }

    fn delete<T: ReplayTarget>(&mut self, payload: &[u8], target: &mut T) -> Result<(), Corruption> {
        let deletion = log::decode_deletion(payload)?;
        let series: Vec<SeriesRef> =
            deletion.references.iter().filter_map(|reference| self.series.find(*reference)).collect();
        target.delete(&series, TimeRange { from_ms: deletion.from_ms, to_ms: deletion.to_ms });
        Ok(())
    }
}

/// The references of a segment, and the series that they are now.
///
/// Definitions come in the order in which samples name them, most of the time: what was found last says where to look
/// first.
#[derive(Default)]
struct SegmentSeries {
    entries: Vec<(u64, SeriesRef)>,
    places: HashMap<u64, usize>,
    next: usize,
    unknown_count: u64,
}

impl SegmentSeries {
    fn define(&mut self, reference: u64, series: SeriesRef) {
        let place = *self.places.entry(reference).or_insert(self.entries.len());
        if place == self.entries.len() {
            self.entries.push((reference, series));
        } else {
            self.entries[place].1 = series;
        }
    }

    #[inline]
    fn find(&mut self, reference: u64) -> Option<SeriesRef> {
        let place = match self.entries.get(self.next) {
            Some(entry) if entry.0 == reference => self.next,
            _ => self.place(reference)?,
        };
        self.next = place + 1;
        Some(self.entries[place].1)
    }

    #[cold]
    fn place(&mut self, reference: u64) -> Option<usize> {
        let place = self.places.get(&reference).copied();
        self.unknown_count += u64::from(place.is_none());
        place
    }
}
