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
    assert!(again.contains("the same as expected, bit for bit"), "{again}");

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
