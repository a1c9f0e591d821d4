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
fn a_value_that_makes_no_sense_is_shown_where_it_stands() {
    let with = |from: &str, to: &str| STUDY.replace(from, to);
    check(&with("val = 0.2", "val = 1.5"), &RUN, 2, &["study.toml:8:", "`data.val = 1.5` is not a fraction"]);
    check(&with("val = 0.2", "val = 0"), &RUN, 2, &["study.toml:8:", "give `val` above 0, such as 0.1"]);
    check(&with("val = 0.2", "image_size = 100000"), &RUN, 2, &["study.toml:8:", "is not between 1 and 2048"]);
    let disk = with("trials = 6", "disk = \"20 QB\"");
    check(&disk, &RUN, 2, &["study.toml:5:", "`disk = \"20 QB\"` is no size", "for example `disk = \"20 GB\"`"]);
    let rate = with("epochs = 4", "lr = 0.1");
    check(&rate, &RUN, 2, &["study.toml:11:", "the recipe has no `lr`", "did you mean `optimizer.lr`?"]);
    // What only the data and the store can tell.
    let split = with("val = 0.2", "test = 0.2");
    let expected = ["study.toml:8:", "has a test split of its own", "remove `test`"];
    check(&split, &RUN, 2, &expected);
    check(&split, &["plan", "study.toml"], 2, &expected);
    let start = with("[search]", "[search]\nwarm_start = [\"nope\"]");
    let expected = ["study.toml:19:", "unknown study `nope`", "there are: shipped/cifar10, shipped/mnist"];
    check(&start, &RUN, 2, &expected);
}

#[test]
fn a_command_line_that_makes_no_sense_is_wrong_usage() {
    let run = |more: &[&str], expected: &[&str]| check(STUDY, &[&RUN, more].concat(), 2, expected);
    run(&["--for", "0s"], &["`--for 0s` is no time at all", "for example --for 8h"]);
    run(&["--for", "99999999999h"], &["`--for 99999999999h` is longer than a year"]);
    run(&["--until", "25:00"], &["`--until 25:00` is no time of day"]);
    run(&["--workers", "0"], &["invalid value '0' for '--workers"]);
    check(STUDY, &["run", "study.toml", "--listen", "0.0.0.0:0"], 2, &["`nightsweep serve --listen`"]);
    check(
        STUDY,
        &["policy", "learn", "study.toml", "--method", "density", "--budget", "soon"],
        2,
        &["`--budget soon`"],
    );
    check(STUDY, &["plot", "history", "-o", "history.gif"], 2, &["neither an SVG nor a PNG file"]);
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
