//! Why data could not be read.

use std::path::PathBuf;

use thiserror::Error;

use super::source::Split;

/// Why [`load`](super::load) gave no data. What to do about it is in [`LoadError::hint`].
#[derive(Debug, Error)]
pub enum LoadError {
    /// Nothing is at the path.
    #[error("there is no data at `{}`", path.display())]
    NoSuchPath {
        /// As resolved.
        path: PathBuf,
    },
    /// The full Fashion-MNIST is asked for by name and not there.
    #[error("Fashion-MNIST is not installed in `{}`", path.display())]
    NotInstalled {
        /// Where Debian's package puts it.
        path: PathBuf,
    },
    /// There is something at the path, but nothing we know.
    #[error("could not tell what kind of data `{}` is", path.display())]
    NotRecognised {
        /// As resolved.
        path: PathBuf,
        /// What would have been recognised, one a line.
        looked_for: &'static str,
    },
    /// A file or folder could not be read.
    #[error("could not read `{}`", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("`{}` is damaged or not what it should be", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// How.
        source: Flaw,
    },
    /// A file of a set is absent.
    #[error("`{}` has no {wanted}", path.display())]
    MissingPart {
        /// The folder or archive.
        path: PathBuf,
        /// What is absent from it.
        wanted: String,
    },
    /// Two files answer to the same part of a set.
    #[error("`{}` and `{}` are both the {wanted}", first.display(), second.display())]
    Ambiguous {
        /// One of them.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// What they both are.
        wanted: String,
    },
    /// A split has folders or rows, but no image.
    #[error("`{}` has no JPEG, PNG or WebP image in its {split} split", path.display())]
    NoImages {
        /// Of the data.
        path: PathBuf,
        /// Which split.
        split: Split,
        /// Other files that are there, a few of them.
        others: Vec<String>,
    },
    /// Training images have fewer than two classes.
    #[error("`{}` has {} of the two classes that training needs at least", path.display(), classes.len())]
    TooFewClasses {
        /// Of the data.
        path: PathBuf,
        /// What there is.
        classes: Vec<String>,
    },
    /// A class is in the validation or test split, but not among the training images.
    #[error("class `{class}` is in the {split} split of `{}`, but not in the train split", path.display())]
    UnknownClass {
        /// Of the data.
        path: PathBuf,
        /// Which split.
        split: Split,
        /// Its name.
        class: String,
    },
    /// More images are unreadable than an accident explains.
    #[error("{unreadable} of {images} images of the {split} split of `{}` could not be read: {}", path.display(), examples.join(", "))]
    TooManyUnreadable {
        /// Of the data.
        path: PathBuf,
        /// Which split.
        split: Split,
        /// How many are unreadable.
        unreadable: usize,
        /// How many there are.
        images: usize,
        /// A few names with reasons.
        examples: Vec<String>,
    },
    /// No image is left for a split.
    #[error("`{}` has too few images: none is left for the {split} split", path.display())]
    TooFewImages {
        /// Of the data.
        path: PathBuf,
        /// Which split.
        split: Split,
    },
    /// The test split is asked for, and there is none.
    #[error("`{}` has no test split", path.display())]
    NoTest {
        /// Of the data.
        path: PathBuf,
    },
    /// `val` or `test` is not a fraction that can be taken.
    #[error("`data.{key} = {value}` is not a fraction that can be set apart")]
    BadFraction {
        /// `val` or `test`.
        key: &'static str,
        /// What was given.
        value: f64,
    },
    /// `val` or `test` is given for data that comes split.
    #[error("`data.{key}` is given, but `{}` has a {split} split of its own", path.display())]
    AlreadySplit {
        /// Of the data.
        path: PathBuf,
        /// `val` or `test`.
        key: &'static str,
        /// The split that is there.
        split: Split,
    },
    /// `image_size` is out of range.
    #[error("`data.image_size = {value}` is not between 1 and 2048")]
    BadImageSize {
        /// What was given.
        value: u32,
    },
    /// `crop` is no share.
    #[error("`data.crop = {value}` is not above 0 and at most 1")]
    BadCrop {
        /// What was given.
        value: f64,
    },
    /// `channels` is neither of the two.
    #[error("`data.channels = {value}` is neither 1 (gray) nor 3 (colour)")]
    BadChannels {
        /// What was given.
        value: u32,
    },
}

impl LoadError {
    /// The key of the `[data]` table whose value is at fault, if one is.
    pub fn key(&self) -> Option<&'static str> {
        match self {
            Self::BadFraction { key, .. } | Self::AlreadySplit { key, .. } => Some(key),
            Self::BadImageSize { .. } => Some("image_size"),
            Self::BadCrop { .. } => Some("crop"),
            Self::BadChannels { .. } => Some("channels"),
            _ => None,
        }
    }

    /// What a person can do about it, where that does not follow from the message.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoSuchPath { .. } => {
                "give a folder or file, relative to the study file, or `fashion-mnist-mini` for a first try".to_owned()
            }
            Self::NotInstalled { .. } => "`apt-get install dataset-fashion-mnist` installs it on Debian and Ubuntu; \
                 elsewhere, give the path of a folder with its four IDX files"
                .to_owned(),
            Self::NotRecognised { looked_for, .. } => format!("looked for:\n{looked_for}"),
            Self::Ambiguous { .. } => "keep one of them there".to_owned(),
            Self::NoImages { others, .. } if !others.is_empty() => {
                format!("other files are there ({}): convert them to PNG or JPEG", others.join(", "))
            }
            Self::TooFewClasses { path, .. } if path.is_dir() => {
                "a folder's subfolders are its classes: is the path one level too high or too \
                 low?"
                    .to_owned()
            }
            Self::UnknownClass { .. } => {
                "add training images of it, or take it out; check its spelling and case".to_owned()
            }
            Self::TooManyUnreadable { .. } => {
                "up to 1 in 20 would be left out with a notice; repair or remove these".to_owned()
            }
            Self::NoTest { .. } => "give `data.test`, such as 0.1, or add a folder `test`".to_owned(),
            Self::BadFraction { key: "val", value: 0.0 } => {
                "trials are judged by images that are set apart: give `val` above 0, such as 0.1".to_owned()
            }
            Self::BadFraction { .. } => {
                "give `val` above 0, `test` from 0 on, and less than 1 in sum; each is 0.1 unless given".to_owned()
            }
            Self::AlreadySplit { key, .. } => format!("remove `{key}`"),
            _ => return None,
        })
    }
}

/// How a file differs from what it should be.
#[derive(Debug, Error)]
pub enum Flaw {
    /// Decompression or parsing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Nothing is in it.
    #[error("the file is empty")]
    Empty,
    /// The first bytes are others than the format's.
    #[error("it starts with {found:02x?}, where {wanted} starts with {expected}")]
    Magic {
        /// What the file should be.
        wanted: &'static str,
        /// The first bytes.
        found: Vec<u8>,
        /// What they should be.
        expected: &'static str,
    },
    /// The length is not what the header, or the format, says.
    #[error("it should have {expected} bytes and has {found}")]
    Length {
        /// By its header.
        expected: u64,
        /// In truth.
        found: u64,
    },
    /// The file is no whole number of records.
    #[error("it has {found} bytes, which is no multiple of the {record} bytes of a record")]
    Records {
        /// Bytes of one image with its labels.
        record: usize,
        /// Bytes of the file.
        found: usize,
    },
    /// A list of names is not as long as there are classes.
    #[error("it names {found} classes, where there are {expected}")]
    Names {
        /// Number of classes.
        expected: usize,
        /// Number of names.
        found: usize,
    },
    /// Images have no extent or one beyond reason, or channels other than 1 or 3.
    #[error("{name} has the shape {shape:?}, where {expected} is needed")]
    Shape {
        /// Which array.
        name: String,
        /// Of the array.
        shape: Vec<u64>,
        /// What is understood.
        expected: &'static str,
    },
    /// An archive lacks an array.
    #[error("it has no array `{name}`, only {found:?}")]
    NoArray {
        /// The array that must be there.
        name: String,
        /// What is there.
        found: Vec<String>,
    },
    /// An array is stored with its first dimension fastest.
    #[error("{name} is in Fortran order; save numpy.ascontiguousarray of it")]
    FortranOrder {
        /// Which array.
        name: String,
    },
    /// Elements are of another type.
    #[error("{name} holds {found}, where {expected} are needed")]
    ElementType {
        /// Which array.
        name: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// There are more or fewer labels than images.
    #[error("it goes with {images} images and has {labels} labels")]
    Counts {
        /// Images.
        images: usize,
        /// Labels.
        labels: usize,
    },
    /// A label names no class.
    #[error("label {label} of {split} image {index} is not one of the {classes} classes")]
    LabelRange {
        /// Which split.
        split: Split,
        /// Which image, from 0.
        index: usize,
        /// What it says.
        label: i64,
        /// How many classes there are.
        classes: usize,
    },
    /// A label of the validation or test split is on no training image.
    #[error("label {label} of {split} image {index} is on no training image")]
    LabelUnseen {
        /// Which split.
        split: Split,
        /// Which image, from 0.
        index: usize,
        /// What it says.
        label: i64,
    },
    /// A table's header has no such column.
    #[error("its header has no column `{column}`, only {found:?}")]
    NoColumn {
        /// The column that must be there.
        column: &'static str,
        /// What is there.
        found: Vec<String>,
    },
    /// A field of a table is empty or not understood.
    #[error("line {line}: `{value}` is no {column}")]
    Field {
        /// From 1.
        line: u64,
        /// Name of the column.
        column: &'static str,
        /// What stands there.
        value: String,
    },
    /// A table gives two labels or splits to one image.
    #[error("line {line}: `{image}` is listed before with another label or split")]
    Contradiction {
        /// From 1.
        line: u64,
        /// Its path as listed.
        image: String,
    },
    /// A table cannot be parsed.
    #[error(transparent)]
    Csv(#[from] ::csv::Error),
}
