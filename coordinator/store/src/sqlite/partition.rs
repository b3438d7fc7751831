//! Partitions and who is in them.
use super::job::{signed, unsigned};
use super::listing::{ASSET, read_asset};
use super::{SqliteTx, corrupt, failed};
use crate::cost;
use crate::{Partition, PartitionTx, StoreResult};
use protocol::id::{JobNo, PartNo};
use protocol::media::asset::Asset;
use rusqlite::{Row, params};

fn read_partition(row: &Row<'_>) -> rusqlite::Result<Partition> {
    Ok(Partition {
        part: row.get(0)?,
        title: row.get(1)?,
        first: row.get(2)?,
        last: row.get(3)?,
        assets: row.get(4)?,
        bytes: unsigned(row, 5)?,
        parent: row.get(6)?,
        split: row.get::<_, i64>(7)? != 0,
    })
}

/// How many partitions from the first on are neighbours in canonical order with all their members in place.
fn run_length(partitions: &[Partition]) -> usize {
    let whole = |p: &Partition| p.parent == 0 && !p.split;
    let follows = |pair: &[Partition]| {
        whole(&pair[1]) && pair[1].part == pair[0].part + 1 && pair[0].title.is_empty() == pair[1].title.is_empty()
    };
    if !partitions.first().is_some_and(whole) {
        return 1;
    }
    1 + partitions.windows(2).take_while(|pair| follows(pair)).count()
}

impl SqliteTx<'_> {
    /// Neighbours are read in one walk over the listing and dealt out by their sizes.
    fn members_of_run(&self, job: JobNo, run: &[Partition], members: &mut Vec<Vec<Asset>>) -> StoreResult<()> {
        let (first, last) = (&run[0], &run[run.len() - 1]);
        let read = |row: &Row<'_>| read_asset(row, 0);
        let assets = if first.title.is_empty() {
            let by_id =
                format!("SELECT {ASSET} FROM listing WHERE job = ?1 AND asset BETWEEN ?2 AND ?3 ORDER BY asset");
            self.all(&by_id, params![job.0, first.first, last.last], read)?
        } else {
            let by_title = format!(
                "SELECT {ASSET} FROM listing WHERE by_title = 1 AND job = ?1
                 AND (title, asset) >= (?2, ?3) AND (title, asset) <= (?4, ?5) ORDER BY title, asset"
            );
            self.all(&by_title, params![job.0, first.title, first.first, last.title, last.last], read)?
        };
        let mut assets = assets.into_iter();
        for p in run {
            let own: Vec<Asset> = assets.by_ref().take(p.assets as usize).collect();
            if own.last().is_none_or(|a| a.id != p.last) {
                return Err(corrupt("partition does not match the listing", p.part));
            }
            members.push(own);
        }
        Ok(())
    }

    fn members_of(&mut self, job: JobNo, p: &Partition) -> StoreResult<Vec<Asset>> {
        let read = |row: &Row<'_>| read_asset(row, 0);
        if p.parent > 0 {
            let child = "SELECT l.asset, l.title, l.role, l.location, l.path, l.bytes, l.hash, l.declared
                 FROM moved m JOIN listing l ON l.job = m.job AND l.asset = m.asset
                 WHERE m.job = ?1 AND m.part = ?2 ORDER BY l.asset";
            return self.all(child, params![job.0, p.part], read);
        }
        let mut assets = if p.title.is_empty() {
            let by_id =
                format!("SELECT {ASSET} FROM listing WHERE job = ?1 AND asset BETWEEN ?2 AND ?3 ORDER BY asset");
            self.all(&by_id, params![job.0, p.first, p.last], read)?
        } else {
            let by_title = format!(
                "SELECT {ASSET} FROM listing
                 WHERE by_title = 1 AND job = ?1 AND title = ?2 AND asset BETWEEN ?3 AND ?4 ORDER BY asset"
            );
            self.all(&by_title, params![job.0, p.title, p.first, p.last], read)?
        };
        if p.split {
            let ids: Vec<String> = assets.iter().map(|a| a.id.clone()).collect();
            let gone = self.moved_away(job, p.part, &ids)?;
            assets.retain(|a| !gone.contains(&a.id));
        }
        Ok(assets)
    }
}

impl PartitionTx for SqliteTx<'_> {
    fn insert_partitions(&mut self, job: JobNo, partitions: &[Partition]) -> StoreResult<()> {
        cost::rows(partitions.len());
        let mut insert = self
            .db
            .prepare_cached(
                "INSERT INTO partition (job, part, title, first, last, assets, bytes, parent, split)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )
            .map_err(failed)?;
        for p in partitions {
            // A partition of one asset says its name once.
            let last = if p.last == p.first { "" } else { p.last.as_str() };
            insert
                .execute(params![
                    job.0,
                    p.part,
                    p.title,
                    p.first,
                    last,
                    p.assets,
                    signed(p.bytes),
                    p.parent,
                    i64::from(p.split)
                ])
                .map_err(failed)?;
        }
        Ok(())
    }

    fn partitions_after(&mut self, job: JobNo, after: PartNo, limit: u32) -> StoreResult<Vec<Partition>> {
        self.all(
            "SELECT part, title, first, CASE last WHEN '' THEN first ELSE last END, assets, bytes, parent, split
             FROM partition WHERE job = ?1 AND part > ?2 AND parent = 0 ORDER BY part LIMIT ?3",
            params![job.0, after, limit],
            read_partition,
        )
    }

    fn partitions(&mut self, job: JobNo, parts: &[PartNo]) -> StoreResult<Vec<Partition>> {
        parts
            .iter()
            .map(|part| {
                self.one(
                    "SELECT part, title, first, CASE last WHEN '' THEN first ELSE last END, assets, bytes, parent, split
                     FROM partition WHERE job = ?1 AND part = ?2",
                    params![job.0, part],
                    read_partition,
                )?
                .ok_or_else(|| corrupt("no partition", part))
            })
            .collect()
    }

    fn children(&mut self, job: JobNo, first: PartNo, last: PartNo) -> StoreResult<Vec<PartNo>> {
        self.all(
            "SELECT part FROM partition WHERE job = ?1 AND parent > 0 AND parent BETWEEN ?2 AND ?3 ORDER BY part",
            params![job.0, first, last],
            |row| row.get(0),
        )
    }

    fn members(&mut self, job: JobNo, partitions: &[Partition]) -> StoreResult<Vec<Vec<Asset>>> {
        let mut members = Vec::with_capacity(partitions.len());
        let mut rest = partitions;
        while let Some(one) = rest.first() {
            let run = run_length(rest);
            if run > 1 {
                self.members_of_run(job, &rest[..run], &mut members)?;
            } else {
                members.push(self.members_of(job, one)?);
            }
            rest = &rest[run..];
        }
        Ok(members)
    }

    fn shrink_partition(&mut self, job: JobNo, part: PartNo, assets: u32) -> StoreResult<()> {
        self.run(
            "UPDATE partition SET assets = assets - ?3, split = 1 WHERE job = ?1 AND part = ?2",
            params![job.0, part, assets],
        )?;
        Ok(())
    }

    fn move_assets(&mut self, job: JobNo, to: PartNo, assets: &[String]) -> StoreResult<()> {
        for asset in assets {
            self.run(
                "INSERT INTO moved (job, asset, part) VALUES (?1, ?2, ?3)
                 ON CONFLICT (job, asset) DO UPDATE SET part = excluded.part",
                params![job.0, asset, to],
            )?;
        }
        Ok(())
    }

    fn moved_away(&mut self, job: JobNo, part: PartNo, assets: &[String]) -> StoreResult<Vec<String>> {
        let mut gone = Vec::new();
        for asset in assets {
            let home: Option<PartNo> =
                self.one("SELECT part FROM moved WHERE job = ?1 AND asset = ?2", params![job.0, asset], |row| {
                    row.get(0)
                })?;
            if home.is_some_and(|home| home != part) {
                gone.push(asset.clone());
            }
        }
        Ok(gone)
    }
}
