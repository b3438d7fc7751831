//! Partitions in SQLite.
use super::sql::{COLUMNS, read_partition, run_length, stored_last};
use super::{Partition, PartitionTx};
use crate::cost;
use crate::error::{StoreResult, corrupt};
use crate::listing::sql::{ASSET, read_asset};
use crate::sql::{Row, Sql, values};
use crate::sqlite::{SqliteTx, failed};
use protocol::id::{JobNo, PartNo};
use protocol::media::asset::Asset;
use rusqlite::params_from_iter;

impl SqliteTx<'_> {
    /// Reads neighbours in one walk over the listing and divides it by their sizes.
    fn members_of_run(
        &mut self,
        job: JobNo,
        run: &[Partition],
        members: &mut Vec<Vec<Asset>>,
    ) -> StoreResult<()> {
        let (first, last) = (&run[0], &run[run.len() - 1]);
        let read = |row: Row<'_>| read_asset(row, 0);
        let assets = if first.title.is_empty() {
            let by_id = format!(
                "SELECT {ASSET} FROM listing WHERE job = ?1 AND asset BETWEEN ?2 AND ?3 ORDER BY asset"
            );
            self.query(&by_id, &values![job, &first.first, &last.last], read)?
        } else {
            let by_title = format!(
                "SELECT {ASSET} FROM listing WHERE by_title = 1 AND job = ?1
                 AND (title, asset) >= (?2, ?3) AND (title, asset) <= (?4, ?5) ORDER BY title, asset"
            );
            self.query(
                &by_title,
                &values![job, &first.title, &first.first, &last.title, &last.last],
                read,
            )?
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
        let read = |row: Row<'_>| read_asset(row, 0);
        if p.parent > 0 {
            let child =
                "SELECT l.asset, l.title, l.role, l.location, l.path, l.bytes, l.hash, l.declared
                 FROM moved m JOIN listing l ON l.job = m.job AND l.asset = m.asset
                 WHERE m.job = ?1 AND m.part = ?2 ORDER BY l.asset";
            return self.query(child, &values![job, p.part], read);
        }
        let mut assets = if p.title.is_empty() {
            let by_id = format!(
                "SELECT {ASSET} FROM listing WHERE job = ?1 AND asset BETWEEN ?2 AND ?3 ORDER BY asset"
            );
            self.query(&by_id, &values![job, &p.first, &p.last], read)?
        } else {
            let by_title = format!(
                "SELECT {ASSET} FROM listing
                 WHERE by_title = 1 AND job = ?1 AND title = ?2 AND asset BETWEEN ?3 AND ?4 ORDER BY asset"
            );
            self.query(&by_title, &values![job, &p.title, &p.first, &p.last], read)?
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
            let row = values![
                job,
                p.part,
                &p.title,
                &p.first,
                stored_last(p),
                p.assets,
                p.bytes,
                p.parent,
                p.split
            ];
            insert.execute(params_from_iter(row)).map_err(failed)?;
        }
        self.count(&insert);
        Ok(())
    }

    fn partitions_after(
        &mut self,
        job: JobNo,
        after: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<Partition>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM partition WHERE job = ?1 AND part > ?2 AND parent = 0 ORDER BY part LIMIT ?3"
        );
        self.query(&sql, &values![job, after, limit], read_partition)
    }

    fn partitions(&mut self, job: JobNo, parts: &[PartNo]) -> StoreResult<Vec<Partition>> {
        let sql = format!("SELECT {COLUMNS} FROM partition WHERE job = ?1 AND part = ?2");
        let mut find = |part: &PartNo| {
            let found = self.query_one(&sql, &values![job, *part], read_partition)?;
            found.ok_or_else(|| corrupt("no partition", part))
        };
        parts.iter().map(&mut find).collect()
    }

    fn children(&mut self, job: JobNo, first: PartNo, last: PartNo) -> StoreResult<Vec<PartNo>> {
        self.query(
            "SELECT part FROM partition WHERE job = ?1 AND parent > 0 AND parent BETWEEN ?2 AND ?3 ORDER BY part",
            &values![job, first, last],
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
        self.execute(
            "UPDATE partition SET assets = assets - ?3, split = 1 WHERE job = ?1 AND part = ?2",
            &values![job, part, assets],
        )?;
        Ok(())
    }

    fn move_assets(&mut self, job: JobNo, to: PartNo, assets: &[String]) -> StoreResult<()> {
        for asset in assets {
            self.execute(
                "INSERT INTO moved (job, asset, part) VALUES (?1, ?2, ?3)
                 ON CONFLICT (job, asset) DO UPDATE SET part = excluded.part",
                &values![job, asset, to],
            )?;
        }
        Ok(())
    }

    fn moved_away(
        &mut self,
        job: JobNo,
        part: PartNo,
        assets: &[String],
    ) -> StoreResult<Vec<String>> {
        let mut gone = Vec::new();
        for asset in assets {
            let sql = "SELECT part FROM moved WHERE job = ?1 AND asset = ?2";
            let home: Option<PartNo> =
                self.query_one(sql, &values![job, asset], |row| row.get(0))?;
            if home.is_some_and(|home| home != part) {
                gone.push(asset.clone());
            }
        }
        Ok(gone)
    }
}
