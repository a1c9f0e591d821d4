//! The file of generated images: NPZ as for any data, with a record of what they were made from. That record is what
//! keeps images of one split from coming back, as generated ones, into the training of another.

use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use npyz::npz::NpzWriter;
use npyz::{DType, WriterBuilder};
use serde::{Deserialize, Serialize};

use super::{Dataset, Images, LoadError, fingerprint, npz};

/// Name of the array with the record, one string of JSON.
const RECORD: &str = "generated";

/// Generated images with what is known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratedImages {
    /// The images; a label is a place in the classes.
    pub images: Images,
    /// Names of all classes of the data, also of those of which nothing was generated.
    pub classes: Vec<String>,
    /// Where they are from.
    pub record: GeneratedRecord,
}

/// Where generated images are from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratedRecord {
    /// What `data.path` was.
    pub data: String,
    /// [`Dataset::fingerprint`] of it: of the split too.
    pub fingerprint: String,
    /// Where all randomness came from.
    pub seed: u64,
    /// Steps for which the generator was trained.
    pub steps: u64,
    /// What it all took.
    pub seconds: f64,
    /// Likelihood that the filter had to give the asked class.
    pub likelihood: f64,
    /// What came of each class that was asked for.
    pub classes: Vec<GeneratedClass>,
    /// Of nightsweep.
    pub version: String,
}

/// What came of a class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratedClass {
    /// Its name.
    pub class: String,
    /// Training images of it.
    pub real: usize,
    /// Images that were generated.
    pub tried: usize,
    /// Of these, images that the filter let through.
    pub passed: usize,
    /// Of these, images in the file: none, if too few passed.
    pub kept: usize,
}

/// Why generated images cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GeneratedError {
    /// The file cannot be read.
    #[error("could not read the generated images")]
    Read(#[from] LoadError),
    /// It is an NPZ of something else.
    #[error("`{}` has no generated images: `nightsweep policy generate` writes such files", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The images differ in size or colours from those that are trained on.
    #[error("the images of `{}` are {found:?} (height, width, channels), but those of the data are {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What its images are.
        found: [usize; 3],
        /// What those of the data are.
        expected: [usize; 3],
    },
    /// The classes differ.
    #[error("`{}` has the classes {}, but the data have {}", path.display(), found.join(", "), expected.join(", "))]
    Classes {
        /// The file.
        path: PathBuf,
        /// What its classes are.
        found: Vec<String>,
        /// What those of the data are.
        expected: Vec<String>,
    },
    /// They were made from other images, among which may be some that a trial is judged by.
    #[error(
        "`{}` was generated from other images or another split (of `{data}` with seed {seed}), which may hold what this \
         training is judged by: generate it again from these data with this seed",
        path.display()
    )]
    OtherData {
        /// The file.
        path: PathBuf,
        /// What `data.path` was.
        data: String,
        /// Seed of the split.
        seed: u64,
    },
}

impl GeneratedImages {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, GeneratedError> {
        if !path.exists() {
            return Err(LoadError::NoSuchPath { path: path.to_owned() }.into());
        }
        let record = npz::strings(path, RECORD)?.and_then(|texts| texts.into_iter().next());
        let record = record.ok_or_else(|| GeneratedError::Foreign { path: path.to_owned() })?;
        let malformed = |error| LoadError::Malformed { path: path.to_owned(), source: io::Error::other(error).into() };
        let record = serde_json::from_str(&record).map_err(|error: serde_json::Error| malformed(error))?;
        let (images, classes) = npz::training_images(path)?;
        Ok(Self { images, classes, record })
    }

    /// BLAKE3 of classes, labels and pixels, in hexadecimal.
    pub fn hash(&self) -> String {
        fingerprint::of_images(&self.classes, &[&self.images])
    }

    /// Reads a file whose images may be mixed into the training split of some data.
    pub fn open(path: &Path, data: &Dataset) -> Result<Self, GeneratedError> {
        let generated = Self::read(path)?;
        generated.check(data, path)?;
        Ok(generated)
    }

    /// Whether they may be mixed into the training split of some data; `path` is where they are from.
    fn check(&self, data: &Dataset, path: &Path) -> Result<(), GeneratedError> {
        let path = path.to_owned();
        let shape = |images: &Images| [images.height, images.width, images.channels];
        let (found, expected) = (shape(&self.images), shape(&data.train));
        if found != expected {
            return Err(GeneratedError::Shape { path, found, expected });
        }
        if self.classes != data.classes {
            let (found, expected) = (self.classes.clone(), data.classes.clone());
            return Err(GeneratedError::Classes { path, found, expected });
        }
        if self.record.fingerprint != data.fingerprint {
            return Err(GeneratedError::OtherData { path, data: self.record.data.clone(), seed: self.record.seed });
        }
        Ok(())
    }

    /// Writes the file, under another name first, so that there is never half a one.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let unfinished = path.with_extension("npz.part");
        fs::write(&unfinished, self.archive()?)?;
        fs::rename(&unfinished, path)
    }

    fn archive(&self) -> io::Result<Vec<u8>> {
        let mut archive = NpzWriter::new(Cursor::new(Vec::new()));
        let Images { pixels, labels, height, width, channels } = &self.images;
        let shape = [labels.len(), *height, *width, *channels].map(|side| side as u64);
        add(&mut archive, "train_images", pixels, &shape, "|u1")?;
        add(&mut archive, "train_labels", labels, &shape[..1], "<u4")?;
        add_strings(&mut archive, "classes", &self.classes)?;
        let record = serde_json::to_string(&self.record).map_err(io::Error::other)?;
        add_strings(&mut archive, RECORD, &[record])?;
        Ok(archive.zip_writer().finish().map_err(io::Error::other)?.into_inner())
    }
}

type Archive = NpzWriter<Cursor<Vec<u8>>>;

fn add<T: npyz::Serialize + Clone>(
    archive: &mut Archive,
    name: &str,
    elements: &[T],
    shape: &[u64],
    dtype: &str,
) -> io::Result<()> {
    let dtype = DType::Plain(dtype.parse().expect("numpy has this type"));
    let mut array = archive.array(name, Default::default())?.dtype(dtype).shape(shape).begin_nd()?;
    array.extend(elements.iter().cloned())?;
    array.finish()
}

/// As wide as the longest.
fn add_strings(archive: &mut Archive, name: &str, texts: &[String]) -> io::Result<()> {
    let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
    add(archive, name, texts, &[texts.len() as u64], &format!("<U{longest}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn generated() -> GeneratedImages {
        let class = GeneratedClass { class: "dark".to_owned(), real: 3, tried: 9, passed: 4, kept: 2 };
        GeneratedImages {
            images: Images { pixels: (0..24).collect(), labels: vec![1, 1], height: 2, width: 2, channels: 3 },
            classes: vec!["bright ☀".to_owned(), "dark".to_owned()],
            record: GeneratedRecord {
                data: "made".to_owned(),
                fingerprint: "f00".to_owned(),
                seed: 7,
                steps: 10,
                seconds: 1.5,
                likelihood: 0.5,
                classes: vec![class],
                version: "0.1.0".to_owned(),
            },
        }
    }

    fn data() -> Dataset {
        let GeneratedImages { images, classes, record } = generated();
        let images = Arc::new(images);
        Dataset {
            classes,
            train: images.clone(),
            validation: images,
            test_images: 0,
            notices: Vec::new(),
            fingerprint: record.fingerprint,
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generated.npz");
        let written = generated();
        written.write(&path).unwrap();
        let read = GeneratedImages::read(&path).unwrap();
        assert_eq!((read.hash(), &read), (written.hash(), &written));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn images_of_other_data_are_refused() {
        let check = |change: fn(&mut GeneratedImages), expected: &str| {
            let mut changed = generated();
            change(&mut changed);
            let result = changed.check(&data(), Path::new("g.npz")).map_err(|error| error.to_string());
            match expected {
                "" => assert_eq!(result, Ok(())),
                expected => assert!(result.as_ref().is_err_and(|text| text.starts_with(expected)), "{result:?}"),
            }
        };
        check(|_| {}, "");
        check(
            |it| it.images.channels = 1,
            "the images of `g.npz` are [2, 2, 1] (height, width, channels), but those of the data are [2, 2, 3]",
        );
        check(
            |it| it.classes = vec!["a".to_owned(), "b".to_owned()],
            "`g.npz` has the classes a, b, but the data have bright ☀, dark",
        );
        check(
            |it| it.record.fingerprint = "f01".to_owned(),
            "`g.npz` was generated from other images or another split (of `made` with seed 7)",
        );
    }

    #[test]
    fn a_file_that_is_absent_or_of_something_else_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.npz");
        let error = GeneratedImages::read(&path).unwrap_err();
        assert!(matches!(error, GeneratedError::Read(LoadError::NoSuchPath { .. })), "{error:?}");
        let mut archive = NpzWriter::new(Cursor::new(Vec::new()));
        add(&mut archive, "train_images", &[0u8; 4], &[1, 2, 2], "|u1").unwrap();
        fs::write(&path, archive.zip_writer().finish().unwrap().into_inner()).unwrap();
        let error = GeneratedImages::read(&path).unwrap_err();
        assert!(matches!(error, GeneratedError::Foreign { .. }), "{error:?}");
        fs::write(&path, b"no archive").unwrap();
        let error = GeneratedImages::read(&path).unwrap_err();
        assert!(matches!(error, GeneratedError::Read(LoadError::Malformed { .. })), "{error:?}");
    }
}
