//! Every target of the fuzzers, on every run: over its seeds, over what was found to be read wrongly once, and over both
//! changed by chance, the same each time. For more chance than a second has, see `src/main.rs`.

#[path = "../../storage-format/fuzz/chance.rs"]
mod chance;
mod seeds;
mod targets;
mod wire;

use chance::{Chance, changed};
use seeds::seeds;
use targets::TARGETS;

/// Inputs of each target made of each seed.
const INPUTS: u64 = 200;

/// What was read wrongly once, by its target.
const FOUND: [(&str, &[u8]); 1] = [
    // One measurement stood for infinitely many, and nothing of it was no number.
    ("statsd", b"shop:0|ms|@1e-320\nshop:0|c|@1e-320\nshop:1|c"),
];

/// One test: all targets read through one way in.
#[test]
fn no_bytes_make_a_reader_panic_or_read_what_others_do_not() {
    for (name, target) in TARGETS {
        let found = FOUND.iter().filter(|(of, _)| *of == name).map(|(_, input)| input.to_vec());
        let seeds: Vec<Vec<u8>> = found.chain(seeds(name)).collect();
        for (number, seed) in seeds.iter().enumerate() {
            target(seed);
            for input in 0..INPUTS {
                let mut chance = Chance::of((input + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number as u64);
                target(&changed(seed, &seeds, &mut chance));
            }
        }
    }
}
