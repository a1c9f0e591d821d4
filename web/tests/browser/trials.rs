//! The page of a trial: what people write, and what they ask for.

use nightsweep_search::{Order, TrialNumber};

use crate::driver::with_browser;
use crate::place::Place;

#[test]
fn a_note_and_tags_are_written_and_shown() {
    with_browser("trial-note", async |browser| {
        let place = Place::new().await;
        browser.open(&place.page("/trials/10")).await;
        browser.click("#note summary").await;
        browser.click("#note textarea").await;
        browser.keys("**Best** so far, see `lr`").await;
        browser.click("#note input[name=tags]").await;
        browser.keys("keep, odd one").await;
        browser.click("#note input[name=by]").await;
        browser.keys("eve").await;
        browser.click("#note button").await;
        browser.until("document.querySelector('#note .answer')?.textContent === 'done' || document.querySelector('#note strong')").await;
        let trial = place.trial(10).await;
        assert_eq!(
            (trial.note.as_str(), trial.tags.as_slice()),
            ("**Best** so far, see `lr`", &["keep".to_owned(), "odd one".to_owned()][..])
        );
        // The page shows it by itself once the form is closed.
        browser.until("document.querySelector('#note strong') || (document.querySelector('#note details[open]')?.removeAttribute('open'), false)").await;
        assert_eq!(browser.texts("#note strong").await, ["Best"]);
        assert_eq!(browser.texts("#note .tag").await, ["keep", "odd one"]);
        browser.until("document.body.innerText.includes('eve wrote a note')").await;
        assert_eq!(browser.js("localStorage.getItem('name')").await, "eve");
    });
}

#[test]
fn a_running_trial_is_paused_and_a_point_tried_from_its_page() {
    with_browser("trial-orders", async |browser| {
        let mut place = Place::new().await;
        let mut orders = place.take_orders().await;
        browser.open(&place.page("/trials/62")).await;
        browser.click("[data-order=pause]").await;
        let ordered = orders.recv().await.unwrap();
        assert_eq!(ordered.order, Order::Pause { trial: TrialNumber(62) });
        ordered.answer.send(Err("the trial is at its end already".to_owned())).unwrap();
        browser.until("document.querySelector('#orders .answer').textContent.includes('at its end')").await;
        browser.picture("trial-order-refused").await;
        browser.click("details.panel:has(.enqueue) summary").await;
        let field = browser.find(".enqueue input[name=label_smoothing]").await;
        field.clear().await.unwrap();
        field.send_keys("0.125").await.unwrap();
        browser.picture("trial-enqueue").await;
        browser.click(".enqueue button").await;
        let Some(ordered) = orders.recv().await else { panic!("no order came") };
        let Order::Enqueue { params } = &ordered.order else { panic!("{ordered:?}") };
        assert_eq!(params.get("label_smoothing").unwrap().as_f64(), Some(0.125));
        assert_eq!(params.get("batch_size"), place.trial(62).await.params.get("batch_size"));
        ordered.answer.send(Ok(())).unwrap();
        browser.until("document.querySelector('.enqueue .answer').textContent === 'done'").await;
    });
}
