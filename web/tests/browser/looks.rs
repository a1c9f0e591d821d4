//! By day and by night, wide and narrow.

use crate::driver::{Browser, with_browser};
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
