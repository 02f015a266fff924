//! Reading records past any damage.

use super::{
    FILE_HEADER_BYTES, FileHeader, LAYOUT_GROUPED, RECORD_ALIGNMENT, RECORD_BYTES_MAX, RECORD_HEADER_BYTES,
    header_checksum, padded_bytes,
};
use crate::Corruption;
use crate::bytes::{u16_at, u32_at};

/// What stands next in a framed file. The last one is [`Event::TornTail`] or [`Event::End`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole record whose checksums hold.
    Record {
        /// Where its header starts in the file.
        offset: u64,
        /// What the payload is; the chapters of the files list the numbers.
        kind: u8,
        /// Index of the shard that wrote it, 0 where there are none.
        shard: u16,
        /// 1 to [`RECORD_BYTES_MAX`] bytes.
        payload: &'a [u8],
        /// Whether it follows the record before it. False: records between the two are missing, or this one is left
        /// from an earlier use of the file.
        chain_ok: bool,
    },
    /// Bytes that are no record; a whole record, or the end, follows at `to`.
    Damage {
        /// Offset of the first bad byte's record.
        from: u64,
        /// Offset at which reading goes on.
        to: u64,
        /// What is wrong at `from`.
        what: &'static str,
        /// The bytes may be of a write that a power cut tore: no record behind them says that they were on disk
        /// before it. So nothing behind them was on disk for certain either.
        may_be_torn: bool,
    },
    /// From here to the end of the file stands no whole record, yet not only zeros: an unfinished write, as a crash
    /// leaves it, or a damaged last record.
    TornTail {
        /// Offset of the first byte that belongs to no record.
        from: u64,
    },
    /// All records were read; only zeros follow, if anything.
    End {
        /// Offset behind the last record.
        offset: u64,
    },
}

/// Walks over the records of a file's bytes, as an iterator of [`Event`]s.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    /// What the next record's chain must be; unknown where the header before it could not be read.
    chain: Option<u32>,
    /// Up to where the records behind the first damage say that the file was on disk. Found when it is asked for.
    synced_end: Option<SyncedEnd>,
    finished: bool,
}

/// Up to where records say that the file was on disk before them; `None` if none of them says anything.
type SyncedEnd = Option<u64>;

/// A record header whose checksum holds.
struct Header {
    payload_bytes: usize,
    kind: u8,
    shard: u16,
    payload_checksum: u32,
    chain: u32,
    checksum: u32,
    /// Bytes before the record that were not known to be on disk, if it says so.
    unsynced_bytes: Option<u64>,
}

impl Header {
    fn synced_end(&self, at: usize) -> SyncedEnd {
        Some((at as u64).saturating_sub(self.unsynced_bytes?))
    }
}

impl<'a> Reader<'a> {
    /// Decodes the file header and stands before the first record.
    pub fn open(bytes: &'a [u8]) -> Result<(FileHeader, Reader<'a>), Corruption> {
        let header = FileHeader::decode(bytes)?;
        let chain = Some(header.chain_start());
        Ok((header, Reader { bytes, position: FILE_HEADER_BYTES, chain, synced_end: None, finished: false }))
    }

    /// Reads the records of a file whose header is damaged: each is checkable alone. The first has `chain_ok: false`.
    pub fn without_header(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, position: FILE_HEADER_BYTES.min(bytes.len()), chain: None, synced_end: None, finished: false }
    }

    fn record(&mut self, header: Header, payload: &'a [u8]) -> Event<'a> {
        let offset = self.position as u64;
        self.position += RECORD_HEADER_BYTES + payload.len();
        let chain_ok = self.chain == Some(header.chain);
        self.chain = Some(header.checksum);
        Event::Record { offset, kind: header.kind, shard: header.shard, payload, chain_ok }
    }

    /// The padding that ends at the next boundary, if something is wrong with it.
    fn skip_padding(&mut self) -> Option<Event<'a>> {
        let from = self.position;
        let to = from.next_multiple_of(RECORD_ALIGNMENT);
        self.position = to.min(self.bytes.len());
        if is_zero(&self.bytes[from..self.position]) {
            return None;
        }
        Some(Event::Damage {
            from: from as u64,
            to: self.position as u64,
            what: "padding is not zero",
            may_be_torn: false,
        })
    }

    /// Looks for the next whole record behind damage at the present position.
    fn resync(&mut self, what: &'static str) -> Event<'a> {
        let from = self.position;
        let header = read_header(self.bytes, from).ok();
        self.chain = header.as_ref().map(|header| header.checksum);
        let first = search_start(self.bytes, from, header.as_ref());
        let Some(to) = next_record(self.bytes, first) else {
            self.finished = true;
            return Event::TornTail { from: from as u64 };
        };
        if to != first {
            self.chain = None;
        }
        self.position = to;
        let synced_end = *self.synced_end.get_or_insert_with(|| synced_end_from(self.bytes, to));
        let may_be_torn = synced_end.is_some_and(|synced_end| synced_end <= from as u64);
        Event::Damage { from: from as u64, to: to as u64, what, may_be_torn }
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        if self.finished {
            return None;
        }
        if let Some(damage) = self.skip_padding() {
            return Some(damage);
        }
        match read_record(self.bytes, self.position) {
            Ok((header, payload)) => Some(self.record(header, payload)),
            Err(_) if is_zero(&self.bytes[self.position..]) => {
                self.finished = true;
                Some(Event::End { offset: self.position as u64 })
            }
            Err(what) => Some(self.resync(what)),
        }
    }
}

/// Where the first whole record stands, from the boundary `first` on.
fn next_record(bytes: &[u8], first: usize) -> Option<usize> {
    (first..bytes.len()).step_by(RECORD_ALIGNMENT).find(|&at| read_record(bytes, at).is_ok())
}

/// Where the search for a whole record begins behind the damaged one at `at`.
fn search_start(bytes: &[u8], at: usize, header: Option<&Header>) -> usize {
    // A payload may hold bytes that look like records: where its length is known it is not searched.
    match header {
        Some(header) if at + padded_bytes(header.payload_bytes) <= bytes.len() => {
            at + padded_bytes(header.payload_bytes)
        }
        _ => at + RECORD_ALIGNMENT,
    }
}

/// What the whole records from the one at `first` on say together.
fn synced_end_from(bytes: &[u8], first: usize) -> SyncedEnd {
    let (mut next, mut synced_end) = (Some(first), None);
    while let Some(at) = next {
        next = match read_record(bytes, at) {
            Ok((header, _)) => {
                synced_end = synced_end.max(header.synced_end(at));
                Some(at + padded_bytes(header.payload_bytes))
            }
            Err(_) => next_record(bytes, search_start(bytes, at, read_header(bytes, at).ok().as_ref())),
        };
    }
    synced_end
}

fn read_record(bytes: &[u8], at: usize) -> Result<(Header, &[u8]), &'static str> {
    let header = read_header(bytes, at)?;
    let payload_start = at + RECORD_HEADER_BYTES;
    let payload = bytes
        .get(payload_start..payload_start + header.payload_bytes)
        .ok_or("a record is longer than what is left of the file")?;
    if crc32c::crc32c(payload) != header.payload_checksum {
        return Err("a payload does not match its checksum");
    }
    Ok((header, payload))
}

fn read_header(bytes: &[u8], at: usize) -> Result<Header, &'static str> {
    let header = bytes.get(at..at + RECORD_HEADER_BYTES).ok_or("the file ends within a record header")?;
    let payload_bytes = u32_at(header, 0) as usize;
    if payload_bytes == 0 {
        return Err("zeros stand where a record should be");
    }
    // The cheap conditions first: they spare the search most checksums.
    let (layout, unsynced) = (header[5], u32_at(header, 20));
    if payload_bytes > RECORD_BYTES_MAX || layout > LAYOUT_GROUPED || (layout != LAYOUT_GROUPED && unsynced != 0) {
        return Err("a record header is not well-formed");
    }
    let checksum = u32_at(header, 16);
    if checksum != header_checksum(header) {
        return Err("a record header does not match its checksum");
    }
    Ok(Header {
        payload_bytes,
        kind: header[4],
        shard: u16_at(header, 6),
        payload_checksum: u32_at(header, 8),
        chain: u32_at(header, 12),
        checksum,
        unsynced_bytes: (layout == LAYOUT_GROUPED).then_some(u64::from(unsynced) * RECORD_ALIGNMENT as u64),
    })
}

fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_le_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}
