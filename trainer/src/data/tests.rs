//! Loading through the door that the program uses, one file for each kind of data.

mod cifar;
mod csv;
mod describe;
mod embedded;
mod fingerprint;
mod folder;
mod idx;
mod npz;

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::{GrayImage, Luma, Rgb, RgbImage};
use tempfile::TempDir;

use super::*;

/// A folder for a test's data, removed with the test.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file and the folders above it.
    fn file(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn colour(&self, name: &str, colour: [u8; 3], width: u32, height: u32) -> PathBuf {
        self.image(name, RgbImage::from_pixel(width, height, Rgb(colour)))
    }

    fn gray(&self, name: &str, gray: u8, width: u32, height: u32) -> PathBuf {
        self.image(name, GrayImage::from_pixel(width, height, Luma([gray])))
    }

    fn image(&self, name: &str, image: impl Into<image::DynamicImage>) -> PathBuf {
        let path = self.file(name, "");
        image.into().save(&path).unwrap();
        path
    }

    /// `count` images of one colour in each of two class folders.
    fn two_classes(&self, above: &str, count: usize) {
        for index in 0..count {
            self.colour(&format!("{above}blue/{index:03}.png"), [0, 0, 255], 8, 8);
            self.colour(&format!("{above}red/{index:03}.png"), [255, 0, 0], 8, 8);
        }
    }

    fn load(&self) -> Result<Dataset, LoadError> {
        self.load_as(DataSpec::new("."))
    }

    fn load_as(&self, spec: DataSpec) -> Result<Dataset, LoadError> {
        load(&spec, self.path(), 1)
    }

    fn load_file(&self, name: &str) -> Result<Dataset, LoadError> {
        self.load_as(DataSpec::new(name))
    }

    fn load_test(&self) -> Result<(Images, Vec<Notice>), LoadError> {
        load_test(&DataSpec::new("."), self.path(), 1)
    }

    /// The message of the error with its causes and hint, without the name of the temporary folder.
    fn error(&self, result: Result<impl Sized, LoadError>) -> String {
        let error = result.err().expect("this data is not loaded");
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            message = format!("{message}: {inner}");
            cause = inner.source();
        }
        if let Some(hint) = error.hint() {
            message = format!("{message}; {hint}");
        }
        message.replace(self.path().to_str().unwrap(), "DATA").replace("DATA/.", "DATA")
    }
}

fn notices(dataset: &Dataset) -> Vec<String> {
    dataset.notices.iter().map(Notice::to_string).collect()
}

fn counts(images: &Images) -> Vec<usize> {
    let mut counts = vec![0; images.labels.iter().max().map_or(0, |&last| last as usize + 1)];
    images.labels.iter().for_each(|&label| counts[label as usize] += 1);
    counts
}

/// Data that a checkout may have beside it; a test that needs it says so and passes where it is absent.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")).join(name);
    let there = path.exists();
    if !there {
        eprintln!("skipped: {} is not there", path.display());
    }
    there.then_some(path)
}

#[test]
fn the_data_table_of_a_study_file_knows_its_keys() {
    let spec: DataSpec = toml::from_str("path = 'flowers'\nval = 0.2\nimage_size = 96").unwrap();
    assert_eq!(spec, DataSpec { val: Some(0.2), image_size: Some(96), ..DataSpec::new("flowers") });
    assert_eq!(toml::from_str::<DataSpec>(&toml::to_string(&spec).unwrap()).unwrap(), spec);
    assert!(toml::from_str::<DataSpec>("path = 'flowers'\nimagesize = 96").is_err());
}

#[test]
fn what_cannot_be_done_with_the_settings_is_an_error() {
    let place = Place::new();
    place.two_classes("", 10);
    let check = |spec: DataSpec, expected: &str| assert_eq!(place.error(place.load_as(spec)), expected);
    let spec = DataSpec::new(".");
    check(
        DataSpec { val: Some(0.0), ..spec.clone() },
        "`data.val = 0` is not a fraction that can be set apart; trials are judged by images that are set apart: give \
         `val` above 0, such as 0.1",
    );
    let fractions = "give `val` above 0, `test` from 0 on, and less than 1 in sum; each is 0.1 unless given";
    for val in [0.95, 1.0, -0.5, f64::NAN] {
        let expected = format!("`data.val = {val}` is not a fraction that can be set apart; {fractions}");
        check(DataSpec { val: Some(val), ..spec.clone() }, &expected);
    }
    check(
        DataSpec { val: Some(0.5), test: Some(0.5), ..spec.clone() },
        &format!("`data.test = 0.5` is not a fraction that can be set apart; {fractions}"),
    );
    check(DataSpec { image_size: Some(0), ..spec.clone() }, "`data.image_size = 0` is not between 1 and 2048");
    check(DataSpec { crop: Some(0.0), ..spec.clone() }, "`data.crop = 0` is not above 0 and at most 1");
    check(DataSpec { channels: Some(2), ..spec }, "`data.channels = 2` is neither 1 (gray) nor 3 (colour)");
}

#[test]
fn what_is_no_data_is_told_with_what_would_be() {
    let place = Place::new();
    assert_eq!(
        place.error(place.load_as(DataSpec::new("flowers"))),
        "there is no data at `DATA/flowers`; give a folder or file, relative to the study file, or \
         `fashion-mnist-mini` for a first try"
    );
    place.file("notes.txt", "x");
    let message = place.error(place.load());
    assert!(message.starts_with("could not tell what kind of data `DATA` is; looked for:\na folder with"), "{message}");
}
