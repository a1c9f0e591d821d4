//! Random nights: faults, deadlines, and kills of the controller, all drawn from a seed. `NIGHTSWEEP_NIGHTS=200` has so many
//! of each kind (docs/reliability.md).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::confirm::Confirm;
use crate::pace::Pace;
use crate::time_plan::Stage;

/// How many random nights there are.
fn nights() -> u64 {
    std::env::var("NIGHTSWEEP_NIGHTS").ok().and_then(|count| count.parse().ok()).unwrap_or(12)
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(3600 * hours)
}

/// A world where epochs take as long as batch size, trial and luck have it, and something goes wrong now and then.
struct Weather {
    luck: ChaCha8Rng,
    faults: Vec<Fault>,
    /// Chance of a fault in an epoch.
    chance: f64,
    injected: u32,
}

impl Weather {
    fn new(seed: u64, faults: &[Fault], chance: f64) -> Self {
        Self { luck: ChaCha8Rng::seed_from_u64(seed), faults: faults.to_vec(), chance, injected: 0 }
    }
}

/// Seconds of an epoch with batches of that size.
fn mean_epoch(batch_size: usize) -> f64 {
    60.0 + 6000.0 / batch_size as f64
}

impl World for Weather {
    fn value(&self, assignment: &Assignment, epoch: u64) -> f64 {
        value(assignment.trial, epoch)
    }

    fn epoch_time(&self, assignment: &Assignment) -> Duration {
        let spread = (assignment.trial.0 * 7919 % 101) as f64 / 101.0;
        Duration::from_secs_f64(mean_epoch(assignment.recipe.batch_size) * (0.85 + 0.3 * spread))
    }

    fn fault(&mut self, _: &Assignment, _: u64) -> Option<Fault> {
        let strikes = !self.faults.is_empty() && self.luck.random_bool(self.chance);
        self.injected += u32::from(strikes);
        strikes.then(|| self.faults[self.luck.random_range(0..self.faults.len())])
    }
}

/// What is known of that world before: the largest and the smallest batch were probed, wrongly by a quarter.
fn probed(luck: &mut ChaCha8Rng) -> Pace {
    let mut pace = Pace::default();
    for batch_size in [32, 256] {
        let recipe = Recipe { batch_size, ..Recipe::default() };
        let epoch = Duration::from_secs_f64(mean_epoch(batch_size) * luck.random_range(0.75..1.25));
        let (validation, checkpoint) = (Duration::ZERO, 1_000_000);
        let probe =
            nightsweep_trainer::probe::Probe { epoch, validation, peak_memory: None, device_memory: None, checkpoint };
        pace.learn_probe(&recipe, &probe, Duration::from_secs(3));
    }
    pace
}

/// A study of unbounded length over batch size and learning rate.
async fn study(slots: usize, length: Duration, confirm: Confirm, luck: &mut ChaCha8Rng) -> Night {
    let mut night = Night::new(0, slots).await;
    let choices = [32, 64, 128, 256].map(nightsweep_search::ParamValue::Int).to_vec();
    night.config.space.0.push(Parameter {
        name: "batch_size".to_owned(),
        distribution: Distribution::Ordinal { choices },
        when: None,
    });
    night.config.max_trials = None;
    night.store = TestStore::new(&night.config).await;
    night.options.deadline = Some(night.begin + length);
    let stage = Stage::Search { confirm, night: length };
    night.time = Some(TimePlan { pace: probed(luck), stage, forecast: None });
    night
}

fn confirm_none() -> Confirm {
    Confirm { top: 0, ..Confirm::default() }
}

/// No attempt was handed out twice, no trial trained in two places, and nobody is left.
fn check_machine<W: World>(machine: &Simulated<W>, what: &str) {
    assert_eq!(machine.double_assignments(), 0, "{what}");
    assert_eq!(machine.repeated_attempts(), 0, "{what}");
    assert_eq!(machine.alive(), 0, "{what}");
}

#[tokio::test]
async fn a_whole_night_uses_its_slots_and_ends_in_time() {
    let (mut least, mut injected) = (1.0_f64, 0);
    for seed in 0..nights() {
        let mut luck = ChaCha8Rng::seed_from_u64(seed);
        let night = study(8, hours(8), confirm_none(), &mut luck).await;
        let chance = if seed % 2 == 0 { 0.0 } else { 0.02 };
        let mut machine = night.simulated(Weather::new(seed, &Fault::ALL, chance));
        let summary = night.run(&mut machine, |_| None).await;
        let what = format!("night {seed}");
        assert_eq!(summary.ending, Ending::Deadline, "{what}");
        night.check().await;
        check_machine(&machine, &what);
        assert!(machine.now() <= night.options.deadline.unwrap(), "{what}: it ends late");
        injected += machine.world().injected;
        if chance == 0.0 {
            let busy = machine.trained().as_secs_f64() / (8.0 * hours(8).as_secs_f64());
            assert!(busy > 0.97, "{what}: busy {busy}");
            least = least.min(busy);
        }
    }
    println!("{} nights of 8 hours on 8 slots: least busy {least:.4}, {injected} faults, 0 late", nights());
}

#[tokio::test]
async fn a_person_moves_the_deadline_and_the_rest_is_planned_anew() {
    let check = async |asked_seconds: u64, confirm: Confirm, expected_hours: std::ops::Range<f64>| {
        let mut luck = ChaCha8Rng::seed_from_u64(4);
        let mut night = study(4, hours(3), confirm, &mut luck).await;
        night.options.aftermath = Duration::from_secs(60);
        let mut machine = night.simulated(Weather::new(4, &[], 0.0));
        let mut is_asked = false;
        let wish = |event: &Event| {
            let now = matches!(event, Event::Completed { .. }) && !std::mem::replace(&mut is_asked, true);
            now.then(|| order(Order::Deadline { in_seconds: asked_seconds }))
        };
        let summary = night.run(&mut machine, wish).await;
        assert_eq!(summary.ending, Ending::Deadline);
        night.check().await;
        check_machine(&machine, "a moved deadline");
        let ran = machine.now().duration_since(night.begin).as_secs_f64() / 3600.0;
        assert!(expected_hours.contains(&ran), "{asked_seconds} s: it ran for {ran} h");
        let deadline = summary.deadline.unwrap();
        assert!(machine.now() <= deadline, "{asked_seconds} s: it ends late");
        let events = night.events().await;
        let asked =
            events.iter().position(|event| matches!(event, Event::Ordered { order: Order::Deadline { .. }, .. }));
        let asked = asked.expect("it is logged");
        let Event::Planned { outlook } = &events[asked + 1] else { panic!("{:?}", events[asked + 1]) };
        assert_eq!(outlook.left_seconds, asked_seconds.saturating_sub(60) as f64);
        outlook.reserved_seconds
    };
    check(6 * 3600, confirm_none(), 6.0..7.5).await;
    check(600, confirm_none(), 0.2..2.0).await;
    check(0, confirm_none(), 0.1..1.8).await;
    // The confirmation may have its share of the longer night.
    let confirm = || Confirm { top: 50, seeds: 50, share: 0.25 };
    let reserved = check(11 * 3600, confirm(), 8.0..12.0).await / 3600.0;
    assert!((2.7..3.5).contains(&reserved), "{reserved} h reserved");
}

#[tokio::test]
async fn a_deadline_that_cannot_be_moved_is_refused() {
    let check = async |night: Night, in_seconds: u64, expected: &str| {
        let (answer, mut told) = tokio::sync::oneshot::channel();
        let mut ask = Some(Control::Order { by: "eve".to_owned(), order: Order::Deadline { in_seconds }, answer });
        let wish = |event: &Event| if matches!(event, Event::Reported { .. }) { ask.take() } else { None };
        let mut machine = night.simulated(Weather::new(5, &[], 0.0));
        night.run(&mut machine, wish).await;
        assert_eq!(told.try_recv().unwrap().unwrap_err().to_string(), expected);
        let is_moved = |event: &Event| matches!(event, Event::Ordered { order: Order::Deadline { .. }, .. });
        assert!(!night.events().await.iter().any(is_moved));
    };
    let without = "this run was begun without a deadline: begin it again with --until or --for";
    check(Night::new(2, 2).await, 3600, without).await;
    let mut luck = ChaCha8Rng::seed_from_u64(5);
    check(study(2, hours(1), confirm_none(), &mut luck).await, u64::MAX, "that deadline is too far away").await;
}

#[tokio::test]
async fn what_is_not_finished_by_the_end_of_the_search_is_not_begun() {
    let mut luck = ChaCha8Rng::seed_from_u64(1);
    let mut night = study(4, hours(3), confirm_none(), &mut luck).await;
    night.config.pruner = PrunerKind::None;
    let mut machine = night.simulated(Weather::new(1, &[], 0.0));
    night.run(&mut machine, |_| None).await;
    let study = night.check().await;
    // An epoch takes four minutes at most: whatever was begun has one, unless it was begun in the last minutes.
    let began = study.trials().iter().filter(|trial| trial.step() == 0).count();
    assert_eq!(began, 0, "{:?}", states(&study));
}

#[tokio::test]
async fn the_last_stretch_finishes_what_the_pruner_had_paused() {
    let mut luck = ChaCha8Rng::seed_from_u64(2);
    let night = study(4, hours(4), confirm_none(), &mut luck).await;
    let mut machine = night.simulated(Weather::new(2, &[], 0.0));
    night.run(&mut machine, |_| None).await;
    let events = night.events().await;
    let finish = |event: &Event| match event {
        Event::Ordered { order: Order::Finish { trial }, .. } => Some(*trial),
        _ => None,
    };
    let ordered: Vec<TrialNumber> = events.iter().filter_map(finish).collect();
    assert!(!ordered.is_empty());
    let study = night.check().await;
    let complete = |trial: &TrialNumber| study.trial(*trial).unwrap().state == TrialState::Complete;
    let finished = ordered.iter().filter(|trial| complete(trial)).count();
    assert!(10 * finished >= 9 * ordered.len(), "{finished} of {}", ordered.len());
    // The log says the same as the search would.
    let mut again = Study::new(night.config.clone()).unwrap();
    for event in &events {
        match event {
            Event::Started { trial, params, why } => {
                let expected = Suggestion::Start { trial: *trial, params: params.clone(), why: why.clone() };
                assert_eq!(again.ask(), expected);
            }
            Event::Resumed { trial, .. } => assert_eq!(again.ask(), Suggestion::Resume { trial: *trial }),
            _ => {}
        }
        again.tell(event).unwrap();
    }
}

#[tokio::test]
async fn the_slice_of_the_confirmation_follows_what_is_learned() {
    let mut luck = ChaCha8Rng::seed_from_u64(3);
    let confirm = Confirm { top: 2, seeds: 4, share: 0.5 };
    let night = study(4, hours(8), confirm, &mut luck).await;
    let mut machine = night.simulated(Weather::new(3, &[], 0.0));
    let summary = night.run(&mut machine, |_| None).await;
    assert_eq!(summary.ending, Ending::Deadline);
    let kept = (night.begin + hours(8)).duration_since(machine.now()).as_secs_f64();
    // Two rounds of nine epochs of the slower of the two best.
    let study = night.check().await;
    let best = crate::confirm::candidates(&study, 2);
    let epoch = |trial: &TrialNumber| {
        let recipe = night.work.recipe_of(&study.trial(*trial).unwrap().params).unwrap();
        mean_epoch(recipe.batch_size)
    };
    let slowest = best.iter().map(epoch).fold(0.0, f64::max);
    let need = 2.0 * EPOCHS as f64 * slowest;
    assert!(kept > 0.85 * need && kept < 1.7 * need, "{kept} s kept, {need} s needed");
    let planned = night.events().await.into_iter().filter(|event| matches!(event, Event::Planned { .. })).count();
    assert!((5..=40).contains(&planned), "{planned} outlooks");
}

#[tokio::test]
async fn random_nights_lose_nothing() {
    let (mut injected, mut kills, mut runs) = (0, 0, 0);
    for seed in 0..nights() {
        let mut night = Night::new(12, 3).await;
        let every = [&Fault::ALL[..], &Fault::PAUSING[..]].concat();
        let mut luck = ChaCha8Rng::seed_from_u64(77 + 1000 * seed);
        let mut restarts = 0;
        loop {
            let length = EPOCH * luck.random_range(1..60);
            night.options.deadline = Some(night.begin + length);
            // Every other run has a time plan.
            let stage = Stage::Search { confirm: confirm_none(), night: length };
            let time = TimePlan { pace: probed(&mut luck), stage, forecast: None };
            night.time = luck.random_bool(0.5).then_some(time);
            let before = night.events().await;
            let mut machine = night.simulated(Weather::new(1000 * seed + restarts, &every, 0.1));
            let polls = luck.random_range(1..2000);
            let summary = killed_after(polls, night.run(&mut machine, |_| None)).await;
            restarts += 1;
            injected += machine.world().injected;
            kills += u32::from(summary.is_none());
            let what = format!("seed {seed}, run {restarts}");
            assert_eq!(machine.double_assignments(), 0, "{what}");
            assert_eq!(machine.repeated_attempts(), 0, "{what}");
            assert_eq!(night.events().await[..before.len()], before, "{what}: the log changed");
            if let Some(summary) = summary {
                let study = night.check().await;
                check_machine(&machine, &what);
                let late = machine.now().saturating_duration_since(night.options.deadline.unwrap());
                let grace = if night.time.is_some() { Duration::ZERO } else { night.options.grace };
                assert!(late <= grace, "{what}: {late:?} after the deadline");
                if summary.ending == Ending::Done {
                    let states = states(&study);
                    assert_eq!(states.len(), 12);
                    assert!(states.iter().all(|state| state.is_finished() || *state == TrialState::Paused));
                    break;
                }
            }
            assert!(restarts < 300, "seed {seed} does not end");
        }
        runs += restarts;
    }
    println!("{} seeds, {runs} runs: {injected} faults, {kills} kills of the controller, 0 results lost", nights());
}
