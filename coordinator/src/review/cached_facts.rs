//! Sends cached fact sheets with QC units, so that a worker decodes only media without one. The cache key is the expected
//! hash; the worker verifies the hash before it uses the sheet.
use crate::store::{SheetRow, StoreResult, Tx};
use protocol::wire::step::TaskSpec;
use protocol::wire::step::qc::{JudgeTask, Measured};
use protocol::wire::unit::Unit;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Bytes of fact sheets in one unit at most: a message has a limit, and media whose sheet does not fit is measured again.
const SHEETS_BYTES_MAX: usize = 2 << 20;
/// Fact sheets are kept by this hash.
const ALGORITHM: &str = "xxh128:";

/// Attaches cached fact sheets to QC units.
pub fn attach(tx: &mut dyn Tx, units: &mut [Unit]) -> StoreResult<()> {
    let judging = |unit: &&mut Unit| matches!(unit.task.as_ref(), TaskSpec::Qc(_));
    let assets: BTreeSet<&str> = units
        .iter()
        .filter(|unit| matches!(unit.task.as_ref(), TaskSpec::Qc(_)))
        .flat_map(|unit| unit.assets.iter().map(|asset| asset.id.as_str()))
        .collect();
    if assets.is_empty() {
        return Ok(());
    }
    let assets: Vec<String> = assets.into_iter().map(str::to_owned).collect();
    let mut hashes: HashMap<String, BTreeSet<String>> = HashMap::new();
    for (asset, hash) in tx.candidate_hashes(&assets)? {
        hashes.entry(asset).or_default().insert(hash);
    }
    for asset in units.iter().flat_map(|unit| &unit.assets) {
        hashes
            .entry(asset.id.clone())
            .or_default()
            .extend(asset.hash.clone());
    }
    let asked: BTreeSet<String> = hashes
        .values()
        .flatten()
        .filter(|h| h.starts_with(ALGORITHM))
        .cloned()
        .collect();
    let found = tx.sheets(&asked.into_iter().collect::<Vec<_>>())?;
    let sheets: BTreeMap<String, SheetRow> = found
        .into_iter()
        .map(|row| (row.hash.clone(), row))
        .collect();
    for unit in units.iter_mut().filter(judging) {
        let TaskSpec::Qc(qc) = unit.task.as_ref() else {
            continue;
        };
        let known = known_of(unit, &hashes, &sheets);
        if !known.is_empty() {
            unit.task = Arc::new(TaskSpec::Judge(Box::new(JudgeTask {
                qc: qc.clone(),
                known,
            })));
        }
    }
    Ok(())
}

fn known_of(
    unit: &Unit,
    hashes: &HashMap<String, BTreeSet<String>>,
    sheets: &BTreeMap<String, SheetRow>,
) -> Vec<Measured> {
    let pairs = unit.assets.iter().flat_map(|asset| {
        let of_asset = hashes.get(&asset.id).into_iter().flatten();
        of_asset.filter_map(move |hash| Some((asset, sheets.get(hash)?)))
    });
    let mut left = SHEETS_BYTES_MAX;
    let fits = pairs.filter(|(_, row)| match left.checked_sub(row.sheet.len()) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    });
    fits.map(|(asset, row)| Measured {
        asset: asset.id.clone(),
        hash: row.hash.clone(),
        sheet: row.sheet.clone(),
    })
    .collect()
}
