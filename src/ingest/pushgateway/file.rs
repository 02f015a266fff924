//! One group as a file. Layout: `storage-format`, chapter `push_groups`.

use std::sync::Arc;

use storage_format::frame::{Event, FileHeader, FileKind, Reader, append_record};
use storage_format::push_groups::{self as format, KIND_GROUP};

use super::groups::{Group, KeptFamily};
use super::key::GroupKey;
use crate::ingest::metadata_file::{kind_number, kind_of_number};
use crate::model::Labels;

/// The name of the group's file.
pub(super) fn file_name(key: &GroupKey) -> String {
    format!("{:032x}.group", key.hash())
}

/// The whole file.
pub(super) fn encode(group: &Group, created_ms: i64) -> Vec<u8> {
    let families = group.families.iter().map(|(name, family)| format::Family {
        name,
        metric_type: kind_number(family.kind),
        help: &family.help,
        pushed_ms: family.pushed_ms,
        series: family.series.iter().map(series).collect(),
    });
    let record = format::Group {
        labels: group.key.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        ttl_ms: group.ttl_ms,
        pushed_ms: group.pushed_ms,
        failed_ms: group.failed_ms,
        families: families.collect(),
        ended: group.ended.iter().map(|labels| labels.iter().collect()).collect(),
    };
    let header = FileHeader::new(FileKind::PushGroup, 0, created_ms, group.key.hash() as u32);
    let (mut bytes, mut payload) = (header.encode().to_vec(), Vec::new());
    record.encode(&mut payload);
    append_record(&mut bytes, KIND_GROUP, 0, header.chain_start(), &payload);
    bytes
}

fn series((labels, value): &(Arc<Labels>, f64)) -> format::Series<'_> {
    format::Series { labels: labels.iter().collect(), value: *value }
}

/// Reads such a file. Fails with what is wrong with it.
pub(super) fn decode(bytes: &[u8]) -> Result<Group, String> {
    let (header, mut reader) = Reader::open(bytes).map_err(|damage| damage.to_string())?;
    if header.kind != FileKind::PushGroup {
        return Err(format!("is of another kind: {:?}", header.kind));
    }
    let Some(Event::Record { offset, kind: KIND_GROUP, payload, chain_ok: true, .. }) = reader.next() else {
        return Err("the group's record cannot be read".to_owned());
    };
    let record = format::Group::decode(payload).map_err(|damage| damage.moved(offset).to_string())?;
    let mut group = restore(&record)?;
    group.file_bytes = bytes.len();
    Ok(group)
}

fn restore(record: &format::Group<'_>) -> Result<Group, String> {
    let labels = |pairs: &format::LabelSet<'_>| {
        let labels = Labels::from_pairs(pairs.iter().copied()).map_err(|error| error.to_string())?;
        labels.metric_name().ok_or("a series has no name")?;
        Ok::<Arc<Labels>, String>(Arc::new(labels))
    };
    let pairs = record.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let key = GroupKey::of_pairs(pairs).ok_or("its labels name no group")?;
    let mut group = Group::new(key);
    (group.ttl_ms, group.pushed_ms, group.failed_ms) = (record.ttl_ms, record.pushed_ms, record.failed_ms);
    for family in &record.families {
        let series = family.series.iter().map(|series| Ok((labels(&series.labels)?, series.value)));
        let kept = KeptFamily {
            kind: kind_of_number(family.metric_type),
            help: family.help.to_owned(),
            pushed_ms: family.pushed_ms,
            series: series.collect::<Result<_, String>>()?,
        };
        group.families.insert(family.name.to_owned(), kept);
    }
    group.ended = record.ended.iter().map(labels).collect::<Result<_, String>>()?;
    Ok(group)
}
