//! A population that learns a schedule on real images: its forks share their parents' checkpoints, and what it found can be
//! trained again.

use std::fs;
use std::thread;
use std::time::Duration;

use nightsweep_search::{Event, TrialState};
use rustix::process::{Pid, Signal, kill_process};

use crate::workplace::{STUDY, Workplace, curves, wait};

/// The small study with four members that are judged after each epoch.
fn study(kind: &str, confirm: &str) -> String {
    let (head, _) = STUDY.split_once("pruner = ").unwrap();
    let pruner = format!("pruner = {{ kind = '{kind}', population = 4, interval_epochs = 1 }}");
    format!("{}{pruner}\n[confirm]\n{confirm}\n", head.replace("trials = 6", "trials = 4"))
}

const RUN: [&str; 5] = ["run", "study.toml", "--no-web", "--devices", "cpu:1,cpu:1"];

#[test]
fn a_population_finds_a_schedule_that_trains_again_to_the_same_bits() {
    for kind in ["pbt", "pb2"] {
        let place = Workplace::new(&study(kind, "top = 0"));
        let printed = place.succeed(&RUN);
        assert!(printed.contains("in place of trial"), "{printed}");
        place.assert_nothing_runs();
        let trials = place.trials();
        assert_eq!(trials.iter().filter(|trial| trial.state == TrialState::Complete).count(), 4);
        // Each epoch but the last replaces one of four.
        assert_eq!(trials.iter().filter(|trial| trial.origin.is_some()).count(), 3);
        let log = place.log();
        let found = curves(&log);
        // As many epochs as four trials take: a fork trains only what comes after its parent's.
        assert_eq!(found.len(), 4 * 4);
        for trial in &trials {
            let begun = trial.origin.map_or(0, |origin| origin.epoch);
            let steps: Vec<u64> =
                found.keys().filter(|(number, _)| *number == trial.number).map(|(_, step)| *step).collect();
            assert_eq!(steps, (begun + 1..=trial.steps).collect::<Vec<_>>());
        }
        let fork = trials.iter().find(|trial| trial.origin.is_some() && trial.state == TrialState::Complete).unwrap();
        place.succeed(&["export", &fork.number.to_string(), "-o", "exported"]);
        let recipe = fs::read_to_string(place.path("exported/recipe.toml")).unwrap();
        assert!(recipe.contains("changes"), "{recipe}");
        let again = place.succeed(&["train", "exported/recipe.toml"]);
        assert!(again.contains("has the expected score, bit for bit"), "{again}");
        let count = log.iter().filter(|entry| is_suggestion(&entry.event)).count();
        assert_eq!(place.succeed(&["replay"]).trim(), format!("small: {count} of {count} suggestions are the same"));
    }
}

fn is_suggestion(event: &Event) -> bool {
    matches!(event, Event::Started { .. } | Event::Forked { .. } | Event::Resumed { .. })
}

#[test]
fn a_killed_population_goes_on_to_the_same_curves_and_its_winner_is_confirmed_with_its_schedule() {
    let whole = Workplace::new(&study("pbt", "top = 0"));
    whole.succeed(&RUN);
    let place = Workplace::new(&study("pbt", "top = 4\nseeds = 2"));
    let child = place.command(&RUN).spawn().unwrap();
    while !place.log().iter().any(|entry| matches!(entry.event, Event::Forked { .. })) {
        thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::KILL).unwrap();
    wait(child);
    let printed = place.succeed(&RUN);
    assert_eq!(curves(&place.log()), curves(&whole.log()));
    let forked = |place: &Workplace| -> Vec<Event> {
        place.log().into_iter().map(|entry| entry.event).filter(|event| matches!(event, Event::Forked { .. })).collect()
    };
    assert_eq!(forked(&place), forked(&whole));
    assert!(printed.contains("confirmed on 2 fresh seeds"), "{printed}");
    let report = place.succeed(&["report"]);
    let winner = report.split("Winner: trial ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let is_fork = place.trials().iter().any(|trial| trial.number.to_string() == winner && trial.origin.is_some());
    assert_eq!(report.contains("It was trained with:"), is_fork, "{report}");
}
