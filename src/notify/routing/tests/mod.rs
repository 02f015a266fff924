use super::*;

mod intervals;
mod refusals;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).expect("labels")
}

fn routing(text: &str) -> Routing {
    load("alertmanager.yml", text).unwrap_or_else(|what| panic!("{what}"))
}

const SHOP: &str = r#"
route:
  receiver: duty
  group_by: [alertname]
  group_wait: 10s
  routes:
    - matchers: [severity="critical"]
      receiver: pager
      continue: true
      group_by: ['...']
    - match: {team: shop}
      receiver: shop
      group_interval: 1m
      routes:
        - match_re: {service: cart|checkout}
          group_by: [service, region]
        - matchers: ['service = "search"']
          receiver: search
receivers: [{name: duty}, {name: pager}, {name: shop}, {name: search}]
"#;

fn told(routing: &Routing, pairs: &[(&str, &str)]) -> Vec<String> {
    let found = routing.matches(&labels(pairs));
    found.iter().map(|one| format!("{} {} {}", one.route_index, one.receiver, one.group_key)).collect()
}

#[test]
fn the_deepest_routes_that_match_tell_and_continue_asks_the_next() {
    let shop = routing(SHOP);
    assert_eq!(told(&shop, &[("alertname", "DiskFull")]), [r#"0 duty {}:{alertname="DiskFull"}"#]);
    assert_eq!(
        told(&shop, &[("alertname", "A"), ("severity", "critical"), ("team", "shop"), ("service", "cart")]),
        [
            r#"1 pager {}/{severity="critical"}:{alertname="A", service="cart", severity="critical", team="shop"}"#,
            r#"3 shop {}/{team="shop"}/{service=~"cart|checkout"}:{service="cart"}"#,
        ]
    );
    assert_eq!(
        told(&shop, &[("team", "shop"), ("service", "search"), ("alertname", "B")]),
        [r#"4 search {}/{team="shop"}/{service="search"}:{alertname="B"}"#]
    );
    assert_eq!(told(&shop, &[("team", "shop")]), [r#"2 shop {}/{team="shop"}:{}"#]);
}

#[test]
fn what_a_route_does_not_say_it_has_from_the_one_above() {
    let shop = routing(SHOP);
    let found = shop.matches(&labels(&[("team", "shop"), ("service", "cart")]));
    let options = found[0].options;
    assert_eq!(
        (options.group_wait_ms, options.group_interval_ms, options.repeat_interval_ms),
        (10_000, 60_000, 14_400_000)
    );
    let plain = routing("route: {receiver: a}\nreceivers: [{name: a}]");
    let found = plain.matches(&Labels::empty());
    let options = found[0].options;
    assert_eq!(
        (options.group_wait_ms, options.group_interval_ms, options.repeat_interval_ms),
        (30_000, 300_000, 14_400_000)
    );
    assert_eq!(plain.resolve_timeout_ms(), 300_000);
}

#[test]
fn time_intervals_are_not_inherited() {
    let nights = routing(
        r#"
route:
  receiver: a
  routes:
    - matchers: [team=shop]
      mute_time_intervals: [always]
      active_time_intervals: [never]
      routes: [{matchers: [x=y]}]
    - matchers: [team=pay]
      active_time_intervals: [never, always]
    - matchers: [team=mail]
      active_time_intervals: [never]
receivers: [{name: a}]
time_intervals:
  - {name: always, time_intervals: [{}]}
  - {name: never, time_intervals: [{times: []}]}
"#,
    );
    let muted: Vec<_> = (0..5).map(|route| nights.is_muted(route, 0)).collect();
    assert_eq!(muted, [None, Some("always".to_owned()), None, None, Some("never".to_owned())]);
}

#[test]
fn templates_lie_beside_the_file() {
    let text = "route: {receiver: a}\nreceivers: [{name: a}]\ntemplates: ['t/*.tmpl', 'none/*.tmpl']";
    let found = load("/srv/alertmanager.yml", text).unwrap();
    assert_eq!(found.templates(), ["/srv/t/*.tmpl", "/srv/none/*.tmpl"].map(PathBuf::from));
}

const INHIBITING: &str = r#"
route: {receiver: a}
receivers: [{name: a}]
inhibit_rules:
  - {source_matchers: [alertname=Down], target_matchers: [severity=~"warning|critical"], equal: [provider, region]}
  - {source_match: {severity: critical}, target_match_re: {severity: warning|critical}, equal: [shop]}
"#;

#[test]
fn a_source_holds_back_targets_with_the_same_labels() {
    let routing = routing(INHIBITING);
    let mut inhibitor = routing.inhibitor();
    let down = labels(&[("alertname", "Down"), ("provider", "paypal")]);
    inhibitor.fires(&down);
    let target = |provider: &str| labels(&[("alertname", "Fails"), ("severity", "warning"), ("provider", provider)]);
    assert_eq!(inhibitor.inhibited_by(&target("paypal")), Some(down.hash()));
    assert_eq!(inhibitor.inhibited_by(&target("visa")), None);
    // Both lack the region; a target that has one differs.
    assert_eq!(inhibitor.inhibited_by(&target("paypal").with("region", "eu").unwrap()), None);
    assert_eq!(inhibitor.inhibited_by(&down), None, "no target of any rule");
    assert_eq!(routing.inhibited_by(&target("paypal"), [&down].into_iter()), Some(down.hash()));
    inhibitor.ends(&down);
    assert_eq!(inhibitor.inhibited_by(&target("paypal")), None);
}

#[test]
fn alerts_that_are_source_and_target_do_not_hold_back_each_other() {
    let routing = routing(INHIBITING);
    let mut inhibitor = routing.inhibitor();
    let critical = |name: &str| labels(&[("alertname", name), ("severity", "critical"), ("shop", "7")]);
    inhibitor.fires(&critical("A"));
    inhibitor.fires(&critical("B"));
    assert_eq!(inhibitor.inhibited_by(&critical("A")), None, "neither itself nor B");
    let warning = labels(&[("alertname", "C"), ("severity", "warning"), ("shop", "7")]);
    let source = inhibitor.inhibited_by(&warning).expect("a warning is no source");
    assert!([critical("A").hash(), critical("B").hash()].contains(&source));
}

#[test]
fn the_index_answers_as_a_look_at_every_alert() {
    let routing = routing(INHIBITING);
    let mut all = Vec::new();
    for name in ["Down", "Fails"] {
        for severity in ["", "warning", "critical"] {
            for provider in ["", "paypal"] {
                for shop in ["", "7"] {
                    all.push(labels(&[
                        ("alertname", name),
                        ("severity", severity),
                        ("provider", provider),
                        ("shop", shop),
                    ]));
                }
            }
        }
    }
    // Each alert alone is asked of each other one, by the words of the documentation.
    for source in &all {
        for target in &all {
            let slow = routing.inhibit_rules.iter().any(|rule| {
                rule.sources.matches(source)
                    && rule.targets.matches(target)
                    && rule.equal.iter().all(|name| source.get(name) == target.get(name))
                    && !(rule.sources.matches(target) && rule.targets.matches(source))
            });
            let fast = routing.inhibited_by(target, [source].into_iter());
            assert_eq!(fast, slow.then(|| source.hash()), "{source} over {target}");
        }
    }
}
