//! Another address than this machine's own asks for the token.

use nightsweep_web::{Token, WebSettings};

use crate::driver::with_browser;
use crate::place::Place;

#[test]
fn the_token_opens_every_page_and_nothing_else_does() {
    with_browser("token-entered", async |browser| {
        assert!(WebSettings::for_address("0.0.0.0:0".parse().unwrap(), None).is_err());
        let token = Token::random().unwrap();
        let place = Place::behind(&token).await;
        browser.open(&place.page("")).await;
        assert!(browser.texts("h1").await[0].contains("needs its token"));
        assert!(!browser.texts("body").await[0].contains("val_accuracy"));
        browser.picture("token").await;
        browser.find("input[name=token]").await.send_keys("not the token").await.unwrap();
        browser.click(".login button").await;
        browser.until("document.querySelector('.mistake')?.innerText === 'That is not the token.'").await;
        browser.find("input[name=token]").await.send_keys(token.text()).await.unwrap();
        browser.click(".login button").await;
        browser.until("document.querySelector('#rows') !== null").await;
        browser.until("document.querySelector('#connection').textContent === 'live'").await;
        assert_eq!(browser.js("document.cookie").await, "", "no script sees the cookie");
        browser.open(&place.page("/figures")).await;
        browser.until("document.querySelectorAll('#history .main-svg').length > 0").await;
        browser.open(&place.page("/trials/0")).await;
        browser.click("#note summary").await;
        browser.click("#note textarea").await;
        browser.keys("written from elsewhere").await;
        browser.click("#note button").await;
        browser.until("document.querySelector('#note .answer')?.textContent !== '…'").await;
        browser.until("document.body.innerText.includes('wrote a note')").await;
        assert_eq!(place.trial(0).await.note, "written from elsewhere");
    });
}

#[test]
fn a_link_with_the_token_opens_the_page() {
    with_browser("token-link", async |browser| {
        let token = Token::random().unwrap();
        let place = Place::behind(&token).await;
        browser.open(&format!("{}?token={}", place.page(""), token.text())).await;
        browser.find("#rows").await;
        assert!(!browser.address().await.contains("token"), "it does not stay in the address");
    });
}
