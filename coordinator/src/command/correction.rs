//! Corrected input of assets: merged, completed, and checked for each asset that is redriven.
use crate::command::request::Correction;
use crate::command::selection::{Found, of_units};
use crate::error::Error;
use crate::store::{AssetCorrection, StoreResult, Tx};
use crate::workflows::Workflows;
use protocol::id::{JobNo, UnitId};
use protocol::media::asset::Asset;
use protocol::media::template;
use protocol::workflow::Workflow;
use protocol::workflow::compile::absolute;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Corrections by the asset they are about; those of no asset are about every one.
#[derive(Debug, Default)]
pub(super) struct Corrector {
    of_all: Vec<(usize, Correction)>,
    of_asset: HashMap<String, Vec<(usize, Correction)>>,
}

/// Assets whose corrections were used so far, and the first error.
#[derive(Debug, Default)]
pub(super) struct Corrected {
    used: BTreeSet<String>,
    wrong: Option<String>,
}

impl Corrected {
    /// Why corrections cannot be used as they are.
    pub(super) fn refusal(&self, corrector: &Corrector) -> Option<Error> {
        if let Some(wrong) = &self.wrong {
            return Some(Error::Invalid(wrong.clone(), String::new()));
        }
        let unused = corrector
            .of_asset
            .keys()
            .filter(|asset| !self.used.contains(*asset))
            .min()?;
        let message = format!(
            "asset {unused:?} has corrected input, but no selected unit with it can be redriven"
        );
        Some(Error::Invalid(
            message,
            "select it too, or leave its row out".into(),
        ))
    }
}

impl Corrector {
    /// Corrections as they were sent.
    pub(super) fn new(corrections: Vec<Correction>) -> Corrector {
        let mut corrector = Corrector::default();
        for (place, correction) in corrections.into_iter().enumerate() {
            if correction.asset.is_empty() {
                corrector.of_all.push((place, correction));
            } else {
                corrector
                    .of_asset
                    .entry(correction.asset.clone())
                    .or_default()
                    .push((place, correction));
            }
        }
        corrector
    }

    /// Corrections of the listings of these units' jobs, by job; the caller writes them.
    pub(super) fn apply(
        &self,
        tx: &mut dyn Tx,
        workflows: &Workflows,
        units: &[Found],
        corrected: &mut Corrected,
    ) -> StoreResult<BTreeMap<JobNo, Vec<AssetCorrection>>> {
        let mut by_job: BTreeMap<JobNo, Vec<AssetCorrection>> = BTreeMap::new();
        if self.of_all.is_empty() && self.of_asset.is_empty() {
            return Ok(by_job);
        }
        let ids: Vec<UnitId> = units
            .iter()
            .map(|found| found.unit)
            .filter(|unit| unit.part > 0)
            .collect();
        let members = of_units(tx, &ids)?;
        for found in units {
            let workflow = workflows.of(tx, found.unit.job)?;
            let named = |asset: &Asset| {
                found.assets.is_empty() || found.assets.iter().any(|(id, _)| *id == asset.id)
            };
            for asset in members
                .get(&found.unit)
                .into_iter()
                .flatten()
                .filter(|asset| named(asset))
            {
                if let Some(correction) = self.of(&workflow, asset, corrected) {
                    by_job.entry(found.unit.job).or_default().push(correction);
                }
            }
        }
        Ok(by_job)
    }

    fn of(
        &self,
        workflow: &Workflow,
        asset: &Asset,
        corrected: &mut Corrected,
    ) -> Option<AssetCorrection> {
        let own = self.of_asset.get(&asset.id).into_iter().flatten();
        let mut fitting: Vec<&(usize, Correction)> = self.of_all.iter().chain(own).collect();
        // The last one that says something counts.
        fitting.sort_by_key(|(place, _)| *place);
        let mut merged: Option<AssetCorrection> = None;
        for (_, correction) in fitting {
            let merged = merged.get_or_insert_with(|| AssetCorrection {
                asset: asset.id.clone(),
                ..AssetCorrection::default()
            });
            if !correction.asset.is_empty() {
                corrected.used.insert(correction.asset.clone());
            }
            if let Some(location) = &correction.location {
                match template::expand(location, asset) {
                    Ok(location) => merged.location = Some(complete(workflow, location)),
                    Err(error) => corrected.wrong = Some(error.to_string()),
                }
            }
            merged.hash = correction.hash.clone().or(merged.hash.take());
            merged.bytes = correction.bytes.or(merged.bytes);
        }
        merged
    }
}

/// A location as a scan would have made it: a path starts where those of the library do.
fn complete(workflow: &Workflow, location: String) -> String {
    if location.contains("://") || location.starts_with("file:") {
        return location;
    }
    let root = workflow.scan_task().map_or("", |scan| scan.root.as_str());
    format!("file:{}", absolute(root, &location))
}
