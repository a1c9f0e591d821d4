//! The leaderboard of a study that runs, in a real browser.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::workplace::{STUDY, Workplace};

/// A page as the browser has it after its scripts ran; `None` without a browser.
fn dump(address: &str) -> Option<String> {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(address)
        .stderr(Stdio::null())
        .output();
    match output {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            println!("skipped: chromium does not start ({error}); scripts/setup-tests.sh installs it");
            None
        }
    }
}

#[test]
fn a_browser_shows_the_leaderboard_of_a_running_study() {
    let place = Workplace::new(&STUDY.replace("epochs = 4", "epochs = 200"));
    let words = ["run", "study.toml", "--listen", "127.0.0.1:18787", "--devices", "cpu:1"];
    let mut child = place.command(&words).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.strip_prefix("leaderboard: ").map(str::to_owned)).unwrap();
    let reported = lines.find(|line| line.contains(" epoch 3/"));
    assert!(reported.is_some());
    // Keeps the pipe empty, so that the run does not wait for us.
    let drain = std::thread::spawn(move || lines.count());
    let page = dump(&address);
    let trial = dump(&format!("{address}/trials/0"));
    std::thread::sleep(Duration::from_millis(50));
    child.kill().unwrap();
    child.wait().unwrap();
    drain.join().unwrap();
    let (Some(page), Some(trial)) = (page, trial) else { return };
    for text in ["small", "running", "val_accuracy", "batch_size"] {
        assert!(page.contains(text), "`{text}` is not on the page:\n{page}");
    }
    for text in ["<svg", "batch_size", "convnet"] {
        assert!(trial.contains(text), "`{text}` is not on the trial's page:\n{trial}");
    }
}
