//! `nightsweep policy learn`: a policy by one of the methods.

use std::fs;
use std::path::Path;
use std::time::Instant;

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_trainer::policy::{HarmTable, MIXINGS, Move};
use nightsweep_trainer::recipe::Op;
use nightsweep_trials::policy::{Bench, Learned, Method, Origin, PolicyFile, learn as learn_by};

use super::Nursery;
use super::harm::write;
use crate::cli::{LearnMethod, PolicyLearn};
use crate::commands::run::duration;
use crate::failure::{Ending, advise};

/// Learns and writes.
pub fn learn(arguments: &PolicyLearn) -> Result<Ending> {
    let budget = duration("--budget", &arguments.budget)?;
    let mut nursery = Nursery::open(&arguments.children)?;
    nursery.introduce();
    let (moves, mixings) = match &arguments.within {
        None => (Move::all(&nursery.data.train), MIXINGS.to_vec()),
        Some(path) => {
            let table = read_table(path, &nursery)?;
            let moves = table.moves();
            let may_flip = moves.iter().any(|one| one.op == Op::Flip);
            if !may_flip && nursery.recipe.augment.flip > 0.0 {
                say!("note: the recipe's own flip is left out, as {} has it", path.display());
                nursery.recipe.augment.flip = 0.0;
            }
            say!("within {}: {} operations", path.display(), moves.len());
            let mixings = table.mixings();
            if mixings.len() < MIXINGS.len() {
                say!("note: CutMix is left out, as images cannot lose a quarter of their area by {}", path.display());
            }
            (moves, mixings)
        }
    };
    // A recipe that mixes goes on to do so in its own way.
    let mixes = arguments.without_mixing || nursery.recipe.augment.mixing(0.0).is_some();
    let mixings = if mixes { Vec::new() } else { mixings };
    let begin = Instant::now();
    let Nursery { recipe, data, folder, seed, device, .. } = &nursery;
    let say = |text: &str| say!("{:>6.0} s  {text}", begin.elapsed().as_secs_f64());
    let scratch = tempfile::tempdir().into_diagnostic().wrap_err("could not make a folder for checkpoints")?;
    let mut bench =
        Bench::new((recipe, data), (folder, scratch.path(), device), (moves, mixings), seed.study, Some(budget), say);
    let method = method(arguments.method);
    let Learned { policy, tried } = learn_by(method, &mut bench, seed.study).into_diagnostic()?;
    let seconds = (10.0 * begin.elapsed().as_secs_f64()).round() / 10.0;
    let (images, version) = (data.train.len(), env!("CARGO_PKG_VERSION").to_owned());
    let learned = Origin { method, data: nursery.name.clone(), images, seconds, tried, seed: seed.study, version };
    let head =
        format!("# Used by: augment.policy = {{ kind = \"file\", path = \"{}\" }}\n\n", arguments.output.display());
    let text = PolicyFile { policy, learned: Some(learned) }.text().into_diagnostic()?;
    write(&arguments.output, format!("{head}{text}").as_bytes())?;
    say!("wrote {} after {seconds:.0} s; {tried} tried", arguments.output.display());
    say!(
        "whether it is worth it: nightsweep policy compare {} --policies none,{}",
        nursery.name,
        arguments.output.display()
    );
    Ok(Ending::Done)
}

/// A table of harm, which must be of the same images.
fn read_table(path: &Path, nursery: &Nursery) -> Result<HarmTable> {
    let text =
        fs::read_to_string(path).into_diagnostic().wrap_err_with(|| format!("could not read `{}`", path.display()))?;
    let table: HarmTable = toml::from_str(&text).map_err(|error| {
        advise(format!("`{}` is no table of harm: {error}", path.display()), "`nightsweep policy harm` writes one")
    })?;
    if table.data != nursery.name && table.fingerprint != nursery.data.fingerprint {
        return Err(advise(
            format!("`{}` is of `{}`, not of `{}`", path.display(), table.data, nursery.name),
            "what an operation does to one data set says nothing of another: run `nightsweep policy harm` for this one",
        ));
    }
    Ok(table)
}

fn method(method: LearnMethod) -> Method {
    match method {
        LearnMethod::Density => Method::Density,
        LearnMethod::Controller => Method::Controller,
        LearnMethod::Relaxed => Method::Relaxed,
        LearnMethod::Pba => Method::Pba,
        LearnMethod::RandAugment => Method::RandAugment,
        LearnMethod::TrivialAugment => Method::TrivialAugment,
    }
}
