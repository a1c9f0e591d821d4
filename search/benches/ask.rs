//! How long an ask and a tell take with so many finished trials, how long whole studies, and how much memory a long one needs.
//!
//! `cargo bench -p nightsweep-search --bench ask` prints CPU time; divide by another program's figures on one machine only.
//! `benches/peers.py` runs the same whole studies with rustuna and Optuna.

use std::fs;

use nightsweep_search::{
    Attempt, Distribution, Event, ParamValue, Parameter, SamplerKind, Scale, SearchSpace, Study, StudyConfig,
    Suggestion,
};

/// Enough for the clock, which ticks in milliseconds.
const ASKS: u32 = 200;
/// Of a process, which is slower, and slower with each result.
const GP_ASKS: u32 = 20;

fn main() {
    // First, while nothing was freed that could be used again.
    println!("100,000 trials of 20 parameters: {} MB\n", long_study_bytes() / 1_000_000);
    println!("| sampler | finished trials | ask + tell, ms |\n| --- | --- | --- |");
    for (sampler, counts) in [
        (SamplerKind::Tpe, &[100, 1_000, 10_000, 100_000][..]),
        (SamplerKind::Gp, &[100, 1_000]),
        (SamplerKind::CmaEs, &[100, 1_000, 10_000]),
        (SamplerKind::Nsga2, &[100, 1_000, 10_000]),
        (SamplerKind::Auto, &[100, 1_000, 10_000]),
    ] {
        for count in counts {
            println!("| {sampler} | {count} | {:.3} |", milliseconds(sampler, *count));
        }
    }
    println!("\n| whole study of `tpe` | CPU seconds | best value |\n| --- | --- | --- |");
    for (trials, parameters) in [(1_000, 40), (10_000, 10)] {
        let start = cpu_seconds();
        let study = bowl(trials, parameters);
        let best = study.best().and_then(|best| best.value).expect("trials are complete");
        println!("| {trials} trials, {parameters} parameters | {:.2} | {best:.4} |", cpu_seconds() - start);
    }
}

/// What a study of many trials takes.
fn long_study_bytes() -> u64 {
    let before = resident_bytes();
    let mut study = Study::new(config(SamplerKind::Random, 20)).expect("the space is valid");
    for _ in 0..100_000 {
        for event in trial(&study) {
            study.tell(&event).expect("the event is possible");
        }
    }
    resident_bytes() - before
}

/// A study in real numbers from -5 to 5 of the sum of their squared distances from 1; what peers.py runs too.
fn bowl(trials: usize, parameters: usize) -> Study {
    let distribution = Distribution::Float { low: -5.0, high: 5.0, scale: Scale::Linear };
    let parameter = |at| Parameter { name: format!("x{at}"), distribution: distribution.clone(), when: None };
    let space = SearchSpace::new((0..parameters).map(parameter).collect()).expect("the space is valid");
    let mut study = Study::new(StudyConfig { space, ..config(SamplerKind::Tpe, 1) }).expect("the config is valid");
    for _ in 0..trials {
        let Suggestion::Start { trial, params, why } = study.ask() else { unreachable!("a real space never ends") };
        let value = params.iter().filter_map(|(_, value)| value.as_f64()).map(|x| (x - 1.0).powi(2)).sum();
        let events =
            [Event::Started { trial, params, why }, Event::Completed { trial, attempt: Attempt::FIRST, value }];
        events.iter().for_each(|event| study.tell(event).expect("the event is possible"));
    }
    study
}

/// Time that this thread had a processor: other work on the machine does not stretch it.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/schedstat").expect("Linux tells");
    stat.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok()).expect("it is a number") / 1e9
}

fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux tells");
    4096 * statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("it is a number")
}

fn milliseconds(sampler: SamplerKind, count: usize) -> f64 {
    let mut random = Study::new(config(SamplerKind::Random, 10)).expect("the space is valid");
    let mut study = Study::new(config(sampler, 10)).expect("the space is valid");
    for _ in 0..count {
        for event in trial(&random) {
            random.tell(&event).expect("the event is possible");
            study.tell(&event).expect("the event is possible");
        }
    }
    let start = cpu_seconds();
    let asks = if matches!(sampler, SamplerKind::Gp | SamplerKind::Auto) { GP_ASKS } else { ASKS };
    for _ in 0..asks {
        for event in trial(&study) {
            study.tell(&event).expect("the event is possible");
        }
    }
    (cpu_seconds() - start) * 1000.0 / f64::from(asks)
}

/// The study's next trial from start to end.
fn trial(study: &Study) -> [Event; 2] {
    let Suggestion::Start { trial, params, why } = study.ask() else {
        unreachable!("samplers of a real space never end")
    };
    let value = params.iter().filter_map(|(_, value)| value.as_f64()).map(|x| (x - 0.3).powi(2)).sum();
    [Event::Started { trial, params, why }, Event::Completed { trial, attempt: Attempt::FIRST, value }]
}

fn config(sampler: SamplerKind, parameters: usize) -> StudyConfig {
    let float = |scale| Distribution::Float { low: 0.001, high: 1.0, scale };
    let int = |scale| Distribution::Int { low: 1, high: 64, scale };
    let choices = ["a", "b", "c", "d"].map(|choice| ParamValue::Text(choice.into())).to_vec();
    let kinds = [
        float(Scale::Linear),
        float(Scale::Log),
        int(Scale::Linear),
        int(Scale::Log),
        Distribution::Categorical { choices },
    ];
    let parameters = kinds.iter().cycle().take(parameters).enumerate();
    let parameter = |(at, kind): (usize, &Distribution)| Parameter {
        name: format!("x{at}"),
        distribution: kind.clone(),
        when: None,
    };
    let space = SearchSpace::new(parameters.map(parameter).collect()).expect("the space is valid");
    StudyConfig { seed: 1, sampler, ..StudyConfig::new(space) }
}
