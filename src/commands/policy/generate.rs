//! `nightsweep policy generate`: images of classes that have few.

use std::time::{Duration, Instant};

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_trainer::data::{GeneratedClass, GeneratedImages, GeneratedRecord, Images, class_counts};
use nightsweep_trainer::generative::{Filter, Gan, GanSettings, GenerateError, chosen_classes, median, picture};
use nightsweep_trainer::seed::Purpose;
use nightsweep_trainer::{EpochReport, Next, Observer};
use nightsweep_trials::worker::chain;

use super::Nursery;
use super::harm::write;
use crate::cli::PolicyGenerate;
use crate::commands::run::duration;
use crate::failure::{Ending, advise, misuse};

/// Steps after which it is told how far the generator is.
const TELL: u64 = 100;

/// Trains both networks, generates, sifts and writes.
pub fn generate(arguments: &PolicyGenerate) -> Result<Ending> {
    let budget = duration("--budget", &arguments.budget)?;
    if !(0.0..1.0).contains(&arguments.likelihood) {
        return Err(misuse(
            format!("`--likelihood {}` is not in [0, 1)", arguments.likelihood),
            "0.5 asks that the class is likelier than all others together",
        ));
    }
    let nursery = Nursery::open(&arguments.children)?;
    nursery.introduce();
    let begin = Instant::now();
    let say = |text: &str| say!("{:>6.0} s  {text}", begin.elapsed().as_secs_f64());
    let chosen = chosen_classes(&nursery.data, &arguments.classes).map_err(explained)?;
    let counts = class_counts(&nursery.data.train.labels, nursery.data.classes.len());
    let wanted = arguments.images.map_or(median(&counts), |images| images as usize);

    let filter = train_filter(&nursery, arguments.likelihood)?;
    say("the filter is trained");
    let (steps, width) = (arguments.steps, usize::from(arguments.width));
    let settings = GanSettings { steps, width, ..Default::default() };
    let gan = train_gan(&nursery, &chosen, settings, budget, &say)?;
    let Images { height, width, channels, .. } = *nursery.data.train;
    let mut images = Images { pixels: Vec::new(), labels: Vec::new(), height, width, channels };
    // Of a class without any, those that did not pass.
    let mut shown = images.clone();
    let mut classes = Vec::new();
    for class in &chosen {
        let mut random = nursery.seed.stream(Purpose::Generate, 1, *class as u64);
        let sifted = filter.sift(&gan, *class, wanted, &mut random);
        let (name, real) = (nursery.data.classes[*class].clone(), counts[*class]);
        let kept = if sifted.is_enough { sifted.images.len() } else { 0 };
        let share = 100.0 * sifted.passed as f64 / sifted.tried as f64;
        say(&match kept {
            0 => format!(
                "{name}: only {} of {} generated images passed the filter ({share:.1} %), less than the {wanted} that are \
                 wanted: no images for this class",
                sifted.passed, sifted.tried
            ),
            _ => format!(
                "{name}: {} of {} generated images passed the filter ({share:.1} %); {kept} are kept beside {real} real ones",
                sifted.passed, sifted.tried
            ),
        });
        if kept > 0 {
            append(&mut images, &sifted.images);
        }
        append(&mut shown, if kept > 0 { &sifted.images } else { &sifted.first });
        classes.push(GeneratedClass { class: name, real, tried: sifted.tried, passed: sifted.passed, kept });
    }
    write(&arguments.picture, &picture(&nursery.data.train, &shown, &chosen))?;
    if images.is_empty() {
        return Err(advise(
            format!("no class has enough generated images that pass the filter ({})", arguments.picture.display()),
            "a longer --budget with more --steps, more real images, or a lower --likelihood; `sampling = \"balanced\"` costs \
             nothing",
        ));
    }
    let record = GeneratedRecord {
        data: nursery.name.clone(),
        fingerprint: nursery.data.fingerprint.clone(),
        seed: nursery.seed.study,
        steps: gan.steps(),
        seconds: (10.0 * begin.elapsed().as_secs_f64()).round() / 10.0,
        likelihood: arguments.likelihood,
        classes,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let generated = GeneratedImages { images, classes: nursery.data.classes.clone(), record };
    generated
        .write(&arguments.output)
        .into_diagnostic()
        .wrap_err_with(|| format!("could not write `{}`", arguments.output.display()))?;
    say!("wrote {} and {}", arguments.output.display(), arguments.picture.display());
    say!(
        "whether they are worth it: nightsweep policy compare {} --policies none,balanced,{}@1",
        nursery.name,
        arguments.output.display()
    );
    Ok(Ending::Done)
}

fn append(images: &mut Images, more: &Images) {
    images.pixels.extend_from_slice(&more.pixels);
    images.labels.extend_from_slice(&more.labels);
}

fn train_filter(nursery: &Nursery, likelihood: f64) -> Result<Filter> {
    let job = nursery.job(&nursery.recipe, nursery.seed);
    Filter::train(&job, likelihood, &mut Quiet).map_err(explained)
}

fn train_gan(
    nursery: &Nursery,
    chosen: &[usize],
    settings: GanSettings,
    budget: Duration,
    say: &dyn Fn(&str),
) -> Result<Gan> {
    let Nursery { data, seed, device, .. } = nursery;
    let deadline = Instant::now() + budget;
    let mut go_on = |step: u64, steps: u64| {
        if step.is_multiple_of(TELL) {
            say(&format!("the generator's step {step} of {steps}"));
        }
        Instant::now() < deadline
    };
    let of = (&*data.train, data.classes.len());
    let gan = Gan::train(of, chosen, settings, *seed, device, &mut go_on).map_err(explained)?;
    if gan.steps() < settings.steps {
        say(&format!("the budget ended the generator's learning after {} of {} steps", gan.steps(), settings.steps));
    }
    Ok(gan)
}

/// The error with what to do.
fn explained(error: GenerateError) -> miette::Report {
    let hint = match &error {
        GenerateError::Size { .. } => "set `image_size` under `[data]` to such a number",
        GenerateError::NothingScarce => "name classes by --classes, or say --classes all",
        GenerateError::NoSuchClass { .. } | GenerateError::NoImages { .. } => "name others by --classes",
        GenerateError::Diverged { .. } => "fewer --steps, or another --seed",
        GenerateError::FilterDiverged | GenerateError::Filter(_) => "does `nightsweep train` train this recipe?",
    };
    advise(chain(&error), hint)
}

struct Quiet;

impl Observer for Quiet {
    fn report(&mut self, _: &EpochReport) -> Next {
        Next::Train
    }
}
