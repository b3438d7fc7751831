//! Progress of an operation: its counts, and the position of its next page.
use crate::command::request::{Ineligible, Retried};
use crate::command::selection::{List, Place};
use crate::store::OperationRow;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Distinct reasons that are kept; each job that cannot be retried is a reason of its own.
const REASONS_MAX: usize = 64;

/// Counts of the units that an operation has looked at so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tallied {
    /// Units the selection matches.
    pub matched: u64,
    /// Of those, units that can be redriven.
    pub eligible: u64,
    /// Units that cannot, by why.
    pub ineligible: BTreeMap<String, u64>,
    /// Assets whose input is corrected.
    pub corrected: u64,
}

impl Tallied {
    /// Counts a unit, with the reason that forbids to redrive it.
    pub(super) fn add(&mut self, obstacle: Option<String>) {
        self.matched += 1;
        let Some(why) = obstacle else {
            self.eligible += 1;
            return;
        };
        let known = self.ineligible.contains_key(&why) || self.ineligible.len() < REASONS_MAX;
        let why = if known {
            why
        } else {
            "other reasons: select fewer units to see them".to_owned()
        };
        *self.ineligible.entry(why).or_default() += 1;
    }

    /// As it is shown.
    pub(super) fn retried(&self) -> Retried {
        let ineligible = self.ineligible.iter().map(|(why, units)| Ineligible {
            why: why.clone(),
            units: *units,
        });
        Retried {
            matched: self.matched,
            units: self.eligible,
            corrected: self.corrected,
            ineligible: ineligible.collect(),
            ..Retried::default()
        }
    }
}

/// How far an operation is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// Whether the count is complete and units are being redriven.
    pub counted: bool,
    /// Position of the count or of the redrive.
    pub place: Place,
    /// The counts so far.
    pub tallied: Tallied,
}

impl Progress {
    /// How far a stored operation is, or why that cannot be read.
    pub(super) fn read(row: &OperationRow) -> Result<Progress, String> {
        match (&row.progress, &row.plan) {
            (Some(json), _) => serde_json::from_str(json)
                .map_err(|error| format!("the stored progress cannot be read: {error}")),
            (None, Some(_)) => Ok(Progress::default()),
            // The version before counted everything when it was asked to.
            (None, None) => {
                let place = Place {
                    list: List::Dead,
                    after: row.after,
                };
                Ok(Progress {
                    counted: true,
                    place,
                    tallied: Tallied::default(),
                })
            }
        }
    }

    /// As it is stored.
    pub(super) fn json(&self) -> String {
        // Numbers and texts always have a JSON form; one that had none would be refused by `read`.
        serde_json::to_string(self).unwrap_or_else(|error| error.to_string())
    }
}
