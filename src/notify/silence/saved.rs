//! The file of silences: the format's chapter is `storage_format::silences`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use storage_format::frame::{Event, FileHeader, FileKind, Reader, append_record};
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
    // Nothing hangs on the salt but that an older file's records do not continue this one's chain.
    let header = FileHeader::new(FileKind::Silences, 0, now_ms.max(0), now_ms as u32);
    let mut bytes = header.encode().to_vec();
    let mut chain = header.chain_start();
    let mut append = |text: serde_json::Result<Vec<u8>>| {
        let text = text.expect("numbers and strings are always JSON");
        chain = append_record(&mut bytes, KIND_TEXT, 0, chain, &text);
    };
    append(serde_json::to_vec(&Summary { silences: kept.len() }));
    kept.values().for_each(|silence| append(serde_json::to_vec(&text_of(silence))));
    bytes
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
    let (header, reader) = Reader::open(bytes).map_err(|error| error.to_string())?;
    if header.kind != FileKind::Silences {
        return Err("it is a file of another kind".to_owned());
    }
    let mut texts = Vec::new();
    for event in reader {
        match event {
            Event::Record { kind: KIND_TEXT, payload, chain_ok: true, .. } => texts.push(payload),
            Event::Record { offset, .. } => return Err(format!("the record at byte {offset} is not in its place")),
            Event::Damage { from, what, .. } => return Err(format!("at byte {from}: {what}")),
            Event::TornTail { .. } => return Err("it ends within a record".to_owned()),
            Event::End { .. } => break,
        }
    }
    Ok(texts)
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
