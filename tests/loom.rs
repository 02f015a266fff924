//! The table of mappings under loom, which runs every order in which two threads can meet in it.
//!
//! In a process of its own: loom's threads bring a handler of SIGBUS with them.

#[path = "../src/disk/mappings.rs"]
mod mappings;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use mappings::{Mappings, Slot, Word};

impl Word for AtomicUsize {
    fn load(&self) -> usize {
        self.load(Ordering::SeqCst)
    }

    fn store(&self, value: usize) {
        self.store(value, Ordering::SeqCst);
    }

    fn add(&self, value: usize) {
        self.fetch_add(value, Ordering::SeqCst);
    }

    fn replace(&self, current: usize, new: usize) -> bool {
        self.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

fn table<const SLOTS: usize>() -> Arc<Mappings<AtomicUsize, SLOTS>> {
    let word = || AtomicUsize::new(0);
    Arc::new(Mappings(std::array::from_fn(|_| Slot::new(word(), word(), word(), word()))))
}

#[test]
fn a_reader_finds_its_mapping_while_the_slot_before_it_changes_hands() {
    loom::model(|| {
        let table = table::<2>();
        assert_eq!(table.register(1, 2), Some(0));
        assert_eq!(table.register(10, 20), Some(1));
        let others = table.clone();
        let other = thread::spawn(move || {
            others.unregister(0);
            // The start of the old one with the end of this one would have the reader's address between them.
            others.register(30, 40).unwrap();
        });
        assert_eq!(table.find(15), Some(1));
        table.fault(1);
        assert_eq!(table.faults(1), 1);
        other.join().unwrap();
        assert_eq!(table.faults(0), 0);
        assert_eq!(table.find(35), Some(0));
        assert_eq!(table.find(1), None);
    });
}

#[test]
fn two_that_register_at_once_get_a_slot_each() {
    loom::model(|| {
        let table = table::<3>();
        let others = table.clone();
        let other = thread::spawn(move || {
            let slot = others.register(10, 20).unwrap();
            assert_eq!(others.find(10), Some(slot));
            slot
        });
        let own = table.register(30, 40).unwrap();
        assert_eq!(table.find(39), Some(own));
        assert_ne!(own, other.join().unwrap());
    });
}

#[test]
fn a_slot_that_is_used_again_has_no_faults() {
    loom::model(|| {
        let table = table::<1>();
        assert_eq!(table.register(10, 20), Some(0));
        table.fault(0);
        assert_eq!(table.register(30, 40), None, "the only slot is taken");
        table.unregister(0);
        let others = table.clone();
        let other = thread::spawn(move || others.register(10, 20).is_some_and(|slot| others.faults(slot) == 0));
        let is_sound = table.register(30, 40).map(|slot| table.faults(slot) == 0);
        assert!(other.join().unwrap() || is_sound == Some(true), "one of them got it, without the old fault");
    });
}
