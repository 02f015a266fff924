//! Groups over time, told as scripts: what happens, and what receivers hear of it.

use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::notify::alert::Alert;
use crate::notify::ledger::{Ledger, Outcome, Verdict};
use crate::notify::message::Message;
use crate::notify::routing::load;

/// 2026-03-01 12:00:00 UTC, a Sunday.
const NOON_MS: i64 = 1_772_366_400_000;

/// One route: waits 30 s, then tells what is new each 5 min, and what is not each 4 h.
const ONE_ROUTE: &str = "
route: { receiver: pager, group_by: [alertname], group_wait: 30s, group_interval: 5m, repeat_interval: 4h }
receivers: [{ name: pager, webhook_configs: [{ url: 'http://pager.example/' }] }]
";

/// A dispatcher, the ledger behind it, and receivers who take everything at once unless they are down.
struct Desk {
    routing: Arc<Routing>,
    targets: HashMap<String, Vec<Target>>,
    dispatcher: Dispatcher,
    ledger: Ledger,
    /// Seconds since noon.
    now_s: i64,
    silenced: Option<&'static str>,
    are_down: bool,
    messages: Vec<Arc<Message>>,
}

fn target(name: &str, sends_resolved: bool) -> (String, Vec<Target>) {
    (name.to_owned(), vec![Target { name: name.to_owned(), sends_resolved }])
}

impl Desk {
    fn new(routing: &str) -> Desk {
        Desk::with_targets(routing, &[("pager", true), ("mail", true)])
    }

    fn with_targets(routing: &str, targets: &[(&str, bool)]) -> Desk {
        let routing = Arc::new(load("alertmanager.yml", routing).unwrap());
        let names = targets.iter().map(|(name, _)| (*name).to_owned()).collect();
        let targets: HashMap<_, _> = targets.iter().map(|(name, ends)| target(name, *ends)).collect();
        Desk {
            dispatcher: Dispatcher::new(Arc::clone(&routing), targets.clone()),
            routing,
            targets,
            ledger: Ledger::new(names, true),
            now_s: 0,
            silenced: None,
            are_down: false,
            messages: Vec::new(),
        }
    }

    fn now(&self) -> Moment {
        Moment { wall_ms: NOON_MS + self.now_s * 1000, monotonic: Duration::from_secs(self.now_s as u64 + 1_000) }
    }

    /// An alert begins or ends now.
    fn report(&mut self, name: &str, region: &str, ends: bool) {
        let now_ms = self.now().wall_ms;
        self.report_alert(name, region, now_ms, ends.then_some(now_ms));
    }

    fn report_alert(&mut self, name: &str, region: &str, starts_at_ms: i64, ends_at_ms: Option<i64>) {
        let labels = Labels::from_pairs([("alertname", name), ("region", region)]).unwrap();
        let (annotations, generator_url) = (Vec::new(), String::new());
        let alert = Alert { labels, annotations, starts_at_ms, ends_at_ms, generator_url };
        let transition = Arc::new(self.ledger.consider(&alert, &|_| false, self.now().wall_ms).unwrap());
        self.ledger.apply(Record::Notification(Arc::clone(&transition)));
        self.dispatcher.take(&transition, self.now());
    }

    fn fires(&mut self, name: &str, region: &str) {
        self.report(name, region, false);
    }

    fn ends(&mut self, name: &str, region: &str) {
        self.report(name, region, true);
    }

    /// What is told until this second, one line each: when, to whom, and of which regions.
    fn until(&mut self, second: i64) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(due) = self.dispatcher.next_due().filter(|due| due.as_secs() as i64 - 1_000 <= second) {
            self.now_s = self.now_s.max(due.as_secs() as i64 - 1_000);
            let flush = self.flush();
            lines.extend(self.note(flush));
        }
        self.now_s = second;
        lines
    }

    fn flush(&mut self) -> Flush {
        let (now, silenced) = (self.now(), self.silenced);
        let ledger = &self.ledger;
        let surroundings = Surroundings {
            told: ledger.told(),
            is_pending: &|id| ledger.is_pending(id),
            silenced_by: &|labels| silenced.filter(|region| labels.get("region") == Some(region)).map(str::to_owned),
        };
        self.dispatcher.flush(&surroundings, now).unwrap()
    }

    /// Puts the records of a flush on disk, and has the receivers take them.
    fn note(&mut self, mut flush: Flush) -> Vec<String> {
        let mut lines = Vec::new();
        for record in std::mem::take(&mut flush.records) {
            if let Record::Message(message, _) = &record {
                lines.push(format!("{} {}", self.now_s, line(message)));
                self.messages.push(Arc::clone(message));
            }
            self.ledger.apply(record);
        }
        self.dispatcher.noted(flush);
        if !self.are_down {
            self.take_all();
        }
        lines
    }

    fn take_all(&mut self) {
        for message in &self.messages {
            let verdict = Verdict::Delivered { receiver_index: 0, http_status: 200 };
            let (id, receiver) = (message.id.clone(), message.receiver.clone());
            let at_ms = NOON_MS + self.now_s * 1000;
            self.ledger.apply(Record::Outcome(Outcome { id, receiver, at_ms, verdict }));
        }
    }

    /// What a start makes of what is on disk.
    fn restart(&mut self) {
        let mut ledger = Ledger::new(self.targets.keys().cloned().collect(), true);
        self.ledger.records().for_each(|record| ledger.apply(record));
        self.ledger = ledger;
        self.dispatcher = Dispatcher::new(Arc::clone(&self.routing), self.targets.clone());
        let now = self.now();
        let transitions = self.ledger.active().into_iter().chain(self.ledger.untold());
        self.dispatcher.restore(transitions, self.ledger.told(), now);
    }
}

fn line(message: &Message) -> String {
    let alert = |one: &crate::notify::MessageAlert| {
        format!("{} {}", one.alert.labels.get("region").unwrap_or("-"), one.alert.status())
    };
    let alerts: Vec<String> = message.alerts.iter().map(alert).collect();
    format!("{} {}: {}", message.receiver, message.status(), alerts.join(", "))
}

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const NOTHING: [&str; 0] = [];

#[test]
fn a_group_waits_tells_what_is_new_and_repeats_what_lasts() {
    let mut desk = Desk::new(ONE_ROUTE);
    desk.fires("Slow", "eu");
    assert_eq!(desk.until(10), NOTHING);
    desk.fires("Slow", "us");
    assert_eq!(desk.until(3 * MINUTE), ["30 pager firing: eu firing, us firing"]);
    desk.ends("Slow", "eu");
    assert_eq!(desk.until(6 * MINUTE), ["330 pager firing: eu resolved, us firing"]);
    // Flushes go on each five minutes; the first one more than four hours behind 12:05:30 is that of 16:10:30.
    assert_eq!(desk.until(4 * HOUR + 10 * MINUTE), NOTHING);
    assert_eq!(desk.until(5 * HOUR), ["15030 pager firing: us firing"]);
    desk.ends("Slow", "us");
    assert_eq!(desk.until(6 * HOUR), ["18030 pager resolved: us resolved"]);
    assert_eq!(desk.dispatcher.next_due(), None, "a group without alerts is over");
    let ids: HashSet<&str> = desk.messages.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.iter().all(|id| !id.contains('.')), "{ids:?}");
}

#[test]
fn an_alert_that_began_long_ago_makes_no_group_wait() {
    let mut desk = Desk::new(ONE_ROUTE);
    desk.report_alert("Slow", "eu", NOON_MS - 30_001, None);
    desk.report_alert("Down", "eu", NOON_MS - 29_999, None);
    assert_eq!(desk.until(1), ["0 pager firing: eu firing"]);
    // It joins a group that was told already, and waits for its interval.
    desk.report_alert("Slow", "us", NOON_MS - 500_000, None);
    assert_eq!(desk.until(301), ["30 pager firing: eu firing", "300 pager firing: eu firing, us firing"]);
}

#[test]
fn what_began_and_ended_unheard_is_not_told() {
    let mut desk = Desk::new(ONE_ROUTE);
    desk.fires("Slow", "eu");
    desk.until(10);
    desk.ends("Slow", "eu");
    assert_eq!(desk.until(HOUR), NOTHING);
    // With others that fire, it is told along.
    desk.fires("Slow", "eu");
    desk.fires("Slow", "us");
    desk.until(HOUR + 10);
    desk.ends("Slow", "eu");
    assert_eq!(desk.until(HOUR + 30), ["3630 pager firing: eu resolved, us firing"]);
    // Between two flushes it comes and goes: the receiver knows nothing of it, and is told nothing.
    desk.until(HOUR + 60);
    desk.ends("Slow", "us");
    assert_eq!(desk.until(HOUR + 330), ["3930 pager resolved: us resolved"]);
}

#[test]
fn an_alert_that_fires_again_before_its_end_was_told_is_not_told_to_have_ended() {
    let mut desk = Desk::new(ONE_ROUTE);
    desk.fires("Slow", "eu");
    desk.until(40);
    desk.ends("Slow", "eu");
    desk.until(50);
    desk.fires("Slow", "eu");
    assert_eq!(desk.until(HOUR), NOTHING);
    desk.ends("Slow", "eu");
    assert_eq!(desk.until(2 * HOUR), ["3630 pager resolved: eu resolved"]);
}

#[test]
fn who_does_not_want_ends_is_told_of_beginnings_only_and_of_the_next_ones_again() {
    let mut desk = Desk::with_targets(ONE_ROUTE, &[("pager", false)]);
    desk.fires("Slow", "eu");
    desk.fires("Slow", "us");
    assert_eq!(desk.until(60), ["30 pager firing: eu firing, us firing"]);
    desk.ends("Slow", "eu");
    assert_eq!(desk.until(6 * MINUTE), NOTHING);
    desk.ends("Slow", "us");
    assert_eq!(desk.until(20 * MINUTE), NOTHING);
    assert_eq!(desk.dispatcher.next_due(), None);
    // Its log knows that nothing fires: the same alerts are news again.
    desk.fires("Slow", "eu");
    assert_eq!(desk.until(30 * MINUTE), ["1230 pager firing: eu firing"]);
}

#[test]
fn a_route_that_continues_tells_two_receivers_in_groups_of_their_own() {
    let mut desk = Desk::new(
        "
route:
  receiver: mail
  group_wait: 10s
  group_interval: 1m
  routes:
  - { matchers: ['region=\"eu\"'], receiver: pager, group_by: ['...'], group_wait: 0s, continue: true }
  - { matchers: ['alertname=~\"S.*\"'], group_by: [alertname] }
receivers:
- { name: mail, webhook_configs: [{ url: 'http://mail.example/' }] }
- { name: pager, webhook_configs: [{ url: 'http://pager.example/' }] }
",
    );
    desk.until(1);
    desk.fires("Slow", "eu");
    desk.fires("Slow", "us");
    desk.fires("Down", "us");
    assert_eq!(
        desk.until(60),
        ["1 pager firing: eu firing", "11 mail firing: eu firing, us firing", "11 mail firing: us firing"]
    );
    let keys: Vec<&str> = desk.messages.iter().map(|message| message.group_key.as_str()).collect();
    // As Alertmanager writes them.
    let expected =
        [r#"{}/{region="eu"}:{alertname="Slow", region="eu"}"#, r#"{}/{alertname=~"S.*"}:{alertname="Slow"}"#, "{}:{}"];
    assert_eq!(keys, expected);
}

#[test]
fn what_is_inhibited_is_told_when_nothing_inhibits_it_any_more() {
    let rules = "inhibit_rules: [{ source_matchers: ['alertname=\"Outage\"'], target_matchers: ['alertname=\"Slow\"'], equal: [region] }]";
    let mut desk = Desk::new(&format!("{ONE_ROUTE}{rules}"));
    desk.fires("Outage", "eu");
    desk.fires("Slow", "eu");
    desk.fires("Slow", "us");
    assert_eq!(desk.until(60), ["30 pager firing: eu firing", "30 pager firing: us firing"]);
    desk.ends("Outage", "eu");
    let told = desk.until(10 * MINUTE);
    assert_eq!(told, ["330 pager resolved: eu resolved", "330 pager firing: eu firing, us firing"]);
}

#[test]
fn a_silenced_alert_is_not_told_and_one_that_ends_in_silence_leaves_without_a_word() {
    let mut desk = Desk::new(ONE_ROUTE);
    desk.silenced = Some("eu");
    desk.fires("Slow", "eu");
    desk.fires("Slow", "us");
    assert_eq!(desk.until(60), ["30 pager firing: us firing"]);
    desk.silenced = None;
    assert_eq!(desk.until(6 * MINUTE), ["330 pager firing: eu firing, us firing"]);
    desk.silenced = Some("eu");
    desk.ends("Slow", "eu");
    assert_eq!(desk.until(15 * MINUTE), NOTHING);
    desk.silenced = None;
    assert_eq!(desk.until(HOUR), NOTHING);
}

/// Noon to one o'clock is lunch.
#[test]
fn a_route_is_silent_in_its_mute_interval_and_says_afterwards_what_still_fires() {
    let routing = ONE_ROUTE.replace(
        "repeat_interval: 4h",
        "repeat_interval: 4h, routes: [{ receiver: pager, mute_time_intervals: [lunch] }]",
    );
    let lunch =
        "time_intervals: [{ name: lunch, time_intervals: [{ times: [{ start_time: '12:00', end_time: '13:00' }] }] }]";
    let mut desk = Desk::new(&format!("{routing}{lunch}"));
    desk.fires("Slow", "eu");
    desk.fires("Slow", "us");
    desk.until(10 * MINUTE);
    desk.ends("Slow", "us");
    assert_eq!(desk.until(HOUR - 1), NOTHING);
    assert_eq!(desk.until(2 * HOUR), ["3630 pager firing: eu firing"]);
}

#[test]
fn nothing_is_repeated_while_the_last_message_is_on_its_way() {
    let mut desk = Desk::new(ONE_ROUTE);
    desk.are_down = true;
    desk.fires("Slow", "eu");
    assert_eq!(desk.until(60), ["30 pager firing: eu firing"]);
    assert_eq!(desk.until(10 * HOUR), NOTHING);
    // What is new waits behind it.
    desk.fires("Slow", "us");
    assert_eq!(desk.until(10 * HOUR + 300), ["36030 pager firing: eu firing, us firing"]);
    desk.are_down = false;
    desk.take_all();
    // Four hours count from when it was taken, at ten hours and five minutes.
    assert_eq!(desk.until(14 * HOUR + 300), NOTHING);
    assert_eq!(desk.until(14 * HOUR + 600), ["50730 pager firing: eu firing, us firing"]);
}

#[test]
fn after_a_restart_nothing_is_told_again_and_what_ended_meanwhile_is_told() {
    let mut desk = Desk::new(ONE_ROUTE);
    desk.fires("Slow", "eu");
    desk.fires("Slow", "us");
    assert_eq!(desk.until(60), ["30 pager firing: eu firing, us firing"]);
    desk.restart();
    assert_eq!(desk.until(HOUR), NOTHING);
    desk.ends("Slow", "eu");
    // Before its flush.
    desk.restart();
    assert_eq!(desk.until(2 * HOUR), ["3600 pager firing: eu resolved, us firing"]);
    desk.ends("Slow", "us");
    desk.restart();
    desk.restart();
    assert_eq!(desk.until(3 * HOUR), ["7200 pager resolved: us resolved"]);
    desk.restart();
    assert_eq!(desk.dispatcher.next_due(), None, "nothing is left to tell");
}

#[test]
fn a_restart_within_the_wait_leaves_what_is_left_of_it() {
    let mut desk = Desk::new(ONE_ROUTE);
    desk.fires("Slow", "eu");
    desk.until(20);
    desk.restart();
    assert_eq!(desk.until(40), ["30 pager firing: eu firing"]);
    desk.until(100);
    desk.fires("Slow", "us");
    desk.restart();
    // Neither the wait nor the interval begins anew.
    assert_eq!(desk.until(400), ["330 pager firing: eu firing, us firing"]);
}

#[test]
fn a_flush_that_was_interrupted_is_the_same_message_when_it_comes_again() {
    let mut desk = Desk::new(ONE_ROUTE);
    desk.fires("Slow", "us");
    desk.fires("Slow", "eu");
    desk.now_s = 30;
    let lost = desk.flush();
    desk.restart();
    desk.now_s = 31;
    let again = desk.flush();
    let id = |flush: &Flush| match &flush.records[..] {
        [Record::Message(message, _)] => message.id.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(id(&lost), id(&again));
    desk.note(again);
    // A repetition has the same alerts and another id.
    desk.until(5 * HOUR);
    assert_eq!(desk.messages.len(), 2);
    assert_ne!(desk.messages[0].id, desk.messages[1].id);
}

#[test]
fn what_cannot_be_noted_is_due_again() {
    let mut desk = Desk::new(ONE_ROUTE);
    desk.fires("Slow", "eu");
    desk.now_s = 30;
    let flush = desk.flush();
    desk.dispatcher.postponed(&flush, Duration::from_secs(1_000 + 33));
    assert_eq!(desk.until(60), ["33 pager firing: eu firing"]);
}

#[test]
fn alerts_are_told_in_alertmanagers_order() {
    let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied()).unwrap();
    // By job, then instance; those without behind those with; fewer labels first; who lacks the earlier name first.
    let in_order = [
        labels(&[("job", "a"), ("z", "9")]),
        labels(&[("job", "b"), ("instance", "1"), ("a", "2")]),
        labels(&[("job", "b"), ("instance", "2")]),
        labels(&[("job", "b")]),
        labels(&[("instance", "7")]),
        labels(&[("x", "1")]),
        labels(&[("b", "1"), ("c", "1")]),
        labels(&[("a", "1"), ("c", "1")]),
        labels(&[("a", "1"), ("c", "2")]),
    ];
    for (index, one) in in_order.iter().enumerate() {
        for (other_index, other) in in_order.iter().enumerate() {
            assert_eq!(telling::told_before(one, other), index.cmp(&other_index), "{one} and {other}");
        }
    }
}
