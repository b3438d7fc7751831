//! Partitions in memory.
use super::{Partition, PartitionTx};
use crate::cost;
use crate::error::{StoreError, StoreResult};
use crate::memory::{Memory, missing};
use protocol::id::{JobNo, PartNo};
use protocol::media::asset::Asset;

impl PartitionTx for Memory {
    fn insert_partitions(&mut self, job: JobNo, partitions: &[Partition]) -> StoreResult<()> {
        cost::rows(partitions.len());
        for partition in partitions {
            let clash = self
                .partition
                .partitions
                .insert((job, partition.part), partition.clone());
            if clash.is_some() {
                return Err(StoreError::Database(format!(
                    "partition {} exists",
                    partition.part
                )));
            }
        }
        Ok(())
    }

    fn partitions_after(
        &mut self,
        job: JobNo,
        after: PartNo,
        limit: u32,
    ) -> StoreResult<Vec<Partition>> {
        let range = self
            .partition
            .partitions
            .range((job, after + 1)..=(job, PartNo::MAX));
        Ok(range
            .map(|(_, p)| p)
            .filter(|p| p.parent == 0)
            .take(limit as usize)
            .cloned()
            .collect())
    }

    fn partitions(&mut self, job: JobNo, parts: &[PartNo]) -> StoreResult<Vec<Partition>> {
        cost::rows(parts.len());
        parts
            .iter()
            .map(|part| {
                self.partition
                    .partitions
                    .get(&(job, *part))
                    .cloned()
                    .ok_or_else(|| missing("partition"))
            })
            .collect()
    }

    fn children(&mut self, job: JobNo, first: PartNo, last: PartNo) -> StoreResult<Vec<PartNo>> {
        let of_job = self
            .partition
            .partitions
            .range((job, 0)..=(job, PartNo::MAX))
            .map(|(_, p)| p);
        Ok(of_job
            .filter(|p| p.parent > 0 && (first..=last).contains(&p.parent))
            .map(|p| p.part)
            .collect())
    }

    fn members(&mut self, job: JobNo, partitions: &[Partition]) -> StoreResult<Vec<Vec<Asset>>> {
        let of_job: Vec<&Asset> = self
            .listing
            .assets
            .iter()
            .filter(|((j, _), _)| *j == job)
            .map(|(_, (_, asset))| asset)
            .collect();
        let in_partition = |p: &Partition, asset: &Asset| {
            if let Some(home) = self.partition.moved.get(&(job, asset.id.clone())) {
                return *home == p.part;
            }
            p.parent == 0
                && (p.title.is_empty() || p.title == asset.title)
                && p.first <= asset.id
                && asset.id <= p.last
        };
        cost::rows(partitions.iter().map(|p| p.assets as usize).sum());
        Ok(partitions
            .iter()
            .map(|p| {
                of_job
                    .iter()
                    .filter(|asset| in_partition(p, asset))
                    .map(|asset| (*asset).clone())
                    .collect()
            })
            .collect())
    }

    fn shrink_partition(&mut self, job: JobNo, part: PartNo, assets: u32) -> StoreResult<()> {
        let partition = self
            .partition
            .partitions
            .get_mut(&(job, part))
            .ok_or_else(|| missing("partition"))?;
        partition.assets = partition.assets.saturating_sub(assets);
        partition.split = true;
        Ok(())
    }

    fn move_assets(&mut self, job: JobNo, to: PartNo, assets: &[String]) -> StoreResult<()> {
        cost::rows(assets.len());
        for asset in assets {
            self.partition.moved.insert((job, asset.clone()), to);
        }
        Ok(())
    }

    fn moved_away(
        &mut self,
        job: JobNo,
        part: PartNo,
        assets: &[String],
    ) -> StoreResult<Vec<String>> {
        let gone = |asset: &&String| {
            self.partition
                .moved
                .get(&(job, (*asset).clone()))
                .is_some_and(|home| *home != part)
        };
        Ok(assets.iter().filter(gone).cloned().collect())
    }
}
