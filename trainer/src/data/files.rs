//! Images that are files of their own: looked at by their headers, decoded side by side.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use super::{
    LoadError, Notice,
    notice::Handling,
    picture::{self, Picture, Unreadable},
    plan::Part,
    resize::{self, Resizer},
    shape::{Look, Looks, Shape},
    source::{Kind, Labels, Pixels, Source, Split},
};

/// The files of each split, in the order of their labels.
#[derive(Default)]
pub(super) struct Files {
    pub train: Vec<ImageFile>,
    pub validation: Vec<ImageFile>,
    pub test: Vec<ImageFile>,
}

/// Where an image is, and what to call it to people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ImageFile {
    pub path: PathBuf,
    pub name: String,
}

/// The images of a part that could be read.
pub(super) struct Readable {
    /// One after the other.
    pub pixels: Vec<u8>,
    /// Which of the split's images they are.
    pub which: Vec<usize>,
    pub notices: Vec<Notice>,
}

/// A file that was found, and what was found out about it.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub split: Split,
    pub class: OsString,
    pub file: ImageFile,
}

/// Up to one image in so many may be unreadable; more is no accident that a person would want passed over.
const IMAGES_PER_UNREADABLE: usize = 20;

/// Names in an error.
const EXAMPLES: usize = 5;

/// Enough of a file for its header in nearly all cases: EXIF data before it has 64 KiB at most.
const HEADER_BYTES: u64 = 96 << 10;

/// Data made of listed files. Their order does not matter, so that neither a file system nor a table decides which
/// images are set apart.
pub(super) fn source(
    kind: Kind,
    root: &Path,
    mut listed: Vec<Listed>,
    order_of_classes: fn(&OsStr) -> ClassOrder,
    notices: Vec<Notice>,
) -> Result<Source, LoadError> {
    let in_train = listed.iter().filter(|one| one.split == Split::Train).map(|one| one.class.clone());
    let mut names = Vec::from_iter(BTreeSet::from_iter(in_train));
    names.sort_by_key(|name| order_of_classes(name));
    let classes: Vec<String> = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if classes.len() < 2 {
        return Err(LoadError::TooFewClasses { path: root.to_owned(), classes });
    }
    let places: BTreeMap<&OsString, u32> = names.iter().zip(0..).collect();
    listed.sort_by(|a, b| (places.get(&a.class), &a.file).cmp(&(places.get(&b.class), &b.file)));

    let mut files = Files::default();
    let mut labels = Labels::default();
    for Listed { split, class, file } in listed {
        let label = *places.get(&class).ok_or_else(|| LoadError::UnknownClass {
            path: root.to_owned(),
            split,
            class: class.to_string_lossy().into_owned(),
        })?;
        let (files, labels) = match split {
            Split::Train => (&mut files.train, &mut labels.train),
            Split::Validation => (&mut files.validation, labels.validation.get_or_insert_default()),
            Split::Test => (&mut files.test, labels.test.get_or_insert_default()),
        };
        files.push(file);
        labels.push(label);
    }
    let looks = files.looks().ok_or_else(|| files.all_unreadable(root))?;
    Ok(Source { kind, path: root.to_owned(), classes, labels, looks, notices, pixels: Pixels::Files(files) })
}

/// Numbers go before words, so that labels 0 to 9 stay in their places.
pub(super) type ClassOrder = (Option<i64>, OsString);

impl Files {
    pub fn of(&self, split: Split) -> &[ImageFile] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// Every file, of whichever split.
    pub fn all(&self) -> impl Iterator<Item = &ImageFile> {
        self.train.iter().chain(&self.validation).chain(&self.test)
    }

    /// Sizes of the training images by their headers; those without are passed over here and told of by `read`.
    fn looks(&self) -> Option<Looks> {
        let looks: Vec<Look> = self.train.par_iter().filter_map(|file| look(&file.path).ok()).collect();
        Looks::of(&looks)
    }

    fn all_unreadable(&self, root: &Path) -> LoadError {
        let reason = |file: &ImageFile| Some(format!("{}: {}", file.name, look(&file.path).err()?));
        LoadError::TooManyUnreadable {
            path: root.to_owned(),
            split: Split::Train,
            unreadable: self.train.len(),
            images: self.train.len(),
            examples: self.train.iter().filter_map(reason).take(EXAMPLES).collect(),
        }
    }

    /// The pixels of those images that can be read, and which these are.
    pub fn read(&self, root: &Path, part: &Part, shape: Shape) -> Result<Readable, LoadError> {
        let files = self.of(part.split);
        let size = shape.height * shape.width * shape.channels;
        let mut pixels = vec![0; part.which.len() * size];
        let outcomes: Vec<Result<Vec<Handling>, Unreadable>> = pixels
            .par_chunks_exact_mut(size)
            .zip(&part.which)
            .map_init(Resizer::new, |resizer, (out, &place)| {
                let (picture, mut handled) = decode(&files[place].path)?;
                handled.extend(changes(&picture, shape));
                resizer.fit(&picture, shape, out);
                Ok(handled)
            })
            .collect();

        let name = |place: usize| files[part.which[place]].name.clone();
        let unreadable: Vec<String> = outcomes
            .iter()
            .enumerate()
            .filter_map(|(place, outcome)| Some(format!("{}: {}", name(place), outcome.as_ref().err()?)))
            .collect();
        if unreadable.len() > (outcomes.len() / IMAGES_PER_UNREADABLE).max(1) || unreadable.len() == outcomes.len() {
            return Err(LoadError::TooManyUnreadable {
                path: root.to_owned(),
                split: part.role,
                unreadable: unreadable.len(),
                images: outcomes.len(),
                examples: unreadable.into_iter().take(EXAMPLES).collect(),
            });
        }

        let mut notices = Vec::from_iter(Notice::new(part.role, Handling::Unreadable, unreadable));
        for handling in PER_IMAGE {
            let did = |outcome: &Result<Vec<Handling>, _>| outcome.as_ref().is_ok_and(|all| all.contains(&handling));
            let names = (0..outcomes.len()).filter(|&place| did(&outcomes[place])).map(name);
            let notice = Notice::new(part.role, handling, names);
            // What is done to most images is no exception that one would look for by name.
            notices.extend(notice.map(|notice| match 2 * notice.count > outcomes.len() {
                true => Notice { examples: vec![], ..notice },
                false => notice,
            }));
        }
        let kept: Vec<usize> = (0..outcomes.len()).filter(|&place| outcomes[place].is_ok()).collect();
        for (to, &from) in kept.iter().enumerate() {
            pixels.copy_within(from * size..(from + 1) * size, to * size);
        }
        pixels.truncate(kept.len() * size);
        Ok(Readable { pixels, which: kept.into_iter().map(|place| part.which[place]).collect(), notices })
    }
}

/// What may have to be done to a single image, in the order in which people are told.
const PER_IMAGE: [Handling; 7] = [
    Handling::Turned,
    Handling::GrayToColour,
    Handling::ColourToGray,
    Handling::Cmyk,
    Handling::SixteenBit,
    Handling::Transparent,
    Handling::Resized,
];

fn changes(picture: &Picture, shape: Shape) -> impl Iterator<Item = Handling> {
    let changes = [
        (Handling::GrayToColour, picture.channels < shape.channels),
        (Handling::ColourToGray, picture.channels > shape.channels),
        (Handling::Resized, resize::differs(picture, shape)),
    ];
    changes.into_iter().filter(|(_, done)| *done).map(|(handling, _)| handling)
}

fn decode(path: &Path) -> Result<(Picture, Vec<Handling>), Unreadable> {
    picture::decode(&std::fs::read(path).map_err(unopened)?)
}

fn look(path: &Path) -> Result<Look, Unreadable> {
    let mut file = File::open(path).map_err(unopened)?;
    let mut start = Vec::new();
    file.by_ref().take(HEADER_BYTES).read_to_end(&mut start)?;
    picture::look(&start).or_else(|_| {
        file.read_to_end(&mut start)?;
        picture::look(&start)
    })
}

fn unopened(error: std::io::Error) -> Unreadable {
    match error.kind() {
        ErrorKind::NotFound => Unreadable::Missing,
        _ => Unreadable::Io(error),
    }
}
