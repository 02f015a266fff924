//! A plan that is kept is the plan.

use super::*;
use crate::clock::Clock;
use crate::query::tests::view_of;
use crate::query::{Answer, Engine, Limits, Options, Value};
use crate::storage::view::ReadView;

fn engine() -> Engine {
    Engine::new(Limits::default(), Clock::system())
}

fn ask(engine: &Engine, view: &ReadView, query: &str, start_ms: i64, end_ms: i64, step_ms: i64) -> Vec<(i64, f64)> {
    let asked = engine.range(view, query, start_ms, end_ms, step_ms, &Options::default());
    let Answer { value: Value::Matrix(series), .. } = asked.expect(query) else { panic!("a matrix") };
    series.iter().flat_map(|one| one.points.iter().collect::<Vec<_>>()).collect()
}

/// Known and unknown plans so far.
fn counts(engine: &Engine) -> (u64, u64) {
    (engine.plan_figures().used, engine.plan_figures().unused)
}

#[test]
fn a_text_is_read_once_whatever_times_it_is_asked_for() {
    let (engine, view) = (engine(), view_of(&[(0, 1.0), (10, 2.0)]));
    assert_eq!(ask(&engine, &view, "x{n=~\"0+\"} + 1", 0, 10, 10), [(0, 2.0), (10, 3.0)]);
    assert_eq!(ask(&engine, &view, "x{n=~\"0+\"} + 1", 10, 20, 5), [(10, 3.0), (15, 3.0), (20, 3.0)]);
    assert!(engine.instant(&view, "x{n=~\"0+\"} + 1", 5, &Options::default()).is_ok());
    assert_eq!(counts(&engine), (2, 1));
    assert_eq!(counts(&engine.clone()), (2, 1), "a clone knows the same plans");
}

#[test]
fn a_text_that_speaks_of_the_querys_times_is_read_for_each() {
    let view = view_of(&[(0, 1.0), (10, 2.0), (20, 3.0), (30, 4.0)]);
    // Of four samples: the newest at the end; those of the last step; those of the query's whole time.
    for (query, to_20, to_30_by_15) in [
        ("x @ end()", [(20, 3.0)].as_slice(), [(15, 4.0), (30, 4.0)].as_slice()),
        ("count_over_time(x[step()])", &[(20, 2.0)], &[(15, 1.0), (30, 2.0)]),
        ("count_over_time(x[range() + 10ms])", &[(20, 1.0)], &[(15, 2.0), (30, 3.0)]),
    ] {
        let engine = engine();
        for _ in 0..2 {
            assert_eq!(ask(&engine, &view, query, 20, 20, 20), to_20, "{query}");
            assert_eq!(ask(&engine, &view, query, 15, 30, 15), to_30_by_15, "{query}");
            assert_eq!(ask(&engine, &view, query, 15, 30, 15), to_30_by_15, "{query}");
        }
        assert_eq!(counts(&engine), (2, 4), "{query}");
        assert_eq!(engine.plan_figures().count, 1);
    }
}

#[test]
fn what_is_refused_is_not_kept() {
    let (engine, view) = (engine(), view_of(&[]));
    for query in ["x{", "x{n=~\"(\"}", "rate(x)", ""] {
        assert!(engine.instant(&view, query, 0, &Options::default()).is_err());
        assert!(engine.instant(&view, query, 0, &Options::default()).is_err());
    }
    assert_eq!(counts(&engine), (0, 8));
    assert_eq!((engine.plan_figures().count, engine.plan_figures().bytes), (0, 0));
}

#[test]
fn plans_are_kept_up_to_a_bound_those_used_last() {
    let (engine, view) = (engine(), view_of(&[]));
    let ask = |query: &str| engine.instant(&view, query, 0, &Options::default()).expect("an answer");
    ask("x");
    for number in 0..PLANS_MAX {
        ask(&format!("x + {number}"));
        ask("x");
    }
    assert_eq!(engine.plan_figures().count, PLANS_MAX);
    let before = counts(&engine);
    ask("x");
    ask("x + 1"); // "x + 0" had to go for the last
    assert_eq!(counts(&engine), (before.0 + 2, before.1));
    ask("x + 0");
    assert_eq!(counts(&engine), (before.0 + 2, before.1 + 1));

    for number in 0..100 {
        ask(&format!("x{{a=~\"{number}\",b!~\"{number}\",c=~\"{number}\"}}"));
        ask(&format!("x # {}{number}", "long ".repeat(12_000)));
        assert!(engine.plan_figures().bytes <= BYTES_MAX);
    }
    // Eleven texts of 60,000 bytes with their plans, and as many of three patterns.
    assert!((10..40).contains(&engine.plan_figures().count), "{:?}", engine.plan_figures());
    ask("y");
    assert!(engine.plan_figures().bytes > BYTES_MAX / 2);
}
