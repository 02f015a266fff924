//! The bytes of a file, or of what comes by stdin, inflated where they are gzip or zstd: their beginning says it, whatever
//! the name.
//!
//! ```text
//! history.txt.gz   1f 8b … ─► gzip decoder ─► # TYPE up gauge …      positions count these bytes
//! ```
//!
//! A file is mapped, and inflated piece by piece, so its size does not matter. To go on within a compressed one, it is
//! inflated again up to there.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::ImportError;
use crate::disk::{Disk, DiskError, FileBytes};

/// How compressed files begin.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The most memory that zstd may want for looking back, as a power of two: 128 MiB, as its own program has it.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Bytes from a file's ends by which it is told from another.
const SIGNED_BYTES: usize = 64 << 10;
/// Bytes that are thrown away at once.
const SKIPPED_BYTES: usize = 256 << 10;

/// Bytes as they lie there.
enum Raw {
    File {
        bytes: FileBytes,
        at: usize,
    },
    /// What comes by itself: its first bytes, which were looked at, then the rest.
    Stream {
        input: Box<dyn Read>,
        done: u64,
    },
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Raw::File { bytes, at } => {
                let count = (&bytes[*at..]).read(buffer)?;
                *at += count;
                if bytes.is_damaged() {
                    return Err(std::io::Error::other("it cannot be read here, or somebody shortened it meanwhile"));
                }
                Ok(count)
            }
            Raw::Stream { input, done } => {
                let count = input.read(buffer)?;
                *done += count as u64;
                Ok(count)
            }
        }
    }
}

enum Reader {
    Plain(Raw),
    Gzip(Box<MultiGzDecoder<BufReader<Raw>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<Raw>>>),
}

/// A file or a stream, read from front to back.
pub(super) struct Packed {
    path: PathBuf,
    reader: Reader,
}

impl Packed {
    pub(super) fn open(path: &Path, disk: &dyn Disk) -> Result<Packed, ImportError> {
        let bytes = disk.read(path)?;
        let head = bytes[..bytes.len().min(ZSTD_MAGIC.len())].to_vec();
        Packed::new(path, &head, Raw::File { bytes, at: 0 })
    }

    /// What comes by itself and once.
    pub(super) fn of_stream(name: &Path, mut input: Box<dyn Read>) -> Result<Packed, ImportError> {
        let mut head = Vec::new();
        let read = input.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut head);
        read.map_err(|source| DiskError::new("read", name, source))?;
        let input = Box::new(std::io::Cursor::new(head.clone()).chain(input));
        Packed::new(name, &head, Raw::Stream { input, done: 0 })
    }

    fn new(path: &Path, head: &[u8], raw: Raw) -> Result<Packed, ImportError> {
        let reader = if head.starts_with(&GZIP_MAGIC) {
            Reader::Gzip(Box::new(MultiGzDecoder::new(BufReader::new(raw))))
        } else if head.starts_with(&ZSTD_MAGIC) {
            let unusable = |error| ImportError::Unusable(format!("{}: no zstd decoder: {error}", path.display()));
            let mut decoder = zstd::stream::read::Decoder::with_buffer(BufReader::new(raw)).map_err(unusable)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(unusable)?;
            Reader::Zstd(Box::new(decoder))
        } else {
            Reader::Plain(raw)
        };
        Ok(Packed { path: path.to_owned(), reader })
    }

    fn raw(&self) -> &Raw {
        match &self.reader {
            Reader::Plain(raw) => raw,
            Reader::Gzip(decoder) => decoder.get_ref().get_ref(),
            Reader::Zstd(decoder) => decoder.get_ref().get_ref(),
        }
    }

    /// Appends at most so many bytes. Says whether there may be more.
    pub(super) fn read(&mut self, count: usize, bytes: &mut Vec<u8>) -> Result<bool, ImportError> {
        let (reader, what): (&mut dyn Read, _) = match &mut self.reader {
            Reader::Plain(raw) => (raw, "the file is damaged"),
            Reader::Gzip(decoder) => (decoder, "the gzip file is damaged or cut off"),
            Reader::Zstd(decoder) => (decoder, "the zstd file is damaged or cut off"),
        };
        match reader.take(count as u64).read_to_end(bytes) {
            Ok(read) => Ok(read == count),
            Err(error) => {
                let what = format!("{what}: {error}");
                Err(ImportError::Damaged { file: self.path.clone(), offset: self.progress().0, what })
            }
        }
    }

    /// Passes over so many bytes. Returns the last of them; `None` if there are not so many.
    pub(super) fn skip(&mut self, count: u64) -> Result<Option<u8>, ImportError> {
        if let Reader::Plain(Raw::File { bytes, at }) = &mut self.reader {
            let Some(to) = usize::try_from(count).ok().and_then(|count| at.checked_add(count)) else { return Ok(None) };
            let last = to.checked_sub(1).and_then(|last| bytes.get(last)).copied();
            *at = if last.is_some() { to } else { *at };
            return Ok(last);
        }
        let (mut left, mut last, mut bytes) = (count, None, Vec::new());
        while left > 0 {
            bytes.clear();
            let wanted = left.min(SKIPPED_BYTES as u64) as usize;
            if !self.read(wanted, &mut bytes)? {
                return Ok(None);
            }
            left -= wanted as u64;
            last = bytes.last().copied();
        }
        Ok(last)
    }

    /// Bytes that are read, of how many, as they lie there.
    pub(super) fn progress(&self) -> (u64, u64) {
        match self.raw() {
            Raw::File { bytes, at } => (*at as u64, bytes.len() as u64),
            Raw::Stream { done, .. } => (*done, *done),
        }
    }

    /// Length and a checksum of both ends.
    pub(super) fn identity(&self) -> String {
        let path = self.path.display();
        let Raw::File { bytes, .. } = self.raw() else { return path.to_string() };
        let length = bytes.len();
        let head = &bytes[..length.min(SIGNED_BYTES)];
        let tail = &bytes[length.saturating_sub(SIGNED_BYTES)..];
        let sum = xxhash_rust::xxh3::xxh3_64(head) ^ xxhash_rust::xxh3::xxh3_64(tail).rotate_left(1);
        format!("{path} ({length} bytes, {sum:016x})")
    }
}
