//! Values as JSON, as Go's `json.Marshal` writes them: without spaces, with `<`, `>` and `&` escaped.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::value::{PAIR, Value};

/// The value as JSON, or what in it has none.
pub(super) fn written(value: &Value) -> Result<String, String> {
    let mut text = String::new();
    push(&mut text, value)?;
    Ok(text)
}

fn push(text: &mut String, value: &Value) -> Result<(), String> {
    match value {
        Value::Nothing => text.push_str("null"),
        Value::Bool(_) | Value::Int(_) | Value::Byte(_) => text.push_str(&value.formatted()),
        Value::Named { number, .. } => text.push_str(&number.to_string()),
        Value::Duration(duration) => text.push_str(&duration.0.to_string()),
        Value::Float(number) => match serde_json::Number::from_f64(*number) {
            Some(_) => text.push_str(&number.to_string()),
            None => return Err(format!("json: unsupported value: {}", value.formatted())),
        },
        Value::Text(_) | Value::Html(_) | Value::Url(_) | Value::Histogram(_) => push_text(text, &value.formatted()),
        Value::Moment(moment) => push_text(text, &moment.by_layout("2006-01-02T15:04:05.999999999Z07:00")),
        Value::Labels(map) | Value::Kv(map) => push_map(text, map),
        Value::Map(map) => {
            let entries = map.iter().map(|(name, value)| (name.as_str(), value));
            push_object(text, entries)?;
        }
        Value::List { items, .. } => push_list(text, items)?,
        Value::Object(object) => {
            let named: Vec<(String, &Value)> =
                object.fields.iter().map(|(name, value)| (key(object.of, name), value)).collect();
            push_object(text, named.iter().map(|(name, value)| (name.as_str(), *value)))?;
        }
        Value::Sample(_) | Value::Samples(_) | Value::Data(_) => {
            return Err(format!("json: unsupported type: {}", value.type_name()));
        }
    }
    Ok(())
}

/// Fields of messages and alerts begin with a small letter there.
fn key(of: &str, field: &str) -> String {
    match field.chars().next() {
        _ if field == "NotificationReason" => "notification_reason".to_owned(),
        Some(first) if of != PAIR => format!("{}{}", first.to_ascii_lowercase(), &field[first.len_utf8()..]),
        _ => field.to_owned(),
    }
}

fn push_map(text: &mut String, map: &BTreeMap<String, Arc<str>>) {
    text.push('{');
    for (index, (name, value)) in map.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_text(text, name);
        text.push(':');
        push_text(text, value);
    }
    text.push('}');
}

fn push_object<'v>(text: &mut String, entries: impl Iterator<Item = (&'v str, &'v Value)>) -> Result<(), String> {
    text.push('{');
    for (index, (name, value)) in entries.enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_text(text, name);
        text.push(':');
        push(text, value)?;
    }
    text.push('}');
    Ok(())
}

fn push_list(text: &mut String, items: &[Value]) -> Result<(), String> {
    text.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push(text, item)?;
    }
    text.push(']');
    Ok(())
}

fn push_text(text: &mut String, given: &str) {
    text.push('"');
    for letter in given.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\x08' => text.push_str("\\b"),
            '\x0c' => text.push_str("\\f"),
            '<' | '>' | '&' | '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            _ => text.push(letter),
        }
    }
    text.push('"');
}
