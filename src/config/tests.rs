use std::path::PathBuf;

use clap::Parser;

use super::settings::SETTINGS;
use super::*;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    serve: ServeArgs,
}

fn flags(flags: &[&str]) -> ServeArgs {
    Command::try_parse_from([&["dozor"], flags].concat()).expect("the flags are known").serve
}

fn mistake(yaml: &str) -> String {
    Config::from_yaml("dozor.yml", yaml).expect_err("the file has a mistake").to_string()
}

#[test]
fn defaults_are_those_of_the_manual() {
    let config = Config::default();
    assert_eq!(config.data_dir, PathBuf::from("./data"));
    assert_eq!(config.listen, "127.0.0.1:9090");
    assert_eq!(config.retention_ms, 1_296_000_000);
    assert_eq!((config.retention_rules.len(), config.retention_bytes), (0, 0));
    assert_eq!((config.admin_api, config.cors_origin.as_str()), (AdminApi::Auto, ".*"));
    assert_eq!(config.snapshots, SnapshotsConfig { interval_ms: 0, keep: 24 });
    assert_eq!(config.wal_sync, WalSync::Always);
    assert_eq!(config.head, HeadConfig { out_of_order_window_ms: 3_600_000, series_max: 0, bytes_max: 0 });
    let limits = LimitsConfig {
        request_bytes_max: 16 << 20,
        request_decoded_bytes_max: 32 << 20,
        series_per_request_max: 100_000,
        samples_per_request_max: 1_000_000,
        connections_max: 4096,
        connections_per_address_max: 1024,
        head_timeout_ms: 10_000,
        body_timeout_ms: 30_000,
        body_rate_min: 1024,
        idle_timeout_ms: 60_000,
        body_bytes_in_flight_max: 0,
        ingest_bytes_in_flight_max: 0,
        labels_per_series_max: 64,
        label_name_bytes_max: 1024,
        label_value_bytes_max: 4096,
        series_per_metric_max: 0,
        series_per_job_max: 0,
    };
    assert_eq!(config.limits, limits);
    assert_eq!(
        config.query,
        QueryConfig {
            timeout_ms: 30_000,
            samples_max: 50_000_000,
            series_max: 300_000,
            concurrency: 0,
            cache_bytes: 48 << 20,
            lookback_ms: 300_000,
            slow_log_threshold_ms: 5_000
        }
    );
    assert_eq!(config.detection.lateness_ms, None);
    assert_eq!((config.detection.timezone.as_str(), config.detection.calendar.len()), ("UTC", 0));
    let promoted = &config.otlp.promote_resource_attributes;
    assert_eq!((promoted.len(), promoted[0].as_str(), promoted[7].as_str()), (8, "service.name", "host.name"));
    assert_eq!((config.otlp.scope_labels, config.otlp.delta_series_max), (false, 100_000));
    let (listen, flush_interval_ms, idle_timeout_ms) = (String::new(), 10_000, 3_600_000);
    assert_eq!(config.statsd, StatsdConfig { listen, flush_interval_ms, series_max: 10_000, idle_timeout_ms });
}

#[test]
fn names_are_separated_by_commas() {
    let names = |text: &str| {
        let yaml = format!("otlp:\n  promote_resource_attributes: {text}\n");
        Config::from_yaml("dozor.yml", &yaml).map(|config| config.otlp.promote_resource_attributes)
    };
    assert_eq!(names("\"\"").expect("none"), Vec::<String>::new());
    assert_eq!(names("host.name ,  os.type").expect("two"), ["host.name", "os.type"]);
    let error = names("host.name,, os.type").expect_err("an empty name").to_string();
    assert!(error.contains("otlp.promote_resource_attributes") && error.contains("empty name"), "{error}");
}

#[test]
fn documented_file_names_every_setting_and_reads_back_as_the_defaults() {
    let text = documented();
    for setting in SETTINGS {
        let key = setting.name.rsplit('.').next().expect("a name has a last part");
        assert!(text.contains(&format!("{key}: ")), "{key} is missing");
        setting.set(&mut Config::default(), setting.default).expect("a default lies in its range");
        if let Some((least, most)) = setting.range {
            setting.set(&mut Config::default(), least).expect("the lower end is allowed");
            setting.set(&mut Config::default(), most).expect("the upper end is allowed");
        }
    }
    assert_eq!(Config::from_yaml("default.yml", &text).expect("it is a settings file"), Config::default());
}

#[test]
fn every_row_of_the_table_reads_its_own_key_into_its_own_field() {
    for setting in SETTINGS {
        let other = match setting.range {
            // As long as the retention, and no longer.
            Some(_) if setting.name == "head.out_of_order_window" => "15d",
            Some((least, most)) if most == setting.default => least,
            Some((_, most)) => most,
            None if setting.name == "wal_sync" => "os",
            None if setting.name == "admin_api" => "off",
            None if setting.name == "external_url" => "http://watch.example",
            None if setting.name == "heartbeat_out.url" => "https://watcher.example/ping/t0ken",
            None if setting.name == "heartbeat_out.needs_samples" => "on",
            None if setting.name == "listen" => "localhost:1",
            None if setting.name == "otlp.scope_labels" => "on",
            None if setting.name == "detection.timezone" => "Europe/Berlin",
            None if setting.name == "statsd.listen" => "localhost:2",
            None => "/elsewhere",
        };
        let yaml = match setting.name.split_once('.') {
            Some((section, key)) => format!("{section}:\n  {key}: {other}\n"),
            None => format!("{}: {other}\n", setting.name),
        };
        let mut expected = Config::default();
        setting.set(&mut expected, other).expect("the value is allowed");
        assert_ne!(expected, Config::default(), "{} changes nothing", setting.name);
        assert_eq!(Config::from_yaml("a.yml", &yaml).expect("the value is allowed"), expected, "{}", setting.name);
    }
}

#[test]
fn unknown_key_is_shown_with_its_line_and_a_caret() {
    let text = mistake("listen: 127.0.0.1:1\nquery:\n  timeuot: 5s\n");
    assert!(text.contains("timeuot"), "{text}");
    assert!(text.contains("dozor.yml:3:3"), "{text}");
    assert!(text.contains("^"), "{text}");
}

#[test]
fn value_out_of_range_names_key_value_range_and_line() {
    let expected = "query.timeout \"5h\": is outside its range, 100ms to 1h\n --> dozor.yml:2:12\n  |\n2 |   timeout: 5h\n  |            ^";
    assert_eq!(mistake("query:\n  timeout: 5h\n"), expected);
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    for yaml in [
        "retention: soon",
        "retention: 5",
        "retention: 5h1d",
        "shards: -1",
        "shards: 1.5",
        "listen: 9090",
        "listen: localhost",
        "listen: localhost:99999",
        "wal_sync: sometimes",
        "wal_sync: interval:0",
        "limits: { request_bytes_max: 16 megabytes }",
        "limits: { request_bytes_max: 99999999999TiB }",
        "external_url: watch.example",
        "webhooks: [{ url: ftp://pager }]",
        "webhooks: [{ url: 'https://' }]",
        "webhooks: [{ name: a, url: http://p }, { name: a, url: http://q }]",
        "data_dir: ''",
        "- a list",
        "listen: 'unclosed",
        "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2",
    ] {
        let text = mistake(yaml);
        assert!(text.contains("dozor.yml:"), "{yaml}: {text}");
    }
}

#[test]
fn retention_is_one_duration_or_a_list_whose_entry_without_match_is_for_the_rest() {
    let yaml = "retention:\n  - { match: '{job=\"debug\"}', keep: 3d }\n  - keep: 90d\n  - { match: up, keep: 0 }\n";
    let config = Config::from_yaml("a.yml", yaml).expect("the list is right");
    let rules: Vec<_> = config.retention_rules.iter().map(|rule| (rule.selector.as_str(), rule.keep_ms)).collect();
    assert_eq!(rules, [("{job=\"debug\"}", 259_200_000), ("up", 0)]);
    assert_eq!(config.retention_ms, 7_776_000_000);
    assert_eq!(config.longest_retention_ms(), None, "one keeps for ever");

    let config = Config::from_yaml("a.yml", "retention: [{match: '{a=\"b\"}', keep: 3d}]\nretention_bytes: 1GiB");
    let config = config.expect("no default is needed");
    assert_eq!((config.retention_ms, config.retention_rules.len()), (1_296_000_000, 1));
    assert_eq!(config.retention_bytes, 1 << 30);
    for (yaml, kept_ms) in [("retention: 0", 0), ("retention: 1h30m", 5_400_000), ("retention: '2d'", 172_800_000)] {
        assert_eq!(Config::from_yaml("a.yml", yaml).expect("one duration").retention_ms, kept_ms);
    }
}

#[test]
fn mistakes_in_the_list_of_retention_are_shown_in_their_line() {
    let text = mistake("retention:\n  - { match: up, keep: soon }\n");
    assert!(text.starts_with("retention.keep \"soon\": a duration is"), "{text}");
    assert!(text.contains("dozor.yml:2:24\n") && text.ends_with("  |                        ^"), "{text}");
    for yaml in [
        "retention: [{ match: up }]",
        "retention: [{ keep: 1d }, { keep: 2d }]",
        "retention: [{ match: up, keep: 1d, for: 2d }]",
        "retention: { match: up, keep: 1d }",
        "retention: [1d]",
        "retention: [{ match: up, keep: 101y }]",
    ] {
        let text = mistake(yaml);
        assert!(text.contains("dozor.yml:1"), "{yaml}: {text}");
    }
    // What only a later reader can judge still knows its place.
    let config = Config::from_yaml("dozor.yml", "retention:\n- { match: '{', keep: 1d }\n").expect("not judged here");
    let text = config.retention_rules[0].mistake("is no selector").to_string();
    let line = "2 | - { match: '{', keep: 1d }\n  |            ^";
    assert_eq!(text, format!("retention.match \"{{\": is no selector\n --> dozor.yml:2:12\n  |\n{line}"));
}

#[test]
fn window_is_bounded_by_the_retention() {
    let text = mistake("retention: 1d\nhead: { out_of_order_window: 2d }\n");
    assert!(text.starts_with("head.out_of_order_window \"2d\": is longer than the retention"), "{text}");
    assert!(text.contains("dozor.yml:2:"), "{text}");
    let read = |yaml| Config::from_yaml("a.yml", yaml).expect("the file is right").head.out_of_order_window_ms;
    assert_eq!(read("retention: 0\nhead: { out_of_order_window: 100y }"), 3_153_600_000_000);
    assert_eq!(
        read("retention: [{ keep: 1d }, { match: up, keep: 9d }]\nhead: { out_of_order_window: 9d }"),
        777_600_000
    );
    assert_eq!(read("retention: 30m"), 1_800_000, "the default window makes way");
    let shorter = Config::load(&flags(&["--retention", "10m"])).expect("the flag is right");
    assert_eq!(shorter.head.out_of_order_window_ms, 600_000);
}

#[test]
fn empty_file_changes_nothing() {
    for text in ["", "\n", "# nothing yet\n\n  # still nothing"] {
        assert_eq!(Config::from_yaml("a.yml", text).expect("it is empty"), Config::default());
    }
}

#[test]
fn webhooks_and_rules_come_from_the_file() {
    let yaml = "rules: [a.yml, b.yml]\nwebhooks:\n  - url: http://one/\n  - { name: two, url: https://two/hook, secret_file: key }\n";
    let config = Config::from_yaml("a.yml", yaml).expect("the file is right");
    assert_eq!(config.rules, [PathBuf::from("a.yml"), PathBuf::from("b.yml")]);
    assert_eq!(
        config.webhooks,
        [
            WebhookConfig {
                name: "webhook-1".into(),
                url: "http://one/".into(),
                secret_file: None,
                ..WebhookConfig::default()
            },
            WebhookConfig {
                name: "two".into(),
                url: "https://two/hook".into(),
                secret_file: Some("key".into()),
                ..WebhookConfig::default()
            },
        ]
    );
}

#[test]
fn flags_win_over_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("dozor.yml");
    std::fs::write(&path, "listen: 127.0.0.1:1\nretention: 1d\nrules: [a.yml]\nwebhooks: [{ url: http://file }]\n")
        .expect("the file is written");
    let path = path.to_str().expect("the path is text");
    let config = Config::load(&flags(&[
        "--config",
        path,
        "--listen",
        "127.0.0.1:2",
        "--wal-sync",
        "interval:250",
        "--rules",
        "b.yml",
        "--rules",
        "c.yml",
        "--pack",
        "shop",
        "--webhook-url",
        "http://flag",
        "--webhook-secret-file",
        "key",
    ]))
    .expect("all is right");
    assert_eq!(config.listen, "127.0.0.1:2");
    assert_eq!(config.retention_ms, 86_400_000);
    assert_eq!(config.wal_sync, WalSync::Interval { interval_ms: 250 });
    assert_eq!(config.rules, ["a.yml", "b.yml", "c.yml", "pack:shop"].map(PathBuf::from));
    let expected = WebhookConfig {
        name: "webhook-1".into(),
        url: "http://flag".into(),
        secret_file: Some("key".into()),
        ..WebhookConfig::default()
    };
    assert_eq!(config.webhooks, [expected]);
    assert_eq!(Config::load(&flags(&["--retention", "0"])).expect("0 is allowed").retention_ms, 0);
}

#[test]
fn flag_of_series_wins_over_the_setting_of_the_head() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("dozor.yml");
    std::fs::write(&path, "head: { series_max: 7, bytes_max: 64MiB }\n").expect("the file is written");
    let path = path.to_str().expect("the path is text");
    let config = Config::load(&flags(&["--config", path, "--max-series", "250000"])).expect("all is right");
    assert_eq!((config.head.series_max, config.head.bytes_max), (250_000, 67_108_864));
    assert_eq!(Config::load(&flags(&["--config", path])).expect("all is right").head.series_max, 7);
    assert_eq!(
        Config::load(&flags(&["--config", path, "--max-series", "0"])).expect("0 is allowed").head.series_max,
        0
    );
}

#[test]
fn mistakes_in_flags_name_the_flag() {
    let mistake = |args: &[&str]| Config::load(&flags(args)).expect_err("the flag has a mistake").to_string();
    assert_eq!(mistake(&["--listen", "localhost"]), "--listen \"localhost\": is not HOST:PORT, like 127.0.0.1:9090");
    assert!(mistake(&["--retention", "200y"]).contains("0 to 100y"));
    let series = mistake(&["--max-series", "1000000001"]);
    assert_eq!(series, "--max-series \"1000000001\": is outside its range, 0 to 1000000000");
    assert!(mistake(&["--max-series", "many"]).starts_with("--max-series \"many\": "));
    assert!(mistake(&["--webhook-url", "pager"]).starts_with("--webhook-url \"pager\""));
    assert!(mistake(&["--config", "/no/such/file.yml"]).contains("/no/such/file.yml"));
}

#[test]
fn durations_are_read_as_prometheus_writes_them() {
    let read = |text| parse_duration_ms(text).ok();
    assert_eq!(read("0"), Some(0));
    assert_eq!(read("1h30m"), Some(5_400_000));
    assert_eq!(read("15d"), Some(1_296_000_000));
    assert_eq!(read("1y2w3d4h5m6s7ms"), Some(31_536_000_000 + 1_209_600_000 + 259_200_000 + 14_706_007));
    for wrong in
        ["", "h", "1", "-1h", "1m1h", "1h1h", "1.5h", "1 h", "99999999999999999999h", "9223372036854775807y", "1é"]
    {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}

#[test]
fn sizes_have_binary_and_decimal_units() {
    assert_eq!(parse_bytes("64MiB"), Ok(67_108_864));
    assert_eq!(parse_bytes("64 MB"), Ok(64_000_000));
    assert_eq!(parse_bytes("1000"), Ok(1000));
    assert!(parse_bytes("64mib").is_err());
    assert!(parse_bytes("1.5GiB").is_err());
}

#[test]
fn limits_of_the_readme_are_those_of_the_table() {
    let readme = include_str!("../../README.md");
    let section = readme.split("## Limits").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("it is there");
    let row = |line: &str| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let names: Vec<String> =
            cells.next().unwrap_or("").split(", ").map(|name| name.trim_matches('`').to_owned()).collect();
        let defaults: Vec<String> = cells.next().unwrap_or("").split(", ").map(str::to_owned).collect();
        names.into_iter().zip(defaults).collect::<Vec<_>>()
    };
    let told: Vec<(String, String)> = section.lines().filter(|line| line.starts_with("| `")).flat_map(row).collect();
    for (name, default) in &told {
        let setting = SETTINGS.iter().find(|setting| setting.name == name).unwrap_or_else(|| panic!("{name} is none"));
        assert_eq!(setting.default, default, "{name}");
    }
    for setting in SETTINGS.iter().filter(|setting| setting.name.starts_with("limits.")) {
        assert!(told.iter().any(|(name, _)| name == setting.name), "{} is not told", setting.name);
    }
}

#[test]
fn calendar_is_a_list_of_spans_that_is_shown_as_it_is_read() {
    let yaml = "detection:\n  timezone: europe/berlin\n  calendar:\n  - { name: Christmas, from: 12-24, to: 12-26 }\n  \
                - { name: Sale, kind: campaign, from: 2026-11-27T18:00, to: 2026-11-28, tolerance: 0.8 }\n  \
                - { name: One day, kind: deploy, from: 2026-05-01 }\n";
    let config = Config::from_yaml("a.yml", yaml).expect("the calendar is right");
    assert_eq!(config.detection.timezone, "Europe/Berlin");
    let told: Vec<_> =
        config.detection.calendar.iter().map(|span| (span.name.as_str(), span.kind, span.tolerance)).collect();
    let kinds = (CalendarKind::Holiday, CalendarKind::Campaign, CalendarKind::Deploy);
    assert_eq!(told, [("Christmas", kinds.0, 0.6), ("Sale", kinds.1, 0.8), ("One day", kinds.2, 0.3)]);
    let at = |text: &str| LocalMoment::Once(text.parse().expect("a time"));
    let (sale, day) = (&config.detection.calendar[1], &config.detection.calendar[2]);
    assert_eq!((sale.from, sale.to), (at("2026-11-27T18:00:00"), at("2026-11-29T00:00:00")));
    assert_eq!((day.from, day.to), (at("2026-05-01T00:00:00"), at("2026-05-02T00:00:00")));
    let again = Config::from_yaml("b.yml", &config.shown()).expect("what is shown can be read");
    assert_eq!(again.detection, config.detection);
}

#[test]
fn mistakes_in_the_calendar_are_shown_in_their_line() {
    let mistake_of = |span: &str| mistake(&format!("detection:\n  calendar:\n    - {{ name: a, {span} }}\n"));
    for (span, what) in [
        ("from: 2026-02-29", "detection.calendar.from \"2026-02-29\": is a day that does not exist"),
        ("from: 02-30", "detection.calendar.from \"02-30\": is a day that does not exist"),
        ("from: 1.5.2026", "detection.calendar.from \"1.5.2026\": is not a time like 2026-11-27"),
        ("from: 2026-05-01T25:00", "detection.calendar.from \"2026-05-01T25:00\": is not a time like 2026-11-27"),
        ("from: 2026-05-02, to: 2026-05-01", "detection.calendar.to \"2026-05-01\": is not behind `from`"),
        ("from: 05-02T10:00, to: 05-02T10:00", "detection.calendar.to \"05-02T10:00\": is not behind `from`"),
        ("from: 2026-05-02, to: 05-03", "detection.calendar.to \"05-03\": has no year, but `from` has"),
        ("from: 05-02, to: 2026-05-03", "detection.calendar.to \"2026-05-03\": has a year, but `from` has none"),
        ("from: 05-02, kind: party", "detection.calendar.kind \"party\": is none of: holiday, campaign, deploy"),
        ("from: 05-02, tolerance: 1.5", "detection.calendar.tolerance \"1.5\": is a fraction, 0.05 to 1"),
        ("from: 05-02, tolerance: .nan", "detection.calendar.tolerance \"NaN\": is a fraction, 0.05 to 1"),
    ] {
        let text = mistake_of(span);
        assert!(text.starts_with(what) && text.contains("dozor.yml:3:"), "{span}: {text}");
    }
    let many = format!("detection:\n  calendar:\n{}", "    - { name: a, from: 05-01 }\n".repeat(1_001));
    let text = mistake(&many);
    assert!(text.contains("more than 1000 spans") && text.contains("dozor.yml:1003:"), "{text}");
    let text = mistake("detection:\n  timezone: Berlin\n");
    let expected =
        "detection.timezone \"Berlin\": no time zone has this name; did you mean Europe/Berlin?\n --> dozor.yml:2:13";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn heartbeats_are_read_with_what_is_usual_for_their_kind() {
    let list = "heartbeats:\n\
        - { job: often, every: 10m }\n\
        - { job: daily, schedule: '30 3 * * 1-5', timezone: europe/berlin, severity: critical }\n\
        - { job: backup, max_age: 26h, metric: 'ok{a=\"b\"}', grace: 1h, runbook_url: 'http://wiki' }\n";
    let config = Config::from_yaml("dozor.yml", list).expect("settings");
    let told: Vec<(String, i64, &str)> =
        config.heartbeats.iter().map(|one| (one.told(), one.grace_ms / 60_000, one.severity.as_str())).collect();
    let expected = [
        ("every 10m", 5, "warning"),
        ("30 3 * * 1-5 Europe/Berlin", 30, "critical"),
        ("at most 1d2h old", 60, "warning"),
    ];
    assert_eq!(told, expected.map(|(told, grace, severity)| (told.to_owned(), grace, severity)));
    // What is shown is read as the same.
    let again = Config::from_yaml("dozor.yml", &config.shown()).expect("what is shown is a settings file");
    assert_eq!(again.shown(), config.shown());
    assert_eq!(again.heartbeats.len(), 3);
}

#[test]
fn mistakes_in_heartbeats_are_shown_at_their_place() {
    for (entry, told) in [
        ("{ job: a }", "needs one of: `every`; `schedule`; `max_age` and `metric`"),
        ("{ job: a, every: 1h, schedule: '0 3 * * *' }", "needs one of"),
        ("{ job: a, max_age: 1h }", "needs one of"),
        ("{ job: a, every: 1h, timezone: UTC }", "is of use with `schedule` only"),
        ("{ job: a, schedule: '0 3 * *' }", "five fields"),
        ("{ job: a, schedule: '0 3 * * *', timezone: Berlin }", "did you mean Europe/Berlin?"),
        ("{ job: a, every: 1ms }", "outside its range"),
        ("{ job: '', every: 1h }", "is no name"),
        ("{ job: a, every: 1h, grace: soon }", "heartbeats.grace"),
        ("{ job: a, evry: 1h }", "evry"),
    ] {
        let text = mistake(&format!("heartbeats:\n- {entry}\n"));
        assert!(text.contains(told) && text.contains("dozor.yml:2:"), "{entry}: {text}");
    }
    let twice = mistake("heartbeats:\n- { job: a, every: 1h }\n- { job: a, every: 2h }\n");
    assert!(twice.contains("another entry is for this job already"), "{twice}");
}

#[test]
fn limits_and_steps_of_incidents_are_read_and_shown_as_they_are_read() {
    let default = Config::default().incidents;
    assert_eq!(default.acknowledge_within_ms, [("critical".to_owned(), 900_000)]);
    assert_eq!((default.fold_window_ms, default.reopen_within_ms), (300_000, 600_000));
    assert_eq!(default.critical_path[4], "message|notification");
    let yaml = "incidents:\n  apart_by: region\n  acknowledge_within: { warning: 4h, critical: 5m }\n  escalation:\n    \
                - { receiver: lead }\n    - { receiver: owner, after: 90s }\n";
    let config = Config::from_yaml("dozor.yml", yaml).expect("valid settings");
    let limits = [("critical".to_owned(), 300_000), ("warning".to_owned(), 14_400_000)];
    assert_eq!(config.incidents.acknowledge_within_ms, limits);
    let step = |receiver: &str, after_ms| EscalationStep { receiver: receiver.to_owned(), after_ms };
    assert_eq!(config.incidents.escalation, [step("lead", None), step("owner", Some(90_000))]);
    assert_eq!(config.incidents.apart_by, ["region"]);
    assert_eq!(Config::from_yaml("shown.yml", &config.shown()).expect("what is shown is valid"), config);
}

#[test]
fn mistakes_in_escalations_are_shown_in_their_line() {
    for (yaml, says) in [
        ("incidents:\n  acknowledge_within: { critical: soon }\n", "incidents.acknowledge_within.critical \"soon\":"),
        ("incidents:\n  acknowledge_within: { critical: 40d }\n", "is outside its range, 1s to 30d"),
        ("incidents:\n  escalation: [{ receiver: '' }]\n", "incidents.escalation.receiver \"\": is empty"),
        ("incidents:\n  escalation: [{ receiver: a, after: 0 }]\n", "incidents.escalation.after \"0\": is outside"),
    ] {
        let text = mistake(yaml);
        assert!(text.contains(says) && text.contains("dozor.yml:2:"), "{text}");
    }
}

#[test]
fn what_a_reload_takes_over_is_taken_and_what_waits_is_named() {
    let read = |yaml: &str| Config::from_yaml("a.yml", yaml).expect("the settings are right");
    let before = read("retention: 30d\nheartbeats: [{ job: a, every: 1h }]\ndetection: { timezone: Europe/Berlin }\n");
    let after = read(
        "retention: 31d\nquery: { timeout: 5s }\nheartbeat_out: { url: 'http://a/secret' }\nrules: [a.yml]\n\
         webhooks: [{ name: pager, url: 'http://a/hook' }]\nalertmanagers: [{ url: 'http://a' }]\n\
         heartbeats: [{ job: b, every: 1h }]\nmaintenance: [{ name: m, matchers: ['a=b'] }]\n\
         detection: { timezone: UTC, calendar: [{ name: c, from: 12-24 }] }\n\
         incidents: { acknowledge_within: { critical: 5m } }\n",
    );
    let in_force = before.reloaded(&after);
    assert_eq!((&in_force.heartbeats, &in_force.maintenance), (&after.heartbeats, &after.maintenance));
    assert_eq!(in_force.detection.calendar, after.detection.calendar);
    assert_eq!((&in_force.rules, &in_force.webhooks), (&after.rules, &after.webhooks));
    assert_eq!((in_force.alertmanagers.len(), &in_force.alertmanagers), (1, &after.alertmanagers));
    assert_eq!((in_force.detection.timezone.as_str(), in_force.retention_ms), ("Europe/Berlin", before.retention_ms));
    let mut waiting = in_force.differing(&after);
    waiting.sort_unstable();
    let expected =
        ["detection.timezone", "heartbeat_out.url", "incidents.acknowledge_within", "query.timeout", "retention"];
    assert_eq!(waiting, expected);
    assert!(before.reloaded(&before).differing(&before).is_empty());
    let mut all = before.differing(&after);
    let taken_over = ["heartbeats", "maintenance", "detection.calendar", "rules", "webhooks", "alertmanagers"];
    all.retain(|name| taken_over.contains(name));
    assert_eq!(all.len(), taken_over.len(), "whoever compares two files is told of those too");
}

/// What is wrong is told with its line, to the log too; what in it is secret is not.
#[test]
fn mistakes_beside_a_secret_do_not_show_it() {
    for yaml in [
        "webhooks:\n- { name: pager, url: 'ftp://host/hook/s3cret' }",
        "webhooks:\n- { name: pager, url: hooks.slack.com/services/s3cret }",
        "webhooks:\n- { name: pager, url: 'http://me:s3cret@host/hook/s3cret', odd: 1 }",
        "webhooks: 'http://host/hook/s3cret'",
        "heartbeat_out: { url: 'http://host/s3cret', odd: 1 }",
        "heartbeat_out: { url: 'ftp://host/s3cret' }",
        "alertmanagers:\n- 'http://u:s3cret@h/'",
        "alertmanagers:\n- url: >-\n    ftp://u:s3cret@h/",
    ] {
        let text = mistake(yaml);
        assert!(text.contains("dozor.yml:") && !text.contains("s3cret"), "{yaml}: {text}");
    }
    let text = mistake("webhooks:\n- { name: pager, url: 'ftp://host/hook/s3cret' }");
    assert!(text.starts_with("webhooks.url \"ftp://host/"), "{text}");
    assert!(
        text.contains("\n2 | - { name: pager, url: ************************ }\n  |                       ^"),
        "{text}"
    );
    let text = mistake("external_url: 'watch/x'");
    assert!(text.starts_with("external_url \"watch/x\""), "{text}");
}
