//! What the pages say of a trial's files and of a confirmation.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use nightsweep_search::race;
use nightsweep_search::{Order, Origin, PauseReason};
use nightsweep_store::Provenance;

use super::*;
use crate::{CheckpointState, StudyFiles, TrialFile};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";

/// Files of the trials of the fixture's study.
#[derive(Default)]
struct Made {
    files: HashMap<(u64, TrialFile), Vec<u8>>,
    test: BTreeMap<TrialNumber, f64>,
}

impl StudyFiles for Made {
    fn read(&self, study: &str, trial: TrialNumber, file: TrialFile) -> Option<Vec<u8>> {
        assert_eq!(study, NAME);
        self.files.get(&(trial.0, file)).cloned()
    }

    fn checkpoint(&self, _: &str, trial: TrialNumber) -> CheckpointState {
        match trial.0 {
            0 => CheckpointState::Whole { size_bytes: 1_234_567, epoch: 2, step: 0 },
            1 => CheckpointState::Damaged { size_bytes: 9, reason: "<b>torn".to_owned() },
            _ => CheckpointState::None,
        }
    }

    fn test_accuracies(&self, confirmation: &str) -> BTreeMap<TrialNumber, f64> {
        if confirmation == race::name_of(NAME, 1) { self.test.clone() } else { BTreeMap::new() }
    }
}

fn files() -> Made {
    let json = |value: serde_json::Value| value.to_string().into_bytes();
    let evaluation = serde_json::json!({
        "epoch": 2, "metrics": {}, "classes": ["cat", "<i>dog"], "recalls": [0.75, null],
        "confusion": [[3, 1], [0, 0]],
    });
    let worst = serde_json::json!({
        "epoch": 2, "tile": [28, 20], "columns": 8, "images": [
            { "place": 9, "class": "cat", "predicted": "<i>dog", "confidence": 0.98, "own": 0.02 },
            { "place": 4, "class": "cat", "predicted": "cat", "confidence": 0.6, "own": 0.6 },
        ],
    });
    let augmented = serde_json::json!({ "tile": [28, 20], "epochs": [1, 9], "classes": ["cat", "<i>dog"] });
    let files = [
        (TrialFile::Evaluation, json(evaluation)),
        (TrialFile::Worst, json(worst)),
        (TrialFile::WorstSheet, PNG.to_vec()),
        (TrialFile::Augmented, json(augmented)),
        (TrialFile::AugmentedSheet, b"<script>alert(1)</script>".to_vec()),
    ];
    Made { files: files.into_iter().map(|(file, bytes)| ((0, file), bytes)).collect(), ..Made::default() }
}

async fn with_files(files: Made) -> Fixture {
    let mut fixture = Fixture::new().await;
    fixture.settings = WebSettings::default().with_files(Arc::new(files));
    fixture
}

#[tokio::test]
async fn a_trial_shows_what_its_worker_left() {
    let fixture = with_files(files()).await;
    let (status, page) = fixture.get(&format!("{ADDRESS}/trials/0")).await;
    assert_eq!(status, StatusCode::OK);
    for part in [
        // The confusion matrix.
        "4 validation images, after epoch 2",
        "title=\"1 of 4 cat taken for &lt;i&gt;dog\"",
        "75 %",
        // The worst images, cut from their sheet: the second one lies beside the first.
        "taken for &lt;i&gt;dog, 98 %",
        "right, with 60 %",
        "/trials/0/worst.png?v=2",
        "viewBox=\"28 0 28 20\"",
        // Augmented: two rows of three, the last epoch lies ahead.
        "viewBox=\"56 20 28 20\"",
        "class=\"later\">epoch 9",
        // The checkpoint.
        "epoch 2",
        "1.2 MB",
        "✓ right",
    ] {
        assert!(page.contains(part), "`{part}` is not in {page}");
    }
    assert!(!page.contains("<i>dog"));
}

#[tokio::test]
async fn pictures_are_had_by_number_and_by_one_of_two_names() {
    let fixture = with_files(files()).await;
    let response =
        fixture.ask(request(&format!("{ADDRESS}/trials/0/worst.png?v=2")).body(Body::empty()).unwrap()).await;
    assert_eq!((response.status(), &response.headers()[CONTENT_TYPE]), (StatusCode::OK, &"image/png".parse().unwrap()));
    assert_eq!(to_bytes(response.into_body(), 1 << 20).await.unwrap(), PNG);
    for path in [
        "trials/0/augmented.png", // no PNG, whatever it is called
        "trials/2/worst.png",     // never written
        "trials/9/worst.png",     // no such trial
        "trials/0/checkpoint.safetensors",
        "trials/0/..%2Fworst.png",
        "trials/..%2F0/worst.png",
        "trials/0/%2Fetc%2Fpasswd",
    ] {
        let (status, page) = fixture.get(&format!("{ADDRESS}/{path}")).await;
        assert!(status == StatusCode::NOT_FOUND && !page.contains("alert(1)<"), "{path}: {status}");
    }
}

#[tokio::test]
async fn a_trial_without_its_files_says_so() {
    let mut damaged = files();
    damaged.files.insert((1, TrialFile::Worst), b"{ torn".to_vec());
    damaged.files.insert(
        (1, TrialFile::Evaluation),
        br#"{ "epoch": 1, "classes": ["a", "b"], "recalls": [], "confusion": [[1]] }"#.to_vec(),
    );
    let fixture = with_files(damaged).await;
    let (status, page) = fixture.get(&format!("{ADDRESS}/trials/1")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(page.matches("Its files are not beside the store").count(), 3);
    assert!(page.contains("It is damaged: &lt;b&gt;torn"));
    let (_, page) = fixture.get(&format!("{ADDRESS}/trials/2")).await;
    assert!(page.contains("Nothing yet. The beginning of a training leaves them."));
    // Nobody knows where the files are.
    let (status, page) = Fixture::new().await.get(&format!("{ADDRESS}/trials/0")).await;
    assert!(status == StatusCode::OK && !page.contains("id=\"checkpoint\""));
}

fn opened() -> Event {
    Event::Opened { pid: 7, host: "host".to_owned(), version: "0.1.0".to_owned() }
}

fn closed(reason: &str) -> Event {
    Event::Closed { reason: reason.to_owned(), needs_help: false }
}

/// The race of that number between trials 0 and 2 of the fixture: values by candidate and repetition. It goes on.
async fn race(fixture: &Fixture, number: u64, values: &[(u64, u64, Option<f64>)]) -> StudyId {
    let space = race::space(&[TrialNumber(0), TrialNumber(2)], 3);
    let race = NewStudy { space, ..new_study(&race::name_of(NAME, number)) };
    let id = fixture.store.create_study(race).await.unwrap();
    fixture.store.append(fixture.study, &closed("the deadline has come")).await.unwrap();
    fixture.store.append(id, &opened()).await.unwrap();
    for (number, (candidate, repetition, value)) in (0..).zip(values) {
        let (trial, attempt) = (TrialNumber(number), Attempt(1));
        let params = serde_json::json!({ "candidate": candidate, "repetition": repetition });
        let params = serde_json::from_value(params).unwrap();
        fixture.store.append(id, &Event::Started { trial, params, why: String::new() }).await.unwrap();
        if let Some(value) = *value {
            fixture.store.append(id, &Event::Completed { trial, attempt, value }).await.unwrap();
        }
    }
    id
}

#[tokio::test]
async fn a_confirmed_study_says_who_won_and_how_sure_that_is() {
    let test = [(TrialNumber(1), 0.8), (TrialNumber(3), 0.82)].into();
    let fixture = with_files(Made { test, ..files() }).await;
    let values = [(0, 1, 0.70), (2, 1, 0.72), (0, 2, 0.74), (2, 2, 0.73), (0, 3, 0.71), (2, 3, 0.71)];
    let values = values.map(|(candidate, repetition, value)| (candidate, repetition, Some(value)));
    let first = race(&fixture, 1, &values).await;
    fixture.store.append(first, &closed("the search is done")).await.unwrap();
    let (status, page) = fixture.get(ADDRESS).await;
    assert_eq!(status, StatusCode::OK);
    for part in [
        "Trial 2</a> won with val_&lt;accuracy&gt; <b>0.7200 ± ",
        "test accuracy <b>0.8100</b>",
        "not to be told from it at 95 %",
        "≈ not to be told from it",
        "★ winner",
        "trial 0 was chosen at 0.7500 and has 0.7167 on fresh seeds; +0.0333",
        "--top 2 --seeds 10",
        "class=\"confirmed\"",
    ] {
        assert!(page.contains(part), "`{part}` is not in {page}");
    }
    let (_, page) = fixture.get(&format!("{ADDRESS}/trials/0")).await;
    assert!(page.contains("on 3 fresh seeds; <span>≈ not to be told from it"));
    assert!(page.contains("best: <a") && page.contains(">trial 2</a>"), "the winner is the confirmed one");
    let (_, page) = fixture.get(&format!("{ADDRESS}/compare?trials=0,2")).await;
    assert!(page.contains("on fresh seeds") && page.contains("0.7167 ± "));
    // A newer confirmation that has no winner takes nothing from it, as in the report of the command line.
    for (is_over, said) in [(false, "runs: 0 trainings are done"), (true, "was not finished: 0 trainings are done")] {
        match is_over {
            false => drop(race(&fixture, 2, &[]).await),
            true => {
                let second = fixture.store.study_named(&race::name_of(NAME, 2)).await.unwrap().unwrap();
                fixture.store.append(second.id, &closed("the deadline has come")).await.unwrap();
            }
        }
        let (_, page) = fixture.get(ADDRESS).await;
        for part in ["Confirmed on 3 fresh seeds; ", "test accuracy <b>0.8100</b>", "★ winner", said] {
            assert!(page.contains(part), "`{part}` is not in {page}");
        }
        assert!(!page.contains("in the race"));
        assert_eq!(page.contains("being confirmed"), !is_over);
    }
}

#[tokio::test]
async fn a_confirmation_that_runs_shows_how_far_it_is() {
    let fixture = Fixture::new().await;
    race(&fixture, 1, &[(0, 1, Some(0.7)), (2, 1, None)]).await;
    let (_, page) = fixture.get(ADDRESS).await;
    let status = "<span class=\"status on\">being confirmed</span>";
    for part in ["1 training is done", "epoch 0", "in the race", "0.7000", "Wait for the confirmation", status] {
        assert!(page.contains(part), "`{part}` is not in {page}");
    }
    assert!(!page.contains("★ winner") && !page.contains("ended: "));
    // It is found from its study and leads back to it, and is no study of its own in the list.
    let race = crate::view::study_address(&race::name_of(NAME, 1));
    assert!(page.contains(&format!("href=\"{race}\"")));
    let (status, page) = fixture.get(&race).await;
    assert!(status == StatusCode::OK && page.contains(&format!("The best trials of <a href=\"{ADDRESS}\"")));
    let response = fixture.ask(request("/").body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()[LOCATION], ADDRESS);
}

#[tokio::test]
async fn a_confirmation_that_was_not_finished_is_not_told_as_one_that_runs() {
    let fixture = with_files(files()).await;
    let first = race(&fixture, 1, &[(0, 1, Some(0.7)), (2, 1, Some(0.6))]).await;
    let said = "One seed, not confirmed on others: its confirmation was not finished, 2 trainings are done.";
    let check = async || {
        let (_, page) = fixture.get(ADDRESS).await;
        for part in [said, "not decided"] {
            assert!(page.contains(part), "`{part}` is not in {page}");
        }
        for part in ["being confirmed", "in the race", "in the confirmation"] {
            assert!(!page.contains(part), "`{part}` is in {page}");
        }
    };
    fixture.store.append(first, &closed("the deadline has come")).await.unwrap();
    check().await;
    // It was killed, and the search goes on.
    fixture.store.append(first, &opened()).await.unwrap();
    fixture.store.append(fixture.study, &opened()).await.unwrap();
    check().await;
}

#[tokio::test]
async fn what_was_not_trained_to_its_end_is_the_best_so_far_and_is_not_to_be_confirmed() {
    let fixture = Fixture::empty().await;
    let (trial, attempt) = (TrialNumber(0), Attempt::FIRST);
    let params = serde_json::from_value(serde_json::json!({ "lr": 0.1, "<b>optimizer": "sgd" })).unwrap();
    let reported = Event::Reported { trial, attempt, step: 1, value: Some(0.4), metrics: BTreeMap::new() };
    let events = [
        opened(),
        Event::Started { trial, params, why: String::new() },
        reported,
        Event::Paused { trial, attempt, reason: PauseReason::Rung },
        closed("the search is done"),
    ];
    fixture.store.append_all(fixture.study, &events).await.unwrap();
    let (_, page) = fixture.get(ADDRESS).await;
    for part in ["not trained to its end, is the best so far", "No trial is complete: <code>nightsweep run</code>"] {
        assert!(page.contains(part), "`{part}` is not in {page}");
    }
    assert!(!page.contains("nightsweep confirm"), "{page}");
}

#[tokio::test]
async fn what_paused_a_study_stands_at_its_top() {
    let fixture = Fixture::new().await;
    let notice = async || fixture.get(ADDRESS).await.1.split("id=\"notice\"").nth(1).unwrap()[..400].to_owned();
    assert!(!notice().await.contains("mistake"));
    let by = "<eve>".to_owned();
    fixture.store.append(fixture.study, &Event::Ordered { by: by.clone(), order: Order::Hold }).await.unwrap();
    assert!(notice().await.contains("Paused by &lt;eve&gt;"));
    for address in [ADDRESS, "/studies"] {
        let (_, page) = fixture.get(address).await;
        assert!(page.contains("<span class=\"status held\">paused by &lt;eve&gt;</span>"), "{page}");
        assert!(!page.contains("running on") && !page.contains("It runs."));
    }
    fixture.store.append(fixture.study, &Event::Ordered { by, order: Order::Release }).await.unwrap();
    assert!(!notice().await.contains("mistake"));
    let reason = "the disk is full: <no> room".to_owned();
    fixture.store.append(fixture.study, &Event::Closed { reason, needs_help: true }).await.unwrap();
    assert!(notice().await.contains("The study is paused: </strong>the disk is full: &lt;no&gt; room"));
    let (_, page) = fixture.get(ADDRESS).await;
    assert!(page.contains("1 trial failed (1 out of memory)") && page.contains("One seed, not confirmed"));
    assert!(page.contains("asked to") && page.contains("go on with the study"));
}

#[tokio::test]
async fn every_pause_and_every_lost_worker_is_marked_in_the_curves() {
    let fixture = Fixture::new().await;
    let (trial, first) = (TrialNumber(2), Attempt(1));
    let report = |attempt, step| Event::Reported { trial, attempt, step, value: Some(0.5), metrics: [].into() };
    let events = [
        report(first, 1),
        Event::Paused { trial, attempt: first, reason: PauseReason::Rung },
        Event::Resumed { trial, attempt: Attempt(2) },
        report(Attempt(2), 2),
        Event::Requeued { trial, attempt: Attempt(2), cause: None, message: "signal 9".to_owned() },
    ];
    fixture.store.append_all(fixture.study, &events).await.unwrap();
    let (_, page) = fixture.get(&format!("{ADDRESS}/trials/2")).await;
    let marks = page.split("class=\"breaks\"").nth(1).unwrap().split("</p>").next().unwrap();
    assert!(marks.contains("after epoch 1 paused at a rung, attempt 2 went on at"), "{marks}");
    assert!(marks.contains("after epoch 2 its worker was lost"), "{marks}");
}

#[tokio::test]
async fn a_recipe_stands_beside_the_default_and_the_winner() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("studies.db")).await.unwrap();
    let recipe = serde_json::json!({ "epochs": 3, "optimizer": { "kind": "sgd", "lr": 0.1 } });
    let study = NewStudy { plan: serde_json::json!({ "recipe": recipe }), ..new_study(NAME) };
    let study = store.create_study(study).await.unwrap();
    for (number, lr) in [(0, 0.2), (1, 0.3)] {
        let trial = TrialNumber(number);
        let params = serde_json::from_value(serde_json::json!({ "lr": lr, "<b>optimizer": "sgd" })).unwrap();
        let value = lr;
        let events = [
            Event::Started { trial, params, why: String::new() },
            Event::Completed { trial, attempt: Attempt(1), value },
        ];
        store.append_all(study, &events).await.unwrap();
        let toml = format!("epochs = 3\n[optimizer]\nkind = \"sgd\"\nlr = {lr}\n");
        store.set_recipe(study, trial, &toml).await.unwrap();
    }
    let fixture = Fixture { _dir: dir, store, study, settings: WebSettings::default() };
    let (_, page) = fixture.get(&format!("{ADDRESS}/trials/0")).await;
    let table = page.split("recipes\">").nth(1).unwrap().split("</table>").next().unwrap();
    assert_eq!(table.matches("<tr>").count(), 2, "only the rate differs: {table}");
    let row = "<th scope=\"row\">optimizer.lr</th><td><b>0.2</b></td><td class=\"other\">0.1</td><td class=\"other\">0.3</td>";
    assert!(table.contains(row), "{table}");
    assert!(page.contains("data-copy=\"recipe-text\"") && page.contains("lr = 0.2"));
}

#[tokio::test]
async fn a_trial_shows_what_each_attempt_ran_on() {
    let fixture = Fixture::new().await;
    let part = async || {
        let (_, page) = fixture.get(&format!("{ADDRESS}/trials/0")).await;
        page.split("id=\"provenance\"").nth(1).unwrap().split("</section>").next().unwrap().to_owned()
    };
    assert!(part().await.contains("No worker has told it."));
    let provenance = |device: &str, files: Option<&str>| Provenance {
        study_seed: u64::MAX,
        trial_seed: 3,
        data: "da7a".to_owned(),
        files: files.map(str::to_owned),
        version: "0.1.0".to_owned(),
        device: device.to_owned(),
        hardware: "<b>processor".to_owned(),
        libraries: [("burn".to_owned(), "0.22.1".to_owned())].into(),
    };
    let ran = [(1, "cpu:1", None), (2, "cpu:2", Some("f11e")), (3, "cpu:2", Some("f11e"))];
    for (attempt, device, files) in ran {
        let provenance = provenance(device, files);
        fixture.store.record_provenance(fixture.study, TrialNumber(0), Attempt(attempt), &provenance).await.unwrap();
    }
    let part = part().await;
    for said in [
        "attempt 1</th>",
        "attempts 2 to 3</th>",
        "<td>cpu:1</td><td>cpu:2</td>",
        "&lt;b&gt;processor",
        "burn 0.22.1",
        "18446744073709551615",
        "da7a",
        "not known",
        "f11e",
    ] {
        assert!(part.contains(said), "`{said}` is not in {part}");
    }
}

#[tokio::test]
async fn a_fork_shows_its_ancestors_and_they_show_it() {
    let fixture = Fixture::new().await;
    let fork = |number, parent, epoch, replaces, lr: f64| Event::Forked {
        trial: TrialNumber(number),
        params: serde_json::from_value(serde_json::json!({ "lr": lr, "<b>optimizer": "sgd" })).unwrap(),
        why: "the best of the population".to_owned(),
        origin: Origin { parent: TrialNumber(parent), epoch, replaces: TrialNumber(replaces) },
    };
    let report = |number, step| Event::Reported {
        trial: TrialNumber(number),
        attempt: Attempt(1),
        step,
        value: Some(0.5),
        metrics: [].into(),
    };
    // Trial 0 (two epochs) is the parent of 3, which takes the place of 2 and is the parent of 4 and 5.
    let events =
        [fork(3, 0, 2, 2, 0.2), report(3, 3), report(3, 4), fork(4, 3, 4, 3, 0.4), report(4, 5), fork(5, 3, 4, 1, 0.2)];
    fixture.store.append_all(fixture.study, &events).await.unwrap();
    let check = async |trial: u64, said: &[&str], unsaid: &[&str]| {
        let (status, page) = fixture.get(&format!("{ADDRESS}/trials/{trial}")).await;
        assert_eq!(status, StatusCode::OK);
        let part = page.split("id=\"lineage\"").nth(1).map_or("", |rest| rest.split("</section>").next().unwrap());
        said.iter().for_each(|said| assert!(part.contains(said), "`{said}` of trial {trial} is not in {part}"));
        unsaid.iter().for_each(|unsaid| assert!(!part.contains(unsaid), "`{unsaid}` of trial {trial} is in {part}"));
        page
    };
    let page = check(
        4,
        &["1 to 2", "3 to 4", ">5</th>", "#0</a>", "#3</a>", "lr = 0.2<", "lr = 0.4<", "&lt;b&gt;optimizer = sgd"],
        &["Forked into"],
    )
    .await;
    assert!(page.contains("forked from trial 3 after epoch 4"), "the timeline tells it too");
    check(0, &["Forked into", "#3</a> after epoch 2"], &["<table", "#4"]).await;
    check(3, &["1 to 2", "3 to 4", "#4</a> after epoch 4", "#5</a> after epoch 4"], &[]).await;
    check(5, &["from 5", "as before"], &[]).await;
    check(1, &[], &["Lineage"]).await;
}
