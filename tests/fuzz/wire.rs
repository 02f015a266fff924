//! Bytes as a program that writes protobuf: lengths are right whatever the bytes are, so that a changed byte changes what
//! a message says and not only whether it is one.
//!
//! ```text
//! 00           field 1, a message of all that follows up to the end of it
//!   50 01      field 1, the word 1, which is "__name__"
//!   51 0a      field 2, the word 10, which is "up"
//! 10           its end
//! ```
//!
//! The high half of an instruction says what is written, the low half is the field's number less one.

use std::iter;

/// Texts that mean something to some reader.
const WORDS: [&[u8]; 20] = [
    b"",
    b"__name__",
    b"a",
    b"b",
    b"c",
    b"job",
    b"instance",
    b"le",
    b"quantile",
    b"m",
    b"up",
    b"1",
    b"+Inf",
    "\u{e9}".as_bytes(),
    b"\xff",
    b"service.name",
    b"os.type",
    b"_",
    b"m_total",
    b"By",
];

const MESSAGE: u8 = 0x00;
const END: u8 = 0x10;
const VARINT: u8 = 0x20;
const FIXED64: u8 = 0x30;
const TEXT: u8 = 0x40;
const WORD: u8 = 0x50;
const RAW: u8 = 0x60;
const FIXED32: u8 = 0x70;
const LONG_TEXT: u8 = 0x80;
const SAMPLE: u8 = 0x90;
const SHORT_VARINT: u8 = 0xa0;
/// A tag and a length in more bytes than they need.
const PADDED: u8 = 0xb0;

/// Messages within each other.
const DEPTH_MAX: usize = 60;

/// What the program writes.
pub(crate) fn written(program: &[u8]) -> Vec<u8> {
    let mut open: Vec<(u8, bool, Vec<u8>)> = Vec::new();
    let (mut out, mut rest) = (Vec::new(), program);
    while let Some(instruction) = take(&mut rest, 1).first() {
        let number = (instruction & 15) + 1;
        match instruction & 0xf0 {
            kind @ (MESSAGE | PADDED) if open.len() < DEPTH_MAX => {
                open.push((number, kind == PADDED, std::mem::take(&mut out)));
            }
            VARINT => varint(&mut out, number, u64_of(take(&mut rest, 8))),
            SHORT_VARINT => varint(&mut out, number, u64_of(take(&mut rest, 1))),
            FIXED64 => fixed(&mut out, number, 1, &u64_of(take(&mut rest, 8)).to_le_bytes()),
            FIXED32 => fixed(&mut out, number, 5, &u64_of(take(&mut rest, 4)).to_le_bytes()[..4]),
            TEXT => {
                let length = u64_of(take(&mut rest, 1)) as usize;
                bytes(&mut out, number, take(&mut rest, length), false);
            }
            LONG_TEXT => {
                let length = u64_of(take(&mut rest, 2)) as usize;
                bytes(&mut out, number, take(&mut rest, length), false);
            }
            WORD => {
                let index = u64_of(take(&mut rest, 1)) as usize;
                bytes(&mut out, number, WORDS[index % WORDS.len()], false);
            }
            RAW => out.extend_from_slice(take(&mut rest, usize::from(number))),
            SAMPLE => {
                let mut sample = Vec::new();
                fixed(&mut sample, 1, 1, &u64_of(take(&mut rest, 2)).to_le_bytes());
                varint(&mut sample, 2, 1_700_000_000_000 + u64_of(take(&mut rest, 1)));
                bytes(&mut out, number, &sample, false);
            }
            _ => end(&mut open, &mut out),
        }
    }
    while !open.is_empty() {
        end(&mut open, &mut out);
    }
    out
}

fn end(open: &mut Vec<(u8, bool, Vec<u8>)>, out: &mut Vec<u8>) {
    if let Some((number, is_padded, before)) = open.pop() {
        let content = std::mem::replace(out, before);
        bytes(out, number, &content, is_padded);
    }
}

/// A program that writes this message, if its fields have numbers that a program can write.
pub(crate) fn program_of(message: &[u8]) -> Option<Vec<u8>> {
    let (mut program, mut rest) = (Vec::new(), message);
    while !rest.is_empty() {
        let tag = read_varint(&mut rest)?;
        let number = u8::try_from(tag >> 3).ok().filter(|number| (1..=16).contains(number))? - 1;
        match tag & 7 {
            0 => {
                program.push(VARINT | number);
                program.extend_from_slice(&read_varint(&mut rest)?.to_le_bytes());
            }
            1 => {
                program.push(FIXED64 | number);
                program.extend_from_slice(rest.split_off(..8)?);
            }
            2 => {
                let length = usize::try_from(read_varint(&mut rest)?).ok()?;
                let content = rest.split_off(..length)?;
                // What reads as a message is written as one; should it be a text, the same bytes come out.
                match program_of(content).filter(|_| !content.is_empty()) {
                    Some(inner) => {
                        program.push(MESSAGE | number);
                        program.extend(inner.into_iter().chain([END]));
                    }
                    None => {
                        program.push(LONG_TEXT | number);
                        program.extend_from_slice(&u16::try_from(length).ok()?.to_le_bytes());
                        program.extend_from_slice(content);
                    }
                }
            }
            _ => return None,
        }
    }
    Some(program)
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let length = bytes.iter().position(|byte| *byte < 0x80)? + 1;
    let told = bytes.split_off(..length.min(10))?;
    Some(told.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)))
}

/// As many bytes as there are, at most so many.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, behind) = rest.split_at(count.min(rest.len()));
    *rest = behind;
    taken
}

fn u64_of(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn append_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn tag(out: &mut Vec<u8>, number: u8, wire_type: u64) {
    append_varint(out, u64::from(number) << 3 | wire_type);
}

fn varint(out: &mut Vec<u8>, number: u8, value: u64) {
    tag(out, number, 0);
    append_varint(out, value);
}

fn fixed(out: &mut Vec<u8>, number: u8, wire_type: u64, value: &[u8]) {
    tag(out, number, wire_type);
    out.extend_from_slice(value);
}

fn bytes(out: &mut Vec<u8>, number: u8, content: &[u8], is_padded: bool) {
    tag(out, number, 2);
    append_varint(out, content.len() as u64);
    if is_padded && let Some(last) = out.last_mut() {
        *last |= 0x80;
        out.extend(iter::repeat_n(0x80, 1).chain([0]));
    }
    out.extend_from_slice(content);
}
