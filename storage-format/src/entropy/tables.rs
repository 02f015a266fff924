//! The static tables: `spec/entropy-tables.txt`, and what encoder and decoder derive from a line of it.

use std::sync::{LazyLock, OnceLock};

pub(super) const STATE_BITS: u32 = 10;
pub(super) const STATES: usize = 1 << STATE_BITS;
pub(super) const SYMBOLS: usize = 64;
/// The symbol of what a table has no other for.
pub(super) const ESCAPE: u8 = 0;

/// How far the states of one symbol lie apart: odd, so that all states are visited.
const SPREAD: usize = STATES / 2 + STATES / 8 + 3;
/// Parts of a bit in which costs are counted.
pub(super) const COST_UNIT: u32 = 256;
/// What an escape is taken to cost besides its symbol.
const ESCAPE_BITS: u32 = 20;

pub(super) const TEXT: &str = include_str!("../../spec/entropy-tables.txt");

pub(super) struct Table {
    /// The symbol of residuals at the centre.
    pub(super) origin: u8,
    /// How many of the states are a symbol's.
    pub(super) frequencies: [u16; SYMBOLS],
    /// In parts of a bit; what has no frequency costs an escape.
    pub(super) costs: [i16; SYMBOLS],
    decoding: OnceLock<Box<Decoding>>,
    encoding: OnceLock<Box<Encoding>>,
}

/// By state: the state to which the bits read are added, in the low half; how many bits, in the third byte; the symbol.
pub(super) type Decoding = [u32; STATES];

pub(super) struct Encoding {
    pub(super) symbols: [Emission; SYMBOLS],
    /// The states of each symbol, one symbol behind the other, ascending; counted from `STATES`.
    pub(super) states: [u16; STATES],
}

impl Encoding {
    /// The lowest state of a symbol, to begin with.
    pub(super) fn first(&self, symbol: u8) -> u32 {
        u32::from(self.states[self.symbols[usize::from(symbol)].place as usize])
    }
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

/// Tables of equal steps, by their number.
pub(super) static LINEAR: LazyLock<Vec<Table>> = LazyLock::new(|| read(TEXT.split("\n\n").next().expect("a first half")));
/// Tables of octaves, by their number.
pub(super) static OCTAVE: LazyLock<Vec<Table>> = LazyLock::new(|| read(TEXT.split("\n\n").nth(1).expect("a second half")));

fn read(lines: &str) -> Vec<Table> {
    lines.lines().map(Table::read).collect()
}

impl Table {
    fn read(line: &str) -> Table {
        let (_, numbers) = line.split_once(": ").expect("a table has a name");
        let numbers: Vec<u16> = numbers.split(' ').map(|number| number.parse().expect("a whole number")).collect();
        let [origin, escape, first, rest @ ..] = numbers.as_slice() else { panic!("a table has three numbers at least") };
        let mut frequencies = [0; SYMBOLS];
        frequencies[usize::from(ESCAPE)] = *escape;
        frequencies[usize::from(*first)..][..rest.len()].copy_from_slice(rest);
        Table {
            origin: *origin as u8,
            frequencies,
            costs: costs(&frequencies),
            decoding: OnceLock::new(),
            encoding: OnceLock::new(),
        }
    }

    pub(super) fn decoding(&self) -> &Decoding {
        self.decoding.get_or_init(|| decoding(&self.frequencies))
    }

    pub(super) fn encoding(&self) -> &Encoding {
        self.encoding.get_or_init(|| encoding(&self.frequencies))
    }
}

fn costs(frequencies: &[u16; SYMBOLS]) -> [i16; SYMBOLS] {
    let bits = |frequency: u16| f64::from(STATE_BITS) - f64::from(frequency).log2();
    let escape = bits(frequencies[0]) + f64::from(ESCAPE_BITS);
    let mut costs = frequencies.map(|frequency| {
        let bits = if frequency == 0 { escape } else { bits(frequency) };
        (bits * f64::from(COST_UNIT)) as i16
    });
    costs[0] = (escape * f64::from(COST_UNIT)) as i16;
    costs
}

/// The symbol of each state.
fn spread(frequencies: &[u16; SYMBOLS]) -> [u8; STATES] {
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

fn decoding(frequencies: &[u16; SYMBOLS]) -> Box<Decoding> {
    let mut next = *frequencies;
    let step = |symbol: u8| {
        let left = u32::from(next[usize::from(symbol)]);
        next[usize::from(symbol)] += 1;
        let bits = STATE_BITS - left.ilog2();
        ((left << bits) - STATES as u32) | bits << 16 | u32::from(symbol) << 24
    };
    Box::new(spread(frequencies).map(step))
}

fn encoding(frequencies: &[u16; SYMBOLS]) -> Box<Encoding> {
    let mut encoding = Encoding { symbols: [Emission::default(); SYMBOLS], states: [0; STATES] };
    let mut places = [0; SYMBOLS];
    let mut place = 0;
    for (symbol, frequency) in frequencies.iter().enumerate() {
        places[symbol] = place;
        if *frequency > 0 {
            encoding.symbols[symbol] = emission(u32::from(*frequency), place as u32);
        }
        place += usize::from(*frequency);
    }
    for (state, symbol) in spread(frequencies).iter().enumerate() {
        let place = &mut places[usize::from(*symbol)];
        encoding.states[*place] = (STATES + state) as u16;
        *place += 1;
    }
    Box::new(encoding)
}

/// The states of a symbol of frequency f are told from what is left of the one before after dropping bits, f to 2f - 1.
fn emission(frequency: u32, place: u32) -> Emission {
    let bits_max = if frequency == 1 { STATE_BITS } else { STATE_BITS - (frequency - 1).ilog2() };
    let bits = (bits_max << 16).wrapping_sub(frequency << bits_max);
    Emission { bits, offset: place.wrapping_sub(frequency), place }
}
