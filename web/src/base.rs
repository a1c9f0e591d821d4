//! Pages below another path than `/`: every address of ours in a page gets the path before it.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::Error;
use crate::guard::WebSettings;

/// No page is larger.
const MAX_PAGE: usize = 64 << 20;

/// Stands around all routes. A quote in a text of a study is escaped, so `="/` is only ever an address of ours.
pub(crate) async fn rebase(State(settings): State<WebSettings>, request: Request, next: Next) -> Response {
    let base = settings.base_path();
    let mut response = next.run(request).await;
    let below = response.headers().get(LOCATION).and_then(|it| it.to_str().ok()).filter(|it| it.starts_with('/'));
    if let Some(Ok(address)) = below.map(|path| HeaderValue::try_from(format!("{base}{path}"))) {
        response.headers_mut().insert(LOCATION, address);
    }
    let kind = response.headers().get(CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(page) = to_bytes(body, MAX_PAGE).await else { return Error::NoSuchPage.into_response() };
    let page = String::from_utf8_lossy(&page).replace("=\"/", &format!("=\"{base}/"));
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(page))
}
