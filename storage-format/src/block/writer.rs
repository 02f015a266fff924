//! Writing a block from front to back: groups go out as they come, the index is kept until the end.

use std::io::{self, Write};

use super::ends::{encode_footer, encode_header};
use super::{BlockMeta, BlockRange, HEADER_BYTES, Region, Regions, SOURCES_MAX, metadata};
use crate::index::{GroupMeta, IndexWriter, Origin};

/// Writes one block. A block without [`BlockWriter::finish`] is no block: readers refuse it.
///
/// ```text
/// begin ─► add_series … ─► append_group … ─► finish
/// ```
///
/// Series may be added between groups, before the first group that has one of their columns.
#[derive(Debug)]
pub struct BlockWriter<W: Write> {
    out: W,
    header: [u8; HEADER_BYTES],
    position: u64,
    meta: BlockMeta,
    index: IndexWriter,
}

impl<W: Write> BlockWriter<W> {
    /// Writes the header. `out` takes some small writes: buffer it. Panics if the range is of no time.
    pub fn begin(mut out: W, range: BlockRange) -> io::Result<BlockWriter<W>> {
        assert!(range.min_time_ms < range.max_time_ms, "a block of no time: {range:?}");
        let header = encode_header(&range);
        out.write_all(&header)?;
        let meta = BlockMeta { range, ..BlockMeta::default() };
        Ok(BlockWriter { out, header, position: HEADER_BYTES as u64, meta, index: IndexWriter::default() })
    }

    /// Notes a block that this one is made from. Of more than [`SOURCES_MAX`] the number is kept.
    pub fn add_source(&mut self, source: BlockRange) {
        self.meta.source_count += 1;
        if self.meta.sources.len() < SOURCES_MAX {
            self.meta.sources.push(source);
        }
    }

    /// Adds a series, in any order, and gives the number to name it by in [`BlockWriter::append_group`]; readers will
    /// number the series by their labels. Panics if the labels are not sorted by name, one comes twice, or one
    /// exceeds `index::SYMBOL_BYTES_MAX`.
    pub fn add_series<'l>(&mut self, labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> u32 {
        self.index.add_series(labels)
    }

    /// Writes a group; its column i belongs to the series that was numbered `columns[i]`. The times are those of its
    /// first and last sample. Panics if they are not within the block's range or in order, if there is no column or no
    /// sample, or if a series is unknown.
    pub fn append_group(
        &mut self,
        group: &[u8],
        columns: &[u32],
        min_time_ms: i64,
        max_time_ms: i64,
        sample_count: u64,
    ) -> io::Result<()> {
        let range = &self.meta.range;
        assert!(
            range.min_time_ms <= min_time_ms && min_time_ms <= max_time_ms && max_time_ms < range.max_time_ms,
            "a group from {min_time_ms} to {max_time_ms} does not lie in {range:?}"
        );
        assert!(sample_count > 0 && !columns.is_empty(), "an empty group");
        let length = group.len() as u64;
        let place = GroupMeta { offset: self.position, length, min_time_ms, max_time_ms, sample_count };
        self.index.add_group(&place, columns);
        self.out.write_all(group)?;
        self.position += length;
        self.meta.sample_count += sample_count;
        let (first_ms, last_ms) = self.meta.sample_times_ms.unwrap_or((min_time_ms, max_time_ms));
        self.meta.sample_times_ms = Some((first_ms.min(min_time_ms), last_ms.max(max_time_ms)));
        Ok(())
    }

    /// Bytes written so far.
    pub fn bytes_written(&self) -> u64 {
        self.position
    }

    /// Writes index and footer; gives back `out`, not yet flushed or synced, and what the block says about itself.
    /// Panics if two series have the same labels, or a series has two columns in one group.
    pub fn finish(mut self) -> io::Result<(W, BlockMeta)> {
        self.meta.series_count = self.index.series_count() as u64;
        self.meta.group_count = self.index.group_count() as u64;
        let origin = Origin { groups_start: HEADER_BYTES as u64, min_time_ms: self.meta.range.min_time_ms };
        let index = std::mem::take(&mut self.index).encode(origin).ok_or_else(too_large)?;
        let regions = Regions {
            symbols: self.write_region(&index.symbols)?,
            postings: self.write_region(&index.postings)?,
            series: self.write_region(&index.series)?,
            group_table: self.write_region(&index.group_table)?,
            metadata: self.write_region(&metadata::encode(&self.meta))?,
        };
        self.out.write_all(&encode_footer(&regions, &self.header))?;
        Ok((self.out, self.meta))
    }

    fn write_region(&mut self, bytes: &[u8]) -> io::Result<Region> {
        self.out.write_all(bytes)?;
        let region = Region { offset: self.position, length: bytes.len() as u64, checksum: crc32c::crc32c(bytes) };
        self.position += region.length;
        Ok(region)
    }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "a block's index exceeds 4 GiB: write smaller blocks")
}
