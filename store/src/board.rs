//! The leaderboard: one page of a study's trials, filtered and sorted.

use nightsweep_search::{SearchSpace, TrialNumber, TrialState};
use serde::Serialize;

use crate::column::{Cell, Column};
use crate::filter::{Filter, FilterError};
use crate::open::{QueryError, Store};
use crate::standings::Standings;
use crate::studies::StudyRow;
use crate::trials::TrialRow;
use crate::words::now_ms;

/// What of a study's trials is to be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct BoardQuery {
    /// Only trials in one of these states; in any, if empty.
    pub states: Vec<TrialState>,
    /// Only trials of which this holds.
    pub filter: Option<Filter>,
    /// What orders them; trials without it come last.
    pub sort: Sort,
    /// The greatest first.
    pub descending: bool,
    /// No more than so many trials.
    pub limit: u32,
    /// Without so many at the beginning.
    pub offset: u64,
}

impl Default for BoardQuery {
    fn default() -> Self {
        Self { states: Vec::new(), filter: None, sort: Sort::Rank, descending: false, limit: 100, offset: 0 }
    }
}

/// What orders trials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Complete trials by value, then the others.
    #[default]
    Rank,
    /// Order of creation.
    Number,
    /// Name of the state.
    State,
    /// Final or latest value.
    Value,
    /// Steps reported.
    Steps,
    /// Time under a worker.
    Time,
    /// Best value of any report.
    Best,
    /// Images a second at the latest report.
    Speed,
    /// Most memory that the latest attempt took.
    Memory,
    /// Slot and what it computes on.
    Device,
    /// When it started.
    Started,
    /// Words that people gave it.
    Tags,
    /// What people wrote of it.
    Note,
    /// A parameter of the space.
    Param(String),
}

/// One page of trials, and how many there are on all of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Board {
    /// The trials of this page, in order.
    pub trials: Vec<TrialRow>,
    /// How many trials match the filter.
    pub matching: u64,
}

impl Store {
    /// The trials that the query asks for.
    pub async fn board(&self, study: &StudyRow, query: &BoardQuery) -> Result<Board, QueryError> {
        let standings = self.standings(study.id).await?;
        let (matching, page) = choose(&standings, query)?;
        let numbers: Vec<TrialNumber> = page.iter().map(|at| standings.trials[*at].number).collect();
        let mut rows = self.rows(study.id, &numbers).await?;
        let found = page.iter().filter_map(|at| {
            let row = rows.remove(&standings.trials[*at].number)?;
            Some(TrialRow { rank: standings.ranks[*at], ..row })
        });
        Ok(Board { trials: found.collect(), matching })
    }
}

/// How many trials match, and the places of those on the page, in order.
fn choose(standings: &Standings, query: &BoardQuery) -> Result<(u64, Vec<usize>), FilterError> {
    let now = now_ms();
    let filter = query.filter.as_ref().map(|filter| filter.bind(&standings.space)).transpose()?;
    let column = query.sort.column(&standings.space)?;
    let mut chosen = Vec::new();
    for (at, (trial, rank)) in standings.trials.iter().zip(&standings.ranks).enumerate() {
        let is_in_state = query.states.is_empty() || query.states.contains(&trial.state);
        if is_in_state && filter.as_ref().is_none_or(|filter| filter.holds(trial, *rank, now)) {
            chosen.push((!trial.pinned, column.of(trial, *rank, now), at));
        }
    }
    let matching = chosen.len();
    let compare = |one: &(bool, Cell<'_>, usize), other: &(bool, Cell<'_>, usize)| {
        one.0.cmp(&other.0).then_with(|| one.1.sorts_before(&other.1, query.descending)).then(one.2.cmp(&other.2))
    };
    let first = usize::try_from(query.offset).unwrap_or(usize::MAX).min(matching);
    let end = first.saturating_add(query.limit as usize).min(matching);
    // Only what comes up to the end of the page is put in order.
    if end < matching {
        chosen.select_nth_unstable_by(end, compare);
    }
    let upto = &mut chosen[..end];
    upto.sort_unstable_by(compare);
    Ok((matching as u64, upto[first..].iter().map(|(_, _, at)| *at).collect()))
}

impl Sort {
    fn column(&self, space: &SearchSpace) -> Result<Column, FilterError> {
        Ok(match self {
            Self::Rank => Column::Rank,
            Self::Number => Column::Number,
            Self::State => Column::State,
            Self::Value => Column::Value,
            Self::Best => Column::Best,
            Self::Steps => Column::Steps,
            Self::Time => Column::Seconds,
            Self::Speed => Column::Speed,
            Self::Memory => Column::Memory,
            Self::Device => Column::Device,
            Self::Started => Column::Started,
            Self::Tags => Column::Tag,
            Self::Note => Column::Note,
            Self::Param(name) => Column::of_param(name, space)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use nightsweep_search::{Annotation, Attempt, Direction, Event, TrialNumber};
    use serde_json::json;

    use super::*;
    use crate::testing::{Fixture, annotated, completed, pruned, reported, started};

    /// Trials 0 to 5: complete 0.7, complete 0.9, pruned 0.95, running 0.8, just started, complete 0.9.
    async fn fixture() -> Fixture {
        let fixture = Fixture::new(Direction::Maximize).await;
        let params = [
            json!({ "optimizer": "sgd", "optimizer.sgd.lr": 0.1, "flip": true }),
            json!({ "optimizer": "adamw", "optimizer.adamw.lr": 0.001, "flip": false }),
            json!({ "optimizer": "sgd", "optimizer.sgd.lr": 1.0, "flip": true }),
            json!({ "optimizer": "sgd", "optimizer.sgd.lr": 0.01, "flip": false }),
            json!({ "optimizer": "adamw", "optimizer.adamw.lr": 0.01, "flip": true }),
            json!({ "flip": true }),
        ];
        for (number, params) in (0..).zip(params) {
            fixture.tell(&[started(number, params)]).await;
        }
        fixture.tell(&[completed(0, 0.7), reported(1, 1, 0.2), completed(1, 0.9)]).await;
        fixture.tell(&[reported(2, 1, 0.95), pruned(2), reported(3, 1, 0.8), completed(5, 0.9)]).await;
        fixture
    }

    fn numbers(board: &Board) -> Vec<u64> {
        board.trials.iter().map(|trial| trial.number.0).collect()
    }

    #[tokio::test]
    async fn complete_trials_rank_first_and_equal_ones_equally() {
        let fixture = fixture().await;
        let board = fixture.store.board(&fixture.study, &BoardQuery::default()).await.unwrap();
        assert_eq!(numbers(&board), [1, 5, 0, 2, 3, 4]);
        let ranks: Vec<_> = board.trials.iter().map(|trial| trial.rank).collect();
        assert_eq!(ranks, [Some(1), Some(1), Some(3), Some(4), Some(5), None]);
        let best = fixture.store.summary(fixture.study.id).await.unwrap().best.unwrap();
        assert_eq!(best, board.trials[0]);
        let history = fixture.store.history(fixture.study.id).await.unwrap();
        assert_eq!(history.len(), 5);
    }

    #[tokio::test]
    async fn what_a_trial_lacks_comes_last_both_ways() {
        let fixture = fixture().await;
        let check = async |sort: Sort, descending: bool, expected: &[u64]| {
            let query = BoardQuery { sort, descending, ..BoardQuery::default() };
            assert_eq!(numbers(&fixture.store.board(&fixture.study, &query).await.unwrap()), expected);
        };
        check(Sort::Rank, true, &[3, 2, 0, 1, 5, 4]).await;
        check(Sort::Number, true, &[5, 4, 3, 2, 1, 0]).await;
        check(Sort::Value, false, &[0, 3, 1, 5, 2, 4]).await;
        check(Sort::Param("lr".to_owned()), false, &[1, 3, 4, 0, 2, 5]).await;
        check(Sort::Param("lr".to_owned()), true, &[2, 0, 3, 4, 1, 5]).await;
        check(Sort::Param("optimizer".to_owned()), false, &[1, 4, 0, 2, 3, 5]).await;
        let unknown = BoardQuery { sort: Sort::Param("learning".to_owned()), ..BoardQuery::default() };
        let error = fixture.store.board(&fixture.study, &unknown).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no column or parameter `learning`");
    }

    #[tokio::test]
    async fn a_filter_says_which_trials() {
        let fixture = fixture().await;
        let check = async |filter: &str, expected: &[u64]| {
            let filter = Filter::parse(filter).unwrap();
            let query = BoardQuery { filter, sort: Sort::Number, ..BoardQuery::default() };
            let board = fixture.store.board(&fixture.study, &query).await.unwrap();
            assert_eq!(numbers(&board), expected, "{query:?}");
            assert_eq!(board.matching, expected.len() as u64);
        };
        check("lr < 0.1 and optimizer = sgd", &[3]).await;
        check("optimizer.sgd.lr >= 0.1", &[0, 2]).await;
        check("not lr < 0.1", &[0, 2, 5]).await;
        check("optimizer != sgd", &[1, 4, 5]).await;
        check("optimizer > 0.1", &[]).await;
        check("optimizer != 3", &[0, 1, 2, 3, 4, 5]).await;
        check("flip = true and value > 0.7", &[2, 5]).await;
        check("flip = false", &[1, 3]).await;
        check("state = complete or state = running", &[0, 1, 3, 4, 5]).await;
        check("optimizer ~ AD", &[1, 4]).await;
        check("epochs = 1", &[1, 2, 3]).await;
        check("lr = 1", &[2]).await;
        check("optimizer = \"'; DROP TABLE trials; --\"", &[]).await;
    }

    #[tokio::test]
    async fn what_people_wrote_is_found_and_what_they_pinned_is_on_top() {
        let fixture = fixture().await;
        let tags = |words: &[&str]| Annotation::Tags(words.iter().map(|word| (*word).to_owned()).collect());
        let note = |text: &str| Annotation::Note(text.to_owned());
        fixture.tell(&[annotated(0, note("Overfits after epoch 5")), annotated(2, tags(&["keep", "odd one"]))]).await;
        fixture.tell(&[annotated(3, Annotation::Starred(true)), annotated(4, Annotation::Pinned(true))]).await;
        let check = async |filter: &str, expected: &[u64]| {
            let query = BoardQuery { filter: Filter::parse(filter).unwrap(), ..BoardQuery::default() };
            let board = fixture.store.board(&fixture.study, &query).await.unwrap();
            assert_eq!(numbers(&board), expected, "{filter}");
            assert_eq!(board.matching, expected.len() as u64);
        };
        check("", &[4, 1, 5, 0, 2, 3]).await;
        check("note ~ overfits", &[0]).await;
        check("tag = keep", &[2]).await;
        check("tag = odd", &[]).await;
        check("tag ~ ODD and state = pruned", &[2]).await;
        check("tag != keep", &[4, 1, 5, 0, 3]).await;
        check("starred = true", &[3]).await;
        check("pinned = true or text ~ epoch", &[4, 0]).await;
        check("text ~ odd", &[2]).await;
        check("\"ODD one\"", &[2]).await;
        check("\"epoch\" or \"keep\"", &[0, 2]).await;
        check("note = \"\" and starred = true", &[3]).await;
        fixture.tell(&[annotated(4, Annotation::Pinned(false)), annotated(2, tags(&[]))]).await;
        check("tag = keep or pinned = true", &[]).await;
        let missing = fixture.store.append(fixture.study.id, &annotated(9, Annotation::Starred(true))).await;
        assert_eq!(missing.unwrap_err().to_string(), "there is no trial 9");
    }

    #[tokio::test]
    async fn what_trials_measure_and_where_they_run_sorts_and_filters_them() {
        let fixture = Fixture::new(Direction::Maximize).await;
        let (store, study) = (&fixture.store, fixture.study.id);
        for (number, speed, memory) in [(0, Some(10.0), 3.0), (1, None, 1.0), (2, Some(30.0), 2.0)] {
            let (trial, attempt) = (TrialNumber(number), Attempt(1));
            let metrics = [("images_per_second", speed), ("peak_memory_bytes", Some(memory * f64::from(1 << 20)))];
            let metrics = metrics.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
            let reported = Event::Reported { trial, attempt, step: 1, value: Some(0.5), metrics };
            fixture.tell(&[started(number, json!({})), reported]).await;
            store.record_assignment(study, trial, attempt, &format!("gpu-{}", 2 - number), "H100", 1).await.unwrap();
        }
        let check = async |sort: Sort, descending: bool, filter: &str, expected: &[u64]| {
            let filter = Filter::parse(filter).unwrap();
            let query = BoardQuery { sort, descending, filter, ..BoardQuery::default() };
            assert_eq!(numbers(&store.board(&fixture.study, &query).await.unwrap()), expected, "{query:?}");
        };
        check(Sort::Speed, true, "", &[2, 0, 1]).await;
        check(Sort::Speed, false, "", &[0, 2, 1]).await;
        check(Sort::Memory, false, "", &[1, 2, 0]).await;
        check(Sort::Memory, false, "memory >= 2 and speed > 0", &[2, 0]).await;
        check(Sort::Device, false, "", &[2, 1, 0]).await;
        check(Sort::Device, false, "device ~ GPU-1", &[1]).await;
        // What happens afterwards counts too.
        fixture.tell(&[reported(1, 2, 0.9), completed(1, 0.9)]).await;
        check(Sort::Best, true, "", &[1, 0, 2]).await;
        check(Sort::Started, false, "epochs = 2", &[1]).await;
    }

    #[tokio::test]
    async fn two_processes_see_the_same_board() {
        let fixture = fixture().await;
        let other = Store::open_read_only(fixture.dir.path().join("studies.db")).await.unwrap();
        let board = async |store: &Store| store.board(&fixture.study, &BoardQuery::default()).await.unwrap();
        assert_eq!(board(&other).await, board(&fixture.store).await);
        fixture.tell(&[reported(4, 1, 0.99), completed(4, 0.99)]).await;
        assert_eq!(numbers(&board(&other).await), [4, 1, 5, 0, 2, 3]);
        assert_eq!(board(&other).await, board(&fixture.store).await);
        for row in board(&other).await.trials {
            assert_eq!(other.trial(fixture.study.id, row.number).await.unwrap(), Some(row));
        }
    }

    #[tokio::test]
    async fn pages_and_states_cut_the_board() {
        let fixture = fixture().await;
        let states = vec![TrialState::Complete, TrialState::Pruned];
        let query = BoardQuery { states, limit: 2, offset: 1, ..BoardQuery::default() };
        let board = fixture.store.board(&fixture.study, &query).await.unwrap();
        assert_eq!((numbers(&board), board.matching), (vec![5, 0], 4));
    }

    #[tokio::test]
    async fn details_stand_beside_the_log() {
        let fixture = fixture().await;
        let (store, study, trial) = (&fixture.store, fixture.study.id, TrialNumber(3));
        store.record_assignment(study, trial, Attempt(1), "cpu-0", "CPU, 2 threads", 42).await.unwrap();
        store.set_recipe(study, trial, "epochs = 3\n").await.unwrap();
        store.append_log(study, trial, Attempt(1), crate::Level::Warn, "two\nlines\n").await.unwrap();
        store.rebuild(study).await.unwrap();
        let row = store.trial(study, trial).await.unwrap().unwrap();
        assert_eq!((row.slot.as_deref(), row.pid), (Some("cpu-0"), Some(42)));
        assert_eq!(store.recipe(study, trial).await.unwrap().as_deref(), Some("epochs = 3\n"));
        assert_eq!(store.logs(study, trial, 10).await.unwrap()[0].text, "two\nlines");
        assert!(store.set_recipe(study, TrialNumber(99), "").await.is_err());
        let last = store.last_metrics(study, &[TrialNumber(1), trial]).await.unwrap();
        assert_eq!(last[&trial]["loss"], 0.1 + 0.2);
        let values = store.values(study, &[TrialNumber(1), trial]).await.unwrap();
        assert_eq!(values[&TrialNumber(1)], [(1, 0.2)]);
        assert_eq!(store.curve(study, trial).await.unwrap()[0].metrics["loss"], 0.1 + 0.2);
    }
}
