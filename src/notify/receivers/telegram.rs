//! Telegram's Bot API: `sendMessage`.
//!
//! ```json
//! {"chat_id":-5,"text":"\n\nAlerts Firing:\n…","parse_mode":"HTML","disable_web_page_preview":true}
//! ```
//!
//! Always true: the token stands in the address, which nobody is shown; a text is at most 4,096 UTF-16 units long as Telegram
//! counts, a longer one is sent as plain text with its end cut off.

use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::client::{Reply, Request};
use super::integration::{Told, address};
use super::options::{ParseMode, Source, TelegramOptions};
use super::shape::Hidden;
use super::templates::Text;
use crate::notify::RETRY_AFTER_MAX;
use crate::notify::answer::{Answer, Heard};

/// Longest text, in UTF-16 units, without markup.
const TEXT_UNITS_MAX: usize = 4096;
/// Longest text with markup, in bytes.
const MARKUP_BYTES_MAX: usize = 1 << 15;
/// What MarkdownV2 takes for markup.
const MARKUP_LETTERS: &str = "_*[]()~`>#+-=|{}.!\\";

pub(super) const MESSAGE: &str = r#"{{ template "telegram.default.message" . }}"#;

pub(super) struct Telegram {
    pub(super) url: Url,
    chat_id: ChatId,
    options: TelegramOptions,
}

/// A number, or the name of a public channel.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum ChatId {
    Number(i64),
    Name(String),
}

#[derive(Serialize)]
struct Body<'a> {
    chat_id: &'a ChatId,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parse_mode: Option<&'static str>,
    disable_web_page_preview: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_notification: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_thread_id: Option<i64>,
}

#[derive(Deserialize)]
struct Spoken {
    ok: bool,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Default, Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
    migrate_to_chat_id: Option<i64>,
}

impl Telegram {
    pub(super) fn new(options: &TelegramOptions) -> Result<Telegram, String> {
        let token = options.token.read()?;
        if token.reveal().contains(['/', '?', '#', ' ', '%']) {
            return Err("its bot token has letters that no token has".to_owned());
        }
        let base = options.api_url.trim_end_matches('/');
        let url = address(&Source::Given(Hidden::new(&format!("{base}/bot{}/sendMessage", token.reveal()))))?;
        let chat = options.chat_id.read()?;
        let chat_id = match chat.reveal().parse() {
            Ok(number) => ChatId::Number(number),
            Err(_) if chat.reveal().starts_with('@') => ChatId::Name(chat.reveal().to_owned()),
            Err(_) => return Err("its chat_id is neither a number nor @ and a name".to_owned()),
        };
        Ok(Telegram { url, chat_id, options: options.clone() })
    }

    pub(super) fn request(&self, told: &Told<'_>) -> Result<Request, String> {
        let (text, parse_mode) = match self.options.parse_mode {
            ParseMode::Html => {
                let text = told.filling().for_a_page().text("message", &self.options.message, MESSAGE);
                (text, Some("HTML"))
            }
            ParseMode::MarkdownV2 => {
                let text = told.filling().text("message", &self.options.message, MESSAGE);
                (if self.options.is_default { escaped(&text) } else { text }, Some("MarkdownV2"))
            }
            ParseMode::Markdown => (told.filling().text("message", &self.options.message, MESSAGE), Some("Markdown")),
            ParseMode::Plain => return self.plain_request(told),
        };
        let visible = if parse_mode == Some("HTML") { units(&without_tags(&text)) } else { units(&text) };
        if visible > TEXT_UNITS_MAX || text.len() > MARKUP_BYTES_MAX {
            return self.plain_request(told);
        }
        Ok(self.body(if text.trim().is_empty() { told.message.group_key.clone() } else { text }, parse_mode))
    }

    /// The message without markup, and no longer than it may be.
    pub(super) fn plain_request(&self, told: &Told<'_>) -> Result<Request, String> {
        let text = match self.options.parse_mode {
            ParseMode::Html => {
                let text = told.filling().for_a_page().text("message", &self.options.message, MESSAGE);
                without_tags(&text)
            }
            _ => told.filling().text("message", &self.options.message, MESSAGE),
        };
        let text = if text.trim().is_empty() { told.message.group_key.clone() } else { text };
        Ok(self.body(cut(&text), None))
    }

    fn body(&self, text: String, parse_mode: Option<&'static str>) -> Request {
        let body = Body {
            chat_id: &self.chat_id,
            text,
            parse_mode,
            disable_web_page_preview: true,
            disable_notification: self.options.is_silent,
            message_thread_id: self.options.thread_id,
        };
        let body = serde_json::to_vec(&body).expect("strings and numbers are always JSON");
        Request { url: self.url.clone(), headers: Vec::new(), body }
    }

    /// What Telegram means; how long to wait stands in the answer's body.
    pub(super) fn verdict(reply: &Reply) -> Answer {
        let Ok(spoken) = serde_json::from_slice::<Spoken>(&reply.body) else {
            return match reply.verdict() {
                Answer::Delivered { .. } => {
                    let reason = format!("not an answer of Telegram's: {}", reply.shown());
                    Answer::Retry { reason, after: None, heard: Heard::Nothing }
                }
                verdict => verdict,
            };
        };
        let said = format!("Telegram says: {}", spoken.description.chars().take(200).collect::<String>());
        if let Some(chat) = spoken.parameters.migrate_to_chat_id {
            return Answer::Refused { reason: format!("{said}; the group's chat_id is {chat} now") };
        }
        match reply.verdict() {
            Answer::Delivered { .. } if !spoken.ok => Answer::Refused { reason: said },
            Answer::Retry { after, .. } => {
                let asked = spoken.parameters.retry_after.map(|s| Duration::from_secs(s).min(RETRY_AFTER_MAX));
                Answer::Retry { reason: said, after: asked.or(after), heard: Heard::Error }
            }
            Answer::Refused { .. } => Answer::Refused { reason: said },
            delivered => delivered,
        }
    }

    /// Whether a refusal is of the markup and not of the message.
    pub(super) fn is_about_markup(reason: &str) -> bool {
        reason.contains("can't parse entities")
    }
}

impl TelegramOptions {
    /// Whether the operator wrote no message.
    pub(super) fn says_default(message: &Text) -> bool {
        message.written() == MESSAGE
    }
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The first [`TEXT_UNITS_MAX`] units, the last of them `…` where some are left off.
fn cut(text: &str) -> String {
    if units(text) <= TEXT_UNITS_MAX {
        return text.to_owned();
    }
    let mut left = TEXT_UNITS_MAX - 1;
    let fits = |letter: &char| {
        let fits = letter.len_utf16() <= left;
        left = left.saturating_sub(letter.len_utf16());
        fits
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// A backslash in front of everything that MarkdownV2 takes for markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if MARKUP_LETTERS.contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// What Telegram shows of a page.
fn without_tags(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let (shown, length) = if rest.starts_with('<') { tag(rest) } else { entity(rest) };
        text.extend(shown);
        rest = &rest[length..];
    }
    text + rest
}

/// A tag shows nothing; a `<` that opens none shows itself.
fn tag(rest: &str) -> (Option<char>, usize) {
    let opens = rest[1..].starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '/');
    match rest.find('>').filter(|_| opens) {
        Some(end) => (None, end + 1),
        None => (Some('<'), 1),
    }
}

fn entity(rest: &str) -> (Option<char>, usize) {
    let named = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&'), ("&quot;", '"')];
    if let Some((name, letter)) = named.iter().find(|(name, _)| rest.starts_with(name)) {
        return (Some(*letter), name.len());
    }
    let number = rest.strip_prefix("&#").and_then(|rest| rest.split_once(';')).map(|(digits, _)| digits);
    let letter = number.filter(|digits| digits.len() < 8).and_then(|digits| {
        let code = match digits.strip_prefix('x') {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => digits.parse().ok(),
        };
        code.and_then(char::from_u32).map(|letter| (letter, digits.len() + 3))
    });
    letter.map_or((Some('&'), 1), |(letter, length)| (Some(letter), length))
}
