use super::*;

/// A record whose three planes are one colour.
fn record(labels: &[u8], colour: [u8; 3]) -> Vec<u8> {
    [labels.to_vec(), vec![colour[0]; 1024], vec![colour[1]; 1024], vec![colour[2]; 1024]].concat()
}

fn cifar10() -> Place {
    let place = Place::new();
    for batch in 1..=5 {
        let records = (0..10).flat_map(|class| record(&[class], [class, batch, 200])).collect::<Vec<u8>>();
        place.file(format!("data_batch_{batch}.bin"), records);
    }
    place.file("test_batch.bin", record(&[9], [1, 2, 3]));
    place.file("batches.meta.txt", "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
    place
}

#[test]
fn cifar_10_loads() {
    let place = cifar10();
    let data = place.load().unwrap();
    assert_eq!((data.classes.len(), &*data.classes[9]), (10, "truck"));
    assert_eq!((counts(&data.train), counts(&data.validation)), (vec![4; 10], vec![1; 10]));
    for index in 0..data.train.len() {
        let pixel = &data.train.image(index)[3 * 500..][..3];
        assert_eq!((u32::from(pixel[0]), pixel[2]), (data.train.labels[index], 200));
    }
    let (test, _) = place.load_test().unwrap();
    assert_eq!((test.labels[0], &test.image(0)[..6]), (9, &[1, 2, 3, 1, 2, 3][..]));
}

#[test]
fn cifar_100_loads_with_its_fine_labels() {
    let place = Place::new();
    let names: String = (0..100).map(|class| format!("class{class:02}\n")).collect();
    place.file("fine_label_names.txt", names);
    place.file(
        "train.bin",
        (0..100).cycle().take(300).flat_map(|fine| record(&[fine / 5, fine], [fine; 3])).collect::<Vec<u8>>(),
    );
    place.file("test.bin", record(&[1, 7], [1, 2, 3]));
    let data = place.load().unwrap();
    assert_eq!((counts(&data.train), counts(&data.validation)), (vec![2; 100], vec![1; 100]));
    assert_eq!(place.load_test().unwrap().0.labels, [7]);
}

#[test]
fn cifar_trouble_is_named() {
    let check = |file: &str, bytes: &[u8], expected: &str| {
        let place = cifar10();
        place.file(file, bytes);
        assert_eq!(place.error(place.load()), expected);
    };
    let damaged = |what: &str| format!("`DATA/data_batch_2.bin` is damaged or not what it should be: {what}");
    check("data_batch_2.bin", &[], &damaged("the file is empty"));
    check(
        "data_batch_2.bin",
        &record(&[1], [0; 3])[1..],
        &damaged("it has 3072 bytes, which is no multiple of the 3073 bytes of a record"),
    );
    check(
        "data_batch_2.bin",
        &record(&[10], [0; 3]),
        "`DATA` is damaged or not what it should be: label 10 of train image 10 is not one of the 10 classes",
    );
    check(
        "batches.meta.txt",
        b"airplane\n",
        "`DATA/batches.meta.txt` is damaged or not what it should be: it names 1 classes, where there are 10",
    );
}
