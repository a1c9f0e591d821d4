//! Learning augmentation policies from the command line.

use std::fs;

use nightsweep_trainer::data::GeneratedImages;
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

    for method in ["relaxed", "density", "rand_augment", "controller", "pba", "trivial_augment"] {
        let file = format!("{method}.toml");
        let words = ["--method", method, "--within", "harm.toml", "--budget", "4s", "-o", &file, "--reduced", "400"];
        place.succeed(&[&["policy", "learn"], &CHILDREN[..], &words].concat());
        let text = fs::read_to_string(place.path(&file)).unwrap();
        let read = policy::PolicyFile::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let learned = read.learned.unwrap();
        assert_eq!((learned.data.as_str(), learned.images), ("arrows-and-disks", 400));
        let mut recipe: Recipe =
            toml::from_str(&format!("augment.policy = {{ kind = 'file', path = '{file}' }}")).unwrap();
        study_file::read_policy(&mut recipe, &place.path("")).unwrap();
        recipe.check().unwrap();
    }

    let policies = "none,trivial_augment+flip+crop,relaxed.toml";
    let against = "none,trivial_augment+flip+crop";
    let words =
        ["--policies", policies, "--against", against, "--seeds", "2", "--reduced", "400", "--json", "found.json"];
    let printed = place.succeed(&[&["policy", "compare"], &CHILDREN[..], &words].concat());
    let heads = ["test accuracy", "against none", "against trivial_augment+flip+crop"];
    assert!(heads.iter().all(|head| printed.contains(head)), "{printed}");
    let found: Comparison = serde_json::from_str(&fs::read_to_string(place.path("found.json")).unwrap()).unwrap();
    assert_eq!(found.rows.iter().map(|row| row.accuracies.len()).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(found.rows.iter().map(|row| row.learned.is_some()).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn images_of_a_scarce_class_are_generated_mixed_in_and_compared() {
    let place = Workplace::new("");
    let scarce = ["--scarce", "red disk=20"];
    // As many as can be judged by a child that has hardly learned: everything passes.
    let words = ["--steps", "3", "--images", "5", "--likelihood", "0"];
    let printed = place.succeed(&[&["policy", "generate"], &CHILDREN[..], &scarce, &words].concat());
    assert!(printed.contains("red disk: ") && printed.contains("5 are kept beside 20 real ones"), "{printed}");
    assert!(fs::read(place.path("generated.png")).unwrap().starts_with(b"\x89PNG"));
    let generated = GeneratedImages::read(&place.path("generated.npz")).unwrap();
    assert_eq!(generated.images.labels, [4; 5]);
    assert_eq!((generated.record.steps, generated.record.classes[0].class.as_str()), (3, "red disk"));

    let compare = ["policy", "compare", "--policies", "none,balanced,generated.npz@0.5+crop", "--seeds", "1"];
    let printed = place.succeed(&[&compare, &CHILDREN[..], &scarce].concat());
    assert!(printed.contains("| generated.npz@0.5+crop"), "{printed}");

    // With all images of the class these are other data.
    let output = place.run(&[&compare, &CHILDREN[..]].concat());
    let errors = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!output.status.success() && errors.contains("generated from other images or another split"), "{errors}");
}

/// A study that learns a policy first.
const STUDY: &str = r#"
[study]
name = "small"
trials = 3
[data]
path = "arrows-and-disks"
[recipe]
model = { kind = "convnet", width = 4 }
epochs = 2
[policy]
method = "relaxed"
budget = "3s"
epochs = 1
reduced = 320
[space.augment]
policy = ["none", "trivial_augment"]
[search]
sampler = "random"
[confirm]
top = 0
"#;

#[test]
fn a_study_learns_its_policy_once_tries_it_and_tells_what_it_was_worth() {
    let place = Workplace::new(STUDY);
    let words = ["run", "study.toml", "--no-web", "--devices", "cpu:1"];
    let first = place.succeed(&words);
    assert!(first.contains("policy: learned by a relaxation within 3s"), "{first}");
    let folder = place.path("nightsweep-runs/small");
    let learned = fs::read_to_string(folder.join("policy.toml")).unwrap();
    assert_eq!(policy::PolicyFile::parse(&learned).unwrap().learned.unwrap().images, 320);
    assert!(fs::read(folder.join("harm.png")).unwrap().starts_with(b"\x89PNG"));
    let tried: Vec<String> = (0..2)
        .map(|number| place.trials().into_iter().find(|trial| trial.number.0 == number).unwrap())
        .map(|trial| trial.params.get("augment.policy").unwrap().to_string())
        .collect();
    assert_eq!(tried, ["none", "custom"]);

    fs::write(folder.join("policy.toml"), "untouched").unwrap();
    let again = place.succeed(&[&words[..], &["--trials", "4"]].concat());
    assert!(!again.contains("policy: learned"), "{again}");
    assert_eq!(fs::read_to_string(folder.join("policy.toml")).unwrap(), "untouched");
    assert_eq!(place.trials().len(), 4);

    let report = place.succeed(&["report"]);
    for part in ["## Augmentation policies", "`custom` was learned by a relaxation", "| custom", "as it is (trial 0)"] {
        assert!(report.contains(part), "no {part} in {report}");
    }
    place.succeed(&["report", "--html", "report.html"]);
    assert!(fs::read_to_string(place.path("report.html")).unwrap().contains("data:image/png;base64,"));

    let output = place.run(&["run", "study.toml", "--no-web", "--devices", "cpu:1", "--set", "policy.budget=4s"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("was begun with another [policy]"), "{errors}");
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
    check(&["generate", "arrows-and-disks"], "no class is scarce");
    check(&["generate", "arrows-and-disks", "--classes", "green arrow"], "there is no class `green arrow`");
    check(&["generate", "arrows-and-disks", "--scarce", "red disk"], "`--scarce red disk` has no `=`");
    check(&["generate", "arrows-and-disks", "--budget", "soon"], "`--budget soon` is no duration");
    check(&["generate", "arrows-and-disks", "--likelihood", "1.5"], "`--likelihood 1.5` is not in [0, 1)");
}
