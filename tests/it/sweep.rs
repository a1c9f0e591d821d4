//! The main job: a study file goes in, trials train on real images, the winner comes out and trains again.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use nightsweep_search::{Event, TrialState};
use rustix::process::{Pid, Signal, kill_process};

use crate::workplace::{STUDY, Workplace, wait};

#[test]
fn a_sweep_finds_a_winner_that_trains_again_to_the_same_bits() {
    let place = Workplace::new(STUDY);
    let printed = place.succeed(&["run", "study.toml", "--no-web"]);
    assert!(printed.contains("the search is done"), "{printed}");
    assert!(printed.contains("best recipe: nightsweep-runs/small/best/recipe.toml"), "{printed}");
    place.assert_nothing_runs();
    let trials = place.trials();
    assert_eq!(trials.len(), 6);
    assert!(trials.iter().any(|trial| trial.state == TrialState::Complete));

    let report = place.succeed(&["report"]);
    assert!(report.contains("Winner: trial"), "{report}");

    place.succeed(&["export", "best", "-o", "exported"]);
    for file in ["recipe.toml", "weights.safetensors", "result.json", "report.html", "timm.sh"] {
        assert!(place.path("exported").join(file).exists(), "{file}");
    }
    let report = fs::read_to_string(place.path("exported/report.html")).unwrap();
    for part in ["Winner: trial", "Where the time went", "nightsweep train best/recipe.toml", "</svg>", "epochs = 4"] {
        assert!(report.contains(part), "{part}");
    }
    let again = place.succeed(&["train", "exported/recipe.toml"]);
    assert!(again.contains("has the expected score, bit for bit"), "{again}");

    let replayed = place.succeed(&["replay"]);
    let log = place.log();
    let starts = log.iter().filter(|entry| matches!(entry.event, Event::Started { .. } | Event::Resumed { .. }));
    let count = starts.count();
    assert_eq!(replayed.trim(), format!("small: {count} of {count} suggestions are the same"));

    let finished = place.succeed(&["run", "study.toml", "--no-web"]);
    assert!(finished.contains("the search is done"), "{finished}");
    assert_eq!(place.trials().len(), 6, "a finished study stays as it is");
}

#[test]
fn the_best_so_far_trains_again_to_its_score_in_the_epoch_that_had_it() {
    let place =
        Workplace::new(&STUDY.replace("trials = 6", "trials = 2").replace("[search]", "[search]\nbaseline = false"));
    let printed = place.succeed(&["run", "study.toml", "--no-web"]);
    assert!(place.trials().iter().all(|trial| trial.state == TrialState::Paused), "{printed}");
    assert!(printed.contains("best recipe so far: nightsweep-runs/small/best/recipe.toml"), "{printed}");
    let recipe = fs::read_to_string(place.path("nightsweep-runs/small/best/recipe.toml")).unwrap();
    assert!(recipe.starts_with("# Trains again to the same score in epoch 2 of 4: "), "{recipe}");
    let again = place.succeed(&["train", "nightsweep-runs/small/best/recipe.toml"]);
    assert!(again.contains("epoch 2 has the expected score, bit for bit"), "{again}");
}

#[test]
fn a_night_goes_on_when_nobody_reads_what_it_prints() {
    let place = Workplace::new(&STUDY.replace("trials = 6", "trials = 2"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = wait(place.command(&["run", "study.toml", "--no-web"]).stdout(writer).spawn().unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(place.trials().len(), 2);
    place.assert_nothing_runs();
    // But who wants a report on a full disk is told.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = wait(place.command(&["report"]).stdout(full).spawn().unwrap());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("standard output was not written to its end: No space left"), "{errors}");
}

#[test]
fn an_interrupted_study_goes_on() {
    let place = Workplace::new(&STUDY.replace("epochs = 4", "epochs = 40").replace("trials = 6", "trials = 3"));
    let words = ["run", "study.toml", "--no-web", "--devices", "cpu:1,cpu:1"];
    let child = place.command(&words).stdout(Stdio::piped()).spawn().unwrap();
    while !place.log().iter().any(|entry| matches!(entry.event, Event::Reported { .. })) {
        thread::sleep(Duration::from_millis(20));
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = wait(child);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("go on with: nightsweep run study.toml"));
    place.assert_nothing_runs();
    place.succeed(&["run", "study.toml", "--no-web"]);
    place.assert_nothing_runs();
    place.succeed(&["replay"]);
}

#[test]
fn a_second_run_of_a_study_is_refused_with_the_first_ones_name() {
    let place = Workplace::new(&STUDY.replace("epochs = 4", "epochs = 60"));
    let mut first = place.start();
    while place.log().is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    let second = place.run(&["run", "study.toml", "--no-web"]);
    let errors = String::from_utf8_lossy(&second.stderr).into_owned();
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.status.code(), Some(4), "{errors}");
    assert!(errors.contains(&format!("is being run by process {}", first.id())), "{errors}");
}

#[test]
fn a_deadline_ends_the_run_and_a_photo_folder_is_a_data_set() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/clothing");
    if !std::path::Path::new(data).exists() {
        println!("skipped: {data} is not here");
        return;
    }
    let place = Workplace::new("");
    place.succeed(&["init", data]);
    let text = fs::read_to_string(place.path("sweep.toml")).unwrap();
    fs::write(place.path("sweep.toml"), text.replace("name = \"clothing\"", "name = \"small\"")).unwrap();
    let printed = place.succeed(&["run", "sweep.toml", "--for", "20s", "--no-web"]);
    assert!(printed.contains("the time of the search is over"), "{printed}");
    assert!(printed.contains("10 classes"), "{printed}");
    place.assert_nothing_runs();
}
