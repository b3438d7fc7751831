//! Errors of the database, by the reaction they need.
use crate::error::StoreError;
use std::time::Duration;
use tokio_postgres::error::SqlState;

/// Why a statement failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// An error of the driver or the server.
    Said(tokio_postgres::Error),
    /// No answer within this time, although the server ends statements earlier by itself.
    Silent(Duration),
}

impl Fault {
    /// Whether the server rejected the statement.
    pub(super) fn is_of_server(&self) -> bool {
        matches!(self, Fault::Said(error) if error.as_db_error().is_some())
    }

    pub(super) fn no_table(&self) -> bool {
        matches!(self, Fault::Said(e) if e.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_TABLE))
    }
}

/// Beginning of the message of a server that became a replica.
pub(super) const READ_ONLY: &str = "the database is read-only";

pub(super) fn said(fault: &Fault) -> String {
    match fault {
        Fault::Silent(limit) => format!("no answer within {} s", limit.as_secs()),
        Fault::Said(error) => match error.as_db_error() {
            Some(said) => format!("{} ({})", said.message(), said.code().code()),
            None => std::error::Error::source(error)
                .map_or_else(|| error.to_string(), |why| format!("{error}: {why}")),
        },
    }
}

/// Whether a lock was not released within the lock timeout.
pub(super) fn is_waiting(fault: &Fault) -> bool {
    matches!(fault, Fault::Said(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE))
}

pub(super) fn is_lost(fault: &Fault) -> bool {
    match fault {
        Fault::Silent(_) => true,
        Fault::Said(error) => match error.code() {
            // Shutting down, crashed, ended by the server.
            Some(code) => {
                code.code().starts_with("57P")
                    || code.code().starts_with("08")
                    || code.code() == "25P03"
            }
            None => true,
        },
    }
}

/// The error of a COMMIT that certainly had no effect. A server that ends a session while the commit waits for a replica has
/// committed, so a lost session proves nothing.
pub(super) fn not_committed(fault: &Fault) -> Option<StoreError> {
    let Fault::Said(error) = fault else {
        return None;
    };
    match &error.code()?.code()[..2] {
        "40" => Some(StoreError::Busy(said(fault))),
        "23" => Some(StoreError::Database(said(fault))),
        _ => None,
    }
}

/// Maps an error of the database to the reaction it needs.
pub(super) fn failed(fault: Fault) -> StoreError {
    let text = said(&fault);
    if is_lost(&fault) {
        return StoreError::Busy(format!("the connection was lost: {text}"));
    }
    let Fault::Said(error) = &fault else {
        return StoreError::Busy(text);
    };
    let Some(code) = error.code() else {
        return StoreError::Busy(text);
    };
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return StoreError::Busy(format!("{READ_ONLY}: {text}"));
    }
    if *code == SqlState::DISK_FULL {
        return StoreError::Full(text);
    }
    let waits = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::TOO_MANY_CONNECTIONS,
    ];
    if waits.contains(code) || code.code().starts_with("40") || code.code().starts_with("53") {
        return StoreError::Busy(text);
    }
    match &code.code()[..2] {
        "28" | "3D" => refused(text),
        "XX" => StoreError::Corrupt(text),
        _ if *code == SqlState::INSUFFICIENT_PRIVILEGE => refused(text),
        _ => StoreError::Database(text),
    }
}

pub(super) fn refused(why: impl Into<String>) -> StoreError {
    StoreError::Refused(why.into())
}
