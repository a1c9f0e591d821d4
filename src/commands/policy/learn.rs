//! `nightsweep policy learn`: a policy by one of the methods.

use std::fs;
use std::path::Path;
use std::time::Instant;

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_trainer::policy::{HarmTable, Move};
use nightsweep_trainer::recipe::{Op, PolicySpec};
use nightsweep_trials::policy::{Bench, Learned, Method, learn as learn_by};

use super::Nursery;
use super::harm::write;
use crate::cli::{LearnMethod, PolicyLearn};
use crate::commands::run::duration;
use crate::failure::{Ending, advise};

/// Learns and writes.
pub fn learn(arguments: &PolicyLearn) -> Result<Ending> {
    let budget = duration(&arguments.budget).map_err(|_| {
        advise(format!("`--budget {}` is no duration", arguments.budget), "for example --budget 90s or --budget 1h30m")
    })?;
    let mut nursery = Nursery::open(&arguments.children)?;
    nursery.introduce();
    let moves = match &arguments.within {
        None => Move::all(&nursery.data.train),
        Some(path) => {
            let table = read_table(path, &nursery)?;
            let moves = table.moves();
            let may_flip = moves.iter().any(|one| one.op == Op::Flip);
            if !may_flip && nursery.recipe.augment.flip > 0.0 {
                println!("note: the recipe's own flip is left out, as {} has it", path.display());
                nursery.recipe.augment.flip = 0.0;
            }
            println!("within {}: {} operations", path.display(), moves.len());
            moves
        }
    };
    let begin = Instant::now();
    let Nursery { recipe, data, folder, seed, device, .. } = &nursery;
    let say = |text: &str| println!("{:>6.0} s  {text}", begin.elapsed().as_secs_f64());
    let mut bench = Bench::new((recipe, data), (folder, device), moves, seed.study, Some(budget), say);
    let Learned { policy, tried } = learn_by(method(arguments.method), &mut bench, seed.study).into_diagnostic()?;
    let seconds = begin.elapsed().as_secs_f64();
    let head = format!(
        "# Learned by nightsweep {} on {} ({} training images) by {} in {seconds:.0} s, seed {}; {tried} tried.\n\
         # Used by: augment.policy = {{ kind = \"file\", path = \"{}\" }}\n\n",
        env!("CARGO_PKG_VERSION"),
        nursery.name,
        data.train.len(),
        method_name(arguments.method),
        seed.study,
        arguments.output.display(),
    );
    write(&arguments.output, format!("{head}{}", text_of(&policy)?).as_bytes())?;
    println!("wrote {} after {seconds:.0} s; {tried} tried", arguments.output.display());
    println!(
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
    if table.data != nursery.name {
        return Err(advise(
            format!("`{}` is of `{}`, not of `{}`", path.display(), table.data, nursery.name),
            "what an operation does to one data set says nothing of another: run `nightsweep policy harm` for this one",
        ));
    }
    Ok(table)
}

/// A policy as its file has it.
fn text_of(policy: &PolicySpec) -> Result<String> {
    match policy {
        PolicySpec::Custom(policy) => toml::to_string(policy).into_diagnostic(),
        other => toml::to_string(other).into_diagnostic(),
    }
}

fn method(method: LearnMethod) -> Method {
    match method {
        LearnMethod::Density => Method::Density,
        LearnMethod::Controller => Method::Controller,
        LearnMethod::Relaxed => Method::Relaxed,
        LearnMethod::RandAugment => Method::RandAugment,
        LearnMethod::TrivialAugment => Method::TrivialAugment,
    }
}

fn method_name(method: LearnMethod) -> &'static str {
    match method {
        LearnMethod::Density => "density matching",
        LearnMethod::Controller => "a controller",
        LearnMethod::Relaxed => "a relaxation",
        LearnMethod::RandAugment => "RandAugment's grid",
        LearnMethod::TrivialAugment => "no search",
    }
}

#[cfg(test)]
mod tests {
    use nightsweep_trainer::recipe::{Direction, Policy, PolicyOp, RandAugment, SubPolicy};
    use nightsweep_trials::policy::parse_policy;

    use super::*;

    #[test]
    fn a_policy_that_was_written_is_read_again() {
        let op =
            PolicyOp { probability: 0.25, magnitude: 0.5, direction: Direction::Negative, ..PolicyOp::new(Op::Rotate) };
        let sub_policy = SubPolicy { weight: 1.5, from: 0.0, until: 1.0, ops: vec![op, PolicyOp::new(Op::Invert)] };
        let custom = PolicySpec::Custom(Policy { draws: 1, sub_policies: vec![sub_policy] });
        for policy in [custom, PolicySpec::RandAugment(RandAugment { n: 3, m: 7 }), PolicySpec::default()] {
            assert_eq!(parse_policy(&text_of(&policy).unwrap()).unwrap(), policy);
        }
    }
}
