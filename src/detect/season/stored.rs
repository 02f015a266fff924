//! Numbers as state keeps them: computed in f64, kept in f32, long arrays written as sequences.

/// `stored + amount`.
pub(super) fn add(stored: &mut f32, amount: f64) {
    *stored = (f64::from(*stored) + amount) as f32;
}

/// Goes this share of the way to the target.
pub(super) fn approach(stored: &mut f32, target: f64, gain: f64) {
    add(stored, gain * (target - f64::from(*stored)));
}

/// Serde derives arrays of 32 elements at most.
pub(super) mod array {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer, T: Serialize, const COUNT: usize>(
        array: &[T; COUNT],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(array)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>, const COUNT: usize>(
        deserializer: D,
    ) -> Result<[T; COUNT], D::Error> {
        let wrong_length = |found: Vec<T>| D::Error::custom(format!("{} numbers where {COUNT} belong", found.len()));
        Vec::<T>::deserialize(deserializer)?.try_into().map_err(wrong_length)
    }
}
