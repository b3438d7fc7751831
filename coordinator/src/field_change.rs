//! What a change sets, from what to what: for previews and answers of changes.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One member of an object before and after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldChange {
    /// Name of the member, such as `state`.
    pub field: String,
    /// Its value before the change.
    pub from: String,
    /// Its value after the change.
    pub to: String,
}

/// The members that differ, given as name, value before and value after.
pub(crate) fn field_changes<const N: usize>(
    members: [(&str, String, String); N],
) -> Vec<FieldChange> {
    let different = members.into_iter().filter(|(_, from, to)| from != to);
    let change = |(field, from, to): (&str, String, String)| FieldChange {
        field: field.to_owned(),
        from,
        to,
    };
    different.map(change).collect()
}

/// Whether a flag that is off can be left out of an answer.
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}
