//! Reads rule files into rules, or into everything that is wrong with them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_saphyr::{Location, Spanned};

use super::file::{Anomaly, At, File, Full, Group, Limit, Rule, Way};
use super::group::{self, RuleGroup};
use super::pack::Pack;
use super::{AnomalyRule, RuleError, RuleErrors, RulePlace, RuleSet, advice, duration, files};
use crate::detect::{
    AbsenceOptions, Ceiling, Directions, FullOptions, LimitOptions, ModelOptions, Signal, SignalClass, Zone,
};
use crate::disk::Disk;

/// Longest rule file, in bytes.
const FILE_BYTES_MAX: usize = 4 << 20;
/// Most rules of all files together.
const RULES_COUNT_MAX: usize = 10_000;

/// Reads all files; `pack:shop` among the paths stands for those of a pack. Fails with every fault of every file; then none
/// of them is in force.
pub fn load(disk: &dyn Disk, paths: &[PathBuf]) -> Result<RuleSet, RuleErrors> {
    let mut set = RuleSet::default();
    let mut errors = Vec::new();
    for file in files::found(disk, paths) {
        let file = match file {
            Ok(file) => file,
            Err((path, what)) => {
                errors.push(of_file(&path, what));
                continue;
            }
        };
        match texts_of(disk, &file) {
            Ok(texts) => {
                for (file, text) in &texts {
                    Reader { file, text, errors: &mut errors }.read(&mut set);
                }
            }
            Err(error) => errors.push(error),
        }
    }
    let rules_count: usize = set.groups.iter().map(|group| group.rules.len()).sum();
    if let (true, Some(path)) = (rules_count > RULES_COUNT_MAX, paths.last()) {
        errors.push(of_file(path, format!("{rules_count} rules are more than {RULES_COUNT_MAX}")));
    }
    if errors.is_empty() { Ok(set) } else { Err(RuleErrors(errors)) }
}

/// Reads the text of a file. Fails with every fault of it.
pub fn load_text(file: &Path, text: &str) -> Result<RuleSet, RuleErrors> {
    let (mut set, mut errors) = (RuleSet::default(), Vec::new());
    if text.len() > FILE_BYTES_MAX {
        errors.push(of_file(file, format!("{} bytes are more than the {FILE_BYTES_MAX} of a rule file", text.len())));
    } else {
        Reader { file, text, errors: &mut errors }.read(&mut set);
    }
    if errors.is_empty() { Ok(set) } else { Err(RuleErrors(errors)) }
}

/// What a path stands for: each file with its text.
fn texts_of(disk: &dyn Disk, path: &Path) -> Result<Vec<(PathBuf, Cow<'static, str>)>, RuleError> {
    match Pack::of_path(path) {
        None => Ok(vec![(path.to_owned(), Cow::Owned(text_of(disk, path)?))]),
        Some(Err(what)) => Err(of_file(path, what)),
        Some(Ok(pack)) => {
            let files = pack.files().iter();
            Ok(files.map(|file| (path.join(file.name), Cow::Borrowed(file.text))).collect())
        }
    }
}

fn text_of(disk: &dyn Disk, path: &Path) -> Result<String, RuleError> {
    let bytes = disk.read(path).map_err(|error| of_file(path, error.source.to_string()))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(of_file(path, format!("{} bytes are more than the {FILE_BYTES_MAX} of a rule file", bytes.len())));
    }
    String::from_utf8(bytes.to_vec()).map_err(|error| of_file(path, error.to_string()))
}

fn of_file(path: &Path, what: String) -> RuleError {
    RuleError { file: path.to_owned(), place: None, line_text: String::new(), what, hint: None }
}

/// One file on its way into rules.
pub(super) struct Reader<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
    pub(super) errors: &'a mut Vec<RuleError>,
}

impl Reader<'_> {
    fn read(&mut self, set: &mut RuleSet) {
        let file: File = match serde_saphyr::from_str::<Option<File>>(self.text) {
            Ok(Some(file)) => file,
            // Nothing but comments, or a document without a word in it.
            Ok(None) => return,
            Err(error) => return self.refuse_syntax(&error),
        };
        let mut names = HashSet::new();
        for group in &file.groups {
            let name = &group.name;
            if name.value.is_empty() {
                self.refuse::<()>(name.referenced, "the group's name is empty".to_owned(), None);
            }
            if !names.insert(name.value.as_str()) {
                let what = format!("the group {:?} is in this file twice", name.value);
                self.refuse::<()>(
                    name.referenced,
                    what,
                    Some("give one of both another name, or put their rules together"),
                );
            }
            let (group, places) = self.group(group, &mut set.rules);
            set.groups.push(Arc::new(group));
            set.places.push(places);
        }
    }

    /// A group and where its rules begin, whole if nothing was refused.
    fn group(&mut self, group: &Group, anomalies: &mut Vec<AnomalyRule>) -> (RuleGroup, Vec<RulePlace>) {
        self.check_labels(&group.labels);
        let (mut rules, mut places) = (Vec::with_capacity(group.rules.len()), Vec::with_capacity(group.rules.len()));
        for rule in &group.rules {
            let Some(made) = self.rule(group, rule, anomalies) else { continue };
            let place = place_of(rule.referenced);
            let line_text = place.map(|(line, _)| line_of(self.text, line).to_owned()).unwrap_or_default();
            rules.push(made);
            places.push(RulePlace { place, line_text });
        }
        let given =
            |text: &Option<Spanned<String>>, this: &mut Self| text.as_ref().map(|_| this.duration(text.as_ref()));
        let group = RuleGroup {
            file: self.file.to_owned(),
            name: group.name.value.clone(),
            // As in Prometheus, 0 is the server's default.
            interval_ms: given(&group.interval, self).filter(|&interval_ms| interval_ms > 0),
            query_offset_ms: given(&group.query_offset, self),
            limit: usize::try_from(group.limit).unwrap_or(0),
            rules,
        };
        (group, places)
    }

    fn rule(
        &mut self,
        group: &Group,
        spanned: &Spanned<Rule>,
        anomalies: &mut Vec<AnomalyRule>,
    ) -> Option<group::Rule> {
        let rule = &spanned.value;
        let given = |name: &'_ Option<Spanned<String>>| name.clone().filter(|name| !name.value.is_empty());
        match (given(&rule.alert), given(&rule.record), &rule.anomaly) {
            (Some(alert), None, Some(anomaly)) => {
                let anomaly = self.anomaly(group, rule, &alert, anomaly)?;
                anomalies.push(anomaly);
                Some(group::Rule::Anomaly(anomalies.len() - 1))
            }
            (Some(alert), None, None) => self.alerting(group, rule, &alert).map(group::Rule::Alerting),
            (None, Some(record), None) => self.recording(group, rule, &record).map(group::Rule::Recording),
            (None, Some(record), Some(_)) => {
                let what = "an anomaly block belongs to an alert, not to a record".to_owned();
                self.refuse(record.referenced, what, Some("write alert: in place of record:"))
            }
            (Some(alert), Some(_), _) => self.refuse(
                alert.referenced,
                "a rule is an alert or a record, not both".to_owned(),
                Some("make two rules of it, or remove one of both"),
            ),
            (None, None, _) => self.refuse(
                spanned.referenced,
                "a rule needs a name".to_owned(),
                Some("add alert: NameOfTheAlert, or record: name_of_the_metric"),
            ),
        }
    }

    fn anomaly(
        &mut self,
        group: &Group,
        rule: &Rule,
        name: &Spanned<String>,
        anomaly: &Anomaly,
    ) -> Option<AnomalyRule> {
        let before = self.errors.len();
        let options = self.options(rule, anomaly);
        let labels = self.labels_of_alert(group, rule, true);
        let annotations = self.annotations(rule);
        let compiled = match options.absence {
            Some(_) => Signal::beats(&rule.expr.value),
            None => Signal::of(&rule.expr.value),
        };
        let signal = match compiled {
            Ok(signal) => signal,
            Err(error) => return self.refuse_expr(&rule.expr, &error.to_string()),
        };
        self.check_class(anomaly, &signal);
        let zone = anomaly.timezone.as_ref().and_then(|name| self.zone(name));
        (self.errors.len() == before).then(|| AnomalyRule {
            file: self.file.to_owned(),
            group: group.name.value.clone(),
            alert: name.value.clone(),
            expr: rule.expr.value.clone(),
            signal,
            options,
            zone,
            labels,
            annotations,
        })
    }

    fn options(&mut self, rule: &Rule, anomaly: &Anomaly) -> ModelOptions {
        let defaults = ModelOptions::default();
        let min_change = anomaly.min_change.as_ref().map(|given| {
            self.number("min_change", Some(given), 0.0, 0.0..=0.9, "a fraction of the expectation: 0.3 is 30 %")
        });
        self.check_parts(rule, anomaly);
        let way = anomaly.direction.as_ref().map(|way| way.value);
        ModelOptions {
            directions: match way {
                Some(Way::Drop) => Directions::Drop,
                Some(Way::Rise) => Directions::Rise,
                Some(Way::Both) => Directions::Both,
                Some(Way::Absent) | None => Directions::None,
            },
            absence: (way == Some(Way::Absent)).then(AbsenceOptions::default),
            limit: anomaly.limit.as_ref().map(|limit| self.limit(rule, &limit.value)),
            full: anomaly.full.as_ref().and_then(|full| self.full(rule, &full.value)),
            price: anomaly
                .price
                .as_ref()
                .map(|price| self.number("price", Some(price), 0.0, 0.0..=1e12, "money that one lost event costs")),
            class: anomaly.class.as_ref().map(|class| class.value),
            false_alerts_per_series_week: self.number(
                "false_alerts_per_series_week",
                anomaly.false_alerts_per_series_week.as_ref(),
                defaults.false_alerts_per_series_week,
                0.001..=100.0,
                "how often a series may fire in vain: 0.1 is once in ten weeks",
            ),
            min_change,
            min_volume: self.number(
                "min_volume",
                anomaly.min_volume.as_ref(),
                defaults.min_volume,
                0.0..=1e9,
                "expected events in a window",
            ),
            for_ms: self.duration(rule.hold.as_ref()),
            keep_firing_for_ms: self.duration(rule.keep_firing_for.as_ref()),
        }
    }

    fn zone(&mut self, name: &Spanned<String>) -> Option<Arc<Zone>> {
        match Zone::named(&name.value) {
            Ok(zone) => Some(Arc::new(zone)),
            Err(what) => self.refuse(name.referenced, format!("timezone {:?}: {what}", name.value), None),
        }
    }

    /// A block watches for something, and nothing but beats if for those.
    fn check_parts(&mut self, rule: &Rule, anomaly: &Anomaly) {
        match &anomaly.direction {
            Some(way) if way.value == Way::Absent && (anomaly.limit.is_some() || anomaly.full.is_some()) => {
                let what = "absence is watched of samples, which have no limit".to_owned();
                self.refuse::<()>(way.referenced, what, Some("write a rule of its own for limit and full"));
            }
            None if anomaly.limit.is_none() && anomaly.full.is_none() => {
                let what = "the anomaly block says nothing to watch for".to_owned();
                let hint = "add direction: drop, rise, both or absent, or a limit, or full";
                self.refuse::<()>(rule.expr.referenced, what, Some(hint));
            }
            _ => {}
        }
    }

    fn limit(&mut self, rule: &Rule, limit: &Limit) -> LimitOptions {
        if limit.above.is_none() && limit.below.is_none() {
            let hint = "write for instance limit: { above: 2, for: 1m }";
            self.refuse::<()>(rule.expr.referenced, "the limit has neither above nor below".to_owned(), Some(hint));
        }
        LimitOptions {
            above: limit.above,
            below: limit.below,
            for_ms: self.duration(limit.hold.as_ref().or(rule.hold.as_ref())),
            keep_firing_for_ms: self.duration(rule.keep_firing_for.as_ref()),
        }
    }

    fn full(&mut self, rule: &Rule, full: &Full) -> Option<FullOptions> {
        let at = match &full.at.value {
            At::Number(value) => Ceiling::Value(*value),
            At::Word(word) if word == "now" => Ceiling::Now,
            At::Word(word) => {
                let what = format!("full is at {word:?}");
                return self.refuse(full.at.referenced, what, Some("write a number, or now for what is a time"));
            }
        };
        Some(FullOptions {
            at,
            within_ms: self.duration(Some(&full.within)),
            for_ms: self.duration(rule.hold.as_ref()),
            keep_firing_for_ms: self.duration(rule.keep_firing_for.as_ref()),
        })
    }

    /// A class says what is trouble, and how it is measured.
    fn check_class(&mut self, anomaly: &Anomaly, signal: &Signal) {
        let Some(class) = &anomaly.class else { return };
        let way = anomaly.direction.as_ref().map(|way| way.value);
        let (what, hint) = match (class.value, way, signal.is_count()) {
            (SignalClass::Latency, _, true) => {
                ("latency is a class of values, and this expression counts events", "use orders, errors or conversion")
            }
            (SignalClass::Orders | SignalClass::Errors | SignalClass::Conversion, _, false) => {
                ("this class counts events, and this expression has a value", "use latency")
            }
            (SignalClass::Errors, Some(Way::Drop | Way::Both), _) => {
                ("of the class errors only a rise is trouble", "use direction: rise, or the class orders")
            }
            (SignalClass::Conversion, Some(Way::Rise | Way::Both), _) => {
                ("of the class conversion only a drop is trouble", "use direction: drop, or the class orders")
            }
            _ => return,
        };
        self.refuse::<()>(class.referenced, what.to_owned(), Some(hint));
    }

    fn number(
        &mut self,
        name: &str,
        given: Option<&Spanned<f64>>,
        default: f64,
        range: RangeInclusive<f64>,
        hint: &str,
    ) -> f64 {
        let Some(given) = given else { return default };
        if !range.contains(&given.value) {
            let what = format!("{name} is {}, but must lie between {} and {}", given.value, range.start(), range.end());
            self.refuse::<()>(given.referenced, what, Some(hint));
        }
        given.value
    }

    pub(super) fn duration(&mut self, given: Option<&Spanned<String>>) -> i64 {
        let Some(given) = given else { return 0 };
        duration::parse(&given.value).unwrap_or_else(|what| {
            self.refuse::<()>(given.referenced, what, None);
            0
        })
    }

    fn refuse_syntax(&mut self, error: &serde_saphyr::Error) {
        let plain = error.without_snippet();
        let place = error.location().and_then(place_of);
        let mut what = plain.to_string();
        if let Some((line, column)) = place {
            let suffix = format!(" at line {line}, column {column}");
            what = what.strip_suffix(&suffix).unwrap_or(&what).to_owned();
        }
        let fault = advice::of_yaml(error, self.text, place, what);
        self.push(fault.place, fault.what, fault.hint.as_deref());
    }

    pub(super) fn refuse<T>(&mut self, location: Location, what: String, hint: Option<&str>) -> Option<T> {
        self.push(place_of(location), what, hint);
        None
    }

    pub(super) fn push(&mut self, place: Option<(usize, usize)>, what: String, hint: Option<&str>) {
        let line_text = place.map(|(line, _)| line_of(self.text, line).to_owned()).unwrap_or_default();
        let hint = hint.map(str::to_owned);
        self.errors.push(RuleError { file: self.file.to_owned(), place, line_text, what, hint });
    }
}

pub(super) fn line_of(text: &str, line: usize) -> &str {
    text.lines().nth(line - 1).unwrap_or("")
}

/// None where the parser does not know.
pub(super) fn place_of(location: Location) -> Option<(usize, usize)> {
    let line = usize::try_from(location.line()).ok().filter(|&line| line > 0)?;
    let column = usize::try_from(location.column()).ok().filter(|&column| column > 0)?;
    Some((line, column))
}
