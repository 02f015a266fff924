//! libFuzzer over one of the targets, which `TARGET` names. Its seeds are written to `corpus`, where it begins.
//!
//! ```text
//! cd tests/fuzz
//! export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
//!   -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
//!   -Cllvm-args=-sanitizer-coverage-trace-compares"
//! TARGET=text cargo +nightly run --release --target x86_64-unknown-linux-gnu -- \
//!   corpus/text -dict=words.dict -max_total_time=300 -max_len=4096 -rss_limit_mb=2048 -timeout=10
//! ```
//!
//! It needs nightly for the passes, which count the edges that an input takes, and a C++ compiler for libFuzzer;
//! `--target` keeps the passes out of build scripts. The profile keeps the checks of overflow. An input that fails is
//! written to the folder it runs in; cut down, it becomes a case of `tests.rs`.
#![no_main]

#[path = "../seeds.rs"]
mod seeds;
#[path = "../targets/mod.rs"]
mod targets;
#[path = "../wire.rs"]
mod wire;

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use targets::{TARGETS, Target};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What a target may have reserved at a time besides the input and in proportion to it.
const BYTES_PER_BYTE_MAX: usize = 1024;
/// And besides that: patterns of queries are compiled.
const BYTES_BASE_MAX: usize = 64 << 20;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.0).collect();
    let wanted = std::env::var("TARGET").unwrap_or_default();
    *TARGETS.iter().find(|target| target.0 == wanted).unwrap_or_else(|| panic!("TARGET is one of {names:?}"))
});

fn write_seeds(name: &str) {
    let folder = PathBuf::from("corpus").join(name);
    std::fs::create_dir_all(&folder).expect("a folder for the corpus");
    for (number, seed) in seeds::seeds(name).iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).expect("the folder can be written to");
    }
}

fuzz_target!(init: write_seeds(TARGET.0), |bytes: &[u8]| {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    (TARGET.1)(bytes);
    let reserved = MEMORY.peak_usage().saturating_sub(before);
    let most = BYTES_BASE_MAX + BYTES_PER_BYTE_MAX * bytes.len();
    assert!(reserved <= most, "{reserved} bytes reserved for {} bytes", bytes.len());
});
