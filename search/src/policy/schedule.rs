//! Schedules of policies by population-based training (PBA, Ho et al. 2019, arXiv 1905.05393): members of a population train
//! side by side, each under chances and strengths of its own, and with its images mixed in a way of its own, if at all; after each interval the worst go on from the best ones'
//! weights, with theirs altered. What the best member and its ancestors were trained with, one after the other, is a
//! schedule, found in the time of one population.

use std::collections::BTreeMap;

use crate::config::{ConfigError, StudyConfig};
use crate::event::{Event, FailureCause, PauseReason, Suggestion};
use crate::lineage::{Stretch, lineage};
use crate::params::{ParamValue, Params};
use crate::pruner::{Pbt, PrunerKind};
use crate::record::Trial;
use crate::sampler::SamplerKind;
use crate::space::{Condition, Distribution, Parameter, Scale, SearchSpace};
use crate::study::Study;
use crate::trial::{Attempt, Direction, TrialNumber, TrialState};

use super::{Operation, Step};

/// How a schedule is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScheduleSettings {
    /// Members. The paper has 16.
    pub members: u64,
    /// Epochs of a training.
    pub epochs: u64,
    /// Epochs after which members are judged. The paper has 3 of 160 to 200.
    pub interval: u64,
    /// Seeds the search.
    pub seed: u64,
}

/// The parameter that says how images are mixed, and its choice for none.
const MIXING: &str = "mixing";
const NONE: &str = "none";

/// How the images of batches are mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixing {
    /// Place in the list of ways.
    pub way: usize,
    /// Chance that a batch is mixed.
    pub probability: f64,
}

/// What holds between two epochs: each operation's chance and strength, and how images are mixed.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Epochs done before it.
    pub begin: u64,
    /// Epochs done after it.
    pub end: u64,
    /// One for each operation, in their order.
    pub steps: Vec<Step>,
    /// `None` where they are not mixed.
    pub mixing: Option<Mixing>,
}

/// A part of a member's training that is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Whose.
    pub member: u64,
    /// The member whose weights it goes on with; itself, unless it begins here. `None` at the start of training.
    pub from: Option<u64>,
    /// Epochs done before it.
    pub done: u64,
    /// All phases from the start of training on, the part being the end of the last one.
    pub phases: Vec<Phase>,
    /// What has to be told with its scores.
    event: Event,
}

/// The population.
pub struct ScheduleSearch {
    operations: Vec<Operation>,
    /// Names of the ways of mixing.
    ways: Vec<String>,
    settings: ScheduleSettings,
    study: Study,
}

impl ScheduleSearch {
    /// Before the first epoch; `ways` are the names of ways of mixing, none of them `none`.
    pub fn new(operations: Vec<Operation>, ways: Vec<String>, settings: ScheduleSettings) -> Result<Self, ConfigError> {
        let ScheduleSettings { members, epochs, interval, seed } = settings;
        let study = Study::new(StudyConfig {
            direction: Direction::Maximize,
            seed,
            sampler: SamplerKind::Random,
            pruner: PrunerKind::Pbt(Pbt { population: members, interval_epochs: interval, ..Pbt::default() }),
            max_trials: Some(members),
            max_step: Some(epochs),
            ..StudyConfig::new(space(&operations, &ways))
        })?;
        Ok(Self { operations, ways, settings, study })
    }

    /// The next part to train; `None` at the end. Members take turns, so that a search that is cut short is so evenly.
    pub fn ask(&self) -> Option<Turn> {
        let trial = self.study.trials().len() as u64;
        let (member, from, mut phases, event) = match self.study.ask() {
            Suggestion::Start { trial: number, params, why } => {
                let phases = vec![self.phase(0, &params)];
                (trial, None, phases, Event::Started { trial: number, params, why })
            }
            Suggestion::Fork { trial: number, params, why, origin } => {
                let mut phases = self.phases(origin.parent);
                phases.push(self.phase(origin.epoch, &params));
                (trial, Some(origin.parent.0), phases, Event::Forked { trial: number, params, why, origin })
            }
            Suggestion::Resume { trial: number } => {
                let trial = self.study.trial(number)?;
                let attempt = trial.attempt.next();
                (number.0, Some(number.0), self.phases(number), Event::Resumed { trial: number, attempt })
            }
            Suggestion::Wait | Suggestion::Done => return None,
        };
        let last = phases.last_mut()?;
        let done = if matches!(event, Event::Resumed { .. }) { last.end } else { last.begin };
        last.end = ((done / self.settings.interval + 1) * self.settings.interval).min(self.settings.epochs);
        Some(Turn { member, from, done, phases, event })
    }

    /// What the member scored after each epoch of the part, larger being better; fewer scores than epochs, or one that is
    /// no number, count as a failure.
    pub fn tell(&mut self, turn: Turn, scores: &[f64]) {
        let Turn { member, done, phases, event, .. } = turn;
        let trial = TrialNumber(member);
        let attempt = match &event {
            Event::Resumed { attempt, .. } => *attempt,
            _ => Attempt::FIRST,
        };
        let end = phases.last().map_or(0, |phase| phase.end);
        let mut events = vec![event];
        let is_whole = scores.len() as u64 == end - done && scores.iter().all(|score| score.is_finite());
        if is_whole {
            let reports = (done + 1..).zip(scores).map(|(step, score)| Event::Reported {
                trial,
                attempt,
                step,
                value: Some(*score),
                metrics: BTreeMap::new(),
            });
            events.extend(reports);
        }
        events.push(match scores.last() {
            Some(value) if is_whole && end == self.settings.epochs => {
                Event::Completed { trial, attempt, value: *value }
            }
            Some(_) if is_whole => Event::Paused { trial, attempt, reason: PauseReason::Rung },
            _ => {
                let message = "the member gave no scores".to_owned();
                Event::Failed { trial, attempt, cause: FailureCause::Diverged, message }
            }
        });
        for event in events {
            self.study.tell(&event).expect("each part is told once, before the next one is asked for");
        }
    }

    /// Members that were trained, with those that others went on from.
    pub fn tried(&self) -> usize {
        self.study.trials().len()
    }

    /// The schedule of the best member that got furthest; none before one has trained.
    pub fn best(&self) -> Option<Vec<Phase>> {
        let score = |trial: &&Trial| (trial.step(), trial.last_value().unwrap_or(f64::NEG_INFINITY));
        let trained = self
            .study
            .trials()
            .iter()
            .filter(|trial| trial.step() > 0 && !matches!(trial.state, TrialState::Failed | TrialState::Lost));
        let best = trained.max_by(|a, b| {
            let ((a_step, a_value), (b_step, b_value)) = (score(a), score(b));
            a_step.cmp(&b_step).then(a_value.total_cmp(&b_value))
        })?;
        Some(self.phases(best.number))
    }

    /// What a member was trained with.
    fn phases(&self, trial: TrialNumber) -> Vec<Phase> {
        let phase = |stretch: Stretch| Phase { end: stretch.end, ..self.phase(stretch.begin, &stretch.params) };
        lineage(self.study.trials(), trial).into_iter().map(phase).collect()
    }

    fn phase(&self, begin: u64, params: &Params) -> Phase {
        let number = |name: String| params.get(&name).and_then(ParamValue::as_f64).unwrap_or(0.0);
        let step = |(place, operation): (usize, &Operation)| Step {
            operation: place,
            probability: number(probability(&operation.name)),
            magnitude: operation.most.unwrap_or(0.0) * number(magnitude(operation)),
        };
        let mixing = match params.get(MIXING) {
            Some(ParamValue::Text(name)) => self.ways.iter().position(|way| way == name),
            _ => None,
        };
        let mixing = mixing.map(|way| Mixing { way, probability: number(probability(MIXING)) });
        Phase { begin, end: begin, steps: self.operations.iter().enumerate().map(step).collect(), mixing }
    }
}

/// A chance for each operation, and a strength for each that has strengths; which of the ways of mixing, if any, and its chance.
fn space(operations: &[Operation], ways: &[String]) -> SearchSpace {
    let share = |name: String| {
        let distribution = Distribution::Float { low: 0.0, high: 1.0, scale: Scale::Linear };
        Parameter { name, distribution, when: None }
    };
    let ways: Vec<ParamValue> = ways.iter().cloned().map(ParamValue::Text).collect();
    let none = ParamValue::Text(NONE.to_owned());
    let distribution = Distribution::Categorical { choices: [none].into_iter().chain(ways.clone()).collect() };
    let mixing = Parameter { name: MIXING.to_owned(), distribution, when: None };
    let when = Some(Condition { parent: MIXING.to_owned(), equals: ways.clone() });
    let mixing = [mixing, Parameter { when, ..share(probability(MIXING)) }].into_iter().filter(|_| !ways.is_empty());
    let of = |operation: &Operation| {
        let strength = operation.most.map(|_| share(magnitude(operation)));
        [Some(share(probability(&operation.name))), strength].into_iter().flatten()
    };
    SearchSpace(operations.iter().flat_map(of).chain(mixing).collect())
}

fn probability(name: &str) -> String {
    format!("{name}, probability")
}

fn magnitude(operation: &Operation) -> String {
    format!("{}, magnitude", operation.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::operations;

    const EPOCHS: u64 = 24;

    fn search(members: u64, seed: u64) -> ScheduleSearch {
        let settings = ScheduleSettings { members, epochs: EPOCHS, interval: 1, seed };
        let operations = operations().into_iter().take(2).collect();
        ScheduleSearch::new(operations, Vec::new(), settings).unwrap()
    }

    /// What an epoch adds to a member: at most 1, if the first operation has no chance in the first half of the training and
    /// a sure one in the second. The best policy that stays the same has half of it.
    fn gain(epoch: u64, steps: &[Step]) -> f64 {
        let wanted = if epoch < EPOCHS / 2 { 0.0 } else { 1.0 };
        (1.0 - (steps[0].probability - wanted).abs()) / EPOCHS as f64
    }

    /// Trains members, whose weights are the sum of what they gained, for so many parts.
    fn train(search: &mut ScheduleSearch, parts: usize) -> BTreeMap<u64, f64> {
        let mut weights: BTreeMap<u64, f64> = BTreeMap::new();
        for _ in 0..parts {
            let Some(turn) = search.ask() else { break };
            let phase = turn.phases.last().unwrap();
            let mut weight = turn.from.map_or(0.0, |from| weights[&from]);
            let scores: Vec<f64> = (turn.done..phase.end)
                .map(|epoch| {
                    weight += gain(epoch, &phase.steps);
                    weight
                })
                .collect();
            weights.insert(turn.member, weight);
            search.tell(turn, &scores);
        }
        weights
    }

    #[test]
    fn the_schedule_that_is_known_to_be_best_is_found_where_no_constant_policy_does_as_well() {
        for seed in 0..8 {
            let mut search = search(16, seed);
            let weights = train(&mut search, usize::MAX);
            assert!(search.ask().is_none());
            let best = search.best().unwrap();
            let reached = weights.values().copied().fold(0.0, f64::max);
            assert!(reached > 0.65, "seed {seed}: {reached}");
            let mean = |from: u64, until: u64| {
                let at = |epoch: u64| best.iter().find(|phase| (phase.begin..phase.end).contains(&epoch)).unwrap();
                (from..until).map(|epoch| at(epoch).steps[0].probability).sum::<f64>() / (until - from) as f64
            };
            let (first, second) = (mean(0, EPOCHS / 2), mean(EPOCHS / 2, EPOCHS));
            assert!(first < 0.2 && second > 0.35, "seed {seed}: {first} {second}");
        }
    }

    #[test]
    fn the_way_of_mixing_that_is_known_to_be_best_is_found_or_none_where_all_are_bad() {
        for (best, gains) in [(Some(1), [-0.5, 1.0]), (Some(0), [1.0, 0.2]), (None, [-1.0, -0.5])] {
            for seed in 0..5 {
                let settings = ScheduleSettings { members: 16, epochs: EPOCHS, interval: 1, seed };
                let ways = ["blend", "paste"].map(str::to_owned).to_vec();
                let mut search = ScheduleSearch::new(operations(), ways, settings).unwrap();
                let mut weights: BTreeMap<u64, f64> = BTreeMap::new();
                while let Some(turn) = search.ask() {
                    let phase = turn.phases.last().unwrap();
                    let gain = phase.mixing.map_or(0.0, |mixing| mixing.probability * gains[mixing.way]);
                    let begin = turn.from.map_or(0.0, |from| weights[&from]);
                    let scores: Vec<f64> =
                        (1..=phase.end - turn.done).map(|epoch| begin + epoch as f64 * gain).collect();
                    weights.insert(turn.member, *scores.last().unwrap());
                    search.tell(turn, &scores);
                }
                // What held for the most epochs.
                let mut held: BTreeMap<Option<usize>, u64> = BTreeMap::new();
                for phase in search.best().unwrap() {
                    *held.entry(phase.mixing.map(|mixing| mixing.way)).or_default() += phase.end - phase.begin;
                }
                let most = held.iter().max_by_key(|(_, epochs)| **epochs).unwrap();
                assert_eq!(*most.0, best, "seed {seed}: {held:?}");
            }
        }
    }

    #[test]
    fn a_schedule_has_no_gaps_and_its_strengths_keep_to_their_reach() {
        let mut search = search(4, 7);
        train(&mut search, usize::MAX);
        let best = search.best().unwrap();
        assert_eq!((best[0].begin, best[best.len() - 1].end), (0, EPOCHS));
        assert!(best.windows(2).all(|pair| pair[0].end == pair[1].begin));
        // The first has a reach of a half, the second no strength.
        let steps = || best.iter().flat_map(|phase| &phase.steps);
        assert!(steps().all(|step| step.magnitude <= if step.operation == 0 { 0.5 } else { 0.0 }));
    }

    #[test]
    fn a_search_that_is_cut_short_has_the_best_until_there() {
        let mut search = search(4, 7);
        assert_eq!(search.best(), None);
        train(&mut search, 9);
        assert_eq!(search.best().unwrap().last().unwrap().end, 3);
    }

    #[test]
    fn a_member_without_scores_is_replaced() {
        let mut search = search(4, 1);
        let mut failed = 0;
        while let Some(turn) = search.ask() {
            let epochs = (turn.phases.last().unwrap().end - turn.done) as usize;
            // The first member diverges in its first epoch.
            let score = if turn.member == 0 { f64::NAN } else { turn.member as f64 };
            failed += usize::from(score.is_nan());
            search.tell(turn, &vec![score; epochs]);
        }
        assert_eq!(failed, 1);
        assert!(search.tried() > 4);
        assert_eq!(search.best().unwrap().last().unwrap().end, EPOCHS);
    }
}
