//! The leaderboard: one page of a study's trials, filtered and sorted by SQLite.

use nightsweep_search::{SearchSpace, TrialState};
use serde::Serialize;
use sqlx::{QueryBuilder, Sqlite};

use crate::filter::{Column, Filter, FilterError};
use crate::open::{QueryError, Store};
use crate::studies::StudyRow;
use crate::trials::{COLUMNS, JOINS, TrialRow};
use crate::words::{now_ms, signed, unsigned, word_of};

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
        let now = now_ms();
        let mut count = QueryBuilder::new("SELECT count(*) FROM trials t ");
        if query.filter.is_some() {
            count.push("LEFT JOIN annotations n ON n.study = t.study AND n.trial = t.number ");
        }
        push_where(&mut count, study, query, now)?;
        let matching = unsigned(count.build_query_scalar().fetch_one(&self.reader).await?);

        let mut select = QueryBuilder::new(COLUMNS);
        select.push_bind(study.id.0).push(JOINS);
        push_where(&mut select, study, query, now)?;
        push_order(&mut select, &study.space, query, now)?;
        select.push(" LIMIT ").push_bind(query.limit).push(" OFFSET ").push_bind(signed(query.offset));
        let rows = select.build().fetch_all(&self.reader).await?;
        let trials = rows.iter().map(TrialRow::read).collect::<Result<_, _>>()?;
        Ok(Board { trials, matching })
    }
}

fn push_where(
    sql: &mut QueryBuilder<Sqlite>,
    study: &StudyRow,
    query: &BoardQuery,
    now: i64,
) -> Result<(), FilterError> {
    sql.push("WHERE t.study = ").push_bind(study.id.0);
    if !query.states.is_empty() {
        sql.push(" AND t.state IN (");
        let mut states = sql.separated(", ");
        for state in &query.states {
            states.push_bind(word_of(state));
        }
        sql.push(")");
    }
    if let Some(filter) = &query.filter {
        sql.push(" AND ");
        filter.push_to(sql, &study.space, now)?;
    }
    Ok(())
}

fn push_order(
    sql: &mut QueryBuilder<Sqlite>,
    space: &SearchSpace,
    query: &BoardQuery,
    now: i64,
) -> Result<(), FilterError> {
    let column = match &query.sort {
        Sort::Rank => Column::Rank,
        Sort::Number => Column::Number,
        Sort::State => Column::State,
        Sort::Value => Column::Value,
        Sort::Steps => Column::Steps,
        Sort::Time => Column::Seconds,
        Sort::Param(name) => Column::of_param(name, space)?,
    };
    // A trial without what is sorted by is last, whichever way the others go.
    sql.push(" ORDER BY coalesce(n.pinned, 0) DESC, ");
    column.push_to(sql, now);
    sql.push(" IS NULL, ");
    column.push_to(sql, now);
    sql.push(if query.descending { " DESC" } else { "" });
    sql.push(", t.number");
    Ok(())
}

#[cfg(test)]
mod tests {
    use nightsweep_search::{Annotation, Attempt, Direction, TrialNumber};
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
        fixture.tell(&[annotated(4, Annotation::Pinned(false)), annotated(2, tags(&[]))]).await;
        check("tag = keep or pinned = true", &[]).await;
        let missing = fixture.store.append(fixture.study.id, &annotated(9, Annotation::Starred(true))).await;
        assert_eq!(missing.unwrap_err().to_string(), "there is no trial 9");
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
