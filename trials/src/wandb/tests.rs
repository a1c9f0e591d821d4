//! Sweeps as people have them, each with the study that comes of it.

use nightsweep_search::{Distribution, PrunerKind, SamplerKind, Scale};

use super::*;
use crate::plan::Plan;

const GIVEN: Given = Given { name: "sweep", data: Some("fashion-mnist-mini") };

/// The study of a sweep, whose file must bind, and its notes as `line key: text`.
fn taken(yaml: &str) -> (Plan, Vec<String>) {
    let imported = import(yaml, GIVEN).unwrap_or_else(|mistake| panic!("{mistake:?}\n{yaml}"));
    let plan = study_file::parse(&imported.text, ".".into());
    let plan = plan.unwrap_or_else(|mistake| panic!("{mistake:?}\n{}", imported.text));
    let study = nightsweep_search::Study::new(plan.study_config()).unwrap();
    let nightsweep_search::Suggestion::Start { params, .. } = study.ask() else { panic!("{}", imported.text) };
    crate::bind::bind(&plan.recipe, &params).unwrap();
    let notes = imported.notes.iter().map(|Note { line, key, text }| format!("{line} {key}: {text}")).collect();
    (plan, notes)
}

/// The distribution of the one parameter of a sweep that has it under that name.
fn check(parameter: &str, name: &str, expected: Distribution, notes: &[&str]) {
    let (plan, told) = taken(&format!("method: random\nparameters:\n  {parameter}\n"));
    let found = plan.space.0.iter().find(|it| it.name == name);
    assert_eq!(found.map(|it| &it.distribution), Some(&expected), "{parameter}: {told:?}");
    let told: Vec<&str> = told.iter().map(|note| note.strip_prefix("3 ").unwrap_or(note)).collect();
    assert_eq!(told, notes.iter().map(|note| format!("{}: {note}", key_of(parameter))).collect::<Vec<_>>());
}

fn key_of(parameter: &str) -> &str {
    parameter.split(':').next().unwrap()
}

fn float(low: f64, high: f64, scale: Scale) -> Distribution {
    Distribution::Float { low, high, scale }
}

#[test]
fn a_usual_sweep_becomes_a_study_with_conditional_parameters() {
    let (plan, notes) = taken(
        r"program: train.py
project: cats
name: cats & dogs
description: what everybody has
method: bayes
metric:
  name: val/acc
  goal: maximize
run_cap: 40
parameters:
  optimizer:
    values: [adam, sgd, adagrad]
  learning_rate:
    distribution: log_uniform_values
    min: 1e-5
    max: 1e-1
  momentum: {min: 0.8, max: 0.99}
  weight_decay: {value: 0.0005}
  batch_size:
    values: [128, 32, 64]
  epochs: {values: [10, 20]}
  scheduler: {value: cosine}
  warmup_epochs: {min: 0, max: 3}
  model:
    parameters:
      name: {values: [resnet18, mlp]}
      dropout: {min: 0.0, max: 0.5}
      hidden_units: {values: [128, 256]}
  num_workers: {value: 4}
early_terminate:
  type: hyperband
  min_iter: 3
  eta: 2
",
    );
    assert_eq!((plan.name.as_str(), plan.trials, plan.recipe.epochs), ("cats---dogs", Some(40), 20));
    assert_eq!(plan.sampler, SamplerKind::Auto);
    let PrunerKind::Asha(asha) = &plan.pruner else { panic!("{:?}", plan.pruner) };
    assert_eq!((asha.min_epochs, asha.reduction_factor), (3, 2));
    let names: Vec<&str> = plan.space.0.iter().map(|parameter| parameter.name.as_str()).collect();
    for name in [
        "optimizer",
        "optimizer.adam.lr",
        "optimizer.sgd.lr",
        "optimizer.sgd.momentum",
        "optimizer.adam.weight_decay",
        "optimizer.sgd.weight_decay",
        "batch_size",
        "schedule.warmup_epochs",
        "model",
        "model.resnet18.dropout",
        "model.mlp.dropout",
        "model.mlp.width",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert_eq!(names.len(), 12, "{names:?}");
    assert_eq!(
        notes,
        [
            "11 optimizer: `adagrad` is none of ours and is left out",
            "21 epochs: trials train for the most of them; a pruner ends those early that do not pay",
            "29 num_workers: no name of ours is like it",
        ]
    );
}

#[test]
fn every_distribution_is_a_range_or_a_list_of_ours() {
    let linear = Scale::Linear;
    let lr = "optimizer.lr";
    check("lr: {min: 0.001, max: 0.1}", lr, float(0.001, 0.1, linear), &[]);
    check("lr: {distribution: uniform, min: 1, max: 2}", lr, float(1.0, 2.0, linear), &[]);
    check("lr: {distribution: log_uniform_values, min: '1e-4', max: 1.0e-1}", lr, float(1e-4, 0.1, Scale::Log), &[]);
    check("lr: {distribution: log_uniform, min: -2, max: 0}", lr, float((-2f64).exp(), 1.0, Scale::Log), &[]);
    check("lr: {distribution: inv_log_uniform, min: 0, max: 2}", lr, float((-2f64).exp(), 1.0, Scale::Log), &[]);
    check("lr: {distribution: inv_log_uniform_values, min: 0.01, max: 1.0}", lr, float(0.01, 1.0, Scale::Log), &[]);
    check(
        "dropout: {distribution: q_uniform, min: 0.1, max: 0.5, q: 0.1}",
        "model.dropout",
        float(0.1, 0.5, Scale::Step(0.1)),
        &[],
    );
    check(
        "lr: {distribution: q_log_uniform_values, min: 0.01, max: 1, q: 0.01}",
        lr,
        float(0.01, 1.0, Scale::Log),
        &["in the logarithm there are no steps: `q` (0.01) is not taken over"],
    );
    let preferred = |of: &str| format!("{of} becomes a range of three deviations around its middle, preferred");
    check(
        "lr: {distribution: normal, mu: 0.5, sigma: 0.125}",
        lr,
        float(0.125, 0.875, linear),
        &[&preferred("normal")],
    );
    check(
        "lr: {distribution: log_normal, mu: -2, sigma: 0.5}",
        lr,
        float((-3.5f64).exp(), (-0.5f64).exp(), Scale::Log),
        &[&preferred("log_normal")],
    );
}

#[test]
fn values_are_a_list_and_one_value_is_none() {
    use nightsweep_search::ParamValue::{Bool, Float, Int};
    let ordinal = |choices: Vec<_>| Distribution::Ordinal { choices };
    check("batch_size: {values: [64, 16, 32, 16]}", "batch_size", ordinal(vec![Int(16), Int(32), Int(64)]), &[]);
    check("batch-size: {values: [64.0, 32]}", "batch_size", ordinal(vec![Int(32), Int(64)]), &[]);
    check("mixup_alpha: {values: [0, 0.2]}", "augment.mixup", ordinal(vec![Float(0.0), Float(0.2)]), &[]);
    check(
        "nesterov: {values: [true, false], probabilities: [0.9, 0.1]}",
        "optimizer.nesterov",
        Distribution::Categorical { choices: vec![Bool(true), Bool(false)] },
        &["its probabilities are not taken over"],
    );
    let (plan, notes) =
        taken("method: grid\nparameters:\n  bs: {values: [64]}\n  lr: {value: 0.5}\n  seed: {value: 7}\n");
    assert!(notes.is_empty() && plan.space.0.is_empty());
    assert_eq!((plan.recipe.batch_size, plan.seed, plan.sampler), (64, 7, SamplerKind::Grid));
    assert_eq!(serde_json::to_value(&plan.recipe.optimizer).unwrap()["lr"], 0.5);
}

#[test]
fn what_cannot_be_trained_with_is_left_out_and_told() {
    let (plan, notes) = taken(
        r"method: hyperopt
metric: {name: fid, goal: minimize, target: 3}
parameters:
  dropout: {min: 0.0, max: 2.0}
  beta1: {min: 0.8, max: 0.9}
  gamma: {min: 0.1, max: 0.5}
  image_size: {values: [32, 64]}
  optimizer: {values: [1, 2]}
  batch_size: {min: 1.5, max: 2.5}
controller: {type: local}
early_terminate: {type: envelope}
",
    );
    assert_eq!((plan.metric, plan.pruner), (Metric::ValAccuracy, PrunerKind::None));
    let starts = [
        "1 method: it is none of random, grid and bayes: `auto` searches",
        "2 metric.name: `fid` is none of ours: trials are judged by `val_accuracy`",
        "2 metric.goal: the sweep says minimize, but `val_accuracy` is maximized",
        "2 metric.target: a study ends by its trials or its time",
        "4 dropout: left out: ",
        "5 beta1: left out: sgd has no `beta1`",
        "6 gamma: left out: cosine has no `gamma`",
        "7 image_size: left out: `data.image_size` does not vary in a study",
        "8 optimizer: left out: `optimizer` is a choice between words",
    ];
    for (note, start) in notes.iter().zip(starts) {
        assert!(note.starts_with(start), "{note} instead of {start}");
    }
    assert!(notes.iter().any(|note| note.starts_with("10 controller")) && notes.iter().any(|it| it.starts_with("11 ")));
    assert!(plan.space.0.iter().all(|parameter| parameter.name == "batch_size"), "{:?}", plan.space);
}

#[test]
fn a_mistake_in_a_sweep_is_shown_with_its_line() {
    let check = |yaml: &str, line: usize, message: &str| {
        let error = import(yaml, GIVEN).unwrap_err().in_file("sweep.yaml".into(), yaml);
        assert!(error.message.contains(message) && error.line() == Some(line), "{yaml}: {error:?}");
    };
    check("method: [random\nparameters:\n", 2, "this is not YAML");
    check("- a\n- b\n", 1, "a sweep is a table of keys");
    check("method: random\n", 1, "a sweep has `parameters`");
    check("parameters:\n  é: {value: 1}\n  lr: {minimum: 1, max: 2}\n", 3, "unknown key of `lr` `minimum`");
    check("parameters:\n  lr: {min: 2, max: 1}\n", 2, "the range of `lr` goes from 2 to 1");
    check("parameters:\n  lr: {min: a, max: 1}\n", 2, "`lr` needs a number as `min`");
    check("parameters:\n  lr: {distribution: uniformly, min: 0, max: 1}\n", 2, "unknown distribution `uniformly`");
    check("parameters:\n  lr: 0.1\n", 2, "`lr` has neither a value nor values nor a range");
    check("parameters:\n  a: {value: 1}\n  a: {value: 2}\n", 3, "duplicate");
}
