//! Optimizers over a whole model, with their state by parameter path so that it can be saved beside the weights.
//!
//! Ours rather than burn's: theirs put restored state on a default device of their choosing, clip each tensor for
//! itself, and decay norms and biases with the rest.

mod adafactor;
mod adam;
mod clip;
mod gradients;
mod lion;
mod matrix;
mod muon;
mod rmsprop;
mod sgd;
mod update;

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};

use crate::recipe::{Lookahead, OptimizerSpec, Recipe};
use crate::weights::{self, NamedTensors};
use clip::Clip;
use update::{Rule, Update, towards};

pub use gradients::Gradients;
pub use update::Rates;

/// Name of a parameter's slow weights among its slots in a checkpoint.
const SLOW: &str = "slow";

/// An optimizer and its state.
#[derive(Debug)]
pub struct Optimizer {
    spec: OptimizerSpec,
    clip: Clip,
    lookahead: Lookahead,
    /// Updates made so far.
    updates: u64,
    /// Running tensors of each parameter, flat, by its path.
    slots: BTreeMap<String, Vec<Tensor<1>>>,
    /// Lookahead's weights, flat, by path.
    slow: BTreeMap<String, Tensor<1>>,
}

impl Optimizer {
    /// The optimizer of a recipe, which has made no update yet.
    pub fn new(recipe: &Recipe) -> Self {
        Self {
            spec: recipe.optimizer.clone(),
            clip: Clip::new(recipe),
            lookahead: recipe.lookahead.clone(),
            updates: 0,
            slots: BTreeMap::new(),
            slow: BTreeMap::new(),
        }
    }

    /// Makes one update of every parameter that has a gradient.
    pub fn step<M: Module>(&mut self, model: M, mut gradients: Gradients, rates: Rates) -> M {
        let head = last_module(&model);
        let scale = self.clip.apply(&mut gradients, &model, &head);
        self.updates += 1;
        model.map(&mut Step { optimizer: self, gradients: gradients.sums, scale, head, rates, path: Vec::new() })
    }

    /// Updates made so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The state: `path#slot` for each tensor, and the number of updates. Waits for the device.
    pub fn state(&self) -> (NamedTensors, u64) {
        let slots = self.slots.iter().flat_map(|(path, slots)| {
            slots.iter().enumerate().map(move |(slot, tensor)| (format!("{path}#{slot}"), tensor.to_data()))
        });
        let slow = self.slow.iter().map(|(path, tensor)| (format!("{path}#{SLOW}"), tensor.to_data()));
        (slots.chain(slow).collect(), self.updates)
    }

    /// Takes up a state again.
    pub fn restore(&mut self, tensors: NamedTensors, updates: u64, device: &Device) {
        self.updates = updates;
        self.slots.clear();
        self.slow.clear();
        // The map is in the order of the names, so a parameter's slots come in theirs.
        for (name, data) in tensors {
            let tensor = Tensor::from_data(data, device);
            match name.rsplit_once('#') {
                Some((path, SLOW)) => drop(self.slow.insert(path.to_owned(), tensor)),
                Some((path, _)) => self.slots.entry(path.to_owned()).or_default().push(tensor),
                None => {}
            }
        }
    }

    /// The slow weights' part in an update, if this recipe has them: they start where the optimizer does.
    fn look_ahead(&mut self, path: &str, before: Tensor<1>, after: Tensor<1>) -> Tensor<1> {
        let Lookahead { every, alpha } = self.lookahead;
        if every == 0 {
            return after;
        }
        let slow = self.slow.remove(path).unwrap_or(before);
        let is_due = self.updates.is_multiple_of(every);
        let slow = if is_due { towards(slow, after.clone(), alpha) } else { slow };
        self.slow.insert(path.to_owned(), slow.clone());
        if is_due { slow } else { after }
    }
}

impl OptimizerSpec {
    fn rule(&self) -> &dyn Rule {
        match self {
            Self::Sgd(sgd) => sgd,
            Self::Adam(adam) => adam,
            Self::Adamw(adamw) => adamw,
            Self::Rmsprop(rmsprop) => rmsprop,
            Self::Lamb(lamb) => lamb,
            Self::Lars(lars) => lars,
            Self::Adafactor(adafactor) => adafactor,
            Self::Lion(lion) => lion,
            Self::Muon(muon) => muon,
            Self::AdamThenSgd(both) => both,
        }
    }
}

/// The module that a parameter belongs to.
fn module_of(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(module, _)| module)
}

/// The last layer: all our networks end with their scores.
fn last_module<M: Module>(model: &M) -> String {
    let mut last = LastParameter::default();
    model.visit(&mut last);
    module_of(&last.found).to_owned()
}

#[derive(Default)]
struct LastParameter {
    path: Vec<String>,
    found: String,
}

impl ModuleVisitor for LastParameter {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
        self.found = self.path.join(".");
    }
}

struct Step<'a> {
    optimizer: &'a mut Optimizer,
    gradients: BTreeMap<String, Tensor<1>>,
    /// What the gradients are to be multiplied by.
    scale: f64,
    head: String,
    rates: Rates,
    path: Vec<String>,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let Some(gradient) = self.gradients.remove(&path) else { return param };
        let mut slots = self.optimizer.slots.remove(&path).unwrap_or_default();
        param.map(|weight| {
            let shape = weight.dims();
            let before: Tensor<1> = weight.clone().inner().reshape([-1]);
            let update = Update {
                weight: before.clone(),
                gradient,
                scale: self.scale,
                slots: &mut slots,
                shape: &shape,
                is_head: module_of(&path) == self.head,
                count: self.optimizer.updates,
                rates: self.rates,
            };
            let after = update.by(self.optimizer.spec.rule());
            let after = self.optimizer.look_ahead(&path, before, after);
            self.optimizer.slots.insert(path, slots);
            weights::tracked_as(after.reshape::<D, _>(shape), &weight)
        })
    }
}

#[cfg(test)]
mod tests;
