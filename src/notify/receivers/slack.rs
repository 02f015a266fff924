//! Slack: a message with one attachment, to an incoming webhook or, with an app's token, to `chat.postMessage`.
//!
//! Always true: Slack's `{"ok": false}` and its plain `invalid_token` are failures though their status is 200.

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::client::{Reply, Request};
use super::integration::{Told, address, cut};
use super::options::{SlackActionOptions, SlackOptions};
use super::shape::Hidden;
use super::templates::{Filling, Text};
use crate::notify::answer::{Answer, Heard};

/// Longest title, in letters.
const TITLE_LETTERS_MAX: usize = 1024;
/// Where Slack reads its markup, unless the configuration says otherwise.
const MARKUP_IN: [&str; 3] = ["fallback", "pretext", "text"];
/// What Slack says of itself rather than of the message.
const PASSING_ERRORS: [&str; 6] =
    ["ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"];

pub(super) const COLOR: &str = r#"{{ template "slack.default.color" . }}"#;
pub(super) const USERNAME: &str = r#"{{ template "slack.default.username" . }}"#;
pub(super) const TITLE: &str = r#"{{ template "slack.default.title" . }}"#;
pub(super) const TITLE_LINK: &str = r#"{{ template "slack.default.titlelink" . }}"#;
pub(super) const FALLBACK: &str = r#"{{ template "slack.default.fallback" . }}"#;
pub(super) const PRETEXT: &str = r#"{{ template "slack.default.pretext" . }}"#;
pub(super) const TEXT: &str = r#"{{ template "slack.default.text" . }}"#;
pub(super) const FOOTER: &str = r#"{{ template "slack.default.footer" . }}"#;
pub(super) const CALLBACK_ID: &str = r#"{{ template "slack.default.callbackid" . }}"#;
pub(super) const ICON_EMOJI: &str = r#"{{ template "slack.default.iconemoji" . }}"#;
pub(super) const ICON_URL: &str = r#"{{ template "slack.default.iconurl" . }}"#;

pub(super) struct Slack {
    pub(super) url: Url,
    token: Option<Hidden>,
    options: SlackOptions,
}

#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "String::is_empty")]
    channel: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_emoji: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    icon_url: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    link_names: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    attachments: [Attachment; 1],
}

#[derive(Serialize)]
struct Attachment {
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title_link: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pretext: String,
    text: String,
    fallback: String,
    callback_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<Action>,
    #[serde(skip_serializing_if = "String::is_empty")]
    image_url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thumb_url: String,
    footer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    color: String,
    mrkdwn_in: Vec<String>,
}

#[derive(Serialize)]
struct Field {
    title: String,
    value: String,
    short: bool,
}

#[derive(Serialize)]
struct Action {
    #[serde(rename = "type")]
    kind: String,
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    style: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm: Option<Confirm>,
}

#[derive(Serialize)]
struct Confirm {
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ok_text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dismiss_text: String,
}

/// Slack's answer to an app.
#[derive(Deserialize)]
struct Spoken {
    ok: bool,
    #[serde(default)]
    error: String,
}

impl Slack {
    pub(super) fn new(options: &SlackOptions) -> Result<Slack, String> {
        let token = options.token.as_ref().map(super::options::Source::read).transpose()?;
        Ok(Slack { url: address(&options.url)?, token, options: options.clone() })
    }

    pub(super) fn request(&self, told: &Told<'_>) -> Result<Request, String> {
        let (filling, options) = (told.filling(), &self.options);
        let plain = |field: &str, text: &Text| filling.text(field, text, "");
        let mrkdwn_in = match options.mrkdwn_in.as_slice() {
            [] => MARKUP_IN.map(str::to_owned).to_vec(),
            given => given.to_vec(),
        };
        let attachment = Attachment {
            title: cut(filling.text("title", &options.title, TITLE), TITLE_LETTERS_MAX),
            title_link: filling.text("title_link", &options.title_link, TITLE_LINK),
            pretext: plain("pretext", &options.pretext),
            text: plain("text", &options.text),
            fallback: filling.text("fallback", &options.fallback, FALLBACK),
            callback_id: plain("callback_id", &options.callback_id),
            fields: fields(&filling, &options.fields),
            actions: options.actions.iter().map(|action| filled_action(&filling, action)).collect(),
            image_url: plain("image_url", &options.image_url),
            thumb_url: plain("thumb_url", &options.thumb_url),
            footer: plain("footer", &options.footer),
            color: filling.text("color", &options.color, COLOR),
            mrkdwn_in,
        };
        let body = Body {
            channel: plain("channel", &options.channel),
            username: filling.text("username", &options.username, USERNAME),
            icon_emoji: plain("icon_emoji", &options.icon_emoji),
            icon_url: plain("icon_url", &options.icon_url),
            link_names: options.link_names,
            text: plain("message_text", &options.message_text),
            attachments: [attachment],
        };
        let body = serde_json::to_vec(&body).expect("strings, numbers and lists are always JSON");
        let authorization = self.token.as_ref().map(|token| ("authorization", format!("Bearer {}", token.reveal())));
        Ok(Request { url: self.url.clone(), headers: authorization.into_iter().collect(), body })
    }

    /// What Slack means: its web API answers every question with 200.
    pub(super) fn verdict(reply: &Reply) -> Answer {
        let verdict = reply.verdict();
        let Answer::Delivered { .. } = verdict else { return verdict };
        if !reply.is_json {
            let says_ok = reply.body.trim_ascii() == b"ok";
            return if says_ok {
                verdict
            } else {
                Answer::Refused { reason: format!("Slack says: {}", reply.shown()) }
            };
        }
        match serde_json::from_slice::<Spoken>(&reply.body) {
            Ok(Spoken { ok: true, .. }) => verdict,
            Ok(Spoken { error, .. }) if PASSING_ERRORS.contains(&error.as_str()) => {
                Answer::Retry { reason: format!("Slack says: {error}"), after: reply.after, heard: Heard::Error }
            }
            Ok(_) => Answer::Refused { reason: format!("Slack says: {}", reply.shown()) },
            Err(_) => {
                let reason = format!("not an answer of Slack's: {}", reply.shown());
                Answer::Retry { reason, after: None, heard: Heard::Nothing }
            }
        }
    }
}

fn fields(filling: &Filling<'_>, fields: &[(Text, Text, bool)]) -> Vec<Field> {
    let field = |(title, value, short): &(Text, Text, bool)| Field {
        title: filling.text("fields.title", title, ""),
        value: filling.text("fields.value", value, ""),
        short: *short,
    };
    fields.iter().map(field).collect()
}

fn filled_action(filling: &Filling<'_>, action: &SlackActionOptions) -> Action {
    let plain = |field: &str, text: &Text| filling.text(field, text, "");
    Action {
        kind: plain("actions.type", &action.kind),
        text: plain("actions.text", &action.text),
        url: plain("actions.url", &action.url),
        style: plain("actions.style", &action.style),
        name: plain("actions.name", &action.name),
        value: plain("actions.value", &action.value),
        confirm: action.confirm.as_ref().map(|[text, title, ok_text, dismiss_text]| Confirm {
            text: plain("confirm.text", text),
            title: plain("confirm.title", title),
            ok_text: plain("confirm.ok_text", ok_text),
            dismiss_text: plain("confirm.dismiss_text", dismiss_text),
        }),
    }
}
