//! Counts and rates for Prometheus, in its text format 0.0.4: read from the store when they are asked for, so that a
//! page of `serve` tells the same as one of `run`.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use nightsweep_search::TrialState;
use nightsweep_store::{Controller, Store, StudyRow, Summary, Totals};
use prometheus::core::Collector;
use prometheus::{CounterVec, Encoder, GaugeVec, IntCounterVec, Opts, Registry, TEXT_FORMAT, TextEncoder};
use serde::Serialize;

use crate::error::Error;
use crate::gpus::{Gpu, gpus};
use crate::guard::WebSettings;

/// A study as it is told.
struct Told {
    study: StudyRow,
    summary: Summary,
    totals: Totals,
    /// Workers at once, if this process leads it.
    slots: Option<usize>,
}

/// Everything that is counted, of every study of the store.
pub(super) async fn metrics(
    State(store): State<Store>,
    State(settings): State<WebSettings>,
) -> Result<Response, Error> {
    let mut studies = Vec::new();
    for study in store.studies().await? {
        let (summary, totals) = (store.summary(study.id).await?, store.totals(study.id).await?);
        let slots = settings.slots_of(&study.name);
        studies.push(Told { study, summary, totals, slots });
    }
    // The driver may take its time.
    let gpus = tokio::task::spawn_blocking(gpus).await.unwrap_or_default();
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], text(&studies, &gpus)).into_response())
}

fn text(studies: &[Told], gpus: &[Gpu]) -> Vec<u8> {
    let registry = Registry::new();
    tell_build(&registry);
    tell_trials(&registry, studies);
    tell_rates(&registry, studies);
    tell_gpus(&registry, gpus);
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text).expect("a vector takes every byte");
    text
}

fn tell_build(registry: &Registry) {
    let build = gauges(registry, "build_info", "1, with the version of the binary.", &["version"]);
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
}

fn tell_trials(registry: &Registry, studies: &[Told]) {
    let trials = gauges(registry, "trials", "Trials in each state.", &["study", "state"]);
    let started = counter(registry, "trials_started_total", "Trials that were created.", &["study"]);
    let attempts = counter(registry, "attempts_total", "How often a trial was handed to a worker.", &["study"]);
    let requeues = counter(registry, "requeues_total", "How often a trial lost its worker and goes on.", &["study"]);
    let failures = counter(registry, "failures_total", "Trials without a result.", &["study", "cause"]);
    let queue = gauges(
        registry,
        "queue_length",
        "Trials that wait for a worker, and points that are to be tried before the sampler's own.",
        &["study"],
    );
    for Told { study, summary, totals, .. } in studies {
        let name = study.name.as_str();
        for (state, word, _) in crate::format::STATES {
            trials.with_label_values(&[name, word]).set(summary.counts.of(state) as f64);
        }
        started.with_label_values(&[name]).inc_by(summary.counts.total());
        attempts.with_label_values(&[name]).inc_by(totals.attempts);
        requeues.with_label_values(&[name]).inc_by(totals.requeues);
        for (cause, count) in &totals.failures {
            failures.with_label_values(&[name, &word_of(cause)]).inc_by(*count);
        }
        queue.with_label_values(&[name]).set((summary.counts.of(TrialState::Waiting) + totals.enqueued) as f64);
    }
}

fn tell_rates(registry: &Registry, studies: &[Told]) {
    let epochs = counter(registry, "epochs_total", "Epochs that trials reported.", &["study"]);
    let seconds = added(
        registry,
        CounterVec::new(
            named("trial_seconds_total", "Time under a worker, without the attempts that run."),
            &["study"],
        ),
    );
    let best = gauges(registry, "best_value", "Metric of the best trial.", &["study", "metric"]);
    let rate =
        gauges(registry, "images_per_second", "Of all running trials together, by their latest reports.", &["study"]);
    let up = gauges(registry, "study_running", "1 while a controller leads the study.", &["study"]);
    let last = gauges(registry, "last_event_timestamp_seconds", "When anything happened last, since 1970.", &["study"]);
    let slots = gauges(registry, "slots", "Workers at once, for the study that this process leads.", &["study"]);
    let busy = gauges(registry, "slots_busy", "Slots that have a trial.", &["study"]);
    for Told { study, summary, totals, slots: count } in studies {
        let name = study.name.as_str();
        epochs.with_label_values(&[name]).inc_by(summary.steps);
        seconds.with_label_values(&[name]).inc_by(summary.active_ms as f64 / 1000.0);
        if let Some(value) = summary.best.as_ref().and_then(|trial| trial.shown_value()) {
            best.with_label_values(&[name, study.metric.as_str()]).set(value);
        }
        rate.with_label_values(&[name]).set(totals.images_per_second);
        let is_led = matches!(summary.controller, Controller::Open { .. });
        up.with_label_values(&[name]).set(f64::from(u8::from(is_led)));
        if let Some(at) = summary.last_event_at_ms {
            last.with_label_values(&[name]).set(at as f64 / 1000.0);
        }
        if let Some(count) = count {
            slots.with_label_values(&[name]).set(*count as f64);
        }
        busy.with_label_values(&[name]).set(summary.counts.of(TrialState::Running) as f64);
    }
}

fn tell_gpus(registry: &Registry, all: &[Gpu]) {
    let labels = ["gpu", "name"];
    let used = gauges(registry, "gpu_memory_used_bytes", "Memory in use, by whomever.", &labels);
    let total = gauges(registry, "gpu_memory_total_bytes", "Memory of the GPU.", &labels);
    let busy = gauges(registry, "gpu_busy_ratio", "Share of the last moments in which it computed.", &labels);
    for gpu in all {
        let index = gpu.index.to_string();
        let labels = [index.as_str(), gpu.name.as_str()];
        used.with_label_values(&labels).set(gpu.used_bytes as f64);
        total.with_label_values(&labels).set(gpu.total_bytes as f64);
        busy.with_label_values(&labels).set(f64::from(gpu.busy_percent) / 100.0);
    }
}

fn named(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("nightsweep")
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    added(registry, IntCounterVec::new(named(name, help), labels))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    added(registry, GaugeVec::new(named(name, help), labels))
}

fn added<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("its names are constants that keep to the rules");
    registry.register(Box::new(metric.clone())).expect("each name is used once");
    metric
}

/// As the API writes it.
fn word_of(word: &impl Serialize) -> String {
    serde_json::to_value(word).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_told_with_its_memory() {
        let gpu = Gpu {
            index: 1,
            name: "a \"GPU\"".to_owned(),
            used_bytes: 3 << 30,
            total_bytes: 80 << 30,
            busy_percent: 93,
        };
        let text = String::from_utf8(text(&[], &[gpu])).unwrap();
        for line in [
            "nightsweep_gpu_memory_used_bytes{gpu=\"1\",name=\"a \\\"GPU\\\"\"} 3221225472",
            "nightsweep_gpu_memory_total_bytes{gpu=\"1\",name=\"a \\\"GPU\\\"\"} 85899345920",
            "nightsweep_gpu_busy_ratio{gpu=\"1\",name=\"a \\\"GPU\\\"\"} 0.93",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
        }
    }
}
