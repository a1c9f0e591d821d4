//! Images that a network makes of a few: a conditional generative adversarial network learns from the training split, and a
//! classifier that learned from the same split lets through what it takes for the asked class. Neither sees any other
//! image, so that nothing that a trial is judged by comes into its training.

mod augment;
mod filter;
mod gan;
mod net;
mod picture;
mod spectral;

use crate::data::{Dataset, class_counts};
use crate::fit::FitError;

pub use filter::{Filter, Sifted};
pub use gan::{Gan, GanSettings};
pub use picture::picture;

/// Sides of images that can be generated, in pixels.
const SIDES: std::ops::RangeInclusive<usize> = 8..=64;

/// Why no images are generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// They are of a size that the networks are not built for.
    #[error("images of {height}×{width} pixels cannot be generated: both sides must be multiples of 4 from 8 to 64")]
    Size {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// No class has fewer images than others.
    #[error("no class is scarce: all have at least half as many training images as the median class")]
    NothingScarce,
    /// There is no such class.
    #[error("there is no class `{name}`; there are {}", classes.join(", "))]
    NoSuchClass {
        /// What was asked for.
        name: String,
        /// What there is.
        classes: Vec<String>,
    },
    /// A class has nothing to learn from.
    #[error("class `{class}` has no training images")]
    NoImages {
        /// Its name.
        class: String,
    },
    /// The networks' losses are no numbers any more.
    #[error("the generator diverged before step {step}")]
    Diverged {
        /// From 0.
        step: u64,
    },
    /// The classifier's loss is no number any more.
    #[error("the filter diverged")]
    FilterDiverged,
    /// The classifier cannot be trained.
    #[error("the filter could not be trained")]
    Filter(#[from] FitError),
}

/// Places of the classes that words mean: `all`, `scarce` (fewer training images than half of the median class's), or
/// names.
pub fn chosen_classes(data: &Dataset, words: &[String]) -> Result<Vec<usize>, GenerateError> {
    let counts = class_counts(&data.train.labels, data.classes.len());
    let chosen = match words {
        [word] if word == "all" => (0..counts.len()).collect(),
        [word] if word == "scarce" => {
            let half = median(&counts) as f64 / 2.0;
            (0..counts.len()).filter(|class| counts[*class] > 0 && (counts[*class] as f64) < half).collect()
        }
        names => {
            let place = |name: &String| data.classes.iter().position(|class| class == name);
            let place = |name: &String| {
                place(name)
                    .ok_or_else(|| GenerateError::NoSuchClass { name: name.clone(), classes: data.classes.clone() })
            };
            names.iter().map(place).collect::<Result<Vec<usize>, _>>()?
        }
    };
    if let Some(class) = chosen.iter().find(|class| counts[**class] == 0) {
        return Err(GenerateError::NoImages { class: data.classes[*class].clone() });
    }
    if chosen.is_empty() { Err(GenerateError::NothingScarce) } else { Ok(chosen) }
}

/// The middle one of some counts; of an even number, the upper one.
pub fn median(counts: &[usize]) -> usize {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
