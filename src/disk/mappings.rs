//! Which addresses are mapped files: a table that a signal handler can read.
//!
//! ```text
//! slot   version   start     end       faults
//!   0       2      7f10 000  7f18 000     0      a block, live
//!   1       5      7f20 000  7f21 000     0      being changed: odd
//!   2       0      0         0            0      never used
//! ```
//!
//! A thread reads a mapped file at 7f10 4a0, where the file has ended meanwhile. Its handler finds slot 0 and counts a
//! fault there; whoever reads the file asks for the count afterwards, and does not trust what was read.
//!
//! Always true:
//! 1. No call takes a lock, allocates, or waits: a handler may interrupt its own thread anywhere, also in here.
//! 2. A slot's version is odd while it changes, and differs after each change. Who sees the same even version before and
//!    after reading start and end has read a pair that belonged together.
//! 3. Whoever reads in a mapping holds it, so its slot stays as it is: a lookup of an address that the caller reads finds
//!    that mapping's slot, whatever others do to theirs.
//!
//! Everything is `SeqCst`: nothing here is hot, and the proof in `tests/loom.rs` is simpler. It runs the same code on
//! the atomics of a model checker, which is why they are a parameter.

/// An atomic word, that of the machine or that of a model checker.
pub(super) trait Word: Send + Sync {
    fn load(&self) -> usize;
    fn store(&self, value: usize);
    fn add(&self, value: usize);
    /// Stores `new` if the word is `current`; says whether it was.
    fn replace(&self, current: usize, new: usize) -> bool;
}

/// One mapping, or a place for one.
pub(super) struct Slot<W> {
    /// Even: start and end belong together. Odd: somebody changes them.
    version: W,
    /// First address; 0 when the slot is free.
    start: W,
    /// First address behind it.
    end: W,
    faults: W,
}

impl<W> Slot<W> {
    pub(super) const fn new(version: W, start: W, end: W, faults: W) -> Slot<W> {
        Slot { version, start, end, faults }
    }
}

/// A fixed number of slots.
pub(super) struct Mappings<W, const SLOTS: usize>(pub(super) [Slot<W>; SLOTS]);

impl<W: Word, const SLOTS: usize> Mappings<W, SLOTS> {
    /// Enters a mapping of these addresses, of which the first is not 0. Returns its slot, or `None` if all are taken.
    pub(super) fn register(&self, start: usize, end: usize) -> Option<usize> {
        assert!(0 < start && start < end, "a mapping of no addresses: {start:x} to {end:x}");
        for (index, slot) in self.0.iter().enumerate() {
            let version = slot.version.load();
            if version.is_multiple_of(2)
                && slot.start.load() == 0
                && slot.version.replace(version, version.wrapping_add(1))
            {
                slot.faults.store(0);
                slot.end.store(end);
                slot.start.store(start);
                slot.version.store(version.wrapping_add(2));
                return Some(index);
            }
        }
        None
    }

    /// Frees the slot. The caller's mapping is not read any more, and unmapped only afterwards: the system may give its
    /// addresses to somebody else at once.
    pub(super) fn unregister(&self, index: usize) {
        let slot = &self.0[index];
        let version = slot.version.load();
        assert!(version.is_multiple_of(2) && slot.start.load() != 0, "slot {index} is not registered");
        slot.version.store(version.wrapping_add(1));
        slot.start.store(0);
        slot.end.store(0);
        slot.version.store(version.wrapping_add(2));
    }

    /// The slot of the mapping that has this address, which the caller is reading.
    pub(super) fn find(&self, address: usize) -> Option<usize> {
        (0..SLOTS).find(|&index| self.has(index, address))
    }

    fn has(&self, index: usize, address: usize) -> bool {
        let slot = &self.0[index];
        let version = slot.version.load();
        let (start, end) = (slot.start.load(), slot.end.load());
        // A slot that changes meanwhile is not the caller's.
        start != 0 && start <= address && address < end && version.is_multiple_of(2) && slot.version.load() == version
    }

    /// Counts a fault in a mapping that the caller is reading.
    pub(super) fn fault(&self, index: usize) {
        self.0[index].faults.add(1);
    }

    /// Faults of a mapping that the caller holds.
    pub(super) fn faults(&self, index: usize) -> usize {
        self.0[index].faults.load()
    }
}
