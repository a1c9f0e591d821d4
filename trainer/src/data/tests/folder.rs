use super::*;

#[test]
fn a_folder_per_class_is_split_by_the_seed() {
    let place = Place::new();
    place.two_classes("", 20);
    let data = place.load().unwrap();
    assert_eq!(data.classes, ["blue", "red"]);
    assert_eq!((counts(&data.train), counts(&data.validation)), (vec![16, 16], vec![2, 2]));
    assert_eq!(counts(&place.load_test().unwrap().0), [2, 2]);
    assert_eq!(data.train.image(0)[..3], [0, 0, 255]);
    assert_eq!(data.train.image(31)[..3], [255, 0, 0]);
    assert_eq!(notices(&data), [""; 0]);
}

#[test]
fn the_parts_have_no_image_in_common() {
    let place = Place::new();
    for index in 0..60 {
        place.gray(&format!("{}/{index}.png", ["a", "b"][index % 2]), index as u8 * 4, 4, 4);
    }
    let data = place.load().unwrap();
    let (test, _) = place.load_test().unwrap();
    let mut seen: Vec<u8> =
        [&data.train, &data.validation, &test].iter().flat_map(|part| part.pixels.clone()).collect();
    seen.dedup();
    seen.sort_unstable();
    assert_eq!(seen, Vec::from_iter((0..60).map(|index| index * 4)));
}

#[test]
fn a_data_set_that_comes_split_stays_so() {
    for (validation, test) in [("val", "test"), ("validation", "testing"), ("Valid", "Test")] {
        let place = Place::new();
        place.two_classes("train/", 5);
        place.two_classes(&format!("{validation}/"), 3);
        place.two_classes(&format!("{test}/"), 2);
        let data = place.load().unwrap();
        assert_eq!((counts(&data.train), counts(&data.validation)), (vec![5, 5], vec![3, 3]));
        assert_eq!(counts(&place.load_test().unwrap().0), [2, 2]);
        let spec = DataSpec { val: Some(0.1), ..DataSpec::new(".") };
        assert_eq!(
            place.error(place.load_as(spec)),
            "`data.val` is given, but `DATA` has a validation split of its own; remove `val`"
        );
    }
}

#[test]
fn no_test_split_is_no_trouble_until_it_is_asked_for() {
    let place = Place::new();
    place.two_classes("", 10);
    let spec = DataSpec { test: Some(0.0), ..DataSpec::new(".") };
    let data = place.load_as(spec.clone()).unwrap();
    assert_eq!(data.test_images, 0);
    assert_eq!(counts(&data.train), [9, 9]);
    assert_eq!(
        place.error(load_test(&spec, place.path(), 1)),
        "`DATA` has no test split; give `data.test`, such as 0.1, or add a folder `test`"
    );
}

#[test]
fn the_test_split_is_not_read_before_its_time() {
    let place = Place::new();
    place.two_classes("train/", 10);
    place.file("test/red/broken.png", "no PNG at all");
    assert_eq!(notices(&place.load().unwrap()), [""; 0]);
    assert_eq!(
        place.error(place.load_test()),
        "1 of 1 images of the test split of `DATA` could not be read: test/red/broken.png: not a JPEG, PNG or WebP; up \
         to 1 in 20 would be left out with a notice; repair or remove these"
    );
}

#[test]
fn unreadable_images_are_left_out_and_told_of_if_they_are_few() {
    let place = Place::new();
    place.two_classes("train/", 30);
    place.two_classes("val/", 1);
    place.two_classes("test/", 1);
    place.file("train/red/010.png", "");
    place.file("train/red/011.png", "no image");
    let whole = fs::read(place.path().join("train/red/012.png")).unwrap();
    place.file("train/red/012.png", &whole[..whole.len() / 2]);
    let data = place.load().unwrap();
    assert_eq!(counts(&data.train), [30, 27]);
    assert!(data.train.image(56)[..3] == [255, 0, 0] && data.train.image(29)[..3] == [0, 0, 255]);
    let [notice] = &notices(&data)[..] else { panic!("{:?}", data.notices) };
    assert!(notice.starts_with("train: 3 unreadable images left out (train/red/010.png: empty, "), "{notice}");

    place.file("train/red/013.png", "");
    let message = place.error(place.load());
    assert!(message.starts_with("4 of 60 images of the train split of `DATA` could not be read: "), "{message}");
}

#[test]
fn other_things_among_the_images_are_ignored_and_told_of_unless_hidden() {
    let place = Place::new();
    place.two_classes("", 10);
    place.file("red/.DS_Store", "x");
    place.file(".git/x.png", "x");
    place.file("red/Thumbs.db", "x");
    place.file("red/notes.txt", "x");
    place.file("loose.png", "x");
    fs::create_dir(place.path().join("green")).unwrap();
    place.colour("red/more/deep/1.png", [255, 0, 0], 8, 8);
    let data = place.load().unwrap();
    assert_eq!(data.classes, ["blue", "red"]);
    assert_eq!(data.train.len() + data.validation.len() + place.load_test().unwrap().0.len(), 21);
    assert_eq!(
        notices(&data),
        [
            "1 item that belongs to no split ignored (loose.png)",
            "1 class folder without images ignored (green)",
            "1 file that is no JPEG, PNG or WebP ignored (red/notes.txt)",
        ]
    );
}

#[test]
fn too_few_classes_or_images_are_an_error() {
    let place = Place::new();
    place.file("flowers/notes.bmp", "x");
    assert_eq!(
        place.error(place.load()),
        "`DATA` has no JPEG, PNG or WebP image in its train split; other files are there (flowers/notes.bmp): convert \
         them to PNG or JPEG"
    );
    place.colour("flowers/daisy/1.png", [0; 3], 8, 8);
    assert_eq!(
        place.error(place.load()),
        "`DATA` has 1 of the two classes that training needs at least; a folder's subfolders are its classes: is the \
         path one level too high or too low?"
    );
    place.colour("trees/oak/1.png", [0; 3], 8, 8);
    assert_eq!(place.error(place.load()), "`DATA` has too few images: none is left for the validation split");
}

#[test]
fn a_class_that_cannot_be_learned_is_an_error() {
    let place = Place::new();
    place.two_classes("train/", 3);
    place.colour("val/green/1.png", [0; 3], 8, 8);
    assert_eq!(
        place.error(place.load()),
        "class `green` is in the validation split of `DATA`, but not in the train split; add training images of it, or \
         take it out; check its spelling and case"
    );
    let place = Place::new();
    place.two_classes("val/", 3);
    place.two_classes("test/", 3);
    assert_eq!(place.error(place.load()), "`DATA` has no folder `train` of class folders");
}

#[test]
fn a_class_of_one_image_is_kept_for_training() {
    let place = Place::new();
    place.two_classes("", 10);
    place.colour("green/1.png", [0, 255, 0], 8, 8);
    let data = place.load().unwrap();
    assert_eq!((counts(&data.train), counts(&data.validation)), (vec![8, 1, 8], vec![1, 0, 1]));
    assert_eq!(notices(&data), ["1 class of one image kept for training alone (green)"]);
}

#[test]
fn unequal_and_gray_images_are_made_alike() {
    let place = Place::new();
    place.two_classes("train/", 2);
    place.two_classes("val/", 1);
    place.two_classes("test/", 1);
    place.gray("train/red/gray.png", 100, 8, 8);
    place.colour("train/red/wide.png", [255, 0, 0], 40, 10);
    let data = place.load().unwrap();
    assert_eq!((data.train.height, data.train.width, data.train.channels), (8, 8, 3));
    assert_eq!(data.train.image(4), [100; 8 * 8 * 3]);
    assert_eq!(data.train.image(5), [255, 0, 0].repeat(8 * 8));
    assert_eq!(
        notices(&data),
        [
            "train: 1 gray image given three equal channels (train/red/gray.png)",
            "train: 1 image cropped to the centre and resized (train/red/wide.png)",
        ]
    );
    let gray = place.load_as(DataSpec { channels: Some(1), ..DataSpec::new(".") }).unwrap();
    assert_eq!((gray.train.channels, gray.train.image(5)[0], gray.train.image(4)[0]), (1, 76, 100));
}

#[cfg(unix)]
#[test]
fn names_need_not_be_text_and_links_are_followed() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let place = Place::new();
    place.two_classes("", 10);
    let image = fs::read(place.path().join("red/001.png")).unwrap();
    place.file(Path::new(OsStr::from_bytes(b"gr\xfcn")).join(OsStr::from_bytes(b"\xff.png")), &image);
    std::os::unix::fs::symlink("red/001.png", place.path().join("blue/link.png")).unwrap();
    std::os::unix::fs::symlink(place.path().join("red"), place.path().join("linked")).unwrap();
    let data = place.load().unwrap();
    assert_eq!(data.classes, ["blue", "gr\u{fffd}n", "linked", "red"]);
    // The link in blue/ points to blue/red/001.png, which is not there.
    let (test, more) = place.load_test().unwrap();
    assert_eq!(data.train.len() + data.validation.len() + test.len(), 31);
    let unreadable = data.notices.iter().chain(&more).find(|notice| notice.handling == Handling::Unreadable).unwrap();
    assert_eq!(unreadable.examples, ["blue/link.png: not found"]);
}

#[cfg(unix)]
#[test]
fn a_folder_that_links_to_itself_is_an_error() {
    let place = Place::new();
    place.two_classes("", 3);
    std::os::unix::fs::symlink(place.path().join("red"), place.path().join("red/again")).unwrap();
    assert!(place.error(place.load()).starts_with("could not read `DATA/red/again`: File system loop found"));
}

#[test]
fn the_clothing_photos_load() {
    let Some(path) = shared("clothing") else { return };
    let spec = DataSpec::new(path.to_str().unwrap());
    let data = load(&spec, Path::new("."), 1).unwrap();
    assert_eq!(data.classes.len(), 10);
    assert_eq!((data.train.height, data.train.width, data.train.channels), (64, 64, 3));
    let (test, _) = load_test(&spec, Path::new("."), 1).unwrap();
    assert_eq!(data.train.len() + data.validation.len() + test.len(), 3781);
    assert_eq!(
        notices(&data),
        [
            "train: 3068 images cropped to the centre and resized",
            "validation: 341 images cropped to the centre and resized"
        ]
    );
}
