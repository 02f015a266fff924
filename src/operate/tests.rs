use super::asking::url_of;
use super::pack::{Wanted, text_of};
use super::snapshot::name_in;
use super::*;

#[test]
fn server_is_found_by_its_settings() {
    let url = |yaml| url_of(&Config::from_yaml("a.yml", yaml).expect("the settings are right")).to_string();
    assert_eq!(url(""), "http://127.0.0.1:9090");
    assert_eq!(url("listen: 0.0.0.0:80"), "http://127.0.0.1:80");
    assert_eq!(url("listen: '[::]:80'"), "http://[::1]:80");
    assert_eq!(url("external_url: https://watch.example/dozor"), "https://watch.example/dozor");
}

#[test]
fn answer_of_a_server_is_a_name_or_a_reason() {
    let good = br#"{"status":"success","data":{"name":"20261122T003000Z-1a2b3c4d"}}"#;
    assert_eq!(name_in(good), Ok("20261122T003000Z-1a2b3c4d".to_owned()));
    let refused = br#"{"status":"error","errorType":"unavailable","error":"admin APIs disabled","hint":"set it"}"#;
    assert_eq!(name_in(refused), Err("admin APIs disabled (set it)".to_owned()));
    assert_eq!(name_in(b"<html>"), Err("<html>".to_owned()));
    assert!(name_in(br#"{"data":{"name":"../../etc"}}"#).is_err(), "a name becomes a part of a path");
}

#[test]
fn snapshot_is_given_by_name_or_by_folder() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let inside = data.path().join("snapshots/20261122T003000Z-1a2b3c4d");
    std::fs::create_dir_all(&inside).expect("it can be made");
    assert_eq!(snapshot_folder("20261122T003000Z-1a2b3c4d", data.path()).expect("it is there"), inside);
    let given = inside.to_str().expect("text");
    assert_eq!(snapshot_folder(given, Path::new("/nowhere")).expect("it is there"), inside);
    assert!(snapshot_folder("20200101T000000Z-00000000", data.path()).is_err());
}

#[test]
fn history_to_learn_from_is_the_newest_that_is_wanted() {
    use super::learn::newest;
    use crate::model::TimeRange;
    let stored = TimeRange { from_ms: 1_000, to_ms: 9_000 };
    assert_eq!(newest(stored, None), stored);
    assert_eq!(newest(stored, Some(2_000)), TimeRange { from_ms: 7_000, to_ms: 9_000 });
    assert_eq!(newest(stored, Some(i64::MAX)), stored);
}

#[test]
fn span_is_asked_for_as_it_was_typed_and_its_duration_counts_from_now_on() {
    use super::calendar::{listed, request};
    use clap::Parser;
    use serde_json::json;
    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        add: super::calendar::AddArgs,
    }
    let asked = |flags: &[&str]| {
        let always = ["add", "--comment", "flash sale", "--author", "dana"];
        let arguments = Arguments::try_parse_from(always.iter().chain(flags)).map_err(|error| error.to_string())?;
        request(&arguments.add, 1_700_000_000_000).map_err(|error| error.to_string())
    };
    let whole = asked(&["--from", "2026-11-27T14:00", "--to", "2026-11-27", "--tolerance", "0.8", "--kind", "holiday"]);
    let expected = json!({"kind": "holiday", "from": "2026-11-27T14:00", "to": "2026-11-27", "tolerance": 0.8,
        "by": "dana", "comment": "flash sale"});
    assert_eq!(whole, Ok(expected));
    let soon = json!({"kind": "campaign", "to": "2023-11-14T22:43:20.000Z", "by": "dana", "comment": "flash sale"});
    assert_eq!(asked(&["--for", "30m"]), Ok(soon.clone()));
    assert_eq!(asked(&["--from", "now", "--to", "2023-11-14T22:43:20.000Z"]), Ok(soon));
    assert!(asked(&["--for", "soon"]).is_err_and(|what| what.contains("--for")));
    assert!(asked(&["--from", "now"]).is_err_and(|what| what.contains("--to")));
    assert!(asked(&["--from", "2026-11-27", "--for", "1h"]).is_err_and(|what| what.contains("cannot be used with")));

    let span = |state: &str| {
        json!({"id": "7f3a9c21", "state": state, "kind": "deploy", "from": "a", "to": "b",
        "tolerance": 0.3, "by": "dana", "comment": "new CDN"})
    };
    let data = json!({"announced": [span("over"), span("active")], "settings": [
        {"name": "Christmas", "kind": "holiday", "from": "12-24T00:00:00", "to": "12-26", "tolerance": 0.6}]});
    let expected = "7f3a9c21  active  deploy  a to b  0.3\n    dana: new CDN\n\
                    settings  holiday  12-24T00:00:00 to 12-26  0.6  Christmas\n";
    assert_eq!(listed(&data, false), expected);
    assert_eq!(listed(&data, true).matches("dana").count(), 2);
}

#[test]
fn list_names_every_alert_whose_runbook_can_be_printed() {
    let list = text_of(&Wanted::List).expect("there is a list");
    let alerts: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(alerts.contains(&"OrdersDropped"), "{list}");
    for alert in alerts {
        let text = text_of(&Wanted::Runbook { alert: alert.to_owned() }).expect("it has a runbook");
        assert!(text.starts_with(&format!("## {alert}\n")), "{text}");
    }
}

#[test]
fn what_is_not_there_is_said_with_the_way_to_what_is() {
    let of = |wanted| text_of(&wanted).expect_err("it is not there").to_string();
    assert!(of(Wanted::Print { pack: "bank".to_owned(), readme: false }).contains("dozor pack list"));
    assert!(of(Wanted::Runbook { alert: "OrdersD".to_owned() }).contains("dozor pack list"));
}

/// Takes one request a connection, answers with the status, and hands on what it was sent.
fn pager(status: &'static str) -> (String, crossbeam::channel::Receiver<String>) {
    use std::io::{BufRead, BufReader, Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let (told, heard) = crossbeam::channel::bounded(10);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.expect("a connection"));
            let mut length = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).expect("a line") > 2 {
                let value = line.to_ascii_lowercase();
                length =
                    value.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().expect("a number"));
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            told.send(String::from_utf8(body).expect("text")).expect("the test lasts");
            reader.get_mut().write_all(answer.as_bytes()).expect("somebody listens");
        }
    });
    (address, heard)
}

#[tokio::test]
async fn receivers_can_be_told_that_this_is_a_test() {
    use clap::Parser;
    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        test: TestWebhookArgs,
    }
    let (well, heard) = pager("202 Accepted");
    let (ill, _heard) = pager("403 Forbidden");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (settings, routing) = (folder.path().join("dozor.yml"), folder.path().join("alertmanager.yml"));
    let routes = format!(
        "route: {{ receiver: duty }}\nreceivers: [{{ name: duty, webhook_configs: [{{ url: 'http://{well}/h' }}, {{ url: 'http://{ill}/h' }}] }}]\n"
    );
    std::fs::write(&routing, routes).expect("it can be written");
    let webhooks = format!(
        "webhooks: [{{ name: pager, url: 'http://{well}/h' }}]\nnotify: {{ routing_file: '{}' }}\n",
        routing.display()
    );
    std::fs::write(&settings, webhooks).expect("it can be written");
    let settings = settings.to_str().expect("text");
    let run = |flags: &'static [&'static str]| {
        let arguments = [&["test", "--config", settings], flags].concat();
        test_webhook(Arguments::parse_from(arguments).test)
    };
    let code = |code: std::process::ExitCode| format!("{code:?}");
    let [success, failure] = [std::process::ExitCode::SUCCESS, std::process::ExitCode::FAILURE].map(code);

    assert_eq!(code(run(&["--receiver", "pager", "--resolve"]).await.expect("it is tried")), success);
    let bodies: Vec<String> = heard.try_iter().collect();
    assert!(bodies[0].contains(r#""status":"firing""#) && bodies[0].contains("DozorTest"), "{bodies:?}");
    assert!(bodies[1].contains(r#""status":"resolved""#), "{bodies:?}");
    assert_eq!(code(run(&["--receiver", "duty"]).await.expect("it is tried")), failure);
    assert_eq!(heard.try_iter().count(), 1);
    let error = run(&["--receiver", "nobody"]).await.expect_err("nobody is called so");
    assert!(error.to_string().contains("no receiver is called \"nobody\""), "{error}");
}

#[tokio::test]
async fn password_in_an_address_is_never_told() {
    use clap::Parser;
    #[derive(Debug, Parser)]
    enum Asking {
        Snapshot(SnapshotArgs),
        Replay(ReplayArgs),
        Report(ReportArgs),
        Explain(ExplainArgs),
        Incidents(IncidentsArgs),
        Calendar(CalendarArgs),
        DeadLetters(DeadLettersArgs),
        #[command(subcommand)]
        Silence(SilenceArgs),
        Import(ImportArgs),
    }
    async fn told(command: &[&str]) -> String {
        let asking = Asking::parse_from(["dozor"].iter().chain(command));
        let flags = format!("{asking:?}");
        let done = match asking {
            Asking::Snapshot(flags) => snapshot(flags).await,
            Asking::Replay(flags) => replay(flags).await,
            Asking::Report(flags) => report(flags).await,
            Asking::Explain(flags) => explain(flags).await,
            Asking::Incidents(flags) => incidents(flags).await,
            Asking::Calendar(flags) => calendar(flags).await,
            Asking::DeadLetters(flags) => dead_letters(flags).await,
            Asking::Silence(flags) => silence(flags).await,
            Asking::Import(flags) => super::import::send_all(flags).await,
        };
        format!("{flags} {:#}", done.expect_err("there is no such server"))
    }
    // One that is not there, and one that is no Dozor.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = closed.local_addr().expect("an address").to_string();
    drop(closed);
    let (somebody, _heard) = pager("418 I'm a teapot");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = folder.path().join("history.txt");
    std::fs::write(&source, "up 1 1\n# EOF\n").expect("it can be written");
    let source = source.to_str().expect("text");
    let commands: [&[&str]; 9] = [
        &["snapshot"],
        &["replay"],
        &["report", "--from", "7d"],
        &["explain"],
        &["incidents", "list"],
        &["calendar", "list"],
        &["dead-letters", "list"],
        &["silence", "list"],
        &["import", "--retry-for", "0s"],
    ];
    for (address, command) in [&nobody, &somebody].into_iter().flat_map(|it| commands.map(|command| (it, command))) {
        let url = format!("http://ada:s3cret@{address}/");
        let last: &[&str] = if command[0] == "import" { &["openmetrics", source] } else { &[] };
        let text = told(&[command, &["--url", &url], last].concat()).await;
        assert!(text.matches(&format!("http://<secret>@{address}")).count() >= 2 || command[0] == "import", "{text}");
        assert!(text.contains(&format!("<secret>@{address}")) && !text.contains("s3cret"), "{text}");
    }
    // No address, which whoever refuses it may repeat.
    for url in ["ada:s3cret@watch", "http://ada:s3cret@", "http://ada:s3/cret@watch", "http:ada:s3cret@127.0.0.1:1"] {
        let text = told(&["explain", "--url", url]).await;
        assert!(!text.contains("cret@") && !text.contains("ada"), "{text}");
    }
}

#[test]
fn server_is_the_given_one_or_that_of_the_settings() {
    use super::asking::Asked;
    use clap::Parser;
    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        server: Asked,
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = folder.path().join("dozor.yml");
    std::fs::write(&settings, "external_url: https://ada:s3cret@watch.example/dozor\n").expect("it can be written");
    let settings = settings.to_str().expect("text");
    let asked = |flags: &[&str]| Arguments::parse_from(["dozor"].iter().chain(flags)).server.url();
    let given = asked(&["--config", settings, "--url", "http://near:80/"]).expect("it is given");
    assert_eq!((given.reveal(), given.to_string().as_str()), ("http://near:80/", "http://near:80"));
    let found = asked(&["--config", settings]).expect("the settings are right");
    assert_eq!(found.reveal(), "https://ada:s3cret@watch.example/dozor");
    assert_eq!(found.to_string(), "https://<secret>@watch.example/dozor");
    assert!(asked(&["--config", "/nowhere/dozor.yml"]).is_err());
    assert!(asked(&["--config", "/nowhere/dozor.yml", "--url", "http://near:80"]).is_ok(), "nobody has to look");
}
