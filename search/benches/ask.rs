//! How long an ask and a tell take with so many finished trials, in a mixed space of ten parameters.
//!
//! `cargo bench -p nightsweep-search --bench ask` prints milliseconds; divide by another program's figures on one machine only.

use std::time::Instant;

use nightsweep_search::{
    Attempt, Direction, Distribution, Event, ParamValue, Parameter, PrunerKind, SamplerKind, Scale, SearchSpace, Study,
    StudyConfig, Suggestion,
};

const ASKS: u32 = 20;

fn main() {
    println!("| sampler | finished trials | ask + tell, ms |\n| --- | --- | --- |");
    for (sampler, counts) in [
        (SamplerKind::Tpe, &[100, 1_000, 10_000, 100_000][..]),
        (SamplerKind::Gp, &[100, 1_000]),
        (SamplerKind::Auto, &[100, 1_000, 10_000]),
    ] {
        for count in counts {
            println!("| {sampler} | {count} | {:.3} |", milliseconds(sampler, *count));
        }
    }
}

fn milliseconds(sampler: SamplerKind, count: usize) -> f64 {
    let mut random = Study::new(config(SamplerKind::Random)).expect("the space is valid");
    let mut study = Study::new(config(sampler)).expect("the space is valid");
    for _ in 0..count {
        for event in trial(&random) {
            random.tell(&event).expect("the event is possible");
            study.tell(&event).expect("the event is possible");
        }
    }
    let start = Instant::now();
    for _ in 0..ASKS {
        for event in trial(&study) {
            study.tell(&event).expect("the event is possible");
        }
    }
    start.elapsed().as_secs_f64() * 1000.0 / f64::from(ASKS)
}

/// The study's next trial from start to end.
fn trial(study: &Study) -> [Event; 2] {
    let Suggestion::Start { trial, params, why } = study.ask() else {
        unreachable!("samplers of a real space never end")
    };
    let value = params.iter().filter_map(|(_, value)| value.as_f64()).map(|x| (x - 0.3).powi(2)).sum();
    [Event::Started { trial, params, why }, Event::Completed { trial, attempt: Attempt::FIRST, value }]
}

fn config(sampler: SamplerKind) -> StudyConfig {
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
    let parameters = kinds.iter().cycle().take(10).enumerate();
    let parameter = |(at, kind): (usize, &Distribution)| Parameter {
        name: format!("x{at}"),
        distribution: kind.clone(),
        when: None,
    };
    StudyConfig {
        space: SearchSpace::new(parameters.map(parameter).collect()).expect("the space is valid"),
        direction: Direction::Minimize,
        seed: 1,
        sampler,
        pruner: PrunerKind::None,
        max_trials: None,
        max_step: None,
        workers: 1,
        objectives: Vec::new(),
        cost: None,
    }
}
