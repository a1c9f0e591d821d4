//! Augmentation policies as data: published ones by name, learned ones by file or spelled out.

use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mixing::Mixing;
use super::rule::{Rule, closed_share, not_negative, positive};

/// Which operations are drawn for each image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PolicySpec {
    /// No operation.
    None(NoPolicy),
    /// A policy that AutoAugment published (Cubuk 2019, arXiv 1805.09501), as torchvision's `AutoAugment`.
    AutoAugment(AutoAugment),
    /// A number of operations at one strength (Cubuk 2020, arXiv 1909.13719), as torchvision's `RandAugment`.
    RandAugment(RandAugment),
    /// One operation at a random strength (Müller 2021, arXiv 2103.10158), as torchvision's `TrivialAugmentWide`.
    TrivialAugment(TrivialAugment),
    /// A mixture of chains of operations with the image itself (Hendrycks 2020, arXiv 1912.02781), as torchvision's
    /// `AugMix`.
    AugMix(AugMix),
    /// Spelled out.
    Custom(Policy),
    /// Spelled out in a file of its own; where a study or recipe file is read, it becomes `custom`.
    File(PolicyFile),
}

impl Default for PolicySpec {
    fn default() -> Self {
        Self::None(NoPolicy {})
    }
}

/// No operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoPolicy {}

/// A policy that AutoAugment published.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AutoAugment {
    /// The data that it was learned on; choose the nearest to yours.
    pub learned_on: LearnedOn,
}

/// The data of AutoAugment's policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LearnedOn {
    /// Small photos: mostly colour.
    #[default]
    Cifar10,
    /// House numbers: mostly shear and inversion.
    Svhn,
    /// Photos: mostly colour and rotation.
    Imagenet,
}

/// A number of operations at one strength. Defaults are torchvision's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandAugment {
    /// Operations for each image.
    pub n: usize,
    /// Strength, from 0 to 30.
    pub m: u32,
}

impl Default for RandAugment {
    fn default() -> Self {
        Self { n: 2, m: 9 }
    }
}

/// One operation at a random strength: nothing of it varies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrivialAugment {}

/// A mixture of chains of operations with the image itself. Defaults are the paper's and torchvision's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AugMix {
    /// Strength of the operations, from 1 to 10.
    pub severity: u32,
    /// Chains that are mixed.
    pub width: usize,
    /// Operations of a chain; 0 draws from 1 to 3.
    pub depth: usize,
    /// Parameter of the Dirichlet and beta distributions of the weights.
    pub alpha: f64,
    /// Uses brightness, color, contrast and sharpness too.
    pub all_ops: bool,
}

impl Default for AugMix {
    fn default() -> Self {
        Self { severity: 3, width: 3, depth: 0, alpha: 1.0, all_ops: true }
    }
}

/// A policy in a file of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// A TOML file with the fields of `custom`, or of another kind with its `kind`; relative to the file that names it.
    pub path: PathBuf,
}

/// A policy: for each image sub-policies are drawn by weight, and the operations of each are done in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Sub-policies drawn for each image, with replacement.
    #[serde(default = "one")]
    pub draws: usize,
    /// How batches are mixed: of those that hold at a time, the first one. If there are any, they stand in the place of all
    /// that the recipe itself says of mixing.
    #[serde(default)]
    pub mix: Vec<Mixing>,
    /// What is drawn from.
    pub sub_policies: Vec<SubPolicy>,
}

/// Operations that are done together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubPolicy {
    /// Its chance is its weight among the weights of those that hold at the time.
    #[serde(default = "whole")]
    pub weight: f64,
    /// Share of the training from which on it holds; with `until`, a policy is a schedule, as PBA learns one (Ho 2019,
    /// arXiv 1905.05393).
    #[serde(default)]
    pub from: f64,
    /// Share of the training until which it holds.
    #[serde(default = "whole")]
    pub until: f64,
    /// Done in this order.
    pub ops: Vec<PolicyOp>,
}

/// An operation with its chance and strength.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyOp {
    /// Which.
    pub op: Op,
    /// Chance that it is done.
    #[serde(default = "whole")]
    pub probability: f64,
    /// Strength as a share of the operation's range, in [0, 1].
    #[serde(default)]
    pub magnitude: f64,
    /// If given, the strength is drawn between this and `magnitude` for each image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub magnitude_min: Option<f64>,
    /// Which way an operation goes that has two.
    #[serde(default, skip_serializing_if = "Direction::is_either")]
    pub direction: Direction,
}

impl PolicyOp {
    /// Always done, at no strength, either way.
    pub fn new(op: Op) -> Self {
        Self { op, probability: 1.0, magnitude: 0.0, magnitude_min: None, direction: Direction::Either }
    }
}

/// Which way an operation goes that has two: a rotation counter-clockwise or clockwise, a brightness up or down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// One of them at random.
    #[default]
    Either,
    /// As the range of the operation has it.
    Positive,
    /// With the sign changed.
    Negative,
}

impl Direction {
    fn is_either(&self) -> bool {
        *self == Self::Either
    }
}

/// The operations of policies; docs/recipes.md has their ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it, and augment/op.rs has a row for each")]
pub enum Op {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    AutoContrast,
    Invert,
    Equalize,
    Solarize,
    SolarizeAdd,
    Posterize,
    Contrast,
    Color,
    Brightness,
    Sharpness,
    Cutout,
    SamplePairing,
    Flip,
    FlipVertical,
    Hue,
    Grayscale,
    Blur,
    Noise,
    Turn,
    Erase,
}

fn one() -> usize {
    1
}

fn whole() -> f64 {
    1.0
}

/// Why a policy's file gave no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// It could not be read.
    #[error("could not read the policy `{}`: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no policy.
    #[error("`{}` is no policy: {message}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, with its line.
        message: String,
    },
}

impl PolicySpec {
    /// Reads the policy's file, if it is in one, by `parse`; `folder` is where relative paths start.
    pub fn resolve<E: std::fmt::Display>(
        &mut self,
        folder: &Path,
        parse: impl Fn(&str) -> Result<PolicySpec, E>,
    ) -> Result<(), PolicyFileError> {
        let Self::File(PolicyFile { path }) = self else { return Ok(()) };
        let path = folder.join(path);
        let text = fs::read_to_string(&path).map_err(|source| PolicyFileError::Io { path: path.clone(), source })?;
        *self = parse(&text).map_err(|error| PolicyFileError::Malformed { path, message: error.to_string() })?;
        Ok(())
    }

    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        match self {
            Self::None(_) | Self::AutoAugment(_) | Self::TrivialAugment(_) => {}
            Self::RandAugment(RandAugment { n, m }) => {
                rules.push(("augment.policy.n", "from 1 to 16", *n as f64, |x| (1.0..=16.0).contains(&x)));
                rules.push(("augment.policy.m", "from 0 to 30", f64::from(*m), |x| x <= 30.0));
            }
            Self::AugMix(AugMix { severity, width, depth, alpha, .. }) => {
                rules.push(("augment.policy.severity", "from 1 to 10", f64::from(*severity), |x| {
                    (1.0..=10.0).contains(&x)
                }));
                rules.push(("augment.policy.width", "from 1 to 16", *width as f64, |x| (1.0..=16.0).contains(&x)));
                rules.push(("augment.policy.depth", "from 0 to 16", *depth as f64, |x| x <= 16.0));
                rules.push(("augment.policy.alpha", "above 0", *alpha, positive));
            }
            Self::Custom(policy) => policy.rules(rules),
            // Who reads the file that names it resolves it; a training does not read files.
            Self::File(_) => rules.push(("augment.policy", "read from its file first", 0.0, |_| false)),
        }
    }
}

impl Policy {
    /// One of these for each image; mixing as the recipe has it.
    pub fn new(sub_policies: Vec<SubPolicy>) -> Self {
        Self { draws: one(), mix: Vec::new(), sub_policies }
    }

    fn rules(&self, rules: &mut Vec<Rule>) {
        rules.push(("augment.policy.draws", "from 1 to 16", self.draws as f64, |x| (1.0..=16.0).contains(&x)));
        let count = self.sub_policies.len() as f64;
        rules.push(("augment.policy.sub_policies", "at least one", count, |x| x >= 1.0));
        self.mix.iter().for_each(|mixing| mixing.rules(rules));
        for SubPolicy { weight, from, until, ops } in &self.sub_policies {
            rules.push(("augment.policy.sub_policies.weight", "0 or more", *weight, not_negative));
            rules.push(("augment.policy.sub_policies.from", "in [0, 1]", *from, closed_share));
            rules.push(("augment.policy.sub_policies.until", "in [0, 1]", *until, closed_share));
            for PolicyOp { probability, magnitude, magnitude_min, .. } in ops {
                let least = magnitude_min.unwrap_or(0.0);
                rules.push(("augment.policy.sub_policies.ops.probability", "in [0, 1]", *probability, closed_share));
                rules.push(("augment.policy.sub_policies.ops.magnitude", "in [0, 1]", *magnitude, closed_share));
                rules.push(("augment.policy.sub_policies.ops.magnitude_min", "in [0, 1]", least, closed_share));
            }
        }
    }
}
