//! One block: its files, and the samples of its series.

use std::path::{Path, PathBuf};

use super::super::ImportError;
use super::super::batch::Batch;
use super::super::sample::AnySample;
use super::bytes::Bytes;
use super::chunk::{self, Encoding};
use super::histograms::read_histograms;
use super::index::{ChunkPlace, Index, Wrong};
use super::tombstones::{self, Tombstones, is_deleted};
use crate::disk::{Disk, FileBytes};
use crate::model::{HistogramError, Labels, METRIC_NAME, TimeRange};

const CHUNKS_MAGIC: u32 = 0x85bd_40dd;
const CHUNKS_VERSION: u8 = 1;

/// A block of Prometheus.
pub(super) struct Block {
    folder: PathBuf,
    index_file: FileBytes,
    index: Index,
    /// Files of chunks, in the order by which chunks name them.
    chunk_files: Vec<(PathBuf, FileBytes)>,
    tombstones: Tombstones,
    span: Option<TimeRange>,
}

impl Block {
    pub(super) fn open(folder: &Path, disk: &dyn Disk) -> Result<Block, ImportError> {
        let index_path = folder.join("index");
        let index_file = disk.read(&index_path)?;
        let index = Index::read(&index_file).map_err(|wrong| damaged(&index_path, wrong))?;
        let chunks = folder.join("chunks");
        let mut chunk_files = Vec::new();
        // Names are numbers with leading zeros, so their order is that of the numbers.
        for name in disk.list(&chunks)?.iter().filter(|name| name.parse::<u32>().is_ok()) {
            let path = chunks.join(name);
            let file = disk.read(&path)?;
            check_chunks_head(&file).map_err(|wrong| damaged(&path, wrong))?;
            chunk_files.push((path, file));
        }
        let spans = index.series.iter().map(|series| series.span);
        let span = spans.reduce(|a, b| TimeRange { from_ms: a.from_ms.min(b.from_ms), to_ms: a.to_ms.max(b.to_ms) });
        let tombstones = read_tombstones(folder, disk)?;
        Ok(Block { folder: folder.to_owned(), index_file, index, chunk_files, tombstones, span })
    }

    /// From the first sample of all series to the last; nothing where there is none.
    pub(super) fn span(&self) -> Option<TimeRange> {
        self.span
    }

    /// Bytes of its samples.
    pub(super) fn bytes(&self) -> u64 {
        self.chunk_files.iter().map(|(_, file)| file.len() as u64).sum()
    }

    pub(super) fn name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether what was read of the index up to now may be believed: a file that was cut short since reads as zeros.
    pub(super) fn check(&self) -> Result<(), ImportError> {
        if self.index_file.is_damaged() {
            let what = "the file was shortened while it was read, or the disk cannot read a part of it".into();
            return Err(ImportError::Damaged { file: self.folder.join("index"), offset: 0, what });
        }
        Ok(())
    }

    /// The first series from `number` on that may have samples in the range.
    pub(super) fn next_in(&self, number: usize, range: TimeRange) -> Option<usize> {
        let rest = self.index.series.get(number..)?;
        rest.iter().position(|series| series.span.overlaps(range)).map(|position| number + position)
    }

    /// The labels of a series; within, why they are not allowed here.
    pub(super) fn labels(&self, number: usize) -> Result<Result<Labels, String>, ImportError> {
        let pairs = self.index.labels(&self.index_file, &self.index.series[number]);
        let pairs = pairs.map_err(|wrong| self.index_damaged(wrong))?;
        Ok(match Labels::from_pairs(pairs) {
            Ok(labels) if labels.metric_name().is_some() => Ok(labels),
            Ok(_) => Err(format!("the label {METRIC_NAME} is missing")),
            Err(error) => Err(error.to_string()),
        })
    }

    /// A series whose labels cannot be shown.
    pub(super) fn name_of(&self, number: usize) -> String {
        format!("series {} of {}", self.index.series[number].reference, self.name())
    }

    /// When the first series begins that begins behind this moment.
    pub(super) fn next_begin(&self, behind_ms: i64) -> Option<i64> {
        let begins = self.index.series.iter().map(|series| series.span.from_ms);
        begins.filter(|from_ms| *from_ms > behind_ms).min()
    }

    /// Appends what a series has in the range and was not deleted. Chunks that give nothing, and samples outside of the time
    /// of their chunk, are counted in the batch, each once: in the range in which the chunk begins. Returns when the series
    /// may go on behind the range: at a sample, or where a chunk begins.
    pub(super) fn read(
        &self,
        number: usize,
        range: TimeRange,
        samples: &mut Vec<AnySample>,
        batch: &mut Batch,
    ) -> Result<Option<i64>, ImportError> {
        let series = &self.index.series[number];
        let chunks = Index::chunks(&self.index_file, series).map_err(|wrong| self.index_damaged(wrong))?;
        let is_wanted = |sample: &AnySample| {
            let at_ms = sample.timestamp_ms;
            range.contains(at_ms) && !is_deleted(&self.tombstones, series.reference, at_ms)
        };
        let mut next_ms = chunks.iter().map(|chunk| chunk.span.from_ms).filter(|from_ms| *from_ms > range.to_ms).min();
        let mut found = Vec::new();
        for chunk in chunks.iter().filter(|chunk| chunk.span.overlaps(range)) {
            found.clear();
            let begins_here = range.contains(chunk.span.from_ms);
            match self.read_chunk(chunk, &mut found) {
                Ok(refused) => {
                    if begins_here {
                        let which = || format!("a histogram of {}", self.name_of(number));
                        refused.iter().for_each(|error| batch.refuse(1, &error.to_string(), which));
                    }
                    let before = found.len();
                    found.retain(|sample| chunk.span.contains(sample.timestamp_ms));
                    if begins_here && found.len() < before {
                        let outside = "a sample lies outside of the time of its chunk";
                        batch.refuse((before - found.len()) as u64, outside, || self.name_of(number));
                    }
                    let later =
                        found.iter().map(|sample| sample.timestamp_ms).filter(|at_ms| *at_ms > range.to_ms).min();
                    next_ms = next_ms.into_iter().chain(later).min();
                    samples.extend(found.drain(..).filter(is_wanted));
                }
                Err(lost) if begins_here => batch.refuse(lost.count, lost.why, || lost.place),
                Err(_) => {}
            }
        }
        Ok(next_ms)
    }

    /// Appends what a chunk holds; of histograms that may not be stored it answers why.
    fn read_chunk(&self, chunk: &ChunkPlace, samples: &mut Vec<AnySample>) -> Result<Vec<HistogramError>, LostChunk> {
        let file_number = (chunk.reference >> 32) as usize;
        let offset = (chunk.reference & 0xffff_ffff) as usize;
        let place = || match self.chunk_files.get(file_number) {
            Some((path, _)) => format!("{} at byte {offset}", path.display()),
            None => format!("{} file {}", self.folder.join("chunks").display(), file_number + 1),
        };
        let lost = |count: u64, why: &'static str| LostChunk { count, why, place: place() };
        let (_, file) = self.chunk_files.get(file_number).ok_or_else(|| lost(1, "the file of a chunk is missing"))?;
        let (encoding, data) = framed(file, offset).map_err(|why| lost(1, why))?;
        let count = u64::from(chunk::count(data).unwrap_or(1));
        match encoding {
            Encoding::Xor => chunk::read_xor(data, samples).map(|()| Vec::new()),
            Encoding::Histogram(buckets) => read_histograms(data, buckets, samples),
            Encoding::Unknown(_) => return Err(lost(count, "the encoding of a chunk is not known")),
        }
        .ok_or_else(|| lost(count, "a chunk contradicts itself"))
    }

    fn index_damaged(&self, wrong: Wrong) -> ImportError {
        damaged(&self.folder.join("index"), wrong)
    }
}

/// A chunk that gives nothing: how many samples that are (1 where it cannot say), why, and where it lies.
struct LostChunk {
    count: u64,
    why: &'static str,
    place: String,
}

/// Takes a chunk from its frame: `length uvarint │ encoding │ data │ crc32c of encoding and data`.
fn framed(file: &[u8], offset: usize) -> Result<(Encoding, &[u8]), &'static str> {
    const EARLY: &str = "a chunk lies behind the end of its file";
    let mut bytes = Bytes::new(file.get(offset..).ok_or(EARLY)?);
    let length = bytes.length().and_then(|length| length.checked_add(1)).ok_or(EARLY)?;
    let body = bytes.take(length).ok_or(EARLY)?;
    if bytes.u32().ok_or(EARLY)? != crc32c::crc32c(body) {
        return Err("the checksum of a chunk does not fit");
    }
    Ok((Encoding::of(body[0]), &body[1..]))
}

fn check_chunks_head(file: &[u8]) -> Result<(), Wrong> {
    let mut bytes = Bytes::new(file);
    if bytes.u32() != Some(CHUNKS_MAGIC) {
        return Err((0, "this is no file of chunks of a Prometheus block"));
    }
    if bytes.u8() != Some(CHUNKS_VERSION) {
        return Err((4, "a file of chunks of a version that is not read"));
    }
    Ok(())
}

fn read_tombstones(folder: &Path, disk: &dyn Disk) -> Result<Tombstones, ImportError> {
    let path = folder.join("tombstones");
    match disk.read(&path) {
        Ok(file) => tombstones::read(&file).map_err(|wrong| damaged(&path, wrong)),
        Err(error) if error.is_not_found() => Ok(Tombstones::new()),
        Err(error) => Err(error.into()),
    }
}

fn damaged(file: &Path, (offset, what): Wrong) -> ImportError {
    ImportError::Damaged { file: file.to_owned(), offset: offset as u64, what: what.to_owned() }
}
