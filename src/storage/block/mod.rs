//! Blocks: immutable files of two hours each, read where they lie.
//!
//! `blocks/<from>-<to>.block`, both in ms since 1970 UTC, the second exclusive. A block is complete or it is not there:
//! it is written under another name, synced, read back, and then renamed.
//!
//! A file that is damaged is put aside under the name `….damaged` when the database is opened, told, and counted; the
//! time it covers stays sealed, since the log behind it is gone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage_format::Corruption;
use storage_format::block::{BlockReader, SeriesEntry};
use storage_format::chunk;

use super::columns::Columns;
use crate::disk::{Disk, DiskError, FileBytes};
use crate::model::{Labels, Matcher, TimeRange};

/// Where the blocks are.
pub(super) fn folder(data: &Path) -> PathBuf {
    data.join("blocks")
}

/// The file of the block of `[from_ms, to_ms)`.
pub(super) fn block_path(folder: &Path, from_ms: i64, to_ms: i64) -> PathBuf {
    folder.join(format!("{from_ms}-{to_ms}.block"))
}

/// The span that a file name stands for, whatever its extension.
fn span_of(name: &str) -> Option<(i64, i64)> {
    let (stem, _) = name.split_once('.')?;
    // The dash between the two, not the sign of either: times before 1970 are stored too.
    let dash = stem.char_indices().skip(1).find(|(_, c)| *c == '-')?.0;
    Some((stem[..dash].parse().ok()?, stem[dash + 1..].parse().ok()?))
}

/// One block, its header, footer and index checked.
pub(super) struct Block {
    path: PathBuf,
    reader: BlockReader<FileBytes>,
    /// The same bytes, to ask whether they could be read.
    bytes: FileBytes,
}

/// The blocks that serve, in order of time.
#[derive(Default)]
pub(super) struct BlockSet {
    blocks: Vec<Arc<Block>>,
    /// Everything older is sealed: in a block, or lost with one.
    pub(super) floor_ms: i64,
}

impl BlockSet {
    /// The blocks that share a moment with `range`, in order of time.
    pub(super) fn overlapping(&self, range: TimeRange) -> impl Iterator<Item = &Arc<Block>> {
        self.blocks.iter().filter(move |block| block.span().overlaps(range))
    }

    /// Number of blocks.
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Bytes of all blocks.
    pub(super) fn bytes(&self) -> u64 {
        self.blocks.iter().map(|block| block.bytes.len() as u64).sum()
    }

    /// The same set with another block in the place of this one, or none.
    pub(super) fn replaced(&self, block: &Arc<Block>, by: Option<Arc<Block>>) -> BlockSet {
        let place = |one: &Arc<Block>| if Arc::ptr_eq(one, block) { by.clone() } else { Some(one.clone()) };
        BlockSet { blocks: self.blocks.iter().filter_map(place).collect(), floor_ms: self.floor_ms }
    }

    /// The block of a file.
    pub(super) fn of_file(&self, path: &Path) -> Option<Arc<Block>> {
        self.blocks.iter().find(|block| block.path == path).cloned()
    }

    /// The same set with newer blocks behind it, and everything before `floor_ms` sealed.
    pub(super) fn with(&self, newer: Vec<Arc<Block>>, floor_ms: i64) -> BlockSet {
        let blocks = self.blocks.iter().cloned().chain(newer).collect();
        BlockSet { blocks, floor_ms }
    }

    /// Splits off the blocks whose last moment is before `oldest_ms`.
    pub(super) fn split_expired(&self, oldest_ms: i64) -> (BlockSet, Vec<Arc<Block>>) {
        let (gone, kept) = self.blocks.iter().cloned().partition(|block| block.span().to_ms < oldest_ms);
        (BlockSet { blocks: kept, floor_ms: self.floor_ms }, gone)
    }
}

/// Opens every block of the folder. Damaged ones are put aside, and told in `damage`.
pub(super) fn open_all(disk: &dyn Disk, folder: &Path, damage: &mut Vec<String>) -> Result<BlockSet, DiskError> {
    let mut set = BlockSet { blocks: Vec::new(), floor_ms: i64::MIN };
    for name in disk.list(folder)? {
        let path = folder.join(&name);
        let Some((_, to_ms)) = span_of(&name) else { continue };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("block") => match Block::open(disk, &path)? {
                Ok(block) => set.blocks.push(Arc::new(block)),
                Err(found) => {
                    damage.push(format!("{} {found}; the block was put aside", path.display()));
                    let renamed = disk.rename(&path, &path.with_extension("damaged"));
                    // It is in nobody's way under its old name; the next start comes across it again.
                    if let Err(error) = renamed.and_then(|()| disk.sync_folder(folder)) {
                        tracing::warn!(%error, "a damaged block keeps its name for now");
                    }
                }
            },
            Some("damaged") => {}
            // A block that was never finished: what it was to hold is still in the log.
            Some("tmp") => {
                disk.remove(&path)?;
                continue;
            }
            _ => continue,
        }
        set.floor_ms = set.floor_ms.max(to_ms);
    }
    set.blocks.sort_by_key(|block| block.span().from_ms);
    Ok(set)
}

impl Block {
    /// Opens the file and checks header, footer and index; chunks are checked as they are read.
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> Result<Result<Block, Corruption>, DiskError> {
        let bytes = disk.read(path)?;
        let opened = BlockReader::open(bytes.clone()).map(|reader| Block { path: path.to_owned(), reader, bytes });
        Ok(opened.and_then(|block| block.readable(()).map(|()| block)))
    }

    /// The same block, its file under another name.
    pub(super) fn renamed(self, path: PathBuf) -> Block {
        Block { path, ..self }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// First and last moment that it may hold.
    pub(super) fn span(&self) -> TimeRange {
        let range = self.reader.meta().range;
        TimeRange { from_ms: range.min_time_ms, to_ms: range.max_time_ms - 1 }
    }

    /// Reads every chunk, so that the log behind it may go.
    pub(super) fn verify(&self) -> Result<(), Corruption> {
        let mut entry = SeriesEntry::default();
        for series in 0..self.reader.series_count() {
            self.reader.read_series(series, &mut entry)?;
            for meta in &entry.chunks {
                chunk::open_stored(self.reader.chunk(meta)?).map_err(|damage| damage.moved(meta.offset))?;
            }
        }
        self.readable(())
    }

    /// What was read, unless a part of the file has turned to zeros meanwhile: index and footer were checked when the
    /// block was opened, and are trusted since.
    fn readable<T>(&self, read: T) -> Result<T, Corruption> {
        if self.bytes.is_damaged() {
            return Err(Corruption { offset: 0, what: "the file was shortened, or the disk cannot read a part of it" });
        }
        Ok(read)
    }

    /// Whether a part of the file could not be read since it was opened.
    pub(super) fn has_faulted(&self) -> bool {
        self.bytes.is_damaged()
    }

    pub(super) fn label_names(&self) -> Result<Vec<String>, Corruption> {
        let names = self.reader.label_names()?;
        self.readable(names.into_iter().map(str::to_owned).collect())
    }

    pub(super) fn label_values(&self, name: &str) -> Result<Vec<String>, Corruption> {
        let values = self.reader.values_of(name)?.map(|value| value.map(|(value, _)| value.to_owned()));
        let values = values.collect::<Result<Vec<String>, Corruption>>()?;
        self.readable(values)
    }

    /// The series that satisfy all matchers: index in this block, and labels.
    pub(super) fn select(&self, matchers: &[Matcher]) -> Result<Vec<(u32, Labels)>, Corruption> {
        let (subtracting, requiring): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|matcher| matcher.matches_absent());
        let mut found: Option<Vec<u32>> = None;
        for matcher in requiring {
            let slots = self.with_value(matcher, true)?;
            found = Some(match found {
                None => slots,
                Some(mut earlier) => {
                    earlier.retain(|series| slots.binary_search(series).is_ok());
                    earlier
                }
            });
        }
        let mut found = found.unwrap_or_else(|| (0..self.reader.series_count()).collect());
        for matcher in subtracting {
            let excluded = self.with_value(matcher, false)?;
            found.retain(|series| excluded.binary_search(series).is_err());
        }
        let mut entry = SeriesEntry::default();
        let mut selected = Vec::with_capacity(found.len());
        for series in found {
            self.reader.read_series(series, &mut entry)?;
            let labels = Labels::from_pairs(entry.labels.iter().copied());
            let damage = |_| Corruption { offset: 0, what: "a series with labels that are not allowed" };
            selected.push((series, labels.map_err(damage)?));
        }
        self.readable(selected)
    }

    /// The series that have the matcher's label with a value of which it says `wanted`, ascending.
    fn with_value(&self, matcher: &Matcher, wanted: bool) -> Result<Vec<u32>, Corruption> {
        if wanted && matcher.op() == crate::model::MatchOp::Equal {
            return self.reader.postings(matcher.name(), matcher.value());
        }
        let mut series = Vec::new();
        for value in self.reader.values_of(matcher.name())? {
            let (value, postings) = value?;
            if matcher.matches(value) == wanted {
                postings.read(&mut series)?;
            }
        }
        series.sort_unstable();
        Ok(series)
    }

    /// Appends one series' samples in `range`. Gives the damage it went on behind: what could be read is there.
    pub(super) fn read(&self, series: u32, range: TimeRange, columns: &mut Columns) -> Result<(), Corruption> {
        let start = columns.len();
        let mut entry = SeriesEntry::default();
        self.reader.read_series(series, &mut entry)?;
        let mut outcome = Ok(());
        for meta in &entry.chunks {
            let span = TimeRange { from_ms: meta.min_timestamp_ms, to_ms: meta.max_timestamp_ms };
            if span.overlaps(range) {
                let decode =
                    |stored| chunk::decode_stored(stored, &mut columns.timestamps_ms, &mut columns.values).map(|_| ());
                let decoded = self.reader.chunk(meta).and_then(decode).map_err(|damage| damage.moved(meta.offset));
                outcome = outcome.and(decoded);
            }
        }
        if let Err(damage) = self.readable(()) {
            // Of the index nobody has looked whether it was whole while this was read.
            columns.truncate(start);
            return Err(damage);
        }
        columns.keep_range_from(start, range);
        outcome
    }
}
