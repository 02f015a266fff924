//! A walk over all series alive, for the opening of a log segment: some definitions at a time, however many there are.
//!
//! ```text
//! shard 0 │ 1,000 slots │ 1,000 │ 700 │   shard 1 │ 1,000 │ …
//!         └──── 256 KiB: a piece ─────┘
//! ```
//!
//! The shard's lock is held for a thousand series at most, and between two pieces not at all. So the walk does not see
//! one moment. A series that comes while it is under way may be left out, and one that goes may be in it.
//!
//! Always true: a series that was alive when the walk began, and still is when it ends, is in it.

use std::sync::Arc;

use super::encode::Definitions;
use super::{Head, next_slice};

/// Where such a walk is.
pub(in crate::storage) struct DefinitionWalk {
    head: Arc<Head>,
    shard: usize,
    next_slot: u32,
}

impl DefinitionWalk {
    pub(in crate::storage) fn new(head: Arc<Head>) -> DefinitionWalk {
        DefinitionWalk { head, shard: 0, next_slot: 0 }
    }

    /// Appends definitions, in records whose chains are still open, until the records have `bytes_max` bytes, or a
    /// definition more. Returns whether there may be others.
    pub(in crate::storage) fn append(&mut self, records: &mut Vec<u8>, bytes_max: usize) -> bool {
        while self.shard < self.head.shards.len() {
            if self.append_of_shard(records, bytes_max) {
                return true;
            }
            self.shard += 1;
            self.next_slot = 0;
        }
        false
    }

    fn append_of_shard(&mut self, records: &mut Vec<u8>, bytes_max: usize) -> bool {
        let mut definitions = Definitions::begin(records, self.shard as u8);
        let is_full = loop {
            if definitions.bytes() >= bytes_max {
                break true;
            }
            let shard = self.head.shards[self.shard].read();
            let mut end = self.next_slot;
            let Some(slots) = next_slice(&shard, &mut end) else { break false };
            self.next_slot = shard.define(slots, bytes_max, &mut definitions);
        };
        definitions.finish();
        is_full
    }
}
