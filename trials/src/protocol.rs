//! What a controller and its workers say to each other: one JSON object a line over the worker's standard input and
//! output. A line that is not understood is the sender's failure, never the reader's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nightsweep_search::{Attempt, FailureCause, TrialNumber, Verdict};
use nightsweep_store::{Level, Provenance};
use nightsweep_trainer::data::DataSpec;
use nightsweep_trainer::{Metric, Recipe, TrialSeed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Version of the protocol. Both ends are the same binary unless it was replaced under way, which this finds out.
pub const VERSION: u32 = 2;

/// Longest line that is read; a worker that sends more is out of its mind.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// What a controller says to a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum ToWorker {
    /// Train this trial; only said to a worker that has none.
    Assign(Box<Assignment>),
    /// What to do after a report.
    Verdict {
        /// The trial that reported.
        trial: TrialNumber,
        /// The attempt that reported.
        attempt: Attempt,
        /// The epoch that was reported.
        step: u64,
        /// What to do.
        verdict: Verdict,
    },
    /// Write a checkpoint and end the trial as interrupted.
    Interrupt,
    /// Exit, once the trial has ended.
    Quit,
}

/// All that a worker needs to know to train a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// Which trial of the study.
    pub trial: TrialNumber,
    /// Stands in every message about it.
    pub attempt: Attempt,
    /// Where its randomness comes from.
    pub seed: TrialSeed,
    /// How to train.
    pub recipe: Recipe,
    /// What to train on.
    pub data: DataSource,
    /// What it is judged by.
    pub metric: Metric,
    /// Folder of its checkpoints, for it alone.
    pub checkpoints: PathBuf,
    /// Epochs that are in the log already.
    pub reported: u64,
}

/// Which data, and how it is split: the same value gives the same images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSource {
    /// As in the study file.
    pub spec: DataSpec,
    /// Where relative paths start.
    pub base: PathBuf,
    /// Decides the split.
    pub seed: u64,
}

/// What a worker says to its controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum FromWorker {
    /// The worker is ready; its first message.
    Hello {
        /// [`VERSION`] of the worker.
        protocol: u32,
        /// Version of its binary.
        version: String,
        /// Its process id.
        pid: u32,
        /// Where it computes.
        device: String,
    },
    /// The worker is alive and, if it trains, has made progress.
    Heartbeat,
    /// The data is read and training begins.
    Began {
        /// Of the assignment.
        trial: TrialNumber,
        /// Of the assignment.
        attempt: Attempt,
        /// What it runs on and with.
        provenance: Provenance,
    },
    /// An epoch is done and its checkpoint on disk; the worker waits for the verdict.
    Report {
        /// Whose epoch.
        trial: TrialNumber,
        /// Of the assignment.
        attempt: Attempt,
        /// Epochs done, from 1.
        step: u64,
        /// What was measured, by name; finite numbers only.
        metrics: BTreeMap<String, f64>,
    },
    /// Something for people to read beside the trial.
    Log {
        /// The trial it is about.
        trial: TrialNumber,
        /// Of the assignment.
        attempt: Attempt,
        /// How grave it is.
        level: Level,
        /// The text.
        text: String,
    },
    /// The trial gave the worker back.
    Ended {
        /// Which one.
        trial: TrialNumber,
        /// Of the assignment.
        attempt: Attempt,
        /// How.
        outcome: Outcome,
    },
}

/// How an assignment ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Trained to its end.
    Completed {
        /// The metric at the epoch that counts; finite.
        value: f64,
        /// That epoch, from 1.
        epoch: u64,
    },
    /// As the verdict said.
    Paused,
    /// As the verdict said.
    Stopped,
    /// A checkpoint has the place.
    Interrupted,
    /// No checkpoint could be written, because the disk is full: the trial stands where its last one is.
    DiskFull {
        /// What the system says, for people.
        message: String,
    },
    /// No result.
    Failed {
        /// What kind of failure.
        cause: FailureCause,
        /// What happened, for people.
        message: String,
    },
}

/// A line that is no message.
#[derive(Debug, thiserror::Error)]
#[error("did not understand the line `{excerpt}`")]
pub struct ParseError {
    /// The beginning of the line.
    excerpt: String,
    source: serde_json::Error,
}

/// The message of a line.
pub fn parse<M: DeserializeOwned>(line: &str) -> Result<M, ParseError> {
    serde_json::from_str(line).map_err(|source| ParseError { excerpt: line.chars().take(120).collect(), source })
}

/// A message as a line, with its end.
pub fn to_line<M: Serialize>(message: &M) -> String {
    let mut line = serde_json::to_string(message).expect("messages have no maps with keys other than text");
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<M: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: M, line: &str) {
        assert_eq!(to_line(&message), format!("{line}\n"));
        assert_eq!(parse::<M>(line).unwrap(), message);
    }

    #[test]
    fn messages_are_lines_of_json() {
        let (trial, attempt) = (TrialNumber(3), Attempt(2));
        check(ToWorker::Interrupt, r#"{"message":"interrupt"}"#);
        check(
            ToWorker::Verdict { trial, attempt, step: 4, verdict: Verdict::Pause },
            r#"{"message":"verdict","trial":3,"attempt":2,"step":4,"verdict":"pause"}"#,
        );
        check(FromWorker::Heartbeat, r#"{"message":"heartbeat"}"#);
        check(
            FromWorker::Report { trial, attempt, step: 4, metrics: [("val_loss".to_owned(), 0.1 + 0.2)].into() },
            r#"{"message":"report","trial":3,"attempt":2,"step":4,"metrics":{"val_loss":0.30000000000000004}}"#,
        );
        let outcome = Outcome::Failed { cause: FailureCause::Diverged, message: "a\nb".to_owned() };
        check(
            FromWorker::Ended { trial, attempt, outcome },
            r#"{"message":"ended","trial":3,"attempt":2,"outcome":{"kind":"failed","cause":"diverged","message":"a\nb"}}"#,
        );
    }

    #[test]
    fn an_assignment_arrives_as_it_was_sent() {
        let assignment = Assignment {
            trial: TrialNumber(3),
            attempt: Attempt::FIRST,
            seed: TrialSeed { study: u64::MAX, trial: 3 },
            recipe: Recipe::default(),
            data: DataSource { spec: DataSpec::new("flowers"), base: "/data".into(), seed: 1 },
            metric: Metric::ValAccuracy,
            checkpoints: "/tmp/trial-3".into(),
            reported: 0,
        };
        let message = ToWorker::Assign(Box::new(assignment));
        assert_eq!(parse::<ToWorker>(to_line(&message).trim_end()).unwrap(), message);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for line in [
            "",
            "garbage",
            r#"{"message":"heart"#,
            r#"{"message":"sing"}"#,
            r#"{"message":"report","trial":3}"#,
            r#"{"message":"report","trial":3,"attempt":2,"step":4,"metrics":{"val_loss":null}}"#,
            r#"{"message":"report","trial":3,"attempt":2,"step":4,"metrics":{"val_loss":1e999}}"#,
            r#"{"message":"ended","trial":-1,"attempt":1,"outcome":{"kind":"paused"}}"#,
            "\u{0}\u{1}",
        ] {
            let error = parse::<FromWorker>(line).unwrap_err();
            assert!(error.to_string().starts_with("did not understand the line"), "{line}");
        }
    }
}
