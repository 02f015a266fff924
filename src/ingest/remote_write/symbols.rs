//! The symbols of a version 2 request, each hashed once, and the keys of series that refer to them.
//!
//! ```text
//! symbols  0: ""   1: "__name__"   2: "up"          series {1, 2}  ─►  hash(hash(1) hash(2))
//! ```
//!
//! Requests number their symbols differently, so a series is known by the hashes of its symbols, not by their numbers.
//! Symbols and the hashes of a series are hashed with the resolver's secret seed, so nobody can prepare two series that
//! share a key.
//!
//! Always true: a key is made only of references to symbols that are there, an even number of them.

use crate::model::LABELS_COUNT_MAX;
use crate::storage::Resolver;

/// Symbols in a request for each series that it may have: names are shared, so a series brings few of its own.
pub(in crate::ingest) const SYMBOLS_PER_SERIES_MAX: usize = 10;

/// References of a series with as many labels as it may have.
pub(super) const REFERENCES_MAX: usize = 2 * LABELS_COUNT_MAX;

const HASH_BYTES: usize = size_of::<u128>();

/// Where a symbol stands in the message. A message is shorter than 4 GiB, as all of snappy is.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    end: u32,
}

/// The symbols of one request. Its memory is used again for the next.
#[derive(Default)]
pub(super) struct Symbols {
    hashes: Vec<u128>,
    places: Vec<Place>,
    /// Room for the hashes of one series.
    joined: Vec<u8>,
}

impl Symbols {
    pub(super) fn clear(&mut self) {
        self.hashes.clear();
        self.places.clear();
        self.joined.resize(REFERENCES_MAX * HASH_BYTES, 0);
    }

    pub(super) fn count(&self) -> usize {
        self.hashes.len()
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        self.hashes.capacity() * HASH_BYTES + self.places.capacity() * size_of::<Place>() + self.joined.capacity()
    }

    /// Adds the symbol that ends at `end` in the message.
    pub(super) fn push(&mut self, resolver: &Resolver, symbol: &[u8], end: usize) {
        self.hashes.push(resolver.raw_hash(symbol));
        self.places.push(Place { start: (end - symbol.len()) as u32, end: end as u32 });
    }

    /// A symbol, as it stands in the message.
    pub(super) fn get<'m>(&self, message: &'m [u8], reference: u32) -> Option<&'m [u8]> {
        let place = self.places.get(reference as usize)?;
        Some(&message[place.start as usize..place.end as usize])
    }

    /// The key of the series with these packed references. None if that is not a list of references as senders write it;
    /// the series is then read the slow way.
    #[inline]
    pub(super) fn packed_key(&mut self, resolver: &Resolver, packed: &[u8]) -> Option<u128> {
        let (mut filled, mut rest) = (0, packed);
        while let Some((reference, behind)) = short_reference(rest) {
            rest = behind;
            let hash = self.hashes.get(reference)?;
            self.joined.get_mut(filled..filled + HASH_BYTES)?.copy_from_slice(&hash.to_le_bytes());
            filled += HASH_BYTES;
        }
        let whole = rest.is_empty() && filled.is_multiple_of(2 * HASH_BYTES);
        whole.then(|| resolver.raw_hash(&self.joined[..filled]))
    }

    /// The same key, of references that were read already. None if one of them is to nothing, or they make no pairs.
    pub(super) fn key(&mut self, resolver: &Resolver, references: &[u32]) -> Option<u128> {
        let room = self.joined.get_mut(..references.len() * HASH_BYTES)?;
        for (&reference, place) in references.iter().zip(room.chunks_exact_mut(HASH_BYTES)) {
            place.copy_from_slice(&self.hashes.get(reference as usize)?.to_le_bytes());
        }
        references.len().is_multiple_of(2).then(|| resolver.raw_hash(room))
    }
}

/// Takes a reference of up to three bytes, which are enough for two million symbols, off the front.
#[inline]
fn short_reference(packed: &[u8]) -> Option<(usize, &[u8])> {
    match packed {
        [a @ 0..0x80, rest @ ..] => Some((usize::from(*a), rest)),
        [a, b @ 0..0x80, rest @ ..] => Some((usize::from(*b) << 7 | usize::from(a & 0x7f), rest)),
        [a, b, c @ 0..0x80, rest @ ..] => {
            Some((usize::from(*c) << 14 | usize::from(b & 0x7f) << 7 | usize::from(a & 0x7f), rest))
        }
        _ => None,
    }
}
