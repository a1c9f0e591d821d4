//! Which of a few good trials is best: each is trained again on the same fresh seeds, and a candidate that is clearly
//! beaten gets no more of them. A race in blocks after Birattari 2002 ("A racing algorithm for configuring
//! metaheuristics") and irace (López-Ibáñez 2016), with the t test of a randomized block design in place of Friedman's:
//! few seeds can be paid for, and the errors of all candidates together estimate the noise.
//!
//! A race is a study of its own, whose space is candidate × repetition and whose sampler is `race`.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::config::{ConfigError, StudyConfig};
use crate::event::Event;
use crate::params::{ParamValue, Params};
use crate::record::Trial;
use crate::sampler::SamplerKind;
use crate::space::{Distribution, Parameter, Scale, SearchSpace};
use crate::study::{Study, TellError};
use crate::trial::{Direction, Loss, TrialNumber};

/// The parameter that says which trial of the earlier study is trained again.
pub const CANDIDATE: &str = "candidate";
/// The parameter that says on which of the fresh seeds, from 1.
pub const REPETITION: &str = "repetition";
/// Between a study's name and its confirmation's number: no name that a user gives has it.
const MARK: &str = "@confirm-";
/// Chance that a candidate as good as the best is taken for beaten at one look.
const SIGNIFICANCE: f64 = 0.05;
/// Share of races in which an interval holds its candidate's true mean.
const CONFIDENCE: f64 = 0.95;
/// Repetitions before candidates are compared; one alone has no error.
const FIRST_LOOK: usize = 2;

/// The space of a race. Candidates come in the order of the earlier study's ranking.
pub fn space(candidates: &[TrialNumber], repetitions: u64) -> SearchSpace {
    let choices = candidates.iter().map(|trial| ParamValue::Int(trial.0.cast_signed())).collect();
    let repetition = Distribution::Int { low: 1, high: repetitions.cast_signed(), scale: Scale::Linear };
    SearchSpace(vec![
        Parameter { name: CANDIDATE.into(), distribution: Distribution::Categorical { choices }, when: None },
        Parameter { name: REPETITION.into(), distribution: repetition, when: None },
    ])
}

/// The name of a study's confirmation of that number, from 1.
pub fn name_of(study: &str, number: u64) -> String {
    format!("{study}{MARK}{number}")
}

/// The study that one of that name confirms, and its number; `None` if it is no confirmation.
pub fn confirmed_by(name: &str) -> Option<(&str, u64)> {
    let (study, number) = name.split_once(MARK)?;
    Some((study, number.parse().ok()?))
}

/// A race as its log tells it. It needs nothing else of the study that is confirmed: `space` and `direction` are its own.
pub fn told<'a>(
    space: &SearchSpace,
    direction: Direction,
    events: impl IntoIterator<Item = &'a Event>,
) -> Result<Study, RaceError> {
    let config = StudyConfig { direction, sampler: SamplerKind::Race, ..StudyConfig::new(space.clone()) };
    let mut study = Study::new(config)?;
    events.into_iter().try_for_each(|event| study.tell(event))?;
    Ok(study)
}

/// Why a log is not that of a race.
#[derive(Debug, thiserror::Error)]
pub enum RaceError {
    /// Its space is not candidate × repetition.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An event does not follow from those before.
    #[error(transparent)]
    Tell(#[from] TellError),
}

/// The trial that a point of a race trains again.
pub fn candidate_of(params: &Params) -> Option<TrialNumber> {
    number_of(params, CANDIDATE).map(TrialNumber)
}

/// On which of the fresh seeds a point of a race trains, from 1.
pub fn repetition_of(params: &Params) -> Option<u64> {
    number_of(params, REPETITION)
}

fn number_of(params: &Params, name: &str) -> Option<u64> {
    match params.get(name) {
        Some(ParamValue::Int(number)) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// How a candidate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Has the best mean of those left.
    Best,
    /// Cannot be told from the best.
    Tied,
    /// Is worse than the best, beyond what chance explains.
    Beaten,
    /// A training of it failed.
    Failed,
}

/// A candidate and what its repetitions say.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Its number in the earlier study.
    pub candidate: TrialNumber,
    /// The metric of each complete repetition, with its number.
    pub values: Vec<(u64, f64)>,
    /// How it stands.
    pub fate: Fate,
    /// Half the width of the mean's interval at 95 %, with the noise of all candidates pooled; `None` while unknown.
    pub half_width: Option<f64>,
}

impl Standing {
    /// Mean of the metric over the repetitions; `None` before the first.
    pub fn mean(&self) -> Option<f64> {
        mean(self.values.iter().map(|(_, value)| *value))
    }
}

/// The candidates of a race, the best first. `None` if the study is no race.
pub fn standings(study: &Study) -> Option<Vec<Standing>> {
    let field = Field::of(&study.config().space)?;
    let direction = study.config().direction;
    let table = Table::read(&field, study.trials(), direction);
    let fates = table.fates();
    let half_width = table.noise();
    let sign = if direction == Direction::Minimize { 1.0 } else { -1.0 };
    let mut standings: Vec<Standing> = field
        .candidates
        .iter()
        .zip(&table.rows)
        .zip(&fates)
        .map(|((trial, row), fate)| {
            let complete = row.iter().zip(1..).filter_map(|(cell, repetition)| Some((repetition, sign * cell.loss()?)));
            let values: Vec<(u64, f64)> = complete.collect();
            let half_width = half_width.map(|noise| noise.half_width(values.len())).filter(|width| width.is_finite());
            Standing { candidate: *trial, values, fate: *fate, half_width }
        })
        .collect();
    let place = |fate| match fate {
        Fate::Best => 0,
        Fate::Tied => 1,
        Fate::Beaten => 2,
        Fate::Failed => 3,
    };
    let loss = |standing: &Standing| standing.mean().map_or(Loss::DIVERGED, |mean| Loss::of(mean, direction));
    standings.sort_by_key(|standing| (place(standing.fate), loss(standing)));
    Some(standings)
}

/// The candidate of these standings that won, once two repetitions tell of it.
pub fn winner(standings: &[Standing]) -> Option<&Standing> {
    standings.first().filter(|best| best.fate == Fate::Best && best.values.len() >= FIRST_LOOK)
}

/// The next candidate and repetition to train, and why; `None` once the race is run.
pub(crate) fn next(space: &SearchSpace, trials: &[Trial], direction: Direction) -> Option<(Params, String)> {
    let field = Field::of(space)?;
    let table = Table::read(&field, trials, direction);
    let fates = table.fates();
    let runs: Vec<usize> = (0..fates.len()).filter(|place| matches!(fates[*place], Fate::Best | Fate::Tied)).collect();
    let needed = if runs.len() > 1 { field.repetitions } else { field.repetitions.min(FIRST_LOOK) };
    // All candidates on one seed before any on the next, so that they are compared on the same ones.
    let free = (0..needed).flat_map(|repetition| runs.iter().map(move |place| (repetition, *place)));
    let (repetition, place) =
        free.into_iter().find(|(repetition, place)| table.rows[*place][*repetition] == Cell::Free)?;
    let params = Params::from_iter([
        (CANDIDATE.to_owned(), ParamValue::Int(field.candidates[place].0.cast_signed())),
        (REPETITION.to_owned(), ParamValue::Int(repetition as i64 + 1)),
    ]);
    let why =
        format!("trial {} on fresh seed {}; {} candidates left", field.candidates[place], repetition + 1, runs.len());
    Some((params, why))
}

/// Who races, and how often at most.
pub(crate) struct Field {
    candidates: Vec<TrialNumber>,
    repetitions: usize,
}

impl Field {
    /// `None` if the space is not one of [`space`]'s.
    pub(crate) fn of(space: &SearchSpace) -> Option<Self> {
        let [candidate, repetition] = space.0.as_slice() else { return None };
        match (&candidate.distribution, &repetition.distribution) {
            (Distribution::Categorical { choices }, Distribution::Int { low: 1, high, scale: Scale::Linear })
                if candidate.name == CANDIDATE && repetition.name == REPETITION =>
            {
                let number = |choice: &ParamValue| match choice {
                    ParamValue::Int(number) => u64::try_from(*number).ok().map(TrialNumber),
                    _ => None,
                };
                let candidates = choices.iter().map(number).collect::<Option<_>>()?;
                Some(Self { candidates, repetitions: usize::try_from(*high).ok()? })
            }
            _ => None,
        }
    }

    fn place(&self, params: &Params) -> Option<(usize, usize)> {
        let candidate = candidate_of(params)?;
        let place = self.candidates.iter().position(|other| *other == candidate)?;
        let repetition = usize::try_from(repetition_of(params)?).ok()?.checked_sub(1)?;
        (repetition < self.repetitions).then_some((place, repetition))
    }
}

/// One candidate on one seed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    /// Nobody has begun it.
    Free,
    /// Under way.
    Open,
    Complete(f64),
    Failed,
}

impl Cell {
    fn loss(self) -> Option<f64> {
        if let Self::Complete(loss) = self { Some(loss) } else { None }
    }
}

/// Losses, a row for each candidate and a column for each seed.
struct Table {
    rows: Vec<Vec<Cell>>,
}

/// The scatter of one candidate over seeds.
#[derive(Clone, Copy)]
struct Noise {
    deviation: f64,
    freedom: f64,
}

impl Noise {
    fn half_width(self, count: usize) -> f64 {
        quantile(0.5 + CONFIDENCE / 2.0, self.freedom) * self.deviation / (count as f64).sqrt()
    }
}

impl Table {
    fn read(field: &Field, trials: &[Trial], direction: Direction) -> Self {
        let mut rows = vec![vec![Cell::Free; field.repetitions]; field.candidates.len()];
        for trial in trials {
            let Some((place, repetition)) = field.place(&trial.params) else { continue };
            rows[place][repetition] = match trial.value {
                Some(value) => Cell::Complete(Loss::of(value, direction).get()),
                None if trial.state.is_finished() => Cell::Failed,
                None => Cell::Open,
            };
        }
        Self { rows }
    }

    /// Looks after each seed that all who are left have done, and drops whom the best has beaten.
    fn fates(&self) -> Vec<Fate> {
        let mut fates: Vec<Fate> =
            self.rows.iter().map(|row| if row.contains(&Cell::Failed) { Fate::Failed } else { Fate::Tied }).collect();
        let left =
            |fates: &[Fate]| -> Vec<usize> { (0..fates.len()).filter(|place| fates[*place] == Fate::Tied).collect() };
        let columns = self.rows.first().map_or(0, Vec::len);
        for count in FIRST_LOOK..=columns {
            let runs = left(&fates);
            let block =
                |place: &usize| self.rows[*place][..count].iter().map(|cell| cell.loss()).collect::<Option<Vec<f64>>>();
            let Some(blocks) = runs.iter().map(block).collect::<Option<Vec<_>>>() else { break };
            for (place, is_beaten) in runs.into_iter().zip(beaten(&blocks)) {
                if is_beaten {
                    fates[place] = Fate::Beaten;
                }
            }
        }
        let mean_of = |place: &usize| {
            mean(self.rows[*place].iter().filter_map(|cell| cell.loss())).map_or(Loss::DIVERGED, Loss::from)
        };
        if let Some(best) = left(&fates).into_iter().min_by_key(mean_of) {
            fates[best] = Fate::Best;
        }
        fates
    }

    /// The scatter around each candidate's own mean, of all candidates together.
    fn noise(&self) -> Option<Noise> {
        let (mut squares, mut freedom) = (0.0, 0.0);
        for row in &self.rows {
            let losses: Vec<f64> = row.iter().filter_map(|cell| cell.loss()).collect();
            let Some(mean) = mean(losses.iter().copied()) else { continue };
            squares += losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>();
            freedom += losses.len() as f64 - 1.0;
        }
        (freedom > 0.0).then(|| Noise { deviation: (squares / freedom).sqrt(), freedom })
    }
}

/// Which rows of a complete table of losses are beaten by the one with the least mean: a one-sided t test of the
/// difference of two means in a randomized block design, at a level shared by all that are compared (Bonferroni).
fn beaten(blocks: &[Vec<f64>]) -> Vec<bool> {
    let (rows, columns) = (blocks.len(), blocks.first().map_or(0, Vec::len));
    if rows < 2 {
        return vec![false; rows];
    }
    let row_means: Vec<f64> = blocks.iter().map(|row| row.iter().sum::<f64>() / columns as f64).collect();
    let column_mean = |column: usize| blocks.iter().map(|row| row[column]).sum::<f64>() / rows as f64;
    let column_means: Vec<f64> = (0..columns).map(column_mean).collect();
    let grand = row_means.iter().sum::<f64>() / rows as f64;
    let residual = |row: usize, column: usize| blocks[row][column] - row_means[row] - column_means[column] + grand;
    let squares: f64 = (0..rows).flat_map(|row| (0..columns).map(move |column| residual(row, column).powi(2))).sum();
    let freedom = ((rows - 1) * (columns - 1)) as f64;
    let error = (2.0 * squares / freedom / columns as f64).sqrt();
    let limit = quantile(1.0 - SIGNIFICANCE / (rows - 1) as f64, freedom) * error;
    let best = row_means.iter().copied().min_by(f64::total_cmp).expect("there are two rows at least");
    row_means.iter().map(|mean| mean - best > limit).collect()
}

/// Where Student's t with that freedom lies below with that chance.
fn quantile(chance: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |student| student.inverse_cdf(chance))
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use crate::event::{FailureCause, Suggestion};
    use crate::sampler::standard_normal;
    use crate::trial::Attempt;

    use super::*;

    fn race(candidates: &[u64], repetitions: u64) -> Study {
        let candidates: Vec<TrialNumber> = candidates.iter().copied().map(TrialNumber).collect();
        Study::new(StudyConfig {
            direction: Direction::Maximize,
            sampler: SamplerKind::Race,
            ..StudyConfig::new(space(&candidates, repetitions))
        })
        .unwrap()
    }

    /// Runs a race to its end with one worker; returns its trainings as (candidate, repetition).
    fn run(study: &mut Study, mut train: impl FnMut(u64, u64) -> Option<f64>) -> Vec<(u64, u64)> {
        let mut trained = Vec::new();
        while let Suggestion::Start { trial, params, why } = study.ask() {
            let number = |name| params.get(name).and_then(ParamValue::as_f64).unwrap() as u64;
            let place = (number(CANDIDATE), number(REPETITION));
            study.tell(&Event::Started { trial, params: params.clone(), why }).unwrap();
            let attempt = Attempt::FIRST;
            let end = match train(place.0, place.1) {
                Some(value) => Event::Completed { trial, attempt, value },
                None => {
                    Event::Failed { trial, attempt, cause: FailureCause::Diverged, message: "the loss is NaN".into() }
                }
            };
            study.tell(&end).unwrap();
            trained.push(place);
        }
        assert_eq!(study.ask(), Suggestion::Done);
        trained
    }

    #[test]
    fn a_confirmation_is_known_by_its_name() {
        assert_eq!(confirmed_by(&name_of("night", 12)), Some(("night", 12)));
        assert_eq!(confirmed_by("night"), None);
        assert_eq!(confirmed_by("night@confirm-x"), None);
    }

    fn fates(study: &Study) -> Vec<(u64, Fate)> {
        standings(study).unwrap().iter().map(|standing| (standing.candidate.0, standing.fate)).collect()
    }

    #[test]
    fn who_is_clearly_beaten_gets_no_third_seed() {
        let mut study = race(&[7, 3, 12], 4);
        // 7 and 3 differ by less than the seeds do, 12 is far behind.
        let trained = run(&mut study, |candidate, repetition| {
            let noise = [0.000, 0.004, -0.003, 0.002][repetition as usize - 1];
            let own = if candidate == 3 && repetition % 2 == 0 { 0.003 } else { -0.001 };
            Some(if candidate == 12 { 0.80 } else { 0.90 } + noise + own)
        });
        assert_eq!(trained[..6], [(7, 1), (3, 1), (12, 1), (7, 2), (3, 2), (12, 2)]);
        assert_eq!(trained[6..], [(7, 3), (3, 3), (7, 4), (3, 4)]);
        assert_eq!(fates(&study), [(3, Fate::Best), (7, Fate::Tied), (12, Fate::Beaten)]);
    }

    #[test]
    fn a_candidate_that_fails_is_out() {
        let mut study = race(&[1, 2], 3);
        let trained = run(&mut study, |candidate, _| (candidate == 2).then_some(0.5));
        assert_eq!(trained, [(1, 1), (2, 1), (2, 2)]);
        assert_eq!(fates(&study), [(2, Fate::Best), (1, Fate::Failed)]);
    }

    #[test]
    fn one_candidate_alone_is_trained_twice_so_that_its_scatter_is_known() {
        let mut study = race(&[5], 6);
        assert_eq!(run(&mut study, |_, repetition| Some(repetition as f64)), [(5, 1), (5, 2)]);
        let standing = &standings(&study).unwrap()[0];
        // t(0.975, 1) = 12.7062; deviation of 1 and 2 is sqrt(0.5).
        assert_eq!(standing.mean(), Some(1.5));
        assert!((standing.half_width.unwrap() - 12.7062 * 0.5).abs() < 1e-3);
    }

    #[test]
    fn the_test_is_that_of_a_randomized_block_design() {
        // The penicillin example of Box, Hunter and Hunter (1978, section 7.1): four treatments in five blocks have
        // means 84, 85, 89, 86 and a residual mean square of 18.83 with 12 degrees of freedom.
        let yields = [
            [89., 84., 81., 87., 79.],
            [88., 77., 87., 92., 81.],
            [97., 92., 87., 89., 80.],
            [94., 79., 85., 84., 88.],
        ];
        let blocks = |shift: f64| -> Vec<Vec<f64>> {
            let rows = yields.iter().enumerate();
            rows.map(|(row, values)| values.iter().map(|value| value + if row == 2 { shift } else { 0.0 }).collect())
                .collect()
        };
        // The limit is t(1 - 0.05 / 3, 12) = 2.4026 times sqrt(2 × 18.83 / 5), that is 6.594, above the best mean, 84.
        assert_eq!(beaten(&blocks(1.58)), [false, false, false, false]);
        assert_eq!(beaten(&blocks(1.61)), [false, false, true, false]);
    }

    /// Shares of races that drop the best candidate, and that end with it as `Best`.
    fn shares(gap: f64) -> (f64, f64) {
        let (mut dropped, mut won) = (0, 0);
        for seed in 0..400 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut study = race(&[0, 1, 2, 3], 5);
            run(&mut study, |candidate, _| Some(if candidate == 2 { gap } else { 0.0 } + standard_normal(&mut rng)));
            let fates = fates(&study);
            dropped += i32::from(fates.contains(&(2, Fate::Beaten)));
            won += i32::from(fates[0] == (2, Fate::Best));
        }
        (f64::from(dropped) / 400.0, f64::from(won) / 400.0)
    }

    #[test]
    fn equals_are_rarely_dropped_and_a_clear_winner_wins() {
        // Four looks at 5 % shared by three rivals: below 4 × 5 %.
        assert!(shares(0.0).0 < 0.15);
        let (dropped, won) = shares(3.0);
        assert_eq!(dropped, 0.0);
        assert!(won > 0.99);
    }
}
