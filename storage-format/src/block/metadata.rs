//! What a block says about itself, in fields that a reader may skip.

use super::{BlockMeta, BlockRange, SOURCES_MAX};
use crate::Corruption;
use crate::bytes::Cursor;

const TAG_COUNTS: u16 = 1;
const TAG_SAMPLE_TIMES: u16 = 2;
const TAG_SOURCES: u16 = 3;

pub(super) fn encode(meta: &BlockMeta) -> Vec<u8> {
    let mut out = Vec::new();
    let counts = [meta.series_count, meta.group_count, meta.sample_count];
    append_field(&mut out, TAG_COUNTS, &counts.map(u64::to_le_bytes).concat());
    if let Some((first_ms, last_ms)) = meta.sample_times_ms {
        append_field(&mut out, TAG_SAMPLE_TIMES, &[first_ms, last_ms].map(i64::to_le_bytes).concat());
    }
    if meta.source_count > 0 {
        append_field(&mut out, TAG_SOURCES, &encode_sources(meta));
    }
    out
}

fn encode_sources(meta: &BlockMeta) -> Vec<u8> {
    let listed = &meta.sources[..meta.sources.len().min(SOURCES_MAX)];
    let mut out = [meta.source_count, listed.len() as u32].map(u32::to_le_bytes).concat();
    for source in listed {
        let times = [source.min_time_ms, source.max_time_ms, source.created_ms];
        out.extend_from_slice(&times.map(i64::to_le_bytes).concat());
        out.extend_from_slice(&u64::from(source.level).to_le_bytes());
    }
    out
}

fn append_field(out: &mut Vec<u8>, tag: u16, payload: &[u8]) {
    out.extend_from_slice(&tag.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(payload);
}

/// Reads the fields that we know. The range is the header's.
pub(super) fn decode(bytes: &[u8], range: BlockRange) -> Result<BlockMeta, Corruption> {
    let mut meta = BlockMeta { range, ..BlockMeta::default() };
    let mut cursor = Cursor::new(bytes);
    let mut tag_before = 0;
    while !cursor.is_at_end() {
        let at = cursor.position();
        let (tag, _reserved, length) = (cursor.u16()?, cursor.u16()?, cursor.u32()?);
        if tag <= tag_before {
            return Err(Corruption::at(at, "the tags of the metadata do not ascend"));
        }
        tag_before = tag;
        let start = cursor.position();
        let mut field = Cursor::new(cursor.take(length as usize)?);
        decode_field(tag, &mut field, &mut meta).map_err(|corruption| corruption.moved(start as u64))?;
    }
    Ok(meta)
}

fn decode_field(tag: u16, field: &mut Cursor<'_>, meta: &mut BlockMeta) -> Result<(), Corruption> {
    match tag {
        TAG_COUNTS => {
            (meta.series_count, meta.group_count, meta.sample_count) = (field.u64()?, field.u64()?, field.u64()?);
        }
        TAG_SAMPLE_TIMES => meta.sample_times_ms = Some((field.i64()?, field.i64()?)),
        TAG_SOURCES => {
            meta.source_count = field.u32()?;
            let listed = field.u32()?;
            if listed as usize > SOURCES_MAX {
                return Err(field.corruption("a block lists more sources than it may"));
            }
            meta.sources = (0..listed).map(|_| decode_source(field)).collect::<Result<_, _>>()?;
        }
        _ => {}
    }
    Ok(())
}

fn decode_source(field: &mut Cursor<'_>) -> Result<BlockRange, Corruption> {
    let (min_time_ms, max_time_ms, created_ms) = (field.i64()?, field.i64()?, field.i64()?);
    let level = field.u8()?;
    field.take(7)?;
    Ok(BlockRange { min_time_ms, max_time_ms, created_ms, level })
}
