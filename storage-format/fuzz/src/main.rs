//! libFuzzer over one of the targets, which `TARGET` names; what `tests/fuzz.rs` begins with is its corpus.
//!
//! ```text
//! FUZZ_CORPUS=$PWD/storage-format/fuzz/corpus cargo test -p storage-format --test fuzz
//! cd storage-format/fuzz
//! export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
//!   -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
//!   -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
//! TARGET=group cargo +nightly run --release --target x86_64-unknown-linux-gnu -- \
//!   corpus/group -max_total_time=60 -max_len=65536 -rss_limit_mb=1024 -timeout=10
//! ```
//!
//! It needs nightly for the passes, which count the edges that an input takes, and a C++ compiler for libFuzzer;
//! `--target` keeps the passes out of build scripts. The profile keeps the checks of overflow. An input that fails is
//! written to the folder it runs in; cut down, it becomes a case of `tests/fuzz.rs`.
#![no_main]

#[path = "../seal.rs"]
mod seal;
#[path = "../targets.rs"]
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use targets::TARGETS;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.0).collect();
    let wanted = std::env::var("TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|target| target.0 == wanted);
    found.unwrap_or_else(|| panic!("TARGET is one of {names:?}")).1
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
