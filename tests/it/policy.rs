//! Learning augmentation policies from the command line.

use std::fs;

use nightsweep_trainer::policy::HarmTable;
use nightsweep_trainer::recipe::Recipe;
use nightsweep_trials::policy::compare::Comparison;
use nightsweep_trials::{policy, study_file};

use crate::workplace::Workplace;

/// Small enough for a test; what is found is for the trainer's tests to judge.
const CHILDREN: [&str; 7] = ["arrows-and-disks", "--model", "convnet", "--epochs", "2", "--device", "cpu:1"];

#[test]
fn a_policy_is_learned_within_what_is_harmless_and_compared() {
    let place = Workplace::new("");
    let printed = place.succeed(&[&["policy", "harm"], &CHILDREN[..], &["--levels", "2", "--images", "160"]].concat());
    assert!(printed.contains("may be used") && printed.contains("translate_x -"), "{printed}");
    let table: HarmTable = toml::from_str(&fs::read_to_string(place.path("harm.toml")).unwrap()).unwrap();
    assert_eq!((table.data.as_str(), table.images), ("arrows-and-disks", 160));
    assert!(fs::read(place.path("harm.png")).unwrap().starts_with(b"\x89PNG"));

    for method in ["relaxed", "density", "rand_augment", "controller", "trivial_augment"] {
        let file = format!("{method}.toml");
        let words = ["--method", method, "--within", "harm.toml", "--budget", "4s", "-o", &file, "--reduced", "400"];
        place.succeed(&[&["policy", "learn"], &CHILDREN[..], &words].concat());
        let text = fs::read_to_string(place.path(&file)).unwrap();
        policy::parse_policy(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut recipe: Recipe =
            toml::from_str(&format!("augment.policy = {{ kind = 'file', path = '{file}' }}")).unwrap();
        study_file::read_policy(&mut recipe, &place.path("")).unwrap();
        recipe.check().unwrap();
    }

    let policies = "none,trivial_augment+flip+crop,relaxed.toml";
    let words = ["--policies", policies, "--seeds", "2", "--reduced", "400", "--json", "found.json"];
    let printed = place.succeed(&[&["policy", "compare"], &CHILDREN[..], &words].concat());
    assert!(printed.contains("test accuracy") && printed.contains("against none"), "{printed}");
    let found: Comparison = serde_json::from_str(&fs::read_to_string(place.path("found.json")).unwrap()).unwrap();
    assert_eq!(found.rows.iter().map(|row| row.accuracies.len()).collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn mistakes_are_named() {
    let place = Workplace::new("");
    let check = |words: &[&str], expected: &str| {
        let output = place.run(&[&["policy"], words].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(expected), "{words:?}: {errors}");
    };
    check(&["harm", "arrows-and-disks", "--model", "convnett"], "unknown variant `convnett`");
    check(&["learn", "arrows-and-disks", "--method", "density", "--budget", "soon"], "`--budget soon` is no duration");
    check(&["learn", "arrows-and-disks", "--method", "density", "--within", "no.toml"], "could not read `no.toml`");
    check(&["compare", "arrows-and-disks", "--policies", "none,flipp"], "`flipp` of `flipp` is no policy");
    check(&["compare", "arrows-and-disks"], "--policies");
}
