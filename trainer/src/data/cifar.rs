//! The binary versions of CIFAR-10 and CIFAR-100: records of label bytes before 32×32 images, channel by channel.
//!
//! The format: <https://www.cs.toronto.edu/~kriz/cifar.html>. Of CIFAR-100 the fine labels are taken.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    LoadError,
    error::Flaw,
    shape::{Look, Looks},
    source::{Array, Kind, Pixels, ReadArray, Source, Split, classes_and_labels},
};

const SIDE: usize = 32;
const AREA: usize = SIDE * SIDE;

/// How the two sets differ.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    kind: Kind,
    names: &'static str,
    classes: usize,
    label_bytes: usize,
    train: &'static [&'static str],
    test: &'static str,
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        kind: Kind::Cifar10,
        names: "batches.meta.txt",
        classes: 10,
        label_bytes: 1,
        train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
        test: "test_batch.bin",
    },
    Layout {
        kind: Kind::Cifar100,
        names: "fine_label_names.txt",
        classes: 100,
        label_bytes: 2,
        train: &["train.bin"],
        test: "test.bin",
    },
];

/// Which of the two a folder holds.
pub(super) fn layout(folder: &Path) -> Option<Layout> {
    LAYOUTS.into_iter().find(|layout| {
        let first = folder.join(layout.train[0]);
        // `train.bin` may be anything: the names must be there too.
        first.is_file() && (layout.kind == Kind::Cifar10 || folder.join(layout.names).is_file())
    })
}

pub(super) fn open(folder: &Path, layout: Layout) -> Result<Source, LoadError> {
    let train: Vec<PathBuf> = layout.train.iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect();
    let test = Some(folder.join(layout.test)).filter(|path| path.is_file());
    let batches = Batches { layout, train, test };
    let train_labels = batches.labels(&batches.train)?;
    let test_labels = batches.test.iter().map(|path| batches.labels(std::slice::from_ref(path))).next().transpose()?;
    let names = read_names(&folder.join(layout.names), layout.classes)?;
    let (classes, labels, notices) =
        classes_and_labels(folder, Some(names), &train_labels, None, test_labels.as_deref())?;
    Ok(Source {
        kind: layout.kind,
        path: folder.to_owned(),
        classes,
        labels,
        looks: Looks::uniform(Look { height: SIDE as u32, width: SIDE as u32, colour: true }),
        notices,
        pixels: Pixels::Arrays(Box::new(batches)),
    })
}

/// The names of the classes; their numbers, where the file is absent.
fn read_names(path: &Path, classes: usize) -> Result<Vec<String>, LoadError> {
    if !path.exists() {
        return Ok((0..classes).map(|class| class.to_string()).collect());
    }
    let text = fs::read_to_string(path).map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    match names.len() == classes {
        true => Ok(names),
        false => Err(LoadError::Malformed {
            path: path.to_owned(),
            source: Flaw::Names { expected: classes, found: names.len() },
        }),
    }
}

struct Batches {
    layout: Layout,
    train: Vec<PathBuf>,
    test: Option<PathBuf>,
}

impl Batches {
    /// The records of a file, each the label bytes and then the planes.
    fn records(&self, path: &Path) -> Result<(Vec<u8>, usize), LoadError> {
        let bytes = fs::read(path).map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
        let record = self.layout.label_bytes + 3 * AREA;
        let malformed = |source| Err(LoadError::Malformed { path: path.to_owned(), source });
        match bytes.len() {
            0 => malformed(Flaw::Empty),
            found if found % record != 0 => malformed(Flaw::Records { record, found }),
            _ => Ok((bytes, record)),
        }
    }

    fn labels(&self, paths: &[PathBuf]) -> Result<Vec<i64>, LoadError> {
        let mut labels = vec![];
        for path in paths {
            let (bytes, record) = self.records(path)?;
            // The last label byte is the fine one.
            labels.extend(bytes.chunks_exact(record).map(|one| i64::from(one[self.layout.label_bytes - 1])));
        }
        Ok(labels)
    }
}

impl ReadArray for Batches {
    fn read(&self, split: Split) -> Result<Array, LoadError> {
        let paths = match split {
            Split::Train => &self.train[..],
            _ => self.test.as_slice(),
        };
        let mut pixels = vec![];
        for path in paths {
            let (bytes, record) = self.records(path)?;
            for one in bytes.chunks_exact(record) {
                let planes = &one[self.layout.label_bytes..];
                pixels.extend((0..AREA).flat_map(|place| [0, 1, 2].map(|channel| planes[channel * AREA + place])));
            }
        }
        Ok(Array { pixels, height: SIDE as u32, width: SIDE as u32, channels: 3 })
    }
}
