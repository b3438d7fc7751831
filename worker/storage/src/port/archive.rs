//! Storage classes, archived objects and older versions.
use super::object::{ObjectState, Precondition, Version};
use crate::StorageError;
use async_trait::async_trait;
use protocol::model::restore_tier::RestoreTier;

/// Storage classes of objects.
#[async_trait]
pub trait StorageClasses: Send + Sync {
    /// Moves an object, in the state `version`, to another storage class.
    async fn set_class(
        &self,
        key: &str,
        version: &Version,
        class: &str,
    ) -> Result<ObjectState, StorageError>;
}

/// Archives whose objects must be restored before they can be read.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Requests a readable copy of an archived object for `days` days. A second request changes nothing. The state of
    /// the object shows when the copy can be read.
    async fn restore(&self, key: &str, days: u32, tier: RestoreTier) -> Result<(), StorageError>;
}

/// Older versions that stay when an object is replaced.
#[async_trait]
pub trait Versions: Send + Sync {
    /// Ensures that an object in this state stays as an older version when it is replaced under the returned
    /// precondition. A second call changes nothing.
    async fn keep(&self, state: &ObjectState) -> Result<Precondition, StorageError>;
}

/// New names for objects.
#[async_trait]
pub trait Rename: Send + Sync {
    /// Gives an object another name, which must be free.
    async fn rename(&self, from: &str, to: &str) -> Result<(), StorageError>;
}
