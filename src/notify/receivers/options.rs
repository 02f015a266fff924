//! What a receiver's configuration came to: values of their kinds, defaults filled in, secrets not yet read.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::shape::Hidden;
use super::templates::Text;
use crate::notify::Secret;
use crate::notify::secret::read_text_file;

/// Longest file with a secret or an address, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Longest file of certificates to trust, in bytes.
const CERTIFICATES_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Something secret: in the configuration, or in a file that is read when the configuration is taken.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Given(Hidden),
    File(PathBuf),
}

impl Source {
    /// The secret, without white space around it.
    pub(super) fn read(&self) -> Result<Hidden, String> {
        match self {
            Source::Given(hidden) => Ok(hidden.clone()),
            Source::File(path) => {
                let shown = path.display();
                let text = read_text_file(path, SECRET_FILE_BYTES_MAX).map_err(|error| format!("{shown}: {error}"))?;
                match text.trim() {
                    "" => Err(format!("{shown} is empty")),
                    text => Ok(Hidden::new(text)),
                }
            }
        }
    }
}

/// How a connection is made.
#[derive(Clone, Debug)]
pub(crate) struct HttpOptions {
    pub authorization: Option<AuthorizationOptions>,
    /// Certificates to trust instead of the machine's, in PEM.
    pub certificates: Option<CertificatesOptions>,
    pub follows_redirects: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum AuthorizationOptions {
    /// `Authorization: <kind> <credentials>`.
    Token {
        kind: String,
        credentials: Source,
    },
    Basic {
        username: Source,
        password: Option<Source>,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum CertificatesOptions {
    Given(String),
    File(PathBuf),
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions { authorization: None, certificates: None, follows_redirects: true }
    }
}

impl HttpOptions {
    /// The whole value of the header.
    pub(super) fn read_authorization(&self) -> Result<Option<Hidden>, String> {
        let value = match &self.authorization {
            None => return Ok(None),
            Some(AuthorizationOptions::Token { kind, credentials }) => {
                format!("{kind} {}", credentials.read()?.reveal())
            }
            Some(AuthorizationOptions::Basic { username, password }) => {
                let password = password.as_ref().map(Source::read).transpose()?;
                let password = password.as_ref().map_or("", Hidden::reveal);
                format!("Basic {}", STANDARD.encode(format!("{}:{password}", username.read()?.reveal())))
            }
        };
        Ok(Some(Hidden::new(&value)))
    }

    pub(super) fn read_certificates(&self) -> Result<Option<String>, String> {
        match &self.certificates {
            None => Ok(None),
            Some(CertificatesOptions::Given(text)) => Ok(Some(text.clone())),
            Some(CertificatesOptions::File(path)) => {
                let text = read_text_file(path, CERTIFICATES_BYTES_MAX);
                text.map(Some).map_err(|error| format!("{}: {error}", path.display()))
            }
        }
    }
}

/// What is told, in which shape.
#[derive(Clone, Debug)]
pub(crate) enum KindOptions {
    Webhook(WebhookOptions),
    PagerDuty(Box<PagerDutyOptions>),
    Slack(Box<SlackOptions>),
    Telegram(Box<TelegramOptions>),
}

#[derive(Clone, Debug)]
pub(crate) struct WebhookOptions {
    pub url: Source,
    /// Keys that sign, the newest first.
    pub secrets: Vec<Secret>,
    /// 0: all.
    pub alerts_max: u64,
    /// A body of the operator's own, in minijinja's language.
    pub template: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct PagerDutyOptions {
    pub routing_key: Source,
    pub url: String,
    pub client: Text,
    pub client_url: Text,
    pub description: Text,
    pub severity: Text,
    pub source: Text,
    pub class: Text,
    pub component: Text,
    pub group: Text,
    pub details: Vec<(String, Text)>,
    /// `src`, `href`, `alt`.
    pub images: Vec<[Text; 3]>,
    /// `href`, `text`.
    pub links: Vec<[Text; 2]>,
}

#[derive(Clone, Debug)]
pub(crate) struct SlackOptions {
    pub url: Source,
    /// Of an app, for `chat.postMessage`.
    pub token: Option<Source>,
    pub channel: Text,
    pub username: Text,
    pub color: Text,
    pub title: Text,
    pub title_link: Text,
    pub pretext: Text,
    pub text: Text,
    pub message_text: Text,
    /// Title, value, whether it is short.
    pub fields: Vec<(Text, Text, bool)>,
    pub footer: Text,
    pub fallback: Text,
    pub callback_id: Text,
    pub icon_emoji: Text,
    pub icon_url: Text,
    pub image_url: Text,
    pub thumb_url: Text,
    pub link_names: bool,
    pub mrkdwn_in: Vec<String>,
    pub actions: Vec<SlackActionOptions>,
}

#[derive(Clone, Debug)]
pub(crate) struct SlackActionOptions {
    pub kind: Text,
    pub text: Text,
    pub url: Text,
    pub style: Text,
    pub name: Text,
    pub value: Text,
    /// Text, title, the word for yes and the word for no.
    pub confirm: Option<[Text; 4]>,
}

#[derive(Clone, Debug)]
pub(crate) struct TelegramOptions {
    pub api_url: String,
    pub token: Source,
    pub chat_id: Source,
    pub thread_id: Option<i64>,
    pub message: Text,
    /// Whether it is the default message, which has no markup.
    pub is_default: bool,
    pub is_silent: bool,
    pub parse_mode: ParseMode,
}

/// How Telegram reads a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParseMode {
    Plain,
    Html,
    Markdown,
    MarkdownV2,
}
