//! Every page through its address, over a store that is filled as a controller would.

mod attacks;

use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use axum::http::{Request, Response, StatusCode};
use futures_util::StreamExt;
use nightsweep_search::{
    Attempt, Direction, Distribution, Event, FailureCause, ParamValue, Parameter, Scale, SearchSpace, TrialNumber,
};
use nightsweep_store::{Level, NewStudy, Store, StudyId};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::{Token, WebSettings, router};

mod morning;

/// A name that would be markup, a path and a query if any page believed it.
const NAME: &str = "night/1 <script>alert(1)</script>&?#";
const ADDRESS: &str = "/studies/night%2F1%20%3Cscript%3Ealert%281%29%3C%2Fscript%3E%26%3F%23";

struct Fixture {
    _dir: TempDir,
    store: Store,
    study: StudyId,
    settings: WebSettings,
}

impl Fixture {
    async fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("studies.db")).await.unwrap();
        let study = store.create_study(new_study(NAME)).await.unwrap();
        Self { _dir: dir, store, study, settings: WebSettings::default() }
    }

    /// Trial 0 complete with 0.75, 1 failed, 2 running.
    async fn new() -> Self {
        let fixture = Self::empty().await;
        let started = |number, lr: f64, optimizer: &str| Event::Started {
            trial: TrialNumber(number),
            params: serde_json::from_value(serde_json::json!({ "lr": lr, "<b>optimizer": optimizer })).unwrap(),
            why: "a <i>Sobol</i> point".to_owned(),
        };
        let reported = |number, step, value| Event::Reported {
            trial: TrialNumber(number),
            attempt: Attempt(1),
            step,
            value: Some(value),
            metrics: [("train_loss".to_owned(), 0.5), ("<u>own".to_owned(), 1.0)].into(),
        };
        let events = [
            Event::Opened { pid: 7, host: "<em>host".to_owned(), version: "0.1.0".to_owned() },
            started(0, 0.1, "sgd"),
            reported(0, 1, 0.5),
            reported(0, 2, 0.75),
            Event::Completed { trial: TrialNumber(0), attempt: Attempt(1), value: 0.75 },
            started(1, 0.01, "<img src=x>"),
            Event::Failed {
                trial: TrialNumber(1),
                attempt: Attempt(1),
                cause: FailureCause::OutOfMemory,
                message: "no <s>memory".to_owned(),
            },
            started(2, 0.001, "sgd"),
        ];
        fixture.store.append_all_at(fixture.study, 1_790_000_000_000, &events).await.unwrap();
        let trial = TrialNumber(0);
        fixture.store.set_recipe(fixture.study, trial, "epochs = 2 # <recipe>\n").await.unwrap();
        fixture.store.append_log(fixture.study, trial, Attempt(1), Level::Warn, "slow <disk>").await.unwrap();
        fixture.store.record_assignment(fixture.study, trial, Attempt(1), "gpu-0", "<NVIDIA>", 42).await.unwrap();
        fixture
    }

    async fn ask(&self, request: Request<Body>) -> Response<Body> {
        router(self.store.clone(), self.settings.clone()).oneshot(request).await.unwrap()
    }

    async fn get(&self, address: &str) -> (StatusCode, String) {
        text(self.ask(request(address).body(Body::empty()).unwrap()).await).await
    }

    async fn json(&self, address: &str) -> serde_json::Value {
        serde_json::from_str(&self.get(address).await.1).unwrap()
    }
}

fn new_study(name: &str) -> NewStudy {
    let words = ["sgd", "<img src=x>"].map(|word| ParamValue::Text(word.to_owned()));
    let parameter = |name: &str, distribution| Parameter { name: name.to_owned(), distribution, when: None };
    NewStudy {
        name: name.to_owned(),
        source: String::new(),
        plan: serde_json::json!({}),
        metric: "val_<accuracy>".to_owned(),
        direction: Direction::Maximize,
        seed: 1,
        space: SearchSpace(vec![
            parameter("<b>optimizer", Distribution::Categorical { choices: words.to_vec() }),
            parameter("lr", Distribution::Float { low: 1e-3, high: 1.0, scale: Scale::Log }),
        ]),
    }
}

fn request(address: &str) -> axum::http::request::Builder {
    Request::get(address).header(HOST, "127.0.0.1:8787")
}

async fn text(response: Response<Body>) -> (StatusCode, String) {
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 24).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// The numbers of the trials on a board, in order.
fn rows(page: &str) -> Vec<u64> {
    page.split("id=\"trial-").skip(1).map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn the_only_study_is_opened_at_once() {
    let fixture = Fixture::new().await;
    let response = fixture.ask(request("/").body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()[LOCATION], ADDRESS);
    fixture.store.create_study(new_study("other")).await.unwrap();
    let (status, page) = fixture.get("/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains(ADDRESS) && page.contains("/studies/other"));
}

#[tokio::test]
async fn the_board_ranks_and_shows_every_trial() {
    let (status, page) = Fixture::new().await.get(ADDRESS).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(rows(&page), [0, 1, 2]);
    for part in ["0.7500", "gpu-0", "out of memory", "<polyline", "</svg>", "complete", "1–3 of 3", "0.01"] {
        assert!(page.contains(part), "{part}");
    }
}

#[tokio::test]
async fn the_address_filters_sorts_and_pages() {
    let fixture = Fixture::new().await;
    let check = async |query: &str, expected: &[u64]| {
        let (status, page) = fixture.get(&format!("{ADDRESS}{query}")).await;
        assert_eq!((status, rows(&page)), (StatusCode::OK, expected.to_vec()), "{query}");
    };
    check("?sort=lr", &[2, 1, 0]).await;
    check("?sort=lr&desc=1", &[0, 1, 2]).await;
    check("?state=failed&state=running&sort=number", &[1, 2]).await;
    check("?filter=lr+%3C+0.1+and+%22%3Cb%3Eoptimizer%22+%3D+sgd", &[2]).await;
    check("?limit=1&offset=1&sort=number", &[1]).await;
    check("?filter=lr+%3E+5", &[]).await;
}

#[tokio::test]
async fn a_wrong_filter_is_told_above_all_trials() {
    let fixture = Fixture::new().await;
    for query in ["?filter=%3Cx%3E+%3D", "?filter=momentum+%3E+1", "?sort=momentum", "?filter=lr+%3E+sgd"] {
        let (status, page) = fixture.get(&format!("{ADDRESS}{query}")).await;
        assert_eq!((status, rows(&page).len()), (StatusCode::BAD_REQUEST, 3), "{query}");
        assert!(page.contains("role=\"alert\""));
    }
    assert_eq!(fixture.get(&format!("{ADDRESS}?state=gone")).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_trial_shows_all_that_is_known_of_it() {
    let fixture = Fixture::new().await;
    let (status, page) = fixture.get(&format!("{ADDRESS}/trials/0")).await;
    assert_eq!(status, StatusCode::OK);
    for part in ["epochs = 2 # &lt;recipe&gt;", "slow &lt;disk&gt;", "reported epochs 1 to 2", "process 42", "</svg>"] {
        assert!(page.contains(part), "{part}");
    }
    let (_, failed) = fixture.get(&format!("{ADDRESS}/trials/1")).await;
    assert!(failed.contains("failed, out of memory: no &lt;s&gt;memory"));
}

#[tokio::test]
async fn no_text_of_a_study_becomes_markup() {
    let fixture = Fixture::new().await;
    fixture.store.create_study(new_study("other")).await.unwrap();
    let pages = ["/studies", ADDRESS, &format!("{ADDRESS}/trials/0"), &format!("{ADDRESS}/trials/1")];
    for address in pages.into_iter().chain(["/studies/%3Cscript%3E", &format!("{ADDRESS}?filter=%22%3E%3Cscript%3E")]) {
        let (_, page) = fixture.get(address).await;
        let foreign =
            ["<script>", "<img", "<em>", "<s>", "<u>", "<b>o", "<accuracy>", "<NVIDIA>", "<disk>", "<recipe>"];
        for markup in foreign.into_iter().chain([" style=\"", "javascript:", " onload"]) {
            assert!(!page.contains(markup), "{markup} in {address}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let fixture = Fixture::new().await;
    for address in ["/nothing", "/studies/none", "/studies/none/live", "/studies/none/trials/0", "/api/v1/studies/none"]
    {
        assert_eq!(fixture.get(address).await.0, StatusCode::NOT_FOUND, "{address}");
    }
    for number in ["3", "-1", "x", "99999999999999999999"] {
        assert_eq!(fixture.get(&format!("{ADDRESS}/trials/{number}")).await.0, StatusCode::NOT_FOUND, "{number}");
    }
    let api = fixture.json("/api/v1/studies/none").await;
    assert_eq!(api["error"], "there is no study `none` in this store");
}

#[tokio::test]
async fn a_study_without_trials_says_so() {
    let (status, page) = Fixture::empty().await.get(ADDRESS).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("No trial has started yet.") && page.contains("not started"));
}

#[tokio::test]
async fn the_api_tells_a_trial_whole() {
    let fixture = Fixture::new().await;
    let board = fixture.json(&format!("/api/v1{ADDRESS}/trials?state=complete")).await;
    insta::assert_json_snapshot!(board, @r#"
    {
      "trials": [
        {
          "number": 0,
          "state": "complete",
          "rank": 1,
          "value": 0.75,
          "last_value": 0.75,
          "best_value": 0.75,
          "best_step": 2,
          "steps": 2,
          "attempt": 1,
          "params": {
            "lr": 0.1,
            "<b>optimizer": "sgd"
          },
          "why": "a <i>Sobol</i> point",
          "origin": null,
          "violation": 0.0,
          "started_at_ms": 1790000000000,
          "finished_at_ms": 1790000000000,
          "active_ms": 0,
          "running_since_ms": null,
          "pause": null,
          "cause": null,
          "message": null,
          "slot": "gpu-0",
          "device": "<NVIDIA>",
          "pid": 42,
          "note": "",
          "tags": [],
          "pinned": false,
          "starred": false
        }
      ],
      "matching": 1
    }
    "#);
    let trial = fixture.json(&format!("/api/v1{ADDRESS}/trials/0")).await;
    assert_eq!(trial["trial"], board["trials"][0]);
    assert_eq!((&trial["reports"][1]["value"], &trial["recipe"]), (&0.75.into(), &"epochs = 2 # <recipe>\n".into()));
    let study = fixture.json(&format!("/api/v1{ADDRESS}")).await;
    insta::assert_json_snapshot!(study["summary"]["counts"], @r#"
    {
      "waiting": 0,
      "running": 1,
      "paused": 0,
      "complete": 1,
      "pruned": 0,
      "failed": 1,
      "lost": 0
    }
    "#);
    assert_eq!(fixture.json("/api/v1/studies").await["studies"][0]["best_value"], 0.75);
}

#[tokio::test]
async fn the_api_tells_the_log_after_a_place() {
    let fixture = Fixture::new().await;
    let list = fixture.json(&format!("/api/v1{ADDRESS}/events?after=6")).await;
    insta::assert_json_snapshot!(list, @r#"
    {
      "events": [
        {
          "seq": 7,
          "at_ms": 1790000000000,
          "event": {
            "kind": "failed",
            "trial": 1,
            "attempt": 1,
            "cause": "out_of_memory",
            "message": "no <s>memory"
          }
        },
        {
          "seq": 8,
          "at_ms": 1790000000000,
          "event": {
            "kind": "started",
            "trial": 2,
            "params": {
              "lr": 0.001,
              "<b>optimizer": "sgd"
            },
            "why": "a <i>Sobol</i> point"
          }
        }
      ],
      "last": 8
    }
    "#);
    assert_eq!(fixture.json(&format!("/api/v1{ADDRESS}/events?after=8")).await["last"], 8);
    let (status, wrong) = fixture.get(&format!("/api/v1{ADDRESS}/events?after=-1")).await;
    assert!(status == StatusCode::BAD_REQUEST && wrong.starts_with("{\"error\":"), "{wrong}");
}

#[tokio::test]
async fn a_stream_tells_when_something_happened() {
    let fixture = Fixture::new().await;
    let response = fixture.ask(request(&format!("{ADDRESS}/live")).body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    let mut next = async || String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(next().await.contains("data: 8"));
    let closed = Event::Closed { reason: "done".to_owned(), needs_help: false };
    fixture.store.append(fixture.study, &closed).await.unwrap();
    assert!(next().await.contains("data: 9"));
}

/// The samples of a text in Prometheus's format 0.0.4; each must follow the type of its name.
fn samples(text: &str) -> std::collections::BTreeMap<String, f64> {
    let (mut samples, mut current) = (std::collections::BTreeMap::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let [word, name, _] = rest.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let is_next = word == "TYPE" && current == name || word == "HELP" && current != name;
            assert!(is_next && name.starts_with("nightsweep_"), "{line}");
            current = name.to_owned();
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(name.split('{').next(), Some(current.as_str()), "{line}");
            assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{line}");
        }
    }
    samples
}

#[tokio::test]
async fn prometheus_is_told_what_the_store_knows() {
    let mut fixture = Fixture::new().await;
    let (orders, _asked) = tokio::sync::mpsc::unbounded_channel();
    fixture.settings = WebSettings::default().with_orders(NAME, None, orders).with_slots(2);
    fixture.store.create_study(new_study("other")).await.unwrap();
    let response = fixture.ask(request("/metrics").body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; version=0.0.4");
    let (status, text) = text(response).await;
    assert_eq!(status, StatusCode::OK);
    let samples = samples(&text);
    let check = |name: &str, labels: &str, expected: Option<f64>| {
        let name = format!("nightsweep_{name}{{{labels}}}");
        assert_eq!(samples.get(&name).copied(), expected, "{name} in\n{text}");
    };
    let escaped = NAME.replace('"', "\\\"");
    let study = format!("study=\"{escaped}\"");
    check("build_info", concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), Some(1.0));
    for (state, count) in [("running", 1.0), ("complete", 1.0), ("failed", 1.0), ("paused", 0.0)] {
        check("trials", &format!("state=\"{state}\",{study}"), Some(count));
    }
    check("failures_total", &format!("cause=\"out_of_memory\",{study}"), Some(1.0));
    check("best_value", &format!("metric=\"val_<accuracy>\",{study}"), Some(0.75));
    for (name, value) in [
        ("trials_started_total", 3.0),
        ("attempts_total", 3.0),
        ("requeues_total", 0.0),
        ("queue_length", 0.0),
        ("epochs_total", 2.0),
        ("study_running", 1.0),
        ("slots", 2.0),
        ("slots_busy", 1.0),
        ("last_event_timestamp_seconds", 1_790_000_000.0),
    ] {
        check(name, &study, Some(value));
    }
    check("study_running", "study=\"other\"", Some(0.0));
    check("slots", "study=\"other\"", None);
    check("best_value", "metric=\"val_<accuracy>\",study=\"other\"", None);
}

#[tokio::test]
async fn the_plan_of_the_night_is_shown_while_somebody_leads_the_study() {
    let fixture = Fixture::new().await;
    let outlook = nightsweep_search::Outlook {
        left_seconds: 7200.0,
        reserved_seconds: 1200.0,
        workers: 2,
        max_epochs: 9,
        brackets: vec![vec![1, 3]],
        trials: 123,
        models: vec![nightsweep_search::ModelPace {
            model: "vit".to_owned(),
            batch_size: 64,
            epoch_seconds: 2.5,
            memory_bytes: None,
        }],
        ..Default::default()
    };
    let opened = Event::Opened { pid: 7, host: "night".to_owned(), version: "0".to_owned() };
    let old = Event::Planned { outlook: nightsweep_search::Outlook { trials: 7777, ..outlook.clone() } };
    let events = [opened, old, Event::Planned { outlook }];
    fixture.store.append_all(fixture.study, &events).await.unwrap();
    let page = fixture.get(ADDRESS).await.1;
    for expected in ["Plan of the night", "123 trials", "judged after 1, 3", "are confirmed", "<table class=\"plain\">"]
    {
        assert!(page.contains(expected), "`{expected}` is not in {page}");
    }
    assert!(!page.contains("7777") && !page.contains("hours until the end"));
    let closed = Event::Closed { reason: "the search is done".to_owned(), needs_help: false };
    fixture.store.append(fixture.study, &closed).await.unwrap();
    assert!(!fixture.get(ADDRESS).await.1.contains("Plan of the night"));
}

#[tokio::test]
async fn fields_offer_what_takes_nothing_from_a_study() {
    let mut fixture = Fixture::new().await;
    let (sender, _orders) = tokio::sync::mpsc::unbounded_channel::<crate::Ordered>();
    let offered = async |fixture: &Fixture, name: &str| {
        let page = fixture.get(ADDRESS).await.1;
        let field = page.split(&format!("<input name=\"{name}\"")).nth(1)?.split('>').next()?.to_owned();
        Some(field.split(" value=\"").nth(1)?.split('"').next()?.to_owned())
    };
    // Three trials are there. A run that has no number of them gets none unsaid.
    for (trials, expected) in [(Some(100), Some("110")), (Some(2), Some("13")), (None, None)] {
        fixture.settings = WebSettings::default().with_orders(NAME, trials, sender.clone());
        assert_eq!(offered(&fixture, "trials").await.as_deref(), expected, "{trials:?}");
    }
    let order = nightsweep_search::Order::Extend { trials: 150 };
    fixture.store.append(fixture.study, &Event::Ordered { by: "eve".to_owned(), order }).await.unwrap();
    assert_eq!(offered(&fixture, "trials").await.as_deref(), Some("160"));
    // What is left of the time, rounded up.
    let planned = [(7200.0, "hours", "2.0"), (6900.0, "hours", "2.0"), (130.0, "minutes", "3"), (0.0, "minutes", "1")];
    let opened = Event::Opened { pid: 7, host: "night".to_owned(), version: "0".to_owned() };
    fixture.store.append(fixture.study, &opened).await.unwrap();
    for (left_seconds, unit, expected) in planned {
        let outlook = nightsweep_search::Outlook { left_seconds, ..Default::default() };
        fixture.store.append(fixture.study, &Event::Planned { outlook }).await.unwrap();
        assert_eq!(offered(&fixture, unit).await.as_deref(), Some(expected), "{left_seconds} s");
    }
}

/// A request that changes something, as a page of ours sends it.
fn write(address: &str) -> axum::http::request::Builder {
    Request::post(address)
        .header(HOST, "127.0.0.1:8787")
        .header("origin", "http://127.0.0.1:8787")
        .header(CONTENT_TYPE, "application/json")
}

#[tokio::test]
async fn a_note_is_kept_shown_without_markup_and_found() {
    let fixture = Fixture::new().await;
    let address = format!("/api/v1{ADDRESS}/trials/0/annotations");
    let send =
        async |body: &str| text(fixture.ask(write(&address).body(Body::from(body.to_owned())).unwrap()).await).await;
    let note =
        r#"{ "by": "<b>eve", "note": "**odd** <script>alert(1)</script>", "tags": ["<i>keep"], "starred": true }"#;
    let (status, answer) = send(note).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let row: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&row["tags"][0], &row["starred"], &row["pinned"]), (&"<i>keep".into(), &true.into(), &false.into()));
    let (_, page) = fixture.get(&format!("{ADDRESS}/trials/0")).await;
    assert!(page.contains("<strong>odd</strong>") && page.contains("&lt;b&gt;eve wrote a note"));
    assert!(!page.contains("alert(1)</script>") && !page.contains("<i>keep") && !page.contains("<b>eve"));
    let (_, found) = fixture.get(&format!("{ADDRESS}?filter=text+~+ODD")).await;
    assert_eq!(rows(&found), [0]);
    let check = async |body: &str, expected: &str| {
        let (status, answer) = send(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(answer.contains(expected), "{answer}");
    };
    check("{", "cannot be read").await;
    check(r#"{ "nota": "x" }"#, "unknown field `nota`").await;
    check(r#"{ "tags": [""] }"#, "a tag has 1 to 50").await;
    check(&format!(r#"{{ "note": "{}" }}"#, "x".repeat(20_001)), "a note has").await;
    let (status, _) = send(&format!(r#"{{ "note": "{}" }}"#, "x".repeat(200_000))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_read_only_page_shows_all_and_writes_nothing() {
    let mut fixture = Fixture::new().await;
    fixture.settings = WebSettings::default().read_only();
    let (status, page) = fixture.get(&format!("{ADDRESS}/trials/0")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("This page is read-only.") && !page.contains("<textarea"));
    for (path, body) in [("trials/0/annotations", r#"{ "starred": true }"#), ("orders", r#"{ "order": "hold" }"#)] {
        let request = write(&format!("/api/v1{ADDRESS}/{path}")).body(Body::from(body)).unwrap();
        assert_eq!(fixture.ask(request).await.status(), StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn an_order_goes_to_whoever_leads_the_study() {
    let mut fixture = Fixture::new().await;
    let send = async |fixture: &Fixture, body: &'static str| {
        let request = write(&format!("/api/v1{ADDRESS}/orders")).body(Body::from(body)).unwrap();
        text(fixture.ask(request).await).await
    };
    let (status, answer) = send(&fixture, r#"{ "order": "hold" }"#).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(answer.contains("not run by this process"));
    assert!(!fixture.get(ADDRESS).await.1.contains("data-order"));

    let (sender, mut orders) = tokio::sync::mpsc::unbounded_channel::<crate::Ordered>();
    fixture.settings = WebSettings::default().with_orders(NAME, None, sender);
    assert!(fixture.get(ADDRESS).await.1.contains("data-order=\"hold\""));
    assert!(fixture.get(&format!("{ADDRESS}/trials/2")).await.1.contains("data-order=\"stop\""));
    let leader = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Some(crate::Ordered { by, order, answer }) = orders.recv().await {
            let refused = matches!(order, nightsweep_search::Order::Stop { .. });
            heard.push((by, order));
            answer.send(if refused { Err("trial 0 is complete".to_owned()) } else { Ok(()) }).unwrap();
        }
        heard
    });
    assert_eq!(send(&fixture, r#"{ "by": "eve", "order": "extend", "trials": 9 }"#).await.0, StatusCode::OK);
    let (status, answer) = send(&fixture, r#"{ "order": "stop", "trial": 0 }"#).await;
    assert_eq!((status, answer.as_str()), (StatusCode::CONFLICT, r#"{"error":"trial 0 is complete"}"#));
    let deadline = r#"{ "order": "deadline", "in_seconds": 5400 }"#;
    assert_eq!(send(&fixture, deadline).await.0, StatusCode::OK);
    let wrong = r#"{ "order": "deadline", "in_seconds": -1 }"#;
    assert_eq!(send(&fixture, wrong).await.0, StatusCode::BAD_REQUEST);
    let point = r#"{ "order": "enqueue", "params": { "lr": 1, "<b>optimizer": "sgd" } }"#;
    assert_eq!(send(&fixture, point).await.0, StatusCode::OK);
    assert_eq!(send(&fixture, r#"{ "order": "dance" }"#).await.0, StatusCode::BAD_REQUEST);
    fixture.settings = WebSettings::default();
    let heard = leader.await.unwrap();
    assert_eq!(heard[0], ("eve".to_owned(), nightsweep_search::Order::Extend { trials: 9 }));
    assert_eq!(heard[2].1, nightsweep_search::Order::Deadline { in_seconds: 5400 });
    let nightsweep_search::Order::Enqueue { params } = &heard[3].1 else { panic!("{heard:?}") };
    assert_eq!(params.get("lr"), Some(&ParamValue::Float(1.0)));
}

#[tokio::test]
async fn what_is_filtered_is_exported() {
    let fixture = Fixture::new().await;
    let (status, csv) =
        fixture.get(&format!("/api/v1{ADDRESS}/trials.csv?filter=lr+%3E+0.005&sort=number&limit=1")).await;
    assert_eq!(status, StatusCode::OK);
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("trial,state,rank,value,best,epochs") && lines[0].ends_with("note,<b>optimizer,lr"));
    assert_eq!(lines[1], "0,complete,1,0.75,0.75,2,0,1,,gpu-0,<NVIDIA>,1790000000000,1790000000000,,,sgd,0.1");
    assert!(lines[2].starts_with("1,failed,,,,0,0,1,out of memory"));
    assert_eq!(lines.len(), 3);
    let json = fixture.json(&format!("/api/v1{ADDRESS}/trials.json?state=running")).await;
    assert_eq!((json.as_array().unwrap().len(), &json[0]["number"]), (1, &2.into()));
}

#[tokio::test]
async fn trials_stand_side_by_side() {
    let fixture = Fixture::new().await;
    let (status, page) = fixture.get(&format!("{ADDRESS}/compare?trials=0,2,0,02,+2")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("compare?trials=0,2\"") && page.contains("differs"));
    let figure = fixture.json(&format!("/api/v1{ADDRESS}/compare?trials=0,2")).await;
    assert_eq!(figure["panels"][0]["title"], "val_<accuracy>");
    assert_eq!(figure["panels"][0]["marks"][0]["y"], serde_json::json!([0.5, 0.75]));
    assert_eq!(fixture.get(&format!("{ADDRESS}/compare?trials=9")).await.0, StatusCode::NOT_FOUND);
    let many = format!("{ADDRESS}/compare?trials=0,1,2,3,4,5,6,7,8,9,10");
    assert_eq!(fixture.get(&many).await.0, StatusCode::BAD_REQUEST);
    assert!(fixture.get(&format!("{ADDRESS}/compare")).await.1.contains("Select two to 10 trials"));
}

#[tokio::test]
async fn the_address_chooses_columns() {
    let fixture = Fixture::new().await;
    let (_, page) = fixture.get(&format!("{ADDRESS}?columns=value,lr,value")).await;
    let head = page.split("<thead>").nth(1).unwrap().split("</thead>").next().unwrap();
    assert_eq!(head.matches("<th ").count(), 3);
    assert!(head.find("accuracy").unwrap() < head.find("lr</a>").unwrap());
    let (status, page) = fixture.get(&format!("{ADDRESS}?columns=value,nothing")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(page.contains("`nothing` is no column of this study"));
}

#[tokio::test]
async fn figures_are_described_and_drawn_under_their_addresses() {
    let fixture = Fixture::new().await;
    let address = format!("/api/v1{ADDRESS}/figures");
    let names = fixture.json(&address).await;
    assert_eq!(names["figures"].as_array().unwrap().len(), crate::figure::names().count());
    let mut response = fixture.get(&format!("{address}/history")).await;
    while response.0 == StatusCode::ACCEPTED {
        response = fixture.get(&format!("{address}/history")).await;
    }
    assert!(response.1.contains("\"best complete\""));
    assert_eq!(fixture.get(&format!("{address}/nothing")).await.0, StatusCode::NOT_FOUND);
    let (status, svg) = fixture.get(&format!("{ADDRESS}/figures/history.svg?theme=dark")).await;
    assert!(status == StatusCode::OK && svg.starts_with("<svg") && !svg.contains("<accuracy>"));
    for file in ["history.pdf", "importance.svg", "..%2F..%2Fetc%2Fpasswd.svg"] {
        assert_eq!(fixture.get(&format!("{ADDRESS}/figures/{file}")).await.0, StatusCode::NOT_FOUND, "{file}");
    }
}

#[tokio::test]
async fn files_of_the_pages_are_asked_for_once() {
    let fixture = Fixture::new().await;
    for name in ["style.css", "plotly.js", "figures.js"] {
        let address = crate::assets::asset(name);
        let zipped = request(&address).header("accept-encoding", "gzip").body(Body::empty()).unwrap();
        let response = fixture.ask(zipped).await;
        assert_eq!(response.headers()["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert!(fixture.get(&address).await.1.len() > 500);
        assert_eq!(fixture.get(&format!("/assets/000000000000/{name}")).await.0, StatusCode::NOT_FOUND);
    }
    assert!(fixture.get(&crate::assets::asset("plotly.js")).await.1.contains("plotly.js v3"));
}

#[tokio::test]
async fn pages_below_a_path_keep_to_it() {
    let mut fixture = Fixture::new().await;
    assert!(WebSettings::default().with_base_path("/a\"b").is_err());
    assert!(WebSettings::default().with_base_path("sweeps").is_err());
    fixture.settings = WebSettings::default().with_base_path("/sweeps/").unwrap();
    let (status, page) = fixture.get(&format!("/sweeps{ADDRESS}")).await;
    assert_eq!(status, StatusCode::OK);
    for part in page.split("=\"/").skip(1) {
        assert!(part.starts_with("sweeps/"), "{}", &part[..40.min(part.len())]);
    }
    let home = fixture.ask(request("/sweeps").body(Body::empty()).unwrap()).await;
    assert_eq!(home.headers()[LOCATION], format!("/sweeps{ADDRESS}"));
    assert_eq!(fixture.get(&format!("/sweeps{}", crate::assets::asset("style.css"))).await.0, StatusCode::OK);
    assert_eq!(fixture.get(ADDRESS).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_report_is_a_page_and_one_file_that_needs_nothing_else() {
    let mut fixture = Fixture::new().await;
    assert_eq!(fixture.get(&format!("{ADDRESS}/report")).await.0, StatusCode::NOT_FOUND);
    let markdown = "# Won <script>alert(1)</script>\n\n| a | b |\n| - | - |\n| 1 | 2 |\n".to_owned();
    let figures = &["history", "failures"];
    let picture = crate::Picture { title: "harm", about: "Rows.", png: b"\x89PNG".to_vec() };
    let part = crate::ReportPart { markdown, figures, pictures: vec![picture] };
    let text = crate::ReportText { parts: vec![part], recipe: Some("epochs = 2 # <recipe>".to_owned()) };
    fixture.settings = WebSettings::default().with_reports(std::sync::Arc::new(move |_| {
        let text = text.clone();
        Box::pin(async move { Some(text) })
    }));
    for (address, ends) in [("report", "</html>"), ("report.html", "</html>")] {
        let (status, page) = fixture.get(&format!("{ADDRESS}/{address}")).await;
        assert_eq!(status, StatusCode::OK);
        assert!(page.ends_with(ends) && page.contains("<td>1</td>") && page.contains("epochs = 2 # &lt;recipe&gt;"));
        assert!(page.contains("</svg>") && !page.contains("alert(1)</script>"), "{address}");
        assert_eq!(page.contains("<style>"), address == "report.html");
        assert_eq!(page.matches("src=\"").count(), 1, "{address}");
        assert!(page.contains("src=\"data:image/png;base64,iVBORw==\""), "{address}");
    }
}

#[tokio::test]
async fn the_api_answers_as_it_describes_itself() {
    let fixture = Fixture::new().await;
    let document = fixture.json("/api/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let study = "/api/v1/studies/{name}";
    let check = async |path: &str, query: &str| {
        let answers = &document["paths"][path]["get"]["responses"];
        let schema = &answers["200"]["content"]["application/json"]["schema"];
        let address = path.replace("/studies/{name}", ADDRESS).replace("{number}", "0").replace("{figure}", "history");
        let mut response = fixture.get(&format!("{address}{query}")).await;
        while response.0 == StatusCode::ACCEPTED {
            response = fixture.get(&address).await;
        }
        let answer: serde_json::Value = serde_json::from_str(&response.1).unwrap();
        assert!(schema.is_object(), "{path}");
        conforms(&document, schema, &answer, path);
        answer
    };
    assert_eq!(check("/api/v1/studies", "?limit=1").await["studies"].as_array().unwrap().len(), 1);
    assert_eq!(check("/api/v1/studies", "?offset=1").await["studies"].as_array().unwrap().len(), 0);
    assert_eq!(check(&format!("{study}/events"), "?after=2&limit=3").await["last"], 5);
    for path in ["", "/trials", "/trials.json", "/trials/{number}", "/figures", "/figures/{figure}"] {
        check(&format!("{study}{path}"), "").await;
    }
    check(&format!("{study}/compare"), "?trials=0,2").await;
    check("/api/v1/openapi.json", "").await;
}

/// Whether a value is as a schema says, of what our schemas say; and has no member that is not described.
fn conforms(document: &serde_json::Value, schema: &serde_json::Value, value: &serde_json::Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return conforms(document, &document["components"]["schemas"][name], value, at);
    }
    if let Some(ways) = schema["oneOf"].as_array() {
        let way = ways.iter().find(|way| (way["type"] == "null") == value.is_null()).unwrap();
        return conforms(document, way, value, at);
    }
    let types: Vec<&str> = match &schema["type"] {
        serde_json::Value::Array(all) => all.iter().filter_map(serde_json::Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let is = |kind: &&str| match *kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{at}: {other}"),
    };
    assert!(types.is_empty() || types.iter().any(is), "{at}: {value} is no {types:?}");
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at}: {value}");
    }
    for item in value.as_array().into_iter().flatten() {
        conforms(document, &schema["items"], item, &format!("{at}[]"));
    }
    let Some(members) = value.as_object().filter(|_| schema["properties"].is_object()) else { return };
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(members.contains_key(name.as_str().unwrap()), "{at}: {name} is missing");
    }
    for (name, member) in members {
        // What a mark or an event has besides its kind depends on it.
        match schema["properties"].get(name) {
            Some(described) => conforms(document, described, member, &format!("{at}.{name}")),
            None => assert!(["mark", "kind"].iter().any(|kind| members.contains_key(*kind)), "{at}: {name}"),
        }
    }
}
