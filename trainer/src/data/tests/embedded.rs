use super::*;

#[test]
fn the_small_fashion_mnist_needs_no_file() {
    let spec = DataSpec::new("fashion-mnist-mini");
    let data = load(&spec, Path::new("/nowhere"), 1).unwrap();
    assert_eq!(data.classes[0], "t-shirt");
    assert_eq!(counts(&data.train), [540; 10]);
    assert_eq!(counts(&data.validation), [60; 10]);
    assert_eq!((data.train.height, data.train.width, data.train.channels), (28, 28, 1));
    assert!(data.test_images == 1000 && data.notices.is_empty());
    let (test, _) = load_test(&spec, Path::new("/nowhere"), 1).unwrap();
    assert_eq!(counts(&test), [100; 10]);
}

#[test]
fn the_split_follows_the_seed_and_the_fingerprint_the_split() {
    let load = |seed| load(&DataSpec::new("fashion-mnist-mini"), Path::new("."), seed).unwrap();
    let (first, again, other) = (load(1), load(1), load(2));
    assert_eq!((first.validation.pixels == again.validation.pixels, &first.fingerprint), (true, &again.fingerprint));
    assert!(first.validation.pixels != other.validation.pixels && first.fingerprint != other.fingerprint);
}

#[test]
fn the_small_fashion_mnist_is_the_beginning_of_the_full_one() {
    let small = DataSpec { val: Some(0.001), ..DataSpec::new("fashion-mnist-mini") };
    let full = DataSpec { path: "fashion-mnist".to_owned(), ..small.clone() };
    let all = |spec: &DataSpec| {
        let source = source::open(&spec.path, Path::new("."))?;
        let mut splits = vec![];
        for split in [Split::Train, Split::Test] {
            let which = (0..source.labels.of(split).unwrap().len()).collect();
            splits.push(source.read(&Part { role: split, split, which }, source.looks.shape(spec))?.0);
        }
        Ok((source.classes, splits))
    };
    let (classes, small) = all(&small).unwrap();
    let (full_classes, full) = match all(&full) {
        Err(LoadError::NotInstalled { path }) => return eprintln!("skipped: {} is not there", path.display()),
        full => full.unwrap(),
    };
    assert_eq!(classes, full_classes);
    for (small, full, per_class) in [(&small[0], &full[0], 600), (&small[1], &full[1], 100)] {
        for class in 0..10 {
            let of_class = |images: &Images| -> Vec<Vec<u8>> {
                let places = (0..images.len()).filter(|&i| images.labels[i] == class);
                places.take(per_class).map(|i| images.image(i).to_vec()).collect()
            };
            assert!(of_class(small) == of_class(full), "class {class}");
        }
    }
}
