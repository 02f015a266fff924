//! How long samples are kept, as a file says it: one duration for all, or a list by selector.
//!
//! ```text
//! retention:
//!   - { match: '{job="debug"}', keep: 3d }     the first entry that a series satisfies decides
//!   - { keep: 90d }                            all others; without this line 15d
//! ```

use serde::Deserialize;
use serde::de::{Error, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde_saphyr::Spanned;

use super::file::{Place, Scalar};
use super::settings::setting;
use super::{Config, ConfigError};

/// Most entries of the list: each series is matched against all of them.
const RULES_MAX: usize = 100;

/// An age for the series of one selector.
#[derive(Clone, Debug, PartialEq)]
pub struct RetentionConfig {
    /// The selector as it is written; whoever starts the server parses it.
    pub selector: String,
    /// Age in ms; 0 keeps for ever.
    pub keep_ms: i64,
    place: Place,
}

impl RetentionConfig {
    /// What is wrong with the selector, with its file and line.
    pub fn mistake(&self, what: &str) -> ConfigError {
        self.place.mistake(what)
    }
}

/// The two shapes of `retention`.
pub(super) enum Retention {
    Single(Scalar),
    List(Vec<Entry>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    #[serde(rename = "match")]
    selector: Option<Scalar>,
    keep: Scalar,
}

impl Retention {
    /// The one duration, where there is but one.
    pub(super) fn single(&self) -> Option<&Scalar> {
        match self {
            Retention::Single(given) => Some(given),
            Retention::List(_) => None,
        }
    }

    /// Puts the list's entries into the settings. Fails with a text that shows the place of the mistake.
    pub(super) fn read_list(&self, config: &mut Config, place: impl Fn(&Scalar, &str) -> Place) -> Result<(), String> {
        let Retention::List(entries) = self else { return Ok(()) };
        let show = |given: &Scalar, name: &str, what: &str| place(given, name).show(what);
        let mut has_default = false;
        for (index, entry) in entries.iter().enumerate() {
            if index == RULES_MAX {
                return Err(show(&entry.keep, "retention.keep", &format!("there are more than {RULES_MAX} entries")));
            }
            // Checked as the single duration is; its own place holds it until the loop is over.
            let default_ms = config.retention_ms;
            let set = setting("retention").set(config, &entry.keep.value);
            set.map_err(|what| show(&entry.keep, "retention.keep", &what))?;
            let Some(selector) = &entry.selector else {
                if has_default {
                    return Err(show(&entry.keep, "retention.keep", "another entry without match stands before it"));
                }
                has_default = true;
                continue;
            };
            let keep_ms = std::mem::replace(&mut config.retention_ms, default_ms);
            let place = place(selector, "retention.match");
            config.retention_rules.push(RetentionConfig { selector: selector.value.clone(), keep_ms, place });
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Retention {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Retention, D::Error> {
        let Spanned { value, referenced, defined } = Spanned::<Shape>::deserialize(deserializer)?;
        Ok(match value {
            Shape::Text(text) => Retention::Single(Spanned::new(text, referenced, defined)),
            Shape::List(entries) => Retention::List(entries),
        })
    }
}

enum Shape {
    Text(String),
    List(Vec<Entry>),
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a duration like 15d, or a list of entries like {match: '{job=\"debug\"}', keep: 3d}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Shape, E> {
        Ok(Shape::Text(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Shape, E> {
        Ok(Shape::Text(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Shape, E> {
        Ok(Shape::Text(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Shape, E> {
        Ok(Shape::Text(number.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Shape, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Shape::List)
    }
}
