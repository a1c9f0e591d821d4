//! What is in a data set, by names, labels and headers alone.

use std::path::Path;

use serde::Serialize;

use super::{
    DataSpec, LoadError,
    notice::Notice,
    source::{self, Kind, Split},
};

/// What one sees of data without decoding it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// How it is stored.
    pub kind: Kind,
    /// Its classes, in the order of their labels.
    pub classes: Vec<ClassCount>,
    /// Images to train on.
    pub train: usize,
    /// Images of the validation split, if the data has one of its own.
    pub validation: Option<usize>,
    /// Images of the test split, if the data has one of its own.
    pub test: Option<usize>,
    /// Least, median and greatest short side of the training images, in pixels.
    pub short_sides: [u32; 3],
    /// Height and width, if all training images have the same.
    pub common_size: Option<(u32, u32)>,
    /// Height and width that images get unless `image_size` says otherwise.
    pub default_size: (usize, usize),
    /// 1 for gray, 3 for colour, which one image in colour suffices for.
    pub channels: usize,
    /// Whether there are gray images beside others in colour.
    pub mixed_channels: bool,
    /// How many times as many training images the largest class has as the smallest that has any.
    pub imbalance: f64,
    /// What was out of the ordinary as far as one could see.
    pub notices: Vec<Notice>,
}

/// How many images of a class each split has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// Of the class.
    pub name: String,
    /// In the train split.
    pub train: usize,
    /// In the validation split.
    pub validation: usize,
    /// In the test split.
    pub test: usize,
}

/// Looks at data without decoding it. `path` and `base` are as in [`load`](super::load).
pub fn describe(path: &str, base: &Path) -> Result<Description, LoadError> {
    let source = source::open(path, base)?;
    let shape = source.looks.shape(&DataSpec::new(path));
    let counts = [Split::Train, Split::Validation, Split::Test].map(|split| {
        let mut counts = vec![0; source.classes.len()];
        source.labels.of(split).into_iter().flatten().for_each(|&label| counts[label as usize] += 1);
        counts
    });
    let present = || counts[0].iter().copied().filter(|&count| count > 0);
    let (least, most) = (present().min().unwrap_or(1), present().max().unwrap_or(1));
    let names = source.classes.into_iter().enumerate();
    Ok(Description {
        kind: source.kind,
        train: source.labels.train.len(),
        validation: source.labels.validation.as_ref().map(Vec::len),
        test: source.labels.test.as_ref().map(Vec::len),
        short_sides: source.looks.short_sides,
        common_size: source.looks.common,
        default_size: (shape.height, shape.width),
        channels: shape.channels,
        mixed_channels: source.looks.colour && source.looks.gray,
        imbalance: most as f64 / least as f64,
        notices: source.notices,
        classes: names
            .map(|(class, name)| ClassCount {
                name,
                train: counts[0][class],
                validation: counts[1][class],
                test: counts[2][class],
            })
            .collect(),
    })
}
