//! Blocks on disk: what each holds, and which of them serve.
//!
//! ```text
//! blocks/1699999200000-1700006400000.1.block       two hours, cut from the head
//! blocks/1699999200000-1700006400000.2.block       samples of the same two hours that came later
//! blocks/1699920000000-1699999200000.9.block       a day, compacted
//! blocks/1699920000000-1699999200000.9.deleted     what was deleted from it since
//! ```
//!
//! Always true:
//! 1. A block is complete or it is not there: it is written under another name, synced, read back, and then renamed.
//! 2. Blocks may overlap. A moment of a series that lies in several of them has the same value in each, so whoever merges
//!    them may take any.
//! 3. What is damaged is put aside under the name `….damaged`, told, and counted; never deleted.
//!
//! Both versions of the format are read, behind the trait [`Content`]; version 2 is written.

mod deleted;
mod name;
mod set;
mod v1;
mod v2;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage_format::Corruption;
use storage_format::FileType;

pub(super) use deleted::Deleted;
pub(super) use name::BlockName;
pub(super) use set::put_aside;
pub(super) use set::{BlockSet, Member, open_all};

use super::columns::Columns;
use super::figures::BlockFigures;
use super::view::ViewError;
use crate::disk::{Disk, DiskError, FileBytes};
use crate::model::{Labels, Matcher, TimeRange};

/// Where the blocks are.
pub(super) fn folder(data: &Path) -> PathBuf {
    data.join("blocks")
}

/// The block that is being written: one of each kind at a time, since blocks are cut while others are merged. An attempt
/// that fails leaves no more than that.
pub(super) fn unfinished_path(folder: &Path, level: u8) -> PathBuf {
    folder.join(if level == 0 { "cut.tmp" } else { "merged.tmp" })
}

/// What a block says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// First moment that it is for, ms since 1970 UTC.
    pub(super) from_ms: i64,
    /// First moment that it is no longer for.
    pub(super) to_ms: i64,
    pub(super) created_ms: i64,
    /// How often its samples were compacted.
    pub(super) level: u8,
    pub(super) series_count: u64,
    pub(super) sample_count: u64,
}

/// A group of a block, as it lies in the file.
pub(super) struct WholeGroup<'a> {
    /// Its head was checked, its columns were not.
    pub(super) bytes: &'a [u8],
    /// First and last moment of its samples.
    pub(super) range: TimeRange,
    pub(super) column_count: usize,
    pub(super) sample_count: u64,
}

/// Is given the number of a series and its pairs, sorted by name.
pub(super) type Visitor<'a> = dyn FnMut(u32, &[(&str, &str)]) + 'a;

/// The inside of a block, one implementor a version of the format. Series are named by their number, in label order.
trait Content: Send + Sync {
    fn facts(&self) -> Facts;
    fn label_names(&self) -> Result<Vec<String>, Corruption>;
    fn label_values(&self, name: &str) -> Result<Vec<String>, Corruption>;
    /// Shows the series that satisfy all matchers.
    fn visit_matching(&self, matchers: &[Matcher], visitor: &mut Visitor<'_>) -> Result<(), Corruption>;
    /// The series that satisfy all matchers.
    fn select(&self, matchers: &[Matcher]) -> Result<Vec<(u32, Labels)>, Corruption> {
        let mut selected = Vec::new();
        self.visit_matching(matchers, &mut |series, pairs| {
            selected.push(Labels::from_pairs(pairs.iter().copied()).map(|labels| (series, labels)));
        })?;
        selected.into_iter().collect::<Result<_, _>>().map_err(|_| bad_labels())
    }
    /// The series of exactly these labels.
    fn find(&self, labels: &Labels) -> Result<Option<u32>, Corruption>;
    /// Shows every series.
    fn visit(&self, visitor: &mut Visitor<'_>) -> Result<(), Corruption>;
    fn labels(&self, series: u32) -> Result<Labels, Corruption>;
    /// Appends at least the series' samples in `range`, ascending; more on either side is allowed. Goes on behind
    /// damage, and gives the first of it.
    fn read(&self, series: u32, range: TimeRange, columns: &mut Columns) -> Result<(), Corruption>;
    /// Where the series' columns are, group and column there; `None` if the version has no groups.
    fn places(&self, series: u32) -> Result<Option<Vec<(u32, u32)>>, Corruption>;
    /// A group as it lies in the file; `None` if the version has no groups.
    fn whole_group(&self, group: u32) -> Result<Option<WholeGroup<'_>>, Corruption>;
    /// Checks everything that opening did not.
    fn verify(&self, depth: Depth, damage: &mut Vec<Corruption>);
}

/// How much of a block is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// The bytes are those that were written.
    Checksums,
    /// And every sample can be read.
    Samples,
}

fn bad_labels() -> Corruption {
    Corruption { offset: 0, what: "a series with labels that are not allowed" }
}

fn open_content(bytes: &FileBytes) -> Result<Box<dyn Content>, Corruption> {
    Ok(match storage_format::version_of(bytes) {
        Some((FileType::Block, 1)) => Box::new(v1::ContentV1::open(bytes.clone())?),
        _ => Box::new(v2::ContentV2::open(bytes.clone())?),
    })
}

/// Everything that is wrong with the bytes of a block, of whatever version.
pub(super) fn verify_bytes(bytes: &FileBytes) -> Vec<Corruption> {
    let mut damage = Vec::new();
    match open_content(bytes) {
        Ok(content) => content.verify(Depth::Samples, &mut damage),
        Err(found) => damage.push(found),
    }
    damage
}

/// One block, its header, footer and index checked.
pub(super) struct Block {
    name: BlockName,
    path: PathBuf,
    bytes: FileBytes,
    content: Box<dyn Content>,
    facts: Facts,
}

impl Block {
    /// Opens the file and checks header, footer and index; columns are checked as they are read.
    pub(super) fn open(disk: &dyn Disk, path: &Path, name: BlockName) -> Result<Result<Block, Corruption>, DiskError> {
        let bytes = disk.read(path)?;
        let content = open_content(&bytes);
        Ok(content.map(|content| Block { name, path: path.to_owned(), bytes, facts: content.facts(), content }))
    }

    pub(super) fn name(&self) -> BlockName {
        self.name
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn facts(&self) -> Facts {
        self.facts
    }

    /// Length of the file in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// First and last moment that it may hold.
    pub(super) fn span(&self) -> TimeRange {
        TimeRange { from_ms: self.facts.from_ms, to_ms: self.facts.to_ms - 1 }
    }

    /// The block in figures.
    pub(super) fn figures(&self) -> BlockFigures {
        BlockFigures {
            name: self.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            span: self.span(),
            created_ms: self.facts.created_ms,
            bytes: self.bytes(),
            series_count: self.facts.series_count,
            sample_count: self.facts.sample_count,
            level: u32::from(self.facts.level),
        }
    }

    /// Checks everything that opening did not, so that what it was made from may go. Gives all damage found.
    pub(super) fn verify(&self, depth: Depth) -> Vec<Corruption> {
        let mut damage = Vec::new();
        self.content.verify(depth, &mut damage);
        if self.has_faulted() {
            v2::forget_kept();
            damage.push(Corruption { offset: 0, what: "the disk cannot read a part of the file" });
        }
        damage
    }

    pub(super) fn label_names(&self) -> Result<Vec<String>, ViewError> {
        self.told(self.content.label_names())
    }

    pub(super) fn label_values(&self, name: &str) -> Result<Vec<String>, ViewError> {
        self.told(self.content.label_values(name))
    }

    /// The series that satisfy all matchers: number in this block, and labels.
    pub(super) fn select(&self, matchers: &[Matcher]) -> Result<Vec<(u32, Labels)>, ViewError> {
        self.told(self.content.select(matchers))
    }

    /// Shows the series that satisfy all matchers. Nothing that it shows may be used if it fails.
    fn visit_matching(&self, matchers: &[Matcher], visitor: &mut Visitor<'_>) -> Result<(), ViewError> {
        self.told(self.content.visit_matching(matchers, visitor))
    }

    pub(super) fn find(&self, labels: &Labels) -> Result<Option<u32>, ViewError> {
        self.told(self.content.find(labels))
    }

    pub(super) fn visit(&self, visitor: &mut Visitor<'_>) -> Result<(), ViewError> {
        self.told(self.content.visit(visitor))
    }

    /// Where the series' columns are, group and column there; `None` if the block has no groups.
    pub(super) fn places(&self, series: u32) -> Result<Option<Vec<(u32, u32)>>, ViewError> {
        self.told(self.content.places(series))
    }

    /// A group as it lies in the file; `None` if the block has no groups.
    pub(super) fn whole_group(&self, group: u32) -> Result<Option<WholeGroup<'_>>, ViewError> {
        self.told(self.content.whole_group(group))
    }

    pub(super) fn labels(&self, series: u32) -> Result<Labels, ViewError> {
        self.told(self.content.labels(series))
    }

    /// Whether what was read up to now may be believed.
    pub(super) fn check(&self) -> Result<(), ViewError> {
        self.told(Ok(()))
    }

    /// Whether a part of the file could not be read since it was opened.
    pub(super) fn has_faulted(&self) -> bool {
        self.bytes.is_damaged()
    }

    /// The answer of a reader, with the file's name if it is damage. Nothing is believed of a file of which a part has
    /// turned to zeros: its index was checked when it was opened, and is trusted since.
    fn told<T>(&self, outcome: Result<T, Corruption>) -> Result<T, ViewError> {
        let outcome = if self.has_faulted() {
            v2::forget_kept();
            Err(Corruption { offset: 0, what: "the file was shortened, or the disk cannot read a part of it" })
        } else {
            outcome
        };
        outcome.map_err(|damage| self.damaged(damage))
    }

    fn damaged(&self, damage: Corruption) -> ViewError {
        ViewError::Corruption { file: self.path.clone(), damage }
    }
}

/// A block in the set, with what was deleted from it.
impl Member {
    /// Appends one series' samples in `range`, without those that were deleted, and merges them with what the columns
    /// have from index `start` on. Behind damage it goes on: with the first of it, what could be read is there.
    pub(super) fn read(
        &self,
        series: u32,
        range: TimeRange,
        start: usize,
        columns: &mut Columns,
    ) -> Result<(), ViewError> {
        let middle = columns.len();
        let mut read = self.append(series, range, columns);
        if let Err(faulted) = self.block.check() {
            columns.truncate(middle);
            read = Err(faulted);
        }
        columns.settle(start, middle);
        read
    }

    /// The same for many series: nothing that it gives may be used before [`Block::check`] was asked.
    pub(super) fn read_unchecked(
        &self,
        series: u32,
        range: TimeRange,
        start: usize,
        columns: &mut Columns,
    ) -> Result<(), ViewError> {
        let middle = columns.len();
        let read = self.append(series, range, columns);
        columns.settle(start, middle);
        read
    }

    fn append(&self, series: u32, range: TimeRange, columns: &mut Columns) -> Result<(), ViewError> {
        let middle = columns.len();
        let read = self.block.content.read(series, range, columns);
        columns.keep_range_from(middle, range);
        self.deleted.apply(series, middle, columns);
        read.map_err(|damage| self.block.damaged(damage))
    }

    /// The series that satisfy all matchers and of which something is left.
    pub(super) fn select(&self, matchers: &[Matcher]) -> Result<Vec<(u32, Labels)>, ViewError> {
        let mut found = self.block.select(matchers)?;
        if !self.deleted.is_empty() {
            found.retain(|(series, _)| !self.deleted.covers(*series, self.block.span()));
        }
        Ok(found)
    }

    /// Shows the series that satisfy all matchers and of which something is left, their labels checked. Nothing that it
    /// shows may be used if it fails.
    pub(super) fn visit_matching(&self, matchers: &[Matcher], visitor: &mut Visitor<'_>) -> Result<(), ViewError> {
        let mut are_allowed = true;
        self.block.visit_matching(matchers, &mut |series, pairs| {
            if !self.deleted.is_empty() && self.deleted.covers(series, self.block.span()) {
                return;
            }
            match Labels::are_allowed(pairs) {
                true => visitor(series, pairs),
                false => are_allowed = false,
            }
        })?;
        if are_allowed { Ok(()) } else { Err(self.block.damaged(bad_labels())) }
    }

    /// The same block with `range` of these series deleted too, and the file that says so.
    pub(super) fn without(&self, series: impl IntoIterator<Item = u32>, range: TimeRange) -> (Member, Vec<u8>) {
        let deleted = self.deleted.with(series, range);
        let file = deleted.encode(self.block.facts.created_ms);
        (Member { block: self.block.clone(), deleted: Arc::new(deleted) }, file)
    }
}
