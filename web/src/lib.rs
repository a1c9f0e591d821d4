//! The leaderboard and its JSON API: looks at a store, also one that another process writes to, and changes nothing.

mod assets;
mod error;
pub mod figure;
mod format;
mod guard;
mod live;
mod query;
mod routes;
mod spark;
#[cfg(test)]
mod tests;
mod view;

use std::io;

use axum::Router;
use nightsweep_store::Store;
use tokio::net::TcpListener;

pub use guard::{SettingsError, Token, WebSettings};

/// Where the leaderboard is found unless asked otherwise.
pub const DEFAULT_ADDRESS: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8787);

/// All pages. Must be called within a tokio runtime, in which it follows the store until the router is dropped.
pub fn router(store: Store, settings: WebSettings) -> Router {
    routes::router(store, settings)
}

/// Serves all pages until `shutdown` is ready; open event streams do not hold it up.
pub async fn serve(
    listener: TcpListener,
    store: Store,
    settings: WebSettings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let router = router(store, settings);
    tokio::select! {
        ended = async { axum::serve(listener, router).await } => ended,
        () = shutdown => Ok(()),
    }
}
