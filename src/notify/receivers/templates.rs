//! The texts of receivers: templates from files and from the receivers themselves, filled in with a message.
//!
//! ```text
//! templates: [/etc/dozor/*.tmpl]      {{ define "shop.title" }}{{ .Status }} {{ .CommonLabels.region }}{{ end }}
//! title: '{{ template "shop.title" . }}'                                                           firing eu
//! ```
//!
//! Always true: a template that fails says so in the log and leaves its default, so that no page is lost by a template.

use std::fmt;
use std::path::{Path, PathBuf};

use super::facts::facts_of;
use crate::notify::Message;
use crate::notify::secret::read_text_file;
use crate::template::{Library, MessageData, MessageTemplate, TemplateError};

/// Defined before anything that a file defines.
const DEFAULTS: &str = include_str!("defaults.tmpl");
/// Most files of templates.
const FILES_COUNT_MAX: usize = 1000;
/// With how many alerts a text is tried again that fails with all.
const FEWER_ALERTS: [usize; 4] = [100, 20, 5, 1];
/// Longest file of templates, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 16;

/// What templates may call.
#[derive(Clone, Debug)]
pub(crate) struct Templates {
    library: Library,
}

impl Default for Templates {
    fn default() -> Templates {
        let mut library = Library::new();
        library.add("defaults.tmpl", DEFAULTS).expect("our own templates can be read");
        Templates { library }
    }
}

impl Templates {
    /// Adds the files of one pattern, whose last part may have `*`; of none that is there nothing is said, as in
    /// Alertmanager. Fails with what is wrong with one of them.
    pub(super) fn add_files(&mut self, folder: &Path, pattern: &str) -> Result<(), String> {
        for path in files_of(&folder.join(pattern))? {
            let text = read_text_file(&path, FILE_BYTES_MAX).map_err(|error| format!("{}: {error}", path.display()))?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            self.library
                .add(&name, &text)
                .map_err(|error| format!("{}:{}:{}: {}", path.display(), error.line, error.column, error.what))?;
        }
        Ok(())
    }

    /// A template that this text calls and nobody defines.
    pub(super) fn missing(&self, text: &Text) -> Option<String> {
        text.0.as_ref().and_then(|template| template.missing(&self.library))
    }
}

#[expect(clippy::disallowed_methods, reason = "files of the operator's, not of our data folder")]
fn files_of(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = pattern.parent().unwrap_or(Path::new("."));
    if folder.to_string_lossy().contains(['*', '?', '[']) {
        return Err("only the last part of the path may have patterns".to_owned());
    }
    if !name.contains(['*', '?', '[']) {
        return Ok(vec![pattern.to_owned()]);
    }
    let matcher = wildcard(&name)?;
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| matcher.is_match(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .take(FILES_COUNT_MAX + 1)
        .collect();
    if found.len() > FILES_COUNT_MAX {
        return Err(format!("there are more than {FILES_COUNT_MAX} such files"));
    }
    found.sort();
    Ok(found)
}

/// `*.tmpl` as a regular expression.
fn wildcard(name: &str) -> Result<regex::Regex, String> {
    let mut pattern = String::from("^");
    for letter in name.chars() {
        match letter {
            '*' => pattern.push_str("[^/]*"),
            '?' => pattern.push_str("[^/]"),
            '[' | ']' | '-' => pattern.push(letter),
            _ => pattern.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4]))),
        }
    }
    regex::Regex::new(&(pattern + "$")).map_err(|_| format!("{name:?} is no pattern"))
}

/// A text with places to be filled in; the empty one has none.
#[derive(Clone)]
pub(crate) struct Text(Option<MessageTemplate>);

impl Text {
    pub(super) fn parse(text: &str) -> Result<Text, TemplateError> {
        if text.is_empty() {
            return Ok(Text(None));
        }
        MessageTemplate::parse(text).map(|template| Text(Some(template)))
    }

    /// One of ours.
    pub(super) fn of_ours(text: &str) -> Text {
        Text::parse(text).expect("our own templates can be read")
    }

    /// As it was written.
    pub(super) fn written(&self) -> &str {
        self.0.as_ref().map_or("", MessageTemplate::text)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A routing key may be a template.
        f.write_str(if self.0.is_some() { "Text(…)" } else { "Text()" })
    }
}

/// A message as templates see it, and what went wrong with them.
pub(super) struct Filling<'a> {
    templates: &'a Templates,
    /// The whole message, and with its first alerts only, for texts that would grow too long.
    data: Vec<MessageData>,
    at_ms: i64,
    receiver: &'a str,
    as_html: bool,
}

impl<'a> Filling<'a> {
    /// `receiver` as Alertmanager shows it; `at_ms` is what `now` says.
    pub(super) fn new(
        templates: &'a Templates,
        message: &Message,
        receiver: &'a str,
        external_url: &str,
        at_ms: i64,
    ) -> Filling<'a> {
        let mut facts = facts_of(message, receiver, external_url);
        let mut data = vec![MessageData::new(&facts)];
        for count in FEWER_ALERTS.into_iter().filter(|count| *count < message.alerts.len()) {
            facts.alerts.truncate(count);
            data.push(MessageData::new(&facts));
        }
        Filling { templates, data, at_ms, receiver, as_html: false }
    }

    /// Values are escaped as a page needs it.
    pub(super) fn as_html(self) -> Filling<'a> {
        Filling { as_html: true, ..self }
    }

    /// What the text comes to, or in Go's words why it comes to nothing. Where the whole message is too much, what it
    /// comes to with fewer alerts.
    fn fill(&self, text: &Text) -> Result<String, String> {
        let Some(template) = &text.0 else { return Ok(String::new()) };
        let fill = |data: &MessageData| template.fill(&self.templates.library, data, self.at_ms, self.as_html);
        let mut outcome = fill(&self.data[0]);
        for data in &self.data[1..] {
            if outcome.is_ok() {
                break;
            }
            outcome = fill(data).or(outcome);
        }
        outcome
    }

    /// What the text comes to; where it fails, what the default does, and the log says so.
    pub(super) fn text(&self, field: &str, text: &Text, default: &str) -> String {
        self.fill(text).unwrap_or_else(|error| {
            tracing::error!(receiver = self.receiver, field, error, "the template failed; its default is sent");
            self.fill(&Text::of_ours(default)).unwrap_or_default()
        })
    }
}
