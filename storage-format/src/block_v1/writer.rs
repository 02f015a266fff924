//! Writing a block from front to back: chunks go out as they come, the index is kept until the end.

use std::io::{self, Write};

use super::{BlockMeta, BlockRange, END_MAGIC, FOOTER_BYTES, HEADER_BYTES, MAGIC, Region, VERSION};
use crate::chunk;
use crate::index_v1::{ChunkMeta, IndexWriter};

/// Writes one block. A block without [`BlockWriter::finish`] is no block: readers refuse it.
#[derive(Debug)]
pub struct BlockWriter<W: Write> {
    out: W,
    range: BlockRange,
    header_checksum: u32,
    position: u64,
    sample_count: u64,
    index: IndexWriter,
}

impl<W: Write> BlockWriter<W> {
    /// Writes the header. `out` takes many small writes: buffer it.
    pub fn begin(mut out: W, range: BlockRange) -> io::Result<BlockWriter<W>> {
        assert!(range.min_time_ms < range.max_time_ms, "a block of no time: {range:?}");
        let (header, header_checksum) = encode_header(&range);
        out.write_all(&header)?;
        let position = HEADER_BYTES as u64;
        Ok(BlockWriter { out, range, header_checksum, position, sample_count: 0, index: IndexWriter::default() })
    }

    /// Starts the next series; its labels are sorted by name. Panics if they do not come after those of the last one.
    pub fn begin_series<'l>(&mut self, labels: impl IntoIterator<Item = (&'l str, &'l str)>) {
        self.index.begin_series(labels);
    }

    /// Writes a chunk of the series begun last, as [`chunk::encode_stored`] made it, with the timestamps of its first
    /// and last sample in ms. Panics if it begins before that series' last chunk, or if the bytes are no stored chunk.
    pub fn append_chunk(&mut self, min_timestamp_ms: i64, max_timestamp_ms: i64, stored: &[u8]) -> io::Result<()> {
        let count = chunk::open_stored(stored).expect("the caller gives a stored chunk").count;
        let length = u32::try_from(stored.len()).map_err(|_| too_large())?;
        self.index.append_chunk(ChunkMeta { min_timestamp_ms, max_timestamp_ms, offset: self.position, length });
        self.out.write_all(stored)?;
        self.position += u64::from(length);
        self.sample_count += u64::from(count);
        Ok(())
    }

    /// Bytes written so far.
    pub fn bytes_written(&self) -> u64 {
        self.position
    }

    /// Writes index and footer; gives back `out`, not yet flushed or synced, and what the block says about itself.
    pub fn finish(mut self) -> io::Result<(W, BlockMeta)> {
        let index = self.index.encode(self.range.min_time_ms).ok_or_else(too_large)?;
        let symbols = self.write_region(&index.symbols)?;
        let series = self.write_region(&index.series)?;
        let postings = self.write_region(&index.postings)?;
        let meta = BlockMeta {
            range: self.range,
            series_count: self.index.series_count() as u64,
            sample_count: self.sample_count,
        };
        let footer = encode_footer(&[symbols, series, postings], &meta, self.header_checksum);
        self.out.write_all(&footer)?;
        Ok((self.out, meta))
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

fn encode_header(range: &BlockRange) -> ([u8; HEADER_BYTES], u32) {
    let mut bytes = [0; HEADER_BYTES];
    bytes[0..8].copy_from_slice(MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&range.min_time_ms.to_le_bytes());
    bytes[24..32].copy_from_slice(&range.max_time_ms.to_le_bytes());
    bytes[32..40].copy_from_slice(&range.created_ms.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&checksum.to_le_bytes());
    (bytes, checksum)
}

fn encode_footer(regions: &[Region; 3], meta: &BlockMeta, header_checksum: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FOOTER_BYTES);
    for region in regions {
        bytes.extend_from_slice(&region.offset.to_le_bytes());
        bytes.extend_from_slice(&region.length.to_le_bytes());
        bytes.extend_from_slice(&region.checksum.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
    }
    bytes.extend_from_slice(&meta.series_count.to_le_bytes());
    bytes.extend_from_slice(&meta.sample_count.to_le_bytes());
    bytes.extend_from_slice(&header_checksum.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(END_MAGIC);
    bytes
}
