//! The pages in a real browser, over a made-up study. Each test leaves a picture of what it saw at its end in
//! `target/tmp/screenshots`.

#[path = "../../examples/demo/made_up.rs"]
#[expect(dead_code, reason = "the demo makes larger studies too")]
mod made_up;

mod board;
#[expect(dead_code, reason = "the tests of a real study answer what the page asks")]
mod driver;
mod guard;
mod looks;
mod place;
mod states;
mod trials;
