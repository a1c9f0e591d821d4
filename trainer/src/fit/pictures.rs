//! Pictures of a trial for people to look at, beside its checkpoint: what its training images became, and which
//! validation images it gets most wrong. They cost no pass over the data of their own.

use serde::{Deserialize, Serialize};

use crate::augment::{Size, Views};
use crate::batches::Stock;
use crate::data::Images;
use crate::metric::{Answer, worst};
use crate::recipe::Recipe;
use crate::seed::TrialSeed;
use crate::sheet::{Layout, sheet, shrunk};

/// Images that are looked at of each kind: a screen of them, and few enough to write after every epoch.
const WORST: usize = 24;
const AUGMENTED: usize = 6;
/// Images in a row of the sheet of the worst.
const COLUMNS: usize = 8;
/// Longest side of an image on a sheet: larger ones are shrunk.
const MOST_SIDE: usize = 96;

/// What worst.json in a trial's folder says of worst.png: validation images whose right class the model finds least
/// likely, the worst first, after the epoch that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorstFile {
    /// Epochs done, from 1.
    pub epoch: u64,
    /// Columns and rows of an image on the sheet, in pixels.
    pub tile: [usize; 2],
    /// Images in a row of the sheet.
    pub columns: usize,
    /// The images as they lie on the sheet, row after row.
    pub images: Vec<WorstImage>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorstImage {
    /// Its place in the validation split, from 0.
    pub place: usize,
    /// Name of its class.
    pub class: String,
    /// Name of the class that the model finds most likely.
    pub predicted: String,
    /// Probability that the model gives that class; null if its scores are no numbers.
    pub confidence: Option<f64>,
    /// Probability that the model gives the right class; null if its scores are no numbers.
    pub own: Option<f64>,
}

/// What augmented.json in a trial's folder says of augmented.png: some training images, and what the training makes of
/// them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AugmentedFile {
    /// Columns and rows of an image on the sheet, in pixels.
    pub tile: [usize; 2],
    /// The epochs (from 1) of the columns after the first, which has the images as they are.
    pub epochs: Vec<u64>,
    /// Names of the images' classes, a row of the sheet each.
    pub classes: Vec<String>,
}

/// The worst of some images (preprocessed as the model had them) by what the model said of each, as the file and its
/// sheet.
pub(super) fn worst_of(epoch: u64, images: &Images, classes: &[String], answers: &[Answer]) -> (WorstFile, Vec<u8>) {
    let places = worst(answers, WORST);
    let finite = |value: f64| Some(value).filter(|value| value.is_finite());
    let row = |place: &usize| WorstImage {
        place: *place,
        class: classes[images.labels[*place] as usize].clone(),
        predicted: classes[answers[*place].predicted].clone(),
        confidence: finite(answers[*place].confidence),
        own: finite(answers[*place].own),
    };
    let shown = places.iter().map(|place| Some(images.image(*place).to_vec())).collect();
    let (tile, png) = on_sheet(shown, Size::of(images), COLUMNS);
    (WorstFile { epoch, tile, columns: COLUMNS, images: places.iter().map(row).collect() }, png)
}

/// What a training makes of some of its images (preprocessed already), as the file and its sheet.
pub(super) fn augmented(
    images: &Images,
    stock: &Stock,
    classes: &[String],
    recipe: &Recipe,
    seed: TrialSeed,
) -> (AugmentedFile, Vec<u8>) {
    let Views { epochs, places, images: shown, size } = Views::new(images, stock, recipe, seed, AUGMENTED);
    let names = places.iter().map(|place| classes[images.labels[*place] as usize].clone()).collect();
    let (tile, png) = on_sheet(shown, size, 1 + epochs.len());
    let epochs = epochs.into_iter().map(|epoch| epoch + 1).collect();
    (AugmentedFile { tile, epochs, classes: names }, png)
}

/// The images on a sheet, shrunk if they are large: columns and rows of each there, and the PNG.
fn on_sheet(images: Vec<Option<Vec<u8>>>, size: Size, columns: usize) -> ([usize; 2], Vec<u8>) {
    let small: Vec<_> = images.into_iter().map(|image| image.map(|image| shrunk(image, size, MOST_SIDE))).collect();
    let size = small.iter().flatten().map(|(_, size)| *size).next().unwrap_or(size);
    let images: Vec<_> = small.into_iter().map(|image| image.map(|(bytes, _)| bytes)).collect();
    ([size.width, size.height], sheet(&images, size, Layout { columns, zoom: 1, gap: 0 }))
}
