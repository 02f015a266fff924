//! The part of Alertmanager's configuration file that says who is told and how: `global` and `receivers`, as they are
//! written. Every key of Alertmanager 0.33 is known here or named in a refusal.
//!
//! ```yaml
//! global:
//!   pagerduty_url: https://events.eu.pagerduty.com/v2/enqueue
//! receivers:
//! - name: duty
//!   pagerduty_configs:
//!   - routing_key_file: pagerduty.key
//! ```
//!
//! Always true: reading a file never fails for a key; `read.rs` tells all that is wrong with the keys, with their
//! places.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use super::shape::{Hidden, Scalar, shape};

shape! {
    /// `global`: what holds for all receivers that do not say otherwise.
    Global {
        resolve_timeout: String,
        http_config: Http,
        slack_api_url: Hidden,
        slack_api_url_file: String,
        slack_app_token: Hidden,
        slack_app_token_file: String,
        slack_app_url: String,
        pagerduty_url: String,
        telegram_api_url: String,
        telegram_bot_token: Hidden,
        telegram_bot_token_file: String,
    }
}

shape! {
    /// One of `receivers`.
    ReceiverFile {
        name: String,
        labels: IgnoredValue,
        webhook_configs: Vec<serde_saphyr::Spanned<WebhookFile>>,
        pagerduty_configs: Vec<serde_saphyr::Spanned<PagerDutyFile>>,
        slack_configs: Vec<serde_saphyr::Spanned<SlackFile>>,
        telegram_configs: Vec<serde_saphyr::Spanned<TelegramFile>>,
    }
}

/// What means nothing here and is let pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct IgnoredValue;

impl<'de> serde::Deserialize<'de> for IgnoredValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<IgnoredValue, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| IgnoredValue)
    }
}

shape! {
    /// One of `webhook_configs`.
    WebhookFile {
        send_resolved: String,
        http_config: Http,
        url: Hidden,
        url_file: String,
        max_alerts: String,
        timeout: String,
    }
}

shape! {
    /// One of `pagerduty_configs`.
    PagerDutyFile {
        send_resolved: String,
        http_config: Http,
        routing_key: Hidden,
        routing_key_file: String,
        url: String,
        client: String,
        client_url: String,
        description: String,
        severity: String,
        source: String,
        class: String,
        component: String,
        group: String,
        details: BTreeMap<String, Scalar>,
        images: Vec<serde_saphyr::Spanned<PagerDutyImage>>,
        links: Vec<serde_saphyr::Spanned<PagerDutyLink>>,
        timeout: String,
    }
}

shape! {
    /// A picture of a PagerDuty event.
    PagerDutyImage { href: String, src: String, alt: String }
}

shape! {
    /// A link of a PagerDuty event.
    PagerDutyLink { href: String, text: String }
}

shape! {
    /// One of `slack_configs`.
    SlackFile {
        send_resolved: String,
        http_config: Http,
        api_url: Hidden,
        api_url_file: String,
        app_token: Hidden,
        app_token_file: String,
        app_url: String,
        channel: String,
        username: String,
        color: String,
        title: String,
        title_link: String,
        pretext: String,
        text: String,
        message_text: String,
        fields: Vec<serde_saphyr::Spanned<SlackField>>,
        short_fields: String,
        footer: String,
        fallback: String,
        callback_id: String,
        icon_emoji: String,
        icon_url: String,
        image_url: String,
        thumb_url: String,
        link_names: String,
        mrkdwn_in: Vec<Scalar>,
        actions: Vec<serde_saphyr::Spanned<SlackAction>>,
        update_message: String,
        timeout: String,
    }
}

shape! {
    /// A field of a Slack message.
    SlackField { title: String, value: String, short: String }
}

shape! {
    /// A button of a Slack message.
    SlackAction {
        r#type: String,
        text: String,
        url: String,
        style: String,
        name: String,
        value: String,
        confirm: SlackConfirm,
    }
}

shape! {
    /// What Slack asks before a button does its work.
    SlackConfirm { text: String, title: String, ok_text: String, dismiss_text: String }
}

shape! {
    /// One of `telegram_configs`.
    TelegramFile {
        send_resolved: String,
        http_config: Http,
        api_url: String,
        bot_token: Hidden,
        bot_token_file: String,
        chat_id: String,
        chat_id_file: String,
        message_thread_id: String,
        message: String,
        disable_notifications: String,
        parse_mode: String,
        timeout: String,
    }
}

shape! {
    /// `http_config`: how a connection is made.
    Http {
        authorization: Authorization,
        basic_auth: BasicAuth,
        bearer_token: Hidden,
        bearer_token_file: String,
        tls_config: Tls,
        follow_redirects: String,
        enable_http2: String,
    }
}

shape! {
    /// `authorization`: a header of this name, by default with the type `Bearer`.
    Authorization { r#type: String, credentials: Hidden, credentials_file: String }
}

shape! {
    /// `basic_auth`.
    BasicAuth { username: String, username_file: String, password: Hidden, password_file: String }
}

shape! {
    /// `tls_config`: whom to trust.
    Tls { ca: String, ca_file: String, insecure_skip_verify: String }
}
