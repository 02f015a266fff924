//! The queries that run, on disk: when a query has ended the process, the next start says which.
//!
//! ```text
//! queries.active   ┌ slot 0 ────────────────────────────────────┬ slot 1 ─┬ …   one for each query at a time
//!                  │ {"query":"up","timestamp_sec":1795333171}⏎ │ 0 0 0 … │     1 KiB each; a zero first: free
//!                  └────────────────────────────────────────────┴─────────┴ …
//! ```
//!
//! Written without waiting for the disk: what matters is a process that dies, not a machine. The file is made anew at each
//! start, when what stood in it has been told.
//!
//! Always true: a disk that refuses costs the note, never the query.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::json::JsonText;
use crate::disk::{Disk, DiskError, DiskFile};

/// The file's name in the data folder.
pub const ACTIVE_QUERIES_FILE: &str = "queries.active";
/// Bytes of a slot. A longer query is noted by its beginning.
const SLOT_BYTES: usize = 1024;
/// Most slots, whatever the settings say.
const SLOTS_MAX: usize = 4096;

/// Where running queries are noted. Shared by all of them.
pub struct QueryJournal {
    file: Box<dyn DiskFile>,
    free: Mutex<Vec<usize>>,
}

impl QueryJournal {
    /// Makes the file anew, with a place for `count` queries at a time. Also gives the notes of those that ran when the
    /// process before this one died.
    pub fn open(disk: &dyn Disk, path: &Path, count: usize) -> Result<(QueryJournal, Vec<String>), DiskError> {
        let unfinished = match disk.read(path) {
            Ok(bytes) => notes(&bytes),
            Err(error) if error.is_not_found() => Vec::new(),
            Err(error) => return Err(error),
        };
        let count = count.clamp(1, SLOTS_MAX);
        let file = disk.create(path, (count * SLOT_BYTES) as u64)?;
        Ok((QueryJournal { file, free: Mutex::new((0..count).rev().collect()) }, unfinished))
    }

    /// Notes that a query begins, at `now_ms`; its end is noted when the guard is dropped.
    pub(super) fn note(self: &Arc<QueryJournal>, query: &str, now_ms: i64) -> Option<Noted> {
        let slot = self.free.lock().pop()?;
        let noted = Noted { journal: self.clone(), slot };
        self.write(slot, &note(query, now_ms));
        Some(noted)
    }

    fn write(&self, slot: usize, bytes: &[u8]) {
        if let Err(error) = self.file.write_at((slot * SLOT_BYTES) as u64, bytes) {
            tracing::debug!(%error, "a running query is not noted");
        }
    }
}

/// A query that runs.
pub(super) struct Noted {
    journal: Arc<QueryJournal>,
    slot: usize,
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.journal.write(self.slot, &[0]);
        self.journal.free.lock().push(self.slot);
    }
}

/// The text of a note, with its line's end, no longer than a slot.
fn note(query: &str, now_ms: i64) -> Vec<u8> {
    let mut kept = SLOT_BYTES - 64;
    loop {
        let mut text = JsonText::new();
        text.raw(r#"{"query":"#);
        text.string(&query[..query.floor_char_boundary(kept)]);
        text.raw(&format!(r#","timestamp_sec":{}}}"#, now_ms.div_euclid(1000)));
        text.raw("\n");
        let bytes = text.into_bytes();
        if bytes.len() <= SLOT_BYTES {
            return bytes;
        }
        // Of much that needs escapes less fits.
        kept /= 2;
    }
}

/// What stands in the slots that are not free.
fn notes(bytes: &[u8]) -> Vec<String> {
    let used = bytes.chunks(SLOT_BYTES).take(SLOTS_MAX).filter(|slot| slot[0] != 0);
    let line = |slot: &[u8]| {
        let end = slot.iter().position(|byte| matches!(byte, 0 | b'\n')).unwrap_or(slot.len());
        String::from_utf8_lossy(&slot[..end]).into_owned()
    };
    used.map(line).collect()
}
