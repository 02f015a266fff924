//! Long arrays as sequences, for serde derives those of 32 elements at most; and those that take no room until something
//! is in them.
//!
//! The hours of a week are learned from the second week on. Until then their 168 zeros are no array, only written as one.
//! What few signals ever have, and not for long, is not even written while it is nothing.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

pub(super) fn serialize<S: Serializer, T: Serialize, const COUNT: usize>(
    array: &[T; COUNT],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(array)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>, const COUNT: usize>(
    deserializer: D,
) -> Result<[T; COUNT], D::Error> {
    let wrong_length = |found: Vec<T>| D::Error::custom(format!("{} numbers where {COUNT} belong", found.len()));
    Vec::<T>::deserialize(deserializer)?.try_into().map_err(wrong_length)
}

/// An array that is all zeros at first, and takes no room for as long.
#[derive(Clone, Debug, Default)]
pub(super) struct Late<T, const COUNT: usize>(Option<Box<[T; COUNT]>>);

impl<T: Copy + Default, const COUNT: usize> Late<T, COUNT> {
    pub(super) fn new() -> Late<T, COUNT> {
        Late(None)
    }

    pub(super) fn is_begun(&self) -> bool {
        self.0.is_some()
    }

    /// All of them; none while it has not begun.
    pub(super) fn begun(&self) -> &[T] {
        self.0.as_ref().map_or(&[], |all| &all[..])
    }

    pub(super) fn at(&self, index: usize) -> T {
        self.0.as_ref().map_or_else(T::default, |all| all[index])
    }

    /// To be written to: it begins now at the latest.
    pub(super) fn begin(&mut self) -> &mut [T; COUNT] {
        self.0.get_or_insert_with(|| Box::new([T::default(); COUNT]))
    }
}

impl<T: Copy + Default + Serialize, const COUNT: usize> Serialize for Late<T, COUNT> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(all) => serialize(all, serializer),
            None => serialize(&[T::default(); COUNT], serializer),
        }
    }
}

impl<'de, T: Copy + Default + PartialEq + Deserialize<'de>, const COUNT: usize> Deserialize<'de> for Late<T, COUNT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Late<T, COUNT>, D::Error> {
        let all: [T; COUNT] = deserialize(deserializer)?;
        Ok(Late(all.iter().any(|one| *one != T::default()).then(|| Box::new(all))))
    }
}

/// As [`Late`], for what is nothing again after a while: then it takes no room either, and is written as nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Rare<T, const COUNT: usize>(Late<T, COUNT>);

impl<T: Copy + Default + PartialEq, const COUNT: usize> Rare<T, COUNT> {
    pub(super) fn is_nothing(&self) -> bool {
        !self.0.is_begun()
    }

    pub(super) fn at(&self, index: usize) -> T {
        self.0.at(index)
    }

    pub(super) fn set(&mut self, index: usize, value: T) {
        if value != T::default() {
            self.0.begin()[index] = value;
        } else if self.0.is_begun() {
            let all = self.0.begin();
            all[index] = value;
            if all.iter().all(|one| *one == T::default()) {
                self.0 = Late::new();
            }
        }
    }
}

impl<T: Copy + Default + Serialize, const COUNT: usize> Serialize for Rare<T, COUNT> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.begun())
    }
}

impl<'de, T: Copy + Default + Deserialize<'de>, const COUNT: usize> Deserialize<'de> for Rare<T, COUNT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rare<T, COUNT>, D::Error> {
        let all = Vec::<T>::deserialize(deserializer)?;
        if all.is_empty() {
            return Ok(Rare(Late::new()));
        }
        let count = all.len();
        let all: Box<[T; COUNT]> =
            all.try_into().map_err(|_| D::Error::custom(format!("{count} numbers where {COUNT} or none belong")))?;
        Ok(Rare(Late(Some(all))))
    }
}
