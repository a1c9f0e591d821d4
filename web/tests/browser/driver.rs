//! A real browser, driven through chromedriver: one for all tests of a binary, which take it in turns.

use std::fs;
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::error::WebDriverErrorInner;
use thirtyfour::prelude::*;
use thirtyfour::session::http::{Body, HttpClient};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing on a page takes so long, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// The browser, between the tests that use it.
static SHARED: Mutex<Option<Started>> = Mutex::new(None);
/// Tests that have it or wait for it; the last one ends it.
static USERS: AtomicUsize = AtomicUsize::new(0);

struct Started {
    session: WebDriver,
    driver: Child,
    _profile: TempDir,
}

/// What a test sees of the browser.
pub struct Browser {
    session: WebDriver,
}

/// Runs the test with the browser to itself, in a window of 1280 × 800 by day, without cookies. A picture of what stands
/// there at the end is kept under the test's name, also if the test fails.
pub fn with_browser(name: &str, test: impl AsyncFnOnce(&Browser)) {
    USERS.fetch_add(1, Ordering::SeqCst);
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let outcome = runtime.block_on(async {
        if shared.is_none() {
            *shared = Some(Started::new().await);
        }
        let browser = Browser { session: shared.as_ref().unwrap().session.clone() };
        browser.reset().await;
        let outcome = AssertUnwindSafe(test(&browser)).catch_unwind().await;
        browser.picture(name).await;
        outcome
    });
    if USERS.fetch_sub(1, Ordering::SeqCst) == 1
        && let Some(started) = shared.take()
    {
        runtime.block_on(started.end());
    }
    drop(shared);
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

impl Started {
    async fn new() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("chromedriver does not start ({error}): scripts/setup-tests.sh installs it")
            });
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| line.split_once("successfully on port ").map(|(_, port)| port.to_owned()));
        let port = port.expect("chromedriver says its port").trim_end_matches('.').to_owned();
        // Keeps the pipe empty.
        std::thread::spawn(move || lines.count());
        let mut capabilities = DesiredCapabilities::chrome();
        let profile_word = format!("--user-data-dir={}", profile.path().display());
        let words = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,800",
            &profile_word,
        ];
        for word in words {
            capabilities.add_arg(word).unwrap();
        }
        let address = format!("http://127.0.0.1:{port}");
        let session = WebDriver::builder(address, capabilities).client(Plain).connect().await;
        Self { session: session.expect("a browser starts"), driver, _profile: profile }
    }

    async fn end(mut self) {
        let quit = self.session.quit().await;
        self.driver.kill().unwrap();
        self.driver.wait().unwrap();
        quit.unwrap();
    }
}

impl Browser {
    /// As it was at first.
    async fn reset(&self) {
        self.session.goto("about:blank").await.unwrap();
        self.send("Network.clearBrowserCookies", json!({})).await;
        self.by_night(false).await;
        self.size(1280, 800).await;
    }

    /// Speaks to the browser's own protocol.
    pub async fn send(&self, method: &str, words: Value) -> Value {
        self.session.cdp().send_raw(method, words).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The part of the screen that shows pages.
    pub async fn size(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.send("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Whether the system asks for dark pages.
    pub async fn by_night(&self, night: bool) {
        let scheme = if night { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.send("Emulation.setEmulatedMedia", media).await;
    }

    pub async fn open(&self, address: &str) {
        self.session.goto(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    }

    /// Where it is now: path, query and fragment.
    pub async fn address(&self) -> String {
        self.js("location.pathname + location.search + location.hash").await.as_str().unwrap().to_owned()
    }

    /// What an expression says on the page.
    pub async fn js(&self, expression: &str) -> Value {
        let answer = self.session.execute(format!("return ({expression});"), Vec::new()).await;
        answer.unwrap_or_else(|error| panic!("{expression}: {error}")).json().clone()
    }

    /// Waits until it holds on the page.
    pub async fn until(&self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            // A page that is just left answers nothing.
            let answer = self.session.execute(format!("return ({expression});"), Vec::new()).await;
            match answer.as_ref().map(|answer| answer.json()) {
                Ok(Value::Null | Value::Bool(false)) | Err(_) => {}
                Ok(_) => return,
            }
            assert!(Instant::now() < end, "it never came to `{expression}`: {:?}", answer.map(|it| it.json().clone()));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits for the part of the page.
    pub async fn find(&self, part: &str) -> WebElement {
        self.until(&format!("document.querySelector({}) !== null", json!(part))).await;
        self.session.find(By::Css(part)).await.unwrap_or_else(|error| panic!("{part}: {error}"))
    }

    /// The texts of all parts that fit.
    pub async fn texts(&self, part: &str) -> Vec<String> {
        let all = self.js(&format!("[...document.querySelectorAll({})].map((it) => it.innerText)", json!(part))).await;
        all.as_array().unwrap().iter().map(|it| it.as_str().unwrap().trim().to_owned()).collect()
    }

    pub async fn click(&self, part: &str) {
        let end = Instant::now() + PATIENCE;
        // What is replaced by a newer one just now is clicked there.
        while let Err(error) = self.find(part).await.click().await {
            let may_pass = matches!(
                error.as_inner(),
                WebDriverErrorInner::StaleElementReference(_) | WebDriverErrorInner::ElementClickIntercepted(_)
            );
            assert!(may_pass && Instant::now() < end, "{part}: {error}");
        }
    }

    /// Types where the focus is.
    pub async fn keys(&self, keys: impl Into<TypingData>) {
        self.session.action_chain().send_keys(keys.into()).perform().await.unwrap();
    }

    /// Presses the mouse at one place, moves it to another and lets it go.
    pub async fn drag(&self, from: (i64, i64), to: (i64, i64)) {
        let chain = self.session.action_chain().move_to(from.0, from.1).click_and_hold();
        chain.move_to(to.0, (from.1 + to.1) / 2).move_to(to.0, to.1).release().perform().await.unwrap();
    }

    /// Says yes to what the page asks.
    pub async fn accept(&self) {
        let end = Instant::now() + PATIENCE;
        while let Err(error) = self.session.accept_alert().await {
            assert!(Instant::now() < end, "{error}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Keeps what the browser shows.
    pub async fn picture(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        match self.session.screenshot(&path).await {
            Ok(()) => println!("screenshot: {}", path.display()),
            Err(error) => println!("no screenshot of {name}: {error}"),
        }
    }
}

/// thirtyfour's own client would bring features into the crates below axum that the program does not have, so that both
/// were built twice: chromedriver needs no more than this.
struct Plain;

#[async_trait::async_trait]
impl HttpClient for Plain {
    async fn send(&self, request: http::Request<Body<'_>>) -> WebDriverResult<http::Response<bytes::Bytes>> {
        let lost = |error: &dyn std::fmt::Display| WebDriverError::HttpError(error.to_string());
        let body = match request.body() {
            Body::Empty => String::new(),
            Body::Json(value) => value.to_string(),
        };
        let address = request.uri().authority().expect("an address of chromedriver").as_str();
        let path = request.uri().path_and_query().map_or("/", |it| it.as_str());
        let head = format!(
            "{} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            request.method(),
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.map_err(|error| lost(&error))?;
        stream.write_all(format!("{head}{body}").as_bytes()).await.map_err(|error| lost(&error))?;
        let mut answer = Vec::new();
        let (end, length) = loop {
            if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
                break (end + 4, length.unwrap_or(0_usize));
            }
            if stream.read_buf(&mut answer).await.map_err(|error| lost(&error))? == 0 {
                return Err(lost(&"half an answer"));
            }
        };
        while answer.len() < end + length {
            if stream.read_buf(&mut answer).await.map_err(|error| lost(&error))? == 0 {
                return Err(lost(&"half an answer"));
            }
        }
        let status = String::from_utf8_lossy(&answer[..end]).split(' ').nth(1).and_then(|code| code.parse().ok());
        let response = http::Response::builder().status(status.unwrap_or(500_u16));
        response.body(answer.split_off(end).into()).map_err(|error| lost(&error))
    }

    async fn new(&self) -> Arc<dyn HttpClient> {
        Arc::new(Self)
    }
}
