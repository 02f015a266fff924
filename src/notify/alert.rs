//! An alert: the labels that name it, the words that explain it, since when, and until when.

use std::fmt;

use jiff::Timestamp;

use crate::model::Labels;

/// Most annotations that an alert may carry to a receiver; those after it are left off.
pub const ANNOTATIONS_COUNT_MAX: usize = 64;
/// Longest name or text of an annotation, and longest generator URL, in bytes; longer ones are cut and end in `…`.
pub const ANNOTATION_BYTES_MAX: usize = 4096;

/// One alert as the rules report it. It fires while `ends_at_ms` is `None`, and is resolved when it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What names the alert: two alerts of equal labels are the same alert.
    pub labels: Labels,
    /// Words for the reader, sorted by name.
    pub annotations: Vec<(String, String)>,
    /// When the trouble began, in ms since 1970 UTC.
    pub starts_at_ms: i64,
    /// When it ended, in ms since 1970 UTC; `None` while it lasts.
    pub ends_at_ms: Option<i64>,
    /// Where its cause can be looked at; may be empty.
    pub generator_url: String,
}

/// The two things that can be said about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The trouble is there.
    Firing,
    /// The trouble is over.
    Resolved,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        })
    }
}

impl Alert {
    /// The hash of the labels, the same on every machine; receivers see it as 16 hexadecimal digits.
    pub fn fingerprint(&self) -> u64 {
        self.labels.hash()
    }

    /// Whether the trouble lasts.
    pub fn status(&self) -> Status {
        if self.ends_at_ms.is_some() { Status::Resolved } else { Status::Firing }
    }

    /// When the trouble behind it began, in ms since 1970 UTC: what its annotation `onset` says, if that is a time before
    /// its start.
    pub fn began_ms(&self) -> i64 {
        let told = self.annotations.iter().find(|(name, _)| name == "onset");
        let onset = told.and_then(|(_, text)| text.parse::<Timestamp>().ok());
        onset.map_or(self.starts_at_ms, |onset| onset.as_millisecond().min(self.starts_at_ms))
    }

    /// Names this transition of this alert: `<fingerprint>-<start in ms>-<status>`. Made from nothing else, so that the
    /// same transition reported again after a crash has the same id; and without a dot, which the signed text of a
    /// webhook uses to part its pieces.
    pub fn transition_id(&self) -> String {
        self.id_of(self.status())
    }

    /// [`Alert::transition_id`] of its beginning, or of its end.
    pub(crate) fn id_of(&self, status: Status) -> String {
        format!("{:016x}-{}-{status}", self.fingerprint(), self.starts_at_ms)
    }

    /// Bytes of its texts.
    pub(crate) fn text_bytes(&self) -> usize {
        let labels: usize = self.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        let annotations: usize = self.annotations.iter().map(|(name, text)| name.len() + text.len()).sum();
        labels + annotations + self.generator_url.len()
    }

    /// The alert with sorted annotations and every text within the limits. A page with its end cut off still wakes
    /// somebody; a refused one does not.
    pub(crate) fn bounded(&self) -> Alert {
        let mut annotations: Vec<_> = self.annotations.iter().map(|(name, text)| (cut(name), cut(text))).collect();
        annotations.sort();
        annotations.dedup_by(|next, kept| next.0 == kept.0);
        annotations.truncate(ANNOTATIONS_COUNT_MAX);
        Alert { annotations, generator_url: cut(&self.generator_url), ..self.clone() }
    }
}

fn cut(text: &str) -> String {
    const MARK: &str = "…";
    if text.len() <= ANNOTATION_BYTES_MAX {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(ANNOTATION_BYTES_MAX - MARK.len());
    format!("{}{MARK}", &text[..end])
}
