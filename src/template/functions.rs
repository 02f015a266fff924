//! What a template can call: Go's own functions and Prometheus's, with what they take.
//!
//! Always true: a function gets as many values as it takes, each of the kind that it takes; the evaluator sees to that.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use super::moment::{Duration, Moment};
use super::value::{ANYTHING, Sample, TEXTS, Value};
use super::work::Work;
use super::{Facts, escape, number, of_messages, printf};
use crate::config::parse_duration_ms;
use crate::model::{compile_pattern_anywhere, format_general};

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Everything, `nil` included.
    Any,
    Text,
    Sample,
    Samples,
    Moment,
    /// Of texts.
    Texts,
    /// Of anything.
    List,
}

impl Kind {
    /// Go's name.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Kind::Any => "interface {}",
            Kind::Text => "string",
            Kind::Sample => "*template.sample",
            Kind::Samples => "template.queryResult",
            Kind::Moment => "time.Time",
            Kind::Texts => TEXTS,
            Kind::List => ANYTHING,
        }
    }
}

/// Name, parameters, and whether the last of them may stand any number of times, also not at all.
pub(super) struct Function {
    pub name: &'static str,
    pub parameters: &'static [Kind],
    pub is_variadic: bool,
}

/// Longest duration: what Go can count in ns, some 292 years.
const GO_DURATION_MS_MAX: i64 = i64::MAX / 1_000_000;
const ANY: Kind = Kind::Any;
const TEXT: Kind = Kind::Text;

const fn fixed(name: &'static str, parameters: &'static [Kind]) -> Function {
    Function { name, parameters, is_variadic: false }
}

const fn variadic(name: &'static str, parameters: &'static [Kind]) -> Function {
    Function { name, parameters, is_variadic: true }
}

/// Whose functions a template knows, beside Go's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Prometheus's.
    Rules,
    /// Alertmanager's.
    Messages,
}

/// How many of the first of [`FUNCTIONS`] are Go's own.
const OF_GO: usize = 19;
/// Which of Prometheus's are Alertmanager's too, though some of them do something else there.
const OF_BOTH: [&str; 8] =
    ["reReplaceAll", "safeHtml", "match", "title", "toUpper", "toLower", "humanizeDuration", "now"];
/// Which are Alertmanager's alone.
const OF_MESSAGES: [&str; 12] = [
    "trimSpace",
    "join",
    "safeUrl",
    "urlUnescape",
    "stringSlice",
    "date",
    "tz",
    "since",
    "toJson",
    "dict",
    "list",
    "append",
];

static FUNCTIONS: [Function; 61] = [
    variadic("and", &[ANY, ANY]),
    variadic("or", &[ANY, ANY]),
    fixed("not", &[ANY]),
    variadic("eq", &[ANY, ANY]),
    fixed("ne", &[ANY, ANY]),
    fixed("lt", &[ANY, ANY]),
    fixed("le", &[ANY, ANY]),
    fixed("gt", &[ANY, ANY]),
    fixed("ge", &[ANY, ANY]),
    fixed("len", &[ANY]),
    variadic("index", &[ANY, ANY]),
    variadic("slice", &[ANY, ANY]),
    variadic("print", &[ANY]),
    variadic("println", &[ANY]),
    variadic("printf", &[TEXT, ANY]),
    variadic("html", &[ANY]),
    variadic("js", &[ANY]),
    variadic("urlquery", &[ANY]),
    variadic("call", &[ANY, ANY]),
    fixed("query", &[TEXT]),
    fixed("first", &[Kind::Samples]),
    fixed("label", &[TEXT, Kind::Sample]),
    fixed("value", &[Kind::Sample]),
    fixed("strvalue", &[Kind::Sample]),
    variadic("args", &[ANY]),
    fixed("reReplaceAll", &[TEXT, TEXT, TEXT]),
    fixed("safeHtml", &[TEXT]),
    fixed("match", &[TEXT, TEXT]),
    fixed("title", &[TEXT]),
    fixed("toUpper", &[TEXT]),
    fixed("toLower", &[TEXT]),
    fixed("graphLink", &[TEXT]),
    fixed("tableLink", &[TEXT]),
    fixed("sortByLabel", &[TEXT, Kind::Samples]),
    fixed("stripPort", &[TEXT]),
    fixed("stripDomain", &[TEXT]),
    fixed("humanize", &[ANY]),
    fixed("humanize1024", &[ANY]),
    fixed("humanizeDuration", &[ANY]),
    fixed("humanizePercentage", &[ANY]),
    fixed("humanizeTimestamp", &[ANY]),
    fixed("toTime", &[ANY]),
    fixed("toDuration", &[ANY]),
    fixed("now", &[]),
    fixed("pathPrefix", &[]),
    fixed("externalURL", &[]),
    fixed("parseDuration", &[TEXT]),
    fixed("urlQueryEscape", &[TEXT]),
    fixed("trimSpace", &[TEXT]),
    fixed("join", &[TEXT, Kind::Texts]),
    fixed("safeUrl", &[TEXT]),
    fixed("urlUnescape", &[TEXT]),
    variadic("stringSlice", &[TEXT]),
    fixed("date", &[TEXT, Kind::Moment]),
    fixed("tz", &[TEXT, Kind::Moment]),
    fixed("since", &[Kind::Moment]),
    fixed("toJson", &[ANY]),
    variadic("dict", &[ANY]),
    variadic("list", &[ANY]),
    variadic("append", &[Kind::List, ANY]),
    // Of pages; here to be told apart from what nobody knows.
    variadic("tmpl", &[TEXT, ANY]),
];

/// The name, if there is such a function in the dialect.
pub(super) fn known(name: &str, dialect: Dialect) -> Option<&'static str> {
    let index = FUNCTIONS.iter().position(|function| function.name == name)?;
    let is_known = match dialect {
        Dialect::Rules => name != "tmpl" && !OF_MESSAGES.contains(&name),
        Dialect::Messages => index < OF_GO || OF_BOTH.contains(&name) || OF_MESSAGES.contains(&name),
    };
    is_known.then_some(FUNCTIONS[index].name)
}

/// The names of all that the dialect has.
pub(super) fn names(dialect: Dialect) -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().filter_map(move |function| known(function.name, dialect))
}

/// What it takes.
pub(super) fn function(name: &str) -> &'static Function {
    FUNCTIONS.iter().find(|function| function.name == name).expect("the parser lets only known names pass")
}

/// What a call comes to, or what is wrong, without the place.
pub(super) fn call(
    name: &str,
    dialect: Dialect,
    values: &[Value],
    facts: &Facts<'_>,
    work: &mut Work,
) -> Result<Value, String> {
    if dialect == Dialect::Messages
        && let Some(value) = of_messages::call(name, values, facts, work)
    {
        return value;
    }
    let text = |index: usize| match &values[index] {
        Value::Text(text) => text.as_ref(),
        _ => "",
    };
    let plain = |text: String| Ok(Value::text(&text));
    match name {
        "not" => Ok(Value::Bool(!values[0].is_true())),
        "eq" => equal_to_any(values).map(Value::Bool),
        "ne" => values[0].equals(&values[1]).map(|is| Value::Bool(!is)),
        "lt" => values[0].is_less(&values[1]).map(Value::Bool),
        "le" => Ok(Value::Bool(values[0].is_less(&values[1])? || values[0].equals(&values[1])?)),
        "gt" => Ok(Value::Bool(!(values[0].is_less(&values[1])? || values[0].equals(&values[1])?))),
        "ge" => values[0].is_less(&values[1]).map(|is| Value::Bool(!is)),
        "len" => length(&values[0]),
        "index" => index(values),
        "slice" => slice(values),
        "print" => plain(printf::print(values)),
        "println" => plain(printf::println(values)),
        "printf" => plain(printf::printf(text(0), &values[1..])),
        "html" => plain(escape::html(&together(values))),
        "js" => plain(escape::javascript(&together(values))),
        "urlquery" => plain(escape::query(&together(values))),
        "query" => query(text(0), facts, work),
        "first" => first(&values[0]),
        "label" => label(text(0), &values[1]),
        "value" => sample(&values[0]).map(|sample| Value::Float(sample.value)),
        "strvalue" => label("__value__", &values[0]),
        "args" => Ok(numbered(values)),
        "reReplaceAll" => replaced(text(0), text(1), text(2), work),
        "safeHtml" => Ok(Value::Html(text(0).into())),
        "match" => {
            work.pattern(text(0), text(1))?;
            Ok(Value::Bool(pattern(text(0))?.is_match(text(1))))
        }
        "title" => plain(titled(text(0))),
        "toUpper" => plain(text(0).to_uppercase()),
        "toLower" => plain(text(0).to_lowercase()),
        "graphLink" => plain(format!("/graph?g0.expr={}&g0.tab=0", escape::query(text(0)))),
        "tableLink" => plain(format!("/graph?g0.expr={}&g0.tab=1", escape::query(text(0)))),
        "sortByLabel" => Ok(sorted(text(0), &values[1])),
        "stripPort" => plain(host_and_port(text(0)).map_or(text(0), |(host, _)| host).to_owned()),
        "stripDomain" => plain(without_domain(text(0))),
        "humanize" => plain(number::humanize(float(&values[0])?)),
        "humanize1024" => plain(number::humanize_1024(float(&values[0])?)),
        "humanizeDuration" => plain(number::humanize_duration(float(&values[0])?)),
        "humanizePercentage" => plain(number::humanize_percentage(float(&values[0])?)),
        "humanizeTimestamp" => match float(&values[0])? {
            seconds if !seconds.is_finite() => plain(format_general(seconds)),
            seconds => plain(moment(seconds)?.to_string()),
        },
        "toTime" => match float(&values[0])? {
            seconds if !seconds.is_finite() => Err("value is NaN or Inf".to_owned()),
            seconds => moment(seconds).map(Value::Moment),
        },
        "toDuration" => to_duration(float(&values[0])?),
        "now" => Ok(Value::Float(facts.at_ms as f64 / 1000.0)),
        "pathPrefix" => plain(path_of(facts.external_url).to_owned()),
        "externalURL" => Ok(Value::text(facts.external_url)),
        "parseDuration" => parsed_duration(text(0)),
        "urlQueryEscape" => plain(escape::query(text(0))),
        _ => unreachable!("the evaluator itself sees to {name}"),
    }
}

/// All values in one text.
fn together(values: &[Value]) -> String {
    match values {
        [value @ Value::Nothing] => value.printed(),
        values => printf::print_pointed_to(values),
    }
}

fn equal_to_any(values: &[Value]) -> Result<bool, String> {
    if values.len() == 1 {
        return Err("missing argument for comparison".to_owned());
    }
    for other in &values[1..] {
        if values[0].equals(other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn length(value: &Value) -> Result<Value, String> {
    match value.length() {
        Some(length) => Ok(Value::Int(i64::try_from(length).expect("lengths are bounded"))),
        None if matches!(value, Value::Nothing) => Err("reflect: call of reflect.Value.Type on zero Value".to_owned()),
        None => Err(format!("len of type {}", pointed_to(value))),
    }
}

/// Go's functions look behind a pointer before they name a type.
fn pointed_to(value: &Value) -> &'static str {
    value.type_name().trim_start_matches('*')
}

fn index(values: &[Value]) -> Result<Value, String> {
    if matches!(values[0], Value::Nothing) {
        return Err("index of untyped nil".to_owned());
    }
    values[1..].iter().try_fold(values[0].clone(), |value, index| element(&value, index))
}

fn element(value: &Value, index: &Value) -> Result<Value, String> {
    match (value, index) {
        (Value::Labels(labels) | Value::Kv(labels), Value::Text(name)) => {
            Ok(Value::Text(labels.get(name.as_ref()).cloned().unwrap_or_else(|| "".into())))
        }
        (Value::Map(map), Value::Text(name)) => Ok(map.get(name.as_ref()).cloned().unwrap_or(Value::Nothing)),
        (Value::Labels(_) | Value::Kv(_) | Value::Map(_), Value::Nothing) => {
            Err("value is nil; should be of type string".to_owned())
        }
        (Value::Labels(_) | Value::Kv(_) | Value::Map(_), _) => {
            Err(format!("value has type {}; should be string", index.type_name()))
        }
        (Value::Text(text) | Value::Html(text), _) => {
            let out = "reflect: string index out of range".to_owned();
            let at = position(index, text.len(), false)
                .map_err(|what| if index.integer().is_some() { out } else { what })?;
            Ok(Value::Byte(text.as_bytes()[at]))
        }
        (Value::Samples(samples), _) => {
            position(index, samples.len(), false).map(|at| Value::Sample(samples[at].clone()))
        }
        (Value::List { items, .. }, _) => position(index, items.len(), false).map(|at| items[at].clone()),
        (Value::Nothing, _) => Err("index of nil pointer".to_owned()),
        _ => Err(format!("can't index item of type {}", pointed_to(value))),
    }
}

/// A position below `length`, or at it where that is an end.
fn position(index: &Value, length: usize, is_end: bool) -> Result<usize, String> {
    let Some(number) = index.integer() else {
        return Err(match index {
            Value::Nothing => "cannot index slice/array with nil".to_owned(),
            _ => format!("cannot index slice/array with type {}", index.type_name()),
        });
    };
    let limit = if is_end { length + 1 } else { length };
    usize::try_from(number).ok().filter(|at| *at < limit).ok_or_else(|| format!("index out of range: {number}"))
}

fn slice(values: &[Value]) -> Result<Value, String> {
    if values.len() > 4 {
        return Err(format!("too many slice indexes: {}", values.len() - 1));
    }
    let length = match &values[0] {
        Value::Nothing => return Err("slice of untyped nil".to_owned()),
        Value::Text(_) | Value::Html(_) if values.len() == 4 => {
            return Err("cannot 3-index slice a string".to_owned());
        }
        Value::Text(text) | Value::Html(text) => text.len(),
        Value::Samples(samples) => samples.len(),
        Value::List { items, .. } => items.len(),
        other => return Err(format!("can't slice item of type {}", pointed_to(other))),
    };
    let mut bounds = [0, length, length];
    for (bound, given) in bounds.iter_mut().zip(&values[1..]) {
        *bound = position(given, length, true)?;
    }
    let [from, to, capacity] = bounds;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if to > capacity {
        return Err(format!("invalid slice index: {to} > {capacity}"));
    }
    Ok(match &values[0] {
        // Bytes may be cut within a letter.
        Value::Text(text) | Value::Html(text) => Value::text(&String::from_utf8_lossy(&text.as_bytes()[from..to])),
        Value::Samples(samples) => Value::Samples(Rc::new(samples[from..to].to_vec())),
        Value::List { of, items } => Value::List { of, items: Rc::new(items[from..to].to_vec()) },
        _ => unreachable!("other kinds were refused above"),
    })
}

fn query(text: &str, facts: &Facts<'_>, work: &mut Work) -> Result<Value, String> {
    work.query()?;
    let rows = (facts.query)(text)?;
    let mut samples = Vec::with_capacity(rows.len());
    for (labels, value) in rows {
        let labels: BTreeMap<_, _> = labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        work.bytes(100)?;
        samples.push(Rc::new(Sample { labels: Rc::new(labels), value }));
    }
    Ok(Value::Samples(Rc::new(samples)))
}

fn first(samples: &Value) -> Result<Value, String> {
    match samples {
        Value::Samples(samples) if !samples.is_empty() => Ok(Value::Sample(samples[0].clone())),
        _ => Err("first() called on vector with no elements".to_owned()),
    }
}

fn sample(value: &Value) -> Result<&Sample, String> {
    match value {
        Value::Sample(sample) => Ok(sample),
        _ => Err("runtime error: invalid memory address or nil pointer dereference".to_owned()),
    }
}

fn label(name: &str, of: &Value) -> Result<Value, String> {
    let value = sample(of)?.labels.get(name).cloned();
    Ok(Value::Text(value.unwrap_or_else(|| "".into())))
}

fn numbered(values: &[Value]) -> Value {
    let named = values.iter().enumerate().map(|(index, value)| (format!("arg{index}"), value.clone()));
    Value::Map(Rc::new(named.collect()))
}

fn pattern(text: &str) -> Result<regex::Regex, String> {
    compile_pattern_anywhere(text).map_err(|what| {
        let what = what.lines().last().unwrap_or_default().trim_start_matches("error: ");
        if what.starts_with("error parsing regexp") {
            what.to_owned()
        } else {
            format!("error parsing regexp: {what}: `{text}`")
        }
    })
}

fn replaced(from: &str, to: &str, text: &str, work: &mut Work) -> Result<Value, String> {
    work.pattern(from, text)?;
    let pattern = pattern(from).map_err(|what| format!("regexp: Compile(`{from}`): {what}"))?;
    // Each match may grow by everything that it captures, once for each reference.
    let references = to.matches('$').count() * text.len();
    work.bytes(pattern.find_iter(text).count().saturating_mul(to.len() + references))?;
    Ok(Value::text(&pattern.replace_all(text, to)))
}

/// The first letter of each word is a capital.
fn titled(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let (mut is_in_word, mut letters) = (false, text.chars().peekable());
    while let Some(letter) = letters.next() {
        if is_in_word {
            titled.push(letter)
        } else {
            titled.extend(letter.to_uppercase())
        }
        let joins = matches!(letter, '.' | ':' | '\'' | '\u{2019}' | '\u{b7}');
        // A word's first letter may stand behind digits.
        is_in_word = letter.is_alphabetic()
            || (letter.is_numeric() || letter == '_') && is_in_word
            || joins && is_in_word && letters.peek().is_some_and(|next| next.is_alphanumeric());
    }
    titled
}

fn sorted(name: &str, samples: &Value) -> Value {
    let Value::Samples(samples) = samples else { return Value::Samples(Rc::default()) };
    let mut sorted = samples.to_vec();
    sorted.sort_by(|left, right| {
        let key = |sample: &Sample| sample.labels.get(name).cloned().unwrap_or_else(|| "".into());
        key(left).cmp(&key(right))
    });
    Value::Samples(Rc::new(sorted))
}

/// `host:port` or `[host]:port`, if it is one of them.
fn host_and_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            (host, behind.strip_prefix(':')?)
        }
        None => text.split_once(':')?,
    };
    let is_plain = |part: &str| !part.contains(['[', ']']);
    let is_host = text.starts_with('[') || !host.contains(':');
    (is_host && !port.contains(':') && is_plain(host) && is_plain(port)).then_some((host, port))
}

fn without_domain(text: &str) -> String {
    let (host, port) = host_and_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let name = host.split('.').next().unwrap_or_default();
    match port {
        "" => name.to_owned(),
        port if name.contains(':') => format!("[{name}]:{port}"),
        port => format!("{name}:{port}"),
    }
}

/// A number, or a text that is one.
fn float(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(value) => Ok(*value),
        Value::Int(value) => Ok(*value as f64),
        Value::Duration(duration) => Ok(duration.0 as f64 / 1e9),
        Value::Text(text) => number::parsed(text)
            .map_err(|what| format!("strconv.ParseFloat: parsing {}: {what}", escape::quoted(text, false))),
        _ => Err(format!("can't convert {} to float", value.type_name())),
    }
}

fn moment(seconds: f64) -> Result<Moment, String> {
    let nanoseconds = seconds * 1e9;
    if nanoseconds.abs() >= i64::MAX as f64 {
        let seconds = format_general(seconds);
        return Err(format!("{seconds} cannot be represented as a nanoseconds timestamp since it overflows int64"));
    }
    Ok(Moment::utc(nanoseconds as i64 / 1_000_000))
}

fn to_duration(seconds: f64) -> Result<Value, String> {
    let nanoseconds = seconds * 1e9;
    if !nanoseconds.is_finite() || nanoseconds.abs() >= i64::MAX as f64 {
        return Err(format!("{} cannot be represented as a duration in nanoseconds", format_general(seconds)));
    }
    Ok(Value::Duration(Duration(nanoseconds as i64)))
}

fn parsed_duration(text: &str) -> Result<Value, String> {
    match parse_duration_ms(text) {
        Ok(ms) if ms <= GO_DURATION_MS_MAX => Ok(Value::Float(ms as f64 / 1000.0)),
        Err(_) if text.is_empty() => Err("empty duration string".to_owned()),
        _ => Err(format!("not a valid duration string: {}", escape::quoted(text, false))),
    }
}

/// The path of an address, without query and fragment.
fn path_of(address: &str) -> &str {
    let behind_scheme = address.find("://").map_or(address, |at| &address[at + 3..]);
    let path = behind_scheme.find('/').map_or("", |at| &behind_scheme[at..]);
    &path[..path.find(['?', '#']).unwrap_or(path.len())]
}
