//! A study that nobody trained: its values and times are drawn from the trials' numbers, the same each time.

use std::collections::BTreeMap;

use nightsweep_search::{
    Attempt, Condition, Direction, Distribution, Event, FailureCause, ParamValue, Parameter, Params, PauseReason,
    Scale, SearchSpace, TrialNumber,
};
use nightsweep_store::{Level, NewStudy, Provenance, Store, StudyId};

/// The name of the study.
pub const NAME: &str = "fashion-overnight";
/// Epochs of a trial that comes to its end.
pub const EPOCHS: u64 = 12;

/// So many trials of 30 reports, ten at a time.
pub async fn many(store: &Store, study: StudyId, trials: u64) -> Result<(), Box<dyn std::error::Error>> {
    const AT_ONCE: u64 = 10;
    let began = jiff::Timestamp::now().as_millisecond() - i64::try_from(trials / AT_ONCE)? * 40_000;
    let opened = Event::Opened { pid: std::process::id(), host: "demo".to_owned(), version: "0.1.0".to_owned() };
    store.append_all_at(study, began, &[opened]).await?;
    for first in (0..trials).step_by(AT_ONCE as usize) {
        let numbers = first..(first + AT_ONCE).min(trials);
        let at = began + i64::try_from(first / AT_ONCE)? * 40_000;
        let started = |number| Event::Started {
            trial: TrialNumber(number),
            params: params(number),
            why: "a made-up point".to_owned(),
        };
        store.append_all_at(study, at, &numbers.clone().map(started).collect::<Vec<_>>()).await?;
        for number in numbers.clone() {
            let slot = (number % AT_ONCE).to_string();
            store.record_assignment(study, TrialNumber(number), Attempt::FIRST, &slot, "GPU", 1).await?;
        }
        let mut events = Vec::new();
        for number in numbers {
            events.extend((1..=30).map(|step| reported(number, step, 1)));
            let Some(Event::Reported { value: Some(value), .. }) = events.last() else { continue };
            let (trial, attempt, value) = (TrialNumber(number), Attempt::FIRST, *value);
            events.push(match number % 20 {
                0 => Event::Pruned { trial, attempt },
                _ => Event::Completed { trial, attempt, value },
            });
        }
        store.append_all_at(study, at + 36_000, &events).await?;
    }
    Ok(())
}

/// 64 trials of every kind, two of which are running.
pub async fn few(store: &Store, study: StudyId) -> Result<(), Box<dyn std::error::Error>> {
    let began = jiff::Timestamp::now().as_millisecond() - 2 * 3_600_000;
    let opened = Event::Opened { pid: std::process::id(), host: "demo".to_owned(), version: "0.1.0".to_owned() };
    store.append_all_at(study, began, &[opened]).await?;
    for number in 0..64 {
        tell(store, study, number, began + i64::try_from(number)? * 100_000).await?;
    }
    Ok(())
}

/// A number in [0, 1) that looks random and is the same each time.
fn noise(number: u64, stream: u64) -> f64 {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (stream + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

/// What is asked for.
pub fn study(name: &str) -> NewStudy {
    let text = |words: &[&str]| Distribution::Categorical {
        choices: words.iter().map(|word| ParamValue::Text((*word).to_owned())).collect(),
    };
    let log = |low, high| Distribution::Float { low, high, scale: Scale::Log };
    let when = |word: &str| {
        Some(Condition { parent: "optimizer".to_owned(), equals: vec![ParamValue::Text(word.to_owned())] })
    };
    let parameter = |name: &str, distribution, when| Parameter { name: name.to_owned(), distribution, when };
    let batches = Distribution::Ordinal { choices: [64, 128, 256].map(ParamValue::Int).to_vec() };
    NewStudy {
        name: name.to_owned(),
        source: String::new(),
        plan: serde_json::json!({
            "trials": 100, "objectives": [{ "metric": "train_seconds", "direction": "minimize" }],
        }),
        metric: "val_accuracy".to_owned(),
        direction: Direction::Maximize,
        seed: 1,
        space: SearchSpace(vec![
            parameter("batch_size", batches, None),
            parameter("optimizer", text(&["sgd", "adamw"]), None),
            parameter("optimizer.sgd.lr", log(1e-3, 1.0), when("sgd")),
            parameter(
                "optimizer.sgd.momentum",
                Distribution::Float { low: 0.8, high: 0.99, scale: Scale::Linear },
                when("sgd"),
            ),
            parameter("optimizer.adamw.lr", log(1e-5, 1e-2), when("adamw")),
            parameter("schedule", text(&["cosine", "one_cycle", "constant"]), None),
            parameter("label_smoothing", Distribution::Float { low: 0.0, high: 0.2, scale: Scale::Linear }, None),
        ]),
    }
}

/// The point that a trial tries.
pub fn params(number: u64) -> Params {
    let draw = |stream| noise(number, stream);
    let text = |word: &str| ParamValue::Text(word.to_owned());
    let mut params = vec![("batch_size", ParamValue::Int([64, 128, 256][(draw(0) * 3.0) as usize]))];
    if draw(1) < 0.6 {
        params.push(("optimizer", text("sgd")));
        params.push(("optimizer.sgd.lr", ParamValue::Float(10f64.powf(-3.0 + 3.0 * draw(2)))));
        params.push(("optimizer.sgd.momentum", ParamValue::Float(0.8 + 0.19 * draw(3))));
    } else {
        params.push(("optimizer", text("adamw")));
        params.push(("optimizer.adamw.lr", ParamValue::Float(10f64.powf(-5.0 + 3.0 * draw(2)))));
    }
    params.push(("schedule", text(["cosine", "one_cycle", "constant"][(draw(4) * 3.0) as usize])));
    params.push(("label_smoothing", ParamValue::Float(0.2 * draw(5))));
    params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What a trial reports after an epoch.
pub fn reported(number: u64, step: u64, attempt: u32) -> Event {
    let height = 0.93 - 0.25 * (noise(number, 2) - 0.55).powi(2) - 0.08 * noise(number, 7);
    let progress = 1.0 - (-(step as f64) * (0.25 + 0.5 * noise(number, 8))).exp();
    let value = 0.1 + (height - 0.1) * progress + 0.008 * (noise(number * 100 + step, 9) - 0.5);
    let batch = [64.0, 128.0, 256.0][(noise(number, 0) * 3.0) as usize];
    let images_per_second = 3800.0 + 500.0 * (batch / 64.0_f64).log2() + 300.0 * noise(number * 100 + step, 10);
    let metrics = [
        ("train_loss", 2.3 * (1.0 - progress) + 0.12),
        ("val_loss", 2.2 * (1.0 - value) + 0.1),
        ("train_accuracy", (value + 0.02 * progress).min(0.999)),
        ("lr", 0.05 * (1.0 + (std::f64::consts::PI * step as f64 / EPOCHS as f64).cos())),
        ("images_per_second", images_per_second),
        ("train_seconds", 60_000.0 / images_per_second),
        ("gpu_utilization", 88.0 + 9.0 * noise(number * 100 + step, 11)),
        ("device_memory_bytes", 1.1e9 + 6.0e6 * batch),
        ("peak_memory_bytes", 1.4e9 + 2.0e8 * noise(number, 12)),
        ("input_wait_share", 0.03 * noise(number * 100 + step, 13)),
    ];
    let metrics: BTreeMap<_, _> = metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Event::Reported { trial: TrialNumber(number), attempt: Attempt(attempt), step, value: Some(value), metrics }
}

async fn tell(store: &Store, study: StudyId, number: u64, began: i64) -> Result<(), Box<dyn std::error::Error>> {
    let (trial, attempt) = (TrialNumber(number), Attempt::FIRST);
    let why = if number < 10 { "a Sobol point".to_owned() } else { format!("TPE over {number} trials") };
    store.append_all_at(study, began, &[Event::Started { trial, params: params(number), why }]).await?;
    let slot = format!("gpu-{}", number % 2);
    let assign = async |attempt| {
        let attempt = Attempt(attempt);
        store.record_provenance(study, trial, attempt, &provenance(number)).await?;
        store.record_assignment(study, trial, attempt, &slot, "GPU", 4000 + number as u32).await
    };
    assign(1).await?;
    store
        .set_recipe(study, trial, &format!("epochs = {EPOCHS}\nbatch_size = 128\n\n[model]\nkind = \"resnet8\"\n"))
        .await?;
    store.append_log(study, trial, attempt, Level::Info, "6000 training images, 1000 for validation").await?;
    let at = |step: u64| began + i64::try_from(step).unwrap_or(0) * 15_000;
    let report = async |from: u64, to: u64, attempt: u32| {
        for step in from..=to {
            store.append_all_at(study, at(step), &[reported(number, step, attempt)]).await?;
        }
        Ok::<_, nightsweep_store::AppendError>(())
    };
    let failed = |cause, message: &str| Event::Failed { trial, attempt, cause, message: message.to_owned() };
    match (number, (noise(number, 6) * 10.0) as u64) {
        (62.., _) => report(1, 3 + number % 3, 1).await?,
        (61, _) => {}
        (_, 0) if number.is_multiple_of(3) => {
            store
                .append_all_at(study, at(1), &[failed(FailureCause::OutOfMemory, "no memory for a batch of 256")])
                .await?;
        }
        (_, 0) => {
            report(1, 2, 1).await?;
            store.append_log(study, trial, attempt, Level::Error, "the loss is NaN after epoch 2").await?;
            store
                .append_all_at(study, at(3), &[failed(FailureCause::Diverged, "the loss became NaN in epoch 3")])
                .await?;
        }
        (_, 1) => {
            report(1, 1, 1).await?;
            store.append_all_at(study, at(2), &[Event::Paused { trial, attempt, reason: PauseReason::Rung }]).await?;
            if number.is_multiple_of(2) {
                store.append_all_at(study, at(4), &[Event::Resumed { trial, attempt: Attempt(2) }]).await?;
                assign(2).await?;
                for step in 2..=EPOCHS {
                    store.append_all_at(study, at(step + 3), &[reported(number, step, 2)]).await?;
                }
                complete(store, study, number, 2, at(EPOCHS + 3)).await?;
            }
        }
        (_, 2..=5) => {
            report(1, 3, 1).await?;
            store.append_all_at(study, at(3), &[Event::Pruned { trial, attempt }]).await?;
        }
        (_, 6) => {
            report(1, 4, 1).await?;
            let requeued = Event::Requeued {
                trial,
                attempt,
                cause: Some(FailureCause::Crashed),
                message: "the worker was killed".to_owned(),
            };
            store.append_all_at(study, at(4), &[requeued, Event::Resumed { trial, attempt: Attempt(2) }]).await?;
            assign(2).await?;
            report(5, EPOCHS, 2).await?;
            complete(store, study, number, 2, at(EPOCHS)).await?;
        }
        _ => {
            report(1, EPOCHS, 1).await?;
            complete(store, study, number, 1, at(EPOCHS)).await?;
        }
    }
    Ok(())
}

/// What a trial ran on.
fn provenance(number: u64) -> Provenance {
    let library = |(name, version): (&str, &str)| (name.to_owned(), version.to_owned());
    Provenance {
        study_seed: 1,
        trial_seed: number,
        data: "7b1c0f5e9ad34286".repeat(4),
        files: Some("e2d94a60718bc35f".repeat(4)),
        version: "0.1.0".to_owned(),
        device: format!("gpu:{}", number % 2),
        hardware: "a made-up GPU, driver 0.0".to_owned(),
        libraries: [("burn", "0.0.0"), ("cubecl", "0.0.0"), ("image", "0.0.0")].map(library).into(),
    }
}

async fn complete(
    store: &Store,
    study: StudyId,
    number: u64,
    attempt: u32,
    at: i64,
) -> Result<(), Box<dyn std::error::Error>> {
    let Event::Reported { value: Some(value), .. } = reported(number, EPOCHS, attempt) else { return Ok(()) };
    let completed = Event::Completed { trial: TrialNumber(number), attempt: Attempt(attempt), value };
    store.append_all_at(study, at, &[completed]).await?;
    Ok(())
}
