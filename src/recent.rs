//! What was used last, within so many entries and so many bytes: the one way in which answers, plans and texts are kept.
//!
//! ```
//! use dozor::recent::Recent;
//!
//! let mut kept = Recent::new(2, 100);
//! kept.insert("a", 'A', 40);
//! kept.insert("b", 'B', 40);
//! assert_eq!(kept.get(&"a"), Some(&mut 'A'));
//! // Room for a third: "b" was used longest ago.
//! assert_eq!(kept.insert("c", 'C', 40), ['B']);
//! assert_eq!(kept.get(&"b"), None);
//! ```
//!
//! Always true: what is kept counts at most the entries and the bytes allowed.

use std::hash::Hash;

use hashbrown::HashMap;

/// Values by key, those that were used last.
#[derive(Debug)]
pub struct Recent<K, V> {
    count_max: usize,
    bytes_max: usize,
    entries: HashMap<K, Entry<V>>,
    bytes: usize,
    /// Counts uses.
    uses: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    used_at: u64,
}

impl<K: Hash + Eq + Clone, V> Recent<K, V> {
    /// Keeps at most `count_max` entries, which count at most `bytes_max` bytes.
    pub fn new(count_max: usize, bytes_max: usize) -> Recent<K, V> {
        Recent { count_max, bytes_max, entries: HashMap::new(), bytes: 0, uses: 0 }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Bytes that they count.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The value of a key, which is thereby used.
    pub fn get<Q: Hash + hashbrown::Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<&mut V> {
        let entry = self.entries.get_mut(key)?;
        self.uses += 1;
        entry.used_at = self.uses;
        Some(&mut entry.value)
    }

    /// Keeps a value that counts `bytes` bytes. Gives what had to go for it, the key's former value first; the value itself
    /// if it alone is too large. What goes can be dropped when a lock around this is free again.
    pub fn insert(&mut self, key: K, value: V, bytes: usize) -> Vec<V> {
        let mut gone = Vec::new();
        self.uses += 1;
        self.bytes += bytes;
        if let Some(before) = self.entries.insert(key, Entry { value, bytes, used_at: self.uses }) {
            self.bytes -= before.bytes;
            gone.push(before.value);
        }
        while self.bytes > self.bytes_max || self.entries.len() > self.count_max {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used_at);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { break };
            let entry = self.entries.remove(&key).expect("it was found just now");
            self.bytes -= entry.bytes;
            gone.push(entry.value);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::recent::Recent;

    proptest! {
        /// Beside a list in the order of use, its last at the end.
        #[test]
        fn what_is_kept_is_what_was_used_last(steps in prop::collection::vec((any::<bool>(), 0_u8..8, 0_usize..60), 0..60)) {
            let (count_max, bytes_max) = (4, 100);
            let mut recent = Recent::new(count_max, bytes_max);
            let mut list: Vec<(u8, usize)> = Vec::new();
            for (is_insert, key, bytes) in steps {
                let known = list.iter().position(|(one, _)| *one == key);
                if !is_insert {
                    let value = recent.get(&key).copied();
                    prop_assert_eq!(value, known.map(|at| list[at]));
                    if let Some(at) = known {
                        let used = list.remove(at);
                        list.push(used);
                    }
                    continue;
                }
                let mut gone: Vec<_> = known.map(|at| list.remove(at)).into_iter().collect();
                list.push((key, bytes));
                while list.len() > count_max || list.iter().map(|(_, bytes)| bytes).sum::<usize>() > bytes_max {
                    gone.push(list.remove(0));
                }
                prop_assert_eq!(recent.insert(key, (key, bytes), bytes), gone);
                prop_assert_eq!(recent.count(), list.len());
                prop_assert_eq!(recent.bytes(), list.iter().map(|(_, bytes)| bytes).sum::<usize>());
            }
        }
    }

    #[test]
    fn what_is_too_large_alone_is_not_kept() {
        let mut recent = Recent::new(4, 100);
        assert!(recent.insert("small", 1, 10).is_empty());
        assert_eq!(recent.insert("huge", 2, 101), [1, 2]);
        assert_eq!((recent.count(), recent.bytes()), (0, 0));
    }
}
