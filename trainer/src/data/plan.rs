//! Which images play which role, and the size that they get: what a study file wants, applied to what the data has.

use super::{
    DataSpec, LoadError,
    notice::{Handling, Notice},
    shape::Shape,
    source::{Source, Split},
    split::set_apart,
};

/// Some images of a split.
pub(super) struct Part {
    /// What they are used for.
    pub role: Split,
    /// Where they are stored.
    pub split: Split,
    /// Which of the images that are stored there.
    pub which: Vec<usize>,
}

/// Which images play which role, and the size that they get.
pub(super) struct Plan {
    pub shape: Shape,
    pub train: Part,
    pub validation: Part,
    pub test: Option<Part>,
    pub notices: Vec<Notice>,
}

impl Plan {
    /// Without a split of its own, this fraction of the data's training images is set apart for it.
    const DEFAULT_FRACTION: f64 = 0.1;

    pub fn new(source: &Source, spec: &DataSpec, seed: u64) -> Result<Self, LoadError> {
        spec.check()?;
        let shape = source.looks.shape(spec);
        let labels = &source.labels;
        for (key, given, split) in [("val", spec.val, Split::Validation), ("test", spec.test, Split::Test)] {
            if given.is_some() && labels.of(split).is_some() {
                return Err(LoadError::AlreadySplit { path: source.path.clone(), key, split });
            }
        }
        let fraction = |given: Option<f64>, split| match labels.of(split) {
            Some(_) => 0.0,
            None => given.unwrap_or(Self::DEFAULT_FRACTION),
        };
        let (val, test) = (fraction(spec.val, Split::Validation), fraction(spec.test, Split::Test));
        if val + test >= 1.0 {
            let (key, value) = if spec.test.is_some() { ("test", test) } else { ("val", val) };
            return Err(LoadError::BadFraction { key, value });
        }

        let apart = |rest: &mut Vec<usize>, fraction: f64, role: Split| match labels.of(role) {
            Some(labels) => Part { role, split: role, which: (0..labels.len()).collect() },
            None => {
                let (stays, which) = set_apart(&labels.train, rest, fraction, seed, role);
                *rest = stays;
                Part { role, split: Split::Train, which }
            }
        };
        let mut rest: Vec<usize> = (0..labels.train.len()).collect();
        let test = apart(&mut rest, test, Split::Test);
        let validation = apart(&mut rest, val, Split::Validation);
        let train = Part { role: Split::Train, split: Split::Train, which: rest };
        for part in [&train, &validation] {
            if part.which.is_empty() {
                return Err(LoadError::TooFewImages { path: source.path.clone(), split: part.role });
            }
        }
        let notices = lone_classes(source, &train, &validation).into_iter().collect();
        Ok(Self { shape, train, validation, test: Some(test).filter(|test| !test.which.is_empty()), notices })
    }
}

/// The classes whose one image could not be shared between training and validation.
fn lone_classes(source: &Source, train: &Part, validation: &Part) -> Option<Notice> {
    if validation.split != Split::Train {
        return None;
    }
    let mut counts = vec![0; source.classes.len()];
    for &place in train.which.iter().chain(&validation.which) {
        counts[source.labels.train[place] as usize] += 1;
    }
    let lone = source.classes.iter().zip(counts).filter(|(_, count)| *count == 1).map(|(class, _)| class);
    Notice::new(None, Handling::LoneImage, lone)
}
