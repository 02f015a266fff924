//! Reading a block where it lies.

use std::ops::Deref;

use super::{
    BlockMeta, BlockRange, ChunkMeta, END_MAGIC, FOOTER_BYTES, HEADER_BYTES, MAGIC, Region, SeriesEntry, VERSION,
};
use crate::Corruption;
use crate::bytes::{i64_at, u16_at, u32_at, u64_at};
use crate::index_v1::{PostingsTable, SeriesTable, Symbols, ValuesOf};

/// A block's bytes, usually a memory map, whose header, footer and index checksums held when it was opened.
///
/// Chunks carry their own checksums, which [`crate::chunk::decode_stored`] verifies as they are read.
/// Every `offset` of a [`Corruption`] is one within the file.
#[derive(Debug)]
pub struct BlockReader<B: Deref<Target = [u8]>> {
    bytes: B,
    meta: BlockMeta,
    symbols: Region,
    series: Region,
    postings: Region,
}

impl<B: Deref<Target = [u8]>> BlockReader<B> {
    /// Verifies all but the chunks, and that the regions lie one behind the other without gaps.
    pub fn open(bytes: B) -> Result<BlockReader<B>, Corruption> {
        let range = decode_header(&bytes)?;
        let footer = decode_footer(&bytes)?;
        let [symbols, series, postings] = footer.regions;
        let meta = BlockMeta { range, series_count: footer.series_count, sample_count: footer.sample_count };
        let reader = BlockReader { bytes, meta, symbols, series, postings };
        reader.verify()?;
        Ok(reader)
    }

    /// What the block says about itself.
    pub fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// The symbol, series and postings regions.
    pub fn regions(&self) -> [Region; 3] {
        [self.symbols, self.series, self.postings]
    }

    /// All texts of the block.
    pub fn symbols(&self) -> Result<Symbols<'_>, Corruption> {
        let symbols =
            Symbols::open(self.region(self.symbols)).map_err(|corruption| corruption.moved(self.symbols.offset))?;
        Ok(symbols.based(self.symbols.offset))
    }

    /// All label names in byte order.
    pub fn label_names(&self) -> Result<Vec<&str>, Corruption> {
        self.postings_table()?.label_names()
    }

    /// The values of a label in byte order, each with its series; none if no series has the label.
    pub fn values_of(&self, name: &str) -> Result<ValuesOf<'_>, Corruption> {
        self.postings_table()?.values_of(name)
    }

    /// Indexes of the series with a label pair, ascending; none if no series has it.
    pub fn postings(&self, name: &str, value: &str) -> Result<Vec<u32>, Corruption> {
        self.postings_table()?.postings(name, value)
    }

    /// Number of series; their indexes are below it, and ascend with their labels.
    pub fn series_count(&self) -> u32 {
        self.meta.series_count as u32
    }

    /// Labels and chunks of a series.
    pub fn series(&self, index: u32) -> Result<SeriesEntry<'_>, Corruption> {
        let mut entry = SeriesEntry::default();
        self.read_series(index, &mut entry)?;
        Ok(entry)
    }

    /// As [`BlockReader::series`], with the room of an entry that was read before.
    pub fn read_series<'a>(&'a self, index: u32, entry: &mut SeriesEntry<'a>) -> Result<(), Corruption> {
        self.series_table()?.read(index, entry).map_err(|corruption| corruption.moved(self.series.offset))
    }

    /// The stored chunk, for [`crate::chunk::decode_stored`].
    pub fn chunk(&self, meta: &ChunkMeta) -> Result<&[u8], Corruption> {
        let outside = Corruption { offset: meta.offset, what: "a chunk lies outside of its region" };
        let end = meta.offset.checked_add(u64::from(meta.length)).ok_or(outside)?;
        if meta.offset < HEADER_BYTES as u64 || end > self.symbols.offset {
            return Err(outside);
        }
        Ok(&self.bytes[meta.offset as usize..end as usize])
    }

    fn verify(&self) -> Result<(), Corruption> {
        let footer_start = (self.bytes.len() - FOOTER_BYTES) as u64;
        verify_layout(&self.regions(), footer_start)?;
        for region in self.regions() {
            if crc32c::crc32c(self.region(region)) != region.checksum {
                return Err(Corruption { offset: region.offset, what: "a region does not match its checksum" });
            }
        }
        let moved = |region: Region| move |corruption: Corruption| corruption.moved(region.offset);
        let symbols = Symbols::open(self.region(self.symbols)).map_err(moved(self.symbols))?;
        let min_time_ms = self.meta.range.min_time_ms;
        let series = SeriesTable::open(self.region(self.series), symbols, min_time_ms).map_err(moved(self.series))?;
        PostingsTable::open(self.region(self.postings), symbols, series.count()).map_err(moved(self.postings))?;
        if u64::from(series.count()) != self.meta.series_count {
            return Err(Corruption { offset: footer_start, what: "footer and index differ in the number of series" });
        }
        Ok(())
    }

    fn region(&self, region: Region) -> &[u8] {
        &self.bytes[region.offset as usize..(region.offset + region.length) as usize]
    }

    // Sound when the block was opened; a file that was shortened since reads as zeros.
    fn series_table(&self) -> Result<SeriesTable<'_>, Corruption> {
        SeriesTable::open(self.region(self.series), self.symbols()?, self.meta.range.min_time_ms)
            .map_err(|corruption| corruption.moved(self.series.offset))
    }

    fn postings_table(&self) -> Result<PostingsTable<'_>, Corruption> {
        let table = PostingsTable::open(self.region(self.postings), self.symbols()?, self.series_count())
            .map_err(|corruption| corruption.moved(self.postings.offset))?;
        Ok(table.based(self.postings.offset))
    }
}

struct Footer {
    regions: [Region; 3],
    series_count: u64,
    sample_count: u64,
}

fn decode_header(bytes: &[u8]) -> Result<BlockRange, Corruption> {
    if bytes.len() < HEADER_BYTES + FOOTER_BYTES {
        return Err(Corruption::at(bytes.len(), "the file is shorter than a block can be"));
    }
    if &bytes[..8] != MAGIC {
        return Err(Corruption::at(0, "the file does not start with our magic"));
    }
    if u32_at(bytes, 60) != crc32c::crc32c(&bytes[..60]) {
        return Err(Corruption::at(60, "the block header does not match its checksum"));
    }
    if u16_at(bytes, 8) != VERSION {
        return Err(Corruption::at(8, "the version of the format is not one we read"));
    }
    if bytes[10..16].iter().chain(&bytes[40..60]).any(|byte| *byte != 0) {
        return Err(Corruption::at(10, "reserved bytes are not zero"));
    }
    let range =
        BlockRange { min_time_ms: i64_at(bytes, 16), max_time_ms: i64_at(bytes, 24), created_ms: i64_at(bytes, 32) };
    if range.min_time_ms >= range.max_time_ms {
        return Err(Corruption::at(16, "a block of no time"));
    }
    Ok(range)
}

fn decode_footer(bytes: &[u8]) -> Result<Footer, Corruption> {
    let start = bytes.len() - FOOTER_BYTES;
    let footer = &bytes[start..];
    if &footer[96..] != END_MAGIC {
        return Err(Corruption::at(start + 96, "the block was not finished: it does not end with our magic"));
    }
    if u32_at(footer, 92) != crc32c::crc32c(&footer[..92]) {
        return Err(Corruption::at(start + 92, "the block footer does not match its checksum"));
    }
    if u32_at(footer, 88) != u32_at(bytes, 60) {
        return Err(Corruption::at(start + 88, "header and footer belong to different blocks"));
    }
    let regions = [0, 24, 48].map(|at| Region {
        offset: u64_at(footer, at),
        length: u64_at(footer, at + 8),
        checksum: u32_at(footer, at + 16),
    });
    if [20, 44, 68].into_iter().any(|at| u32_at(footer, at) != 0) {
        return Err(Corruption::at(start + 20, "reserved bytes are not zero"));
    }
    Ok(Footer { regions, series_count: u64_at(footer, 72), sample_count: u64_at(footer, 80) })
}

/// The regions lie behind the header, one behind the other, and the footer follows the last.
fn verify_layout(regions: &[Region; 3], footer_start: u64) -> Result<(), Corruption> {
    let gap = Corruption { offset: footer_start, what: "the regions of a block do not lie one behind the other" };
    let mut end = regions[0].offset;
    if end < HEADER_BYTES as u64 {
        return Err(gap);
    }
    for region in regions {
        if region.offset != end {
            return Err(gap);
        }
        end = end.checked_add(region.length).ok_or(gap)?;
    }
    if end == footer_start { Ok(()) } else { Err(gap) }
}
