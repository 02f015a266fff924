//! The generic webhook: Alertmanager's JSON of version 4, or what the operator's template makes of it; signed.
//!
//! A template has the keys of that JSON as its variables:
//!
//! ```jinja
//! {"text": {{ (commonAnnotations.summary or groupKey)|tojson }}, "open": {{ (status == "firing")|tojson }}}
//! ```
//!
//! Always true: what is sent is JSON; where the template fails, it is the JSON of version 4 with a note of the failure.

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use reqwest::Url;
use serde_json::Value;

use super::client::Request;
use super::integration::{Told, address, shortened};
use super::options::WebhookOptions;
use crate::notify::Secret;
use crate::notify::payload::{body_of, sample_message};

/// Most steps of one filling in.
const FUEL: u64 = 200_000;
/// Longest template, in bytes.
const TEMPLATE_BYTES_MAX: usize = 1 << 16;
/// Longest body that a template may come to, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The template's name in its errors.
const TEMPLATE_NAME: &str = "template_file";

pub(super) struct Webhook {
    pub(super) url: Url,
    secrets: Vec<Secret>,
    alerts_max: u64,
    template: Option<Environment<'static>>,
}

impl Webhook {
    /// Fills the template in once with a message of our own, so that it fails now rather than at night.
    pub(super) fn new(options: &WebhookOptions) -> Result<Webhook, String> {
        let webhook = Webhook {
            url: address(&options.url)?,
            secrets: options.secrets.clone(),
            alerts_max: options.alerts_max,
            template: options.template.as_deref().map(environment).transpose()?,
        };
        if let Some(template) = &webhook.template {
            for resolved in [false, true] {
                let message = sample_message("receiver", 0, resolved);
                let plain = body_of(&message, "receiver", "http://dozor.example", None);
                filled(template, &plain)
                    .map_err(|error| format!("its template fails with a sample message: {error}"))?;
            }
        }
        Ok(webhook)
    }

    pub(super) fn request(&self, told: &Told<'_>) -> Request {
        let body = self.body(told);
        let (id, timestamp_s) = (&told.message.id, told.now_ms.div_euclid(1000));
        let mut headers = vec![
            ("idempotency-key", id.clone()),
            ("webhook-id", id.clone()),
            ("webhook-timestamp", timestamp_s.to_string()),
        ];
        if !self.secrets.is_empty() {
            let signatures: Vec<String> = self.secrets.iter().map(|key| key.sign(id, timestamp_s, &body)).collect();
            headers.push(("webhook-signature", signatures.join(" ")));
        }
        Request { url: self.url.clone(), headers, body }
    }

    fn body(&self, told: &Told<'_>) -> Vec<u8> {
        let message = shortened(told.message, self.alerts_max);
        let plain = body_of(&message, told.receiver, told.external_url, None);
        let Some(template) = &self.template else { return plain };
        filled(template, &plain).unwrap_or_else(|error| {
            tracing::error!(receiver = told.receiver, error, "the template failed; the usual body is sent");
            let note = format!("the template of this webhook failed: {error}");
            body_of(&message, told.receiver, told.external_url, Some(&note))
        })
    }
}

fn environment(text: &str) -> Result<Environment<'static>, String> {
    if text.len() > TEMPLATE_BYTES_MAX {
        return Err(format!("its template is longer than {TEMPLATE_BYTES_MAX} bytes"));
    }
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.add_template_owned(TEMPLATE_NAME, text.to_owned()).map_err(|error| format!("its template: {error}"))?;
    Ok(environment)
}

fn filled(environment: &Environment<'static>, plain: &[u8]) -> Result<Vec<u8>, String> {
    let facts: Value = serde_json::from_slice(plain).map_err(|error| error.to_string())?;
    let template = environment.get_template(TEMPLATE_NAME).map_err(|error| error.to_string())?;
    let text = template.render(minijinja::value::Serde(&facts)).map_err(|error| error.to_string())?;
    if text.len() > BODY_BYTES_MAX {
        return Err(format!("it came to more than {BODY_BYTES_MAX} bytes"));
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text.into_bytes()),
        Err(error) => Err(format!("what it came to is not JSON: {error}")),
    }
}
