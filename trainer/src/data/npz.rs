//! NPZ archives of NumPy arrays, named as MedMNIST (<https://medmnist.com>) or Keras names them.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use npyz::{DType, NpyFile, Order, TypeChar, npz::NpzArchive};

use super::{
    LoadError,
    error::Flaw,
    shape::{Look, Looks},
    source::{Array, Kind, Pixels, ReadArray, Source, Split, classes_and_labels},
};

/// Names of a split's images and labels.
type Names = [&'static str; 2];

/// MedMNIST's and Keras's names, in the order of the splits.
const NAMINGS: [[Names; 3]; 2] = [
    [["train_images", "train_labels"], ["val_images", "val_labels"], ["test_images", "test_labels"]],
    [["x_train", "y_train"], ["x_val", "y_val"], ["x_test", "y_test"]],
];

pub(super) fn open(path: &Path) -> Result<Source, LoadError> {
    let malformed = |source| LoadError::Malformed { path: path.to_owned(), source };
    let mut archive = Archive::open(path)?;
    let naming = NAMINGS.into_iter().find(|naming| archive.has(naming[0][0])).unwrap_or(NAMINGS[0]);
    let look = archive.images(naming[0][0]).map_err(malformed)?.2;
    let train = archive.labels(naming[0]).map_err(malformed)?;
    let mut labels_if_there = |names: Names| match names.iter().any(|name| archive.has(name)) {
        true => archive.labels(names).map(Some).map_err(malformed),
        false => Ok(None),
    };
    let (validation, test) = (labels_if_there(naming[1])?, labels_if_there(naming[2])?);
    let names = archive.has("classes").then(|| archive.strings("classes")).transpose().map_err(malformed)?;
    let (classes, labels, notices) = classes_and_labels(path, names, &train, validation.as_deref(), test.as_deref())?;
    Ok(Source {
        kind: Kind::Npz,
        path: path.to_owned(),
        classes,
        labels,
        looks: Looks::uniform(look),
        notices,
        pixels: Pixels::Arrays(Box::new(Images { path: path.to_owned(), names: naming.map(|[images, _]| images) })),
    })
}

/// Images and class names of an archive with a training split alone, in which not every class needs to have images.
pub(super) fn training_images(path: &Path) -> Result<(super::Images, Vec<String>), LoadError> {
    let malformed = |source| LoadError::Malformed { path: path.to_owned(), source };
    let naming = NAMINGS[0];
    let mut archive = Archive::open(path)?;
    let classes = archive.strings("classes").map_err(malformed)?;
    let labels = archive.labels(naming[0]).map_err(malformed)?;
    let place = |(index, label): (usize, i64)| match usize::try_from(label) {
        Ok(place) if place < classes.len() => Ok(place as u32),
        _ => Err(malformed(Flaw::LabelRange { split: Split::Train, index, label, classes: classes.len() })),
    };
    let labels = labels.into_iter().enumerate().map(place).collect::<Result<_, _>>()?;
    let images = Images { path: path.to_owned(), names: naming.map(|[images, _]| images) };
    let Array { pixels, height, width, channels } = images.read(Split::Train)?;
    Ok((super::Images { pixels, labels, height: height as usize, width: width as usize, channels }, classes))
}

/// An array of strings, if there is one.
pub(super) fn strings(path: &Path, name: &str) -> Result<Option<Vec<String>>, LoadError> {
    let mut archive = Archive::open(path)?;
    let strings = archive.has(name).then(|| archive.strings(name)).transpose();
    strings.map_err(|source| LoadError::Malformed { path: path.to_owned(), source })
}

struct Images {
    path: PathBuf,
    names: [&'static str; 3],
}

impl ReadArray for Images {
    fn read(&self, split: Split) -> Result<Array, LoadError> {
        let name = self.names[split as usize];
        let malformed = |source| LoadError::Malformed { path: self.path.clone(), source };
        let mut archive = Archive::open(&self.path)?;
        let (file, count, Look { height, width, colour }) = archive.images(name).map_err(malformed)?;
        let channels = if colour { 3 } else { 1 };
        let expected = count * u64::from(height) * u64::from(width) * channels;
        let mut pixels = vec![];
        // Read as bytes: they are, and element by element would take seconds. The header alone is not believed.
        let mut bytes = file.into_inner().take(expected.saturating_add(1));
        bytes.read_to_end(&mut pixels).map_err(|error| malformed(error.into()))?;
        if pixels.len() as u64 != expected {
            return Err(malformed(Flaw::Length { expected, found: pixels.len() as u64 }));
        }
        Ok(Array { pixels, height, width, channels: channels as usize })
    }
}

type ArrayFile<'a> = NpyFile<Box<dyn Read + 'a>>;

struct Archive(NpzArchive<BufReader<File>>);

impl Archive {
    fn open(path: &Path) -> Result<Self, LoadError> {
        let file = File::open(path).map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
        let malformed = |error: std::io::Error| LoadError::Malformed { path: path.to_owned(), source: error.into() };
        NpzArchive::new(BufReader::new(file)).map(Self).map_err(malformed)
    }

    fn has(&self, name: &str) -> bool {
        self.0.array_names().any(|other| other == name)
    }

    /// An array, before its elements are read.
    fn array(&mut self, name: &str) -> Result<ArrayFile<'_>, Flaw> {
        if !self.has(name) {
            let mut found: Vec<String> = self.0.array_names().map(str::to_owned).collect();
            found.sort();
            return Err(Flaw::NoArray { name: name.to_owned(), found });
        }
        let array = self.0.by_name(name)?.ok_or(std::io::ErrorKind::NotFound).map_err(std::io::Error::from)?;
        if array.order() == Order::Fortran && array.shape().len() > 1 {
            return Err(Flaw::FortranOrder { name: quoted(name) });
        }
        let header = array.header().clone();
        Ok(NpyFile::with_header(header, Box::new(array.into_inner())))
    }

    /// An array of images, how many they are, and how they look.
    fn images(&mut self, name: &str) -> Result<(ArrayFile<'_>, u64, Look), Flaw> {
        let array = self.array(name)?;
        if kind(&array.dtype()) != Some((TypeChar::Uint, 1)) {
            return Err(other_type(name, &array.dtype(), "bytes (uint8)"));
        }
        let side = |side: u64| u32::try_from(side).ok().filter(|side| (1..=4096).contains(side));
        let (count, height, width, channels) = match *array.shape() {
            [count, height, width] => (count, side(height), side(width), 1),
            [count, height, width, channels] => (count, side(height), side(width), channels),
            _ => (0, None, None, 0),
        };
        match (height, width, channels) {
            (Some(height), Some(width), 1 | 3) => Ok((array, count, Look { height, width, colour: channels == 3 })),
            _ => Err(Flaw::Shape {
                name: quoted(name),
                shape: array.shape().to_vec(),
                expected: "(n, height, width) or (n, height, width, 1 or 3), and no side above 4096,",
            }),
        }
    }

    /// The labels that go with images.
    fn labels(&mut self, [images, name]: Names) -> Result<Vec<i64>, Flaw> {
        let count = self.images(images)?.1;
        let array = self.array(name)?;
        match *array.shape() {
            [length] | [length, 1] if length == count => integers(name, array),
            [length] | [length, 1] => Err(Flaw::Counts { images: count as usize, labels: length as usize }),
            _ => Err(Flaw::Shape {
                name: quoted(name),
                shape: array.shape().to_vec(),
                expected: "(n) or (n, 1), one class an image,",
            }),
        }
    }

    fn strings(&mut self, name: &str) -> Result<Vec<String>, Flaw> {
        let array = self.array(name)?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned();
        match kind(&array.dtype()) {
            Some((TypeChar::UnicodeStr, _)) => Ok(array.into_vec()?),
            Some((TypeChar::ByteStr, _)) => Ok(array.into_vec()?.into_iter().map(text).collect()),
            _ => Err(other_type(name, &array.dtype(), "strings")),
        }
    }
}

fn quoted(name: &str) -> String {
    format!("`{name}`")
}

fn other_type(name: &str, dtype: &DType, expected: &'static str) -> Flaw {
    Flaw::ElementType { name: quoted(name), found: dtype.descr(), expected }
}

/// Type and bytes of an element, unless it has fields.
fn kind(dtype: &DType) -> Option<(TypeChar, u64)> {
    match dtype {
        DType::Plain(of) => Some((of.type_char(), of.size_field())),
        _ => None,
    }
}

/// The elements of an array of integers of any width.
fn integers(name: &str, array: ArrayFile<'_>) -> Result<Vec<i64>, Flaw> {
    fn read<T: npyz::Deserialize + TryInto<i64>>(array: ArrayFile<'_>) -> Result<Vec<i64>, Flaw> {
        // What does not fit is the label of nothing, and is found to be out of range as such.
        Ok(array.into_vec::<T>()?.into_iter().map(|label| label.try_into().unwrap_or(i64::MAX)).collect())
    }
    use TypeChar::{Bool, Int, Uint};
    match kind(&array.dtype()) {
        Some((Bool, _)) => read::<bool>(array),
        Some((Int, 1)) => read::<i8>(array),
        Some((Int, 2)) => read::<i16>(array),
        Some((Int, 4)) => read::<i32>(array),
        Some((Int, 8)) => read::<i64>(array),
        Some((Uint, 1)) => read::<u8>(array),
        Some((Uint, 2)) => read::<u16>(array),
        Some((Uint, 4)) => read::<u32>(array),
        Some((Uint, 8)) => read::<u64>(array),
        _ => Err(other_type(name, &array.dtype(), "integers")),
    }
}
