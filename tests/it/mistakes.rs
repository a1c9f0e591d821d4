//! What a person gets wrong: a clear word, the place, and what to do.

use crate::workplace::{STUDY, Workplace, flat};

/// What the program prints of a study file, and its exit status.
fn check(study: &str, words: &[&str], status: i32, expected: &[&str]) {
    let place = Workplace::new(study);
    let output = place.run(words);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{errors}");
    for text in expected {
        // What is long is broken into lines.
        assert!(errors.contains(text) || flat(&output.stderr).contains(text), "`{text}` is not in:\n{errors}");
    }
}

const RUN: [&str; 3] = ["run", "study.toml", "--no-web"];

#[test]
fn a_misspelt_key_is_shown_with_file_line_and_the_nearest_key() {
    let study = STUDY.replace("batch_size", "batch_sise");
    check(&study, &RUN, 2, &["study.toml:13:", "the recipe has no `batch_sise`", "did you mean `batch_size`?"]);
}

#[test]
fn what_a_population_cannot_live_with_is_named() {
    let with = |pruner: &str| {
        STUDY.replace(r#"{ kind = "asha", min_epochs = 1, reduction_factor = 2 }"#, &format!("{{ {pruner} }}"))
    };
    let model = with("kind = 'pbt'").replace("[space]\n", "[space]\nmodel.width = [4, 8]\n");
    let expected = ["study.toml:13:", "`model.width` cannot vary in a population", "fix it in `[recipe]`"];
    check(&model, &RUN, 2, &expected);
    let long = with("kind = 'pb2', interval_epochs = 4");
    check(&long, &RUN, 2, &["the pruner's interval_epochs cannot be 4: fewer than a full training has"]);
    let sampler = STUDY.replace(r#"sampler = "random""#, r#"sampler = "pbt""#);
    check(&sampler, &RUN, 2, &["there is no sampler `pbt` (it is a pruner)"]);
}

#[test]
fn a_study_file_that_is_not_there_is_named() {
    check("", &["run", "other.toml"], 2, &["other.toml", "could not read the study file", "nightsweep init"]);
}

#[test]
fn data_that_is_not_there_is_named() {
    check(&STUDY.replace("fashion-mnist-mini", "no-such-folder"), &RUN, 1, &["no-such-folder"]);
}

#[test]
fn a_changed_study_is_refused_under_its_old_name() {
    let place = Workplace::new(&STUDY.replace("trials = 6", "trials = 1"));
    place.succeed(&RUN);
    let output = place.run(&["run", "study.toml", "--no-web", "--set", "study.seed=6"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("was begun with another [study.seed]"), "{errors}");
}

#[test]
fn a_trial_is_no_study_to_be_exported() {
    let place = Workplace::new(&STUDY.replace("trials = 6", "trials = 1"));
    place.succeed(&RUN);
    let output = place.run(&["export", "3", "--format", "csv"]);
    let errors = flat(&output.stderr);
    assert!(errors.contains("`--format` writes a study as a whole, and not `3` alone"), "{errors}");
}

#[test]
fn a_store_that_is_none_is_left_alone() {
    let place = Workplace::new(STUDY);
    std::fs::create_dir(place.path("nightsweep-runs")).unwrap();
    std::fs::write(place.path("nightsweep-runs/store.sqlite"), "these are my notes").unwrap();
    let output = place.run(&RUN);
    assert!(!output.status.success());
    assert_eq!(std::fs::read_to_string(place.path("nightsweep-runs/store.sqlite")).unwrap(), "these are my notes");
}

#[test]
fn commands_without_a_store_say_how_to_make_one() {
    for words in [&["report"][..], &["export", "best"], &["replay"], &["serve"]] {
        check("", words, 1, &["there is no store", "nightsweep run"]);
    }
}

#[test]
fn weights_that_are_none_or_others_are_told_apart() {
    let place = Workplace::new("");
    let recipe =
        "seed = { study = 1, trial = 0 }\n[data]\npath = 'fashion-mnist-mini'\n[recipe]\nmodel = { kind = 'mlp' }";
    std::fs::write(place.path("recipe.toml"), recipe).unwrap();
    let errors = |words: &[&str]| {
        let output = place.run(&[&["evaluate", "recipe.toml", "--device", "cpu:1"], words].concat());
        assert!(!output.status.success());
        flat(&output.stderr)
    };
    let printed = errors(&[]);
    assert!(printed.contains("no weights are named") && printed.contains("--weights FILE"), "{printed}");
    let printed = errors(&["--weights", "none.pth"]);
    assert!(printed.contains("could not read the weights `none.pth`"), "{printed}");
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/trainer/tests/golden/weights/legacy.pth");
    let printed = errors(&["--weights", weights]);
    assert!(printed.contains("`hidden.0.weight` has shape [2, 3] instead of [256, 784]"), "{printed}");
}
