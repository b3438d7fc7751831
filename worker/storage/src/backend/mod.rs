//! The kinds of storage there are: one module and one line in [`BACKENDS`] each.
pub mod file;
pub mod gcs;
pub mod http;
pub mod s3;

use super::settings::{EndpointSettings, StorageSettings};
use super::{Location, Storage, StorageError};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// What a location is opened with.
pub struct Opening<'a> {
    /// The location.
    pub location: &'a Location,
    /// As it was written.
    pub text: &'a str,
    /// Settings of its endpoint.
    pub settings: &'a EndpointSettings,
    /// All settings.
    pub all: &'a StorageSettings,
    /// Directory that a `file:` location must be below, when the caller knows.
    pub root: Option<&'a std::path::Path>,
}

/// An opened place: the storage, what to remember it by, and the key of the location that was asked for.
pub struct Opened {
    /// The storage.
    pub storage: Arc<dyn Storage>,
    /// The key in it.
    pub key: String,
}

/// A place before it is opened.
pub struct Place {
    /// What it is remembered by: the same for all locations of one place.
    pub name: String,
    /// Key of the location.
    pub key: String,
}

/// One kind of storage.
pub struct Backend {
    /// Its name in messages.
    pub name: &'static str,
    /// The place of a location of its kind; `None` for other kinds.
    pub place: fn(&Opening<'_>) -> Option<Result<Place, StorageError>>,
    /// Opens the place.
    pub open: for<'a> fn(&'a Opening<'a>) -> Connecting<'a>,
}

/// A place being opened.
pub type Connecting<'a> = BoxFuture<'a, Result<Arc<dyn Storage>, StorageError>>;

/// Every kind of storage.
pub const BACKENDS: [&Backend; 4] = [&file::BACKEND, &s3::BACKEND, &gcs::BACKEND, &http::BACKEND];
