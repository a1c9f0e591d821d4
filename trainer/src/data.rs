//! Image data: whatever a person has on the disk, read into bytes of one size with labels, and split for training and
//! validation. The test split is read by [`load_test`] alone.
//!
//! Every way to read data is one file of `data/` that yields a `source::Source`: names, labels and sizes, with the
//! pixels still on the disk. What follows is the same for all: choose the size, split, read, and say what was done.

mod cifar;
mod csv;
mod describe;
mod embedded;
mod error;
mod files;
mod fingerprint;
mod folder;
mod generated;
mod idx;
mod made;
mod notice;
mod npz;
mod picture;
mod plan;
mod resize;
mod shape;
mod source;
mod split;

use std::{path::Path, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::plan::{Part, Plan};
pub use self::{
    describe::{ClassCount, Description, describe},
    error::{Flaw, LoadError},
    fingerprint::fingerprint_files,
    generated::{GeneratedClass, GeneratedError, GeneratedImages, GeneratedRecord},
    notice::{Handling, Notice},
    source::{Kind, Split},
};

/// The `[data]` table of a study file: which images, and how they are prepared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// `fashion-mnist-mini` (6,000 + 1,000 images, part of the program), `arrows-and-disks` (2,400 + 800 drawn images of
    /// which it is known what changes their class), `fashion-mnist` (the full set, from Debian's package), or the path
    /// of a folder or file, relative to the study file. Write `./fashion-mnist` for a folder that is called so.
    pub path: String,
    /// The fraction of the training images that becomes the validation split; 0.1 unless given. An error where the data
    /// has a validation split of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val: Option<f64>,
    /// The fraction of the training images that is set apart as the test split, before `val`; 0.1 unless given, 0 for
    /// none. An error where the data has a test split of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<f64>,
    /// Side in pixels of the squares that images are made into: the largest centred square, resized. Unless given,
    /// images that all have one size with a short side of at most 64 stay as they are, and others become squares
    /// of the median short side of the training images, 64 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<u32>,
    /// 1 for gray, 3 for colour. Unless given, 3 if any training image is in colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u32>,
    /// The share of each side of the centred part that is kept before it is resized, above 0 and at most 1; 1 unless
    /// given. 0.875 is usual for photos with the object in the middle (`crop_pct` in timm).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<f64>,
    /// How images are resized; bilinear unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
}

/// How images are resized: antialiased, as Pillow does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// The triangle filter, of two pixels.
    #[default]
    Bilinear,
    /// Of four pixels; sharper.
    Bicubic,
    /// Of six pixels; sharpest, with rings at hard edges.
    Lanczos,
}

impl DataSpec {
    /// The data at a path, all else by default.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), val: None, test: None, image_size: None, channels: None, crop: None, filter: None }
    }

    /// Whether each value makes sense, whatever the data is.
    pub fn check(&self) -> Result<(), LoadError> {
        if let Some(value) = self.val.filter(|val| !(*val > 0.0 && *val < 1.0)) {
            return Err(LoadError::BadFraction { key: "val", value });
        }
        if let Some(value) = self.test.filter(|test| !(0.0..1.0).contains(test)) {
            return Err(LoadError::BadFraction { key: "test", value });
        }
        if let Some(value) = self.image_size.filter(|side| !(1..=2048).contains(side)) {
            return Err(LoadError::BadImageSize { value });
        }
        if let Some(value) = self.channels.filter(|channels| !matches!(channels, 1 | 3)) {
            return Err(LoadError::BadChannels { value });
        }
        match self.crop {
            Some(value) if !(value > 0.0 && value <= 1.0) => Err(LoadError::BadCrop { value }),
            _ => Ok(()),
        }
    }
}

/// Labelled images of one size.
#[derive(Clone, PartialEq, Eq)]
pub struct Images {
    /// Image by image, row by row, pixel by pixel, channel by channel (NHWC).
    pub pixels: Vec<u8>,
    /// For each image its place in [`Dataset::classes`].
    pub labels: Vec<u32>,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// 1 for gray, 3 for red, green, blue.
    pub channels: usize,
}

impl Images {
    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The bytes of one image.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.height * self.width * self.channels;
        &self.pixels[index * size..][..size]
    }
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Images({} of {}×{}×{})", self.len(), self.height, self.width, self.channels)
    }
}

/// Images of each class.
pub fn class_counts(labels: &[u32], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    labels.iter().for_each(|label| counts[*label as usize] += 1);
    counts
}

/// What a search trains and judges on.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Names of the classes; a label is a place in this list.
    pub classes: Vec<String>,
    /// To train on.
    pub train: Arc<Images>,
    /// To judge recipes by.
    pub validation: Arc<Images>,
    /// How many images [`load_test`] finds, of which some may be unreadable.
    pub test_images: usize,
    /// What was out of the ordinary and how it was handled, with counts, for people to read.
    pub notices: Vec<Notice>,
    /// BLAKE3 of classes, pixels, labels and their split, in hexadecimal: equal exactly if training sees the same.
    pub fingerprint: String,
}

impl Dataset {
    /// The same with other training images, which is another data set by its fingerprint.
    pub fn with_train(self, train: Images) -> Self {
        let fingerprint = fingerprint::of_images(&self.classes, &[&train, &self.validation]);
        Self { train: Arc::new(train), fingerprint, ..self }
    }
}

/// Reads the training and validation images. `base` is where relative paths start (the folder of the study file). The
/// split is a pure function of the seed and the sorted names and labels.
pub fn load(spec: &DataSpec, base: &Path, seed: u64) -> Result<Dataset, LoadError> {
    let source = source::open(&spec.path, base)?;
    let plan = Plan::new(&source, spec, seed)?;
    let mut notices = source.notices.clone();
    notices.extend(plan.notices.iter().cloned());
    let mut read = |part: &Part| -> Result<Images, LoadError> {
        let (images, more) = source.read(part, plan.shape)?;
        notices.extend(more);
        Ok(images)
    };
    let train = read(&plan.train)?;
    let validation = read(&plan.validation)?;
    let fingerprint = fingerprint::of_images(&source.classes, &[&train, &validation]);
    Ok(Dataset {
        classes: source.classes,
        train: Arc::new(train),
        validation: Arc::new(validation),
        test_images: plan.test.map_or(0, |test| test.which.len()),
        notices,
        fingerprint,
    })
}

/// Reads the test images, prepared as [`load`] prepares the others. A search never calls this: the confirmation does.
pub fn load_test(spec: &DataSpec, base: &Path, seed: u64) -> Result<(Images, Vec<Notice>), LoadError> {
    let source = source::open(&spec.path, base)?;
    let plan = Plan::new(&source, spec, seed)?;
    let test = plan.test.as_ref().ok_or(LoadError::NoTest { path: source.path.clone() })?;
    source.read(test, plan.shape)
}

#[cfg(test)]
mod tests;
