//! Partitions in PostgreSQL: written by COPY, read in runs, and remembered by the transaction.
use super::sql::{COLUMNS, read_partition, run_length, stored_last};
use super::{Partition, PartitionTx};
use crate::error::{StoreResult, corrupt};
use crate::listing::sql::{ASSET, read_asset};
use crate::postgres::copy::CopyRows;
use crate::postgres::tx::{PostgresTx, column, count, signed};
use crate::sql::{Row, Sql, values};
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::media::asset::Asset;
use std::collections::{HashMap, HashSet};

/// Runs of neighbours. Each is read in one walk over the listing and divided by the sizes of its partitions.
struct Runs<'p> {
    runs: Vec<&'p [Partition]>,
    /// The assets of each run, in canonical order.
    found: Vec<Vec<Asset>>,
}

impl<'p> Runs<'p> {
    fn of(partitions: &'p [Partition]) -> Runs<'p> {
        let (mut runs, mut rest) = (Vec::new(), partitions);
        while !rest.is_empty() {
            let (run, tail) = rest.split_at(run_length(rest));
            runs.push(run);
            rest = tail;
        }
        let found = runs.iter().map(|_| Vec::new()).collect();
        Runs { runs, found }
    }

    /// Numbers of the runs of this kind, with their first and last partition.
    fn chosen(
        &self,
        pick: impl Fn(&Partition) -> bool,
    ) -> Vec<(usize, &'p Partition, &'p Partition)> {
        let ends = |(at, run): (usize, &&'p [Partition])| (at, &run[0], &run[run.len() - 1]);
        self.runs
            .iter()
            .enumerate()
            .filter(|(_, run)| pick(&run[0]))
            .map(ends)
            .collect()
    }

    fn deal(self) -> StoreResult<Vec<Vec<Asset>>> {
        let mut members = Vec::new();
        for (run, mut assets) in self.runs.into_iter().zip(self.found) {
            let key = |a: &Asset, b: &Asset| (&a.title, &a.id).cmp(&(&b.title, &b.id));
            if run[0].title.is_empty() {
                assets.sort_by(|a, b| a.id.cmp(&b.id));
            } else {
                assets.sort_by(key);
            }
            if let [one] = run {
                // Splits may have removed any member, also the last one.
                let complete =
                    one.parent > 0 || one.split || assets.last().is_some_and(|a| a.id == one.last);
                if !complete {
                    return Err(corrupt("partition does not match the listing", one.part));
                }
                members.push(assets);
                continue;
            }
            let mut assets = assets.into_iter();
            for p in run {
                let own: Vec<Asset> = assets.by_ref().take(p.assets as usize).collect();
                if own.last().is_none_or(|a| a.id != p.last) {
                    return Err(corrupt("partition does not match the listing", p.part));
                }
                members.push(own);
            }
        }
        Ok(members)
    }
}

impl PostgresTx<'_> {
    fn walk(&mut self, job: JobNo, runs: &mut Runs<'_>, by_title: bool) -> StoreResult<()> {
        let chosen = runs.chosen(|p| p.parent == 0 && p.title.is_empty() != by_title);
        if chosen.is_empty() {
            return Ok(());
        }
        let numbers: Vec<i64> = chosen.iter().map(|(at, ..)| *at as i64).collect();
        let of = |name: fn(&Partition, &Partition) -> String| -> Vec<String> {
            chosen
                .iter()
                .map(|(_, first, last)| name(first, last))
                .collect()
        };
        let bounds = [
            of(|first, _| first.title.clone()),
            of(|first, _| first.first.clone()),
            of(|_, last| last.title.clone()),
            of(|_, last| last.last.clone()),
        ];
        // A comparison of rows ends a walk at the end of the last title, however long that is: within a title the asset
        // alone is compared.
        let within: &[&str] = if by_title {
            &[
                "r.t1 = r.t2 AND by_title = 1 AND job = ?1 AND title = r.t1 AND asset BETWEEN r.a1 AND r.a2",
                "r.t1 < r.t2 AND by_title = 1 AND job = ?1 AND title = r.t1 AND asset >= r.a1",
                "r.t1 < r.t2 AND by_title = 1 AND job = ?1 AND title > r.t1 AND title < r.t2",
                "r.t1 < r.t2 AND by_title = 1 AND job = ?1 AND title = r.t2 AND asset <= r.a2",
            ]
        } else {
            &["job = ?1 AND asset BETWEEN r.a1 AND r.a2"]
        };
        let pieces: Vec<String> = within
            .iter()
            .map(|within| format!("SELECT {ASSET} FROM listing WHERE {within}"))
            .collect();
        // OFFSET 0 keeps the planner from reversing the join, which it does for a table without statistics: each run would
        // then walk the whole job.
        let sql = format!(
            "SELECT l.*, r.n FROM unnest(?2::BIGINT[], ?3::TEXT[], ?4::TEXT[], ?5::TEXT[], ?6::TEXT[])
               AS r (n, t1, a1, t2, a2) CROSS JOIN LATERAL (SELECT * FROM ({}) AS pieces OFFSET 0) AS l",
            pieces.join(" UNION ALL ")
        );
        let [t1, a1, t2, a2] = &bounds;
        let rows = self.all(&sql, &[&job.0, &numbers, t1, a1, t2, a2], |row| {
            Ok((count::<usize>(row, 8)?, read_asset(Row::new(row), 0)?))
        })?;
        for (run, asset) in rows {
            runs.found[run].push(asset);
        }
        Ok(())
    }

    /// Members of partitions that splits made.
    fn adopt(&mut self, job: JobNo, runs: &mut Runs<'_>) -> StoreResult<()> {
        let children = runs.chosen(|p| p.parent > 0);
        if children.is_empty() {
            return Ok(());
        }
        let parts: Vec<PartNo> = children.iter().map(|(_, p, _)| p.part).collect();
        let runs_of: HashMap<PartNo, usize> =
            children.iter().map(|(at, p, _)| (p.part, *at)).collect();
        let rows = self.all(
            &format!(
                "SELECT l.*, own.part FROM unnest(?2::BIGINT[]) AS own (part)
                 CROSS JOIN LATERAL (SELECT asset FROM moved WHERE job = ?1 AND part = own.part OFFSET 0) AS m
                 CROSS JOIN LATERAL (SELECT {ASSET} FROM listing WHERE job = ?1 AND asset = m.asset OFFSET 0) AS l"
            ),
            &[&job.0, &parts],
            |row| Ok((column::<PartNo>(row, 8)?, read_asset(Row::new(row), 0)?)),
        )?;
        for (part, asset) in rows {
            if let Some(run) = runs_of.get(&part) {
                runs.found[*run].push(asset);
            }
        }
        Ok(())
    }

    /// Removes assets from split partitions that were moved elsewhere.
    fn part_with(&mut self, job: JobNo, runs: &mut Runs<'_>) -> StoreResult<()> {
        let split = runs.chosen(|p| p.parent == 0 && p.split);
        if split.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = split
            .iter()
            .flat_map(|(at, ..)| runs.found[*at].iter().map(|asset| asset.id.clone()))
            .collect();
        let homes = self.homes(job, &ids)?;
        for (at, p, _) in split {
            runs.found[at].retain(|asset| homes.get(&asset.id).is_none_or(|home| *home == p.part));
        }
        Ok(())
    }

    /// The partitions of those of these assets that have been moved.
    fn homes(&mut self, job: JobNo, assets: &[String]) -> StoreResult<HashMap<String, PartNo>> {
        let rows = self.all(
            "SELECT m.* FROM unnest(?2::TEXT[]) AS wanted (asset)
             CROSS JOIN LATERAL (SELECT asset, part FROM moved WHERE job = ?1 AND asset = wanted.asset OFFSET 0) AS m",
            &[&job.0, &assets],
            |row| Ok((column(row, 0)?, column(row, 1)?)),
        )?;
        Ok(rows.into_iter().collect())
    }

    /// Reads partitions that this transaction has not seen.
    fn look_up(&mut self, job: JobNo, parts: &[PartNo]) -> StoreResult<()> {
        let unseen: Vec<PartNo> = parts
            .iter()
            .copied()
            .filter(|part| !self.seen.partitions.contains_key(&(job, *part)))
            .collect();
        let (Some(first), Some(last)) = (unseen.iter().min(), unseen.iter().max()) else {
            return Ok(());
        };
        let rows = if parts.len() == 1 {
            let sql = format!(
                "SELECT {COLUMNS} FROM partition WHERE job = ?1 AND part >= ?2 ORDER BY part LIMIT ?3"
            );
            let ahead = self.seen.walks.partitions.ahead(*first);
            self.query(&sql, &values![job, *first, ahead], read_partition)?
        } else if last - first < unseen.len() as i64 * 4 {
            let sql = format!(
                "SELECT {COLUMNS} FROM partition WHERE job = ?1 AND part BETWEEN ?2 AND ?3"
            );
            self.query(&sql, &values![job, *first, *last], read_partition)?
        } else {
            let sql = format!(
                "SELECT p.* FROM unnest(?2::BIGINT[]) AS wanted (number) CROSS JOIN LATERAL
                   (SELECT {COLUMNS} FROM partition WHERE job = ?1 AND part = wanted.number OFFSET 0) AS p"
            );
            self.all(&sql, &[&job.0, &unseen], |row| {
                read_partition(Row::new(row))
            })?
        };
        self.seen
            .partitions
            .extend(rows.into_iter().map(|p| ((job, p.part), p)));
        Ok(())
    }
}

impl PartitionTx for PostgresTx<'_> {
    fn insert_partitions(&mut self, job: JobNo, partitions: &[Partition]) -> StoreResult<()> {
        if partitions.is_empty() {
            return Ok(());
        }
        let mut rows = CopyRows::new(9, partitions.len());
        for p in partitions {
            let row = rows
                .row()
                .int(job.0)
                .int(p.part)
                .text(&p.title)
                .text(&p.first)
                .text(stored_last(p));
            row.int(p.assets.into())
                .int(signed(p.bytes))
                .int(p.parent)
                .int(p.split.into());
        }
        self.copy(
            "COPY partition (job, part, title, first, last, assets, bytes, parent, split) FROM STDIN (FORMAT binary)",
            rows,
        )
    }

    fn prefetch(&mut self, job: JobNo, steps: &[StepNo], parts: &[PartNo]) -> StoreResult<()> {
        if parts.len() < 2 {
            return Ok(());
        }
        self.look_up(job, parts)?;
        steps
            .iter()
            .try_for_each(|step| self.look_up_units(job, *step, parts))
    }

    fn partitions_after(
        &mut self,
        job: JobNo,
        after: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<Partition>> {
        let mut found: Vec<Partition> = Vec::new();
        for (partition, members) in self
            .prefetcher
            .as_mut()
            .map_or_else(Vec::new, |p| p.take(job, after, limit))
        {
            self.seen.members.insert((job, partition.part), members);
            found.push(partition);
        }
        if found.is_empty() {
            let sql = format!(
                "SELECT {COLUMNS} FROM partition WHERE job = ?1 AND part > ?2 AND parent = 0 ORDER BY part LIMIT ?3"
            );
            found = self.query(&sql, &values![job, after, limit], read_partition)?;
        }
        if let (Some(prefetcher), Some(last)) = (&mut self.prefetcher, found.last()) {
            prefetcher.returned(job, last.part, limit);
        }
        Ok(found)
    }

    fn partitions(&mut self, job: JobNo, parts: &[PartNo]) -> StoreResult<Vec<Partition>> {
        self.look_up(job, parts)?;
        let found = |part: &PartNo| self.seen.partitions.get(&(job, *part)).cloned();
        parts
            .iter()
            .map(|part| found(part).ok_or_else(|| corrupt("no partition", part)))
            .collect()
    }

    fn children(&mut self, job: JobNo, first: PartNo, last: PartNo) -> StoreResult<Vec<PartNo>> {
        // Unordered, so that the index applies: ordered by part, all partitions of the job would be read.
        let mut found: Vec<PartNo> = self.all(
            "SELECT part FROM partition WHERE job = ?1 AND parent > 0 AND parent BETWEEN ?2 AND ?3",
            &[&job.0, &first, &last],
            |row| column(row, 0),
        )?;
        found.sort_unstable();
        Ok(found)
    }

    fn members(&mut self, job: JobNo, partitions: &[Partition]) -> StoreResult<Vec<Vec<Asset>>> {
        let known = |p: &Partition| self.seen.members.contains_key(&(job, p.part));
        if !partitions.is_empty() && partitions.iter().all(known) {
            let mut take =
                |p: &Partition| self.seen.members.remove(&(job, p.part)).unwrap_or_default();
            return Ok(partitions.iter().map(&mut take).collect());
        }
        let mut runs = Runs::of(partitions);
        self.walk(job, &mut runs, false)?;
        self.walk(job, &mut runs, true)?;
        self.adopt(job, &mut runs)?;
        self.part_with(job, &mut runs)?;
        runs.deal()
    }

    fn shrink_partition(&mut self, job: JobNo, part: PartNo, assets: u32) -> StoreResult<()> {
        self.seen.partitions.remove(&(job, part));
        self.seen.members.clear();
        if let Some(prefetcher) = &mut self.prefetcher {
            prefetcher.forget(job);
        }
        self.run(
            "UPDATE partition SET assets = assets - ?3, split = 1 WHERE job = ?1 AND part = ?2",
            &[&job.0, &part, &i64::from(assets)],
        )?;
        Ok(())
    }

    fn move_assets(&mut self, job: JobNo, to: PartNo, assets: &[String]) -> StoreResult<()> {
        if assets.is_empty() {
            return Ok(());
        }
        self.run(
            "INSERT INTO moved (job, asset, part) SELECT DISTINCT ?1::BIGINT, a.asset, ?2::BIGINT
             FROM unnest(?3::TEXT[]) AS a (asset) ORDER BY a.asset
             ON CONFLICT (job, asset) DO UPDATE SET part = excluded.part",
            &[&job.0, &to, &assets],
        )?;
        Ok(())
    }

    fn moved_away(
        &mut self,
        job: JobNo,
        part: PartNo,
        assets: &[String],
    ) -> StoreResult<Vec<String>> {
        if assets.is_empty() {
            return Ok(Vec::new());
        }
        let homes = self.homes(job, assets)?;
        let gone: HashSet<&String> = homes
            .iter()
            .filter(|(_, home)| **home != part)
            .map(|(id, _)| id)
            .collect();
        Ok(assets
            .iter()
            .filter(|id| gone.contains(id))
            .cloned()
            .collect())
    }
}
