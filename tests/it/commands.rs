//! The commands of README.md and the files of configs/.

use std::fs;
use std::path::{Path, PathBuf};

use nightsweep_search::Params;
use nightsweep_trainer::Recipe;
use nightsweep_trainer::data::DataSpec;
use nightsweep_trainer::recipe::Augment;
use nightsweep_trials::policy::PolicyFile;
use nightsweep_trials::{bind, study_file};

use crate::workplace::{STUDY, Workplace};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_file_in_configs_is_a_study() {
    let files: Vec<PathBuf> =
        fs::read_dir(root().join("configs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let studies = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let plans: Vec<_> =
        studies.map(|path| study_file::read(path, &[]).unwrap_or_else(|e| panic!("{path:?}: {e:?}"))).collect();
    assert!(plans.iter().all(|plan| plan.default.is_some()), "the recipe of each is a point of its space");
    assert!(!plans.is_empty());
}

#[test]
fn every_file_in_configs_policies_says_where_it_was_learned_and_what_it_brought() {
    let files: Vec<PathBuf> =
        fs::read_dir(root().join("configs/policies")).unwrap().map(|entry| entry.unwrap().path()).collect();
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        let file = PolicyFile::parse(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert!(file.learned.is_some() && text.contains("# measured:"), "{path:?}");
        let recipe = Recipe { augment: Augment { policy: file.policy, ..Augment::none() }, ..Recipe::default() };
        recipe.check().unwrap_or_else(|error| panic!("{path:?}: {error}"));
    }
    assert!(!files.is_empty());
}

#[test]
fn every_file_in_configs_recipes_is_a_recipe() {
    let files: Vec<PathBuf> =
        fs::read_dir(root().join("configs/recipes")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let recipes = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    for path in recipes.clone() {
        let text = fs::read_to_string(path).unwrap();
        study_file::check_recipe_table(&text).unwrap_or_else(|error| panic!("{path:?}: {error:?}"));
        let file: toml::Table = toml::from_str(&text).unwrap();
        let recipe: Recipe = file["recipe"].clone().try_into().unwrap_or_else(|error| panic!("{path:?}: {error}"));
        bind::bind(&recipe, &Params::default()).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let _: DataSpec = file["data"].clone().try_into().unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let name = path.file_name().unwrap().to_str().unwrap();
        let commands = [
            format!("    nightsweep train configs/recipes/{name}"),
            format!("    nightsweep evaluate configs/recipes/{name}"),
        ];
        assert!(commands.iter().any(|command| text.contains(command.as_str())), "{path:?} is headed by its command");
    }
    assert!(recipes.count() > 0);
}

#[test]
fn weights_of_pytorch_are_scored_as_there() {
    // The file's own result on all 10,000 test images is 91.73 %.
    if !root().join("../shared/data/resnet20_cifar10.safetensors").exists() {
        eprintln!("skipped: ../shared/data is not here");
        return;
    }
    let recipe = root().join("configs/recipes/cifar10-resnet20-scored.toml");
    let printed = Workplace::new("").succeed(&["evaluate", recipe.to_str().unwrap(), "--device", "cpu:2"]);
    let (_, rest) = printed.split_once("accuracy ").unwrap_or_else(|| panic!("{printed}"));
    let accuracy: f64 = rest.split_whitespace().next().unwrap().parse().unwrap();
    assert!(printed.contains("3000 test images") && accuracy >= 0.91, "{printed}");
}

#[test]
fn the_study_file_of_the_readme_is_a_study() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let plan = study_file::parse(text, PathBuf::from(".")).unwrap();
    assert_eq!(plan.name, "flowers-overnight");
}

#[test]
fn the_table_of_notifications_in_the_docs_is_that_of_a_study() {
    let docs = fs::read_to_string(root().join("docs/watching.md")).unwrap();
    let (_, rest) = docs.split_once("```toml\n").unwrap();
    let (table, _) = rest.split_once("```").unwrap();
    let notify = study_file::parse(&format!("{STUDY}\n{table}"), PathBuf::from(".")).unwrap().notify;
    let defaults = nightsweep_trials::notify::Notify {
        command: notify.command.clone(),
        url: notify.url.clone(),
        ..Default::default()
    };
    assert!(notify.command.is_some() && notify.url.is_some() && notify == defaults);
}

#[test]
fn the_quickstart_runs_as_it_is_but_for_its_length() {
    let place = Workplace::new("");
    let config = root().join("configs/quickstart.toml");
    let config = config.to_str().unwrap();
    place.succeed(&["run", config, "--no-web", "--trials", "2", "--set", "recipe.epochs=1"]);
    place.succeed(&["report"]);
    place.succeed(&["train", "nightsweep-runs/quickstart/best/recipe.toml"]);
    place.succeed(&["export", "best", "-o", "best/"]);
    place.succeed(&["train", "best/recipe.toml"]);
}

/// Gray images of two classes that are easy to tell apart.
fn draw(place: &Workplace, folder: &str, count: u8) {
    for (class, base) in [("dark", 0), ("light", 156)] {
        let folder = place.path(folder).join(class);
        fs::create_dir_all(&folder).unwrap();
        for number in 0..count {
            let image =
                image::GrayImage::from_fn(16, 16, |x, y| image::Luma([base + number / 2 + ((x ^ y) % 16) as u8]));
            image.save(folder.join(format!("{number:03}.png"))).unwrap();
        }
    }
}

#[test]
fn what_init_says_of_the_splits_is_what_run_does() {
    let place = Workplace::new("");
    draw(&place, "images", 100);
    let printed = place.succeed(&["init", "images"]);
    let expected = "2 classes, 200 training images (10 % of these for validation, 10 % of these for test), gray";
    assert!(printed.contains(expected), "{printed}");
    let file = fs::read_to_string(place.path("sweep.toml")).unwrap();
    assert!(file.contains("\nval = 0.1 ") && file.contains("\ntest = 0.1 "), "{file}");
    let run = ["run", "sweep.toml", "--no-web", "--workers", "2", "--trials", "1"];
    let quick = ["--set", "confirm.top=0", "--set", "recipe.epochs=1", "--set", "recipe.model.kind=mlp"];
    let printed = place.succeed(&[&run[..], &quick].concat());
    assert!(printed.contains("images: 162 images to train on, 18 to validate, 20 to test, 2 classes"), "{printed}");
    assert!(printed.contains("study images: 2 workers (cpu:1 × 2)"), "{printed}");
    assert!(printed.contains("\n1 trial: 1 complete; 1 epoch; "), "{printed}");

    draw(&place, "split/train", 20);
    draw(&place, "split/test", 6);
    let printed = place.succeed(&["init", "split", "-o", "split.toml"]);
    assert!(printed.contains("40 training images (10 % of these for validation, 12 test)"), "{printed}");
}

#[test]
fn an_unreadable_test_image_is_told_of_when_it_is_looked_for() {
    let study = STUDY.replace("fashion-mnist-mini", "images").replace("top = 0", "top = 1\nseeds = 2");
    let with_cut = |cut: &[&str]| {
        let place = Workplace::new(&study.replace("trials = 6", "trials = 1").replace("epochs = 4", "epochs = 1"));
        draw(&place, "images/train", 100);
        draw(&place, "images/test", 6);
        for image in cut {
            let path = place.path("images/test/light").join(image);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        }
        place
    };
    let place = with_cut(&["003.png"]);
    let told = "note: test: 1 unreadable image left out (test/light/003.png: ";
    let printed = place.succeed(&["run", "study.toml", "--no-web", "--devices", "cpu:1"]);
    assert!(printed.contains(" 12 to test, ") && printed.contains(told), "{printed}");
    assert!(printed.contains("\nconfirming trial 0 on up to 2 fresh seeds each\n"), "{printed}");
    let best = "nightsweep-runs/small/best";
    let (recipe, weights) = (format!("{best}/recipe.toml"), format!("{best}/weights.safetensors"));
    let printed = place.succeed(&["evaluate", &recipe, "--weights", &weights, "--device", "cpu:1"]);
    assert!(printed.contains(told) && printed.contains("on 11 test images"), "{printed}");

    // Too many of them are an error, but not before the night's best is written.
    let place = with_cut(&["003.png", "004.png"]);
    let output = place.run(&["run", "study.toml", "--no-web", "--devices", "cpu:1"]);
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{printed}\n{errors}");
    assert!(errors.contains("2 of 12 images"), "{errors}");
    assert!(printed.contains("best recipe: nightsweep-runs/small/best/recipe.toml"), "{printed}");
}

#[test]
fn a_preview_of_augmentation_is_a_picture_of_its_rows_and_columns() {
    let place = Workplace::new(STUDY);
    place.succeed(&["augment-preview", "study.toml", "-o", "grid.png", "-n", "3"]);
    let png = fs::read(place.path("grid.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    // Images of 28 pixels are shown threefold, four pixels apart: each, and what it is in each of four epochs.
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((side(16), side(20)), ((1 + 4) * 88 - 4, 3 * 88 - 4));
}

#[test]
fn a_rate_left_to_the_range_test_is_found_once() {
    let study = r#"
[study]
name = "found"
trials = 2
[data]
path = "fashion-mnist-mini"
[recipe]
model = { kind = "convnet", width = 4 }
epochs = 1
[space.optimizer.sgd]
lr = "find"
[space.optimizer.adamw]
lr = "find"
[confirm]
top = 0
"#;
    let place = Workplace::new(study);
    let words = ["run", "study.toml", "--no-web", "--devices", "cpu:1"];
    let first = place.succeed(&words);
    for rate in ["optimizer.sgd.lr", "optimizer.adamw.lr"] {
        assert!(first.contains(&format!("{rate}: searched from ")), "{first}");
        assert!(place.path(&format!("nightsweep-runs/found/lr-find-{rate}.svg")).exists());
    }
    let again = place.succeed(&words);
    assert!(!again.contains("looking for"), "{again}");
    place.succeed(&["replay", "found"]);
    let printed = place.succeed(&["lr-find", "study.toml", "--device", "cpu:1", "--updates", "60"]);
    assert!(printed.contains("worth searching: lr = { low = "), "{printed}");
    assert!(fs::read_to_string(place.path("lr-find.svg")).unwrap().contains("valley"));
}

#[test]
fn a_sweep_of_wandb_becomes_a_study_that_runs() {
    let place = Workplace::new("");
    let sweep = "method: random\nname: from wandb\nmetric: {name: val_loss, goal: minimize}\nrun_cap: 2\nparameters:\n  \
                 lr: {min: 0.001, max: 0.1}\n  epochs: {value: 1}\n  arch: {value: convnet}\n  workers: {value: 4}\n";
    fs::write(place.path("sweep.yaml"), sweep).unwrap();
    let printed = place.succeed(&["import", "wandb", "sweep.yaml", "--data", "fashion-mnist-mini"]);
    assert!(printed.contains("sweep.yaml:9: workers: no name of ours is like it"), "{printed}");
    assert!(printed.contains("sweep.toml: run it with: nightsweep run sweep.toml"), "{printed}");
    let again = place.run(&["import", "wandb", "sweep.yaml"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("`sweep.toml` exists already"));
    let ran = place.succeed(&["run", "sweep.toml", "--no-web", "--set", "confirm.top=0"]);
    assert!(ran.contains("study from-wandb") && ran.contains("val_loss"), "{ran}");

    fs::write(place.path("broken.yaml"), "method: random\nparameters:\n  lr: {mini: 0.1, max: 1}\n").unwrap();
    let broken = place.run(&["import", "wandb", "broken.yaml", "-o", "broken.toml"]);
    assert_eq!(broken.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&broken.stderr).into_owned();
    assert!(
        errors.contains("broken.yaml:3: unknown key of `lr` `mini`") && errors.contains("did you mean `min`?"),
        "{errors}"
    );

    // The storage that a study was exported as is one to import, under either name of the command.
    place.succeed(&["export", "--format", "optuna", "-o", "optuna.db"]);
    let study = fs::read_to_string(place.path("sweep.toml")).unwrap().replace("from-wandb", "other");
    fs::write(place.path("other.toml"), study).unwrap();
    let imported = place.succeed(&["import", "optuna.db", "other.toml"]);
    assert!(imported.contains("other: 2 trials of `from-wandb` imported, 0 known before"), "{imported}");
    let imported = place.succeed(&["import", "optuna", "optuna.db", "other.toml"]);
    assert!(imported.contains("other: 0 trials of `from-wandb` imported, 2 known before"), "{imported}");
}

#[test]
fn doctor_finds_a_machine_that_can_train() {
    let printed = Workplace::new("").succeed(&["doctor"]);
    assert!(printed.contains("CPU:") && printed.contains("ready"), "{printed}");
}

#[test]
fn ask_tell_answers_line_by_line() {
    use std::io::Write;
    let place = Workplace::new("");
    let mut child = place.command(&["ask-tell"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let lines = concat!(
        r#"{"cmd":"init","protocol":1,"space":{"x":{"type":"float","low":0,"high":1}},"direction":"minimize","seed":7,"sampler":"tpe"}"#,
        "\n{\"cmd\":\"ask\"}\n{\"cmd\":\"tell\",\"trial\":0,\"value\":0.5}\nnonsense\n{\"cmd\":\"quit\"}\n"
    );
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = crate::workplace::wait(child);
    let answers: Vec<serde_json::Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 5);
    assert_eq!(answers[0]["ok"], true);
    assert!(answers[1]["params"]["x"].is_f64());
    assert_eq!(answers[2]["ok"], true);
    assert!(answers[3]["error"].is_string());
    assert_eq!(answers[4]["ok"], true);
    assert!(output.status.success());
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(Workplace::new("").succeed(&["completions", shell]).contains("nightsweep"), "{shell}");
    }
}
