//! The series that have one label pair, as a sorted set of slots: two bytes or less each.
//!
//! ```text
//! slots 3, 7, 70000 … 110000          pages by the high 16 bits
//!   page 0   few    [3, 7]            sorted low halves, two bytes each
//!   page 1   many   01101…            one bit for each of the 65,536: 8 KiB
//! ```
//!
//! A slot that is used again lies anywhere; putting it in moves at most the few of one page.

/// Slots of a page kept as numbers at most: from here on the bits are smaller.
const FEW_MAX: usize = 4096;
/// Words of a page of bits.
const WORDS: usize = 65_536 / 64;

/// A sorted set of slots.
#[derive(Default)]
pub(in crate::storage) struct Postings {
    /// Ascending by key, none empty.
    pages: Vec<Page>,
}

struct Page {
    /// The high halves of its slots.
    key: u16,
    slots: Slots,
}

enum Slots {
    Few(Vec<u16>),
    Many { bits: Box<[u64; WORDS]>, count: u32 },
}

impl Postings {
    /// Number of slots.
    pub(super) fn len(&self) -> usize {
        self.pages.iter().map(|page| page.slots.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    pub(super) fn insert(&mut self, slot: u32) {
        let (key, low) = halves(slot);
        // New series mostly take the next slot; only a reused one lies further in front.
        let position = match self.pages.last() {
            Some(last) if last.key == key => self.pages.len() - 1,
            _ => match self.pages.binary_search_by_key(&key, |page| page.key) {
                Ok(position) => position,
                Err(position) => {
                    self.pages.reserve_exact(if self.pages.len() == self.pages.capacity() { 1 } else { 0 });
                    self.pages.insert(position, Page { key, slots: Slots::Few(Vec::new()) });
                    position
                }
            },
        };
        self.pages[position].slots.insert(low);
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let (key, low) = halves(slot);
        let Ok(position) = self.pages.binary_search_by_key(&key, |page| page.key) else { return };
        let slots = &mut self.pages[position].slots;
        slots.remove(low);
        if slots.len() == 0 {
            self.pages.remove(position);
        }
    }

    pub(in crate::storage) fn contains(&self, slot: u32) -> bool {
        let (key, low) = halves(slot);
        let found = self.pages.binary_search_by_key(&key, |page| page.key);
        found.is_ok_and(|position| self.pages[position].slots.contains(low))
    }

    /// How many slots are in both.
    pub(super) fn count_common(&self, other: &Postings) -> usize {
        let common = |page: &Page| {
            let found = other.pages.binary_search_by_key(&page.key, |other| other.key);
            found.map_or(0, |position| page.slots.count_common(&other.pages[position].slots))
        };
        self.pages.iter().map(common).sum()
    }

    /// The slots that are in any of them. All its pages are bits, in which a slot is found by one look.
    pub(super) fn union<'p>(all: impl Iterator<Item = &'p Postings>) -> Postings {
        let mut union = Postings::default();
        for page in all.flat_map(|postings| &postings.pages) {
            let position = union.pages.binary_search_by_key(&page.key, |page| page.key).unwrap_or_else(|position| {
                union.pages.insert(position, Page { key: page.key, slots: Slots::of_bits([].into_iter()) });
                position
            });
            union.pages[position].slots.unite(&page.slots);
        }
        union
    }

    /// Appends all slots, ascending.
    pub(super) fn read(&self, slots: &mut Vec<u32>) {
        slots.reserve(self.len());
        for page in &self.pages {
            let high = u32::from(page.key) << 16;
            match &page.slots {
                Slots::Few(few) => slots.extend(few.iter().map(|low| high | u32::from(*low))),
                Slots::Many { bits, .. } => {
                    for (index, word) in bits.iter().enumerate() {
                        let mut left = *word;
                        while left != 0 {
                            slots.push(high | (index as u32 * 64 + left.trailing_zeros()));
                            left &= left - 1;
                        }
                    }
                }
            }
        }
    }
}

impl Slots {
    fn len(&self) -> usize {
        match self {
            Slots::Few(few) => few.len(),
            Slots::Many { count, .. } => *count as usize,
        }
    }

    fn count_common(&self, other: &Slots) -> usize {
        match (self, other) {
            (Slots::Few(few), other) | (other, Slots::Few(few)) => {
                few.iter().filter(|low| other.contains(**low)).count()
            }
            (Slots::Many { bits: one, .. }, Slots::Many { bits: two, .. }) => {
                one.iter().zip(two.iter()).map(|(one, two)| (one & two).count_ones() as usize).sum()
            }
        }
    }

    fn contains(&self, low: u16) -> bool {
        match self {
            Slots::Few(few) => few.binary_search(&low).is_ok(),
            Slots::Many { bits, .. } => bits[word(low)] & bit(low) != 0,
        }
    }

    fn insert(&mut self, low: u16) {
        match self {
            Slots::Few(few) => {
                let Err(position) = few.binary_search(&low) else { return };
                if few.len() == FEW_MAX {
                    *self = Slots::of_bits(few.iter().copied().chain([low]));
                    return;
                }
                if few.len() == few.capacity() {
                    few.reserve_exact(1 + few.len() / 4); // a quarter of slack, not once again as much
                }
                few.insert(position, low);
            }
            Slots::Many { bits, count } => {
                *count += u32::from(bits[word(low)] & bit(low) == 0);
                bits[word(low)] |= bit(low);
            }
        }
    }

    fn unite(&mut self, other: &Slots) {
        match (self, other) {
            (Slots::Many { bits, count }, Slots::Many { bits: others, .. }) => {
                bits.iter_mut().zip(others.iter()).for_each(|(mine, theirs)| *mine |= theirs);
                *count = bits.iter().map(|word| word.count_ones()).sum();
            }
            (slots, Slots::Few(few)) => few.iter().for_each(|low| slots.insert(*low)),
            (Slots::Few(_), Slots::Many { .. }) => unreachable!("a union is made of bits"),
        }
    }

    fn of_bits(slots: impl Iterator<Item = u16>) -> Slots {
        let mut many = Slots::Many { bits: Box::new([0; WORDS]), count: 0 };
        slots.for_each(|low| many.insert(low));
        many
    }

    fn remove(&mut self, low: u16) {
        match self {
            Slots::Few(few) => {
                if let Ok(position) = few.binary_search(&low) {
                    few.remove(position);
                }
            }
            Slots::Many { bits, count } => {
                *count -= u32::from(bits[word(low)] & bit(low) != 0);
                bits[word(low)] &= !bit(low);
                // Well below the bound, so that one series that comes and goes does not turn the page each time.
                if *count as usize <= FEW_MAX / 2 {
                    *self = Slots::Few((0..=u16::MAX).filter(|low| bits[word(*low)] & bit(*low) != 0).collect());
                }
            }
        }
    }
}

fn halves(slot: u32) -> (u16, u16) {
    ((slot >> 16) as u16, slot as u16)
}

fn word(low: u16) -> usize {
    usize::from(low / 64)
}

fn bit(low: u16) -> u64 {
    1 << (low % 64)
}
