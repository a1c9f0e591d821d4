//! What a night may bring besides `kill -9` (killed.rs): stopped and preempted processes, damaged and vanished files, disks
//! that are full or cannot be written to, memory that runs out, clocks that jump. After each the study goes on, and every
//! value is that of a study that nobody disturbed. docs/reliability.md has the table.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use nightsweep_search::{Attempt, Event, FailureCause, Params, TrialNumber};
use nightsweep_store::{BoardQuery, Entry, NewStudy, Store};
use rustix::process::{Pid, Signal, kill_process};

use crate::killed::finish;
use crate::workplace::{Curves, STUDY, Workplace, children, curves, flat, wait};

/// What the study comes to if nothing happens.
fn expected() -> &'static Curves {
    static CURVES: OnceLock<Curves> = OnceLock::new();
    CURVES.get_or_init(|| {
        let place = Workplace::new(STUDY);
        place.succeed(&["run", "study.toml", "--no-web", "--devices", "cpu:1,cpu:1"]);
        curves(&place.log())
    })
}

fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("it is the number of a process");
    kill_process(pid, signal).expect("it runs");
}

/// Waits until the log is so.
fn await_log(place: &Workplace, is_so: impl Fn(&[Entry]) -> bool) {
    let end = Instant::now() + Duration::from_secs(240);
    while !is_so(&place.log()) {
        assert!(Instant::now() < end, "it does not come to that: {:?}", place.log().last());
        thread::sleep(Duration::from_millis(20));
    }
}

fn reports(log: &[Entry]) -> usize {
    log.iter().filter(|entry| matches!(entry.event, Event::Reported { .. })).count()
}

/// A run that has had some reports.
fn under_way(place: &Workplace, count: usize) -> Child {
    let child = place.start();
    await_log(place, |log| reports(log) >= count);
    child
}

fn requeued_as(place: &Workplace, cause: FailureCause) -> bool {
    place.log().iter().any(|entry| matches!(&entry.event, Event::Requeued { cause: Some(of), .. } if *of == cause))
}

/// Runs the study again, which must refuse with a text that has these words, and no panic.
fn refused(place: &Workplace, words: &[&str]) {
    let output = place.run(&["run", "study.toml", "--no-web", "--devices", "cpu:1,cpu:1"]);
    let text = flat(&output.stderr);
    assert!(!output.status.success(), "it ran");
    assert!(!text.contains("panicked"), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in {text}");
    }
}

#[test]
fn a_controller_that_is_stopped_for_a_while_goes_on() {
    let place = Workplace::new(STUDY);
    let controller = under_way(&place, 2);
    send(controller.id(), Signal::STOP);
    // Longer than what it takes for an oversight.
    thread::sleep(Duration::from_millis(6500));
    send(controller.id(), Signal::CONT);
    assert!(wait(controller).status.success());
    assert!(!place.log().iter().any(|entry| matches!(entry.event, Event::Requeued { .. })), "nobody was at fault");
    finish(&place, expected(), "stopped controller");
}

#[test]
fn a_worker_that_is_stopped_for_good_is_replaced() {
    let study = STUDY.replace("trials = 6", "trials = 16\nsilence_seconds = 15");
    let place = Workplace::new(&study);
    let controller = under_way(&place, 1);
    // All of them: one alone might be between two trials.
    for worker in children(controller.id()) {
        send(worker, Signal::STOP);
    }
    assert!(wait(controller).status.success());
    assert!(requeued_as(&place, FailureCause::Hung), "{:?}", place.log());
    finish(&place, expected(), "stopped worker");
}

#[test]
fn a_preempted_worker_is_replaced_and_its_trial_goes_on() {
    let place = Workplace::new(STUDY);
    let controller = under_way(&place, 2);
    send(children(controller.id())[0], Signal::TERM);
    assert!(wait(controller).status.success());
    assert!(requeued_as(&place, FailureCause::Preempted));
    finish(&place, expected(), "preempted worker");
}

/// Overwrites some bytes in the middle of a file.
fn damage(path: &Path) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(&[0xA5; 64], length / 2).unwrap();
}

#[test]
fn damaged_checkpoints_are_trained_again() {
    for both in [false, true] {
        let place = Workplace::new(STUDY);
        let controller = under_way(&place, 5);
        send(controller.id(), Signal::KILL);
        wait(controller);
        let mut damaged = 0;
        for trial in place.trials() {
            let folder = place.path(&format!("nightsweep-runs/small/trial-{}", trial.number));
            let names = ["checkpoint.safetensors", "checkpoint.previous.safetensors"];
            for name in &names[..if both { 2 } else { 1 }] {
                if folder.join(name).exists() {
                    damage(&folder.join(name));
                    damaged += 1;
                }
            }
        }
        assert!(damaged > 0);
        finish(&place, expected(), "damaged checkpoints");
    }
}

#[test]
fn a_damaged_wal_costs_no_result() {
    let place = Workplace::new(STUDY);
    let controller = under_way(&place, 5);
    send(controller.id(), Signal::KILL);
    wait(controller);
    let wal = place.path("nightsweep-runs/store.sqlite-wal");
    let before = reports(&place.log());
    damage(&wal);
    let _ = fs::remove_file(place.path("nightsweep-runs/store.sqlite-shm"));
    // The end of the log is gone, and the checkpoints know it.
    let after = reports(&place.log());
    assert!(after <= before);
    finish(&place, expected(), "damaged WAL");
}

#[test]
fn a_damaged_store_is_named_and_left_alone() {
    let place = Workplace::new(STUDY);
    place.succeed(&["run", "study.toml", "--no-web", "--devices", "cpu:1,cpu:1"]);
    let files = ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"];
    let path = |name: &str| place.path(&format!("nightsweep-runs/{name}"));
    let whole = files.map(|name| fs::read(path(name)).ok());
    // What is left of a log beside it would mend it.
    files[1..].iter().for_each(|name| drop(fs::remove_file(path(name))));
    fs::write(path(files[0]), [0xA5; 5000]).unwrap();
    refused(&place, &["store.sqlite", "is not an SQLite database"]);
    for (name, bytes) in files.into_iter().zip(whole) {
        drop(fs::remove_file(path(name)));
        if let Some(bytes) = bytes {
            fs::write(path(name), bytes).unwrap();
        }
    }
    finish(&place, expected(), "damaged store");
}

#[test]
fn a_store_that_is_removed_under_way_comes_back_with_all_that_was_in_it() {
    let place = Workplace::new(STUDY);
    let mut controller = place.command(&["run", "study.toml", "--no-web", "--devices", "cpu:1,cpu:1"]).spawn().unwrap();
    await_log(&place, |log| reports(log) >= 2);
    let before = place.log();
    for name in ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"] {
        // The third is there only while somebody looks.
        let _ = fs::remove_file(place.path(&format!("nightsweep-runs/{name}")));
    }
    let is_over = controller.try_wait().unwrap().is_some();
    let output = wait(controller);
    if !is_over {
        let text = flat(&output.stderr);
        assert!(!output.status.success() && text.contains("was removed while it was in use"), "{text}");
    }
    let after = place.log();
    assert_eq!(after[..before.len()], before);
    finish(&place, expected(), "removed store");
}

/// A file system in memory, of a size, at a folder; root may have one.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(folder: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&folder).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&folder).output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        if !is_mounted {
            println!("skipped: only root may mount a file system");
        }
        is_mounted.then_some(Self(folder))
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let end = Instant::now() + Duration::from_secs(60);
        // It is busy as long as somebody has a file open to write to: who just ended, or a look at the log.
        while !Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success() {
            assert!(Instant::now() < end, "could not remount with {options}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_pauses_the_study_until_there_is_room() {
    let place = Workplace::new(STUDY);
    let Some(disk) = Tmpfs::mount(place.path("nightsweep-runs"), "size=900k") else { return };
    refused(&place, &["disk"]);
    let before = place.log();
    disk.remount("size=100m");
    finish(&place, expected(), "full disk");
    assert_eq!(place.log()[..before.len()], before);
}

#[test]
fn a_disk_that_cannot_be_written_to_is_named() {
    let place = Workplace::new(STUDY);
    let Some(disk) = Tmpfs::mount(place.path("nightsweep-runs"), "size=100m") else { return };
    let controller = under_way(&place, 3);
    send(controller.id(), Signal::INT);
    wait(controller);
    let before = place.log();
    disk.remount("ro");
    refused(&place, &["nightsweep-runs"]);
    disk.remount("rw");
    assert_eq!(place.log(), before);
    finish(&place, expected(), "read-only disk");
}

/// Images of two brightnesses as IDX files.
fn write_idx(folder: &Path) {
    let (count, side) = (600_u32, 12_u32);
    fs::create_dir_all(folder).unwrap();
    let numbers = |magic: u32, sizes: &[u32]| -> Vec<u8> {
        [magic].iter().chain(sizes).flat_map(|number| number.to_be_bytes()).collect()
    };
    let pixel = |image: u32, at: u32| (100 * (image % 2) + (image * 31 + at * 17) % 90) as u8;
    let pixels = (0..count).flat_map(|image| (0..side * side).map(move |at| pixel(image, at)));
    let images = numbers(0x0803, &[count, side, side]).into_iter().chain(pixels);
    fs::write(folder.join("train-images-idx3-ubyte"), images.collect::<Vec<u8>>()).unwrap();
    let labels = numbers(0x0801, &[count]).into_iter().chain((0..count).map(|image| (image % 2) as u8));
    fs::write(folder.join("train-labels-idx1-ubyte"), labels.collect::<Vec<u8>>()).unwrap();
}

#[test]
fn data_that_vanishes_pauses_the_study_and_blames_no_trial() {
    let study = STUDY.replace("path = \"fashion-mnist-mini\"", "path = \"images\"");
    let whole = Workplace::new(&study);
    write_idx(&whole.path("images"));
    whole.succeed(&["run", "study.toml", "--no-web", "--devices", "cpu:1,cpu:1"]);

    let place = Workplace::new(&study);
    write_idx(&place.path("images"));
    let controller = place.command(&["run", "study.toml", "--no-web", "--devices", "cpu:1,cpu:1"]).spawn().unwrap();
    await_log(&place, |log| reports(log) >= 1);
    fs::rename(place.path("images"), place.path("gone")).unwrap();
    // Workers have the images in memory: only new ones look for them.
    children(controller.id()).into_iter().for_each(|worker| send(worker, Signal::KILL));
    let output = wait(controller);
    let text = flat(&output.stderr);
    assert!(!output.status.success() && text.contains("the data cannot be read"), "{text}");
    let closed = |entry: &Entry| matches!(&entry.event, Event::Closed { needs_help: true, .. });
    assert!(place.log().last().is_some_and(closed), "{:?}", place.log().last());
    assert!(!place.log().iter().any(|entry| matches!(entry.event, Event::Failed { .. })));
    fs::rename(place.path("gone"), place.path("images")).unwrap();
    finish(&place, &curves(&whole.log()), "vanished data");
}

#[test]
fn a_trial_that_needs_more_memory_than_there_is_takes_nothing_along() {
    // 4,800 images at once through a network of this width do not fit into that; half of them do.
    let study = STUDY
        .replace("batch_size = [64, 128]", "batch_size = [64, 4800]")
        .replace("trials = 6", "trials = 4")
        .replace("epochs = 4", "epochs = 1")
        .replace("width = 4", "width = 16");
    let place = Workplace::new(&study);
    let limited = "ulimit -v 1500000; exec \"$0\" run study.toml --no-web --devices cpu:1";
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(limited).arg(env!("CARGO_BIN_EXE_nightsweep")).current_dir(place.path("."));
    let output = command.env_remove("NIGHTSWEEP_RUNS").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(requeued_as(&place, FailureCause::HostOutOfMemory), "{:?}", place.log());
    place.assert_nothing_runs();
    let complete = place.log().iter().filter(|entry| matches!(entry.event, Event::Completed { .. })).count();
    assert!(complete >= 2, "{:?}", place.log());
}

#[test]
fn a_clock_that_is_set_back_confuses_neither_log_nor_board() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (trial, attempt) = (TrialNumber(0), Attempt::FIRST);
    let reported =
        |step| Event::Reported { trial, attempt, step, value: Some(0.1 * step as f64), metrics: Default::default() };
    runtime.block_on(async {
        let store = Store::open(folder.path().join("store.sqlite")).await.unwrap();
        let new = NewStudy {
            name: "small".to_owned(),
            source: String::new(),
            plan: serde_json::Value::Null,
            metric: "val_accuracy".to_owned(),
            direction: nightsweep_search::Direction::Maximize,
            seed: 0,
            space: nightsweep_search::SearchSpace(Vec::new()),
        };
        let id = store.create_study(new).await.unwrap();
        let started = Event::Started { trial, params: Params::default(), why: String::new() };
        let completed = Event::Completed { trial, attempt, value: 0.2 };
        let hour = 3_600_000;
        for (at_ms, event) in
            [(9 * hour, started), (8 * hour, reported(1)), (12 * hour, reported(2)), (hour, completed)]
        {
            store.append_all_at(id, at_ms, &[event]).await.unwrap();
        }
        let row = store.study_named("small").await.unwrap().unwrap();
        let board = store.board(&row, &BoardQuery::default()).await.unwrap();
        assert_eq!((board.trials[0].value, board.trials[0].steps), (Some(0.2), 2));
        // A time that ran backwards is none.
        assert!(board.trials[0].active_ms <= 12 * 3_600_000, "{}", board.trials[0].active_ms);
        store.rebuild(id).await.unwrap();
        assert_eq!(store.board(&row, &BoardQuery::default()).await.unwrap().trials, board.trials);
    });
}
