//! A table of images: a header with the columns `path` and `label`, and `split` if the data comes split.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use ::csv::{ReaderBuilder, StringRecord, Trim};

use super::{
    LoadError,
    error::Flaw,
    files::{self, ClassOrder, ImageFile, Listed},
    notice::{Handling, Notice},
    source::{Kind, Source, Split},
};

/// What people call the columns.
const PATH: &[&str] = &["path", "file", "filename", "image", "filepath"];
const LABEL: &[&str] = &["label", "class", "category"];
const SPLIT: &[&str] = &["split", "set", "subset"];

pub(super) fn open(path: &Path, delimiter: u8) -> Result<Source, LoadError> {
    let malformed = |source| LoadError::Malformed { path: path.to_owned(), source };
    let (listed, repeated) = read(path, delimiter).map_err(malformed)?;
    if listed.is_empty() {
        return Err(malformed(Flaw::Empty));
    }
    if !listed.iter().any(|row| row.split == Split::Train) {
        return Err(LoadError::MissingPart { path: path.to_owned(), wanted: "row with the split `train`".to_owned() });
    }
    let notices = Notice::new(None, Handling::RepeatedRow, repeated).into_iter().collect();
    files::source(Kind::Csv, path, listed, numbers_in_their_order, notices)
}

/// The rows, each once, and the names of those that were repeated.
fn read(table: &Path, delimiter: u8) -> Result<(Vec<Listed>, Vec<String>), Flaw> {
    let mut reader = ReaderBuilder::new().delimiter(delimiter).trim(Trim::All).from_path(table)?;
    let header = reader.headers()?.clone();
    if header.is_empty() {
        return Err(Flaw::Empty);
    }
    let column = |names: &[&str]| {
        header.iter().position(|field| names.contains(&field.trim_start_matches('\u{feff}').to_lowercase().as_str()))
    };
    let needed = |names: &[&'static str]| {
        column(names)
            .ok_or_else(|| Flaw::NoColumn { column: names[0], found: header.iter().map(str::to_owned).collect() })
    };
    let (path, label, split) = (needed(PATH)?, needed(LABEL)?, column(SPLIT));

    let folder = table.parent().unwrap_or(Path::new("."));
    let mut rows: BTreeMap<PathBuf, Listed> = BTreeMap::new();
    let mut repeated = vec![];
    for record in reader.records() {
        let record = record?;
        let line = record.position().map_or(0, |position| position.line());
        let name = filled(&record, path, line, PATH[0])?;
        let class = filled(&record, label, line, LABEL[0])?;
        let split = match split {
            None => Split::Train,
            Some(split) => {
                let word = filled(&record, split, line, SPLIT[0])?;
                Split::named(&word).ok_or(Flaw::Field { line, column: SPLIT[0], value: word })?
            }
        };
        let file = ImageFile { path: folder.join(&name), name };
        let row = Listed { split, class: class.into(), file };
        match rows.get(&row.file.path) {
            None => _ = rows.insert(row.file.path.clone(), row),
            Some(before) if (before.split, &before.class) == (row.split, &row.class) => repeated.push(row.file.name),
            Some(_) => return Err(Flaw::Contradiction { line, image: row.file.name }),
        }
    }
    Ok((rows.into_values().collect(), repeated))
}

fn filled(record: &StringRecord, column: usize, line: u64, name: &'static str) -> Result<String, Flaw> {
    match record.get(column) {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => Err(Flaw::Field { line, column: name, value: String::new() }),
    }
}

fn numbers_in_their_order(class: &OsStr) -> ClassOrder {
    // Words go behind all numbers.
    let number = class.to_str().and_then(|word| word.parse().ok());
    (number.or(Some(i64::MAX)), OsString::from(class))
}
