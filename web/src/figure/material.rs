//! What figures are made of, read from the store once for all of them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use nightsweep_search::{
    Distribution, Importance, Objective, ParamValue, Parameter, Params, Scale, TrialNumber, TrialState,
};
use nightsweep_store::{BoardQuery, Point, QueryError, Report, Sort, Store, StudyRow, TrialRow, Turn};

use super::axis::{Axis, Kind};
use super::importance;
use crate::format;
use crate::query::{ParamColumn, columns};

/// More dots than this only make a page slow.
pub(crate) const MAX_DOTS: usize = 2000;
/// More lines than this nobody tells apart.
const MAX_LINES: usize = 60;

/// A study as figures need it.
pub struct Material {
    /// The study.
    pub(crate) study: StudyRow,
    /// All trials by number.
    pub(crate) trials: Vec<TrialRow>,
    /// Who had which trial when.
    pub(crate) turns: Vec<Turn>,
    /// The curves of some trials: the best ones, and others evenly over the study.
    pub(crate) curves: BTreeMap<TrialNumber, Vec<(u64, f64)>>,
    /// Reports of the last trials, with everything that they measured.
    pub(crate) reports: BTreeMap<TrialNumber, Vec<Report>>,
    /// When it was read, in milliseconds since 1970.
    pub(crate) now_ms: i64,
    pub(crate) columns: Vec<ParamColumn>,
    /// What the study tries to make better besides its metric, as its plan has it, and the last measure of each in the
    /// complete trials.
    pub(crate) objectives: Vec<(Objective, BTreeMap<TrialNumber, f64>)>,
    important: OnceLock<Result<Vec<Importance>, String>>,
}

impl Material {
    pub(crate) async fn read(store: &Store, study: &StudyRow) -> Result<Self, QueryError> {
        let all = BoardQuery { sort: Sort::Number, limit: u32::MAX, ..BoardQuery::default() };
        let trials = store.board(study, &all).await?.trials;
        let mut best: Vec<&TrialRow> = trials.iter().filter(|trial| trial.rank.is_some()).collect();
        best.sort_by_key(|trial| (trial.rank, trial.number));
        let (first, rest) = best.split_at(best.len().min(MAX_LINES / 3));
        let numbers: Vec<TrialNumber> =
            first.iter().chain(&thin(rest, MAX_LINES - first.len())).map(|trial| trial.number).collect();
        let curves = store.values(study.id, &numbers).await?;
        let mut reports = BTreeMap::new();
        for trial in thin(&trials.iter().collect::<Vec<_>>(), MAX_LINES) {
            reports.insert(trial.number, store.curve(study.id, trial.number).await?);
        }
        Ok(Self {
            turns: store.turns(study.id).await?,
            columns: columns(&study.space),
            objectives: objectives(store, study, &trials).await?,
            important: OnceLock::new(),
            study: study.clone(),
            trials,
            curves,
            reports,
            now_ms: format::now_ms(),
        })
    }

    /// How much each parameter mattered, the greatest first; or why it is not known. Several figures ask for it.
    pub(super) fn important(&self) -> &Result<Vec<Importance>, String> {
        self.important.get_or_init(|| importance::of(self))
    }

    /// Trials at their end, with their values.
    pub(crate) fn complete(&self) -> impl Iterator<Item = (&TrialRow, f64)> {
        let complete = self.trials.iter().filter(|trial| trial.state == TrialState::Complete);
        complete.filter_map(|trial| Some((trial, trial.value?)))
    }

    /// Trials that have a value and did not fail, in the order of their ends.
    pub(crate) fn history(&self) -> Vec<Point> {
        let mut points: Vec<Point> = self
            .trials
            .iter()
            .filter(|trial| trial.rank.is_some())
            .filter_map(|trial| {
                let at_ms = trial.finished_at_ms.unwrap_or(trial.started_at_ms);
                Some(Point { trial: trial.number, state: trial.state, value: trial.shown_value()?, at_ms })
            })
            .collect();
        let finished = |point: &Point| !point.state.is_finished();
        points.sort_by_key(|point| (finished(point), point.at_ms, point.trial));
        points
    }

    /// The better half of the values of complete trials, so that one bad trial does not take all colours.
    pub(crate) fn colour_range(&self) -> (f64, f64) {
        let mut values: Vec<f64> = self.complete().map(|(_, value)| value).collect();
        values.sort_by(f64::total_cmp);
        let (Some(low), Some(high)) = (values.first(), values.last()) else { return (0.0, 1.0) };
        let middle = values[values.len() / 2];
        let range = match self.study.direction {
            nightsweep_search::Direction::Maximize => (middle - (high - middle), *high),
            nightsweep_search::Direction::Minimize => (*low, middle + (middle - low)),
        };
        if range.0 < range.1 { (range.0.max(*low), range.1.min(*high)) } else { (low - 1e-9, high + 1e-9) }
    }

    /// The column that goes by that name.
    pub(crate) fn column(&self, label: &str) -> Option<&ParamColumn> {
        self.columns.iter().find(|column| column.label == label)
    }

    /// An axis for a column of the board.
    pub(crate) fn axis(&self, column: &ParamColumn) -> Axis {
        let parameters: Vec<&Parameter> = column.names.iter().filter_map(|name| self.study.space.get(name)).collect();
        let numbers = || self.trials.iter().filter_map(|trial| self.value(column, &trial.params)?.as_f64());
        let label = column.label.clone();
        let is_log = |parameter: &&Parameter| {
            let (Distribution::Float { scale, .. } | Distribution::Int { scale, .. }) = &parameter.distribution else {
                return false;
            };
            *scale == Scale::Log
        };
        let mut words: Vec<String> = Vec::new();
        for parameter in &parameters {
            if let Distribution::Categorical { choices } | Distribution::Ordinal { choices } = &parameter.distribution {
                let new = choices.iter().map(format::param).filter(|word| !words.contains(word)).collect::<Vec<_>>();
                words.extend(new);
            }
        }
        if !words.is_empty() {
            Axis::words(label, words)
        } else if parameters.iter().all(is_log) {
            Axis::over(label, Kind::Log, numbers())
        } else if parameters.iter().all(|it| matches!(it.distribution, Distribution::Int { .. })) {
            Axis::over(label, Kind::Whole, numbers())
        } else {
            Axis::over(label, Kind::Linear, numbers())
        }
    }

    /// Whether the values of a column are numbers, of which one is nearer to another than to a third.
    pub(crate) fn has_numbers(&self, column: &ParamColumn) -> bool {
        let mut parameters = column.names.iter().filter_map(|name| self.study.space.get(name));
        parameters.all(|parameter| match &parameter.distribution {
            Distribution::Float { .. } | Distribution::Int { .. } => true,
            Distribution::Ordinal { choices } => choices.iter().all(|choice| choice.as_f64().is_some()),
            _ => false,
        })
    }

    /// The value of a column in a trial.
    pub(crate) fn value<'a>(&self, column: &ParamColumn, params: &'a Params) -> Option<&'a ParamValue> {
        column.names.iter().find_map(|name| params.get(name))
    }

    /// Where a trial is on the axis of a column.
    pub(crate) fn place(&self, column: &ParamColumn, axis: &Axis, params: &Params) -> Option<f64> {
        let value = self.value(column, params)?;
        match &axis.kind {
            Kind::Words(words) => {
                let word = format::param(value);
                words.iter().position(|known| *known == word).map(|at| at as f64)
            }
            _ => value.as_f64(),
        }
    }

    /// That time on the clocks here.
    pub(crate) fn clock(&self, at_ms: i64) -> f64 {
        format::local_ms(at_ms) as f64
    }
}

/// The objectives of a study's plan with what the complete trials measured of them.
async fn objectives(
    store: &Store,
    study: &StudyRow,
    trials: &[TrialRow],
) -> Result<Vec<(Objective, BTreeMap<TrialNumber, f64>)>, QueryError> {
    // A study that another program made has a plan of another kind.
    let named: Vec<Objective> =
        study.plan.get("objectives").and_then(|it| serde_json::from_value(it.clone()).ok()).unwrap_or_default();
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let complete: Vec<TrialNumber> =
        trials.iter().filter(|trial| trial.state == TrialState::Complete).map(|trial| trial.number).collect();
    let measured = store.last_metrics(study.id, &complete).await?;
    let of = |objective: &Objective| {
        let value = |(trial, metrics): (&TrialNumber, &BTreeMap<String, f64>)| {
            Some((*trial, metrics.get(&objective.metric).copied().filter(|value| value.is_finite())?))
        };
        measured.iter().filter_map(value).collect()
    };
    Ok(named.into_iter().map(|objective| (objective.clone(), of(&objective))).collect())
}

/// No more than so many dots, evenly from all.
pub(crate) fn thin_dots<T: Copy>(all: &[T]) -> Vec<T> {
    thin(all, MAX_DOTS)
}

/// Evenly so many of all, with the first and the last.
pub(crate) fn thin<T: Copy>(all: &[T], most: usize) -> Vec<T> {
    if all.len() <= most || most < 2 {
        return all.to_vec();
    }
    (0..most).map(|at| all[at * (all.len() - 1) / (most - 1)]).collect()
}
