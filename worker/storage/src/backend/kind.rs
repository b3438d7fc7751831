//! One kind of storage as the registry knows it: which locations it serves, and how it opens them.
use crate::settings::{EndpointSettings, StorageSettings};
use crate::{Address, Location, Object, Storage, StorageError};
use futures_util::future::BoxFuture;
use protocol::model::location::Scheme;
use std::path::Path;
use std::sync::Arc;

/// A request to open a location.
pub struct Opening<'a> {
    /// The location as parsed from `text`.
    pub location: &'a Location,
    /// The location as it was written.
    pub text: &'a str,
    /// Settings of its endpoint.
    pub settings: &'a EndpointSettings,
    /// Settings of all endpoints.
    pub all: &'a StorageSettings,
    /// Directory that a `file:` location must be below, when the caller knows one.
    pub root: Option<&'a Path>,
}

impl Opening<'_> {
    /// The path of a location in the form of one.
    pub fn path(&self) -> Result<&Path, StorageError> {
        match &self.location.address {
            Address::Path(path) => Ok(path),
            _ => Err(StorageError::invalid(self.text, "it is no file")),
        }
    }

    /// The bucket and key of a location in the form of those.
    pub fn object(&self) -> Result<&Object, StorageError> {
        match &self.location.address {
            Address::Object(object) => Ok(object),
            _ => Err(StorageError::invalid(self.text, "it names no bucket")),
        }
    }

    /// The URL of a location in the form of one.
    pub fn url(&self) -> Result<&reqwest::Url, StorageError> {
        match &self.location.address {
            Address::Url(url) => Ok(url),
            _ => Err(StorageError::invalid(self.text, "it is no web address")),
        }
    }
}

/// An opened location.
pub struct Opened {
    /// The storage that holds it.
    pub storage: Arc<dyn Storage>,
    /// The key of the location in that storage.
    pub key: String,
}

/// A location before it is opened.
pub struct Binding {
    /// Identifies the storage: the same for all locations of one bucket, root or server.
    pub storage: String,
    /// The key of the location in that storage.
    pub key: String,
}

/// One kind of storage.
pub struct Backend {
    /// Schemes of the locations that it serves.
    pub schemes: &'static [Scheme],
    /// Divides a location into storage and key.
    pub bind: fn(&Opening<'_>) -> Result<Binding, StorageError>,
    /// Opens the storage of a location.
    pub open: for<'a> fn(&'a Opening<'a>) -> Connecting<'a>,
}

/// A storage that is being opened.
pub type Connecting<'a> = BoxFuture<'a, Result<Arc<dyn Storage>, StorageError>>;
