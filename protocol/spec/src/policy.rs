//! How checks are declared, and how a list of them becomes the `qc:` part of a delivery spec.
use crate::case::{Case, CheckOutcome};
use crate::needs::{Asked, Needs};
use serde::{Deserialize, Deserializer};

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The file as a whole, or its container.
    File,
    /// Picture and sound streams, each by itself: made for every picture stream, and for files without a picture.
    Streams,
    /// A picture: made for every picture stream, and only a picture can satisfy it.
    Picture,
    /// The sound: a waveform shows its findings, a still does not.
    Sound,
}

/// A check. The type that implements this holds its limits, as a spec writes them; the id is the key in the list of checks.
pub(crate) trait Check: Sized + 'static {
    /// What it is about.
    const SCOPE: Scope;

    /// The limits of a key without a body (`decode:`). `None` makes a bare key an error: a limit has no default.
    fn bare() -> Option<Self> {
        None
    }

    /// Adds what the decode has to measure for it.
    fn needs(_asked: &Asked<'_>, _needs: &mut Needs) {}

    /// Compares facts with limits. Pure, so that stored facts can be judged again.
    fn judge(case: &Case<'_>) -> CheckOutcome;
}

/// A check of the list, without its type.
pub struct CheckEntry {
    /// Id in policies and findings.
    pub id: &'static str,
    /// What it is about.
    pub scope: Scope,
    pub(crate) needs: fn(&Asked<'_>, &mut Needs),
    pub(crate) judge: fn(&Case<'_>) -> CheckOutcome,
}

impl CheckEntry {
    /// Whether every picture stream has to pass it.
    pub fn is_of_each_picture(&self) -> bool {
        matches!(self.scope, Scope::Picture | Scope::Streams)
    }
}

/// Reads the body of a check. A key without a body means its defaults; read as "absent", the check would silently not be
/// made.
pub(crate) fn read<'de, D: Deserializer<'de>, C: Check + Deserialize<'de>>(
    reader: D,
) -> Result<Option<C>, D::Error> {
    match C::bare() {
        Some(bare) => Ok(Some(Option::<C>::deserialize(reader)?.unwrap_or(bare))),
        None => C::deserialize(reader).map(Some),
    }
}

/// Makes the policy, the list of ids and the table of checks from one list of `id: Limits`, where `Limits` is defined in
/// `check/<id>.rs`. The order of the list is the order of reports.
macro_rules! checks {
    ($( $id:ident: $limits:ident, )*) => {
        /// The checks a spec demands; a check that is absent is not made.
        #[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[schemars(transform = QcPolicy::describe)]
        #[expect(missing_docs, reason = "a field is described by its type")]
        pub struct QcPolicy {
            $(
                #[serde(default, deserialize_with = "policy::read", skip_serializing_if = "Option::is_none")]
                pub $id: Option<check::$id::$limits>,
            )*
        }

        /// Id of every check, in the order reports list them.
        pub const CHECK_IDS: [&str; [$(stringify!($id)),*].len()] = [$(stringify!($id)),*];

        /// Every check, in the order reports list them.
        pub const CHECKS: [policy::CheckEntry; CHECK_IDS.len()] = [$(
            policy::CheckEntry {
                id: stringify!($id),
                scope: <check::$id::$limits as policy::Check>::SCOPE,
                needs: <check::$id::$limits as policy::Check>::needs,
                judge: <check::$id::$limits as policy::Check>::judge,
            }
        ),*];

        impl QcPolicy {
            /// Ids of the checks it demands, in the order reports list them.
            pub fn demanded(&self) -> Vec<&'static str> {
                let named = [$( (stringify!($id), self.$id.is_some()) ),*];
                named.into_iter().filter(|(_, demanded)| *demanded).map(|(id, _)| id).collect()
            }

            /// The severity of a check's findings: from the policy, mandatory otherwise.
            pub fn severity(&self, check: &str) -> protocol::model::qc::Severity {
                match check {
                    $( stringify!($id) => self.$id.as_ref().map(|limits| limits.severity).unwrap_or_default(), )*
                    _ => protocol::model::qc::Severity::Mandatory,
                }
            }

            /// Whether it demands a check that only a picture can satisfy.
            pub fn demands_picture(&self) -> bool {
                let demanded = self.demanded();
                CHECKS.iter().any(|check| check.scope == policy::Scope::Picture && demanded.contains(&check.id))
            }

            /// Describes each key of the schema by the documentation of its limits.
            fn describe(schema: &mut schemars::Schema) {
                $( policy::describe::<check::$id::$limits>(schema, stringify!($id)); )*
            }
        }

        impl case::Demands for QcPolicy {
            fn find(&self, limits: std::any::TypeId) -> Option<&dyn std::any::Any> {
                $(
                    if limits == std::any::TypeId::of::<check::$id::$limits>() {
                        return self.$id.as_ref().map(|limits| limits as &dyn std::any::Any);
                    }
                )*
                None
            }
        }
    };
}
pub(crate) use checks;

/// Copies the description of a type to the key of a schema that holds it.
pub(crate) fn describe<T: schemars::JsonSchema>(schema: &mut schemars::Schema, key: &str) {
    let described = T::json_schema(&mut schemars::SchemaGenerator::default());
    let description = described.get("description").cloned();
    let property = schema
        .get_mut("properties")
        .and_then(|properties| properties.get_mut(key)?.as_object_mut());
    if let (Some(property), Some(description)) = (property, description) {
        property.insert("description".to_owned(), description);
    }
}
