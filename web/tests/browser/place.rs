//! A store in a folder of its own, served on a port of its own.

use std::net::SocketAddr;
use std::time::Duration;

use nightsweep_search::{Attempt, Event, TrialNumber};
use nightsweep_store::{Store, StudyId, TrialRow};
use nightsweep_web::{Ordered, Token, WebSettings, serve};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use crate::made_up::{self, NAME};

pub struct Place {
    pub store: Store,
    pub study: StudyId,
    pub address: SocketAddr,
    settings: WebSettings,
    /// Of its own, so that its end is that of all connections, as with a process.
    server: Option<Runtime>,
    _folder: TempDir,
}

impl Place {
    /// With the 64 trials of the made-up study.
    pub async fn new() -> Self {
        let mut place = Self::empty().await;
        made_up::few(&place.store, place.study).await.unwrap();
        place.start().await;
        place
    }

    /// With a study of no trials, not served yet.
    pub async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("studies.db")).await.unwrap();
        let study = store.create_study(made_up::study(NAME)).await.unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let settings = WebSettings::default();
        Self { store, study, address, settings, server: None, _folder: folder }
    }

    /// Reachable from everywhere, with that token.
    pub async fn behind(token: &Token) -> Self {
        let mut place = Self::empty().await;
        made_up::few(&place.store, place.study).await.unwrap();
        place.address = "0.0.0.0:0".parse().unwrap();
        place.settings = WebSettings::for_address(place.address, Some(token.clone())).unwrap();
        place.start().await;
        place
    }

    /// Serves it, at the same address as before if it was served.
    pub async fn start(&mut self) {
        let listener = loop {
            match std::net::TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                // The one before is let go of in a moment.
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap();
        let (store, settings) = (self.store.clone(), self.settings.clone());
        let server = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        server.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            serve(listener, store, settings, std::future::pending()).await.unwrap();
        });
        self.server = Some(server);
    }

    /// Lets the page's orders come here; nobody leads the study.
    pub async fn take_orders(&mut self) -> mpsc::UnboundedReceiver<Ordered> {
        let (sender, orders) = mpsc::unbounded_channel();
        self.settings = self.settings.clone().with_orders(NAME, None, sender);
        self.stop();
        self.start().await;
        orders
    }

    /// Ends it, with all its connections.
    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
    }

    /// The address of a page of the study.
    pub fn page(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/studies/{NAME}{path}", self.address.port())
    }

    pub async fn tell(&self, events: &[Event]) {
        self.store.append_all(self.study, events).await.unwrap();
    }

    /// A trial that begins now.
    pub async fn begin(&self, number: u64) {
        let trial = TrialNumber(number);
        self.tell(&[Event::Started { trial, params: made_up::params(number), why: "a test".to_owned() }]).await;
    }

    /// A report of a trial that runs, and its end.
    pub async fn complete(&self, number: u64, value: f64) {
        let (trial, attempt, step) = (TrialNumber(number), Attempt(1), made_up::EPOCHS);
        let Event::Reported { metrics, .. } = made_up::reported(number, step, 1) else { unreachable!() };
        let reported = Event::Reported { trial, attempt, step, value: Some(value), metrics };
        self.tell(&[reported, Event::Completed { trial, attempt, value }]).await;
    }

    pub async fn trial(&self, number: u64) -> TrialRow {
        self.store.trial(self.study, TrialNumber(number)).await.unwrap().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop();
    }
}
