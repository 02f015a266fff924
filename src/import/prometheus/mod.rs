//! The data of a Prometheus. Most of it lies in blocks: two hours and more of all series, immutable, in a folder each.
//!
//! ```text
//! data/01M80QMH8VEP15N4J35Q411P22/meta.json       from when to when
//!                                 index           symbols, series with their labels and chunks        index.rs
//!                                 chunks/000001   samples, 120 a chunk as a rule                      chunk.rs, histograms.rs
//!                                 tombstones      what was deleted and is still there                 tombstones.rs
//! ```
//!
//! All blocks of a folder are read together, an hour of time after the other, and in each hour the series in order of their
//! labels. A server gets the samples nearly in the order in which they were made, and where blocks overlap, those of a
//! series together:
//!
//! ```text
//! 10:00  up{job="a"} (both blocks, merged)  up{job="b"}  …
//! 11:00  up{job="a"}                        up{job="b"}  …
//! ```
//!
//! Hours in which there is nothing are not visited, however long they last: reading an hour tells when the next one is that
//! has samples, even where a damaged chunk claims all of time.
//!
//! An hour is also the time by which a sample may be late at a server with the usual settings. So whatever was sent and
//! not acknowledged when an import broke off can be sent again, and is one sample.
//!
//! What is not in blocks yet lies in the log, which is read behind them:
//!
//! ```text
//! data/wal/checkpoint.00000003/00000000, data/wal/00000004, …, data/wbl/…      log.rs, of segments and records
//! ```
//!
//! The Prometheus must not run meanwhile: what it writes and removes would make another source of it.
//!
//! Always true:
//! 1. Every byte that is used is under a checksum that was looked at, tombstones included; `meta.json` alone has none, and
//!    nothing is taken from it but when a block ends, before which the log does not count.
//! 2. Where two blocks hold a moment of a series, the sample of the older block is the one that counts.
//!
//! Native histograms are told by float counts, whatever they were, since that is what a server of ours keeps.
//!
//! Deliberately absent: `chunks_head`, since the log keeps all of it until it is in a block; exemplars, help texts and types;
//! what only a Prometheus from 3.10 on writes, and only when told to: start times.

mod block;
mod bytes;
mod chunk;
mod folder;
mod histograms;
mod hours;
mod index;
mod log;
mod record;
mod segment;
mod tombstones;

pub(super) use folder::DataFolder;
#[cfg(test)]
pub(super) use {
    chunk::read_xor,
    histograms::read_histograms,
    record::Buckets,
    tombstones::{Tombstones, is_deleted, read as tombstones_of, settle},
};

/// Time that is read at once, in ms.
const HOUR_MS: i64 = 3_600_000;
/// Series of an hour, or records of a log, that are looked at before others have their turn, whatever they gave. In tests few.
const STEPS_MAX: usize = if cfg!(test) { 50 } else { 10_000 };
