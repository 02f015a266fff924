//! Dozor's bytes on disk: the specification, and the pure codecs that follow it.
//!
//! Each module's text *is* the chapter of the specification (`storage-format/spec/*.md`); the code below it does what
//! the chapter says and nothing more. The crate knows bytes, integers and floats: no files, no clock, no engine.
//!
//! | file of a data folder | chapters |
//! | --- | --- |
//! | log segment | [`frame`] (records), [`log`] (what is in them) |
//! | block | [`block`] (regions), [`group`], [`mod@column`] (samples), [`index`] (series by label) |
//! | native histograms | [`histogram`]: streams in memory, pages of columns |
//! | block of version 1 | [`block_v1`], [`chunk`], [`index_v1`] |
//! | tombstones of a block | [`tombstones`] |
//! | outbox | [`frame`], [`outbox`] |
//! | manifest of a snapshot | [`manifest`] |
//! | detector state | [`frame`], [`detector`] |
//! | metadata | [`frame`], [`metadata`] |
//! | pushed groups | [`frame`], [`push_groups`] |
//! | alerts of rules | [`frame`], [`mod@rules`] |
//! | journal of incidents | [`frame`], [`incidents`] |
//! | silences | [`frame`], [`silences`] |
//! | announced spans of the calendar | [`frame`], [`calendar`] |
//!
//! Always true:
//! 1. Integers are little-endian and of a stated width; a float is its 64 bits and comes back as exactly these.
//! 2. Every byte that a reader trusts lies under a CRC-32C, and a version stands before anything that may change.
//! 3. No bytes, whatever they are, make a decoder panic, loop, or reserve more memory than a small multiple of their
//!    length and of the largest column, of 4,096 samples: it answers [`Corruption`]. `tests/fuzz.rs` tries.
//!    Texts may be longer than what they are folded into, by `index::NAMES_BYTES_MAX` at most.
#![forbid(unsafe_code)]

pub mod block;
pub mod block_v1;
mod bytes;
pub mod calendar;
pub mod chunk;
pub mod column;
mod decimal;
pub mod detector;
mod entropy;
pub mod frame;
pub mod group;
pub mod histogram;
pub mod incidents;
pub mod index;
pub mod index_v1;
pub mod log;
pub mod manifest;
pub mod metadata;
pub mod outbox;
pub mod push_groups;
pub mod rules;
pub mod silences;
#[cfg(test)]
mod testing;
pub mod tombstones;
mod version;

pub use version::{FileType, version_of};

/// Bytes that do not mean what they should. The caller knows the file and adds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {what}")]
pub struct Corruption {
    /// Position within the bytes that were given to the decoder.
    pub offset: u64,
    /// What is wrong there.
    pub what: &'static str,
}

impl Corruption {
    pub(crate) fn at(offset: usize, what: &'static str) -> Corruption {
        Corruption { offset: offset as u64, what }
    }

    /// The same damage, told from the start of the bytes that hold the decoded ones at `base`.
    pub fn moved(self, base: u64) -> Corruption {
        Corruption { offset: self.offset.saturating_add(base), ..self }
    }
}
