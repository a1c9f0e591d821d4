//! `fashion-mnist-mini`: a part of Fashion-MNIST within the program, so that a first study needs nothing else.
//!
//! The first 600 training and 100 test images of each class, unchanged, made by scripts/make-fashion-mnist-mini.py. Each
//! split is a PNG: a row of it is a class, a column one of its images.

use std::{io::Cursor, path::PathBuf};

use image::{ImageFormat, ImageReader, Limits};

use super::{
    LoadError, idx,
    shape::Looks,
    source::{Array, Kind, Labels, Pixels, ReadArray, Source, Split},
};

/// What the data set is called in `data.path`.
pub(super) const NAME: &str = "fashion-mnist-mini";

const TRAIN: &[u8] = include_bytes!("../../assets/fashion-mnist-mini/train.png");
const TEST: &[u8] = include_bytes!("../../assets/fashion-mnist-mini/test.png");
const SIDE: usize = 28;
const TRAIN_PER_CLASS: usize = 600;
const TEST_PER_CLASS: usize = 100;

/// The files, as the program has them.
pub(super) const FILES: [&[u8]; 2] = [TRAIN, TEST];

pub(super) fn open() -> Source {
    let classes = idx::FASHION_CLASSES.map(str::to_owned).to_vec();
    let labels =
        |per_class| (0..classes.len() as u32).flat_map(|class| std::iter::repeat_n(class, per_class)).collect();
    Source {
        kind: Kind::Embedded,
        path: PathBuf::from(NAME),
        labels: Labels { train: labels(TRAIN_PER_CLASS), validation: None, test: Some(labels(TEST_PER_CLASS)) },
        looks: Looks::uniform(Array { pixels: vec![], height: SIDE as u32, width: SIDE as u32, channels: 1 }.look()),
        notices: vec![],
        pixels: Pixels::Arrays(Box::new(Sheets)),
        classes,
    }
}

struct Sheets;

impl ReadArray for Sheets {
    fn read(&self, split: Split) -> Result<Array, LoadError> {
        let (png, per_class) = match split {
            Split::Test => (TEST, TEST_PER_CLASS),
            _ => (TRAIN, TRAIN_PER_CLASS),
        };
        let mut reader = ImageReader::with_format(Cursor::new(png), ImageFormat::Png);
        reader.limits(Limits::no_limits());
        let sheet = reader.decode().expect("the PNG within the program is whole").into_luma8();
        let row = per_class * SIDE;
        let pixels = (0..idx::FASHION_CLASSES.len() * per_class)
            .flat_map(|image| (0..SIDE).map(move |y| (image / per_class * SIDE + y) * row + image % per_class * SIDE))
            .flat_map(|start| &sheet.as_raw()[start..][..SIDE])
            .copied()
            .collect();
        Ok(Array { pixels, height: SIDE as u32, width: SIDE as u32, channels: 1 })
    }
}
