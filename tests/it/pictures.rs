//! What workers leave beside their checkpoints is what the pages show.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::workplace::{STUDY, Workplace};

/// Head and body of what the server answers.
fn get(address: &str, path: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 4..].to_vec())
}

#[test]
fn a_trial_that_was_trained_shows_its_mistakes_its_images_and_its_checkpoint() {
    let study = STUDY.replace("trials = 6", "trials = 1").replace("epochs = 4", "epochs = 2");
    let place = Workplace::new(&study);
    place.succeed(&["run", "study.toml", "--no-web", "--devices", "cpu:1"]);
    let mut server = place.command(&["serve", "--listen", "127.0.0.1:18793"]).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.strip_prefix("leaderboard: http://").map(str::to_owned)).unwrap();
    let address = address.trim_end_matches('/');
    let (_, page) = get(address, "/studies/small/trials/0");
    let sheets =
        ["worst.png", "augmented.png"].map(|name| (name, get(address, &format!("/studies/small/trials/0/{name}"))));
    server.kill().unwrap();
    server.wait().unwrap();
    let page = String::from_utf8(page).unwrap();
    for part in ["1200 validation images, after epoch", "ankle boot", "taken for", "✓ right", "epoch 2", "as it is"] {
        assert!(page.contains(part), "`{part}` is not in {page}");
    }
    for (name, (head, body)) in sheets {
        assert!(head.contains("200 OK") && head.contains("image/png"), "{head}");
        let file = place.path("nightsweep-runs/small").join("trial-0").join(name);
        let written = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(body, written);
    }
}
