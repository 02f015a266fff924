//! A push is read as it is when it comes, and nothing of it is kept.

use super::budget::{Budget, SeriesLimit};
use super::keep::Form;
use super::{Group, GroupKey, Push, PushError, families, file, protobuf};

/// When these pushes come, ms since 1970 UTC.
const PUSHED_MS: i64 = 1_700_000_000_000;

/// The group that a push makes where there was none.
pub fn read_push(push: &Push) -> Result<Group, PushError> {
    let key = GroupKey::of_path(&push.path)?;
    let mut reserve = |_| Ok(());
    let limit = SeriesLimit { limit: 100_000, setting: "limits.series_per_request_max" };
    let mut budget = Budget::new(limit, &mut reserve);
    let families = match Form::of(push.content_type.as_deref())? {
        Form::Text => families::of_text(&push.body, &mut budget),
        Form::Delimited => protobuf::of_protobuf(&push.body, &mut budget),
    }?;
    Group::new(key).pushed(families, push.replace, push.ttl_ms.unwrap_or(0), PUSHED_MS)
}

/// The group as its file gives it back. Fails with what is wrong with the file.
pub fn restored(group: &Group) -> Result<Group, String> {
    file::decode(&file::encode(group, PUSHED_MS))
}
