//! The leaderboard and its JSON API: looks at a store, also one that another process writes to, and changes nothing.

mod activity;
mod assets;
mod base;
mod confirmation;
mod error;
pub mod figure;
mod files;
mod format;
mod gpus;
mod guard;
mod listen;
mod live;
mod query;
mod report;
mod routes;
mod spark;
#[cfg(test)]
mod tests;
mod view;

use std::io;

use axum::Router;
use nightsweep_store::Store;
use tokio::net::TcpListener;

pub use files::{CheckpointState, StudyFiles, TrialFile};
pub use format::{cause, interval};
pub use guard::{SettingsError, Token, WebSettings};
pub use report::{Picture, ReportPart, ReportText, report};

/// An order from a page to whoever leads the study.
#[derive(Debug)]
pub struct Ordered {
    /// Who asks, as they call themselves.
    pub by: String,
    /// What for.
    pub order: nightsweep_search::Order,
    /// Hears once it is in the log, or why it is not.
    pub answer: tokio::sync::oneshot::Sender<Result<(), String>>,
}

/// Gives the report of a study, unless there is none.
pub type ReportSource = std::sync::Arc<
    dyn Fn(nightsweep_store::StudyRow) -> futures_util::future::BoxFuture<'static, Option<ReportText>> + Send + Sync,
>;

/// Trials as a CSV file, with a column for each parameter.
pub fn trials_csv(study: &nightsweep_store::StudyRow, trials: &[nightsweep_store::TrialRow]) -> Vec<u8> {
    routes::to_csv(study, trials)
}

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
        ended = async { axum::serve(listen::Patient::new(listener), router).await } => ended,
        () = shutdown => Ok(()),
    }
}
