use std::time::Duration;

use super::*;
use crate::disk::SimulatedDisk;

/// 14 November 2023, 22:13:20 UTC.
const NOW_MS: i64 = 1_700_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const FILE: &str = "/data/announced.calendar";

struct World {
    disk: Arc<SimulatedDisk>,
    clock: Clock,
    announcements: Arc<Announcements>,
}

fn opened(disk: Arc<SimulatedDisk>, clock: Clock) -> Result<World, AnnounceError> {
    let zone = Zone::named("Europe/Berlin").expect("a zone");
    let announcements = Announcements::open(disk.clone(), Path::new(FILE), clock.clone(), zone, &[])?;
    Ok(World { disk, clock, announcements })
}

fn world() -> World {
    let disk = Arc::new(SimulatedDisk::new());
    disk.create_folder(Path::new("/data")).expect("made");
    opened(disk, Clock::manual(NOW_MS)).expect("no file is no spans")
}

fn sale() -> AnnounceRequest {
    AnnounceRequest {
        kind: "campaign".to_owned(),
        from: "2023-11-15T10:00".to_owned(),
        to: "2023-11-15T14:00".to_owned(),
        tolerance: None,
        by: "dana".to_owned(),
        comment: "flash sale".to_owned(),
    }
}

/// From now on, for so many hours.
fn hours(count: i64) -> AnnounceRequest {
    let end = Timestamp::from_millisecond(NOW_MS + count * HOUR_MS).expect("in bounds").to_string();
    AnnounceRequest { kind: "deploy".to_owned(), from: String::new(), to: end, ..sale() }
}

fn tolerance(world: &World, at_ms: i64) -> f64 {
    world.announcements.in_force().calendar.tolerance(at_ms)
}

fn refused(world: &World, request: AnnounceRequest) -> String {
    let error = world.announcements.announce(request).expect_err("it is wrong");
    assert!(matches!(error, AnnounceError::Refused { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn a_span_by_the_shops_clock_excuses_from_half_an_hour_before_to_half_an_hour_behind_it() {
    let world = world();
    let span = world.announcements.announce(sale()).unwrap();
    // Ten in Berlin is nine UTC: 38,800 s behind the present moment.
    assert_eq!((span.from_ms, span.to_ms), (NOW_MS + 38_800_000, NOW_MS + 38_800_000 + 4 * HOUR_MS));
    let (from_ms, to_ms) = (span.from_ms - HOUR_MS / 2, span.to_ms + HOUR_MS / 2);
    assert_eq!([from_ms - 1, from_ms, to_ms - 1, to_ms].map(|at_ms| tolerance(&world, at_ms)), [0.0, 0.6, 0.6, 0.0]);
    assert_eq!([from_ms - 1, from_ms, to_ms].map(|at_ms| span.state(at_ms).name()), ["pending", "active", "over"]);
}

#[test]
fn whole_days_end_with_the_day_and_a_moment_may_say_its_offset() {
    let world = world();
    let days = AnnounceRequest { from: "2023-11-24".to_owned(), to: "2023-11-27".to_owned(), ..sale() };
    let days = world.announcements.announce(days).unwrap();
    // Midnight in Berlin is 23:00 UTC of the day before.
    let at = |text: &str| text.parse::<Timestamp>().expect("a moment").as_millisecond();
    assert_eq!((days.from_ms, days.to_ms), (at("2023-11-23T23:00:00Z"), at("2023-11-27T23:00:00Z")));
    let told = AnnounceRequest { from: "2023-11-15T10:00:00-05:00".to_owned(), to: "2023-11-16".to_owned(), ..sale() };
    assert_eq!(world.announcements.announce(told).unwrap().from_ms, at("2023-11-15T15:00:00Z"));
}

#[test]
fn what_was_announced_is_known_behind_a_crash_and_what_was_withdrawn_is_not() {
    let before = world();
    let (kept, gone) =
        (before.announcements.announce(hours(4)).unwrap(), before.announcements.announce(sale()).unwrap());
    assert_eq!(before.announcements.withdraw(&gone.id).unwrap(), gone);
    for seed in 0..20 {
        let after = opened(Arc::new(before.disk.crash(seed)), before.clock.clone()).unwrap();
        assert_eq!(after.announcements.in_force().announced, std::slice::from_ref(&kept));
        assert_eq!([NOW_MS - 1, NOW_MS, gone.from_ms].map(|at_ms| tolerance(&after, at_ms)), [0.0, 0.3, 0.0]);
    }
    let error = before.announcements.withdraw(&gone.id).expect_err("it is gone");
    assert_eq!(error.to_string(), format!("no span {} is announced", gone.id));
}

#[test]
fn what_the_disk_does_not_take_is_not_in_force() {
    let world = world();
    let kept = world.announcements.announce(hours(4)).unwrap();
    world.disk.fail_after(0);
    assert!(matches!(world.announcements.announce(sale()), Err(AnnounceError::Disk(_))));
    assert!(matches!(world.announcements.withdraw(&kept.id), Err(AnnounceError::Disk(_))));
    assert_eq!(world.announcements.in_force().announced, [kept]);
    world.disk.heal();
    assert!(world.announcements.announce(sale()).is_ok());
}

#[test]
fn mistakes_name_the_member_and_what_to_write() {
    let world = world();
    let from = |from: &str| AnnounceRequest { from: from.to_owned(), ..sale() };
    let to = |to: &str| AnnounceRequest { to: to.to_owned(), ..sale() };
    let cases = [
        (AnnounceRequest { kind: "party".to_owned(), ..sale() }, "kind is none of: holiday, campaign, deploy"),
        (AnnounceRequest { tolerance: Some(1.5), ..sale() }, "tolerance is a fraction, 0.05 to 1"),
        (AnnounceRequest { tolerance: Some(f64::NAN), ..sale() }, "tolerance is a fraction, 0.05 to 1"),
        (from("soon"), "from \"soon\" is no moment: write 2026-11-27T18:00 by the shop's clock"),
        (to(""), "to \"\" is no moment"),
        (to("12-24"), "to \"12-24\" has no year: what comes every year stands in the settings"),
        (to("2023-11-15T10:00"), "to is not behind `from`"),
        (
            AnnounceRequest { from: "2023-11-14T10:00".to_owned(), to: "2023-11-14T20:00".to_owned(), ..sale() },
            "to has passed",
        ),
        (from("2023-11-07T23:13:19+01:00"), "from is more than 7d ago"),
        (to("2023-12-24T00:00:00.001+00:00").with_from("2023-09-23"), "from is more than 7d ago"),
        (to("2024-02-16"), "to is more than 92d behind `from`"),
        (to("2025-11-15"), "to is more than 400d ahead"),
        (AnnounceRequest { by: " ".to_owned(), ..sale() }, "by is empty"),
        (AnnounceRequest { comment: String::new(), ..sale() }, "comment is empty: say who announces it, and why"),
        (AnnounceRequest { comment: "x".repeat(2_001), ..sale() }, "comment has 2001 bytes, more than 2000"),
    ];
    for (request, expected) in cases {
        let told = refused(&world, request);
        assert!(told.starts_with(expected), "{told} is not {expected}");
    }
    assert!(world.announcements.in_force().announced.is_empty());
    assert!(world.disk.read(Path::new(FILE)).is_err(), "nothing was written");
}

impl AnnounceRequest {
    fn with_from(self, from: &str) -> AnnounceRequest {
        AnnounceRequest { from: from.to_owned(), ..self }
    }
}

#[test]
fn a_span_may_have_begun_a_week_ago() {
    let world = world();
    // To the second a week before the present moment.
    let span = world.announcements.announce(sale().with_from("2023-11-07T22:13:20Z")).unwrap();
    assert_eq!(span.from_ms, NOW_MS - 7 * DAY_MS);
    assert_eq!(tolerance(&world, NOW_MS - 6 * DAY_MS), 0.6);
}

#[test]
fn what_is_over_makes_room_and_what_is_not_makes_none() {
    let world = world();
    let first = world.announcements.announce(hours(1)).unwrap();
    for _ in 1..ANNOUNCED_COUNT_MAX {
        world.announcements.announce(hours(2)).unwrap();
    }
    let full = world.announcements.announce(hours(2)).expect_err("there are as many as there may be");
    assert!(matches!(full, AnnounceError::Full) && full.to_string().contains("1000"), "{full}");
    world.clock.advance(Duration::from_secs(3_600));
    world.announcements.announce(hours(2)).unwrap();
    let announced = world.announcements.in_force().announced.clone();
    assert_eq!(announced.len(), ANNOUNCED_COUNT_MAX);
    assert!(announced.iter().all(|span| span.id != first.id));
    assert!(matches!(world.announcements.announce(hours(2)), Err(AnnounceError::Full)));
}

#[test]
fn what_is_over_is_forgotten_thirty_days_later() {
    let world = world();
    let first = world.announcements.announce(hours(1)).unwrap();
    let later = |disk: &Arc<SimulatedDisk>, ms: i64| opened(disk.clone(), Clock::manual(first.to_ms + ms)).unwrap();
    assert_eq!(later(&world.disk, 30 * DAY_MS - 1).announcements.in_force().announced, std::slice::from_ref(&first));
    assert!(later(&world.disk, 30 * DAY_MS).announcements.in_force().announced.is_empty());
}

#[test]
fn other_settings_leave_what_was_announced() {
    let world = world();
    world.announcements.announce(hours(2)).unwrap();
    let holiday = CalendarSpan::new("a day", CalendarKind::Holiday, "11-15", "11-15", Some(0.8)).unwrap();
    world.announcements.rewrite(&[holiday]).unwrap();
    assert_eq!([1, 10].map(|hours| tolerance(&world, NOW_MS + hours * HOUR_MS)), [0.8, 0.8]);
    assert_eq!(world.announcements.counts(), (1, 1), "the holiday has not begun");
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(world.announcements.counts(), (1, 2));
    world.announcements.announce(hours(3)).unwrap();
    assert_eq!(tolerance(&world, NOW_MS + 10 * HOUR_MS), 0.8, "an announcement leaves the settings");
    world.announcements.rewrite(&[]).unwrap();
    assert_eq!([1, 10].map(|hours| tolerance(&world, NOW_MS + hours * HOUR_MS)), [0.3, 0.0]);
}

#[test]
fn a_damaged_file_is_named() {
    let world = world();
    world.announcements.announce(hours(2)).unwrap();
    let length = world.disk.read(Path::new(FILE)).expect("written").len();
    for byte in 0..length {
        let damaged = Arc::new(world.disk.crash(1));
        damaged.damage(Path::new(FILE), |bytes| bytes[byte] ^= 0x10);
        match opened(damaged, world.clock.clone()) {
            Err(error) => assert!(error.to_string().contains(FILE), "{error}"),
            // What lies between records is under no checksum, and says nothing.
            Ok(after) => assert_eq!(after.announcements.in_force().announced.len(), 1, "byte {byte}"),
        }
    }
    for length in 0..length {
        let torn = Arc::new(world.disk.crash(1));
        torn.damage(Path::new(FILE), |bytes| bytes.truncate(length));
        if let Ok(after) = opened(torn, world.clock.clone()) {
            assert_eq!(after.announcements.in_force().announced.len(), 1, "cut at {length}");
        }
    }
}
