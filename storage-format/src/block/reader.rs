//! Reading a block where it lies.

use std::ops::Deref;

use roaring::RoaringBitmap;

use super::ends::{decode_footer, decode_header};
use super::{
    BlockMeta, ColumnRef, GroupMeta, HEADER_BYTES, Region, Regions, SeriesEntry, SymbolCache, ValuesOf, metadata,
};
use crate::Corruption;
use crate::bytes::u32_at;
use crate::index::{GroupTable, Origin, Parts, PostingsTable, SeriesTable, Symbols};

/// A block's bytes, usually a memory map, whose header, footer and index checksums held when it was opened.
///
/// Groups carry their own checksums, which [`crate::group::GroupReader`] verifies as they are read.
/// Every `offset` of a [`Corruption`] is one within the file.
#[derive(Debug)]
pub struct BlockReader<B: Deref<Target = [u8]>> {
    bytes: B,
    meta: BlockMeta,
    regions: Regions,
    series_count: u32,
    group_count: u32,
    symbol_count: u32,
    /// Both ends' checksums: tells blocks apart.
    identity: u64,
}

impl<B: Deref<Target = [u8]>> BlockReader<B> {
    /// Verifies all but the groups, and that the parts lie one behind the other without gaps.
    ///
    /// A file of another version is refused; [`crate::version_of`] tells which one it is of.
    pub fn open(bytes: B) -> Result<BlockReader<B>, Corruption> {
        let range = decode_header(&bytes)?;
        let regions = decode_footer(&bytes)?;
        for region in regions.all() {
            if crc32c::crc32c(parts(&bytes, region).bytes) != region.checksum {
                return Err(Corruption { offset: region.offset, what: "a region does not match its checksum" });
            }
        }
        let meta = metadata::decode(parts(&bytes, regions.metadata).bytes, range)
            .map_err(|corruption| corruption.moved(regions.metadata.offset))?;
        let tables = Tables::open(&bytes, &regions, range.min_time_ms)?;
        let (series_count, group_count) = (tables.series.count(), tables.groups.count());
        if (u64::from(series_count), u64::from(group_count)) != (meta.series_count, meta.group_count) {
            let what = "metadata and index differ in the number of series or groups";
            return Err(Corruption { offset: regions.metadata.offset, what });
        }
        let symbol_count = tables.symbols.count();
        let footer = bytes.len() - 12;
        let identity = u64::from(u32_at(&bytes, 60)) << 32 | u64::from(u32_at(&bytes, footer));
        Ok(BlockReader { bytes, meta, regions, series_count, group_count, symbol_count, identity })
    }

    /// What the block says about itself.
    pub fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// Where everything behind the groups is.
    pub fn regions(&self) -> &Regions {
        &self.regions
    }

    /// Number of series; their indexes are below it, and ascend with their labels.
    pub fn series_count(&self) -> u32 {
        self.series_count
    }

    /// Number of groups.
    pub fn group_count(&self) -> u32 {
        self.group_count
    }

    /// Number of different names and values of labels.
    pub fn symbol_count(&self) -> u32 {
        self.symbol_count
    }

    /// All label names in byte order.
    pub fn label_names(&self) -> Result<Vec<String>, Corruption> {
        self.tables()?.postings.label_names()
    }

    /// The values of a label in byte order, each with its series; none if no series has the label.
    pub fn values_of(&self, name: &str) -> Result<ValuesOf<'_>, Corruption> {
        self.tables()?.postings.values_of(name)
    }

    /// Indexes of the series with a label pair; none if no series has it.
    pub fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, Corruption> {
        self.tables()?.postings.postings(name, value)
    }

    /// Indexes of the series that have a label, whatever its value.
    pub fn postings_of_name(&self, name: &str) -> Result<RoaringBitmap, Corruption> {
        self.tables()?.postings.postings_of_name(name)
    }

    /// Reads labels and columns of a series. It is quickest in the order of the series with one `cache` for all; on
    /// damage `entry` is of no use.
    pub fn read_series(&self, series: u32, cache: &mut SymbolCache, entry: &mut SeriesEntry) -> Result<(), Corruption> {
        let tables = self.tables()?;
        cache.read(self.identity, (&tables.series, &tables.postings), series, entry)?;
        self.check_columns(&entry.columns)
    }

    /// As [`BlockReader::read_series`], of many, each of which `visit` is shown.
    pub fn read_each(
        &self,
        series: impl IntoIterator<Item = u32>,
        cache: &mut SymbolCache,
        entry: &mut SeriesEntry,
        mut visit: impl FnMut(u32, &SeriesEntry, &SymbolCache),
    ) -> Result<(), Corruption> {
        let tables = self.tables()?;
        for series in series {
            cache.read(self.identity, (&tables.series, &tables.postings), series, entry)?;
            self.check_columns(&entry.columns)?;
            visit(series, entry, cache);
        }
        Ok(())
    }

    /// Where the samples of a series are, for whoever needs no labels; `cache` as in [`BlockReader::read_series`].
    pub fn columns<'c>(&self, series: u32, cache: &'c mut SymbolCache) -> Result<&'c [ColumnRef], Corruption> {
        let tables = self.tables()?;
        let columns = cache.columns(self.identity, (&tables.series, &tables.postings), series)?;
        self.check_columns(columns)?;
        Ok(columns)
    }

    /// Whether what the cache knows is of this block.
    pub fn is_known_to(&self, cache: &SymbolCache) -> bool {
        cache.is_of(self.identity)
    }

    fn check_columns(&self, columns: &[ColumnRef]) -> Result<(), Corruption> {
        if columns.iter().any(|place| place.group >= self.group_count) {
            let what = "a series has a column of a group that does not exist";
            return Err(Corruption { offset: self.regions.series.offset, what });
        }
        Ok(())
    }

    /// The index of the series with exactly these labels, sorted by name, if there is one.
    pub fn find_series<'l>(
        &self,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
    ) -> Result<Option<u32>, Corruption> {
        let tables = self.tables()?;
        let mut wanted = Vec::new();
        for (name, value) in labels {
            let Some(label) = tables.postings.find_pair(name, value)? else { return Ok(None) };
            wanted.push(label);
        }
        tables.series.find(&wanted, &tables.postings)
    }

    /// Where a group lies and which time it covers.
    pub fn group_meta(&self, group: u32) -> Result<GroupMeta, Corruption> {
        Tables::groups(&self.bytes, &self.regions, self.meta.range.min_time_ms)?.get(group)
    }

    /// A group, for [`crate::group::GroupReader`], which checks it.
    pub fn group_bytes(&self, group: u32) -> Result<&[u8], Corruption> {
        self.bytes_of(&self.group_meta(group)?)
    }

    /// The group that [`BlockReader::group_meta`] gave this of, for whoever has asked already.
    pub fn bytes_of(&self, meta: &GroupMeta) -> Result<&[u8], Corruption> {
        let outside = Corruption { offset: meta.offset, what: "a group lies outside of the file" };
        let end = meta.offset.checked_add(meta.length).ok_or(outside)?;
        self.bytes.get(meta.offset as usize..end as usize).ok_or(outside)
    }

    /// Sound when the block was opened; a file that was shortened since reads as zeros.
    fn tables(&self) -> Result<Tables<'_>, Corruption> {
        Tables::open(&self.bytes, &self.regions, self.meta.range.min_time_ms)
    }
}

/// The index, taken apart.
struct Tables<'a> {
    symbols: Symbols<'a>,
    postings: PostingsTable<'a>,
    series: SeriesTable<'a>,
    groups: GroupTable<'a>,
}

impl<'a> Tables<'a> {
    fn open(bytes: &'a [u8], regions: &Regions, min_time_ms: i64) -> Result<Tables<'a>, Corruption> {
        let symbols = Symbols::open(parts(bytes, regions.symbols))?;
        let series = SeriesTable::open(parts(bytes, regions.series))?;
        let postings = PostingsTable::open(parts(bytes, regions.postings), symbols, series.count())?;
        let groups = Tables::groups(bytes, regions, min_time_ms)?;
        Ok(Tables { symbols, postings, series, groups })
    }

    fn groups(bytes: &'a [u8], regions: &Regions, min_time_ms: i64) -> Result<GroupTable<'a>, Corruption> {
        let origin = Origin { groups_start: HEADER_BYTES as u64, min_time_ms };
        GroupTable::open(parts(bytes, regions.group_table), origin, regions.symbols.offset)
    }
}

/// The bytes of a region, which lies in the file.
fn parts(bytes: &[u8], region: Region) -> Parts<'_> {
    let (start, end) = (region.offset as usize, (region.offset + region.length) as usize);
    Parts { bytes: &bytes[start..end], base: region.offset }
}
