//! `kill -9` at any moment: the next run goes on, nothing that was reported is lost, no trial stays running.

use std::cell::Cell;
use std::process::Child;
use std::thread;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::{Pid, Signal, kill_process};

use crate::workplace::{STUDY, Workplace, children, curves, wait};

/// How often each kind of kill happens; docs/results.md has the figures of 20.
fn moments() -> u64 {
    std::env::var("NIGHTSWEEP_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(3)
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // One that has just ended by itself is as dead.
        let _ = kill_process(pid, Signal::KILL);
    }
}

#[derive(Clone, Copy, Debug)]
enum Victim {
    Controller,
    Worker,
    Both,
}

fn strike(victim: Victim, controller: &Child, random: &mut ChaCha8Rng) {
    let workers = children(controller.id());
    let chosen = match workers.is_empty() {
        true => Vec::new(),
        false => vec![workers[random.random_range(0..workers.len())]],
    };
    match victim {
        Victim::Controller => kill(controller.id()),
        Victim::Worker => chosen.into_iter().for_each(kill),
        Victim::Both => {
            kill(controller.id());
            workers.into_iter().for_each(kill);
        }
    }
}

fn check(victim: Victim) {
    let reference = Workplace::new(STUDY);
    let begin = Instant::now();
    reference.succeed(&["run", "study.toml", "--no-web", "--devices", "cpu:1,cpu:1"]);
    let whole_run = begin.elapsed();
    let expected = curves(&reference.log());
    let mut random = ChaCha8Rng::seed_from_u64(victim as u64);
    let mut place = Workplace::new(STUDY);
    let strikes_on_work = Cell::new(0);
    // On a machine with much else to do a run may end before its moment comes: then there are more moments.
    for moment in (0..10 * moments()).take_while(|moment| *moment < moments() || strikes_on_work.get() == 0) {
        let before = place.log();
        let mut controller = place.start();
        thread::sleep(whole_run.mul_f64(random.random_range(0.02..0.7)));
        let during = place.log();
        let was_running = controller.try_wait().unwrap().is_none();
        strikes_on_work.set(strikes_on_work.get() + u64::from(was_running));
        strike(victim, &controller, &mut random);
        wait(controller);
        let after = place.log();
        assert_eq!(after[..before.len()], before, "{victim:?} {moment}: the log changed");
        assert_eq!(after[..during.len()], during, "{victim:?} {moment}: what was logged is gone");
        if !was_running || matches!(victim, Victim::Worker) {
            // The run came to its end: the next moment strikes a new study.
            finish(&place, &expected, &format!("{victim:?}"));
            place = Workplace::new(STUDY);
        }
    }
    finish(&place, &expected, &format!("{victim:?}"));
    assert!(strikes_on_work.get() > 0, "no moment struck a run that was at work");
}

/// The next run goes on to the end, and every value is the one of a study that nobody disturbed.
pub fn finish(place: &Workplace, expected: &crate::workplace::Curves, victim: &str) {
    place.succeed(&["run", "study.toml", "--no-web", "--devices", "cpu:1,cpu:1"]);
    place.assert_nothing_runs();
    let found = curves(&place.log());
    let common = found.iter().filter(|(key, _)| expected.contains_key(*key));
    let mut compared = 0;
    for (key, value) in common {
        assert_eq!(Some(value), expected.get(key), "{victim}: trial and epoch {key:?}");
        compared += 1;
    }
    assert!(compared >= 6, "{victim}: only {compared} values could be compared");
    for trial in place.trials() {
        let steps: Vec<u64> =
            found.keys().filter(|(number, _)| *number == trial.number).map(|(_, step)| *step).collect();
        assert_eq!(steps, (1..=trial.steps).collect::<Vec<_>>(), "{victim}: trial {}", trial.number);
    }
    place.succeed(&["replay"]);
}

#[test]
fn a_killed_controller_is_survived() {
    check(Victim::Controller);
}

#[test]
fn a_killed_worker_is_survived() {
    check(Victim::Worker);
}

#[test]
fn a_killed_controller_with_its_workers_is_survived() {
    check(Victim::Both);
}
