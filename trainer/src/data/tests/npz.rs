use npyz::{WriterBuilder, npz::NpzWriter};

use super::*;

/// Writes arrays into `data.npz`.
struct Arrays(NpzWriter<std::io::BufWriter<fs::File>>, Place);

impl Arrays {
    fn new() -> Self {
        let place = Place::new();
        Self(NpzWriter::create(place.path().join("data.npz")).unwrap(), place)
    }

    fn add<T: npyz::AutoSerialize + Copy>(mut self, name: &str, shape: &[u64], elements: &[T]) -> Self {
        let array = self.0.array(name, Default::default()).unwrap();
        let mut array = array.default_dtype().shape(shape).begin_nd().unwrap();
        array.extend(elements.iter().copied()).unwrap();
        array.finish().unwrap();
        self
    }

    fn strings(mut self, name: &str, elements: &[&str]) -> Self {
        let array = self.0.array(name, Default::default()).unwrap();
        let dtype = npyz::DType::Plain("<U10".parse().unwrap());
        let mut array = array.dtype(dtype).shape(&[elements.len() as u64]).begin_nd().unwrap();
        array.extend(elements.iter().map(|element| element.to_string())).unwrap();
        array.finish().unwrap();
        self
    }

    /// Twenty images of two classes in turn.
    fn train(self) -> Self {
        let pixels: Vec<u8> = (0..20).flat_map(|image| [image; 4 * 4 * 3]).collect();
        self.add("train_images", &[20, 4, 4, 3], &pixels).add("train_labels", &[20, 1], &[0u8, 1].repeat(10))
    }

    fn done(self) -> Place {
        self.1
    }

    fn error(self) -> String {
        let place = self.done();
        place.error(place.load_file("data.npz"))
    }
}

#[test]
fn an_archive_in_the_layout_of_medmnist_loads() {
    let arrays = Arrays::new().train();
    let arrays = arrays.add("val_images", &[2, 4, 4, 3], &[7u8; 96]).add("val_labels", &[2, 1], &[1i64, 0]);
    let arrays = arrays.add("test_images", &[1, 4, 4, 3], &[8u8; 48]).add("test_labels", &[1, 1], &[1i32]);
    let place = arrays.strings("classes", &["no", "yes"]).done();
    let data = place.load_file("data.npz").unwrap();
    assert_eq!(
        (data.classes.as_slice(), counts(&data.train)),
        (&["no".to_owned(), "yes".to_owned()][..], vec![10, 10])
    );
    assert_eq!((data.train.image(19)[0], data.train.labels[19]), (19, 1));
    assert_eq!((data.validation.labels.as_slice(), data.validation.pixels.as_slice()), (&[1, 0][..], &[7; 96][..]));
    let (test, _) = load_test(&DataSpec::new("data.npz"), place.path(), 1).unwrap();
    assert_eq!((test.labels, test.pixels), (vec![1], vec![8; 48]));
}

#[test]
fn gray_images_without_names_and_in_keras_names_load() {
    let arrays = Arrays::new().add("x_train", &[20, 4, 4], &[5u8; 320]);
    let place = arrays.add("y_train", &[20], &[2i64, 5].repeat(10)).done();
    let data = place.load_file("data.npz").unwrap();
    assert_eq!(
        (data.classes, data.train.channels, data.test_images > 0),
        (vec!["2".to_owned(), "5".to_owned()], 1, true)
    );
}

#[test]
fn a_class_that_is_named_and_absent_is_told_of() {
    let place = Arrays::new().train().strings("classes", &["a", "b", "c"]).done();
    let data = place.load_file("data.npz").unwrap();
    assert_eq!((data.classes.len(), notices(&data)), (3, vec!["1 class without training images kept (c)".to_owned()]));
}

#[test]
fn archive_trouble_is_named() {
    let damaged = |what: &str| format!("`DATA/data.npz` is damaged or not what it should be: {what}");
    let expected = "where (n, height, width) or (n, height, width, 1 or 3), and no side above 4096, is needed";
    let labels = |arrays: Arrays| arrays.add("train_labels", &[2], &[0u8, 1]);
    let check = |arrays: Arrays, what: &str| assert_eq!(arrays.error(), damaged(what));
    check(Arrays::new().add("images", &[1], &[0u8]), "it has no array `train_images`, only [\"images\"]");
    check(
        Arrays::new().add("train_images", &[2, 2, 2], &[0u8; 8]),
        "it has no array `train_labels`, only [\"train_images\"]",
    );
    check(
        labels(Arrays::new().add("train_images", &[2, 2, 2], &[0f32; 8])),
        "`train_images` holds '<f4', where bytes (uint8) are needed",
    );
    check(
        labels(Arrays::new().add("train_images", &[2, 2, 2, 4], &[0u8; 32])),
        &format!("`train_images` has the shape [2, 2, 2, 4], {expected}"),
    );
    check(labels(Arrays::new().add("train_images", &[3, 2, 2], &[0u8; 12])), "it goes with 3 images and has 2 labels");
    let images = || Arrays::new().add("train_images", &[2, 2, 2], &[0u8; 8]);
    check(
        images().add("train_labels", &[2, 3], &[0u8; 6]),
        "`train_labels` has the shape [2, 3], where (n) or (n, 1), one class an image, is needed",
    );
    check(images().add("train_labels", &[2], &[0.5f64; 2]), "`train_labels` holds '<f8', where integers are needed");
    check(
        images().add("train_labels", &[2], &[0i8, -1]).strings("classes", &["a", "b"]),
        "label -1 of train image 1 is not one of the 2 classes",
    );
    check(
        Arrays::new().train().add("test_images", &[1, 4, 4, 3], &[0u8; 48]).add("test_labels", &[1], &[2u8]),
        "label 2 of test image 0 is on no training image",
    );
    let one = images().add("train_labels", &[2], &[1u8, 1]).error();
    assert!(one.starts_with("`DATA/data.npz` has 1 of the two classes"), "{one}");
}

#[test]
fn an_archive_that_is_cut_short_or_broken_is_named() {
    let place = Arrays::new().train().done();
    let whole = fs::read(place.path().join("data.npz")).unwrap();
    for length in (0..whole.len()).step_by(97) {
        place.file("data.npz", &whole[..length]);
        let message = place.error(place.load_file("data.npz"));
        assert!(message.starts_with("`DATA/data.npz` is damaged or not what it should be: "), "{length}: {message}");
    }
    for place_broken in (0..whole.len()).step_by(11) {
        let mut broken = whole.clone();
        broken[place_broken] ^= 0x55;
        place.file("data.npz", &broken);
        _ = place.load_file("data.npz");
    }
}

#[test]
fn the_part_of_cifar_10_loads() {
    let Some(path) = shared("cifar10_15k.npz") else { return };
    let spec = DataSpec::new(path.to_str().unwrap());
    let data = load(&spec, Path::new("."), 1).unwrap();
    assert_eq!((data.train.len(), data.validation.len(), data.classes[0].as_str()), (10_800, 1_200, "airplane"));
    assert_eq!((data.train.height, data.train.width, data.train.channels), (32, 32, 3));
    assert_eq!(counts(&data.validation).len(), 10);
    assert_eq!(load_test(&spec, Path::new("."), 1).unwrap().0.len(), 3_000);
}
