//! IDX, the files of MNIST and its kin: big-endian headers before bytes, as they are or gzipped.
//!
//! The format: <https://github.com/cvdfoundation/mnist>. Names differ between copies (`train-images-idx3-ubyte`,
//! `train-images.idx3-ubyte`, with or without `.gz`), so files are found by what their names have in common.

use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;

use super::{
    LoadError,
    error::Flaw,
    shape::{Look, Looks},
    source::{Array, Kind, Pixels, ReadArray, Source, Split, classes_and_labels},
};

/// What the full Fashion-MNIST is called in `data.path`.
pub(super) const FASHION_MNIST: &str = "fashion-mnist";
/// Where Debian's package dataset-fashion-mnist puts it.
pub(super) const FASHION_MNIST_FOLDER: &str = "/usr/share/datasets/fashion-mnist";
/// As its README names them.
pub(super) const FASHION_CLASSES: [&str; 10] =
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

/// The full Fashion-MNIST, from where Debian's package puts it.
pub(super) fn open_fashion_mnist() -> Result<Source, LoadError> {
    let folder = Path::new(FASHION_MNIST_FOLDER);
    if !is(folder) {
        return Err(LoadError::NotInstalled { path: folder.to_owned() });
    }
    open(folder, Some(FASHION_CLASSES.map(str::to_owned).to_vec()))
}

/// Whether a folder has training images as IDX.
pub(super) fn is(folder: &Path) -> bool {
    matches!(find(folder, Split::Train, Content::Images), Ok(Some(_)) | Err(LoadError::Ambiguous { .. }))
}

pub(super) fn open(folder: &Path, names: Option<Vec<String>>) -> Result<Source, LoadError> {
    let (train, train_labels) = open_split(folder, Split::Train)?
        .ok_or_else(|| LoadError::MissingPart { path: folder.to_owned(), wanted: "training images".to_owned() })?;
    let (validation, validation_labels) = open_split(folder, Split::Validation)?.unzip();
    let (test, test_labels) = open_split(folder, Split::Test)?.unzip();
    let (classes, labels, notices) =
        classes_and_labels(folder, names, &train_labels, validation_labels.as_deref(), test_labels.as_deref())?;
    let look = Header::read(&train, Content::Images)?.look;
    Ok(Source {
        kind: Kind::Idx,
        path: folder.to_owned(),
        classes,
        labels,
        looks: Looks::uniform(look),
        notices,
        pixels: Pixels::Arrays(Box::new(IdxFiles { train, validation, test })),
    })
}

/// The image files.
struct IdxFiles {
    train: PathBuf,
    validation: Option<PathBuf>,
    test: Option<PathBuf>,
}

impl ReadArray for IdxFiles {
    fn read(&self, split: Split) -> Result<Array, LoadError> {
        let path = match split {
            Split::Train => Some(&self.train),
            Split::Validation => self.validation.as_ref(),
            Split::Test => self.test.as_ref(),
        };
        let path = path.expect("only splits with labels are read");
        let (header, pixels) = Header::read_with_content(path, Content::Images)?;
        let Look { height, width, colour } = header.look;
        Ok(Array { pixels, height, width, channels: if colour { 3 } else { 1 } })
    }
}

/// The file of a split's images, and its labels, which are counted against the images.
fn open_split(folder: &Path, split: Split) -> Result<Option<(PathBuf, Vec<i64>)>, LoadError> {
    let missing =
        |wanted| LoadError::MissingPart { path: folder.to_owned(), wanted: format!("{split} {wanted} (IDX)") };
    let (images, labels) = match (find(folder, split, Content::Images)?, find(folder, split, Content::Labels)?) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(missing("labels")),
        (None, Some(_)) => return Err(missing("images")),
        (Some(images), Some(labels)) => (images, labels),
    };
    let count = Header::read(&images, Content::Images)?.count as usize;
    let (_, bytes) = Header::read_with_content(&labels, Content::Labels)?;
    if bytes.len() != count {
        let source = Flaw::Counts { images: count, labels: bytes.len() };
        return Err(LoadError::Malformed { path: labels, source });
    }
    Ok(Some((images, bytes.into_iter().map(i64::from).collect())))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Images,
    Labels,
}

/// The one file of a split; the plain one, if it is there gzipped as well.
fn find(folder: &Path, split: Split, content: Content) -> Result<Option<PathBuf>, LoadError> {
    let failed = |source| LoadError::Io { path: folder.to_owned(), source };
    let mut matching = vec![];
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if name.to_str().and_then(parse_name) == Some((split, content)) {
            matching.push(folder.join(name));
        }
    }
    // Sorted, a plain file stands right before its gzipped twin.
    matching.sort();
    matching.dedup_by(|later, earlier| later.as_os_str() == with_gz(earlier).as_os_str());
    match matching.as_slice() {
        [first, second, ..] => Err(LoadError::Ambiguous {
            first: first.clone(),
            second: second.clone(),
            wanted: format!("{split} {}", if content == Content::Images { "images" } else { "labels" }),
        }),
        one => Ok(one.first().cloned()),
    }
}

/// `emnist-letters-train-images.idx3-ubyte.gz` is images of the train split.
fn parse_name(name: &str) -> Option<(Split, Content)> {
    let name = name.to_ascii_lowercase().replace('.', "-");
    let name = name.strip_suffix("-gz").unwrap_or(&name);
    let (stem, content) = if let Some(stem) = name.strip_suffix("images-idx3-ubyte") {
        (stem, Content::Images)
    } else if let Some(stem) = name.strip_suffix("images-idx4-ubyte") {
        (stem, Content::Images)
    } else {
        (name.strip_suffix("labels-idx1-ubyte")?, Content::Labels)
    };
    let split = match stem.trim_end_matches(['-', '_']).rsplit(['-', '_']).next()? {
        "t10k" => Split::Test,
        word => Split::named(word)?,
    };
    Some((split, content))
}

fn with_gz(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

/// What stands before the bytes.
struct Header {
    /// Number of images or labels.
    count: u32,
    /// Of one image; of no meaning for labels.
    look: Look,
}

impl Header {
    fn read(path: &Path, content: Content) -> Result<Self, LoadError> {
        Ok(Self::read_from(path, content)?.0)
    }

    fn read_with_content(path: &Path, content: Content) -> Result<(Self, Vec<u8>), LoadError> {
        let (header, expected, reader) = Self::read_from(path, content)?;
        let malformed = |source| LoadError::Malformed { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        // One byte more than there should be, to see whether there is more, without believing a corrupt header.
        reader.take(expected.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| malformed(error.into()))?;
        if bytes.len() as u64 != expected {
            return Err(malformed(Flaw::Length { expected, found: bytes.len() as u64 }));
        }
        Ok((header, bytes))
    }

    /// The header, how many bytes should follow, and the reader that gives them.
    fn read_from(path: &Path, content: Content) -> Result<(Self, u64, Box<dyn Read>), LoadError> {
        let malformed = |source| LoadError::Malformed { path: path.to_owned(), source };
        let file = File::open(path).map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
        let file = BufReader::new(file);
        let mut reader: Box<dyn Read> = match path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("gz") => Box::new(MultiGzDecoder::new(file)),
            _ => Box::new(file),
        };
        let mut magic = Vec::new();
        reader.by_ref().take(4).read_to_end(&mut magic).map_err(|error| malformed(error.into()))?;
        let rank = match magic.as_slice() {
            [] => return Err(malformed(Flaw::Empty)),
            &[0, 0, 8, rank @ (1 | 3 | 4)] => rank,
            _ => {
                let expected = "00 00 08 and 01, 03 or 04";
                return Err(malformed(Flaw::Magic { wanted: "IDX of bytes", found: magic, expected }));
            }
        };
        let mut dims = vec![0; 4 * usize::from(rank)];
        reader.read_exact(&mut dims).map_err(|error| malformed(error.into()))?;
        let dims: Vec<u32> = dims.as_chunks().0.iter().map(|&dim| u32::from_be_bytes(dim)).collect();
        let (count, look) = understood(&dims, content).map_err(malformed)?;
        let bytes = dims.iter().fold(1u64, |product, &dim| product.saturating_mul(dim.into()));
        Ok((Self { count, look }, bytes, reader))
    }
}

fn understood(dims: &[u32], content: Content) -> Result<(u32, Look), Flaw> {
    match (content, dims) {
        (Content::Labels, &[count]) => Ok((count, Look { height: 1, width: 1, colour: false })),
        (Content::Images, &[count, height @ 1..=4096, width @ 1..=4096]) => {
            Ok((count, Look { height, width, colour: false }))
        }
        (Content::Images, &[count, height @ 1..=4096, width @ 1..=4096, channels @ (1 | 3)]) => {
            Ok((count, Look { height, width, colour: channels == 3 }))
        }
        _ => Err(Flaw::Shape {
            name: "it".to_owned(),
            shape: dims.iter().map(|&dim| dim.into()).collect(),
            expected: match content {
                Content::Labels => "(n)",
                Content::Images => "(n, height, width) or (n, height, width, 1 or 3), and no side above 4096",
            },
        }),
    }
}
