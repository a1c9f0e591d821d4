//! `nightsweep serve`: the leaderboard of a store, also while another process writes it.

use std::path::Path;

use miette::{IntoDiagnostic, Result};
use nightsweep_web::{Token, WebSettings};

use super::files::RunsFolder;
use super::{run, studies};
use crate::cli::Serve;
use crate::failure::Ending;

/// Serves until it is interrupted.
pub async fn serve(runs: &Path, arguments: &Serve) -> Result<Ending> {
    let existing = studies::open_existing(runs).await?;
    // To write notes, if that can be had: a store on a disk that is only to be read can still be looked at.
    let store = match arguments.read_only {
        true => existing,
        false => studies::open(runs).await.unwrap_or(existing),
    };
    let token = match arguments.listen.ip().is_loopback() {
        true => None,
        false => Some(Token::random().into_diagnostic()?),
    };
    let mut settings = WebSettings::for_address(arguments.listen, token.clone()).into_diagnostic()?;
    settings = settings.with_reports(super::report::source(runs, &store)).with_files(RunsFolder::new(runs));
    if arguments.read_only {
        settings = settings.read_only();
    }
    if let Some(path) = &arguments.base_path {
        settings = settings.with_base_path(path).into_diagnostic()?;
    }
    settings = arguments.host.iter().fold(settings, |settings, host| settings.with_host(host));
    let listener = run::listen(arguments.listen).await?;
    let address = listener.local_addr().into_diagnostic()?;
    say!("leaderboard: http://{address}{}/", arguments.base_path.as_deref().unwrap_or_default().trim_end_matches('/'));
    if let Some(token) = token {
        say!("it asks for this token, which is not shown again: {}", token.text());
    }
    let interrupted = async {
        // Without signals it is served until the process is killed.
        if super::for_interrupt().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    nightsweep_web::serve(listener, store, settings, interrupted).await.into_diagnostic()?;
    Ok(Ending::Done)
}
