#![doc = include_str!("../../spec/column.md")]

mod decode;
mod encode;
mod exceptions;
mod fit;
mod numbers;
mod pack;
mod plan;
mod predict;
mod scale;
mod sparse;
#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use encode::Encoder;
pub use numbers::{Numbers, Scale};

/// Samples in one column at most.
pub const SAMPLES_MAX: usize = 4096;

/// How much work a column may cost its writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Bits as they are, in packed rows: for a group that does not read back as it was written with more effort.
    Plain,
    /// A block cut from the head: some 10 ns a sample to write and 1.2 ns to read.
    Fresh,
    /// A compacted block: smallest, for some 25 ns a sample to write and 2.6 ns to read.
    Compact,
}

/// What a series is to its column.
#[derive(Clone, Copy)]
enum Role<'a> {
    /// The whole numbers, which may refer to those of another column and have remainders.
    Integers { reference: Option<&'a [i64]> },
    /// Corrections or remainders.
    Side,
}

/// Fields of the scale byte.
mod scale_byte {
    pub(super) const EXPONENT: u8 = 0x0f;
    pub(super) const KIND: u8 = 0x30;
    pub(super) const DECIMAL: u8 = 0x00;
    pub(super) const NEAR_DECIMAL: u8 = 0x10;
    pub(super) const PRODUCT: u8 = 0x20;
    pub(super) const OTHER: u8 = 0x30;
    pub(super) const EXCEPTIONS: u8 = 0x40;
    pub(super) const CONSTANT: u8 = 0x80;
    /// What kind `OTHER` has in place of an exponent.
    pub(super) const BINARY: u8 = 0;
    pub(super) const RAW: u8 = 1;
}

/// Fields of the form byte.
mod form_byte {
    pub(super) const ORDER: u8 = 0x03;
    pub(super) const NUMBER: u8 = 0;
    pub(super) const DIFFERENCE: u8 = 1;
    pub(super) const SECOND: u8 = 2;
    pub(super) const DIVIDED: u8 = 0x04;
    pub(super) const REFERRING: u8 = 0x08;
    pub(super) const CODE: u8 = 0x30;
    pub(super) const CONSTANT: u8 = 0x00;
    pub(super) const SPARSE: u8 = 0x10;
    pub(super) const PACKED: u8 = 0x20;
    pub(super) const ENTROPY: u8 = 0x30;
    pub(super) const REMAINDERS: u8 = 0x40;
    pub(super) const AVERAGED: u8 = 0x80;
}
