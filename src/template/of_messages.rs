//! What only Alertmanager's templates can call, and what its label sets and lists can be asked.
//!
//! `.CommonLabels.SortedPairs` has `alertname` first and the rest by name; `.Alerts.Firing | len` counts those that fire.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::functions::Kind;
use super::moment::{Duration, Moment};
use super::value::{ANYTHING, Object, PAIR, PAIRS, SOME_ALERTS, TEXTS, Value};
use super::work::Work;
use super::{Facts, escape, json};

type Map = BTreeMap<String, Arc<str>>;

/// The label that comes first.
const ALERT_NAME: &str = "alertname";
/// How deep lists and maps that a template makes may stand in each other.
const MADE_DEPTH_MAX: usize = 60;

/// What a call comes to, if it does not do in messages what it does in rules.
pub(super) fn call(name: &str, values: &[Value], facts: &Facts<'_>, work: &mut Work) -> Option<Result<Value, String>> {
    let text = |index: usize| match &values[index] {
        Value::Text(text) => text.as_ref(),
        _ => "",
    };
    let moment = |index: usize| match &values[index] {
        Value::Moment(moment) => *moment,
        _ => unreachable!("the evaluator lets nothing else pass"),
    };
    Some(match name {
        "trimSpace" => Ok(Value::text(text(0).trim())),
        "title" => Ok(Value::text(&titled(text(0)))),
        "join" => joined(text(0), &values[1], work),
        "safeUrl" => Ok(Value::Url(text(0).into())),
        "urlUnescape" => unescaped(text(0)).map(|text| Value::text(&text)),
        "stringSlice" => Ok(Value::List { of: TEXTS, items: Rc::new(values.to_vec()) }),
        "now" => Ok(Value::Moment(Moment::utc(facts.at_ms))),
        "date" => Ok(Value::text(&moment(1).by_layout(text(0)))),
        "tz" => moment(1).in_zone(text(0)).map(Value::Moment),
        "since" => {
            let ms = facts.at_ms.saturating_sub(moment(0).0);
            Ok(Value::Duration(Duration(ms.saturating_mul(1_000_000))))
        }
        "toJson" => json::written(&values[0]).and_then(|text| work.bytes(text.len()).map(|()| Value::text(&text))),
        "dict" => put_in(values, MADE_DEPTH_MAX, work).and_then(|()| dict(values)),
        "list" => {
            put_in(values, MADE_DEPTH_MAX, work).map(|()| Value::List { of: ANYTHING, items: Rc::new(values.to_vec()) })
        }
        "append" => match &values[0] {
            Value::List { of, items } => {
                let more = &values[1..];
                put_in(more, MADE_DEPTH_MAX, work)
                    .map(|()| Value::List { of, items: Rc::new([items.as_slice(), more].concat()) })
            }
            _ => unreachable!("the evaluator lets nothing else pass"),
        },
        _ => return None,
    })
}

/// Pays for all that is in what is put into a list or a map: a list that has itself twice, and so on, has more in it than
/// anybody can write, and one that has another that has another no end.
fn put_in(values: &[Value], depth_left: usize, work: &mut Work) -> Result<(), String> {
    let Some(depth_left) = depth_left.checked_sub(1) else {
        return Err(format!("lists and maps are more than {MADE_DEPTH_MAX} deep in each other"));
    };
    work.bytes(values.len())?;
    values.iter().try_for_each(|value| match value {
        Value::List { items, .. } => put_in(items, depth_left, work),
        Value::Map(map) => map.values().try_for_each(|value| put_in(std::slice::from_ref(value), depth_left, work)),
        _ => Ok(()),
    })
}

/// The first letter of each word is a capital, and no other.
fn titled(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let (mut is_in_word, mut letters) = (false, text.chars().peekable());
    while let Some(letter) = letters.next() {
        if is_in_word {
            titled.extend(letter.to_lowercase());
        } else {
            titled.extend(letter.to_uppercase());
        }
        let joins = matches!(letter, '.' | ':' | '\'' | '\u{2019}' | '\u{b7}');
        is_in_word = letter.is_alphabetic()
            || (letter.is_numeric() || letter == '_') && is_in_word
            || joins && is_in_word && letters.peek().is_some_and(|next| next.is_alphanumeric());
    }
    titled
}

fn joined(between: &str, texts: &Value, work: &mut Work) -> Result<Value, String> {
    let Value::List { items, .. } = texts else { return Ok(Value::text("")) };
    work.bytes(between.len().saturating_mul(items.len()))?;
    Ok(Value::text(&items.iter().map(Value::formatted).collect::<Vec<_>>().join(between)))
}

/// `a%20b+c` is `a b c`.
fn unescaped(text: &str) -> Result<String, String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                let Some(byte) = byte.filter(|_| after[0] != b'+') else {
                    let shown = String::from_utf8_lossy(&after[..after.len().min(2)]).into_owned();
                    return Err(format!("invalid URL escape {}", escape::quoted(&format!("%{shown}"), false)));
                };
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => bytes.push(first),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn dict(values: &[Value]) -> Result<Value, String> {
    if !values.len().is_multiple_of(2) {
        return Err("dict requires an even number of arguments".to_owned());
    }
    let mut map = BTreeMap::new();
    for pair in values.chunks(2) {
        let Value::Text(key) = &pair[0] else { return Err("dict keys must be strings".to_owned()) };
        map.insert(key.to_string(), pair[1].clone());
    }
    Ok(Value::Map(Rc::new(map)))
}

fn pair(name: &str, value: &Arc<str>) -> Value {
    let fields = vec![("Name", Value::text(name)), ("Value", Value::Text(value.clone()))];
    Value::Object(Rc::new(Object { of: PAIR, fields }))
}

/// All pairs, the alert's name first.
pub(super) fn sorted_pairs(map: &Map) -> Value {
    let name = map.get_key_value(ALERT_NAME);
    let others = map.iter().filter(|(name, _)| *name != ALERT_NAME);
    let items = name.into_iter().chain(others).map(|(name, value)| pair(name, value)).collect();
    Value::List { of: PAIRS, items: Rc::new(items) }
}

/// A method of labels or annotations.
pub(super) fn of_map(map: &Rc<Map>, name: &str, arguments: &[Value]) -> Result<Value, String> {
    let pairs = sorted_pairs(map);
    match (name, &pairs) {
        ("SortedPairs", _) => Ok(pairs),
        ("Remove", _) => without(map, &arguments[0]),
        (_, Value::List { items, .. }) => Ok(of_list(items, name)),
        _ => unreachable!("pairs are a list"),
    }
}

fn without(map: &Map, names: &Value) -> Result<Value, String> {
    let Value::List { of: TEXTS, items } = names else {
        let (expected, got) = (Kind::Texts.type_name(), names.type_name());
        return Err(format!("wrong type for value; expected {expected}; got {got}"));
    };
    let is_named = |name: &str| items.iter().any(|item| matches!(item, Value::Text(text) if text.as_ref() == name));
    let left = map.iter().filter(|(name, _)| !is_named(name)).map(|(name, value)| (name.clone(), value.clone()));
    Ok(Value::Kv(Rc::new(left.collect())))
}

/// A method of pairs or of alerts.
pub(super) fn of_list(items: &[Value], name: &str) -> Value {
    let field = |item: &Value, field: &str| match item {
        Value::Object(object) => object.field(field).cloned().unwrap_or(Value::Nothing),
        _ => Value::Nothing,
    };
    let with_status = |status: &str| {
        let has = |item: &&Value| matches!(field(item, "Status"), Value::Text(text) if text.as_ref() == status);
        Value::List { of: SOME_ALERTS, items: Rc::new(items.iter().filter(has).cloned().collect()) }
    };
    match name {
        "Firing" => with_status("firing"),
        "Resolved" => with_status("resolved"),
        _ => {
            let part = if name == "Names" { "Name" } else { "Value" };
            Value::List { of: TEXTS, items: Rc::new(items.iter().map(|item| field(item, part)).collect()) }
        }
    }
}
