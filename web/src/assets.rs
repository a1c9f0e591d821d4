//! The files that the pages need beside themselves: all in the binary, each under an address that changes with what is in
//! it, so that a browser asks once.

use std::io::Write;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::Error;

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: Bytes,
    zipped: LazyLock<Bytes, Box<dyn FnOnce() -> Bytes + Send>>,
    /// Of what is in it.
    version: String,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let text = |name, kind, text: &'static str| new(name, kind, Bytes::from_static(text.as_bytes()));
    vec![
        text("style.css", "text/css", include_str!("../assets/style.css")),
        text("trial.css", "text/css", include_str!("../assets/trial.css")),
        text("plotly.css", "text/css", include_str!("../assets/plotly.css")),
        text("live.js", "text/javascript", include_str!("../assets/live.js")),
        text("figures.js", "text/javascript", include_str!("../assets/figures.js")),
        text("board.js", "text/javascript", include_str!("../assets/board.js")),
        text("icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
        new("plotly.js", "text/javascript", plotly()),
    ]
});

fn new(name: &'static str, kind: &'static str, text: Bytes) -> Asset {
    let version = blake3::hash(&text).to_hex()[..12].to_owned();
    let whole = text.clone();
    let zipped = LazyLock::new(Box::new(move || zip(&whole)) as Box<dyn FnOnce() -> Bytes + Send>);
    Asset { name, kind, text, zipped, version }
}

fn zip(text: &[u8]) -> Bytes {
    let mut zip = GzEncoder::new(Vec::new(), Compression::default());
    let zipped = zip.write_all(text).and_then(|()| zip.finish());
    zipped.expect("a vector takes all that is written to it").into()
}

/// The crate gives its script as an element of a page.
fn plotly() -> Bytes {
    let elements = plotly::Plot::offline_js_sources();
    let script = elements.split_once("</script>").map_or("", |(first, _)| first);
    Bytes::from(script.split_once('>').map_or("", |(_, text)| text).to_owned())
}

/// Where the file of that name is.
pub(crate) fn asset(name: &str) -> String {
    let asset = ASSETS.iter().find(|asset| asset.name == name).expect("asked for by the names above");
    format!("/assets/{}/{name}", asset.version)
}

/// A file of the binary.
pub(crate) async fn serve(
    Path((version, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let asset = ASSETS.iter().find(|asset| asset.name == name && asset.version == version).ok_or(Error::NoSuchPage)?;
    let kind = [
        (CONTENT_TYPE, format!("{}; charset=utf-8", asset.kind)),
        (CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
        (VARY, "accept-encoding".to_owned()),
    ];
    let takes_zipped =
        headers.get(ACCEPT_ENCODING).and_then(|it| it.to_str().ok()).is_some_and(|it| it.contains("gzip"));
    Ok(match takes_zipped {
        true => (kind, [(CONTENT_ENCODING, "gzip")], asset.zipped.clone()).into_response(),
        false => (kind, asset.text.clone()).into_response(),
    })
}
