//! Reads a configuration file, or everything that is wrong with it.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use serde_saphyr::{Location, Spanned};

use super::fault::Faults;
use super::file::{self, File, Pairs, Scalar, Timeouts};
use super::inhibit::InhibitRule;
use super::tree::{GroupBy, Route, RouteOptions};
use super::{FILE_BYTES_MAX, ROUTES_COUNT_MAX, ROUTES_DEPTH_MAX, Routing, TimeInterval, spans};
use crate::config::parse_duration_ms;
use crate::model::{MatchOp, Matcher};
use crate::notify::matchers::Matchers;
use crate::notify::receivers::{self, ReceiverConfig, ReceiverFile, Surroundings};

/// Longest duration: what Alertmanager can count in ns, some 292 years.
const DURATION_MS_MAX: i64 = i64::MAX / 1_000_000;
/// After how long an alert without an end is over, if the file does not say.
const RESOLVE_TIMEOUT_MS: i64 = 300_000;
const NO_ROUTE: &str = "write route: with receiver: and the name of who is told of everything else";

/// Reads the text of a configuration file, which is called `name`. Fails with a text for people that has all faults, each with
/// its line.
pub fn load(name: &str, text: &str) -> Result<Routing, String> {
    let mut faults = Faults::new(name, text);
    let routing = read(name, text, &mut faults);
    match routing {
        Some(routing) if faults.is_empty() => Ok(routing),
        _ => Err(faults.to_string()),
    }
}

fn read(name: &str, text: &str, faults: &mut Faults<'_>) -> Option<Routing> {
    if text.len() > FILE_BYTES_MAX {
        let what = format!("{} bytes are more than the {FILE_BYTES_MAX} of a configuration file", text.len());
        faults.add_to_file(what, "split it over several servers");
        return None;
    }
    if text.lines().all(|line| line.trim_start().is_empty() || line.trim_start().starts_with('#')) {
        faults.add_to_file("there is no route", NO_ROUTE);
        return None;
    }
    let file: File = match serde_saphyr::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            faults.add_syntax(&error);
            return None;
        }
    };
    for (key, given, hint) in [
        ("tracing", &file.tracing, "remove it: traces are not sent"),
        ("event_recorder", &file.event_recorder, "remove it: the log says what happens"),
    ] {
        if let Some(given) = given {
            faults.add_with(given.referenced, format!("{key} is not supported"), hint);
        }
    }
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    let mut reader = Reader { receivers: HashSet::new(), intervals: HashSet::new(), faults };
    let receivers = reader.receivers(&file, folder);
    let time_intervals = reader.time_intervals(&file);
    let routes = reader.tree(file.route.as_ref());
    let inhibit_rules = file.inhibit_rules.iter().map(|rule| reader.inhibit_rule(rule)).collect();
    let timeouts: Option<Timeouts> = serde_saphyr::from_str(text).ok();
    let resolve_timeout = timeouts.and_then(|file| file.global).and_then(|global| global.resolve_timeout);
    let resolve_timeout_ms = reader.duration(resolve_timeout.as_ref()).unwrap_or(RESOLVE_TIMEOUT_MS);
    let templates = file.templates.iter().map(|path| folder.join(&path.value)).collect();
    Some(Routing { routes, receivers, inhibit_rules, time_intervals, templates, resolve_timeout_ms })
}

struct Reader<'a, 'f> {
    /// Names that are there.
    receivers: HashSet<String>,
    intervals: HashSet<String>,
    faults: &'f mut Faults<'a>,
}

impl Reader<'_, '_> {
    fn receivers(&mut self, file: &File, folder: &Path) -> Vec<ReceiverConfig> {
        let surroundings = Surroundings { global: file.global.as_ref(), folder, templates: &file.templates };
        let mut mistakes = Vec::new();
        let receivers = receivers::read(&surroundings, &file.receivers, &mut mistakes);
        for mistake in mistakes {
            self.faults.add_with(mistake.location, mistake.what, &mistake.hint);
        }
        for (receiver, given) in receivers.iter().zip(&file.receivers) {
            self.name_of_receiver(receiver, given);
        }
        receivers
    }

    fn name_of_receiver(&mut self, receiver: &ReceiverConfig, given: &Spanned<ReceiverFile>) {
        if receiver.name.is_empty() {
            self.faults.add_with(given.referenced, "the receiver has no name", "add name: …");
        } else if !self.receivers.insert(receiver.name.clone()) {
            let what = format!("another receiver is called {:?} already", receiver.name);
            self.faults.add(given.referenced, what);
        }
    }

    fn time_intervals(&mut self, file: &File) -> Vec<TimeInterval> {
        let given = file.mute_time_intervals.iter().chain(&file.time_intervals);
        let mut intervals = Vec::new();
        for one in given {
            let interval = spans::interval(one, self.faults);
            if !interval.name.is_empty() && !self.intervals.insert(interval.name.clone()) {
                let place = one.value.name.as_ref().map_or(one.referenced, |name| name.referenced);
                self.faults.add(place, format!("another time interval is called {:?} already", interval.name));
            }
            intervals.push(interval);
        }
        intervals
    }

    fn tree(&mut self, root: Option<&Spanned<file::Route>>) -> Vec<Route> {
        let mut routes = Vec::new();
        match root {
            None => self.faults.add_to_file("there is no route", NO_ROUTE),
            Some(root) => {
                self.check_root(root);
                self.route(&root.value, root.referenced, None, 0, &mut routes);
            }
        }
        routes
    }

    fn check_root(&mut self, root: &Spanned<file::Route>) {
        let (route, place) = (&root.value, root.referenced);
        if route.receiver.as_ref().is_none_or(|name| name.value.is_empty()) {
            self.faults.add_with(
                place,
                "the root route has no receiver",
                "add receiver: with who is told of everything else",
            );
        }
        if !(route.equals.is_empty() && route.match_re.is_empty() && route.matchers.is_empty()) {
            let hint = "every alert comes here: move the conditions to a route below routes:";
            self.faults.add_with(place, "the root route has matchers", hint);
        }
        if let Some(interval) = route.mute_time_intervals.iter().chain(&route.active_time_intervals).next() {
            let hint = "move it to a route below routes:";
            self.faults.add_with(interval.referenced, "the root route has a time interval", hint);
        }
        if let Some(given) = route.continues.as_ref().filter(|given| truth(&given.value) == Some(true)) {
            self.faults.add_with(
                given.referenced,
                "the root route cannot continue",
                "remove it: no route is beside the root",
            );
        }
    }

    /// Adds a route and those below it, and says where it is.
    fn route(
        &mut self,
        given: &file::Route,
        place: Location,
        parent: Option<usize>,
        depth: usize,
        routes: &mut Vec<Route>,
    ) -> Option<usize> {
        let index = routes.len();
        if depth == ROUTES_DEPTH_MAX || index == ROUTES_COUNT_MAX {
            let limits = format!("{ROUTES_COUNT_MAX} routes, or {ROUTES_DEPTH_MAX} one in the other");
            self.faults.add(place, format!("these are more than {limits}"));
            return None;
        }
        let route = self.route_alone(given, parent.map(|parent| &routes[parent]));
        routes.push(route);
        for child in &given.routes {
            match self.route(&child.value, child.referenced, Some(index), depth + 1, routes) {
                Some(child) => routes[index].children.push(child),
                None => return Some(index),
            }
        }
        Some(index)
    }

    fn route_alone(&mut self, given: &file::Route, parent: Option<&Route>) -> Route {
        let matchers = self.matchers(&given.equals, &given.match_re, &given.matchers);
        let receiver = self.receiver_of(given.receiver.as_ref());
        let key = match parent {
            Some(parent) => format!("{}/{matchers}", parent.key),
            None => matchers.to_string(),
        };
        Route {
            receiver: receiver.or(parent.map(|parent| parent.receiver.clone())).unwrap_or_default(),
            continues: given.continues.as_ref().is_some_and(|given| self.truth(given)),
            group_by: self.group_by(&given.group_by, parent),
            options: self.options(given, parent),
            children: Vec::new(),
            matchers,
            key,
        }
    }

    fn receiver_of(&mut self, given: Option<&Scalar>) -> Option<String> {
        let name = given.filter(|name| !name.value.is_empty())?;
        if !self.receivers.contains(&name.value) {
            let hint = "write it as it stands below receivers:, or add it there";
            self.faults.add_with(name.referenced, format!("no receiver is called {:?}", name.value), hint);
        }
        Some(name.value.clone())
    }

    fn options(&mut self, given: &file::Route, parent: Option<&Route>) -> RouteOptions {
        let inherited = |part: fn(&RouteOptions) -> i64, default: i64| parent.map_or(default, |p| part(&p.options));
        RouteOptions {
            group_wait_ms: self
                .duration(given.group_wait.as_ref())
                .unwrap_or_else(|| inherited(|options| options.group_wait_ms, 30_000)),
            group_interval_ms: self
                .above_zero("group_interval", given.group_interval.as_ref())
                .unwrap_or_else(|| inherited(|options| options.group_interval_ms, 300_000)),
            repeat_interval_ms: self
                .above_zero("repeat_interval", given.repeat_interval.as_ref())
                .unwrap_or_else(|| inherited(|options| options.repeat_interval_ms, 14_400_000)),
            mute_time_intervals: self.names_of_intervals(&given.mute_time_intervals),
            active_time_intervals: self.names_of_intervals(&given.active_time_intervals),
        }
    }

    fn names_of_intervals(&mut self, given: &[Scalar]) -> Vec<String> {
        for name in given.iter().filter(|name| !self.intervals.contains(&name.value)) {
            let hint = "write it as it stands below time_intervals:, or add it there";
            self.faults.add_with(name.referenced, format!("no time interval is called {:?}", name.value), hint);
        }
        given.iter().map(|name| name.value.clone()).collect()
    }

    fn group_by(&mut self, given: &[Scalar], parent: Option<&Route>) -> GroupBy {
        let inherited = || parent.map_or(GroupBy::Names(BTreeSet::new()), |parent| parent.group_by.clone());
        let (all, named): (Vec<&Scalar>, Vec<&Scalar>) = given.iter().partition(|name| name.value == "...");
        let mut names = BTreeSet::new();
        for name in &named {
            if name.value.is_empty() {
                self.faults.add(name.referenced, "a label's name is empty");
            } else if !names.insert(name.value.clone()) {
                self.faults.add(name.referenced, format!("{:?} is in group_by twice", name.value));
            }
        }
        match (all.first(), named.is_empty()) {
            (None, true) => inherited(),
            (None, false) => GroupBy::Names(names),
            (Some(_), true) => GroupBy::All,
            (Some(all), false) => {
                let hint = "'...' is by all labels: leave the others out";
                self.faults.add_with(all.referenced, "group_by has '...' and other labels", hint);
                GroupBy::All
            }
        }
    }

    fn inhibit_rule(&mut self, given: &file::InhibitRule) -> InhibitRule {
        for name in given.equal.iter().filter(|name| name.value.is_empty()) {
            self.faults.add(name.referenced, "a label's name is empty");
        }
        InhibitRule {
            sources: self.matchers(&given.source_match, &given.source_match_re, &given.source_matchers),
            targets: self.matchers(&given.target_match, &given.target_match_re, &given.target_matchers),
            equal: given.equal.iter().map(|name| name.value.clone()).collect(),
        }
    }

    /// Conditions of all three ways of writing them.
    fn matchers(&mut self, equals: &Pairs, patterns: &Pairs, texts: &[Scalar]) -> Matchers {
        let mut matchers = Vec::new();
        let pairs = equals.iter().map(|pair| (MatchOp::Equal, pair));
        for (op, (name, value)) in pairs.chain(patterns.iter().map(|pair| (MatchOp::Matches, pair))) {
            if !is_classic_name(name) {
                let hint = "write it in matchers:, which takes any name";
                self.faults.add_with(value.referenced, format!("{name:?} is no name of a label here"), hint);
            }
            match Matcher::new(name, op, &value.value) {
                Ok(matcher) => matchers.push(matcher),
                Err(error) => self.faults.add(value.referenced, error.to_string()),
            }
        }
        for text in texts {
            match Matchers::parse(&text.value) {
                Ok(parsed) => matchers.extend(parsed.iter().cloned()),
                Err(what) => self.faults.add(text.referenced, what),
            }
        }
        Matchers::new(matchers)
    }

    fn duration(&mut self, given: Option<&Scalar>) -> Option<i64> {
        let given = given?;
        match parse_duration_ms(&given.value) {
            Ok(duration_ms) if duration_ms <= DURATION_MS_MAX => return Some(duration_ms),
            Ok(_) => self.faults.add(given.referenced, format!("{:?} is longer than 292 years", given.value)),
            Err(what) => self.faults.add(given.referenced, format!("{:?}: {what}", given.value)),
        }
        None
    }

    fn above_zero(&mut self, key: &str, given: Option<&Scalar>) -> Option<i64> {
        let duration_ms = self.duration(given)?;
        if let (0, Some(given)) = (duration_ms, given) {
            self.faults.add(given.referenced, format!("{key} is 0, but must be longer"));
        }
        Some(duration_ms)
    }

    fn truth(&mut self, given: &Scalar) -> bool {
        truth(&given.value).unwrap_or_else(|| {
            self.faults.add(given.referenced, format!("{:?} is neither true nor false", given.value));
            false
        })
    }
}

/// As YAML 1.1 has it.
fn truth(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn is_classic_name(name: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let mut bytes = name.bytes();
    bytes.next().is_some_and(is_first) && bytes.all(|byte| is_first(byte) || byte.is_ascii_digit())
}
