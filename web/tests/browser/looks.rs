//! By day and by night, wide and narrow.

use nightsweep_search::{Attempt, Distribution, Event, ParamValue, Parameter, Scale, SearchSpace, TrialNumber};
use nightsweep_store::NewStudy;

use crate::driver::{Browser, with_browser};
use crate::made_up;
use crate::place::Place;

const PAGES: [(&str, &str); 5] = [
    ("board", ""),
    ("figures", "/figures"),
    ("trial", "/trials/10"),
    ("compare", "/compare?trials=10,12,63"),
    ("studies", "/../../studies"),
];

/// How far a page is wider than what shows it.
const OVERFLOW: &str = "document.documentElement.scrollWidth - document.documentElement.clientWidth";

/// Opens a page and waits until it stands.
async fn show(browser: &Browser, place: &Place, page: &str) {
    browser.open(&place.page(page)).await;
    let drawn = "[...document.querySelectorAll('[data-figure]')].every((it) => it.closest('details:not([open])') \
                 || it.getBoundingClientRect().top > innerHeight || it.querySelector('.main-svg, svg.parallel, .none:not(:empty)')) \
                 && ![...document.querySelectorAll('[data-figure]')].some((it) => it.getBoundingClientRect().top < innerHeight \
                 && /Loading|computing/.test(it.innerText) && !it.closest('details:not([open])'))";
    browser.until(drawn).await;
}

#[test]
fn pages_are_dark_where_the_system_is() {
    with_browser("dark-figures", async |browser| {
        let place = Place::new().await;
        let paper = "getComputedStyle(document.body).backgroundColor";
        browser.open(&place.page("")).await;
        assert_eq!(browser.js(paper).await, "rgb(246, 247, 249)");
        browser.by_night(true).await;
        assert_eq!(browser.js(paper).await, "rgb(16, 20, 28)");
        for (name, page) in PAGES {
            show(browser, &place, page).await;
            browser.picture(&format!("dark-{name}")).await;
        }
        show(browser, &place, "/figures").await;
        browser.until("document.querySelectorAll('#history .main-svg').length > 0").await;
        let lines = browser.js("getComputedStyle(document.querySelector('#history .xtick text')).fill").await;
        assert_eq!(lines, "rgb(155, 166, 184)", "figures too");
    });
}

#[test]
fn a_telephone_shows_every_page_without_scrolling_sideways() {
    with_browser("narrow", async |browser| {
        let place = Place::new().await;
        browser.size(390, 844).await;
        for (name, page) in PAGES {
            show(browser, &place, page).await;
            assert_eq!(browser.js(OVERFLOW).await, 0, "{name}");
            browser.picture(&format!("narrow-{name}")).await;
        }
        browser.open(&place.page("")).await;
        browser.js("document.querySelector('#trials').scrollIntoView()").await;
    });
}

#[test]
fn a_telephone_shows_ticks_that_do_not_lie_upon_each_other() {
    with_browser("narrow-ticks", async |browser| {
        let place = Place::new().await;
        let parameter = |name: &str, distribution| Parameter { name: name.to_owned(), distribution, when: None };
        let space = SearchSpace(vec![
            parameter("lr", Distribution::Float { low: 1e-3, high: 1.0, scale: Scale::Log }),
            parameter("decay", Distribution::Float { low: 1e-6, high: 1e-4, scale: Scale::Log }),
        ]);
        let study = place.store.create_study(NewStudy { space, ..made_up::study("rates") }).await.unwrap();
        for number in 0..3 {
            let (trial, attempt) = (TrialNumber(number), Attempt(1));
            let part = number as f64 / 2.0;
            let params = [("lr", 10f64.powf(3.0 * part - 3.0)), ("decay", 10f64.powf(2.0 * part - 6.0))];
            let params = params.map(|(name, value)| (name.to_owned(), ParamValue::Float(value)));
            let started = Event::Started { trial, params: params.into_iter().collect(), why: String::new() };
            let completed = Event::Completed { trial, attempt, value: 0.5 + part / 4.0 };
            place.store.append_all(study, &[started, completed]).await.unwrap();
        }
        browser.size(390, 844).await;
        browser.open(&place.page("/../rates/figures")).await;
        for figure in ["history", "slice", "contour"] {
            browser.js(&format!("document.querySelector('#{figure}').scrollIntoView()")).await;
            browser.until(&format!("document.querySelector('#{figure} .xtick text') !== null")).await;
            let upon_each_other = format!(
                "[...document.querySelectorAll('#{figure} .js-plotly-plot')].flatMap((plot) => {{ \
                     const boxes = [...plot.querySelectorAll('.xtick text')].map((it) => it.getBoundingClientRect()); \
                     boxes.sort((one, other) => one.left - other.left); \
                     return boxes.filter((box, at) => at > 0 && box.left < boxes[at - 1].right); }}).length"
            );
            browser.picture(&format!("narrow-ticks-{figure}")).await;
            assert_eq!(browser.js(&upon_each_other).await, 0, "{figure}");
        }
        let whole = "[...document.querySelectorAll('#history .xtick text, #slice .colorbar text')].every((it) => /^([0-9]+|trial)$/.test(it.textContent))";
        assert_eq!(browser.js(whole).await, true, "trials are counted in whole numbers");
    });
}

#[test]
fn pages_fit_a_laptop_and_every_figure_is_drawn() {
    with_browser("wide", async |browser| {
        let place = Place::new().await;
        for (name, page) in PAGES {
            show(browser, &place, page).await;
            assert_eq!(browser.js(OVERFLOW).await, 0, "{name}");
            browser.picture(&format!("wide-{name}")).await;
        }
        browser.open(&place.page("/figures")).await;
        let count = browser.js("document.querySelectorAll('.figure-panel').length").await.as_u64().unwrap();
        for at in 0..count {
            let panel = format!("document.querySelectorAll('.figure-panel')[{at}]");
            browser.js(&format!("{panel}.scrollIntoView()")).await;
            browser.until(&format!("{panel}.querySelector('.main-svg, svg.parallel') !== null")).await;
            let name = browser.js(&format!("{panel}.id")).await;
            browser.picture(&format!("figure-{}", name.as_str().unwrap())).await;
        }
    });
}
