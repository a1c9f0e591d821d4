//! The confirmation of a study, as its own log tells it: a race between the best trials on fresh seeds.

use std::collections::BTreeMap;

use nightsweep_search::race::{self, Fate, REPETITION, Standing};
use nightsweep_search::{Distribution, Study, TrialNumber, TrialState};
use nightsweep_store::{Controller, QueryError, Seq, Store, StudyRow};

use crate::activity::Activity;
use crate::guard::WebSettings;

/// The confirmation that says who won a study, as far as it is: the last one with a winner, or else the last one.
#[derive(Debug)]
pub(crate) struct Confirmation {
    /// Its name in the store.
    pub name: String,
    /// What its trainings are judged by.
    pub metric: String,
    pub controller: Controller,
    /// Whether a process leads it.
    pub is_running: bool,
    /// One that was begun later and has no winner yet.
    pub newer: Option<Box<Self>>,
    /// The best first.
    pub standings: Vec<Standing>,
    /// What the study said of each candidate, by which it was chosen.
    pub chosen: BTreeMap<TrialNumber, f64>,
    /// Seeds for each candidate at most.
    pub repetitions: u64,
    /// Its trainings, by candidate and repetition.
    pub trainings: BTreeMap<(TrialNumber, u64), Training>,
    /// Accuracies on the test split, by candidate.
    pub test: BTreeMap<TrialNumber, Vec<f64>>,
}

/// One candidate on one seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Training {
    /// Its number in the confirmation.
    pub number: TrialNumber,
    pub state: TrialState,
    pub epochs: u64,
    pub value: Option<f64>,
}

impl Confirmation {
    /// That of the study; nothing if it has none.
    pub(crate) async fn of(
        store: &Store,
        settings: &WebSettings,
        study: &StudyRow,
        activity: &Activity,
    ) -> Result<Option<Self>, QueryError> {
        let rows = rows(store, study).await?;
        let mut unfinished = None;
        for (place, row) in rows.iter().enumerate().rev() {
            let is_running = *activity == Activity::Confirming && place + 1 == rows.len();
            let Some(read) = Self::read(store, settings, study, row, is_running).await? else { continue };
            // As `nightsweep report` chooses: one that was cut short takes nothing from the one before it.
            if read.winner().is_some() {
                return Ok(Some(Self { newer: unfinished.map(Box::new), ..read }));
            }
            unfinished.get_or_insert(read);
        }
        Ok(unfinished)
    }

    async fn read(
        store: &Store,
        settings: &WebSettings,
        study: &StudyRow,
        row: &StudyRow,
        is_running: bool,
    ) -> Result<Option<Self>, QueryError> {
        let entries = store.events(row.id, Seq::START).await?;
        let told = race::told(&row.space, row.direction, entries.iter().map(|entry| &entry.event));
        let race = match told {
            Ok(race) => race,
            Err(error) => {
                tracing::warn!("the confirmation {} cannot be read: {error}", row.name);
                return Ok(None);
            }
        };
        let Some(standings) = race::standings(&race) else { return Ok(None) };
        let mut chosen = BTreeMap::new();
        for standing in &standings {
            let trial = store.trial(study.id, standing.candidate).await?;
            chosen.extend(trial.and_then(|trial| trial.value).map(|value| (standing.candidate, value)));
        }
        let repetitions = match row.space.get(REPETITION).map(|parameter| &parameter.distribution) {
            Some(Distribution::Int { high, .. }) => high.cast_unsigned(),
            _ => 0,
        };
        Ok(Some(Self {
            controller: store.summary(row.id).await?.controller,
            is_running,
            newer: None,
            metric: row.metric.clone(),
            test: test_accuracies(settings, &row.name, &race).await,
            trainings: trainings(&race),
            name: row.name.clone(),
            standings,
            chosen,
            repetitions,
        }))
    }

    /// The candidate that won, once two seeds tell of it.
    pub(crate) fn winner(&self) -> Option<&Standing> {
        race::winner(&self.standings)
    }

    /// Candidates that cannot be told from the winner.
    pub(crate) fn tied(&self) -> impl Iterator<Item = &Standing> {
        self.standings.iter().filter(|standing| standing.fate == Fate::Tied)
    }

    pub(crate) fn standing(&self, trial: TrialNumber) -> Option<&Standing> {
        self.standings.iter().find(|standing| standing.candidate == trial)
    }

    /// Trainings that are done.
    pub(crate) fn done(&self) -> usize {
        self.standings.iter().map(|standing| standing.values.len()).sum()
    }

    /// The candidate that looked best when it was chosen: its number, its value then, and its mean on fresh seeds.
    pub(crate) fn first_chosen(&self, is_maximized: bool) -> Option<(TrialNumber, f64, f64)> {
        let known = self.standings.iter().filter_map(|standing| {
            Some((standing.candidate, *self.chosen.get(&standing.candidate)?, standing.mean()?))
        });
        known.max_by(|(_, a, _), (_, b, _)| if is_maximized { a.total_cmp(b) } else { b.total_cmp(a) })
    }
}

/// All confirmations of a study, in the order in which they were begun.
async fn rows(store: &Store, study: &StudyRow) -> Result<Vec<StudyRow>, QueryError> {
    let mut rows = Vec::new();
    for number in 1.. {
        match store.study_named(&race::name_of(&study.name, number)).await? {
            Some(row) => rows.push(row),
            None => break,
        }
    }
    Ok(rows)
}

/// Whether the last confirmation of the study was taken up and not put down.
pub(crate) async fn is_led(store: &Store, study: &StudyRow) -> Result<bool, QueryError> {
    let rows = rows(store, study).await?;
    let Some(last) = rows.last() else { return Ok(false) };
    Ok(matches!(store.summary(last.id).await?.controller, Controller::Open { .. }))
}

fn trainings(race: &Study) -> BTreeMap<(TrialNumber, u64), Training> {
    let training = |trial: &nightsweep_search::Trial| {
        let place = (race::candidate_of(&trial.params)?, race::repetition_of(&trial.params)?);
        let value = trial.value.or(trial.last_value());
        Some((place, Training { number: trial.number, state: trial.state, epochs: trial.step(), value }))
    };
    race.trials().iter().filter_map(training).collect()
}

async fn test_accuracies(settings: &WebSettings, name: &str, race: &Study) -> BTreeMap<TrialNumber, Vec<f64>> {
    let Some(files) = settings.files() else { return BTreeMap::new() };
    let name = name.to_owned();
    let scored = tokio::task::spawn_blocking(move || files.test_accuracies(&name)).await.unwrap_or_default();
    let mut test = BTreeMap::<TrialNumber, Vec<f64>>::new();
    for (trial, accuracy) in scored {
        if let Some(candidate) = race.trial(trial).and_then(|trial| race::candidate_of(&trial.params)) {
            test.entry(candidate).or_default().push(accuracy);
        }
    }
    test
}
