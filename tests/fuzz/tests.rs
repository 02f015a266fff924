//! Every target of the fuzzers, on every run: over its seeds, over what was found to be read wrongly once, and over both
//! changed by chance, the same each time. For more chance than a second has, see `src/main.rs`.

mod seeds;
mod targets;
mod wire;

use seeds::seeds;
use targets::TARGETS;

/// Inputs of each target made of each seed.
const INPUTS: u64 = 200;

/// What was read wrongly once, by its target.
const FOUND: [(&str, &[u8]); 1] = [
    // One measurement stood for infinitely many, and nothing of it was no number.
    ("statsd", b"shop:0|ms|@1e-320\nshop:0|c|@1e-320\nshop:1|c"),
];

/// Numbers without a pattern, the same at each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) as usize % bound.max(1)
    }
}

/// Changes a seed in one to four places, and sometimes its length.
fn changed(seed: &[u8], others: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len());
        let length = chance.below(16).min(bytes.len() - at);
        match chance.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << chance.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x0a, b'"', b'\\', b'}', 0x7f, 0x80, 0xff][chance.below(9)],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..at + length)),
            4 => {
                let copy = bytes[at..at + length].to_vec();
                let to = chance.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            _ => {
                let other = &others[chance.below(others.len())];
                let from = chance.below(other.len());
                let piece = &other[from..other.len().min(from + length)];
                bytes.splice(at..bytes.len().min(at + piece.len()), piece.iter().copied());
            }
        }
    }
    bytes
}

/// One test: all targets read through one way in.
#[test]
fn no_bytes_make_a_reader_panic_or_read_what_others_do_not() {
    for (name, target) in TARGETS {
        let found = FOUND.iter().filter(|(of, _)| *of == name).map(|(_, input)| input.to_vec());
        let seeds: Vec<Vec<u8>> = found.chain(seeds(name)).collect();
        for (number, seed) in seeds.iter().enumerate() {
            target(seed);
            for input in 0..INPUTS {
                let mut chance = Chance((input + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number as u64);
                target(&changed(seed, &seeds, &mut chance));
            }
        }
    }
}
