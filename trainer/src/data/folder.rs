//! A folder of images per class, with or without folders train, val and test above them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use super::{
    LoadError,
    files::{Files, ImageFile},
    notice::{Handling, Notice},
    source::{Kind, Labels, Pixels, Source, Split},
};

/// Whether a folder has folders in it.
pub(super) fn is(path: &Path) -> bool {
    subfolders(path).is_ok_and(|folders| !folders.is_empty())
}

pub(super) fn open(root: &Path) -> Result<Source, LoadError> {
    let splits = split_folders(root)?;
    let mut found = Found::default();
    let train = found.classes(root, &splits.train, Split::Train)?;
    let validation = splits.validation.map(|path| found.classes(root, &path, Split::Validation)).transpose()?;
    let test = splits.test.map(|path| found.classes(root, &path, Split::Test)).transpose()?;
    // A folder `test` of loose, unlabelled images, as competitions have it, is no split.
    let (validation, test) = (validation.filter(|all| !all.is_empty()), test.filter(|all| !all.is_empty()));

    let names: Vec<OsString> = train.keys().cloned().collect();
    let classes: Vec<String> = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if train.is_empty() {
        let others = found.other_files.into_iter().take(5).collect();
        return Err(LoadError::NoImages { path: root.to_owned(), split: Split::Train, others });
    }
    if classes.len() < 2 {
        return Err(LoadError::TooFewClasses { path: root.to_owned(), classes });
    }
    let listed = |split, found: BTreeMap<OsString, Vec<ImageFile>>| -> Result<(Vec<ImageFile>, Vec<u32>), LoadError> {
        let mut files = vec![];
        let mut labels = vec![];
        for (class, images) in found {
            let label = names.binary_search(&class).map_err(|_| LoadError::UnknownClass {
                path: root.to_owned(),
                split,
                class: class.to_string_lossy().into_owned(),
            })?;
            labels.extend(std::iter::repeat_n(label as u32, images.len()));
            files.extend(images);
        }
        Ok((files, labels))
    };
    let (train, train_labels) = listed(Split::Train, train)?;
    let (validation, validation_labels) = validation.map(|all| listed(Split::Validation, all)).transpose()?.unzip();
    let (test, test_labels) = test.map(|all| listed(Split::Test, all)).transpose()?.unzip();

    let files = Files { train, validation: validation.unwrap_or_default(), test: test.unwrap_or_default() };
    let looks = files.looks(Split::Train).ok_or_else(|| LoadError::NoImages {
        path: root.to_owned(),
        split: Split::Train,
        others: vec![],
    })?;
    let notices = [
        Notice::new(None, Handling::OutsideSplits, splits.outside.into_iter().chain(found.loose)),
        Notice::new(None, Handling::EmptyFolder, found.empty),
        Notice::new(None, Handling::OtherFiles, found.other_files),
    ];
    Ok(Source {
        kind: Kind::Folder,
        path: root.to_owned(),
        classes,
        labels: Labels { train: train_labels, validation: validation_labels, test: test_labels },
        looks,
        notices: notices.into_iter().flatten().collect(),
        pixels: Pixels::Files(files),
    })
}

/// The folders that hold the class folders.
struct SplitFolders {
    train: PathBuf,
    validation: Option<PathBuf>,
    test: Option<PathBuf>,
    /// Names of folders beside them.
    outside: Vec<String>,
}

/// The data comes split if it has a folder `train` that has folders itself; else all of it is for training.
fn split_folders(root: &Path) -> Result<SplitFolders, LoadError> {
    let mut splits: BTreeMap<Split, PathBuf> = BTreeMap::new();
    let mut outside = vec![];
    for name in subfolders(root)? {
        let path = root.join(&name);
        match name.to_str().and_then(Split::named) {
            Some(split) => {
                if let Some(first) = splits.insert(split, path.clone()) {
                    let wanted = format!("{split} split");
                    return Err(LoadError::Ambiguous { first, second: path, wanted });
                }
            }
            None => outside.push(name.to_string_lossy().into_owned()),
        }
    }
    let (train, validation, test) =
        (splits.remove(&Split::Train), splits.remove(&Split::Validation), splits.remove(&Split::Test));
    match train {
        Some(train) if is(&train) => Ok(SplitFolders { train, validation, test, outside }),
        _ if test.is_some() && validation.is_some() => {
            Err(LoadError::MissingPart { path: root.to_owned(), wanted: "folder `train` of class folders".to_owned() })
        }
        _ => Ok(SplitFolders { train: root.to_owned(), validation: None, test: None, outside: vec![] }),
    }
}

/// What was met beside images while walking.
#[derive(Default)]
struct Found {
    other_files: Vec<String>,
    empty: BTreeSet<String>,
    loose: Vec<String>,
}

impl Found {
    /// The images of each class folder, sorted; folders within a class folder belong to it.
    fn classes(
        &mut self,
        root: &Path,
        split_folder: &Path,
        split: Split,
    ) -> Result<BTreeMap<OsString, Vec<ImageFile>>, LoadError> {
        let mut classes = BTreeMap::new();
        for class in subfolders(split_folder)? {
            let images = self.images(root, &split_folder.join(&class))?;
            if images.is_empty() {
                // A class may be absent from a small validation or test split without anyone having erred.
                if split == Split::Train {
                    self.empty.insert(class.to_string_lossy().into_owned());
                }
                continue;
            }
            classes.insert(class, images);
        }
        let loose = WalkDir::new(split_folder).max_depth(1).sort_by_file_name();
        for entry in loose.into_iter().filter_map(Result::ok) {
            if entry.file_type().is_file() && is_image(entry.path()) {
                self.loose.push(shown(root, entry.path()));
            }
        }
        Ok(classes)
    }

    fn images(&mut self, root: &Path, class: &Path) -> Result<Vec<ImageFile>, LoadError> {
        let mut images = vec![];
        let walk = WalkDir::new(class).follow_links(true).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.file_name())) {
            let entry = match entry {
                Ok(entry) => entry,
                // A link to nowhere is an image that cannot be read: counted with the others.
                Err(error) if error.path().is_some_and(is_dangling) => {
                    let path = error.path().expect("it is dangling").to_owned();
                    if is_image(&path) {
                        images.push(ImageFile { name: shown(root, &path), path });
                    }
                    continue;
                }
                Err(error) => {
                    let path = error.path().unwrap_or(class).to_owned();
                    return Err(LoadError::Io { path, source: error.into() });
                }
            };
            if !entry.file_type().is_file() {
                continue;
            }
            let name = shown(root, entry.path());
            if is_image(entry.path()) {
                images.push(ImageFile { name, path: entry.into_path() });
            } else {
                self.other_files.push(name);
            }
        }
        Ok(images)
    }
}

/// Names of the folders in a folder, sorted, without hidden ones.
fn subfolders(path: &Path) -> Result<Vec<OsString>, LoadError> {
    let failed = |source| LoadError::Io { path: path.to_owned(), source };
    let mut names = vec![];
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Asks the path, not the entry: a link to a folder is one.
        if entry.path().is_dir() && !is_hidden(&entry.file_name()) {
            names.push(entry.file_name());
        }
    }
    names.sort();
    Ok(names)
}

/// What systems leave in folders without anyone asking.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
        || ["__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir"].iter().any(|left| name == *left)
}

fn is_dangling(path: &Path) -> bool {
    path.is_symlink() && !path.exists()
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    extension
        .is_some_and(|extension| ["jpg", "jpeg", "jpe", "jfif", "png", "webp"].iter().any(|ours| extension == *ours))
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}
