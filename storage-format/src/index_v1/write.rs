//! Building an index: series come in label order, symbols and postings are gathered on the way.

use std::collections::{BTreeMap, HashMap};

use super::ChunkMeta;
use crate::bytes::{append_varint, append_zigzag};

/// Gathers series and encodes the three regions of an index.
///
/// Symbols get their numbers when all are known, so series are kept with provisional ones until [`IndexWriter::encode`].
#[derive(Debug, Default)]
pub(crate) struct IndexWriter {
    symbols: Vec<Box<str>>,
    symbol_of: HashMap<Box<str>, u32>,
    series: Vec<Series>,
}

#[derive(Debug)]
struct Series {
    labels: Vec<(u32, u32)>,
    chunks: Vec<ChunkMeta>,
}

/// The regions of an index, in their order in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Regions {
    pub(crate) symbols: Vec<u8>,
    pub(crate) series: Vec<u8>,
    pub(crate) postings: Vec<u8>,
}

impl IndexWriter {
    /// Starts the next series. Panics if its labels do not come after those of the last one.
    pub(crate) fn begin_series<'l>(&mut self, labels: impl IntoIterator<Item = (&'l str, &'l str)>) {
        let labels: Vec<_> =
            labels.into_iter().map(|(name, value)| (self.provisional(name), self.provisional(value))).collect();
        if let Some(last) = self.series.last() {
            assert!(
                self.texts(&last.labels).lt(self.texts(&labels)),
                "series {} is not in label order",
                self.series.len()
            );
        }
        self.series.push(Series { labels, chunks: Vec::new() });
    }

    /// Adds a chunk to the series begun last. Panics if it lies before that series' last chunk, in the file or in time.
    pub(crate) fn append_chunk(&mut self, chunk: ChunkMeta) {
        assert!(chunk.min_timestamp_ms <= chunk.max_timestamp_ms, "a chunk ends before it begins: {chunk:?}");
        let series = self.series.last_mut().expect("a series was begun before its chunks");
        if let Some(last) = series.chunks.last() {
            assert!(last.offset + u64::from(last.length) <= chunk.offset, "{chunk:?} lies before {last:?} in the file");
            assert!(last.min_timestamp_ms <= chunk.min_timestamp_ms, "{chunk:?} begins before {last:?}");
        }
        series.chunks.push(chunk);
    }

    /// Number of series begun.
    pub(crate) fn series_count(&self) -> usize {
        self.series.len()
    }

    /// Encodes everything; `None` if a region or the number of series exceeds 32 bits.
    pub(crate) fn encode(&self, min_time_ms: i64) -> Option<Regions> {
        let mut order: Vec<u32> = (0..self.symbols.len() as u32).collect();
        order.sort_unstable_by_key(|provisional| &self.symbols[*provisional as usize]);
        let mut final_of = vec![0; order.len()];
        for (symbol, provisional) in order.iter().enumerate() {
            final_of[*provisional as usize] = symbol as u32;
        }
        Some(Regions {
            symbols: table(order.iter(), |provisional, out| {
                out.extend_from_slice(self.symbols[*provisional as usize].as_bytes());
            })?,
            series: table(self.series.iter(), |series, out| append_series(out, series, &final_of, min_time_ms))?,
            postings: self.encode_postings(&final_of)?,
        })
    }

    fn encode_postings(&self, final_of: &[u32]) -> Option<Vec<u8>> {
        let mut lists: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
        for (index, series) in self.series.iter().enumerate() {
            for (name, value) in &series.labels {
                lists.entry((final_of[*name as usize], final_of[*value as usize])).or_default().push(index as u32);
            }
        }
        let mut entries = u32::try_from(lists.len()).ok()?.to_le_bytes().to_vec();
        let mut bytes = Vec::new();
        for ((name, value), list) in &lists {
            for field in [*name, *value, u32::try_from(bytes.len()).ok()?, list.len() as u32] {
                entries.extend_from_slice(&field.to_le_bytes());
            }
            let mut previous = 0;
            for series in list {
                append_varint(&mut bytes, u64::from(series - previous));
                previous = *series;
            }
        }
        entries.extend_from_slice(&bytes);
        u32::try_from(entries.len()).ok()?;
        Some(entries)
    }

    fn provisional(&mut self, text: &str) -> u32 {
        if let Some(symbol) = self.symbol_of.get(text) {
            return *symbol;
        }
        let symbol = u32::try_from(self.symbols.len()).expect("memory ends before 2^32 symbols");
        self.symbols.push(text.into());
        self.symbol_of.insert(text.into(), symbol);
        symbol
    }

    fn texts(&self, labels: &[(u32, u32)]) -> impl Iterator<Item = (&str, &str)> {
        let text = |symbol: u32| &*self.symbols[symbol as usize];
        labels.iter().map(move |(name, value)| (text(*name), text(*value)))
    }
}

fn append_series(out: &mut Vec<u8>, series: &Series, final_of: &[u32], min_time_ms: i64) {
    append_varint(out, series.labels.len() as u64);
    for (name, value) in &series.labels {
        append_varint(out, u64::from(final_of[*name as usize]));
        append_varint(out, u64::from(final_of[*value as usize]));
    }
    append_varint(out, series.chunks.len() as u64);
    let mut end = 0;
    for chunk in &series.chunks {
        append_zigzag(out, chunk.min_timestamp_ms.wrapping_sub(min_time_ms));
        append_varint(out, chunk.max_timestamp_ms.wrapping_sub(chunk.min_timestamp_ms) as u64);
        append_varint(out, chunk.offset - end);
        append_varint(out, u64::from(chunk.length));
        end = chunk.offset + u64::from(chunk.length);
    }
}

/// Encodes `count u32, offsets u32[count + 1], entries`.
fn table<T>(items: impl ExactSizeIterator<Item = T>, append: impl Fn(T, &mut Vec<u8>)) -> Option<Vec<u8>> {
    let mut out = u32::try_from(items.len()).ok()?.to_le_bytes().to_vec();
    let mut entries = Vec::new();
    out.extend_from_slice(&0u32.to_le_bytes());
    for item in items {
        append(item, &mut entries);
        out.extend_from_slice(&u32::try_from(entries.len()).ok()?.to_le_bytes());
    }
    out.extend_from_slice(&entries);
    Some(out)
}
