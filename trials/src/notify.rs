//! Tells a person, or another program, what becomes of a study: a command is run, or an address is sent JSON, at its end,
//! at a pause and at each new best trial. Nothing that goes wrong there reaches the study.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nightsweep_search::{Event, Order, Params, Study, TrialNumber};
use nightsweep_trainer::Metric;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::plan::Plan;
use crate::worker::chain;

/// What of a command's complaint goes into the log.
const COMPLAINT_BYTES: u64 = 500;

/// The `[notify]` table of a study file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// A command for `sh -c`, with the event as JSON on its standard input and in NIGHTSWEEP_ variables.
    pub command: Option<String>,
    /// An address that is sent the event as JSON.
    pub url: Option<String>,
    /// When.
    pub on: Vec<Occasion>,
    /// How long each may take.
    pub timeout_seconds: u64,
}

impl Default for Notify {
    fn default() -> Self {
        let on = vec![Occasion::End, Occasion::Pause, Occasion::Best];
        Self { command: None, url: None, on, timeout_seconds: 30 }
    }
}

/// When somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// The study is done, or its time is.
    End,
    /// The study stopped before that: somebody asked for it, or something is wrong.
    Pause,
    /// A trial is complete and better than all before it.
    Best,
}

impl Occasion {
    fn word(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Pause => "pause",
            Self::Best => "best",
        }
    }
}

/// Whom to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// For `sh -c`.
    Command(String),
    /// Is sent JSON.
    Url(String),
}

impl From<&str> for Target {
    /// What begins as an address is one.
    fn from(text: &str) -> Self {
        let is_url = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
        if is_url { Self::Url(text.to_owned()) } else { Self::Command(text.to_owned()) }
    }
}

impl Notify {
    /// The key that is wrong, and what must hold for it.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let is_url = |url: &String| matches!(Target::from(url.as_str()), Target::Url(_));
        let rules = [
            ("command", self.command.is_some() || self.url.is_some(), "`[notify]` needs a `command` or a `url`"),
            ("command", self.command.as_deref() != Some(""), "`notify.command` is empty"),
            ("url", self.url.as_ref().is_none_or(is_url), "`notify.url` begins with http:// or https://"),
            ("on", !self.on.is_empty(), "`notify.on` is empty"),
            (
                "timeout_seconds",
                (1..=600).contains(&self.timeout_seconds),
                "`notify.timeout_seconds` must be from 1 to 600",
            ),
        ];
        rules.into_iter().find(|(_, holds, _)| !holds).map_or(Ok(()), |(key, _, rule)| Err((key, rule)))
    }

    /// Whom the table names, then those of the command line.
    fn targets(&self, more: &[String]) -> Vec<Target> {
        let command = self.command.iter().cloned().map(Target::Command);
        let url = self.url.iter().cloned().map(Target::Url);
        command.chain(url).chain(more.iter().map(|text| Target::from(text.as_str()))).collect()
    }
}

/// What somebody is told. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notification {
    /// Which occasion.
    pub event: Occasion,
    /// Name of the study.
    pub study: String,
    /// All of it in one sentence, for people.
    pub message: String,
    /// What trials are judged by.
    pub metric: &'static str,
    /// The best trial.
    pub trial: Option<TrialNumber>,
    /// Its metric.
    pub value: Option<f64>,
    /// What it tried.
    pub params: Option<Params>,
    /// Why the study ended or paused.
    pub reason: Option<String>,
    /// When.
    pub at_ms: u128,
}

impl Notification {
    /// For programs that read no JSON.
    fn variables(&self) -> [(&'static str, String); 7] {
        [
            ("NIGHTSWEEP_EVENT", self.event.word().to_owned()),
            ("NIGHTSWEEP_STUDY", self.study.clone()),
            ("NIGHTSWEEP_MESSAGE", self.message.clone()),
            ("NIGHTSWEEP_METRIC", self.metric.to_owned()),
            ("NIGHTSWEEP_TRIAL", self.trial.map(|trial| trial.to_string()).unwrap_or_default()),
            ("NIGHTSWEEP_VALUE", self.value.map(|value| value.to_string()).unwrap_or_default()),
            ("NIGHTSWEEP_REASON", self.reason.clone().unwrap_or_default()),
        ]
    }
}

/// Follows a study's events, and tells what is worth it.
#[derive(Debug)]
pub struct Herald {
    study: String,
    metric: Metric,
    on: Vec<Occasion>,
    best: Option<(TrialNumber, f64)>,
    params: BTreeMap<TrialNumber, Params>,
    sender: mpsc::UnboundedSender<Notification>,
    messenger: JoinHandle<()>,
    /// How long what is left may take at the end.
    patience: Duration,
}

impl Herald {
    /// Starts where the study stands; `more` are commands and addresses beside those of the study file. `None` if there is
    /// nobody to tell. Must be called within a tokio runtime.
    pub fn new(study: &Study, plan: &Plan, more: &[String]) -> Option<Self> {
        let targets = plan.notify.targets(more);
        if targets.is_empty() {
            return None;
        }
        let limit = Duration::from_secs(plan.notify.timeout_seconds);
        let (sender, news) = mpsc::unbounded_channel();
        // The last best and the end, to each.
        let patience = limit * 2 * targets.len() as u32;
        let messenger = tokio::spawn(deliver_all(news, targets, limit));
        Some(Self {
            study: plan.name.clone(),
            metric: plan.metric,
            on: plan.notify.on.clone(),
            best: study.best().and_then(|trial| Some((trial.number, trial.value?))),
            params: study.trials().iter().map(|trial| (trial.number, trial.params.clone())).collect(),
            sender,
            messenger,
            patience,
        })
    }

    /// Hears an event of the study.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::Started { trial, params, .. } | Event::Forked { trial, params, .. } => {
                self.params.insert(*trial, params.clone());
            }
            Event::Completed { trial, value, .. }
                if self.best.is_none_or(|(_, best)| self.metric.is_better(*value, best)) =>
            {
                self.best = Some((*trial, *value));
                self.tell(Occasion::Best, None);
            }
            Event::Ordered { by, order: Order::Hold } => self.tell(Occasion::Pause, Some(format!("{by} asked for it"))),
            _ => {}
        }
    }

    /// From now on the best is the confirmed winner, with its mean over fresh seeds.
    pub fn confirm(&mut self, winner: TrialNumber, mean: Option<f64>) {
        self.best = mean.map(|mean| (winner, mean)).or(self.best);
    }

    /// Tells what the run ended with, and waits until everybody was told, but not for long.
    pub async fn finish(self, occasion: Occasion, reason: String) {
        self.tell(occasion, Some(reason));
        let Self { sender, mut messenger, patience, .. } = self;
        drop(sender);
        if timeout(patience, &mut messenger).await.is_err() {
            messenger.abort();
        }
    }

    fn tell(&self, event: Occasion, reason: Option<String>) {
        if !self.on.contains(&event) {
            return;
        }
        let (trial, value) = self.best.unzip();
        let metric = self.metric.name();
        let best = match self.best {
            Some((trial, value)) => format!("trial {trial} has the best {metric}, {value:.4}"),
            None => "no trial is complete".to_owned(),
        };
        let message = match (event, &reason) {
            (Occasion::Best, _) => format!("{}: {best}", self.study),
            (Occasion::End, Some(reason)) => format!("{} has ended ({reason}): {best}", self.study),
            (_, reason) => format!("{} is paused ({}): {best}", self.study, reason.as_deref().unwrap_or("unknown")),
        };
        let params = trial.and_then(|trial| self.params.get(&trial).cloned());
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let study = self.study.clone();
        // The messenger only ends when this is dropped.
        let _ = self.sender.send(Notification { event, study, message, metric, trial, value, params, reason, at_ms });
    }
}

/// Why somebody was not told.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error("it took longer than {} s", limit.as_secs())]
    Slow { limit: Duration },
    #[error("the command could not be started")]
    Start(#[source] std::io::Error),
    #[error("the command failed with {status}{complaint}")]
    Failed { status: std::process::ExitStatus, complaint: String },
    #[error("the address could not be sent to")]
    Post(#[source] Box<ureq::Error>),
}

async fn deliver_all(mut news: mpsc::UnboundedReceiver<Notification>, targets: Vec<Target>, limit: Duration) {
    let mut failed = vec![false; targets.len()];
    while let Some(first) = news.recv().await {
        let mut waiting = vec![first];
        while let Ok(next) = news.try_recv() {
            waiting.push(next);
        }
        let last_best = waiting.iter().rposition(|one| one.event == Occasion::Best);
        for (place, notification) in waiting.iter().enumerate() {
            // A better one came while somebody was slow.
            if notification.event == Occasion::Best && Some(place) != last_best {
                continue;
            }
            for (target, has_failed) in targets.iter().zip(&mut failed) {
                let Err(error) = deliver(target, notification, limit).await else { continue };
                let (event, error) = (notification.event.word(), chain(&error));
                // Addresses have tokens in them, so they are not logged.
                match std::mem::replace(has_failed, true) {
                    false => {
                        warn!(event, error, "a notification failed ({error}); further ones of its kind are not told")
                    }
                    true => debug!(event, error, "a notification failed again ({error})"),
                }
            }
        }
    }
}

async fn deliver(target: &Target, notification: &Notification, limit: Duration) -> Result<(), DeliveryError> {
    let json = serde_json::to_vec(notification).expect("it has only numbers and words");
    match target {
        Target::Command(command) => run(command, notification, &json, limit).await,
        Target::Url(url) => {
            let url = url.clone();
            let sent = tokio::task::spawn_blocking(move || post(&url, &json, limit));
            sent.await.unwrap_or(Err(DeliveryError::Slow { limit }))
        }
    }
}

async fn run(command: &str, notification: &Notification, json: &[u8], limit: Duration) -> Result<(), DeliveryError> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .envs(notification.variables())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // A Ctrl-C for the study is none for what tells of it; and what it starts ends with it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(DeliveryError::Start)?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let (mut stdin, stderr) = (child.stdin.take().expect("it is piped"), child.stderr.take().expect("it is piped"));
    let work = async {
        // A command need not read it. Whoever appends it to a file wants lines.
        let _ = stdin.write_all(&[json, b"\n"].concat()).await;
        drop(stdin);
        let (mut complaint, mut stderr) = (Vec::new(), stderr.take(COMPLAINT_BYTES));
        let _ = stderr.read_to_end(&mut complaint).await;
        // Whoever writes more than we keep must not wait for us.
        let _ = tokio::io::copy(stderr.get_mut(), &mut tokio::io::sink()).await;
        (child.wait().await, complaint)
    };
    let ended = timeout(limit, work).await;
    if ended.is_err()
        && let Some(group) = group
    {
        // It may be gone by now.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let (status, complaint) = ended.map_err(|_| DeliveryError::Slow { limit })?;
    let status = status.map_err(DeliveryError::Start)?;
    let complaint = String::from_utf8_lossy(&complaint).trim().to_owned();
    let complaint = if complaint.is_empty() { complaint } else { format!(": {complaint}") };
    if status.success() { Ok(()) } else { Err(DeliveryError::Failed { status, complaint }) }
}

fn post(url: &str, json: &[u8], limit: Duration) -> Result<(), DeliveryError> {
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(limit)).build().into();
    let sent = agent.post(url).content_type("application/json").send(json);
    sent.map(drop).map_err(|error| match error {
        ureq::Error::Timeout(_) => DeliveryError::Slow { limit },
        error => DeliveryError::Post(Box::new(error)),
    })
}

#[cfg(test)]
mod tests;
