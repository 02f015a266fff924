use std::time::Duration;

use super::*;
use crate::disk::SimulatedDisk;

const NOON_MS: i64 = 1_700_049_600_000;
const HOUR_MS: i64 = 3_600_000;
const FILE: &str = "/data/alerts.silences";

struct World {
    disk: Arc<SimulatedDisk>,
    clock: Clock,
    silences: Arc<Silences>,
}

impl World {
    fn new() -> World {
        let (disk, clock) = (Arc::new(SimulatedDisk::new()), Clock::manual(NOON_MS));
        let silences = open(&disk, &clock);
        World { disk, clock, silences }
    }

    fn hours(&self, hours: u64) {
        self.clock.advance(Duration::from_secs(3600 * hours));
    }

    fn held_back(&self, pairs: &[(&str, &str)]) -> bool {
        self.silences.silenced_by(&labels(pairs), self.clock.now_ms()).is_some()
    }
}

fn open(disk: &Arc<SimulatedDisk>, clock: &Clock) -> Arc<Silences> {
    Silences::open(disk.clone(), Path::new(FILE), clock.clone(), Vec::new()).expect("the file is whole")
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).expect("labels")
}

fn request(matchers: &str, from_h: i64, to_h: i64) -> SilenceRequest {
    SilenceRequest {
        id: None,
        matchers: Matchers::parse(matchers).expect("matchers"),
        starts_at_ms: NOON_MS + from_h * HOUR_MS,
        ends_at_ms: NOON_MS + to_h * HOUR_MS,
        created_by: "dana".to_owned(),
        comment: "new CDN".to_owned(),
    }
}

fn changed(silence: &Silence, change: impl FnOnce(&mut SilenceRequest)) -> SilenceRequest {
    let mut request = SilenceRequest {
        id: Some(silence.id.clone()),
        matchers: silence.matchers.clone(),
        starts_at_ms: silence.starts_at_ms,
        ends_at_ms: silence.ends_at_ms,
        created_by: silence.created_by.clone(),
        comment: silence.comment.clone(),
    };
    change(&mut request);
    request
}

#[test]
fn alerts_are_held_back_from_the_start_to_the_end() {
    let world = World::new();
    let silence = world.silences.set(request("alertname=SlowPage,shop=~\"eu|us\"", 1, 2)).unwrap();
    let slow = [("alertname", "SlowPage"), ("shop", "eu")];
    assert_eq!(silence.state(world.clock.now_ms()), SilenceState::Pending);
    assert!(!world.held_back(&slow));
    world.hours(1);
    assert!(world.held_back(&slow));
    assert!(!world.held_back(&[("alertname", "SlowPage"), ("shop", "asia")]));
    assert!(!world.held_back(&[("shop", "eu")]));
    world.hours(1);
    assert!(!world.held_back(&slow), "the end is the first moment behind it");
}

#[test]
fn the_index_finds_what_a_look_at_each_silence_finds() {
    let world = World::new();
    for matchers in
        ["a=1", "a=1,b=2", "a=~\"1|2\"", "a!=1,b=2", "a=\"\",b=2", "b!=\"\"", "c=3,a=1,b!~\"2.*\"", "b=2", "b=2,c=\"\""]
    {
        world.silences.set(request(matchers, 0, 1)).unwrap();
    }
    let all = world.silences.all();
    for (a, b, c) in (0..27).map(|n| (n % 3, n / 3 % 3, n / 9)) {
        let alert = labels(&[("a", ["", "1", "2"][a]), ("b", ["", "2", "23"][b]), ("c", ["", "3", "4"][c])]);
        let mut slow: Vec<_> =
            all.iter().filter(|one| one.matchers.matches(&alert)).map(|one| one.id.clone()).collect();
        let mut fast = world.silences.all_silencing(&alert, NOON_MS);
        slow.sort();
        fast.sort();
        assert_eq!(fast, slow, "{alert}");
    }
}

#[test]
fn a_change_keeps_the_id_where_alertmanager_keeps_it() {
    let world = World::new();
    let active = world.silences.set(request("a=1", 0, 4)).unwrap();
    world.hours(1);
    let longer = world.silences.set(changed(&active, |request| request.ends_at_ms += HOUR_MS)).unwrap();
    assert_eq!((&longer.id, longer.starts_at_ms), (&active.id, active.starts_at_ms));
    let other =
        world.silences.set(changed(&longer, |request| request.matchers = Matchers::parse("a=2").unwrap())).unwrap();
    assert_ne!(other.id, active.id);
    assert_eq!(other.starts_at_ms, NOON_MS + HOUR_MS, "what was before it counts as now");
    assert_eq!(world.silences.get(&active.id).unwrap().state(world.clock.now_ms()), SilenceState::Expired);

    let pending = world.silences.set(request("b=1", 2, 3)).unwrap();
    let later = world.silences.set(changed(&pending, |request| request.ends_at_ms += HOUR_MS)).unwrap();
    assert_eq!(later.id, pending.id);
    let begun = world.silences.set(changed(&pending, |request| request.starts_at_ms = NOON_MS)).unwrap();
    assert_ne!(begun.id, pending.id, "a start in the past makes another one");

    world.silences.expire(&begun.id).unwrap();
    let again = world.silences.set(changed(&begun, |_| {})).unwrap();
    assert_ne!(again.id, begun.id, "what has expired stays so");
    let missing = world.silences.set(changed(&again, |request| request.id = Some("x".to_owned())));
    assert!(matches!(missing, Err(SilenceError::NotFound(id)) if id == "x"));
}

#[test]
fn what_would_silence_everything_or_nothing_is_refused() {
    let world = World::new();
    for (matchers, from_h, to_h, told) in [
        ("a=1", 2, 1, "start time must be before end time"),
        ("a=1", 1, 1, "start time must be before end time"),
        ("a=1", -2, 0, "end time can't be in the past"),
        ("", 0, 1, "at least one matcher required"),
        ("a=~\".*\",b!=1", 0, 1, "at least one matcher must not match the empty string"),
    ] {
        let refused = world.silences.set(request(matchers, from_h, to_h)).expect_err(matchers);
        assert_eq!(refused.to_string(), told, "{matchers}");
    }
    assert!(world.silences.all().is_empty());
}

#[test]
fn what_was_answered_is_there_after_a_power_cut() {
    let world = World::new();
    let kept = world.silences.set(request("a=1,b!=\"2\",c=~\"x.*\",d!~y", 0, 4)).unwrap();
    let ended = world.silences.set(request("a=2", 0, 4)).unwrap();
    world.silences.expire(&ended.id).unwrap();
    let after = open(&Arc::new(world.disk.crash(1)), &world.clock);
    assert_eq!(after.all(), world.silences.all());
    assert_eq!(
        after.silenced_by(&labels(&[("a", "1"), ("c", "xy")]), NOON_MS).map(|one| one.id),
        Some(kept.id.clone())
    );
    assert_eq!(after.silenced_by(&labels(&[("a", "2")]), NOON_MS), None);
}

#[test]
fn a_damaged_file_is_named() {
    let world = World::new();
    world.silences.set(request("a=1", 0, 4)).unwrap();
    let whole = world.disk.read(Path::new(FILE)).unwrap().to_vec();
    for index in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[index] ^= 0x10;
        world.disk.replace(Path::new(FILE), &damaged).unwrap();
        let opened = Silences::open(world.disk.clone(), Path::new(FILE), world.clock.clone(), Vec::new());
        let what = opened.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(what.contains(FILE), "byte {index}: {what}");
    }
}

#[test]
fn what_the_disk_did_not_take_is_not_in_force() {
    let world = World::new();
    world.disk.fail_after(0);
    assert!(matches!(world.silences.set(request("a=1", 0, 1)), Err(SilenceError::Disk(_))));
    assert!(!world.held_back(&[("a", "1")]) && world.silences.all().is_empty());
}

#[test]
fn expired_silences_are_forgotten_after_five_days() {
    let world = World::new();
    let old = world.silences.set(request("a=1", 0, 1)).unwrap();
    world.hours(120);
    world.silences.set(request("a=2", 120, 121)).unwrap();
    assert!(world.silences.get(&old.id).is_some(), "119 hours behind its end");
    world.hours(1);
    let last = world.silences.set(request("a=3", 121, 122)).unwrap();
    assert!(world.silences.get(&old.id).is_none());
    world.hours(200);
    assert!(open(&world.disk, &world.clock).get(&last.id).is_none());
}

#[test]
fn their_number_and_their_bytes_are_bounded() {
    let mut kept = Kept::new();
    let one = World::new().silences.set(request("a=1", 0, 1)).unwrap();
    kept.extend((0..SILENCES_COUNT_MAX).map(|index| (index.to_string(), one.clone())));
    assert!(check_room(&kept).is_ok());
    kept.insert("more".to_owned(), one.clone());
    assert!(matches!(check_room(&kept), Err(SilenceError::Full { limit: SILENCES_COUNT_MAX, .. })));
    let long = Arc::new(Silence { comment: "x".repeat(COMMENT_BYTES_MAX), ..Silence::clone(&one) });
    let many: Kept =
        (0..SILENCES_BYTES_MAX / COMMENT_BYTES_MAX).map(|index| (index.to_string(), long.clone())).collect();
    assert!(matches!(check_room(&many), Err(SilenceError::Full { limit: SILENCES_BYTES_MAX, .. })));
}

#[test]
fn a_silence_that_ends_soon_is_told_while_its_alerts_fire() {
    let world = World::new();
    let firing = [labels(&[("a", "1"), ("n", "1")]), labels(&[("a", "1"), ("n", "2")]), labels(&[("a", "2")])];
    let silence = world.silences.set(request("a=1", 0, 1)).unwrap();
    let soon = |at_ms: i64| world.silences.ending_soon(&firing, at_ms);
    assert!(soon(NOON_MS + HOUR_MS - ENDS_SOON_MS - 1).is_empty());
    let told = soon(NOON_MS + HOUR_MS - ENDS_SOON_MS);
    assert_eq!(told, [EndsSoon { silence, firing_count: 2 }]);
    world.silences.set(request("a=1,n=1", 0, 3)).unwrap();
    assert_eq!(soon(NOON_MS + HOUR_MS - 1)[0].firing_count, 1, "the other one is held back for longer");
    assert!(soon(NOON_MS + HOUR_MS).is_empty(), "it has ended");
}

fn window(yaml: &str) -> Result<Window, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("dozor.yml");
    std::fs::write(&file, format!("maintenance: [{yaml}]\n")).expect("a temporary file");
    let flags = crate::config::ServeArgs { config: Some(file), ..crate::config::ServeArgs::default() };
    let config = crate::config::Config::load(&flags).map_err(|error| error.to_string())?;
    Window::read(&config.maintenance[0]).map_err(|error| error.to_string())
}

#[test]
fn other_windows_take_the_place_of_those_that_were_and_leave_silences() {
    let world = World::new();
    world.silences.set(request("job=export", 0, 1)).unwrap();
    let named = |name: &str| vec![window(&format!("{{name: {name}, matchers: [job=backup]}}")).unwrap()];
    world.silences.replace_windows(named("first"));
    world.silences.replace_windows(named("second"));
    let by = |job: &str| world.silences.all_silencing(&labels(&[("job", job)]), NOON_MS).concat();
    assert_eq!((by("backup").as_str(), by("export").is_empty()), ("maintenance/second", false));
    world.silences.replace_windows(Vec::new());
    assert_eq!((by("backup").is_empty(), by("export").is_empty()), (true, false));
}

#[test]
fn a_window_holds_back_by_its_schedule() {
    let nightly = "{name: nightly, matchers: [job=backup], times: [{start_time: '02:00', end_time: '03:00'}], \
                   location: Europe/Berlin, from: '2023-11-01T00:00', to: 2023-11-20T01:30:00Z}";
    let disk = Arc::new(SimulatedDisk::new());
    let windows = vec![window(nightly).unwrap()];
    let silences = Silences::open(disk, Path::new(FILE), Clock::manual(NOON_MS), windows).unwrap();
    let held_back = |at: &str, job: &str| {
        let at: jiff::Timestamp = at.parse().expect("a moment");
        silences.silenced_by(&labels(&[("job", job)]), at.as_millisecond()).map(|one| one.id)
    };
    // 02:00 in Berlin is 01:00 UTC in November.
    assert_eq!(held_back("2023-11-15T01:00:00Z", "backup").as_deref(), Some("maintenance/nightly"));
    assert_eq!(held_back("2023-11-15T00:59:59Z", "backup"), None);
    assert_eq!(held_back("2023-11-15T01:00:00Z", "shop"), None);
    assert!(held_back("2023-11-20T01:29:59Z", "backup").is_some());
    assert_eq!(held_back("2023-11-20T01:30:00Z", "backup"), None, "the period is over");
    assert_eq!(held_back("2023-10-31T01:00:00Z", "backup"), None);
}

#[test]
fn a_window_that_cannot_be_read_is_shown_at_its_place() {
    for (yaml, told) in [
        ("{name: a, matchers: ['a=~\".*\"']}", "maintenance.name \"a\": would hold back every alert"),
        ("{name: a, matchers: [a]}", "maintenance.matchers \"a\": "),
        ("{name: a, matchers: []}", "maintenance.matchers \"a\": is empty"),
        ("{name: a, matchers: [a=b], weekdays: [someday]}", "maintenance.weekdays \"someday\": "),
        ("{name: a, matchers: [a=b], location: Mars}", "maintenance.location \"Mars\": "),
        ("{name: a, matchers: [a=b], from: soon}", "maintenance.from \"soon\": is not a time"),
        ("{name: a, matchers: [a=b], from: '2026-01-02T00:00', to: '2026-01-01T00:00'}", "is not behind `from`"),
        ("{name: a, matchers: [a=b], times: [{start_time: '3:00', end_time: '04:00'}]}", "is no time of day"),
        ("{name: a, matchers: [a=b], times: [{start_time: '05:00', end_time: '04:00'}]}", "over midnight takes two"),
        ("{name: a, matchers: [a=b]}, {name: a, matchers: [a=b]}", "another window is called so"),
    ] {
        let what = window(yaml).expect_err(yaml);
        assert!(what.contains(told) && what.contains("dozor.yml:1:"), "{yaml}: {what}");
    }
}

#[test]
fn ids_are_random_uuids_of_version_four() {
    let ids: std::collections::BTreeSet<String> = (0..1000).map(|_| new_id()).collect();
    assert_eq!(ids.len(), 1000);
    for id in ids {
        let shape: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(shape, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(&id[14..15], "4", "{id}");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
    }
}
