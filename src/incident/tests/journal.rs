use super::super::book::Book;
use super::super::journal::Record;
use super::super::{Figures, Filter, Incident};
use super::*;

/// Everything that can be said of an incident, said of two.
fn tell_all(incidents: &Incidents, clock: &Clock) {
    let orders = alert("Orders", &[("job", "shop"), ("region", "eu")], NOON_MS);
    let payments = alert("Payments", &[("job", "shop")], NOON_MS);
    incidents.take(&[transition("inc-1", &orders, NOON_MS), transition("inc-2", &payments, NOON_MS + 1)]);
    incidents.take(&[delivered("inc-1", NOON_MS + 2)]);
    let given_up = AttemptResult::GivenUp { reason: "410 Gone".to_owned() };
    incidents.take(&[attempt("inc-2", "mail", NOON_MS + 3, given_up)]);
    let figures = Figures { value: Some(0.1), expected: None, chart: vec![(NOON_MS, Some(0.1), None)] };
    incidents.note_figures("inc-1", &orders, figures);
    clock.advance(minutes(16));
    for (incident, due) in incidents.due() {
        incidents.note_escalated(&incident.id, &due);
    }
    incidents.acknowledge("inc-1", "ada").unwrap();
    let quiet = alert("Quiet", &[("job", "shop")], NOON_MS);
    incidents.take(&[silenced(&quiet)]);
    incidents.add_note("inc-2", "bob", "größer als gedacht").unwrap();
    incidents.mark_unknown("shop", NOON_MS);
    incidents.take(&[transition("inc-2", &ended(&payments, NOON_MS + 5), NOON_MS + 6)]);
}

fn silenced(quiet: &Alert) -> Event {
    let (created_by, comment) = ("ada".to_owned(), "x".repeat(4_000));
    let silenced_by = Some(SilencedBy { id: "5c1".to_owned(), created_by, comment });
    Event::Transition { alert: quiet.clone(), incident: "inc-2".to_owned(), at_ms: NOON_MS + 4, silenced_by }
}

#[test]
fn silence_of_a_beginning_is_known_bounded_and_files_from_before_are_read() {
    let (incidents, _, _) = incidents();
    let quiet = alert("Quiet", &[], NOON_MS);
    incidents.take(&[silenced(&quiet), transition("inc-1", &quiet, NOON_MS)]);
    let signal = |id: &str| incidents.get(id).unwrap().signals[0].clone();
    let silenced_by = signal("inc-2").silenced_by.expect("it was held back");
    let SilencedBy { id, created_by, comment } = &silenced_by;
    assert_eq!((id.as_str(), created_by.as_str(), comment.len()), ("5c1", "ada", 500));
    assert_eq!(signal("inc-1").silenced_by, None);
    // What was written before there was this member.
    let old =
        r#"{"alert":{"labels":{"alertname":"A"},"starts_at_ms":5},"fingerprint":"000000000000000a","taken_ms":6}"#;
    let read: super::super::Signal = serde_json::from_str(old).expect("an old signal");
    assert_eq!((read.fingerprint, read.taken_ms, read.silenced_by), (10, 6, None));
    assert!(!serde_json::to_string(&signal("inc-1")).unwrap().contains("silenced_by"));
}

fn all(incidents: &Incidents) -> Vec<Incident> {
    incidents.list(&Filter::default()).iter().map(|incident| Incident::clone(incident)).collect()
}

fn only_file(disk: &SimulatedDisk) -> std::path::PathBuf {
    let names = disk.list(Path::new(FOLDER)).unwrap();
    assert_eq!(names.len(), 1, "{names:?}");
    Path::new(FOLDER).join(&names[0])
}

#[test]
fn everything_is_read_again_after_a_power_cut() {
    let (incidents, disk, clock) = incidents();
    tell_all(&incidents, &clock);
    let told = all(&incidents);
    assert_eq!(told.len(), 2);
    assert!(told.iter().any(|incident| !incident.unknown_jobs.is_empty()));
    assert!(told.iter().all(|incident| incident.escalations.len() == 1));
    for seed in 0..20 {
        let after = disk.crash(seed);
        let (read, recovered) = open_on(&after, &clock);
        assert_eq!((recovered.incident_count, recovered.damage), (2, Vec::<String>::new()));
        assert_eq!(all(&read), told, "seed {seed}");
        // Written anew, it is the same once more.
        read.keep_up();
        let (again, recovered) = open_on(&after, &clock);
        assert!(recovered.damage.is_empty());
        assert_eq!(all(&again), told, "seed {seed}");
        only_file(&after);
    }
}

#[test]
fn power_cut_at_any_moment_leaves_a_beginning_of_what_was_told() {
    let operations = {
        let (incidents, disk, clock) = incidents();
        tell_all(&incidents, &clock);
        disk.operation_count()
    };
    for count in 0..=operations {
        let (disk, clock) = (SimulatedDisk::new(), Clock::manual(NOON_MS));
        disk.fail_after(count);
        let folder = Path::new(FOLDER);
        if let Ok((incidents, _)) = Incidents::open(Arc::new(disk.clone()), folder, clock.clone(), options()) {
            // People hear of a failure; what the notifier tells is kept in memory meanwhile.
            let orders = alert("Orders", &[], NOON_MS);
            incidents.take(&[transition("inc-1", &orders, NOON_MS)]);
            let is_acknowledged = incidents.acknowledge("inc-1", "ada").is_ok();
            let after = disk.crash(count);
            after.heal();
            let (read, recovered) = open_on(&after, &clock);
            assert_eq!(recovered.damage, Vec::<String>::new(), "{count}");
            if is_acknowledged {
                assert_eq!(read.get("inc-1").unwrap().acknowledgement().unwrap().by, "ada", "{count}");
            }
            // Once the disk is well, what is in memory is written.
            disk.heal();
            incidents.keep_up();
            let (read, _) = open_on(&disk.crash(count), &clock);
            assert_eq!(all(&read), all(&incidents), "{count}");
        }
    }
}

#[test]
fn unfinished_end_is_left_off_and_damage_is_named_and_kept() {
    let (incidents, disk, clock) = incidents();
    tell_all(&incidents, &clock);
    let path = only_file(&disk);
    let whole = disk.read(&path).unwrap().len();

    let torn = disk.crash(0);
    torn.damage(&path, |bytes| bytes.truncate(whole - 3));
    let (read, recovered) = open_on(&torn, &clock);
    assert_eq!(recovered.damage, Vec::<String>::new());
    assert_eq!(read.list(&Filter::default()).len(), 2);

    let damaged = disk.crash(0);
    // Within the first record, which is the beginning of inc-1.
    damaged.damage(&path, |bytes| bytes[80] ^= 1);
    let (read, recovered) = open_on(&damaged, &clock);
    assert!(!recovered.damage.is_empty());
    assert!(
        recovered.damage.iter().all(|what| what.starts_with(&path.display().to_string())),
        "{:?}",
        recovered.damage
    );
    assert!(read.get("inc-2").is_some());
    read.keep_up();
    let names = damaged.list(Path::new(FOLDER)).unwrap();
    assert!(names.iter().any(|name| name.ends_with(".incidents.damaged")), "{names:?}");
}

#[test]
fn size_that_grew_is_that_of_the_whole() {
    let (incidents, disk, clock) = incidents();
    tell_all(&incidents, &clock);
    let orders = alert("Orders", &[("job", "shop"), ("region", "eu")], NOON_MS);
    let figures = Figures { value: None, expected: None, chart: vec![(NOON_MS, None, None); 7] };
    incidents.note_figures("inc-1", &orders, figures);
    // The file has the changes, of which the first one began the incidents.
    let (_, recovered) =
        super::super::journal::Journal::open(Arc::new(disk), Path::new(FOLDER)).expect("the journal opens");
    let (mut grown, mut whole) = (Book::default(), Book::default());
    recovered.records.into_iter().for_each(|record| grown.read(record));
    grown.all().for_each(|incident| whole.read(Record::Incident(incident.clone())));
    assert!(whole.len() == 2 && whole.bytes > 1_000, "{} bytes", whole.bytes);
    assert_eq!(grown.bytes, whole.bytes);
}

#[test]
fn file_that_has_grown_is_written_anew() {
    let (incidents, disk, _) = incidents();
    incidents.take(&[transition("inc-1", &alert("A", &[], NOON_MS), NOON_MS)]);
    let first = only_file(&disk);
    let failed = |at_ms| {
        let reason = "z".repeat(400);
        attempt("inc-1", "pager", NOON_MS + at_ms, AttemptResult::Failed { reason })
    };
    for round in 0..4 {
        incidents.take(&(0..1000).map(|index| failed(1000 * round + index)).collect::<Vec<_>>());
        incidents.keep_up();
    }
    let second = only_file(&disk);
    assert_ne!(first, second);
    assert!(disk.read(&second).unwrap().len() < 1 << 20);
}

#[test]
fn resolved_incidents_are_forgotten_after_their_time_and_others_never() {
    let (incidents, disk, clock) = incidents();
    let (over, lasting) = (alert("Over", &[], NOON_MS), alert("Lasting", &[], NOON_MS));
    incidents.take(&[transition("inc-over", &over, NOON_MS), transition("inc-lasting", &lasting, NOON_MS)]);
    incidents.take(&[transition("inc-over", &ended(&over, NOON_MS + 1), NOON_MS + 1)]);
    clock.advance(Duration::from_secs(399 * 24 * 3600));
    incidents.keep_up();
    assert_eq!(incidents.list(&Filter::default()).len(), 2);
    clock.advance(Duration::from_secs(2 * 24 * 3600));
    incidents.keep_up();
    assert!(incidents.get("inc-over").is_none());
    assert!(incidents.get("inc-lasting").is_some());
    assert_eq!(open_on(&disk, &clock).1.incident_count, 1);
}
