//! Maps of a configuration file that are read whole, with everything in them that nobody knows, so that all mistakes
//! can be told at once.
//!
//! ```text
//! shape! { Hook { url: Hidden, max_alerts: String } }
//! { url: http://pager/, max_alert: 5 }   gives   url with its place, and the stranger `max_alert` with its place
//! ```
//!
//! Always true: a value stays as it was written until somebody says what is wrong with it, and where; what is secret
//! cannot be printed.

use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

/// A text as it was written, and where.
pub(crate) type Scalar = Spanned<String>;

/// A text that nobody is shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hidden(String);

impl Hidden {
    pub(crate) fn new(text: &str) -> Hidden {
        Hidden(text.to_owned())
    }

    /// The text itself, for the request in which it belongs.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hidden, D::Error> {
        String::deserialize(deserializer).map(Hidden)
    }
}

/// A map with known keys, each of which may lack, and the keys that nobody knows.
macro_rules! shape {
    ($(#[$about:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default)]
        pub(crate) struct $name {
            $(pub(super) $field: Option<serde_saphyr::Spanned<$type>>,)*
            /// Keys that are none of these.
            pub(super) strangers: Vec<$crate::notify::receivers::shape::Scalar>,
        }

        impl $name {
            /// The keys that it knows.
            pub(super) const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                struct Reader;
                impl<'de> serde::de::Visitor<'de> for Reader {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a map")
                    }

                    fn visit_unit<E: serde::de::Error>(self) -> Result<$name, E> {
                        Ok($name::default())
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut shape = $name::default();
                        while let Some(key) = map.next_key::<$crate::notify::receivers::shape::Scalar>()? {
                            match key.value.as_str() {
                                $(name if name == stringify!($field).trim_start_matches("r#") => {
                                    shape.$field = map.next_value()?;
                                })*
                                _ => {
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                    shape.strangers.push(key);
                                }
                            }
                        }
                        Ok(shape)
                    }
                }
                deserializer.deserialize_map(Reader)
            }
        }
    };
}
pub(super) use shape;
