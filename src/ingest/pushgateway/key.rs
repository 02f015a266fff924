//! The address of a push names its group: `/metrics/job/<job>{/<label>/<value>}`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::PushError;
use super::groups::PUSH_FAILURE_TIME;
use crate::model::{LABELS_COUNT_MAX, Labels, LabelsError, METRIC_NAME, percent_decoded};

/// What stands behind a label's name when its value is base64.
const BASE64_SUFFIX: &str = "@base64";
/// The label that every group has.
const JOB: &str = "job";

/// Which group is meant: names and values, names ascending and unique, `job` among them and not empty. Other values may
/// be empty: such a label tells groups apart and is on no series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey(Vec<(String, String)>);

impl GroupKey {
    /// Reads what follows `/metrics/job` in an address: `/backup/shop/eu`, or `@base64/YmFja3Vw/shop/eu`.
    ///
    /// As the Pushgateway has it, escapes are decoded before the path is taken apart, so that a slash in a value goes
    /// through base64 only, a label that comes twice has its last value, and the job of the front counts whatever the labels say.
    pub(super) fn of_path(path: &str) -> Result<GroupKey, PushError> {
        let path = percent_decoded(path).ok_or_else(|| refused("the address is not UTF-8, or has a broken escape"))?;
        let (is_base64, path) = match path.strip_prefix(BASE64_SUFFIX) {
            Some(rest) => (true, rest),
            None => (false, path.as_ref()),
        };
        let path = path.strip_prefix('/').ok_or_else(|| refused("the address names no job: /metrics/job/<job>"))?;
        let (job, labels) = path.split_once('/').unwrap_or((path, ""));
        let job = if is_base64 { decoded("job", job)? } else { job.to_owned() };
        let mut pairs = split_labels(labels)?;
        if job.is_empty() {
            return Err(refused("job name is required"));
        }
        set(&mut pairs, JOB, job);
        pairs.sort_unstable();
        let key = GroupKey(pairs);
        key.labels(PUSH_FAILURE_TIME).map_err(|error| refused(format!("the address: {error}")))?;
        Ok(key)
    }

    /// Takes labels as a file has them. Nothing where they name no group.
    pub(super) fn of_pairs(mut pairs: Vec<(String, String)>) -> Option<GroupKey> {
        pairs.sort_unstable();
        let has_job = pairs.iter().any(|(name, value)| name == JOB && !value.is_empty());
        let is_unique = pairs.windows(2).all(|two| two[0].0 != two[1].0);
        let are_named = pairs.iter().all(|(name, _)| is_label_name(name) && !name.starts_with("__"));
        let key = GroupKey(pairs);
        (has_job && is_unique && are_named && key.labels(PUSH_FAILURE_TIME).is_ok()).then_some(key)
    }

    /// Names and values, names ascending.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The labels of a series of this group that has no others.
    pub(super) fn labels(&self, metric: &str) -> Result<Labels, LabelsError> {
        self.labels_over(metric, &[])
    }

    /// The labels of a series of this group: its own, and over them the group's.
    pub(super) fn labels_over(
        &self,
        metric: &str,
        own: &[(Cow<'_, str>, Cow<'_, str>)],
    ) -> Result<Labels, LabelsError> {
        let is_of_group = |name: &str| self.0.iter().any(|(known, _)| known == name);
        let own = own.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        let group = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all = own.filter(|(name, _)| !is_of_group(name)).chain(group).chain([(METRIC_NAME, metric)]);
        Labels::from_pairs(all.filter(|(_, value)| !value.is_empty()))
    }

    /// Tells files of groups apart.
    pub(super) fn hash(&self) -> u128 {
        let mut bytes = Vec::new();
        for (name, value) in &self.0 {
            for text in [name, value] {
                bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
        }
        xxhash_rust::xxh3::xxh3_128(&bytes)
    }
}

/// Reads `shop/eu/node@base64/NQ`. One slash at the end is no value.
fn split_labels(text: &str) -> Result<Vec<(String, String)>, PushError> {
    let mut pairs = Vec::new();
    if text.is_empty() {
        return Ok(pairs);
    }
    let parts: Vec<&str> = text.split('/').collect();
    let (couples, []) = parts.as_chunks::<2>() else {
        return Err(refused(format!("odd number of components in label string {:?}", format!("/{text}"))));
    };
    if couples.len() > LABELS_COUNT_MAX {
        return Err(refused(format!("the address has more than {LABELS_COUNT_MAX} labels")));
    }
    for (index, [name, value]) in couples.iter().enumerate() {
        if value.is_empty() && index + 1 < couples.len() {
            return Err(refused(format!("write the empty value of label {name:?} as {name}{BASE64_SUFFIX}/=")));
        }
        let plain = name.strip_suffix(BASE64_SUFFIX).unwrap_or(name);
        if !is_label_name(plain) || plain.starts_with("__") {
            return Err(refused(format!("improper label name {plain:?}")));
        }
        let value = if plain == *name { (*value).to_owned() } else { decoded(plain, value)? };
        set(&mut pairs, plain, value);
    }
    Ok(pairs)
}

fn set(pairs: &mut Vec<(String, String)>, name: &str, value: String) {
    match pairs.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = value,
        None => pairs.push((name.to_owned(), value)),
    }
}

/// Base64 for addresses; padding may be there or not, so `=` alone is nothing.
fn decoded(name: &str, value: &str) -> Result<String, PushError> {
    let bytes = URL_SAFE_NO_PAD.decode(value.trim_end_matches('='));
    let bytes =
        bytes.map_err(|error| refused(format!("invalid base64 encoding for label {name}={value:?}: {error}")))?;
    String::from_utf8(bytes).map_err(|_| refused(format!("the value of label {name} in the address is not UTF-8")))
}

pub(super) fn is_label_name(name: &str) -> bool {
    let is_start = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    name.starts_with(is_start) && name.chars().all(|letter| is_start(letter) || letter.is_ascii_digit())
}

fn refused(what: impl Into<String>) -> PushError {
    PushError::Refused(what.into())
}
