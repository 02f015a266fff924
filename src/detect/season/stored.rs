//! Numbers as state keeps them: computed in f64, kept in f32.

/// `stored + amount`.
pub(super) fn add(stored: &mut f32, amount: f64) {
    *stored = (f64::from(*stored) + amount) as f32;
}

/// Goes this share of the way to the target.
pub(super) fn approach(stored: &mut f32, target: f64, gain: f64) {
    add(stored, gain * (target - f64::from(*stored)));
}

/// The least and the most of them.
pub(super) fn least_and_most<const COUNT: usize>(values: [f64; COUNT]) -> [f64; 2] {
    values
        .into_iter()
        .fold([f64::INFINITY, f64::NEG_INFINITY], |[least, most], value| [least.min(value), most.max(value)])
}
