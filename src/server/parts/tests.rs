use super::*;
use crate::model::Sample;

const ONSET_MS: i64 = 7_200_000;

/// One order each second in each of three regions, two hours long; in eu a tenth of that from then on.
fn view() -> ReadView {
    let series = |region: &str, later: f64| {
        let labels = Labels::from_pairs([("__name__", "orders_total"), ("region", region)]).unwrap();
        let mut total = 0.0;
        let samples = (0..=520).map(|scrape| {
            let timestamp_ms = scrape * 15_000;
            total += if timestamp_ms > ONSET_MS { 15.0 * later } else { 15.0 };
            Sample { timestamp_ms, value: total }
        });
        (labels, samples.collect())
    };
    ReadView::of_samples(vec![series("apac", 1.0), series("eu", 0.1), series("us", 1.0)])
}

fn rules() -> Arc<RuleSet> {
    let text = "groups:\n- name: shop\n  rules:\n  - {alert: Drop, expr: 'sum(rate(orders_total[1m]))', anomaly: {direction: drop}}\n";
    Arc::new(crate::rules::load_text(std::path::Path::new("shop.yml"), text).expect("the rule is well"))
}

fn finder(board: &Arc<PartsBoard>, anomalies: &Arc<Anomalies>) -> Finder {
    Finder {
        rules: rules(),
        board: board.clone(),
        anomalies: anomalies.clone(),
        engine: Engine::new(limits(), Clock::system()),
        clock: Clock::system(),
        view: Box::new(view),
        options: Options::default(),
    }
}

fn explanation() -> Explanation {
    Explanation { expected: Some(3.0), ..Explanation::of_drop(ONSET_MS, ONSET_MS + 60_000, 2.1) }
}

fn firing() -> Firing {
    Firing {
        watch: 0,
        labels: Arc::new(Labels::empty()),
        direction: Direction::Drop,
        value: 2.1,
        expected: 3.0,
        onset_ms: ONSET_MS,
        fired_ms: ONSET_MS + 60_000,
    }
}

fn resolved() -> Transition {
    let explanation = Some(Box::new(explanation()));
    Transition { kind: Kind::Resolved, at_ms: ONSET_MS + 600_000, explanation, ..firing().transition() }
}

fn regions(parts: &[Part]) -> Vec<(&str, i64)> {
    let told = |part: &'_ Part| (part.share * 100.0).round() as i64;
    parts.iter().map(|part| (part.labels.get("region").unwrap_or(""), told(part))).collect()
}

#[test]
fn region_that_dropped_is_found_and_the_alert_that_resolves_has_it() {
    let (board, anomalies) = (Arc::new(PartsBoard::default()), Arc::new(Anomalies::default()));
    let finder = finder(&board, &anomalies);
    let mut explained = vec![(firing(), explanation())];
    board.look(&mut explained, Vec::new());
    assert!(explained[0].1.parts.is_empty(), "nobody waited");
    finder.find(board.due().expect("its parts are wanted"));
    assert!(board.due().is_none(), "no event time has passed since");
    board.look(&mut explained, Vec::new());
    assert_eq!(regions(&explained[0].1.parts), [("eu", 100)]);
    let mut transitions = [resolved()];
    board.complete(&mut transitions);
    let [transition] = transitions;
    assert_eq!(regions(&transition.explanation.unwrap().parts), [("eu", 100)]);
    assert!(board.due().is_none());
}

#[test]
fn alert_that_was_suspected_before_has_its_parts_when_it_fires() {
    let (board, anomalies) = (Arc::new(PartsBoard::default()), Arc::new(Anomalies::default()));
    let suspect = Suspect {
        watch: 0,
        labels: Arc::new(Labels::empty()),
        direction: Direction::Drop,
        onset_ms: ONSET_MS,
        as_of_ms: ONSET_MS + 60_000,
        expected: Some(3.0),
    };
    board.look(&mut [], vec![suspect]);
    finder(&board, &anomalies).find(board.due().expect("a suspect is looked at"));
    let mut transitions = [Transition { explanation: Some(Box::new(explanation())), ..firing().transition() }];
    board.complete(&mut transitions);
    let [transition] = &transitions;
    assert_eq!(regions(&transition.explanation.as_ref().unwrap().parts), [("eu", 100)]);
    let alert = rules().alert_for(transition, "");
    let told = alert.annotations.iter().find(|(name, _)| name == "parts").map(|(_, text)| text.as_str());
    // 15 orders in 15 s before, one and a half since.
    assert_eq!(told, Some(r#"100 % {region="eu"} 0.1, expected 1"#));
}

#[test]
fn what_ended_before_its_parts_were_found_has_them_later() {
    let (board, anomalies) = (Arc::new(PartsBoard::default()), Arc::new(Anomalies::default()));
    let mut transitions = [resolved()];
    board.complete(&mut transitions);
    let alert = rules().alert_for(&transitions[0], "");
    anomalies.note(&transitions, &[alert], &rules());
    assert!(anomalies.all()[0].explanation.parts.is_empty());
    let finder = finder(&board, &anomalies);
    finder.find(board.due().expect("its parts are wanted"));
    assert_eq!(regions(&anomalies.all()[0].explanation.parts), [("eu", 100)]);
}

#[test]
fn parts_are_found_anew_when_event_time_has_passed_and_forgotten_when_it_fires_no_more() {
    let board = PartsBoard::default();
    let mut explained = vec![(firing(), explanation())];
    board.look(&mut explained, Vec::new());
    let Some(Due::Firing(wanted)) = board.due() else { panic!("it fires") };
    let part = Part { labels: Labels::empty(), value: None, expected: None, share: 1.0 };
    board.note(wanted.clone(), vec![part.clone()]);
    board.note(wanted, Vec::new());
    explained[0].1.detected_ms += REFRESH_MS - 1;
    board.look(&mut explained, Vec::new());
    assert_eq!(explained[0].1.parts, [part], "what was found once stays");
    assert!(board.due().is_none());
    explained[0].1.detected_ms += 1;
    board.look(&mut explained, Vec::new());
    assert!(matches!(board.due(), Some(Due::Firing(_))));
    board.look(&mut [], Vec::new());
    assert!(board.due().is_none() && board.found.lock().is_empty());
}
