//! What a file's receivers mean, or all that is wrong with them.
//!
//! ```text
//! - name: duty
//!   pagerduty_configs: [{ routing_key: abc, summry: x }]
//!                                           ^ pagerduty_configs has no key summry here; remove it; known are …
//! ```
//!
//! Always true: a key that is not understood is refused, never passed over; every mistake is told, not the first.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::file::{Authorization, BasicAuth, Global, Http, ReceiverFile, Tls};
use super::options::{AuthorizationOptions, CertificatesOptions, HttpOptions, KindOptions, Source};
use super::shape::{Hidden, Scalar};
use super::templates::{Templates, Text};
use super::{IntegrationConfig, ReceiverConfig, facts};
use crate::config::parse_duration_ms;
use crate::notify::address::check_url;

/// Something wrong in a configuration file.
#[derive(Clone, Debug)]
pub(crate) struct Mistake {
    /// Where.
    pub location: Location,
    /// What is wrong.
    pub what: String,
    /// What to do; may be empty.
    pub hint: String,
}

/// What the rest of the file gives its receivers.
pub(crate) struct Surroundings<'a> {
    /// `global`, if the file has it.
    pub global: Option<&'a Global>,
    /// The file's folder: paths in it start from there.
    pub folder: &'a Path,
    /// `templates`: patterns of files.
    pub templates: &'a [Spanned<String>],
}

/// Keys of Alertmanager's that Dozor has no use for, and what to do about each.
const REFUSED: [(&str, &str); 12] = [
    ("proxy_url", "remove it: Dozor looks names up itself and goes straight to the receiver"),
    ("proxy_from_environment", "remove it: Dozor looks names up itself and goes straight to the receiver"),
    ("no_proxy", "remove it: Dozor uses no proxies"),
    ("proxy_connect_header", "remove it: Dozor uses no proxies"),
    ("oauth2", "use authorization with credentials_file, and renew the file"),
    ("http_headers", "use authorization for a token; other headers cannot be set"),
    ("cert", "client certificates are not supported; use authorization"),
    ("cert_file", "client certificates are not supported; use authorization"),
    ("key_file", "client certificates are not supported; use authorization"),
    ("server_name", "give the receiver's address by the name in its certificate"),
    ("payload", "write the body as a template of a webhook in dozor.yml (template_file)"),
    ("service_key", "make an integration of the Events API version 2 in PagerDuty, and use its routing_key"),
];
/// Keys of `global` that concern kinds of receivers which there are not; they do no harm.
const PASSED_OVER: [&str; 10] = [
    "smtp_",
    "jira_",
    "victorops_",
    "opsgenie_",
    "wechat_",
    "webex_",
    "rocketchat_",
    "mattermost_",
    "discord_",
    "hipchat_",
];

/// Reads `receivers`; adds to `mistakes` everything that is wrong with them and with what surrounds them. Where it
/// adds one, the answer is not to be used.
pub(crate) fn read(
    surroundings: &Surroundings<'_>,
    receivers: &[Spanned<ReceiverFile>],
    mistakes: &mut Vec<Mistake>,
) -> Vec<ReceiverConfig> {
    let mut templates = Templates::default();
    for pattern in surroundings.templates {
        if let Err(what) = templates.add_files(surroundings.folder, &pattern.value) {
            mistakes.push(Mistake { location: pattern.referenced, what, hint: String::new() });
        }
    }
    let default_global = Global::default();
    let global = surroundings.global.unwrap_or(&default_global);
    let mut reader =
        Reader { folder: surroundings.folder, global, global_http: None, templates: Arc::new(templates), mistakes };
    reader.check_global();
    receivers.iter().map(|receiver| reader.receiver(receiver)).collect()
}

pub(super) struct Reader<'a> {
    folder: &'a Path,
    pub(super) global: &'a Global,
    global_http: Option<HttpOptions>,
    templates: Arc<Templates>,
    mistakes: &'a mut Vec<Mistake>,
}

impl Reader<'_> {
    pub(super) fn refuse(&mut self, location: Location, what: impl Into<String>, hint: &str) {
        self.mistakes.push(Mistake { location, what: what.into(), hint: hint.to_owned() });
    }

    /// Refuses what `whose` does not have.
    pub(super) fn strangers(&mut self, strangers: &[Scalar], whose: &str, keys: &[&str]) {
        for stranger in strangers {
            let name = stranger.value.as_str();
            let hint = match REFUSED.iter().find(|(key, _)| *key == name) {
                Some((_, hint)) => (*hint).to_owned(),
                None if name.ends_with("_configs") => {
                    "Dozor tells by webhook_configs, pagerduty_configs, slack_configs and telegram_configs".to_owned()
                }
                None => {
                    let keys: Vec<&str> = keys.iter().map(|key| key.trim_start_matches("r#")).collect();
                    format!("remove it; known are {}", keys.join(", "))
                }
            };
            self.refuse(stranger.referenced, format!("{whose} has no key {name} here"), &hint);
        }
    }

    fn check_global(&mut self) {
        let global = self.global;
        let harmful = |key: &&Scalar| !PASSED_OVER.iter().any(|prefix| key.value.starts_with(prefix));
        let strangers: Vec<Scalar> = global.strangers.iter().filter(harmful).cloned().collect();
        self.strangers(&strangers, "global", Global::KEYS);
        self.global_http = global.http_config.as_ref().map(|http| self.http_options(&http.value));
    }

    fn receiver(&mut self, receiver: &Spanned<ReceiverFile>) -> ReceiverConfig {
        let file = &receiver.value;
        self.strangers(&file.strangers, "a receiver", ReceiverFile::KEYS);
        // Whether a name is there and is the only one, the routes' reader looks, which needs them.
        let name = file.name.as_ref().map(|name| name.value.clone()).unwrap_or_default();
        let mut integrations = Vec::new();
        for (index, one) in list(&file.webhook_configs).enumerate() {
            let kind = self.webhook(one);
            self.integration(&mut integrations, &name, ("webhook", index), one.value.common(), kind, true);
        }
        for (index, one) in list(&file.pagerduty_configs).enumerate() {
            let kind = self.pagerduty(one);
            self.integration(&mut integrations, &name, ("pagerduty", index), one.value.common(), kind, true);
        }
        for (index, one) in list(&file.slack_configs).enumerate() {
            let kind = self.slack(one);
            self.integration(&mut integrations, &name, ("slack", index), one.value.common(), kind, false);
        }
        for (index, one) in list(&file.telegram_configs).enumerate() {
            let kind = self.telegram(one);
            self.integration(&mut integrations, &name, ("telegram", index), one.value.common(), kind, true);
        }
        ReceiverConfig { name, integrations }
    }

    fn integration(
        &mut self,
        integrations: &mut Vec<IntegrationConfig>,
        receiver: &str,
        (kind_name, index): (&str, usize),
        common: Common<'_>,
        kind: Option<KindOptions>,
        sends_resolved: bool,
    ) {
        let http = match common.http {
            Some(http) => self.http_options(&http.value),
            None => self.global_http.clone().unwrap_or_default(),
        };
        let timeout_ms = self.duration(common.timeout, "timeout").filter(|ms| *ms > 0);
        let sends_resolved = self.switch(common.send_resolved, "send_resolved", sends_resolved);
        let name = match integrations.len() {
            0 => receiver.to_owned(),
            _ => format!("{receiver}/{kind_name}/{index}"),
        };
        integrations.extend(kind.map(|kind| IntegrationConfig {
            name,
            sends_resolved,
            receiver: facts::quoted(receiver),
            timeout: timeout_ms.map(|ms| Duration::from_millis(ms.unsigned_abs())),
            http,
            kind,
            templates: self.templates.clone(),
        }));
    }

    pub(super) fn switch(&mut self, given: Option<&Scalar>, name: &str, default: bool) -> bool {
        let Some(given) = given else { return default };
        match given.value.as_str() {
            "true" | "yes" | "on" => true,
            "false" | "no" | "off" => false,
            other => {
                self.refuse(given.referenced, format!("{name} is {other:?}"), "write true or false");
                default
            }
        }
    }

    fn duration(&mut self, given: Option<&Scalar>, name: &str) -> Option<i64> {
        let given = given?;
        let read = parse_duration_ms(&given.value);
        read.map_err(|what| self.refuse(given.referenced, format!("{name} {:?}: {what}", given.value), "")).ok()
    }

    pub(super) fn number(&mut self, given: Option<&Scalar>, name: &str) -> Option<i64> {
        let given = given?;
        let read = given.value.parse();
        read.map_err(|_| self.refuse(given.referenced, format!("{name} is {:?}", given.value), "write a whole number"))
            .ok()
    }

    /// A text with templates, or its default.
    pub(super) fn text(&mut self, given: Option<&Scalar>, default: &str) -> Text {
        let Some(given) = given else { return Text::of_ours(default) };
        self.text_at(given)
    }

    pub(super) fn text_at(&mut self, given: &Scalar) -> Text {
        let text = Text::parse(&given.value).unwrap_or_else(|error| {
            let what =
                format!("the template cannot be read, at its line {}, column {}: {error}", error.line, error.column);
            self.refuse(given.referenced, what, "templates are Go's, with Alertmanager's data and functions");
            Text::of_ours("")
        });
        if let Some(missing) = self.templates.missing(&text) {
            let what = format!("the template {missing:?} is defined nowhere");
            self.refuse(given.referenced, what, "define it in a file that templates: names");
        }
        text
    }

    /// A secret and the file in which it may stand instead. The receiver's own come before the global ones.
    pub(super) fn source(
        &mut self,
        given: Option<&Spanned<Hidden>>,
        file: Option<&Scalar>,
        (name, file_name): (&str, &str),
    ) -> Option<Source> {
        match (given, file) {
            (Some(given), Some(_)) => {
                let what = format!("there are both {name} and {file_name}");
                self.refuse(given.referenced, what, "remove one of them");
                None
            }
            (Some(given), None) if given.value.reveal().is_empty() => {
                self.refuse(given.referenced, format!("{name} is empty"), "");
                None
            }
            (Some(given), None) => Some(Source::Given(given.value.clone())),
            (None, Some(file)) => Some(Source::File(self.path(&file.value))),
            (None, None) => None,
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Checks an address that is written in the configuration.
    pub(super) fn check_address(&mut self, place: Location, name: &str, url: &str) {
        if let Err(what) = check_url(url) {
            self.refuse(place, format!("{name} cannot be used: {what}"), "");
        }
    }

    fn http_options(&mut self, http: &Http) -> HttpOptions {
        self.strangers(&http.strangers, "http_config", Http::KEYS);
        let follows_redirects = self.switch(http.follow_redirects.as_ref(), "follow_redirects", true);
        self.switch(http.enable_http2.as_ref(), "enable_http2", true);
        let bearer = self.source(
            http.bearer_token.as_ref(),
            http.bearer_token_file.as_ref(),
            ("bearer_token", "bearer_token_file"),
        );
        let bearer = bearer.map(|credentials| AuthorizationOptions::Token { kind: "Bearer".to_owned(), credentials });
        let token = http.authorization.as_ref().and_then(|given| self.authorization(given));
        let basic = http.basic_auth.as_ref().and_then(|given| self.basic_auth(given));
        let ways = [bearer, token, basic].into_iter().flatten();
        let certificates = http.tls_config.as_ref().and_then(|given| self.tls(&given.value));
        HttpOptions { authorization: self.only_one(ways, http), certificates, follows_redirects }
    }

    fn only_one(
        &mut self,
        mut ways: impl Iterator<Item = AuthorizationOptions>,
        http: &Http,
    ) -> Option<AuthorizationOptions> {
        let first = ways.next();
        if ways.next().is_some() {
            let place = http.authorization.as_ref().map(|given| given.referenced);
            let place = place.or(http.basic_auth.as_ref().map(|given| given.referenced)).unwrap_or(Location::UNKNOWN);
            self.refuse(place, "there is more than one of authorization, basic_auth and bearer_token", "keep one");
        }
        first
    }

    fn authorization(&mut self, given: &Spanned<Authorization>) -> Option<AuthorizationOptions> {
        let file = &given.value;
        self.strangers(&file.strangers, "authorization", Authorization::KEYS);
        let names = ("credentials", "credentials_file");
        let credentials = self.source(file.credentials.as_ref(), file.credentials_file.as_ref(), names);
        if credentials.is_none() {
            self.refuse(given.referenced, "authorization has no credentials", "add credentials_file");
        }
        let kind = file.r#type.as_ref().map_or("Bearer", |kind| kind.value.trim()).to_owned();
        if kind.eq_ignore_ascii_case("basic") {
            self.refuse(given.referenced, "authorization cannot be of the type Basic", "use basic_auth");
        }
        credentials.map(|credentials| AuthorizationOptions::Token { kind, credentials })
    }

    fn basic_auth(&mut self, given: &Spanned<BasicAuth>) -> Option<AuthorizationOptions> {
        let file = &given.value;
        self.strangers(&file.strangers, "basic_auth", BasicAuth::KEYS);
        let password = self.source(file.password.as_ref(), file.password_file.as_ref(), ("password", "password_file"));
        let username = match (&file.username, &file.username_file) {
            (Some(name), None) => Some(Source::Given(Hidden::new(&name.value))),
            (None, Some(file)) => Some(Source::File(self.path(&file.value))),
            _ => {
                self.refuse(given.referenced, "basic_auth needs one of username and username_file", "");
                None
            }
        };
        username.map(|username| AuthorizationOptions::Basic { username, password })
    }

    fn tls(&mut self, tls: &Tls) -> Option<CertificatesOptions> {
        self.strangers(&tls.strangers, "tls_config", Tls::KEYS);
        if self.switch(tls.insecure_skip_verify.as_ref(), "insecure_skip_verify", false)
            && let Some(given) = &tls.insecure_skip_verify
        {
            let what = "insecure_skip_verify would tell anybody who answers";
            self.refuse(given.referenced, what, "trust the receiver's certificate by ca_file");
        }
        match (&tls.ca, &tls.ca_file) {
            (Some(given), Some(_)) => {
                self.refuse(given.referenced, "there are both ca and ca_file", "remove one of them");
                None
            }
            (Some(given), None) => Some(CertificatesOptions::Given(given.value.clone())),
            (None, Some(file)) => Some(CertificatesOptions::File(self.path(&file.value))),
            (None, None) => None,
        }
    }
}

/// What every kind has.
pub(super) struct Common<'a> {
    pub send_resolved: Option<&'a Scalar>,
    pub http: Option<&'a Spanned<Http>>,
    pub timeout: Option<&'a Scalar>,
}

/// The entries of a list that may lack.
pub(super) fn list<T>(given: &Option<Spanned<Vec<T>>>) -> impl Iterator<Item = &T> {
    given.iter().flat_map(|list| &list.value)
}
