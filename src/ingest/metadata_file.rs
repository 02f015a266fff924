//! Metadata as bytes, so that a restart goes on with it. Layout: `storage-format`, chapter metadata.

use storage_format::Corruption;
use storage_format::frame::{Event, FileHeader, FileKind, Reader, append_record};
use storage_format::metadata::{Family, KIND_END, KIND_FAMILY, decode_end, encode_end};

use super::{Metadata, MetricKind};

/// Damaged places that are told of one file.
const DAMAGE_TOLD_MAX: usize = 16;

/// The kinds by their numbers in the file.
const KINDS: [MetricKind; 8] = [
    MetricKind::Unknown,
    MetricKind::Counter,
    MetricKind::Gauge,
    MetricKind::Histogram,
    MetricKind::GaugeHistogram,
    MetricKind::Summary,
    MetricKind::Info,
    MetricKind::StateSet,
];

/// The number of a kind in our files.
pub(super) fn kind_number(kind: MetricKind) -> u8 {
    KINDS.iter().position(|known| *known == kind).expect("KINDS lists all kinds") as u8
}

/// The kind of such a number, which a decoder of `storage-format` has let pass.
pub(super) fn kind_of_number(number: u8) -> MetricKind {
    KINDS[usize::from(number)]
}

/// What was found in a file of metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoredMetadata {
    /// Families that were read.
    pub families: usize,
    /// The first places that could not be.
    pub damage: Vec<Corruption>,
}

impl Metadata {
    /// The whole file of all that is known.
    pub fn encode(&self, created_ms: i64) -> Vec<u8> {
        // Nothing hangs on the salt but that an older file's records do not continue this one's chain.
        let header = FileHeader::new(FileKind::Metadata, 0, created_ms, created_ms as u32);
        let (mut bytes, mut chain) = (header.encode().to_vec(), header.chain_start());
        let (mut payload, mut count) = (Vec::new(), 0);
        self.for_each(|name, meta| {
            payload.clear();
            Family { name, metric_type: kind_number(meta.kind), help: &meta.help, unit: &meta.unit }
                .encode(&mut payload);
            chain = append_record(&mut bytes, KIND_FAMILY, 0, chain, &payload);
            count += 1;
        });
        payload.clear();
        encode_end(count, &mut payload);
        append_record(&mut bytes, KIND_END, 0, chain, &payload);
        bytes
    }

    /// Takes over what such a file holds: all of it, or what is whole of it. What is known already stays.
    pub fn restore(&self, bytes: &[u8]) -> RestoredMetadata {
        let mut restored = RestoredMetadata::default();
        let reader = match Reader::open(bytes) {
            Ok((header, reader)) if header.kind == FileKind::Metadata => reader,
            Ok(_) => {
                restored.damage.push(Corruption { offset: 0, what: "the file is of another kind" });
                return restored;
            }
            Err(damage) => {
                restored.damage.push(damage);
                Reader::without_header(bytes)
            }
        };
        let mut told_count = None;
        for event in reader {
            let read = match event {
                Event::Record { kind: KIND_FAMILY, payload, offset, .. } => Family::decode(payload)
                    .map(|family| {
                        self.restore_family(&family);
                        restored.families += 1;
                    })
                    .map_err(|damage| damage.moved(offset)),
                Event::Record { kind: KIND_END, payload, offset, .. } => {
                    decode_end(payload).map(|count| told_count = Some(count)).map_err(|damage| damage.moved(offset))
                }
                Event::Record { offset, .. } => {
                    Err(Corruption { offset, what: "a record of a kind that is not known" })
                }
                Event::Damage { from, what, .. } => Err(Corruption { offset: from, what }),
                Event::TornTail { from } => Err(Corruption { offset: from, what: "the file ends in the middle" }),
                Event::End { offset } if told_count.is_none_or(|count| count as usize != restored.families) => {
                    Err(Corruption { offset, what: "the families are not as many as the last record says" })
                }
                Event::End { .. } => Ok(()),
            };
            if let Err(damage) = read
                && restored.damage.len() < DAMAGE_TOLD_MAX
            {
                restored.damage.push(damage);
            }
        }
        restored
    }

    fn restore_family(&self, family: &Family<'_>) {
        let kind = kind_of_number(family.metric_type);
        if !self.is_described(family.name) {
            self.learn(family.name, kind, family.help, family.unit);
        }
    }
}
