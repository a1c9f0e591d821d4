//! Hashes that tell whether data are the same: of what training sees, and of the files as they lie on the disk.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::{
    DataSpec, Images, LoadError, embedded, idx,
    source::{self, Pixels},
};

/// Hash of what training sees.
pub(super) fn of_images(classes: &[String], splits: &[&Images]) -> String {
    let mut hasher = blake3::Hasher::new();
    let number = |hasher: &mut blake3::Hasher, n: usize| {
        hasher.update(&(n as u64).to_le_bytes());
    };
    number(&mut hasher, classes.len());
    for class in classes {
        number(&mut hasher, class.len());
        hasher.update(class.as_bytes());
    }
    for images in splits {
        for n in [images.len(), images.height, images.width, images.channels] {
            number(&mut hasher, n);
        }
        for label in &images.labels {
            hasher.update(&label.to_le_bytes());
        }
        hasher.update(&images.pixels);
    }
    hasher.finalize().to_hex().to_string()
}

/// BLAKE3 of the names and contents of all files that the data consists of, the test split's too, in hexadecimal. `base`
/// is where relative paths start. A file whose size and time of change are those in `cache` is not read again; the cache
/// is a file of ours, made if it is not there and made anew if it is damaged.
pub fn fingerprint_files(spec: &DataSpec, base: &Path, cache: Option<&Path>) -> Result<String, LoadError> {
    if spec.path == embedded::NAME {
        return Ok(blake3::hash(&embedded::FILES.concat()).to_hex().to_string());
    }
    let (root, files) = list(spec, base)?;
    let known: Cache = cache
        .and_then(|path| fs::read(path).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let hashed: Vec<(PathBuf, Known)> = files
        .into_par_iter()
        .map(|path| {
            let known = known.get(&path);
            hash(&path, known).map_err(|source| LoadError::Io { path: path.clone(), source }).map(|hash| (path, hash))
        })
        .collect::<Result<_, _>>()?;
    let mut hasher = blake3::Hasher::new();
    for (path, Known { hash, .. }) in &hashed {
        let name = path.strip_prefix(&root).unwrap_or(path).to_string_lossy();
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(hash.as_bytes());
    }
    if let Some(path) = cache {
        let is_new = hashed.iter().any(|(path, hash)| known.get(path) != Some(hash));
        // It only saves time: where it cannot be kept, the next one reads again.
        if is_new && let Ok(text) = serde_json::to_vec(&known.into_iter().chain(hashed).collect::<Cache>()) {
            let _ = fs::write(path, text);
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Files by their full paths.
type Cache = BTreeMap<PathBuf, Known>;

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    size: u64,
    /// Nanoseconds since 1970.
    changed: u128,
    hash: String,
}

fn hash(path: &Path, known: Option<&Known>) -> io::Result<Known> {
    let metadata = fs::metadata(path)?;
    let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let size = metadata.len();
    if let Some(known) = known.filter(|known| known.size == size && known.changed == changed) {
        return Ok(known.clone());
    }
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(Known { size, changed, hash: hasher.finalize().to_hex().to_string() })
}

/// The data's files in the order of their names, and the folder that they are named from.
fn list(spec: &DataSpec, base: &Path) -> Result<(PathBuf, Vec<PathBuf>), LoadError> {
    let path = if spec.path == idx::FASHION_MNIST { idx::FASHION_MNIST_FOLDER.into() } else { base.join(&spec.path) };
    if path.is_dir() {
        let mut files = Vec::new();
        for entry in WalkDir::new(&path).follow_links(true).sort_by_file_name() {
            let entry = entry.map_err(|error| LoadError::Io { path: path.clone(), source: error.into() })?;
            if entry.file_type().is_file() {
                files.push(entry.into_path());
            }
        }
        return Ok((path, files));
    }
    let root = path.parent().unwrap_or(Path::new(".")).to_owned();
    let mut files = vec![path];
    // A table names its images.
    if let Pixels::Files(listed) = source::open(&spec.path, base)?.pixels {
        files.extend(listed.all().map(|file| file.path.clone()));
    }
    files.sort();
    Ok((root, files))
}
