//! `nightsweep policy harm`: the table of what operations do to classes.

use std::fs;
use std::path::Path;

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_trainer::policy::harm::{Effect, Level, Measured, OpHarm, Settings, measure, picture};
use nightsweep_trainer::policy::{Child, HarmTable, Move, exposure};
use nightsweep_trainer::recipe::{Augment, Direction, PolicySpec};
use nightsweep_trainer::{EpochReport, Metric, Next, Observer, Recipe};

use super::Nursery;
use crate::cli::PolicyHarm;
use crate::failure::{Ending, advise};

/// Trains the child, measures, prints and writes.
pub fn harm(arguments: &PolicyHarm) -> Result<Ending> {
    let nursery = Nursery::open(&arguments.children)?;
    nursery.introduce();
    let settings =
        Settings { levels: usize::from(arguments.levels), images: arguments.images as usize, ..Settings::default() };
    let table = table(&nursery, settings)?;
    print(&table);
    let text = format!(
        "# What operations do to the classes of these images; docs/augmentation.md explains. To search policies within it:\n\
         # nightsweep policy learn {} --method density --within {}\n\n{}",
        nursery.name,
        arguments.output.display(),
        toml::to_string(&table).into_diagnostic()?,
    );
    write(&arguments.output, text.as_bytes())?;
    let images = nursery.recipe.preprocess.apply(&nursery.data.validation);
    let png = picture(&images, &nursery.data.classes, &table.ops, nursery.seed);
    write(&arguments.picture, &png)?;
    say!("wrote {} and {}", arguments.output.display(), arguments.picture.display());
    Ok(Ending::Done)
}

/// Trains a child that sees every operation, and measures with it.
fn table(nursery: &Nursery, settings: Settings) -> Result<HarmTable> {
    let Nursery { recipe, data, seed, .. } = nursery;
    let moves = Move::all(&data.train);
    let augment = Augment { policy: PolicySpec::Custom(exposure(&moves)), ..Augment::none() };
    let recipe = Recipe { augment, ..recipe.clone() };
    let job = nursery.job(&recipe, nursery.seed);
    let child = Child::train(&job, &mut Printer { epochs: recipe.epochs }).into_diagnostic()?.1;
    let child = child.ok_or_else(|| {
        advise("the child's loss is no number any more", "a smaller learning rate in a recipe file may help")
    })?;
    let mut done = 0;
    let all: usize = moves.iter().map(|one| if one.op.row().signed { 2 } else { 1 }).sum();
    let progress = |harm: &OpHarm| {
        done += 1;
        say!("{done:>3} of {all}  {}", name(harm));
    };
    let Measured { images, accuracy, ops } =
        measure(&child, &data.validation, &data.classes, &moves, settings, *seed, progress);
    let (data_name, fingerprint) = (nursery.name.clone(), data.fingerprint.clone());
    Ok(HarmTable { data: data_name, fingerprint, images, accuracy, settings, ops })
}

/// The table for people.
fn print(table: &HarmTable) {
    say!(
        "\na child that saw each operation rarely recognises {:.1} % of {} validation images as they are\n",
        100.0 * table.accuracy,
        table.images
    );
    say!(
        "{:>3}  {:<22} {:<18} {:>22} {:>9}  what it does",
        "row",
        "operation",
        "may be used",
        "log-likelihood",
        "accuracy"
    );
    for (row, harm) in table.ops.iter().enumerate() {
        // As strong as it may be, or at its weakest where it may not.
        let shown = harm.levels.iter().rfind(|level| level.magnitude <= harm.most).or(harm.levels.first());
        let Some(Level { change, change_half_width, accuracy, .. }) = shown else { continue };
        say!(
            "{:>3}  {:<22} {:<18} {:>22} {:>7.1} %  {}",
            row + 1,
            name(harm),
            reach(harm),
            format!("{change:+.3} ± {change_half_width:.3}"),
            100.0 * accuracy,
            effect(harm),
        );
    }
    say!("");
    if let Some(doubt) = doubt(table) {
        say!("note: {doubt}\n");
    }
}

/// What to think of a table whose child knows little.
pub fn doubt(table: &HarmTable) -> Option<&'static str> {
    let text =
        "the child does not recognise half of the images, so it cannot tell what harms them: train it for more epochs";
    (table.accuracy < 0.5).then_some(text)
}

/// Its name, with the way that it goes.
pub fn name(harm: &OpHarm) -> String {
    Move { op: harm.op, direction: harm.direction, most: None }.name()
}

/// How far it may be used.
pub fn reach(harm: &OpHarm) -> String {
    match (harm.most, harm.most_value) {
        (0.0, _) => "no".to_owned(),
        (_, None) => "yes".to_owned(),
        (most, Some(value)) => {
            let sign = if harm.direction == Direction::Negative { -1.0 } else { 1.0 };
            format!("to {most:.2} ({:.3})", sign * value)
        }
    }
}

/// What it does to the classes.
pub fn effect(harm: &OpHarm) -> String {
    match harm.effect {
        Effect::Harmless => "leaves the classes".to_owned(),
        Effect::Hides => {
            let worst = harm.levels.iter().flat_map(|level| &level.harmed).next();
            worst.map_or(String::new(), |harmed| format!("hides {} beyond", harmed.class))
        }
        Effect::ChangesClass => {
            let switches: Vec<String> = harm.switches().map(|(from, to)| format!("{from} → {to}")).collect();
            switches.join(", ")
        }
    }
}

pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).into_diagnostic().wrap_err_with(|| format!("could not write `{}`", path.display()))
}

struct Printer {
    epochs: u64,
}

impl Observer for Printer {
    fn report(&mut self, report: &EpochReport) -> Next {
        let accuracy = report.value(Metric::ValAccuracy);
        say!("epoch {}/{}  val_accuracy {accuracy:.4}", report.epoch, self.epochs);
        Next::Train
    }
}
