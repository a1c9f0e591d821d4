//! Winners are confirmed on fresh seeds, also if the night does not go smoothly.

use std::thread;
use std::time::Duration;

use nightsweep_search::{Event, ParamValue};
use rustix::process::{Pid, Signal, kill_process};

use crate::workplace::{STUDY, Workplace, curves, wait};

const RACE: &str = "small@confirm-1";

/// All its trials are complete, and two are confirmed.
fn study() -> String {
    let (head, _) = STUDY.split_once("pruner = ").unwrap();
    format!("{}[confirm]\ntop = 2\nseeds = 2\n", head.replace("trials = 6", "trials = 3"))
}

/// Candidate and repetition of each training of the race.
fn trainings(place: &Workplace) -> Vec<(i64, i64)> {
    let number = |value: Option<&ParamValue>| value.and_then(ParamValue::as_f64).unwrap() as i64;
    let started = place.log_of(RACE).into_iter().filter_map(|entry| match entry.event {
        Event::Started { params, .. } => Some((number(params.get("candidate")), number(params.get("repetition")))),
        _ => None,
    });
    started.collect()
}

#[test]
fn a_run_ends_with_a_confirmed_winner() {
    let place = Workplace::new(&study());
    let printed = place.succeed(&["run", "study.toml", "--no-web", "--devices", "cpu:1,cpu:1"]);
    let trained = trainings(&place);
    assert_eq!(trained.len(), 4, "{printed}");
    let report = place.succeed(&["report"]);
    for expected in ["confirmed on 2 fresh seeds", "Test accuracy: 0.", "winner's curse", "| winner |"] {
        assert!(report.contains(expected), "`{expected}` is not in {report}");
    }
    let winner = report.split("Winner: trial ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    assert!(trained.iter().any(|(candidate, _)| candidate.to_string() == winner));
    assert!(place.succeed(&["export", "best", "-o", "exported"]).starts_with(&format!("trial {winner} of small")));

    let log = place.log_of(RACE).len();
    place.succeed(&["run", "study.toml", "--no-web"]);
    assert_eq!(trainings(&place), trained, "a confirmed study is not confirmed again");
    assert!(place.log_of(RACE).len() > log, "it was looked at");
    let replayed = place.succeed(&["replay", RACE]);
    assert_eq!(replayed.trim(), format!("{RACE}: 4 of 4 suggestions are the same"));

    let best = place.path("nightsweep-runs/small/best");
    std::fs::remove_dir_all(&best).unwrap();
    let more = place.succeed(&["confirm", "--top", "1", "--seeds", "3"]);
    assert!(best.join("recipe.toml").exists(), "the confirmation may have another winner: {more}");
    assert!(more.contains("confirming trial ") && more.contains("confirmed on 2 fresh seeds"), "{more}");
}

#[test]
fn a_confirmation_that_was_killed_goes_on_with_the_same_values() {
    let whole = Workplace::new(&study());
    whole.succeed(&["run", "study.toml", "--no-web", "--devices", "cpu:1"]);
    let place = Workplace::new(&study());
    let child = place.command(&["run", "study.toml", "--no-web", "--devices", "cpu:1"]).spawn().unwrap();
    while !place.log_of(RACE).iter().any(|entry| matches!(entry.event, Event::Reported { .. })) {
        thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::KILL).unwrap();
    wait(child);
    place.succeed(&["run", "study.toml", "--no-web", "--devices", "cpu:1"]);
    assert_eq!(curves(&place.log_of(RACE)), curves(&whole.log_of(RACE)));
    assert_eq!(trainings(&place), trainings(&whole));
}
