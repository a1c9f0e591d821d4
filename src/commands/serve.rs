//! `nightsweep serve`: the leaderboard of a store, also while another process writes it.

use std::path::Path;

use miette::{IntoDiagnostic, Result};
use nightsweep_web::{Token, WebSettings};

use super::{run, studies};
use crate::cli::Serve;
use crate::failure::Ending;

/// Serves until it is interrupted.
pub async fn serve(runs: &Path, arguments: &Serve) -> Result<Ending> {
    let store = studies::open_existing(runs).await?;
    let token = match arguments.listen.ip().is_loopback() {
        true => None,
        false => Some(Token::random().into_diagnostic()?),
    };
    let settings = WebSettings::for_address(arguments.listen, token.clone()).into_diagnostic()?;
    let listener = run::listen(arguments.listen).await?;
    let address = listener.local_addr().into_diagnostic()?;
    println!("leaderboard: http://{address}/");
    if let Some(token) = token {
        println!("it asks for this token, which is not shown again: {}", token.text());
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
