//! A made-up study in a temporary store, served on 127.0.0.1:8787, to look at the pages: no trial of it was trained.
//! With `--live`, the running trials go on reporting; `--trials 50000` makes a large one of 30 reports a trial,
//! `--store FILE` keeps the store there, `--optuna FILE` writes the study as Optuna has it, and `--listen ADDRESS` serves
//! it elsewhere; `--write` only writes these files.

mod made_up;

use std::net::SocketAddr;
use std::time::Duration;

use made_up::{EPOCHS, NAME};
use nightsweep_store::{Store, StudyId};
use nightsweep_web::{DEFAULT_ADDRESS, WebSettings, serve};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = argument("--store").map_or_else(|| dir.path().join("demo.db"), Into::into);
    let is_new = !path.exists();
    let store = Store::open(path).await?;
    if is_new {
        let study = store.create_study(made_up::study(NAME)).await?;
        match argument("--trials") {
            Some(trials) => made_up::many(&store, study, trials.parse()?).await?,
            None => made_up::few(&store, study).await?,
        }
    }
    let row = store.study_named(NAME).await?.ok_or("the store has another study")?;
    if let Some(path) = argument("--optuna") {
        println!("{} trials for Optuna", store.export_optuna(&row, path.as_ref()).await?);
    }
    if std::env::args().any(|argument| argument == "--write") {
        return Ok(());
    }
    let address = argument("--listen").map_or(Ok(DEFAULT_ADDRESS), |text| text.parse::<SocketAddr>())?;
    let listener = TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    if std::env::args().any(|argument| argument == "--live") {
        tokio::spawn(go_on(store.clone(), row.id));
    }
    let interrupted = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    Ok(serve(listener, store, WebSettings::for_address(address, None)?, interrupted).await?)
}

/// What follows that word on the command line.
fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|word| word != name).nth(1)
}

/// The two trials that run report on, and complete.
async fn go_on(store: Store, study: StudyId) {
    for step in 6..=EPOCHS {
        for number in [62, 63] {
            tokio::time::sleep(Duration::from_secs(2)).await;
            if store.append(study, &made_up::reported(number, step, 1)).await.is_err() {
                return;
            }
        }
    }
}
