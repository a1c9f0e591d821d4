//! The leaderboard under the hand.

use std::time::{Duration, Instant};

use nightsweep_search::{Annotation, Event, Order, Outlook, TrialNumber};
use serde_json::json;
use thirtyfour::Key;

use crate::driver::{Browser, with_browser};
use crate::place::Place;

/// The numbers of the trials in their rows.
async fn rows(browser: &Browser) -> Vec<u64> {
    let numbers = browser.js("[...document.querySelectorAll('#rows tr')].map((row) => Number(row.id.slice(6)))").await;
    serde_json::from_value(numbers).unwrap()
}

async fn live(browser: &Browser) {
    browser.until("document.querySelector('#connection').textContent === 'live'").await;
}

#[test]
fn a_page_that_follows_keeps_scroll_selection_and_order() {
    with_browser("board-live", async |browser| {
        let place = Place::new().await;
        browser.size(1280, 600).await;
        browser.open(&place.page("?sort=value&desc=1&filter=value+%3E+0.5")).await;
        live(browser).await;
        let kept = rows(browser).await[20];
        browser.click(&format!("#trial-{kept} .select")).await;
        browser.js(&format!("document.querySelector('#trial-{kept}').scrollIntoView({{ block: 'center' }})")).await;
        browser.js(&format!("getSelection().selectAllChildren(document.querySelector('#trial-{kept} .value'))")).await;
        let top = format!("Math.round(document.querySelector('#trial-{kept}').getBoundingClientRect().top)");
        let before = browser.js(&top).await;
        place.begin(64).await;
        place.complete(64, 0.999).await;
        place.complete(62, 0.998).await;
        browser.until("document.querySelector('#rows tr').id === 'trial-64'").await;
        assert_eq!(rows(browser).await[..2], [64, 62]);
        browser.until("document.querySelector('#glance').innerText.includes('0.9990')").await;
        let moved = browser.js(&top).await.as_i64().unwrap() - before.as_i64().unwrap();
        assert!(moved.abs() <= 2, "the row stays where it was, and not {moved} pixels away");
        assert_eq!(browser.js(&format!("document.querySelector('#trial-{kept} .select').checked")).await, true);
        assert_eq!(browser.js("document.querySelectorAll('.select:checked').length").await, 1);
        assert!(browser.js("getSelection().toString().trim()").await.as_str().unwrap().starts_with("0."));
        assert!(browser.address().await.ends_with("?sort=value&desc=1&filter=value+%3E+0.5"));
    });
}

#[test]
fn an_expression_filters_and_a_wrong_one_is_explained() {
    with_browser("board-filter", async |browser| {
        let place = Place::new().await;
        browser.open(&place.page("")).await;
        assert_eq!(rows(browser).await.len(), 64);
        browser.click(".expression").await;
        browser.keys("optimizer = sgd and lr < 0.1 and value > 0.7" + Key::Enter).await;
        browser.until("location.search.includes('filter=')").await;
        browser.find("#rows").await;
        let found = rows(browser).await;
        assert!(!found.is_empty() && found.len() < 30, "{found:?}");
        for number in found {
            let trial = place.trial(number).await;
            assert_eq!(trial.params.get("optimizer").unwrap().to_string(), "sgd");
            assert!(trial.params.get("optimizer.sgd.lr").unwrap().as_f64().unwrap() < 0.1);
            assert!(trial.shown_value().unwrap() > 0.7);
        }
        browser.picture("board-filtered").await;
        browser.click(".chip.pruned").await;
        browser.until("location.search.includes('state=pruned')").await;
        assert!(browser.texts("#rows .badge").await.iter().all(|it| it.contains("pruned")));
        browser.open(&place.page("?filter=learning_rate+%3C+1")).await;
        assert!(browser.texts(".mistake").await[0].contains("there is no column or parameter `learning_rate`"));
    });
}

#[test]
fn a_head_sorts_and_the_address_holds_the_whole_view() {
    with_browser("board-sorted", async |browser| {
        let place = Place::new().await;
        let begin = Instant::now();
        browser.open(&place.page("?limit=10&state=complete")).await;
        let head = |name: &str| format!("//thead//a[starts-with(normalize-space(.), '{name}')]");
        let click = async |name: &str| {
            let link = format!("document.evaluate({}, document, null, 9).singleNodeValue", json!(head(name)));
            browser.js(&format!("{link}.click()")).await;
        };
        for (name, sort) in [("lr", "lr"), ("images/s", "speed"), ("memory", "memory"), ("batch_size", "batch_size")] {
            click(name).await;
            browser.until(&format!("new URLSearchParams(location.search).get('sort') === '{sort}'")).await;
            browser.until(&format!("document.querySelector('th[aria-sort]')?.innerText.startsWith('{name}')")).await;
        }
        let sizes = browser.texts("#rows td[data-label=batch_size]").await;
        let sizes: Vec<u64> = sizes.iter().map(|size| size.parse().unwrap()).collect();
        assert!(sizes.len() == 10 && sizes.is_sorted() && sizes[0] == 64, "{sizes:?}");
        browser.js("document.querySelector('a[rel=next]').click()").await;
        browser.until("location.search.includes('offset=10')").await;
        let (there, rows_there) = (browser.address().await, rows(browser).await);
        assert!(there.contains("state=complete") && there.contains("limit=10"), "{there}");
        browser.open("about:blank").await;
        browser.open(&place.page(&there[there.find('?').unwrap()..])).await;
        assert_eq!(rows(browser).await, rows_there);
        // A browser has six connections: pages that were left kept them, and the seventh page waited a minute for one.
        assert!(begin.elapsed() < Duration::from_secs(45), "{:?}", begin.elapsed());
    });
}

#[test]
fn columns_are_chosen_and_ordered() {
    with_browser("board-columns", async |browser| {
        let place = Place::new().await;
        browser.open(&place.page("")).await;
        browser.click(".chooser summary").await;
        browser.picture("board-chooser").await;
        for name in ["curve", "momentum"] {
            browser.click(&format!(".chooser input[value={name}]")).await;
        }
        browser.click(".chooser li:has([value=epochs]) .up").await;
        browser.click(".chooser form > button").await;
        browser.until("location.search.includes('column=')").await;
        browser.find("thead th").await;
        let heads = browser.texts("thead th").await;
        assert!(!heads.iter().any(|it| it == "curve" || it == "momentum"), "{heads:?}");
        let place_of = |name: &str| heads.iter().position(|it| it == name).unwrap();
        assert!(place_of("epochs") < place_of("label_smoothing"), "{heads:?}");
    });
}

#[test]
fn a_brush_along_an_axis_filters_the_board() {
    with_browser("board-brush", async |browser| {
        let place = Place::new().await;
        browser.open(&place.page("")).await;
        live(browser).await;
        browser.click("#brush summary").await;
        browser.find("#brush svg.parallel polyline").await;
        browser.js("document.querySelector('#brush').scrollIntoView()").await;
        // The last axis is the metric's: its upper third is kept.
        let axis = browser
            .js("(() => { const box = [...document.querySelectorAll('#brush .axis line')].at(-1).getBoundingClientRect(); \
                 return [box.x, box.top, box.bottom]; })()")
            .await;
        let [x, top, bottom]: [f64; 3] = serde_json::from_value(axis).unwrap();
        browser.drag((x as i64, top as i64 + 2), (x as i64, (top + (bottom - top) / 3.0) as i64)).await;
        browser.until("new URLSearchParams(location.search).get('filter')?.includes('value >=')").await;
        browser.until("document.querySelectorAll('#rows tr').length < 64").await;
        let filter = browser.js("document.querySelector('.expression').value").await;
        let low: f64 = filter.as_str().unwrap().split([' ', ')']).nth(2).unwrap().parse().unwrap();
        let kept = rows(browser).await;
        assert!(!kept.is_empty());
        for number in kept {
            assert!(place.trial(number).await.shown_value().unwrap() >= low);
        }
        let faded = browser.js("document.querySelectorAll('#brush polyline.out').length").await;
        assert!(faded.as_u64().unwrap() > 0);
        browser.picture("board-brushed").await;
        // A click takes the brush away, and the filter with it.
        browser.drag((x as i64, top as i64 + 2), (x as i64, top as i64 + 2)).await;
        browser.until("!location.search.includes('filter')").await;
        browser.until("document.querySelectorAll('#rows tr').length === 64").await;
        // The same by the keyboard: the lower end up, the upper end down, and all again.
        browser.js("[...document.querySelectorAll('#brush .handle')].at(-1).focus()").await;
        browser.keys(Key::Up).await;
        browser.keys(Key::Up).await;
        browser.until("new URLSearchParams(location.search).get('filter')?.includes('value >=')").await;
        let down = "new KeyboardEvent('keydown', { key: 'ArrowDown', shiftKey: true, bubbles: true })";
        browser.js(&format!("document.activeElement.dispatchEvent({down})")).await;
        let kept = "document.activeElement.ariaValueText === 'kept from 10 to 95 percent'";
        browser.until(kept).await;
        browser.keys(Key::Escape).await;
        browser.until("!location.search.includes('filter')").await;
    });
}

#[test]
fn everything_can_be_done_with_keys() {
    with_browser("board-keys", async |browser| {
        let place = Place::new().await;
        browser.open(&place.page("")).await;
        live(browser).await;
        let order = rows(browser).await;
        let focused = "Number(document.activeElement.closest('tr')?.id.slice(6))";
        for (key, expected) in [("j", order[0]), ("j", order[1]), ("j", order[2]), ("k", order[1])] {
            browser.keys(key).await;
            assert_eq!(browser.js(focused).await, expected);
        }
        browser.keys("xjx").await;
        assert_eq!(browser.texts("#selection > span").await, ["2 selected"]);
        browser.keys("s").await;
        browser.until(&format!("document.querySelector('#trial-{} .star').ariaPressed === 'true'", order[2])).await;
        assert!(place.trial(order[2]).await.starred);
        browser.keys("p").await;
        browser.until(&format!("document.querySelector('#rows tr').id === 'trial-{}'", order[2])).await;
        assert_eq!(browser.js(focused).await, order[2], "the focus goes with the row");
        browser.keys("?").await;
        browser.until("document.querySelector('#keys').open").await;
        browser.picture("keyboard-help").await;
        browser.keys(Key::Escape).await;
        browser.until("!document.querySelector('#keys').open").await;
        browser.keys("/").await;
        browser.until("document.activeElement.matches('.expression')").await;
        browser.keys("x" + Key::Escape).await;
        assert_eq!(browser.texts("#selection > span").await, ["2 selected"], "letters in the field are text");
        browser.picture("board-selected").await;
        browser.keys("c").await;
        browser.until(&format!("location.search === '?trials={},{}'", order[1], order[2])).await;
        browser.find(".compare thead").await;
    });
}

#[test]
fn the_end_is_moved_and_by_itself_only_to_later() {
    with_browser("board-end", async |browser| {
        let mut place = Place::new().await;
        let mut orders = place.take_orders().await;
        for (left_seconds, expected) in [(100.0, 120), (7000.0, 7200)] {
            place.tell(&[Event::Planned { outlook: Outlook { left_seconds, ..Outlook::default() } }]).await;
            browser.open(&place.page("")).await;
            browser.picture(&format!("board-end-{expected}")).await;
            browser.click(".deadline button").await;
            let ordered = orders.recv().await.unwrap();
            assert_eq!(ordered.order, Order::Deadline { in_seconds: expected });
            ordered.answer.send(Ok(())).unwrap();
        }
        // A run without a number of trials has none offered, so nothing is asked for.
        browser.click(".extend button").await;
        assert_eq!(browser.js("document.querySelector('.extend input').validity.valueMissing").await, true);
        assert!(orders.try_recv().is_err());
    });
}

#[test]
fn two_trials_are_compared() {
    with_browser("compare", async |browser| {
        let place = Place::new().await;
        browser.open(&place.page("")).await;
        live(browser).await;
        let chosen = rows(browser).await;
        for number in &chosen[..3] {
            browser.click(&format!("#trial-{number} .select")).await;
        }
        browser.click("#selection a").await;
        browser.until("location.pathname.endsWith('/compare')").await;
        browser.until("document.querySelectorAll('.main-svg').length > 0").await;
        assert_eq!(
            browser.texts("thead th a").await,
            chosen[..3].iter().map(|it| format!("trial {it}")).collect::<Vec<_>>()
        );
        assert!(browser.js("document.querySelectorAll('tr.differs').length").await.as_u64().unwrap() > 3);
        assert_eq!(browser.js("document.querySelectorAll('.scatterlayer .trace').length >= 3").await, true);
    });
}

#[test]
fn notes_and_tags_are_found_by_words() {
    with_browser("board-noted", async |browser| {
        let place = Place::new().await;
        let annotated = |number, change| Event::Annotated { trial: TrialNumber(number), by: "eve".to_owned(), change };
        let tags = Annotation::Tags(vec!["look again".to_owned(), "sgd".to_owned()]);
        place.tell(&[annotated(3, tags), annotated(5, Annotation::Note("Überfits late".to_owned()))]).await;
        for (words, expected) in [("\"look again\"", 3), ("\"überfits\"", 5), ("tag = sgd", 3), ("note ~ LATE", 5)] {
            browser.open(&place.page("")).await;
            browser.click(".expression").await;
            browser.keys(words.to_owned() + Key::Enter).await;
            browser.until("location.search.includes('filter=')").await;
            browser.find("#rows").await;
            assert_eq!(rows(browser).await, [expected], "{words}");
        }
        browser.open(&place.page("")).await;
    });
}
