//! Names of streams, group and fields on Redis. One hash slot per kind, so that the classes of a kind can be read together.
use crate::id::Kind;
use crate::model::priority::Priority;

/// The one consumer group of every unit stream.
pub const GROUP: &str = "workers";
/// Where workers report.
pub const REPORTS: &str = "sr:reports";
/// Where the coordinator speaks to all workers.
pub const CONTROL: &str = "sr:control";
/// Holds the generation of the coordinator that filled the streams; its absence means the server was wiped.
pub const MARK: &str = "sr:mark";
/// Id of the deployment that the streams belong to. Its leader writes it when it is missing; it is never replaced.
pub const DEPLOYMENT: &str = "sr:deployment";
/// Entries of unit streams that no worker could read, each with its reason.
pub const PARKED: &str = "sr:parked";
/// How often an entry has been tried by a worker that could not read it; absent in what the coordinator writes.
pub const TRIES: &str = "t";
/// The run of the server that an entry was added to: under another one it may be back after it was dealt with.
pub const RUN: &str = "r";
/// The public half of the key that units are signed with; coordinators write it, workers read it.
pub const KEY: &str = "sr:key";
/// The coordinator's signature of an entry of a unit stream or of the control stream.
pub const SIGNATURE: &str = "s";
/// The worker that has sent a message of reports; absent in messages of workers without a key.
pub const SENDER: &str = "w";
/// The sender's authenticator of a message of reports.
pub const AUTHENTICATOR: &str = "a";
/// The field of an entry that holds the message.
pub const BODY: &str = "b";

/// Classes, most urgent first.
pub const CLASSES: [Priority; 3] = [Priority::Urgent, Priority::Normal, Priority::Bulk];

/// The stream of a kind and class.
pub fn units(kind: Kind, class: Priority) -> String {
    format!("sr:{{{}}}:units:{}", kind.as_str(), class.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_of_a_kind_share_a_slot() {
        assert_eq!(units(Kind::Qc, Priority::Urgent), "sr:{qc}:units:urgent");
    }
}
