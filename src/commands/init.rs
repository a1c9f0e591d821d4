//! `nightsweep init`: a study file that fits a folder of images.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_trainer::data::{Description, describe};
use nightsweep_trainer::device;

use crate::cli::Init;
use crate::failure::{Ending, advise};

/// From this imbalance on, plain accuracy hides the rare classes.
const IMBALANCED: f64 = 3.0;
/// Share of the training images that becomes a split which the data does not have.
const SET_APART: f64 = 0.1;

/// Looks at the data and writes the file.
pub fn init(arguments: &Init) -> Result<Ending> {
    // As the study file will see it: from its own folder.
    let folder = arguments.output.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let path = path_from(folder, &arguments.data);
    let description = describe(&path, folder).into_diagnostic()?;
    print_description(&description);
    let text = study_file(&path, &description, device::count_cuda() > 0);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if !arguments.force {
        options.create_new(true);
    }
    let mut file = options.open(&arguments.output).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => advise(
            format!("`{}` exists already", arguments.output.display()),
            "give another name with -o, or --force to replace it",
        ),
        _ => advise(format!("could not write `{}`: {error}", arguments.output.display()), "is the folder there?"),
    })?;
    let written = file.write_all(text.as_bytes()).into_diagnostic();
    written.wrap_err_with(|| format!("could not write `{}`", arguments.output.display()))?;
    say!("wrote {}; next: nightsweep run {} --until 07:00", arguments.output.display(), arguments.output.display());
    Ok(Ending::Done)
}

/// A path that a person typed, as it reads from the study file's folder.
fn path_from(folder: &Path, data: &str) -> String {
    let is_file = Path::new(data).exists();
    match is_file && Path::new(data).is_relative() && folder != Path::new(".") {
        true => std::path::absolute(data).map_or(data.to_owned(), |path| path.display().to_string()),
        false => data.to_owned(),
    }
}

fn print_description(description: &Description) {
    let Description { classes, train, validation, test, default_size: (height, width), channels, .. } = description;
    let split = |count: Option<usize>, name: &str| match count {
        Some(count) => format!("{count} {name}"),
        None => format!("{:.0} % of these for {name}", 100.0 * SET_APART),
    };
    let colour = if *channels == 1 { "gray" } else { "colour" };
    say!(
        "{} classes, {train} training images ({}, {}), {colour}, trained at {height}×{width}",
        classes.len(),
        split(*validation, "validation"),
        split(*test, "test"),
    );
    for class in classes {
        say!("  {:>6}  {}", class.train, class.name);
    }
    description.notices.iter().for_each(|notice| say!("note: {notice}"));
}

fn study_file(path: &str, description: &Description, has_gpu: bool) -> String {
    let (height, width) = description.default_size;
    let size = height.max(width);
    // What a night on such a machine has time for.
    let model = match (has_gpu, size <= 32) {
        (true, _) => "{ kind = \"resnet18\" }",
        (false, true) => "{ kind = \"resnet8\" }",
        (false, false) => "{ kind = \"convnet\", width = 16 }",
    };
    let batches = batch_sizes(description.train);
    let val = match description.validation {
        Some(_) => "# the data has a validation split of its own".to_owned(),
        None => format!("val = {SET_APART}                        # share of the training images to judge recipes by"),
    };
    let test = match description.test {
        Some(count) => format!("# its {count} test images are not touched by the search"),
        None => format!(
            "test = {SET_APART}                       # share that no trial sees: the winner is scored on it; 0 for none"
        ),
    };
    let imbalance = match description.imbalance > IMBALANCED {
        true => format!("# the largest class has {:.1} times as many images as the smallest\n", description.imbalance),
        false => String::new(),
    };
    let name = study_name(path);
    let path = toml_edit::Value::from(path);
    format!(
        r#"[study]
name = "{name}"
metric = "val_accuracy"          # or val_loss, val_macro_f1, …
seed = 1

[data]
path = {}
{val}
{test}
{imbalance}
[recipe]                         # what does not vary; every field has a default
model = {model}
epochs = {epochs}
batch_size = {batch_size}

[space]                          # what may vary; a key is the recipe's own
batch_size = {batches:?}
label_smoothing = {{ low = 0.0, high = 0.2 }}
augment.flip = [0.0, 0.5]
augment.crop_padding = {paddings:?}

[space.optimizer.sgd]            # a choice carries its own parameters
lr = {{ low = 1e-3, high = 1.0, log = true }}
momentum = {{ low = 0.8, high = 0.99 }}
weight_decay = {{ low = 1e-5, high = 1e-2, log = true }}

[space.optimizer.adamw]
lr = {{ low = 1e-5, high = 1e-2, log = true }}
weight_decay = {{ low = 1e-3, high = 1.0, log = true }}

[space.schedule.cosine]
warmup_epochs = {{ low = 0, high = 3 }}

[space.schedule.one_cycle]
peak_at = {{ low = 0.1, high = 0.5 }}

[search]
sampler = "auto"
pruner = {{ kind = "asha", min_epochs = 1, reduction_factor = 3 }}
"#,
        path.decorated("", ""),
        epochs = if has_gpu { 30 } else { 9 },
        batch_size = batches[batches.len() / 2],
        paddings = [0, size.div_ceil(16), size.div_ceil(8)],
    )
}

/// Powers of two of which an epoch has at least eight.
fn batch_sizes(train: usize) -> Vec<usize> {
    let fitting: Vec<usize> = [16, 32, 64, 128, 256].into_iter().filter(|size| size * 8 <= train).collect();
    match fitting.len() {
        0 => vec![4, 8],
        count => fitting[count.saturating_sub(4)..].to_vec(),
    }
}

/// The data's own name, in the letters of a study's.
fn study_name(path: &str) -> String {
    let stem = Path::new(path).file_stem().map_or("sweep".into(), |stem| stem.to_string_lossy());
    let plain: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect();
    if plain.trim_matches('-').is_empty() { "sweep".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use nightsweep_trials::study_file as reader;

    use super::*;

    #[test]
    fn what_is_written_is_a_study_with_the_default_as_a_point() {
        for has_gpu in [false, true] {
            let description = describe("fashion-mnist-mini", Path::new(".")).unwrap();
            let text = study_file("fashion-mnist-mini", &description, has_gpu);
            let plan = reader::parse(&text, PathBuf::from(".")).unwrap_or_else(|mistake| panic!("{mistake:?}\n{text}"));
            assert_eq!(plan.name, "fashion-mnist-mini");
            assert!(plan.default.is_some(), "{text}");
        }
    }

    #[test]
    fn batches_leave_steps_enough() {
        assert_eq!(batch_sizes(50_000), [32, 64, 128, 256]);
        assert_eq!(batch_sizes(600), [16, 32, 64]);
        assert_eq!(batch_sizes(20), [4, 8]);
    }

    #[test]
    fn a_name_has_plain_letters() {
        assert_eq!(study_name("data/my photos (1)"), "my-photos--1-");
        assert_eq!(study_name("/"), "sweep");
    }
}
