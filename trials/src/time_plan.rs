//! The plan of a run with a deadline: what is begun gets somewhere before it, and a slice at its end is kept for the
//! confirmation, as long as that will take by what is known, and no longer than `[confirm]` allows.

use std::time::{Duration, Instant};

use nightsweep_search::{Study, TrialNumber};

use crate::confirm::{self, Confirm};
use crate::controller::Work;
use crate::pace::Pace;

/// Share of an epoch that an interrupted worker may take to let go: its validation is not interrupted.
const LETTING_GO: f64 = 0.1;
/// How much longer than foreseen trainings of the confirmation may take together.
const SLACK: f64 = 1.1;
/// Bounds of the time for letting go.
const SHORTEST_GOODBYE: Duration = Duration::from_secs(1);
const LONGEST_GOODBYE: Duration = Duration::from_secs(60);
/// Full trainings that a search should be able to pay for: what `auto` finds gets better fast up to twenty and slowly after
/// (docs/results.md, learning curves).
const TRAININGS: u64 = 20;

/// What a controller knows of its time, besides the deadline.
#[derive(Clone, Debug)]
pub struct TimePlan {
    /// What trainings take.
    pub pace: Pace,
    /// What the time is for.
    pub stage: Stage,
    /// Trials, and complete ones, that a simulation of the night had; for the first outlook.
    pub forecast: Option<(u64, u64)>,
}

/// What a run is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// To search. An epoch of a trial is of use: it is reported, and the trial can go on another night.
    Search {
        /// Who is confirmed afterwards, in the time that is left for it.
        confirm: Confirm,
        /// The whole night, of which the confirmation has a share at most.
        night: Duration,
    },
    /// To confirm. Only whole trainings are of use.
    Race,
}

impl TimePlan {
    /// Time at the end that the search leaves to the confirmation: that of the slowest candidate's training, so often as
    /// the trainings need when each slot has one at a time. Candidates that are not there yet are taken for the slowest model.
    pub fn reserved(&self, study: &Study, work: &Work, workers: usize) -> Duration {
        let Stage::Search { confirm, night } = &self.stage else { return Duration::ZERO };
        if confirm.top == 0 {
            return Duration::ZERO;
        }
        let most = night.mul_f64(confirm.share);
        let candidates = confirm::candidates(study, confirm.top);
        let known = candidates.iter().filter_map(|trial| self.whole_of(*trial, study, work));
        let unknown = (candidates.len() as u64) < confirm.top;
        let any = unknown.then(|| self.pace.slowest()).flatten();
        let any = any.map(|epoch| self.pace.start_up() + epoch.mul_f64(work.recipe.epochs as f64));
        match known.chain(any).max() {
            Some(training) => most.min((training * waves(confirm, workers)).mul_f64(SLACK) + 2 * self.goodbye()),
            None => most,
        }
    }

    fn whole_of(&self, trial: TrialNumber, study: &Study, work: &Work) -> Option<Duration> {
        let recipe = || work.recipe_of(&study.trial(trial)?.params).ok();
        self.pace.time_of(trial, recipe, work.recipe.epochs)
    }

    /// How long before a deadline trials are to be interrupted, to have let go by then.
    pub fn goodbye(&self) -> Duration {
        let slowest = self.pace.slowest().unwrap_or(LONGEST_GOODBYE);
        slowest.mul_f64(LETTING_GO).clamp(SHORTEST_GOODBYE, LONGEST_GOODBYE)
    }
}

/// The length of a night whose end was moved from one moment to another.
pub fn moved(night: Duration, from: Instant, to: Instant) -> Duration {
    (night + to.saturating_duration_since(from)).saturating_sub(from.saturating_duration_since(to))
}

/// How often all slots are filled with trainings of the confirmation.
fn waves(confirm: &Confirm, workers: usize) -> u32 {
    let trainings = confirm.top * confirm.seeds;
    u32::try_from(trainings.div_ceil(workers.max(1) as u64)).unwrap_or(u32::MAX)
}

/// Epochs of a full training for a search of that length, where the study file leaves them open: as many as let it pay for
/// twenty trainings, but no more than `most`.
pub fn epochs_that_fit(pace: &Pace, search: Duration, workers: usize, most: u64) -> u64 {
    let Some(epoch) = pace.mean() else { return most };
    let epochs = search.as_secs_f64() * workers as f64 / epoch.as_secs_f64().max(1e-9);
    ((epochs / TRAININGS as f64) as u64).clamp(1, most.max(1))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use nightsweep_search::{Attempt, Event, Suggestion};
    use nightsweep_trainer::Recipe;
    use nightsweep_trainer::probe::Probe;

    use super::*;
    use crate::study_file;

    fn pace(epoch: f64) -> Pace {
        let mut pace = Pace::default();
        let (epoch, validation) = (Duration::from_secs_f64(epoch), Duration::ZERO);
        let probe = Probe { epoch, validation, peak_memory: None, device_memory: None, checkpoint: 0 };
        pace.learn_probe(&Recipe::default(), &probe, Duration::ZERO);
        pace
    }

    /// The slice of a night of 10,000 seconds, with ten epochs of ten seconds to a training, so 100 seconds.
    fn check(confirm: &str, workers: usize, own_epoch: Option<f64>, expected: f64) {
        let text = format!(
            "[study]\nname = 's'\n[data]\npath = 'x'\n[recipe]\nepochs = 10\n\
             [space]\nlabel_smoothing = {{ low = 0.0, high = 0.5 }}\n[confirm]\n{confirm}\n"
        );
        let plan = study_file::parse(&text, ".".into()).unwrap();
        let mut study = Study::new(plan.study_config()).unwrap();
        let stage = Stage::Search { confirm: plan.confirm.clone(), night: Duration::from_secs(10_000) };
        let mut time = TimePlan { pace: pace(10.0), stage, forecast: None };
        if let Some(epoch) = own_epoch {
            let Suggestion::Start { trial, params, why } = study.ask() else { panic!("it starts") };
            let family = crate::pace::Family::of(&plan.recipe);
            study.tell(&Event::Started { trial, params, why }).unwrap();
            study.tell(&Event::Completed { trial, attempt: Attempt::FIRST, value: 0.5 }).unwrap();
            time.pace.learn(trial, &family, Duration::from_secs_f64(epoch), false);
        }
        let work = Work::new(&plan, PathBuf::new());
        let reserved = time.reserved(&study, &work, workers).as_secs_f64();
        assert!((reserved - expected).abs() < 1.0, "{confirm}: {reserved}");
    }

    #[test]
    fn the_confirmation_gets_what_it_needs_and_no_more_than_its_share() {
        // A tenth more than the trainings take, and the time to let go of the search and of the race.
        check("top = 3\nseeds = 3", 9, None, 112.0);
        check("top = 3\nseeds = 3", 2, None, 552.0);
        check("top = 3\nseeds = 3\nshare = 0.01", 2, None, 100.0);
        check("top = 0", 2, None, 0.0);
        // One candidate is there, and known to be slower: it has a margin of a tenth.
        check("top = 1\nseeds = 2", 1, Some(20.0), 486.6);
    }

    #[test]
    fn epochs_that_are_left_open_let_the_night_pay_for_twenty_trainings() {
        let hour = Duration::from_secs(3600);
        assert_eq!(epochs_that_fit(&pace(10.0), hour, 2, 100), 36);
        assert_eq!(epochs_that_fit(&pace(10.0), hour, 2, 30), 30);
        assert_eq!(epochs_that_fit(&pace(1e6), hour, 2, 30), 1);
        assert_eq!(epochs_that_fit(&Pace::default(), hour, 2, 30), 30);
    }
}
