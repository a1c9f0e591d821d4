use super::*;

#[test]
fn a_description_counts_and_measures() {
    let place = Place::new();
    place.two_classes("train/", 3);
    place.two_classes("test/", 1);
    place.gray("train/red/gray.png", 0, 20, 12);
    place.file("train/red/notes.txt", "x");
    let found = describe(".", place.path()).unwrap();
    let class = |name: &str, train, test| ClassCount { name: name.to_owned(), train, validation: 0, test };
    assert_eq!(
        found,
        Description {
            kind: Kind::Folder,
            classes: vec![class("blue", 3, 1), class("red", 4, 1)],
            train: 7,
            validation: None,
            test: Some(2),
            short_sides: [8, 8, 12],
            common_size: None,
            default_size: (8, 8),
            channels: 3,
            mixed_channels: true,
            imbalance: 4.0 / 3.0,
            notices: found.notices.clone(),
        }
    );
    assert_eq!(found.notices[0].to_string(), "1 file that is no JPEG, PNG or WebP ignored (train/red/notes.txt)");
}

#[test]
fn a_description_says_what_loading_gives() {
    for path in ["fashion-mnist-mini", "."] {
        let place = Place::new();
        place.two_classes("", 10);
        let found = describe(path, place.path()).unwrap();
        let data = place.load_as(DataSpec { test: Some(0.0), ..DataSpec::new(path) });
        let data = data.or_else(|_| place.load_as(DataSpec::new(path))).unwrap();
        assert_eq!(found.train, data.train.len() + data.validation.len());
        assert_eq!((found.default_size, found.channels), ((data.train.height, data.train.width), data.train.channels));
        assert_eq!(
            found.classes.iter().map(|class| &class.name).collect::<Vec<_>>(),
            data.classes.iter().collect::<Vec<_>>()
        );
    }
}

#[test]
fn the_clothing_photos_are_described() {
    let Some(path) = shared("clothing") else { return };
    let found = describe(path.to_str().unwrap(), Path::new(".")).unwrap();
    assert_eq!((found.kind, found.classes.len(), found.channels), (Kind::Folder, 10, 3));
    assert_eq!(found.train + found.validation.unwrap() + found.test.unwrap(), 3781);
    assert_eq!(found.default_size, (64, 64));
    assert!(found.imbalance > 2.0);
}
