//! A run as other programs see it: notifications, log lines, metrics and event files; and where a trial comes from.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use nightsweep_search::{Event, TrialState};

use crate::workplace::{STUDY, Workplace, flat, wait};

/// What a server of this machine answers.
fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn a_run_is_followed_by_other_programs() {
    let place = Workplace::new(STUDY);
    let told = place.path("told");
    let hook = format!("cat >> '{}'", told.display());
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let words = ["--log-format", "json", "run", "study.toml", "--listen", &free, "--notify", &hook, "--tensorboard"];
    let mut command = place.command(&words);
    let child = command.env("NIGHTSWEEP_LOG", "warn,nightsweep_trials=debug").spawn().unwrap();
    // As Prometheus does, again and again.
    let scraped = loop {
        match get(&free, "/metrics") {
            Some(answer) if answer.contains("nightsweep_epochs_total{study=\"small\"}") => break answer,
            _ => thread::sleep(Duration::from_millis(50)),
        }
    };
    assert!(scraped.starts_with("HTTP/1.1 200 OK") && scraped.contains("text/plain; version=0.0.4"), "{scraped}");
    assert!(scraped.contains("nightsweep_slots{study=\"small\"}"), "{scraped}");
    let output = wait(child);
    let (printed, logged) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}\n{logged}");

    let told = fs::read_to_string(told).unwrap();
    let told: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (end, bests) = told.split_last().unwrap();
    let best = place.trials().into_iter().find(|trial| trial.rank == Some(1)).unwrap();
    assert_eq!((end["event"].as_str(), end["reason"].as_str()), (Some("end"), Some("the search is done")), "{end}");
    assert_eq!((end["trial"].as_u64(), end["value"].as_f64()), (Some(best.number.0), best.value));
    assert!(!bests.is_empty() && bests.iter().all(|best| best["event"] == "best" && best["study"] == "small"));

    let lines: Vec<serde_json::Value> =
        logged.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let log = place.log();
    let reported = log.iter().filter(|entry| matches!(entry.event, Event::Reported { .. })).count();
    let reports =
        lines.iter().filter(|line| line["message"].as_str().is_some_and(|it| it.contains(" reported epoch ")));
    assert_eq!(reports.clone().count(), reported);
    assert!(reports.clone().all(|line| line["level"] == "DEBUG" && line["step"].is_u64() && line["trial"].is_string()));

    // What was written meanwhile is what would be written now.
    place.succeed(&["export", "--format", "tensorboard", "-o", "events"]);
    for trial in place.trials() {
        let name = format!("trial-{}", trial.number);
        let file = |folder: &str| {
            let file = fs::read_dir(place.path(folder).join(&name)).unwrap().next().unwrap().unwrap().path();
            fs::read(file).unwrap()
        };
        assert!(file("events") == file("nightsweep-runs/small/tensorboard"), "{name}");
    }
}

#[test]
fn a_log_in_a_file_has_no_colours() {
    let place = Workplace::new(&STUDY.replace("trials = 6", "trials = 1"));
    let output = place.run(&["run", "study.toml", "--no-web", "--notify", "exit 3"]);
    let logged = String::from_utf8_lossy(&output.stderr);
    assert!(logged.contains("a notification failed (the command failed with exit status: 3)"), "{logged}");
    assert!(!logged.contains('\u{1b}'), "{logged:?}");
}

#[test]
fn a_failure_is_a_line_of_json_too_where_lines_are() {
    let place = Workplace::new("[study]\nname = 's'\ntrails = 3\n[data]\npath = 'fashion-mnist-mini'\n");
    let output = place.run(&["--log-format", "json", "run", "study.toml", "--no-web"]);
    assert_eq!(output.status.code(), Some(2));
    let line: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(line["message"].as_str().unwrap().starts_with("study.toml:3: unknown field `trails`"), "{line}");
    assert_eq!(line["help"], "did you mean `trials`?");
}

#[test]
fn a_pause_is_told_with_its_reason() {
    let study = STUDY.replace("epochs = 4", "epochs = 40").replace("trials = 6", "trials = 3");
    let place = Workplace::new(&format!(
        "{study}\n[notify]\ncommand = 'echo \"$NIGHTSWEEP_MESSAGE\" >> told'\non = ['pause']\n"
    ));
    let words = ["run", "study.toml", "--no-web", "--devices", "cpu:1"];
    let child = place.command(&words).spawn().unwrap();
    while !place.log().iter().any(|entry| matches!(entry.event, Event::Reported { .. })) {
        thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(wait(child).status.code(), Some(3));
    let told = fs::read_to_string(place.path("told")).unwrap();
    assert_eq!(told, "small is paused (interrupted): no trial is complete\n");
}

#[test]
fn a_trial_says_what_it_ran_on_and_other_data_is_refused() {
    let study = STUDY.replace("fashion-mnist-mini", "images").replace("trials = 6", "trials = 2");
    let place = Workplace::new(&study.replace("epochs = 4", "epochs = 1"));
    let image = |class: &str, number: u32, gray: u8| {
        let folder = place.path("images").join(class);
        fs::create_dir_all(&folder).unwrap();
        let image = image::GrayImage::from_pixel(16, 16, image::Luma([gray]));
        image.save(folder.join(format!("{number:03}.png"))).unwrap();
    };
    for number in 0..160 {
        image("dark", number, (number % 100) as u8);
        image("light", number, 255 - (number % 100) as u8);
    }
    place.succeed(&["run", "study.toml", "--no-web", "--devices", "cpu:1"]);
    assert!(place.trials().iter().any(|trial| trial.state == TrialState::Complete));
    place.succeed(&["export", "best", "-o", "best"]);
    let result: serde_json::Value = serde_json::from_slice(&fs::read(place.path("best/result.json")).unwrap()).unwrap();
    let provenance = &result["provenance"][0];
    assert_eq!(provenance["data"], result["data_fingerprint"]);
    assert_eq!(provenance["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&provenance["study_seed"], &provenance["device"]), (&5.into(), &"cpu:1".into()));
    assert!(provenance["files"].as_str().unwrap().len() == 64 && provenance["libraries"]["burn"].is_string());
    assert!(!provenance["hardware"].as_str().unwrap().is_empty());
    let again = place.succeed(&["train", "best/recipe.toml", "--device", "cpu:1"]);
    assert!(again.contains("has the expected score, bit for bit"), "{again}");

    // One of them may be in the test split, which neither sees.
    (0..40).for_each(|number| image("dark", number, 101));
    let refused = place.run(&["train", "best/recipe.toml"]);
    let errors = flat(&refused.stderr);
    assert!(!refused.status.success() && errors.contains("is not what the expected score comes from"), "{errors}");
    place.succeed(&["train", "best/recipe.toml", "--other-data"]);
    let refused = place.run(&["run", "study.toml", "--no-web", "--trials", "3"]);
    let errors = flat(&refused.stderr);
    assert!(!refused.status.success() && errors.contains("has changed since the trials"), "{errors}");
}
