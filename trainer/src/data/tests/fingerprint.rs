//! Whether files are the same, without reading all of them again.

use super::*;

impl Place {
    fn files(&self, path: &str, cache: Option<&str>) -> String {
        let cache = cache.map(|name| self.path().join(name));
        fingerprint_files(&DataSpec::new(path), self.path(), cache.as_deref()).unwrap()
    }

    /// Another content of the same length, as if written at the same moment.
    fn forge(&self, name: &str, at: usize) {
        let path = self.path().join(name);
        let changed = fs::metadata(&path).unwrap().modified().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        fs::File::options().append(true).open(&path).unwrap().set_modified(changed).unwrap();
    }
}

#[test]
fn files_are_the_same_if_their_names_and_contents_are() {
    let place = Place::new();
    place.two_classes("data/train/", 3);
    place.two_classes("data/test/", 2);
    let first = place.files("data", None);
    let copy = Place::new();
    copy.two_classes("elsewhere/train/", 3);
    copy.two_classes("elsewhere/test/", 2);
    assert_eq!(copy.files("elsewhere", None), first, "neither the place nor the time counts");
    copy.forge("elsewhere/test/red/001.png", 30);
    let changed = copy.files("elsewhere", None);
    fs::rename(copy.path().join("elsewhere/test/red/001.png"), copy.path().join("elsewhere/test/red/002.png")).unwrap();
    let renamed = copy.files("elsewhere", None);
    assert!(first != changed && changed != renamed && first != renamed);
}

#[test]
fn a_table_brings_the_images_that_it_names() {
    let place = Place::new();
    place.two_classes("images/", 2);
    place.file("table.csv", "path,label\nimages/red/000.png,r\nimages/blue/000.png,b\n");
    let first = place.files("table.csv", None);
    place.forge("images/red/001.png", 30);
    assert_eq!(place.files("table.csv", None), first, "an image that is not in the table does not count");
    place.forge("images/red/000.png", 30);
    assert_ne!(place.files("table.csv", None), first);
}

#[test]
fn what_is_in_the_cache_is_not_read_again() {
    let place = Place::new();
    place.two_classes("data/", 2);
    let first = place.files("data", Some("cache.json"));
    assert_eq!(place.files("data", None), first);
    place.forge("data/red/000.png", 30);
    assert_eq!(place.files("data", Some("cache.json")), first);
    let forged = place.files("data", None);
    assert_ne!(forged, first);
    place.file("cache.json", "{ damaged");
    assert_eq!(place.files("data", Some("cache.json")), forged);
    assert_eq!(place.files("data", Some("no/such/folder/cache.json")), forged);
}

#[test]
fn what_is_part_of_the_program_and_what_is_missing() {
    let place = Place::new();
    assert_eq!(place.files("fashion-mnist-mini", None).len(), 64);
    let missing = fingerprint_files(&DataSpec::new("nowhere.npz"), place.path(), None);
    assert!(matches!(missing, Err(LoadError::NoSuchPath { .. })), "{missing:?}");
}
