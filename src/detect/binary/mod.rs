//! Values as few bytes: what a checkpoint's records hold.
//!
//! `(300_u32, Some(-1_i64), [1.5_f32])` is `ac 02 · 01 01 · 01 00 00 c0 3f`: 300 as a varint, a 1 for "there is one" and
//! -1 as a zigzag varint, and one number of four bytes behind its count.
//!
//! | value | bytes |
//! | --- | --- |
//! | unsigned integer | LEB128 varint |
//! | signed integer | zigzag, then the same |
//! | f32, f64 | 4 or 8 bytes, little-endian, every bit as it is |
//! | bool | 0 or 1 |
//! | text, bytes, sequence, map | how many, as a varint, then each |
//! | optional | 0, or 1 and the value |
//! | enum | which variant, as a varint, then its fields |
//! | struct, tuple | the fields in their order |
//!
//! Always true:
//! 1. What was written is read as it was, bit for bit.
//! 2. Reading never panics and never makes room for more than the bytes that there are could fill.
//!
//! Deliberately absent: names and types of fields. Who reads must know the layout; [`super::state`] numbers it.

mod read;
mod write;

use std::fmt;

pub(super) use read::{Lacking, read, read_before};
pub(super) use write::append;

/// Bytes that are not what they should be, or a value that has no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct BinaryError(String);

impl serde::ser::Error for BinaryError {
    fn custom<T: fmt::Display>(what: T) -> BinaryError {
        BinaryError(what.to_string())
    }
}

impl serde::de::Error for BinaryError {
    fn custom<T: fmt::Display>(what: T) -> BinaryError {
        BinaryError(what.to_string())
    }
}

#[cfg(test)]
mod tests;
