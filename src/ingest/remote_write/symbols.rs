//! The symbols of a version 2 request, each hashed once, and the keys of series that refer to them.
//!
//! ```text
//! symbols   0: ""   1: "__name__"   2: "up"   3: "job"   4: "shop"
//! series    1 2 3 4    ─►   join(hash of 1, hash of 2)  +  join(hash of 3, hash of 4)   ─►   key
//! ```
//!
//! Requests number their symbols differently, so a series is known by the hashes of its symbols, not by their numbers.
//!
//! Symbols are hashed with the resolver's secret seed. What joins them is the sum of products that UMAC calls NH (RFC
//! 4418), with 128 secret bits for each pair in the list. Neither hashes nor secrets are known to anybody, so whatever
//! labels somebody chooses, two lists share what the resolver keeps of a key with a chance of about 1 in 2^90. A general
//! hash over the joined hashes costs four times the instructions.
//!
//! Always true: a key of a list in which a symbol is missing is never learned, for its series is refused.

use crate::model::LABELS_COUNT_MAX;
use crate::storage::Resolver;

/// Symbols in a request for each series that it may have: names are shared, so a series brings few of its own.
pub(in crate::ingest) const SYMBOLS_PER_SERIES_MAX: usize = 10;

/// References of a series with as many labels as it may have.
pub(super) const REFERENCES_MAX: usize = 2 * LABELS_COUNT_MAX;

/// References that take one byte.
const SHORT_COUNT: usize = 128;

/// A hash of 128 bits: the low half, then the high one.
type Hash = [u64; 2];

/// What nobody outside knows, drawn with the resolver's seed anew each start.
pub(in crate::ingest) struct Secrets {
    /// For each pair in a list.
    pairs: [Hash; LABELS_COUNT_MAX],
    /// Stands for a symbol that is not there.
    missing: Hash,
}

impl Secrets {
    pub(in crate::ingest) fn new(resolver: &Resolver) -> Secrets {
        let secret = |index: usize| halves(resolver.raw_hash(format!("secret {index}").as_bytes()));
        Secrets { pairs: std::array::from_fn(secret), missing: secret(LABELS_COUNT_MAX) }
    }
}

/// Where a symbol stands in the message. A message is shorter than 4 GiB, as all of snappy is.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    end: u32,
}

/// The symbols of one request. Its memory is used again for the next.
pub(super) struct Symbols {
    hashes: Vec<Hash>,
    /// The first of them once more, in a table that is never too short for a reference of one byte.
    short: Box<[Hash; SHORT_COUNT]>,
    places: Vec<Place>,
}

impl Default for Symbols {
    fn default() -> Symbols {
        Symbols { hashes: Vec::new(), short: Box::new([[0; 2]; SHORT_COUNT]), places: Vec::new() }
    }
}

impl Symbols {
    pub(super) fn clear(&mut self, secrets: &Secrets) {
        self.hashes.clear();
        self.short.fill(secrets.missing);
        self.places.clear();
    }

    pub(super) fn count(&self) -> usize {
        self.hashes.len()
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        self.hashes.capacity() * size_of::<Hash>() + self.places.capacity() * size_of::<Place>()
    }

    /// Adds the symbol that ends at `end` in the message.
    pub(super) fn push(&mut self, resolver: &Resolver, symbol: &[u8], end: usize) {
        let hash = halves(resolver.raw_hash(symbol));
        if let Some(place) = self.short.get_mut(self.hashes.len()) {
            *place = hash;
        }
        self.hashes.push(hash);
        self.places.push(Place { start: (end - symbol.len()) as u32, end: end as u32 });
    }

    /// A symbol, as it stands in the message.
    pub(super) fn get<'m>(&self, message: &'m [u8], reference: u32) -> Option<&'m [u8]> {
        let place = self.places.get(reference as usize)?;
        Some(&message[place.start as usize..place.end as usize])
    }

    /// The key of the series with these packed references. None if they are not what senders write: pairs, of at most
    /// [`LABELS_COUNT_MAX`], of numbers of up to three bytes.
    #[inline]
    pub(super) fn packed_key(&self, secrets: &Secrets, packed: &[u8]) -> Option<u128> {
        let mut pairs = secrets.pairs.iter();
        let (mut sum, mut rest) = (0, packed);
        loop {
            match rest {
                [name @ 0..0x80, value @ 0..0x80, behind @ ..] => {
                    let (name, value) = (self.short[usize::from(*name)], self.short[usize::from(*value)]);
                    sum = join(sum, pairs.next()?, name, value);
                    rest = behind;
                }
                [] => return Some(key(sum)),
                [name @ 0..0x80, low, high @ 0..0x80, behind @ ..] => {
                    let value = usize::from(low & 0x7f) | usize::from(*high) << 7;
                    sum = join(sum, pairs.next()?, self.short[usize::from(*name)], *self.hashes.get(value)?);
                    rest = behind;
                }
                others => {
                    let (name, behind) = reference(others)?;
                    let (value, behind) = reference(behind)?;
                    sum = join(sum, pairs.next()?, *self.hashes.get(name)?, *self.hashes.get(value)?);
                    rest = behind;
                }
            }
        }
    }

    /// The same key, of references that were read already. None if they are no pairs, too many, or to nothing.
    pub(super) fn key(&self, secrets: &Secrets, references: &[u32]) -> Option<u128> {
        let (references, rest) = references.as_chunks::<2>();
        if !rest.is_empty() || references.len() > secrets.pairs.len() {
            return None;
        }
        let hash = |reference: u32| self.hashes.get(reference as usize).copied();
        let sum = references
            .iter()
            .zip(&secrets.pairs)
            .try_fold(0, |sum, (&[name, value], pair)| Some(join(sum, pair, hash(name)?, hash(value)?)));
        sum.map(key)
    }
}

/// Adds a pair's product to the sum. Each factor is of both texts, so a text counts with all 128 bits of its hash.
#[inline]
fn join(sum: u128, pair: &Hash, name: Hash, value: Hash) -> u128 {
    let left = pair[0].wrapping_add(name[0]).wrapping_add(value[1]);
    let right = pair[1].wrapping_add(name[1]).wrapping_add(value[0]);
    sum.wrapping_add(u128::from(left) * u128::from(right))
}

/// Puts the lowest bits of a sum, which in products are zero too often, where the resolver does not look.
#[inline]
fn key(sum: u128) -> u128 {
    sum.rotate_right(32)
}

fn halves(hash: u128) -> Hash {
    [hash as u64, (hash >> 64) as u64]
}

/// Takes a reference of up to three bytes, which are enough for two million symbols, off the front.
#[inline]
fn reference(packed: &[u8]) -> Option<(usize, &[u8])> {
    match packed {
        [a @ 0..0x80, behind @ ..] => Some((usize::from(*a), behind)),
        [a, b @ 0..0x80, behind @ ..] => Some((usize::from(a & 0x7f) | usize::from(*b) << 7, behind)),
        [a, b, c @ 0..0x80, behind @ ..] => {
            Some((usize::from(a & 0x7f) | usize::from(b & 0x7f) << 7 | usize::from(*c) << 14, behind))
        }
        _ => None,
    }
}
