//! Who may look: the Host header, the token, and what a browser is told to keep to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Form, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use nightsweep_store::Store;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use thiserror::Error as ThisError;
use tokio::sync::mpsc::UnboundedSender;

use crate::assets::asset;
use crate::error::Error;
use crate::view;
use crate::{Ordered, ReportSource, StudyFiles};

const COOKIE_NAME: &str = "nightsweep";

/// Scripts and styles only from files of our own, and nothing from elsewhere.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// What opens a leaderboard that is not only on this machine.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token of 128 random bits.
    pub fn random() -> Result<Self, SettingsError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| SettingsError::Random(std::io::Error::other(error.to_string())))?;
        Ok(Self(blake3::Hash::from_slice(&[bytes, bytes].concat()).expect("32 bytes").to_hex()[..32].to_owned()))
    }

    /// A token that someone chose; of some length, since it is all that stands between the network and the pages.
    pub fn chosen(text: &str) -> Result<Self, SettingsError> {
        if text.chars().count() < 16 { Err(SettingsError::ShortToken) } else { Ok(Self(text.to_owned())) }
    }

    /// The text to print once, and to type.
    pub fn text(&self) -> &str {
        &self.0
    }

    fn matches(&self, text: &str) -> bool {
        same(&blake3::hash(text.as_bytes()), &blake3::hash(self.0.as_bytes()))
    }

    /// Not the token itself, so that a cookie that leaks does not tell it.
    fn cookie(&self) -> String {
        blake3::Hash::from(blake3::derive_key("nightsweep web cookie 1", self.0.as_bytes())).to_hex().to_string()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Compares in a time that does not tell where the difference is.
fn same(one: &blake3::Hash, other: &blake3::Hash) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// How the pages are served.
#[derive(Clone, Default)]
pub struct WebSettings {
    token: Option<Token>,
    hosts: Vec<String>,
    read_only: bool,
    /// Empty, or as `/sweeps`.
    base_path: String,
    /// The study that this process leads.
    led: Option<Led>,
    /// How many workers that study has at once.
    slots: usize,
    reports: Option<ReportSource>,
    files: Option<Arc<dyn StudyFiles>>,
}

/// A study that this process leads.
#[derive(Clone)]
struct Led {
    study: String,
    /// Trials that its run starts in all, unless people asked for another number.
    trials: Option<u64>,
    /// To whoever takes its orders.
    orders: UnboundedSender<Ordered>,
}

/// Why the pages cannot be served so.
#[derive(Debug, ThisError)]
pub enum SettingsError {
    /// Anyone who reaches the address would see the studies.
    #[error("{address} can be reached from other machines, so it needs a token")]
    TokenNeeded {
        /// The address asked for.
        address: SocketAddr,
    },
    /// It could not be told from other text in a page.
    #[error("`{path}` is no path to show pages below: use letters, digits, `-`, `_`, `.` and `/`, as in /sweeps")]
    BasePath {
        /// The path asked for.
        path: String,
    },
    /// It could be guessed.
    #[error("a token needs 16 letters or more")]
    ShortToken,
    /// The system gave no random bits.
    #[error("could not draw a random token")]
    Random(#[source] std::io::Error),
}

impl WebSettings {
    /// For that address: beyond this machine only with a token.
    pub fn for_address(address: SocketAddr, token: Option<Token>) -> Result<Self, SettingsError> {
        if token.is_none() && !address.ip().is_loopback() {
            return Err(SettingsError::TokenNeeded { address });
        }
        Ok(Self { token, ..Self::default() })
    }

    /// Also answers to this host name, as a proxy may ask for.
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// Lets nobody write anything.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Hands orders about that study, whose run starts so many trials in all, on to whoever leads it.
    pub fn with_orders(
        mut self,
        study: impl Into<String>,
        trials: Option<u64>,
        orders: UnboundedSender<Ordered>,
    ) -> Self {
        self.led = Some(Led { study: study.into(), trials, orders });
        self
    }

    /// Says how many workers the study has at once whose orders are taken.
    pub fn with_slots(mut self, slots: usize) -> Self {
        self.slots = slots;
        self
    }

    /// Shows all pages below that path, as a proxy may want.
    pub fn with_base_path(mut self, path: &str) -> Result<Self, SettingsError> {
        let trimmed = path.trim_end_matches('/');
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
        if !trimmed.is_empty() && (!trimmed.starts_with('/') || !trimmed.chars().all(plain) || trimmed.contains("//")) {
            return Err(SettingsError::BasePath { path: path.to_owned() });
        }
        self.base_path = trimmed.to_owned();
        Ok(self)
    }

    pub(crate) fn base_path(&self) -> &str {
        &self.base_path
    }

    /// Shows the report that this gives.
    pub fn with_reports(mut self, reports: ReportSource) -> Self {
        self.reports = Some(reports);
        self
    }

    pub(crate) fn reports(&self) -> Option<&ReportSource> {
        self.reports.as_ref()
    }

    /// Shows what workers left beside the store.
    pub fn with_files(mut self, files: Arc<dyn StudyFiles>) -> Self {
        self.files = Some(files);
        self
    }

    pub(crate) fn files(&self) -> Option<Arc<dyn StudyFiles>> {
        self.files.clone()
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether notes can be written.
    pub(crate) fn is_writable(&self, store: &Store) -> bool {
        !self.read_only && !store.is_read_only()
    }

    /// Who takes orders about the study, if it is led here.
    pub(crate) fn orders_of(&self, study: &str) -> Option<&UnboundedSender<Ordered>> {
        let orders = &self.led_as(study)?.orders;
        (!self.read_only && !orders.is_closed()).then_some(orders)
    }

    /// Trials that the run of the study starts in all by itself, if it is led here and has a number of them.
    pub(crate) fn trials_of(&self, study: &str) -> Option<u64> {
        self.led_as(study)?.trials
    }

    /// Workers that the study has at once, if it is led here.
    pub(crate) fn slots_of(&self, study: &str) -> Option<usize> {
        self.led_as(study).filter(|_| self.slots > 0).map(|_| self.slots)
    }

    fn led_as(&self, study: &str) -> Option<&Led> {
        self.led.as_ref().filter(|led| led.study == study)
    }

    /// Whether a request that changes something comes from a page of ours or from no page at all. A browser names the
    /// origin of every such request; a form of another site can send neither JSON nor a token of ours.
    fn comes_from_us(&self, headers: &HeaderMap) -> bool {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(HOST).unwrap_or_default();
        match (text(ORIGIN), headers.get("sec-fetch-site").map(HeaderValue::as_bytes)) {
            (Some(origin), _) => origin.split_once("://").is_some_and(|(_, it)| it.eq_ignore_ascii_case(host)),
            (None, Some(site)) => site == b"same-origin",
            (None, None) => text(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json")),
        }
    }

    /// A site that resolves its own name to our address still sends that name: numbers and localhost cannot be taken
    /// over so, whatever the port of the tunnel. A request that names two hosts, or one that is not its address, is
    /// none of a browser's.
    fn knows_host(&self, request: &Request) -> bool {
        let mut named = request.headers().get_all(HOST).into_iter();
        let (Some(host), None) = (named.next(), named.next()) else { return false };
        let asked = request.uri().authority().map(Authority::as_str);
        host.to_str().is_ok_and(|host| self.knows(host)) && asked.is_none_or(|host| self.knows(host))
    }

    fn knows(&self, host: &str) -> bool {
        if host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
            return true;
        }
        if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return address.parse::<IpAddr>().is_ok();
        }
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        name.eq_ignore_ascii_case("localhost") || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let text = |name: HeaderName| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        let bearer = text(AUTHORIZATION).filter_map(|value| value.strip_prefix("Bearer ")).any(|it| token.matches(it));
        let cookie = blake3::hash(token.cookie().as_bytes());
        let cookies = text(COOKIE).flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut ours = cookies.filter(|(name, _)| *name == COOKIE_NAME);
        bearer || ours.any(|(_, value)| same(&blake3::hash(value.as_bytes()), &cookie))
    }
}

/// Stands before every route.
pub(crate) async fn guard(State(settings): State<WebSettings>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let open = path == "/login" || path == asset("style.css");
    let mut response = if !settings.knows_host(&request) {
        (StatusCode::MISDIRECTED_REQUEST, "this host name is not known here\n").into_response()
    } else if open || settings.lets_in(request.headers()) {
        // No route answers another method that changes anything.
        let changes = *request.method() == Method::POST && path != "/login";
        if changes && !settings.comes_from_us(request.headers()) {
            Error::ForeignOrigin.into_json()
        } else {
            next.run(request).await
        }
    } else {
        refuse(&settings, request.uri())
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// A link may carry the token once; otherwise it is asked for.
fn refuse(settings: &WebSettings, uri: &Uri) -> Response {
    let mut pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    match (pairs.find(|(name, _)| name == "token"), &settings.token) {
        (Some((_, text)), Some(token)) if token.matches(&text) => enter(token, uri.path()),
        (given, _) if uri.path().starts_with("/api/") => {
            let message = if given.is_some() { "wrong token" } else { "a token is needed" };
            (StatusCode::UNAUTHORIZED, axum::Json(serde_json::json!({ "error": message }))).into_response()
        }
        (given, _) => (StatusCode::UNAUTHORIZED, view::login(given.is_some())).into_response(),
    }
}

fn enter(token: &Token, path: &str) -> Response {
    let cookie = format!("{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict", token.cookie());
    // A path of two slashes would be another host.
    let path = format!("/{}", path.trim_start_matches(['/', '\\']));
    (StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, path)]).into_response()
}

#[derive(Deserialize)]
pub(crate) struct Login {
    token: String,
}

/// What the form of the page that asks for the token sends.
pub(crate) async fn login(State(settings): State<WebSettings>, Form(login): Form<Login>) -> Response {
    match &settings.token {
        Some(token) if token.matches(&login.token) => enter(token, "/"),
        Some(_) => (StatusCode::UNAUTHORIZED, view::login(true)).into_response(),
        None => (StatusCode::SEE_OTHER, [(LOCATION, "/")]).into_response(),
    }
}
