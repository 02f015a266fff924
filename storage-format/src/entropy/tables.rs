//! The tables of a symbol's states: those of `spec/entropy-tables.txt`, and those that a column brings along.

use std::sync::{LazyLock, OnceLock};

use super::bits::{self, mask, word};
use super::histogram::Counts;
use super::octave::floor;
use crate::Corruption;
use crate::bytes::Cursor;

pub(super) const STATE_BITS: u32 = 9;
pub(super) const STATES: usize = 1 << STATE_BITS;
pub(super) const SYMBOLS: usize = 64;
/// The symbol of what a table has no other for.
pub(super) const ESCAPE: u8 = 0;
/// Origins of the tables: residuals lie at and above the centre, or around it. A table that follows is of these.
pub(super) const LOWEST: u8 = 1;
pub(super) const MIDDLE: u8 = 32;
/// Number of a table that follows.
pub(super) const STORED: u8 = 255;
/// Bits of a frequency that follows: a step of octaves.
pub(super) const STORED_STEP_BITS: u32 = 5;

/// How far the states of one symbol lie apart: odd, so that all states are visited.
const SPREAD: usize = STATES / 2 + STATES / 8 + 3;
/// Parts of a bit in which costs are counted.
pub(super) const COST_UNIT: u32 = 256;
/// What an escape is taken to cost besides its symbol.
pub(super) const ESCAPE_BITS: u32 = 20;

const TEXT: &str = include_str!("../../spec/entropy-tables.txt");

pub(super) type Frequencies = [u16; SYMBOLS];

/// By state: the state to which the bits read are added, in the low half; how many bits, in the third byte; the symbol.
pub(super) type Decoding = [u32; STATES];

pub(super) struct Table {
    /// The symbol of residuals at the centre.
    pub(super) origin: u8,
    /// How many of the states are a symbol's.
    pub(super) frequencies: Frequencies,
    /// In parts of a bit; what has no frequency costs an escape.
    pub(super) costs: [i16; SYMBOLS],
    decoding: OnceLock<Box<Decoding>>,
    encoding: OnceLock<Box<Encoding>>,
}

/// Tables of equal steps, by their number.
pub(super) static LINEAR: LazyLock<Vec<Table>> = LazyLock::new(|| Table::read_all(0));
/// Tables of octaves, by their number.
pub(super) static OCTAVE: LazyLock<Vec<Table>> = LazyLock::new(|| Table::read_all(1));

impl Table {
    fn read_all(part: usize) -> Vec<Table> {
        TEXT.split("\n\n").nth(part).expect("the file has two parts").lines().map(Table::read).collect()
    }

    fn read(line: &str) -> Table {
        let (_, numbers) = line.split_once(": ").expect("a table has a name");
        let numbers: Vec<u16> = numbers.split(' ').map(|number| number.parse().expect("a whole number")).collect();
        let [origin, escape, first, rest @ ..] = numbers.as_slice() else {
            panic!("a table has three numbers at least")
        };
        let mut frequencies = [0; SYMBOLS];
        frequencies[usize::from(ESCAPE)] = *escape;
        frequencies[usize::from(*first)..][..rest.len()].copy_from_slice(rest);
        let costs = costs(&frequencies);
        let (decoding, encoding) = (OnceLock::new(), OnceLock::new());
        Table { origin: *origin as u8, frequencies, costs, decoding, encoding }
    }

    pub(super) fn decoding(&self) -> &Decoding {
        self.decoding.get_or_init(|| Box::new(decoding(&self.frequencies)))
    }

    pub(super) fn encoding(&self) -> &Encoding {
        self.encoding.get_or_init(|| Box::new(Encoding::new(&self.frequencies)))
    }
}

fn costs(frequencies: &Frequencies) -> [i16; SYMBOLS] {
    let bits = |frequency: u16| f64::from(STATE_BITS) - f64::from(frequency).log2();
    let escape = bits(frequencies[usize::from(ESCAPE)]) + f64::from(ESCAPE_BITS);
    let mut costs = frequencies.map(|frequency| if frequency == 0 { escape } else { bits(frequency) });
    costs[usize::from(ESCAPE)] = escape;
    costs.map(|bits| (bits * f64::from(COST_UNIT)) as i16)
}

/// The symbol of each state.
fn spread(frequencies: &Frequencies) -> [u8; STATES] {
    let mut symbols = [0; STATES];
    let mut state = 0;
    for (symbol, frequency) in frequencies.iter().enumerate() {
        for _ in 0..*frequency {
            symbols[state] = symbol as u8;
            state = (state + SPREAD) % STATES;
        }
    }
    symbols
}

pub(super) fn decoding(frequencies: &Frequencies) -> Decoding {
    let mut next = *frequencies;
    spread(frequencies).map(|symbol| {
        let left = u32::from(next[usize::from(symbol) % SYMBOLS]);
        next[usize::from(symbol) % SYMBOLS] += 1;
        let bits = STATE_BITS - left.ilog2();
        ((left << bits) - STATES as u32) | bits << 16 | u32::from(symbol) << 24
    })
}

pub(super) struct Encoding {
    pub(super) symbols: [Emission; SYMBOLS],
    /// The states of each symbol, one symbol behind the other, ascending; counted from `STATES`.
    pub(super) states: [u16; STATES],
}

/// How a state gives way to one of a symbol.
#[derive(Clone, Copy, Default)]
pub(super) struct Emission {
    /// Added to the state: the number of bits that it emits, in the high half.
    pub(super) bits: u32,
    /// Added to what is left of the state: the position of the next one in `states`.
    pub(super) offset: u32,
    /// Of the symbol's first state in `states`.
    place: u32,
}

impl Encoding {
    pub(super) fn new(frequencies: &Frequencies) -> Encoding {
        let mut encoding = Encoding { symbols: [Emission::default(); SYMBOLS], states: [0; STATES] };
        let mut places = [0; SYMBOLS];
        let mut place = 0;
        for (symbol, frequency) in frequencies.iter().enumerate() {
            places[symbol] = place;
            if *frequency > 0 {
                encoding.symbols[symbol] = Emission::new(u32::from(*frequency), place as u32);
            }
            place += usize::from(*frequency);
        }
        for (state, symbol) in spread(frequencies).iter().enumerate() {
            let place = &mut places[usize::from(*symbol)];
            encoding.states[*place] = (STATES + state) as u16;
            *place += 1;
        }
        encoding
    }

    /// The lowest state of a symbol, to begin with.
    pub(super) fn first(&self, symbol: u8) -> u32 {
        u32::from(self.states[self.symbols[usize::from(symbol)].place as usize])
    }
}

impl Emission {
    /// A symbol of frequency f follows a state of which f to 2f - 1 is left after its low bits are emitted.
    fn new(frequency: u32, place: u32) -> Emission {
        let bits_max = if frequency == 1 { STATE_BITS } else { STATE_BITS - (frequency - 1).ilog2() };
        let bits = (bits_max << 16).wrapping_sub(frequency << bits_max);
        Emission { bits, offset: place.wrapping_sub(frequency), place }
    }
}

/// Frequencies that a column brings along: each as the floor of a step of octaves, what is missing to [`STATES`] the
/// most frequent symbol's.
pub(super) struct Stored {
    lead: u8,
    steps: [u8; SYMBOLS],
}

impl Stored {
    pub(super) fn of(counts: &Counts) -> Stored {
        let total: u32 = counts.iter().map(|count| *count as u32).sum();
        let lead = (0..SYMBOLS).max_by_key(|symbol| counts[*symbol]).expect("there are symbols");
        // Rounding may promise more states than there are; then with fewer to give.
        let steps = (1..).map(|attempt| Self::steps(counts, lead, total, STATES as u32 * 8 / (7 + attempt)));
        let fits = |steps: &[u8; SYMBOLS]| {
            let rest = STATES as u64 - Self::sum(steps).min(STATES as u64);
            rest * u64::from(total) * 4 > STATES as u64 * 3 * counts[lead] as u64
        };
        let steps = { steps }.find(fits).expect("fewer states to give end at one for each symbol");
        Stored { lead: lead as u8, steps }
    }

    fn steps(counts: &Counts, lead: usize, total: u32, states: u32) -> [u8; SYMBOLS] {
        let mut steps = [0; SYMBOLS];
        for (symbol, count) in counts.iter().enumerate().filter(|(symbol, count)| *symbol != lead && **count > 0) {
            let exact = *count as u32 * states / total;
            // The next step from halfway on.
            let step = (1..20).find(|step| u64::from(exact) * 2 < floor(*step) + floor(*step + 1));
            steps[symbol] = step.expect("no symbol besides the lead has all states") as u8;
        }
        steps
    }

    fn sum(steps: &[u8; SYMBOLS]) -> u64 {
        steps.iter().map(|step| floor(u32::from(*step))).sum()
    }

    pub(super) fn frequencies(&self) -> Option<Frequencies> {
        let rest = (STATES as u64).checked_sub(Self::sum(&self.steps))?;
        let mut frequencies = self.steps.map(|step| floor(u32::from(step)) as u16);
        frequencies[usize::from(self.lead)] += rest as u16;
        Some(frequencies)
    }

    fn first(&self) -> usize {
        self.steps.iter().position(|step| *step > 0).unwrap_or(0)
    }

    fn last(&self) -> usize {
        self.steps.iter().rposition(|step| *step > 0).unwrap_or(0)
    }

    pub(super) fn append(&self, out: &mut Vec<u8>) {
        let (first, last) = (self.first(), self.last());
        out.extend([self.lead, first as u8, last as u8]);
        let mut writer = bits::Writer::new(out);
        for step in &self.steps[first..=last] {
            writer.push(u64::from(*step), STORED_STEP_BITS);
        }
        writer.end();
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Frequencies, Corruption> {
        let at = cursor.position();
        let [lead, first, last] = [cursor.u8()?, cursor.u8()?, cursor.u8()?];
        if lead >= SYMBOLS as u8 || first > last || last >= SYMBOLS as u8 {
            return Err(Corruption::at(at, "a stored table has no such symbol"));
        }
        let count = usize::from(last - first) + 1;
        let bytes = cursor.take((count * STORED_STEP_BITS as usize).div_ceil(8))?;
        let mut stored = Stored { lead, steps: [0; SYMBOLS] };
        for (index, step) in stored.steps[usize::from(first)..][..count].iter_mut().enumerate() {
            *step = (word(bytes, index * STORED_STEP_BITS as usize) & mask(STORED_STEP_BITS)) as u8;
        }
        stored.frequencies().ok_or(Corruption::at(at, "a stored table has too many states"))
    }
}
