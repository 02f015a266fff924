//! Long arrays as sequences: serde derives those of 32 elements at most.

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
