//! The file of silences: the format's chapter is `storage_format::silences`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use storage_format::frame::FileKind;
use storage_format::silences::KIND_TEXT;

use super::{Kept, Silence};
use crate::journal::Texts;
use crate::model::{MatchOp, Matcher};
use crate::notify::matchers::Matchers;

const FILE: Texts = Texts { file_kind: FileKind::Silences, record_kind: KIND_TEXT, entries: "silences" };

#[derive(Serialize, Deserialize)]
struct SilenceText {
    id: String,
    matchers: Vec<MatcherText>,
    starts_at_ms: i64,
    ends_at_ms: i64,
    created_by: String,
    comment: String,
    updated_at_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct MatcherText {
    name: String,
    is_equal: bool,
    is_pattern: bool,
    value: String,
}

pub(super) fn encode(kept: &Kept, now_ms: i64) -> Vec<u8> {
    FILE.encode(kept.values().map(|silence| text_of(silence)), now_ms)
}

/// Fails with what is wrong with the file.
pub(super) fn decode(bytes: &[u8]) -> Result<Kept, String> {
    let mut kept = Kept::new();
    for text in FILE.decode(bytes)? {
        let silence = silence_of(text)?;
        if let Some(before) = kept.insert(silence.id.clone(), Arc::new(silence)) {
            return Err(format!("the silence {} is there twice", before.id));
        }
    }
    Ok(kept)
}

fn text_of(silence: &Silence) -> SilenceText {
    let matcher = |matcher: &Matcher| MatcherText {
        name: matcher.name().to_owned(),
        is_equal: matches!(matcher.op(), MatchOp::Equal | MatchOp::Matches),
        is_pattern: matcher.op().is_pattern(),
        value: matcher.value().to_owned(),
    };
    SilenceText {
        id: silence.id.clone(),
        matchers: silence.matchers.iter().map(matcher).collect(),
        starts_at_ms: silence.starts_at_ms,
        ends_at_ms: silence.ends_at_ms,
        created_by: silence.created_by.clone(),
        comment: silence.comment.clone(),
        updated_at_ms: silence.updated_at_ms,
    }
}

fn silence_of(text: SilenceText) -> Result<Silence, String> {
    let matcher = |text: MatcherText| {
        let op = match_op(text.is_equal, text.is_pattern);
        Matcher::new(text.name, op, text.value).map_err(|error| error.to_string())
    };
    let matchers = text.matchers.into_iter().map(matcher).collect::<Result<Vec<_>, _>>()?;
    Ok(Silence {
        id: text.id,
        matchers: Matchers::new(matchers),
        starts_at_ms: text.starts_at_ms,
        ends_at_ms: text.ends_at_ms,
        created_by: text.created_by,
        comment: text.comment,
        updated_at_ms: text.updated_at_ms,
    })
}

fn match_op(is_equal: bool, is_pattern: bool) -> MatchOp {
    match (is_equal, is_pattern) {
        (true, false) => MatchOp::Equal,
        (false, false) => MatchOp::NotEqual,
        (true, true) => MatchOp::Matches,
        (false, true) => MatchOp::NotMatches,
    }
}
