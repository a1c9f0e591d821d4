//! What a client is told when a page cannot be had, as a page or as JSON; the log gets the chain.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::header::CONNECTION;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use nightsweep_store::{AppendError, FilterError, QueryError};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::figure::DrawError;
use crate::view;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error("there is no study `{name}` in this store")]
    NoSuchStudy { name: String },
    #[error("study `{study}` has no trial {number}")]
    NoSuchTrial { study: String, number: String },
    #[error("there is no figure `{figure}`")]
    NoSuchFigure { figure: String },
    #[error("there is nothing to draw: {why}")]
    NothingToDraw { why: String },
    #[error("there is no such page")]
    NoSuchPage,
    #[error("`{value}` is no {name}")]
    BadQuery { name: &'static str, value: String },
    #[error("this request comes from another site")]
    ForeignOrigin,
    #[error("nothing can be written here")]
    ReadOnly,
    #[error("the study is not run by this process: open the page that `nightsweep run` names")]
    NotLed,
    #[error("{why}")]
    Refused { why: String },
    #[error("what stands behind `?` cannot be read: {why}")]
    BadPairs { why: String },
    #[error("the request's body cannot be read: {why}")]
    BadBody { why: String },
    #[error("a {what} has 1 to {most} letters or words")]
    TooLong { what: &'static str, most: usize },
    #[error("it could not be written")]
    Append(#[source] AppendError),
    #[error("too many pages follow the store already")]
    TooManyStreams,
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error("the store could not be read")]
    Store(#[source] QueryError),
    #[error("the store could not be read")]
    Figures(#[source] Arc<QueryError>),
    #[error("the figure could not be drawn")]
    Draw(#[source] DrawError),
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Filter(error) => Self::Filter(error),
            error => Self::Store(error),
        }
    }
}

impl Error {
    /// What is too long to be read is cut.
    pub(crate) fn bad_query(name: &'static str, value: &str) -> Self {
        const MOST: usize = 100;
        let mut cut: String = value.chars().take(MOST).collect();
        if cut.len() < value.len() {
            cut.push('…');
        }
        Self::BadQuery { name, value: cut }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchStudy { .. }
            | Self::NoSuchTrial { .. }
            | Self::NoSuchFigure { .. }
            | Self::NothingToDraw { .. }
            | Self::NoSuchPage => StatusCode::NOT_FOUND,
            Self::ForeignOrigin | Self::ReadOnly => StatusCode::FORBIDDEN,
            Self::NotLed | Self::Refused { .. } => StatusCode::CONFLICT,
            Self::BadQuery { .. }
            | Self::Filter(_)
            | Self::BadPairs { .. }
            | Self::BadBody { .. }
            | Self::TooLong { .. } => StatusCode::BAD_REQUEST,
            Self::TooManyStreams => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Append(_) | Self::Figures(_) | Self::Draw(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// For a client that reads JSON, where no handler is asked.
    pub(crate) fn into_json(self) -> Response {
        ApiError(self).into_response()
    }

    fn log(&self) {
        if self.status() == StatusCode::INTERNAL_SERVER_ERROR {
            let source = std::error::Error::source(self);
            tracing::error!(error = source, "a page could not be made: {self}");
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.log();
        let mut response = (self.status(), view::error(self.status(), &self.to_string())).into_response();
        if matches!(self, Self::TooManyStreams) {
            // So that whoever opens streams without end takes no connections for them.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The same for a client that reads JSON.
pub(crate) struct ApiError(Error);

impl<E: Into<Error>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.0.log();
        (self.0.status(), Json(serde_json::json!({ "error": self.0.to_string() }))).into_response()
    }
}

/// What stands behind `?`; what is wrong with it is told as JSON, unlike axum's own.
pub(crate) struct Pairs<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Pairs<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(error) => Err(Error::BadPairs { why: error.body_text() }.into()),
        }
    }
}
