//! Learned costs in memory: loaded once, extended by every batch of ends, written back in bulk.
use crate::store::{CostRow, StoreResult, Tx};
use protocol::id::Kind;
use protocol::rules::schedule::cost::Sketch;
use std::collections::{BTreeMap, BTreeSet};

/// Durations by kind and size class.
#[derive(Debug, Default)]
pub struct Costs {
    loaded: bool,
    sketches: BTreeMap<(Kind, u8), Sketch>,
    kinds: BTreeMap<Kind, Sketch>,
    dirty: BTreeSet<(Kind, u8)>,
}

impl Costs {
    /// Reads what earlier coordinators learned.
    pub(super) fn load(&mut self, tx: &mut dyn Tx) -> StoreResult<()> {
        if self.loaded {
            return Ok(());
        }
        for row in tx.costs()? {
            self.kinds.entry(row.kind).or_default().merge(&row.sketch);
            self.sketches
                .entry((row.kind, row.size))
                .or_default()
                .merge(&row.sketch);
        }
        self.loaded = true;
        Ok(())
    }

    /// Reads the stored costs.
    pub fn read(tx: &mut dyn Tx) -> StoreResult<Costs> {
        let mut costs = Costs::default();
        costs.load(tx)?;
        Ok(costs)
    }

    /// Adds what has been measured.
    pub(super) fn learn(&mut self, measured: BTreeMap<(Kind, u8), Sketch>) {
        for ((kind, size), sketch) in measured {
            self.kinds.entry(kind).or_default().merge(&sketch);
            self.sketches
                .entry((kind, size))
                .or_default()
                .merge(&sketch);
            self.dirty.insert((kind, size));
        }
    }

    /// Writes what has changed.
    pub(super) fn flush(&mut self, tx: &mut dyn Tx) -> StoreResult<()> {
        let dirty = std::mem::take(&mut self.dirty);
        let row = |key: &(Kind, u8)| {
            let sketch = self.sketches.get(key)?.clone();
            Some(CostRow {
                kind: key.0,
                size: key.1,
                sketch,
            })
        };
        let rows: Vec<CostRow> = dirty.iter().filter_map(row).collect();
        if rows.is_empty() {
            Ok(())
        } else {
            tx.put_costs(&rows)
        }
    }

    /// What units of this kind and size take; of this kind, where too few of the size have been measured.
    pub fn of(&self, kind: Kind, size: u8) -> Option<&Sketch> {
        let sized = self
            .sketches
            .get(&(kind, size))
            .filter(|sketch| sketch.mean().is_some());
        sized.or_else(|| self.of_kind(kind))
    }

    /// Durations of units of this kind; `None` before the first has ended.
    pub fn of_kind(&self, kind: Kind) -> Option<&Sketch> {
        self.kinds.get(&kind)
    }
}
