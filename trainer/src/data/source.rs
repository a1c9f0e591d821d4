//! Data that was found: its classes, labels and sizes, with the pixels still where they are.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    Images, LoadError, cifar, csv, embedded,
    error::Flaw,
    files::{Files, Readable},
    folder, idx, made,
    notice::{Handling, Notice},
    npz,
    picture::Picture,
    plan::Part,
    resize::Resizer,
    shape::{Look, Looks, Shape},
};

/// What images are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Split {
    /// To learn from.
    Train = 0,
    /// To choose recipes by.
    Validation = 1,
    /// To confirm the chosen one, once.
    Test = 2,
}

impl Split {
    /// The split that people mean by a folder's, file's or column's word.
    pub(super) fn named(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" | "dev" => Some(Self::Validation),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

/// How data is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Part of the program.
    Embedded,
    /// A folder per class.
    Folder,
    /// A table of paths and labels.
    Csv,
    /// The files of MNIST and its kin.
    Idx,
    /// The binary version of CIFAR-10.
    Cifar10,
    /// The binary version of CIFAR-100.
    Cifar100,
    /// NumPy arrays, named as MedMNIST names them.
    Npz,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "part of the program",
            Self::Folder => "a folder per class",
            Self::Csv => "a CSV of paths and labels",
            Self::Idx => "IDX",
            Self::Cifar10 => "CIFAR-10 binary",
            Self::Cifar100 => "CIFAR-100 binary",
            Self::Npz => "NPZ",
        })
    }
}

/// Data that was found and whose pixels are not read yet.
pub(super) struct Source {
    pub kind: Kind,
    pub path: PathBuf,
    pub classes: Vec<String>,
    pub labels: Labels,
    /// Of the training images.
    pub looks: Looks,
    pub notices: Vec<Notice>,
    pub pixels: Pixels,
}

/// Labels of the splits that there are, in the order in which pixels are read.
#[derive(Default)]
pub(super) struct Labels {
    pub train: Vec<u32>,
    pub validation: Option<Vec<u32>>,
    pub test: Option<Vec<u32>>,
}

impl Labels {
    pub fn of(&self, split: Split) -> Option<&[u32]> {
        match split {
            Split::Train => Some(&self.train),
            Split::Validation => self.validation.as_deref(),
            Split::Test => self.test.as_deref(),
        }
    }
}

/// Where pixels come from.
pub(super) enum Pixels {
    /// Each image is a file.
    Files(Files),
    /// All images of a split are one array.
    Arrays(Box<dyn ReadArray>),
}

/// Data whose splits are arrays of images of one size.
pub(super) trait ReadArray {
    /// All images of a split.
    fn read(&self, split: Split) -> Result<Array, LoadError>;
}

/// Images of one size, NHWC, with 1 or 3 channels.
pub(super) struct Array {
    pub pixels: Vec<u8>,
    pub height: u32,
    pub width: u32,
    pub channels: usize,
}

/// Finds out what kind of data a path means, and looks at it.
pub(super) fn open(path: &str, base: &Path) -> Result<Source, LoadError> {
    match path {
        embedded::NAME => return Ok(embedded::open()),
        made::NAME => return Ok(made::open()),
        idx::FASHION_MNIST => return idx::open_fashion_mnist(),
        _ => {}
    }
    let path = base.join(path);
    if !path.exists() {
        return Err(LoadError::NoSuchPath { path });
    }
    if path.is_dir() {
        if idx::is(&path) {
            return idx::open(&path, None);
        }
        if let Some(layout) = cifar::layout(&path) {
            return cifar::open(&path, layout);
        }
        if folder::is(&path) {
            return folder::open(&path);
        }
    }
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("npz") => return npz::open(&path),
        Some("csv") => return csv::open(&path, b','),
        Some("tsv") => return csv::open(&path, b'\t'),
        _ => {}
    }
    Err(LoadError::NotRecognised { path, looked_for: LOOKED_FOR })
}

const LOOKED_FOR: &str = "\
a folder with a folder of JPEG, PNG or WebP images per class, or with such folders in train/ (and val/, test/)
IDX: train-images-idx3-ubyte and train-labels-idx1-ubyte (and t10k-…), as they are or as .gz
CIFAR binary: data_batch_1.bin … and batches.meta.txt, or train.bin and fine_label_names.txt
a file .npz with train_images and train_labels (and val_…, test_…)
a file .csv or .tsv with the columns path and label (and split)";

impl Source {
    /// Reads some images of a split, all made into one shape.
    pub fn read(&self, part: &Part, shape: Shape) -> Result<(Images, Vec<Notice>), LoadError> {
        let labels = self.labels.of(part.split).expect("a plan names only splits that are there");
        let Readable { pixels, which, notices } = match &self.pixels {
            Pixels::Files(files) => files.read(&self.path, part, shape)?,
            Pixels::Arrays(arrays) => {
                let (pixels, notices) = arrays.read(part.split)?.prepared(part, shape);
                Readable { pixels, which: part.which.clone(), notices }
            }
        };
        let labels = which.iter().map(|&place| labels[place]).collect();
        Ok((Images { pixels, labels, height: shape.height, width: shape.width, channels: shape.channels }, notices))
    }
}

impl Array {
    pub fn look(&self) -> Look {
        Look { height: self.height, width: self.width, colour: self.channels == 3 }
    }

    /// Some of the images, made into a shape.
    fn prepared(&self, part: &Part, shape: Shape) -> (Vec<u8>, Vec<Notice>) {
        let size = self.height as usize * self.width as usize * self.channels;
        let out_size = shape.height * shape.width * shape.channels;
        let mut pixels = vec![0; part.which.len() * out_size];
        pixels.par_chunks_exact_mut(out_size).zip(&part.which).for_each_init(Resizer::new, |resizer, (out, &place)| {
            let pixels = self.pixels[place * size..][..size].to_vec();
            resizer.fit(
                &Picture { pixels, height: self.height, width: self.width, channels: self.channels },
                shape,
                out,
            );
        });
        let changes = [
            (Handling::GrayToColour, self.channels < shape.channels),
            (Handling::ColourToGray, self.channels > shape.channels),
            (
                Handling::Resized,
                (self.height as usize, self.width as usize) != (shape.height, shape.width) || shape.crop < 1.0,
            ),
        ];
        let changes = changes.into_iter().filter(|(_, done)| *done);
        let notice =
            |(handling, _)| Notice { split: Some(part.role), handling, count: part.which.len(), examples: vec![] };
        (pixels, changes.map(notice).collect())
    }
}

/// Labels as data has them, made into places in a list of classes.
///
/// With names, a label is a place in them. Without, the classes are the distinct labels of the training images.
pub(super) fn classes_and_labels(
    path: &Path,
    names: Option<Vec<String>>,
    train: &[i64],
    validation: Option<&[i64]>,
    test: Option<&[i64]>,
) -> Result<(Vec<String>, Labels, Vec<Notice>), LoadError> {
    let mut seen = train.to_vec();
    seen.sort_unstable();
    seen.dedup();
    let malformed = |source| LoadError::Malformed { path: path.to_owned(), source };
    let place = |split, (index, &label): (usize, &i64)| match &names {
        Some(names) if (0..names.len() as i64).contains(&label) => Ok(label as u32),
        Some(names) => Err(malformed(Flaw::LabelRange { split, index, label, classes: names.len() })),
        None => match seen.binary_search(&label) {
            Ok(place) => Ok(place as u32),
            Err(_) => Err(malformed(Flaw::LabelUnseen { split, index, label })),
        },
    };
    let places = |split, labels: &[i64]| labels.iter().enumerate().map(|item| place(split, item)).collect();
    let labels = Labels {
        train: places(Split::Train, train)?,
        validation: validation.map(|labels| places(Split::Validation, labels)).transpose()?,
        test: test.map(|labels| places(Split::Test, labels)).transpose()?,
    };
    let classes = names.unwrap_or_else(|| seen.iter().map(i64::to_string).collect());
    if seen.len() < 2 {
        let classes = seen.iter().map(|label| label.to_string()).collect();
        return Err(LoadError::TooFewClasses { path: path.to_owned(), classes });
    }
    let mut present = vec![false; classes.len()];
    labels.train.iter().for_each(|&label| present[label as usize] = true);
    let empty = classes.iter().zip(&present).filter(|(_, present)| !**present).map(|(class, _)| class);
    let notices = Notice::new(None, Handling::EmptyClass, empty).into_iter().collect();
    Ok((classes, labels, notices))
}
