use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;

fn images(count: usize, side: u32) -> Vec<u8> {
    let mut file = vec![0, 0, 8, 3];
    for dim in [count as u32, side, side] {
        file.extend(dim.to_be_bytes());
    }
    (0..count).for_each(|image| file.extend(vec![image as u8; (side * side) as usize]));
    file
}

fn labels(labels: &[u8]) -> Vec<u8> {
    [&[0, 0, 8, 1][..], &(labels.len() as u32).to_be_bytes(), labels].concat()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Twenty training images of the classes 3 and 7, and four test images.
fn digits() -> Place {
    let place = Place::new();
    place.file("train-images-idx3-ubyte", images(20, 5));
    place.file("train-labels-idx1-ubyte", labels(&[3, 7].repeat(10)));
    place.file("t10k-images-idx3-ubyte", images(4, 5));
    place.file("t10k-labels-idx1-ubyte", labels(&[7, 7, 3, 3]));
    place
}

#[test]
fn idx_files_load_whatever_their_names_look_like() {
    for (dash, gzipped) in [("-", false), (".", false), ("-", true), (".", true)] {
        let place = Place::new();
        let name = |split: &str, rest: &str| format!("{split}{dash}{rest}{}", if gzipped { ".gz" } else { "" });
        let pack = |bytes: Vec<u8>| if gzipped { gz(&bytes) } else { bytes };
        place.file(name("train-images", "idx3-ubyte"), pack(images(20, 5)));
        place.file(name("train-labels", "idx1-ubyte"), pack(labels(&[3, 7].repeat(10))));
        place.file(name("t10k-images", "idx3-ubyte"), pack(images(4, 5)));
        place.file(name("t10k-labels", "idx1-ubyte"), pack(labels(&[7, 7, 3, 3])));
        let data = place.load().unwrap();
        assert_eq!(data.classes, ["3", "7"]);
        assert_eq!((counts(&data.train), counts(&data.validation)), (vec![9, 9], vec![1, 1]));
        for index in 0..data.train.len() {
            assert_eq!(data.train.labels[index], u32::from(data.train.image(index)[0] % 2));
        }
        assert_eq!(place.load_test().unwrap().0.labels, [1, 1, 0, 0]);
    }
}

#[test]
fn a_file_beside_its_gzipped_twin_is_taken_alone() {
    let place = digits();
    place.file("train-images-idx3-ubyte.gz", "not even gzip");
    place.load().unwrap();
    place.file("emnist-train-images-idx3-ubyte", images(20, 5));
    assert_eq!(
        place.error(place.load()),
        "`DATA/emnist-train-images-idx3-ubyte` and `DATA/train-images-idx3-ubyte` are both the train images; keep one of \
         them there"
    );
}

#[test]
fn idx_trouble_is_named() {
    let check = |file: &str, bytes: &[u8], expected: &str| {
        let place = digits();
        place.file(file, bytes);
        let damaged = format!("`DATA/{file}` is damaged or not what it should be: {expected}");
        assert_eq!(place.error(place.load()), damaged);
    };
    let (whole, of) = (images(20, 5), "train-images-idx3-ubyte");
    check(of, &[], "the file is empty");
    check(of, &whole[..7], "failed to fill whole buffer");
    check(of, &whole[..whole.len() - 1], "it should have 500 bytes and has 499");
    check(of, &[&whole[..], &[0]].concat(), "it should have 500 bytes and has 501");
    check(of, &gz(&whole), "it starts with [1f, 8b, 08, 00], where IDX of bytes starts with 00 00 08 and 01, 03 or 04");
    let expected = "(n, height, width) or (n, height, width, 1 or 3), and no side above 4096";
    check(of, &labels(&[1, 2]), &format!("it has the shape [2], where {expected} is needed"));
    check(of, &images(20, 0), &format!("it has the shape [20, 0, 0], where {expected} is needed"));
    check(
        of,
        &[&[0, 0, 8, 3][..], &[255; 12]].concat(),
        &format!("it has the shape [{0}, {0}, {0}], where {expected} is needed", u32::MAX),
    );
    check("train-labels-idx1-ubyte", &labels(&[1, 2]), "it goes with 20 images and has 2 labels");
    let place = digits();
    place.file("t10k-labels-idx1-ubyte", labels(&[7, 7, 3, 9]));
    let expected = "`DATA` is damaged or not what it should be: label 9 of test image 3 is on no training image";
    assert_eq!(place.error(place.load()), expected);
    fs::remove_file(place.path().join("t10k-labels-idx1-ubyte")).unwrap();
    assert_eq!(place.error(place.load()), "`DATA` has no test labels (IDX)");
}

#[test]
fn a_gzipped_file_that_is_cut_short_is_named() {
    let place = digits();
    fs::remove_file(place.path().join("train-images-idx3-ubyte")).unwrap();
    let whole = gz(&images(20, 5));
    let expected = "`DATA/train-images-idx3-ubyte.gz` is damaged or not what it should be: ";
    for length in 0..whole.len() - 1 {
        place.file("train-images-idx3-ubyte.gz", &whole[..length]);
        let message = place.error(place.load());
        assert!(message.starts_with(expected), "{length}: {message}");
    }
}

#[test]
fn the_full_fashion_mnist_loads_or_says_how_to_get_it() {
    match load(&DataSpec::new("fashion-mnist"), Path::new("."), 1) {
        Ok(data) => {
            assert_eq!(counts(&data.train), [5400; 10]);
            assert_eq!(counts(&data.validation), [600; 10]);
            assert_eq!(data.classes[9], "ankle boot");
        }
        Err(error) => {
            eprintln!("skipped: {error}");
            assert!(matches!(error, LoadError::NotInstalled { .. }), "{error}");
            assert!(error.hint().unwrap().contains("apt-get install dataset-fashion-mnist"));
        }
    }
}
