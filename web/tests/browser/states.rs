//! What the pages say when there is nothing, something is wrong, or nobody answers.

use crate::driver::with_browser;
use crate::place::Place;

#[test]
fn a_page_that_lost_its_server_says_so_and_finds_it_again() {
    with_browser("connected-again", async |browser| {
        let mut place = Place::new().await;
        browser.open(&place.page("")).await;
        browser.until("document.querySelector('#connection').textContent === 'live'").await;
        place.stop();
        browser.until("document.querySelector('#connection').classList.contains('off')").await;
        assert!(browser.texts("#connection").await[0].contains("not connected"));
        browser.picture("disconnected").await;
        place.begin(64).await;
        place.start().await;
        browser.until("document.querySelector('#connection').textContent === 'live'").await;
        browser.find("#trial-64").await;
    });
}

#[test]
fn a_study_without_trials_says_what_comes_and_fills() {
    with_browser("empty-filled", async |browser| {
        let mut place = Place::empty().await;
        place.start().await;
        browser.open(&place.page("")).await;
        browser.until("document.querySelector('#connection').textContent === 'live'").await;
        assert!(browser.texts("#rows").await[0].contains("No trial has started yet."));
        browser.picture("empty").await;
        browser.open(&place.page("/figures")).await;
        browser
            .until(
                "[...document.querySelectorAll('.area')].slice(0, 3).every((it) => !it.innerText.includes('Loading'))",
            )
            .await;
        browser.picture("empty-figures").await;
        browser.open(&place.page("?filter=value+%3E+2")).await;
        browser.until("document.querySelector('#connection').textContent === 'live'").await;
        browser.open(&place.page("")).await;
        place.begin(0).await;
        browser.find("#trial-0").await;
        place.complete(0, 0.5).await;
        browser.until("document.querySelector('#trial-0 .badge').innerText.includes('complete')").await;
    });
}

#[test]
fn an_address_of_nothing_says_what_is_not_there() {
    with_browser("error", async |browser| {
        let place = Place::new().await;
        browser.open(&place.page("/trials/999")).await;
        let said = browser.texts("main").await.remove(0);
        assert!(said.contains("404") && said.contains("study `fashion-overnight` has no trial 999"), "{said}");
    });
}

#[test]
fn a_figure_that_cannot_be_had_is_tried_again() {
    with_browser("figure-again", async |browser| {
        let place = Place::new().await;
        browser.open(&place.page("/figures")).await;
        browser.until("document.querySelectorAll('#history .main-svg').length > 0").await;
        // Answers are late: what is drawn meanwhile says that it is on its way.
        let late = |latency: u32| serde_json::json!({ "offline": false, "latency": latency, "downloadThroughput": -1, "uploadThroughput": -1 });
        browser.send("Network.enable", serde_json::json!({})).await;
        browser.send("Network.emulateNetworkConditions", late(700)).await;
        browser.open(&place.page("/figures")).await;
        assert!(browser.texts("#history .area").await[0].contains("Loading"));
        browser.picture("loading").await;
        browser.send("Network.emulateNetworkConditions", late(0)).await;
        browser.send("Network.setBlockedURLs", serde_json::json!({ "urls": ["*/api/v1/*/figures/*"] })).await;
        browser.open(&place.page("/figures")).await;
        browser.until("document.querySelector('#history button') !== null").await;
        browser.picture("figure-error").await;
        browser.send("Network.setBlockedURLs", serde_json::json!({ "urls": [] })).await;
        browser.click("#history button").await;
        browser.until("document.querySelectorAll('#history .main-svg').length > 0").await;
    });
}
