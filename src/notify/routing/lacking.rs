//! What Alertmanager has and we do not, and what to do instead.

use super::fault::Faults;
use super::file::{File, Lacking, Receiver};

const BY_WEBHOOK: &str = "use webhook_configs with the address of a gateway for it, or remove this part";

pub(super) fn refuse(file: &File, faults: &mut Faults<'_>) {
    for (key, given, hint) in [
        ("tracing", &file.tracing, "remove it: traces are not sent"),
        ("event_recorder", &file.event_recorder, "remove it: the log says what happens"),
    ] {
        refuse_one(key, given, hint, faults);
    }
    for receiver in &file.receivers {
        for (key, given, hint) in ways(&receiver.value) {
            refuse_one(key, given, hint, faults);
        }
    }
}

fn refuse_one(key: &str, given: &Lacking, hint: &'static str, faults: &mut Faults<'_>) {
    if let Some(given) = given {
        faults.add(given.referenced, format!("{key} is not supported"), hint);
    }
}

fn ways(receiver: &Receiver) -> [(&'static str, &Lacking, &'static str); 15] {
    const BY_MAIL: &str =
        "mail is not sent: use webhook_configs with the address of a mail gateway, or remove this part";
    [
        ("labels", &receiver.labels, "remove it: a receiver has no labels"),
        ("discord_configs", &receiver.discord_configs, "use slack_configs with Discord's address and /slack behind it"),
        ("email_configs", &receiver.email_configs, BY_MAIL),
        ("incidentio_configs", &receiver.incidentio_configs, BY_WEBHOOK),
        ("opsgenie_configs", &receiver.opsgenie_configs, BY_WEBHOOK),
        ("wechat_configs", &receiver.wechat_configs, BY_WEBHOOK),
        ("pushover_configs", &receiver.pushover_configs, BY_WEBHOOK),
        ("victorops_configs", &receiver.victorops_configs, BY_WEBHOOK),
        ("sns_configs", &receiver.sns_configs, BY_WEBHOOK),
        ("webex_configs", &receiver.webex_configs, BY_WEBHOOK),
        ("msteams_configs", &receiver.msteams_configs, BY_WEBHOOK),
        ("msteamsv2_configs", &receiver.msteamsv2_configs, BY_WEBHOOK),
        ("jira_configs", &receiver.jira_configs, BY_WEBHOOK),
        ("rocketchat_configs", &receiver.rocketchat_configs, "use slack_configs with the address of its webhook"),
        ("mattermost_configs", &receiver.mattermost_configs, "use slack_configs with the address of its webhook"),
    ]
}
