//! Maps errors of storages to failures of assets, with the reason codes of files.
use protocol::failure::Failure;
use storage::StorageError;

/// A source that cannot be read.
pub(super) fn source(error: &StorageError) -> Failure {
    match error {
        StorageError::NotFound(location) => Failure::permanent(
            "source_missing",
            format!(
                "source {location} does not exist: deliver it or correct its location, then retry"
            ),
        ),
        StorageError::Precondition { location, said } => changed(location, said),
        StorageError::Archived(_) => Failure::permanent("source_archived", error.to_string()),
        StorageError::Blocked { location, said } => Failure::permanent(
            "source_not_a_file",
            format!("source {location} is not a file ({said}): correct its location"),
        ),
        error => error.failure(),
    }
}

/// A destination that cannot be written.
pub(super) fn destination(error: &StorageError) -> Failure {
    let reason = match error {
        StorageError::Full { .. } => FULL,
        StorageError::Blocked { .. } => "destination_blocked",
        error => return error.failure(),
    };
    Failure::new(error.class(), reason, error.to_string())
}

/// Reason code of a destination without space.
pub(super) const FULL: &str = "destination_full";

/// A source that changed during the transfer.
pub(super) fn changed(location: &str, said: &str) -> Failure {
    let message = format!(
        "source {location} changed while it was read ({said}): it is copied again once it rests"
    );
    Failure::transient("source_changed", message)
}

/// Reason code of content that differs from the checksum of its storage.
pub(super) const DAMAGED: &str = "source_damaged";

/// A source whose received content differs from the checksum of its storage.
pub(super) fn damaged(location: &str, arrived: &str, kept: &str) -> Failure {
    let message = format!(
        "source {location} arrives as {arrived}, its storage keeps {kept}: the network, memory or storage is faulty; it is read again"
    );
    Failure::transient(DAMAGED, message)
}

/// Different content exists at the destination.
pub(super) fn conflict(location: &str, how: &str) -> Failure {
    let message = format!(
        "{location} exists and {how}: it was not touched; move it away or change the target, then retry"
    );
    Failure::permanent("destination_conflict", message)
}

/// An object exists at the destination and must not be read.
pub(super) fn unseen(location: &str, said: &str) -> Failure {
    let message = format!(
        "{location} exists and was not touched; whether it has this content cannot be seen ({said}): allow reading it, or change the target, then retry"
    );
    Failure::permanent("destination_conflict", message)
}

/// Different content exists at the destination, and would be lost.
pub(super) fn unversioned(location: &str, how: &str) -> Failure {
    let message = format!(
        "{location} exists and {how}: it cannot be replaced, since no older versions are kept there; switch the versioning of the bucket on or change the target, then retry"
    );
    Failure::permanent("destination_unversioned", message)
}

/// The destination returns other content than was sent.
pub(super) fn unproven(location: &str, sent: &str, back: &str) -> Failure {
    let message = format!(
        "{location} gives back {back}, sent was {sent}: the network, memory or storage is faulty; the transfer is tried again"
    );
    Failure::transient("verify_failed", message)
}
