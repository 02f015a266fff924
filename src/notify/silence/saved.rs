//! The file of silences: the format's chapter is `storage_format::silences`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use storage_format::frame::{FileKind, decode_whole, encode_whole};
use storage_format::silences::KIND_TEXT;

use super::{Kept, Silence};
use crate::model::{MatchOp, Matcher};
use crate::notify::matchers::Matchers;

#[derive(Serialize, Deserialize)]
struct Summary {
    silences: usize,
}

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
    let text = |text: serde_json::Result<Vec<u8>>| (KIND_TEXT, text.expect("numbers and strings are always JSON"));
    let summary = text(serde_json::to_vec(&Summary { silences: kept.len() }));
    let silences = kept.values().map(|silence| text(serde_json::to_vec(&text_of(silence))));
    encode_whole(FileKind::Silences, now_ms, std::iter::once(summary).chain(silences))
}

/// Fails with what is wrong with the file.
pub(super) fn decode(bytes: &[u8]) -> Result<Kept, String> {
    let mut texts = texts_of(bytes)?.into_iter();
    let summary: Summary = parsed(texts.next().ok_or("it has no record")?)?;
    let mut kept = Kept::new();
    for text in texts {
        let silence = silence_of(parsed(text)?)?;
        kept.insert(silence.id.clone(), Arc::new(silence));
    }
    if kept.len() == summary.silences { Ok(kept) } else { Err("silences are missing at its end".to_owned()) }
}

fn texts_of(bytes: &[u8]) -> Result<Vec<&[u8]>, String> {
    let records = decode_whole(bytes, FileKind::Silences).map_err(|corruption| corruption.to_string())?;
    let text =
        |(kind, payload)| if kind == KIND_TEXT { Ok(payload) } else { Err(format!("{kind} is no kind of text")) };
    records.into_iter().map(text).collect()
}

fn parsed<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string())
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
