use super::*;

/// Thirty images, without a table.
fn photos() -> Place {
    let place = Place::new();
    for index in 0..30u8 {
        place.gray(&format!("photos/{index}.png"), index, 6, 6);
    }
    place
}

fn table(header: &str, row: impl Fn(usize) -> String) -> String {
    let rows: Vec<String> = (0..30).map(row).collect();
    format!("{header}\n{}\n", rows.join("\n"))
}

#[test]
fn a_table_of_paths_and_labels_loads_whatever_its_order() {
    let place = photos();
    place.file("a.csv", table("path,label", |index| format!("photos/{index}.png,{}", ["odd", "even"][index % 2])));
    place.file(
        "b.csv",
        table("Label, File", |index| format!("{}, photos/{}.png", ["even", "odd"][index % 2], 29 - index)),
    );
    let data = place.load_file("a.csv").unwrap();
    assert_eq!(data.classes, ["even", "odd"]);
    assert_eq!((data.train.len(), data.validation.len()), (24, 2));
    for index in 0..data.train.len() {
        assert_eq!(data.train.labels[index], 1 - u32::from(data.train.image(index)[0] % 2));
    }
    assert_eq!(data.fingerprint, place.load_file("b.csv").unwrap().fingerprint);
}

#[test]
fn classes_that_are_numbers_keep_their_order() {
    let place = photos();
    place.file("a.csv", table("path,label", |index| format!("photos/{index}.png,{}", [10, 9, 100][index % 3])));
    assert_eq!(place.load_file("a.csv").unwrap().classes, ["9", "10", "100"]);
}

#[test]
fn a_column_of_splits_is_followed() {
    let place = photos();
    let split = |index: usize| ["train", "valid", "test"][index / 2 % 3];
    place
        .file("a.csv", table("path,label,split", |index| format!("photos/{index}.png,{},{}", index % 2, split(index))));
    let data = place.load_file("a.csv").unwrap();
    assert_eq!((counts(&data.train), counts(&data.validation)), (vec![5, 5], vec![5, 5]));
    let (test, _) = load_test(&DataSpec::new("a.csv"), place.path(), 1).unwrap();
    assert_eq!(counts(&test), [5, 5]);
}

#[test]
fn rows_that_repeat_themselves_count_once_and_missing_files_are_told_of() {
    let place = photos();
    let rows = table("path,label", |index| format!("photos/{index}.png,{}", index % 2));
    place.file("a.csv", format!("{rows}photos/3.png,1\nphotos/none.png,1\n"));
    let data = place.load_as(DataSpec { test: Some(0.0), ..DataSpec::new("a.csv") }).unwrap();
    assert_eq!(data.train.len() + data.validation.len(), 30);
    assert_eq!(notices(&data)[0], "1 repeated row counted once (photos/3.png)");
    assert!(notices(&data)[1].ends_with(": 1 unreadable image left out (photos/none.png: not found)"));
}

#[test]
fn table_trouble_is_named_with_its_line() {
    let check = |text: &[u8], expected: &str| {
        let place = photos();
        place.file("a.csv", text);
        assert_eq!(place.error(place.load_file("a.csv")), expected);
    };
    let damaged = |what: &str| format!("`DATA/a.csv` is damaged or not what it should be: {what}");
    check(b"", &damaged("the file is empty"));
    check(b"path,label\n", &damaged("the file is empty"));
    check(b"photos/1.png,1\n", &damaged("its header has no column `path`, only [\"photos/1.png\", \"1\"]"));
    check(b"path,name\n", &damaged("its header has no column `label`, only [\"path\", \"name\"]"));
    check(b"path,label\nphotos/1.png,1\nphotos/2.png,\n", &damaged("line 3: `` is no label"));
    check(b"path,label,split\nphotos/1.png,1,tain\n", &damaged("line 2: `tain` is no split"));
    check(
        b"path,label\nphotos/1.png,1\nphotos/1.png,2\n",
        &damaged("line 3: `photos/1.png` is listed before with another label or split"),
    );
    check(
        b"path,label\nphotos/1.png,1,x\n",
        &damaged(
            "CSV error: record 1 (line: 2, byte: 11): found record with 3 fields, but the previous record has 2 fields",
        ),
    );
    check(
        b"path,label\nphotos/\xff.png,1\n",
        &damaged(
            "CSV parse error: record 1 (line 2, field: 0, byte: 11): invalid utf-8: invalid UTF-8 in field 0 near byte index 7",
        ),
    );
    check(b"path,label,split\nphotos/1.png,1,test\n", "`DATA/a.csv` has no row with the split `train`");
    check(b"path,label\nphotos/1.png,1\n", "`DATA/a.csv` has 1 of the two classes that training needs at least");
    check(
        b"path,label\nnone/1.png,1\nnone/2.png,2\n",
        "2 of 2 images of the train split of `DATA/a.csv` could not be read: none/1.png: not found, none/2.png: not \
         found; up to 1 in 20 would be left out with a notice; repair or remove these",
    );
}
