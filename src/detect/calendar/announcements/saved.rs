//! The file of announced spans: the format's chapter is `storage_format::calendar`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use storage_format::calendar::KIND_TEXT;
use storage_format::frame::FileKind;

use super::{Announced, Spans};
use crate::config::CalendarKind;
use crate::journal::Texts;

const FILE: Texts = Texts { file_kind: FileKind::Calendar, record_kind: KIND_TEXT, entries: "spans" };

#[derive(Serialize, Deserialize)]
struct SpanText {
    id: String,
    kind: String,
    from_ms: i64,
    to_ms: i64,
    tolerance: f64,
    by: String,
    comment: String,
    announced_ms: i64,
}

pub(super) fn encode(spans: &Spans, now_ms: i64) -> Vec<u8> {
    FILE.encode(spans.values().map(|span| text_of(span)), now_ms)
}

/// Fails with what is wrong with the file.
pub(super) fn decode(bytes: &[u8]) -> Result<Spans, String> {
    let mut spans = Spans::new();
    for text in FILE.decode(bytes)? {
        let span = span_of(text)?;
        if let Some(before) = spans.insert(span.id.clone(), Arc::new(span)) {
            return Err(format!("the span {} is there twice", before.id));
        }
    }
    Ok(spans)
}

fn text_of(span: &Announced) -> SpanText {
    SpanText {
        id: span.id.clone(),
        kind: span.kind.name().to_owned(),
        from_ms: span.from_ms,
        to_ms: span.to_ms,
        tolerance: span.tolerance,
        by: span.by.clone(),
        comment: span.comment.clone(),
        announced_ms: span.announced_ms,
    }
}

fn span_of(text: SpanText) -> Result<Announced, String> {
    let kind = CalendarKind::named(&text.kind).map_err(|what| format!("the kind {:?} {what}", text.kind))?;
    let tolerance = kind.tolerance_or(Some(text.tolerance)).map_err(|what| format!("a tolerance {what}"))?;
    Ok(Announced {
        id: text.id,
        kind,
        from_ms: text.from_ms,
        to_ms: text.to_ms,
        tolerance,
        by: text.by,
        comment: text.comment,
        announced_ms: text.announced_ms,
    })
}
