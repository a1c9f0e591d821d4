//! The leaderboard of a study that really runs, in a real browser: `web/tests/browser` has the pages themselves.

#[path = "../../web/tests/browser/driver.rs"]
#[expect(dead_code, reason = "the pages' own tests do more")]
mod driver;

use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::thread::JoinHandle;

use nightsweep_search::{Event, Order, TrialNumber, TrialState};

use self::driver::with_browser;
use crate::workplace::{STUDY, Workplace};

/// The program while it shows its page.
struct Shown {
    child: Child,
    address: String,
    token: Option<String>,
    /// Keeps the pipe empty, so that the program does not wait for us.
    drain: Option<JoinHandle<usize>>,
}

impl Shown {
    fn start(place: &Workplace, words: &[&str]) -> Self {
        let mut child = place.command(words).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix("leaderboard: ").map(str::to_owned)).unwrap();
        let token = words.iter().any(|word| word.starts_with("0.0.0.0")).then(|| {
            let line = lines.next().unwrap();
            line.rsplit_once(": ").expect("the token is printed once").1.to_owned()
        });
        Self { child, address, token, drain: Some(std::thread::spawn(move || lines.count())) }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let _ = self.drain.take().unwrap().join();
    }
}

#[test]
fn a_running_trial_is_paused_resumed_and_stopped_from_its_page() {
    let place = Workplace::new(
        &STUDY
            .replace("epochs = 4", "epochs = 500")
            .replace("trials = 6", "trials = 2")
            .replace("{ kind = \"asha\", min_epochs = 1, reduction_factor = 2 }", "{ kind = \"none\" }"),
    );
    let shown = Shown::start(&place, &["run", "study.toml", "--listen", "127.0.0.1:0", "--devices", "cpu:1,cpu:1"]);
    let paused_at = Cell::new(None);
    with_browser("real-trial", async |browser| {
        let address = shown.address.trim_end_matches('/');
        browser.open(address).await;
        browser.until("document.querySelector('#rows .value')?.innerText.startsWith('0.')").await;
        browser.picture("real-board").await;
        browser.open(&format!("{address}/trials/0")).await;
        let epochs = "Number(document.body.innerText.match(/reported epochs 1 to (\\d+)/)?.[1])";
        browser.until(&format!("{epochs} >= 3")).await;
        let badge = |word: &str| format!("document.querySelector('.badge.{word}') !== null");
        browser.click("#orders [data-order=pause]").await;
        browser.until(&badge("paused")).await;
        browser.picture("real-trial-paused").await;
        paused_at.set(browser.js(epochs).await.as_u64());
        browser.click("#orders [data-order=resume]").await;
        browser.until(&badge("running")).await;
        browser.until("document.body.innerText.includes('resumed as attempt 2')").await;
        browser.until("/resumed as attempt 2[^]*reported epoch/.test(document.body.innerText)").await;
        browser.click("#orders [data-order=stop]").await;
        browser.accept().await;
        browser.until(&badge("pruned")).await;
    });

    let trial = TrialNumber(0);
    let orders: Vec<_> = place
        .log()
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::Ordered { order, by } => Some((order, by)),
            _ => None,
        })
        .collect();
    let by = "somebody".to_owned();
    assert_eq!(
        orders,
        [(Order::Pause { trial }, by.clone()), (Order::Resume { trial }, by.clone()), (Order::Stop { trial }, by)]
    );
    let row = place.trials().into_iter().find(|row| row.number == trial).unwrap();
    assert_eq!((row.state, row.attempt), (TrialState::Pruned, 2));
    assert!(Some(row.steps) > paused_at.get());
}

#[test]
fn another_address_is_refused_without_a_token_and_served_with_it() {
    let place = Workplace::new(STUDY);
    let refused = place.run(&["run", "study.toml", "--listen", "0.0.0.0:0", "--devices", "cpu:1"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("so it needs a token"));
    let study = STUDY.replace("trials = 6", "trials = 1").replace("epochs = 4", "epochs = 1");
    std::fs::write(place.path("study.toml"), study).unwrap();
    place.succeed(&["run", "study.toml", "--no-web", "--devices", "cpu:1"]);
    let shown = Shown::start(&place, &["serve", "--listen", "0.0.0.0:0"]);
    with_browser("real-token", async |browser| {
        let address = shown.address.replace("0.0.0.0", "127.0.0.1");
        browser.open(&address).await;
        assert!(browser.texts("h1").await[0].contains("needs its token"));
        browser.find("input[name=token]").await.send_keys(shown.token.as_deref().unwrap()).await.unwrap();
        browser.click(".login button").await;
        browser.until("document.querySelector('#rows .value')?.innerText.startsWith('0.')").await;
    });
}
