//! A folder of images per class, with or without folders train, val and test above them.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use super::{
    LoadError,
    files::{self, ImageFile, Listed},
    notice::{Handling, Notice},
    source::{Kind, Source, Split},
};

/// Whether a folder has folders in it.
pub(super) fn is(path: &Path) -> bool {
    subfolders(path).is_ok_and(|folders| !folders.is_empty())
}

pub(super) fn open(root: &Path) -> Result<Source, LoadError> {
    let splits = split_folders(root)?;
    let mut found = Found::default();
    for (split, folder) in &splits.folders {
        found.classes(root, folder, *split)?;
    }
    if !found.images.iter().any(|image| image.split == Split::Train) {
        let others = found.other_files.into_iter().take(5).collect();
        return Err(LoadError::NoImages { path: root.to_owned(), split: Split::Train, others });
    }
    let notices = [
        Notice::new(None, Handling::OutsideSplits, splits.outside.into_iter().chain(found.loose)),
        Notice::new(None, Handling::EmptyFolder, found.empty),
        Notice::new(None, Handling::OtherFiles, found.other_files),
    ];
    let notices = notices.into_iter().flatten().collect();
    files::source(Kind::Folder, root, found.images, |name| (None, name.to_owned()), notices)
}

/// The folders that hold the class folders.
struct SplitFolders {
    folders: BTreeMap<Split, PathBuf>,
    /// Names of folders beside them.
    outside: Vec<String>,
}

/// The data comes split if it has a folder `train` that has folders itself; else all of it is for training.
fn split_folders(root: &Path) -> Result<SplitFolders, LoadError> {
    let mut folders: BTreeMap<Split, PathBuf> = BTreeMap::new();
    let mut outside = vec![];
    for name in subfolders(root)? {
        let path = root.join(&name);
        match name.to_str().and_then(Split::named) {
            Some(split) => {
                if let Some(first) = folders.insert(split, path.clone()) {
                    return Err(LoadError::Ambiguous { first, second: path, wanted: format!("{split} split") });
                }
            }
            None => outside.push(name.to_string_lossy().into_owned()),
        }
    }
    match folders.get(&Split::Train) {
        Some(train) if is(train) => Ok(SplitFolders { folders, outside }),
        _ if folders.len() > 1 => {
            Err(LoadError::MissingPart { path: root.to_owned(), wanted: "folder `train` of class folders".to_owned() })
        }
        // One such folder may be the name of a class.
        _ => Ok(SplitFolders { folders: [(Split::Train, root.to_owned())].into(), outside: vec![] }),
    }
}

/// What was met while walking.
#[derive(Default)]
struct Found {
    images: Vec<Listed>,
    other_files: Vec<String>,
    empty: Vec<String>,
    loose: Vec<String>,
}

impl Found {
    /// The images of each class folder; folders within a class folder belong to it.
    fn classes(&mut self, root: &Path, split_folder: &Path, split: Split) -> Result<(), LoadError> {
        for class in subfolders(split_folder)? {
            let before = self.images.len();
            self.class(root, &split_folder.join(&class), split, &class)?;
            // A class may be absent from a small validation or test split without anyone having erred.
            if self.images.len() == before && split == Split::Train {
                self.empty.push(class.to_string_lossy().into_owned());
            }
        }
        // Also the loose, unlabelled test images that competitions have.
        let loose = WalkDir::new(split_folder).max_depth(1).sort_by_file_name();
        for entry in loose.into_iter().filter_map(Result::ok) {
            if entry.file_type().is_file() && is_image(entry.path()) {
                self.loose.push(shown(root, entry.path()));
            }
        }
        Ok(())
    }

    fn class(&mut self, root: &Path, folder: &Path, split: Split, class: &OsStr) -> Result<(), LoadError> {
        let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.file_name())) {
            let path = match entry {
                Ok(entry) if entry.file_type().is_file() => entry.into_path(),
                Ok(_) => continue,
                // A link to nowhere is an image that cannot be read: counted with the others.
                Err(error) => match error.path() {
                    Some(path) if is_dangling(path) => path.to_owned(),
                    path => {
                        let path = path.unwrap_or(folder).to_owned();
                        return Err(LoadError::Io { path, source: error.into() });
                    }
                },
            };
            let name = shown(root, &path);
            if is_image(&path) {
                self.images.push(Listed { split, class: class.to_owned(), file: ImageFile { path, name } });
            } else {
                self.other_files.push(name);
            }
        }
        Ok(())
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
fn is_hidden(name: &OsStr) -> bool {
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
