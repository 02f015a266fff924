//! The file of announced spans: the format's chapter is `storage_format::calendar`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use storage_format::calendar::KIND_TEXT;
use storage_format::frame::{Event, FileHeader, FileKind, Reader, append_record};

use super::{Announced, Spans};
use crate::config::CalendarKind;

#[derive(Serialize, Deserialize)]
struct Summary {
    spans: usize,
}

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
    // Nothing hangs on the salt but that an older file's records do not continue this one's chain.
    let header = FileHeader::new(FileKind::Calendar, 0, now_ms.max(0), now_ms as u32);
    let mut bytes = header.encode().to_vec();
    let mut chain = header.chain_start();
    let mut append = |text: serde_json::Result<Vec<u8>>| {
        let text = text.expect("strings and finite numbers are always JSON");
        chain = append_record(&mut bytes, KIND_TEXT, 0, chain, &text);
    };
    append(serde_json::to_vec(&Summary { spans: spans.len() }));
    spans.values().for_each(|span| append(serde_json::to_vec(&text_of(span))));
    bytes
}

/// Fails with what is wrong with the file.
pub(super) fn decode(bytes: &[u8]) -> Result<Spans, String> {
    let mut texts = texts_of(bytes)?.into_iter();
    let summary: Summary = parsed(texts.next().ok_or("it has no record")?)?;
    let mut spans = Spans::new();
    for text in texts {
        let span = span_of(parsed(text)?)?;
        spans.insert(span.id.clone(), Arc::new(span));
    }
    if spans.len() == summary.spans { Ok(spans) } else { Err("spans are missing at its end".to_owned()) }
}

fn texts_of(bytes: &[u8]) -> Result<Vec<&[u8]>, String> {
    let (header, reader) = Reader::open(bytes).map_err(|error| error.to_string())?;
    if header.kind != FileKind::Calendar {
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
