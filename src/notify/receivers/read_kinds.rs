//! The kinds of receivers as a file writes them, and what each must have.

use serde_saphyr::Spanned;

use super::file::{
    PagerDutyFile, PagerDutyImage, PagerDutyLink, SlackAction, SlackConfirm, SlackField, SlackFile, TelegramFile,
    WebhookFile,
};
use super::options::{
    KindOptions, PagerDutyOptions, ParseMode, SlackActionOptions, SlackOptions, Source, TelegramOptions, WebhookOptions,
};
use super::read::{Common, Reader, list};
use super::shape::Hidden;
use super::templates::Text;
use super::{pagerduty, slack, telegram};

const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";
const SLACK_APP_URL: &str = "https://slack.com/api/chat.postMessage";
const TELEGRAM_URL: &str = "https://api.telegram.org";

macro_rules! common {
    ($($file:ty),*) => {
        $(impl $file {
            pub(super) fn common(&self) -> Common<'_> {
                let (send_resolved, timeout) = (self.send_resolved.as_ref(), self.timeout.as_ref());
                Common { send_resolved, http: self.http_config.as_ref(), timeout }
            }
        })*
    };
}
common!(WebhookFile, PagerDutyFile, SlackFile, TelegramFile);

impl Reader<'_> {
    pub(super) fn webhook(&mut self, given: &Spanned<WebhookFile>) -> Option<KindOptions> {
        let file = &given.value;
        self.strangers(&file.strangers, "webhook_configs", WebhookFile::KEYS);
        let url = self.source(file.url.as_ref(), file.url_file.as_ref(), ("url", "url_file"));
        match (&url, &file.url) {
            (Some(Source::Given(url)), Some(place)) => self.check_address(place.referenced, "url", url.reveal()),
            (None, None) if file.url_file.is_none() => {
                self.refuse(given.referenced, "a webhook has no url", "add url or url_file");
            }
            _ => {}
        }
        let alerts_max = self.number(file.max_alerts.as_ref(), "max_alerts").unwrap_or(0);
        let alerts_max = u64::try_from(alerts_max).unwrap_or_else(|_| {
            self.refuse(given.referenced, "max_alerts is below 0", "write 0 for all alerts");
            0
        });
        Some(KindOptions::Webhook(WebhookOptions { url: url?, secrets: Vec::new(), alerts_max, template: None }))
    }

    pub(super) fn pagerduty(&mut self, given: &Spanned<PagerDutyFile>) -> Option<KindOptions> {
        let file = &given.value;
        self.strangers(&file.strangers, "pagerduty_configs", PagerDutyFile::KEYS);
        let names = ("routing_key", "routing_key_file");
        let routing_key = self.source(file.routing_key.as_ref(), file.routing_key_file.as_ref(), names);
        if routing_key.is_none() && file.routing_key.is_none() {
            self.refuse(given.referenced, "a PagerDuty receiver has no routing_key", "add routing_key_file");
        }
        if let Some(key) = file.routing_key.as_ref().filter(|key| key.value.reveal().contains("{{")) {
            let hint = "make a receiver for each key, and let routes choose";
            self.refuse(key.referenced, "routing_key is a template", hint);
        }
        let url = file.url.as_ref().or(self.global.pagerduty_url.as_ref());
        if let Some(url) = url {
            self.check_address(url.referenced, "url", &url.value);
        }
        let client = self.text(file.client.as_ref(), pagerduty::CLIENT);
        let source = file.source.as_ref().map(|source| self.text_at(source)).unwrap_or_else(|| client.clone());
        Some(KindOptions::PagerDuty(Box::new(PagerDutyOptions {
            routing_key: routing_key?,
            url: url.map_or(PAGERDUTY_URL, |url| &url.value).to_owned(),
            client_url: self.text(file.client_url.as_ref(), pagerduty::CLIENT_URL),
            description: self.text(file.description.as_ref(), pagerduty::DESCRIPTION),
            severity: self.text(file.severity.as_ref(), pagerduty::SEVERITY),
            class: self.text(file.class.as_ref(), ""),
            component: self.text(file.component.as_ref(), ""),
            group: self.text(file.group.as_ref(), ""),
            details: self.details(file),
            images: list(&file.images).map(|image| self.image(&image.value)).collect(),
            links: list(&file.links).map(|link| self.link(&link.value)).collect(),
            client,
            source,
        })))
    }

    /// The operator's details over the usual ones.
    fn details(&mut self, file: &PagerDutyFile) -> Vec<(String, Text)> {
        let mut details: Vec<(String, Text)> =
            pagerduty::DETAILS.iter().map(|(name, text)| ((*name).to_owned(), Text::of_ours(text))).collect();
        for (name, given) in file.details.iter().flat_map(|details| &details.value) {
            let text = self.text_at(given);
            match details.iter_mut().find(|(known, _)| known == name) {
                Some(detail) => detail.1 = text,
                None => details.push((name.clone(), text)),
            }
        }
        details
    }

    fn image(&mut self, image: &PagerDutyImage) -> [Text; 3] {
        self.strangers(&image.strangers, "images", PagerDutyImage::KEYS);
        [&image.src, &image.href, &image.alt].map(|text| self.text(text.as_ref(), ""))
    }

    fn link(&mut self, link: &PagerDutyLink) -> [Text; 2] {
        self.strangers(&link.strangers, "links", PagerDutyLink::KEYS);
        [&link.href, &link.text].map(|text| self.text(text.as_ref(), ""))
    }

    pub(super) fn slack(&mut self, given: &Spanned<SlackFile>) -> Option<KindOptions> {
        let file = &given.value;
        self.strangers(&file.strangers, "slack_configs", SlackFile::KEYS);
        if self.switch(file.update_message.as_ref(), "update_message", false)
            && let Some(place) = &file.update_message
        {
            let hint = "remove it: each notification is a message of its own";
            self.refuse(place.referenced, "messages are not edited", hint);
        }
        let (url, token) = self.slack_way(given)?;
        let short_fields = self.switch(file.short_fields.as_ref(), "short_fields", false);
        Some(KindOptions::Slack(Box::new(SlackOptions {
            url,
            token,
            channel: self.text(file.channel.as_ref(), ""),
            username: self.text(file.username.as_ref(), slack::USERNAME),
            color: self.text(file.color.as_ref(), slack::COLOR),
            title: self.text(file.title.as_ref(), slack::TITLE),
            title_link: self.text(file.title_link.as_ref(), slack::TITLE_LINK),
            pretext: self.text(file.pretext.as_ref(), slack::PRETEXT),
            text: self.text(file.text.as_ref(), slack::TEXT),
            message_text: self.text(file.message_text.as_ref(), ""),
            fields: list(&file.fields).map(|field| self.slack_field(field, short_fields)).collect(),
            footer: self.text(file.footer.as_ref(), slack::FOOTER),
            fallback: self.text(file.fallback.as_ref(), slack::FALLBACK),
            callback_id: self.text(file.callback_id.as_ref(), slack::CALLBACK_ID),
            icon_emoji: self.text(file.icon_emoji.as_ref(), slack::ICON_EMOJI),
            icon_url: self.text(file.icon_url.as_ref(), slack::ICON_URL),
            image_url: self.text(file.image_url.as_ref(), ""),
            thumb_url: self.text(file.thumb_url.as_ref(), ""),
            link_names: self.switch(file.link_names.as_ref(), "link_names", false),
            mrkdwn_in: list(&file.mrkdwn_in).map(|place| place.value.clone()).collect(),
            actions: list(&file.actions).map(|action| self.slack_action(action)).collect(),
        })))
    }

    /// An incoming webhook, or an app with its token; the receiver's own come before the global ones.
    fn slack_way(&mut self, given: &Spanned<SlackFile>) -> Option<(Source, Option<Source>)> {
        let (file, global) = (&given.value, self.global);
        let url_names = ("api_url", "api_url_file");
        let own_url = self.source(file.api_url.as_ref(), file.api_url_file.as_ref(), url_names);
        if let Some(url) = &file.api_url {
            self.check_address(url.referenced, "api_url", url.value.reveal());
        }
        let own_token =
            self.source(file.app_token.as_ref(), file.app_token_file.as_ref(), ("app_token", "app_token_file"));
        if own_url.is_some() && own_token.is_some() {
            self.refuse(given.referenced, "there are both api_url and app_token", "keep one");
            return None;
        }
        let app_url = |file: &SlackFile| {
            let url = file.app_url.as_ref().or(global.slack_app_url.as_ref());
            Source::Given(Hidden::new(url.map_or(SLACK_APP_URL, |url| &url.value)))
        };
        if let Some(token) = own_token {
            return Some((app_url(file), Some(token)));
        }
        let global_names = ("slack_api_url", "slack_api_url_file");
        let url = own_url
            .or_else(|| self.source(global.slack_api_url.as_ref(), global.slack_api_url_file.as_ref(), global_names));
        if let Some(url) = url {
            return Some((url, None));
        }
        let token_names = ("slack_app_token", "slack_app_token_file");
        let token = self.source(global.slack_app_token.as_ref(), global.slack_app_token_file.as_ref(), token_names);
        if token.is_none() {
            let hint = "add api_url_file with the address of an incoming webhook, or app_token_file";
            self.refuse(given.referenced, "a Slack receiver has neither api_url nor app_token", hint);
        }
        token.map(|token| (app_url(file), Some(token)))
    }

    fn slack_field(&mut self, given: &Spanned<SlackField>, short: bool) -> (Text, Text, bool) {
        let field = &given.value;
        self.strangers(&field.strangers, "fields", SlackField::KEYS);
        if field.title.is_none() || field.value.is_none() {
            self.refuse(given.referenced, "a field needs title and value", "");
        }
        let short = self.switch(field.short.as_ref(), "short", short);
        (self.text(field.title.as_ref(), ""), self.text(field.value.as_ref(), ""), short)
    }

    fn slack_action(&mut self, given: &Spanned<SlackAction>) -> SlackActionOptions {
        let action = &given.value;
        self.strangers(&action.strangers, "actions", SlackAction::KEYS);
        if action.r#type.is_none() || action.text.is_none() || action.url.is_none() && action.name.is_none() {
            self.refuse(given.referenced, "an action needs type, text, and url or name", "");
        }
        // A button that opens a page does nothing else.
        let is_link = action.url.is_some();
        let only = |text: &Option<super::shape::Scalar>, wanted: bool| text.clone().filter(|_| wanted);
        SlackActionOptions {
            kind: self.text(action.r#type.as_ref(), ""),
            text: self.text(action.text.as_ref(), ""),
            url: self.text(action.url.as_ref(), ""),
            style: self.text(action.style.as_ref(), ""),
            name: self.text(only(&action.name, !is_link).as_ref(), ""),
            value: self.text(only(&action.value, !is_link).as_ref(), ""),
            confirm: action.confirm.as_ref().filter(|_| !is_link).map(|confirm| self.slack_confirm(confirm)),
        }
    }

    fn slack_confirm(&mut self, given: &Spanned<SlackConfirm>) -> [Text; 4] {
        let confirm = &given.value;
        self.strangers(&confirm.strangers, "confirm", SlackConfirm::KEYS);
        if confirm.text.is_none() {
            self.refuse(given.referenced, "confirm needs a text", "");
        }
        [&confirm.text, &confirm.title, &confirm.ok_text, &confirm.dismiss_text]
            .map(|text| self.text(text.as_ref(), ""))
    }

    pub(super) fn telegram(&mut self, given: &Spanned<TelegramFile>) -> Option<KindOptions> {
        let (file, global) = (&given.value, self.global);
        self.strangers(&file.strangers, "telegram_configs", TelegramFile::KEYS);
        let names = ("bot_token", "bot_token_file");
        let token = self.source(file.bot_token.as_ref(), file.bot_token_file.as_ref(), names).or_else(|| {
            let names = ("telegram_bot_token", "telegram_bot_token_file");
            self.source(global.telegram_bot_token.as_ref(), global.telegram_bot_token_file.as_ref(), names)
        });
        if token.is_none() {
            self.refuse(given.referenced, "a Telegram receiver has no bot_token", "add bot_token_file");
        }
        let chat_id = match (&file.chat_id, &file.chat_id_file) {
            (Some(id), None) => Some(Source::Given(Hidden::new(&id.value))),
            (None, Some(_)) => self.source(None, file.chat_id_file.as_ref(), ("chat_id", "chat_id_file")),
            _ => {
                self.refuse(given.referenced, "a Telegram receiver needs one of chat_id and chat_id_file", "");
                None
            }
        };
        let api_url = file.api_url.as_ref().or(global.telegram_api_url.as_ref());
        if let Some(url) = api_url {
            self.check_address(url.referenced, "api_url", &url.value);
        }
        let message = self.text(file.message.as_ref(), telegram::MESSAGE);
        let (is_silent, parse_mode) =
            (self.switch(file.disable_notifications.as_ref(), "disable_notifications", false), self.parse_mode(file));
        Some(KindOptions::Telegram(Box::new(TelegramOptions {
            api_url: api_url.map_or(TELEGRAM_URL, |url| &url.value).to_owned(),
            token: token?,
            chat_id: chat_id?,
            thread_id: self.number(file.message_thread_id.as_ref(), "message_thread_id"),
            is_default: TelegramOptions::says_default(&message),
            message,
            is_silent,
            parse_mode,
        })))
    }

    fn parse_mode(&mut self, file: &TelegramFile) -> ParseMode {
        let Some(given) = &file.parse_mode else { return ParseMode::Html };
        match given.value.as_str() {
            "HTML" => ParseMode::Html,
            "MarkdownV2" => ParseMode::MarkdownV2,
            "Markdown" => ParseMode::Markdown,
            "" => ParseMode::Plain,
            other => {
                let hint = "write HTML, MarkdownV2, Markdown, or nothing between quotes for plain text";
                self.refuse(given.referenced, format!("parse_mode is {other:?}"), hint);
                ParseMode::Plain
            }
        }
    }
}
