//! The symbols of a version 2 request, each hashed once, and the keys of series that refer to them.
//!
//! ```text
//! symbols   0: ""   1: "__name__"   2: "up"   3: "job"   4: "shop"
//! series    1 2 3 4    ─►   name factors of 1 x value factors of 2  +  those of 3 x those of 4   ─►   key
//! ```
//!
//! Requests number their symbols differently, so a series is known by the hashes of its symbols, not by their numbers.
//!
//! A symbol is hashed with the resolver's secret seed: two numbers n, n' of 64 bits for where it is a name, and times two
//! more secrets, s v and s' v', for where it is a value. A pair's product is (n + s v) x (n' + s' v'), a key the sum of the
//! pairs' products. Multiplied out, the terms n v' and v n' say which names and which values are pairs, so two sets of
//! pairs differ as polynomials in numbers that nobody knows, whatever labels somebody chooses: what the resolver keeps of
//! their keys is the same with a chance of about 1 in 2^90. A general hash over the joined hashes costs four times the
//! instructions, and sums over places in the list, as UMAC's NH (RFC 4418) has them, a third more.
//!
//! Always true: a key of a list in which a symbol is missing is never learned, for its series is refused. The same pairs
//! in another order are the same series, and have the same key.

use crate::model::LABELS_COUNT_MAX;
use crate::storage::Resolver;

/// Symbols in a request for each series that it may have: names are shared, so a series brings few of its own.
pub(in crate::ingest) const SYMBOLS_PER_SERIES_MAX: usize = 10;

/// References of a series with as many labels as it may have.
pub(super) const REFERENCES_MAX: usize = 2 * LABELS_COUNT_MAX;

/// References that take one byte.
const SHORT_COUNT: usize = 128;

/// What nobody outside knows, drawn with the resolver's seed anew each start.
pub(in crate::ingest) struct Secrets {
    /// What makes factors of a value of the halves of its hash. Odd.
    values: [u64; 2],
    /// Stands for the hash of a symbol that is not there.
    missing: u128,
}

impl Secrets {
    pub(in crate::ingest) fn new(resolver: &Resolver) -> Secrets {
        let values = halves(resolver.raw_hash(b"secrets of values")).map(|secret| secret | 1);
        Secrets { values, missing: resolver.raw_hash(b"secret of what is missing") }
    }
}

/// Where a symbol stands in the message. A message is shorter than 4 GiB, as all of snappy is.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    end: u32,
}

/// What a symbol brings to the product of a pair.
#[derive(Clone, Copy)]
struct Factors {
    as_name: [u64; 2],
    as_value: [u64; 2],
}

impl Factors {
    fn new(secrets: &Secrets, hash: u128) -> Factors {
        let as_name = halves(hash);
        let [low, high] = secrets.values;
        Factors { as_name, as_value: [as_name[0].wrapping_mul(low), as_name[1].wrapping_mul(high)] }
    }
}

/// The symbols of one request. Its memory is used again for the next.
#[derive(Default)]
pub(super) struct Symbols {
    factors: Vec<Factors>,
    /// The first of them once more.
    short: Box<ShortFactors>,
    places: Vec<Place>,
}

/// Factors of the symbols whose references take one byte: a table that is never too short for a byte, and of which only
/// the first half is used. The halves of factors apart, else the compiler adds them as vectors, which takes more
/// instructions to pull apart for the product.
struct ShortFactors {
    as_name: [[u64; 256]; 2],
    as_value: [[u64; 256]; 2],
}

impl Default for ShortFactors {
    fn default() -> ShortFactors {
        ShortFactors { as_name: [[0; 256]; 2], as_value: [[0; 256]; 2] }
    }
}

impl ShortFactors {
    fn fill(&mut self, factors: Factors) {
        for half in 0..2 {
            self.as_name[half][..SHORT_COUNT].fill(factors.as_name[half]);
            self.as_value[half][..SHORT_COUNT].fill(factors.as_value[half]);
        }
    }

    fn set(&mut self, index: usize, factors: Factors) {
        for half in 0..2 {
            self.as_name[half][index] = factors.as_name[half];
            self.as_value[half][index] = factors.as_value[half];
        }
    }

    /// Of a name by a reference below 128.
    #[inline]
    fn name(&self, reference: u8) -> [u64; 2] {
        let index = usize::from(reference);
        [self.as_name[0][index], self.as_name[1][index]]
    }

    /// Of a value by a reference below 128.
    #[inline]
    fn value(&self, reference: u8) -> [u64; 2] {
        let index = usize::from(reference);
        [self.as_value[0][index], self.as_value[1][index]]
    }
}

impl Symbols {
    pub(super) fn clear(&mut self, secrets: &Secrets) {
        self.factors.clear();
        self.short.fill(Factors::new(secrets, secrets.missing));
        self.places.clear();
    }

    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        self.factors.capacity() * size_of::<Factors>() + self.places.capacity() * size_of::<Place>()
    }

    /// Adds the symbol that ends at `end` in the message.
    pub(super) fn push(&mut self, resolver: &Resolver, secrets: &Secrets, symbol: &[u8], end: usize) {
        let factors = Factors::new(secrets, resolver.raw_hash(symbol));
        if self.count() < SHORT_COUNT {
            self.short.set(self.count(), factors);
        }
        self.factors.push(factors);
        self.places.push(Place { start: (end - symbol.len()) as u32, end: end as u32 });
    }

    /// A symbol, as it stands in the message.
    pub(super) fn get<'m>(&self, message: &'m [u8], reference: u32) -> Option<&'m [u8]> {
        let place = self.places.get(reference as usize)?;
        Some(&message[place.start as usize..place.end as usize])
    }

    /// The key of the series with these packed references. None if they are not what senders write: pairs of numbers of
    /// up to three bytes.
    #[inline(always)]
    pub(super) fn packed_key(&self, packed: &[u8]) -> Option<u128> {
        let short = &*self.short;
        let (mut sum, mut rest) = (0, packed);
        loop {
            match rest {
                [name @ 0..0x80, value @ 0..0x80, behind @ ..] => {
                    sum = join(sum, short.name(*name), short.value(*value));
                    rest = behind;
                }
                [name @ 0..0x80, low, high @ 0..0x80, behind @ ..] => {
                    let value = usize::from(low & 0x7f) | usize::from(*high) << 7;
                    sum = join(sum, short.name(*name), self.factors.get(value)?.as_value);
                    rest = behind;
                }
                [] => return Some(key(sum)),
                others => {
                    let (name, value, behind) = self.long_pair(others)?;
                    sum = join(sum, name, value);
                    rest = behind;
                }
            }
        }
    }

    /// Takes a pair whose numbers are of any length off the front.
    #[inline(never)]
    fn long_pair<'p>(&self, packed: &'p [u8]) -> Option<([u64; 2], [u64; 2], &'p [u8])> {
        let (name, behind) = reference(packed)?;
        let (value, behind) = reference(behind)?;
        Some((self.factors.get(name)?.as_name, self.factors.get(value)?.as_value, behind))
    }

    /// The same key, of references that were read already. None if they are no pairs, or to nothing.
    pub(super) fn key(&self, references: &[u32]) -> Option<u128> {
        let (references, rest) = references.as_chunks::<2>();
        let factors = |reference: u32| self.factors.get(reference as usize);
        let sum = references
            .iter()
            .try_fold(0, |sum, &[name, value]| Some(join(sum, factors(name)?.as_name, factors(value)?.as_value)));
        sum.map(key).filter(|_| rest.is_empty())
    }
}

/// Adds a pair's product to the sum.
#[inline]
fn join(sum: u128, name: [u64; 2], value: [u64; 2]) -> u128 {
    let [left, right] = [0, 1].map(|half| u128::from(name[half].wrapping_add(value[half])));
    sum.wrapping_add(left * right)
}

/// Puts the lowest bits of a sum, which in products are zero too often, where the resolver does not look.
#[inline]
fn key(sum: u128) -> u128 {
    sum.rotate_right(32)
}

fn halves(hash: u128) -> [u64; 2] {
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
