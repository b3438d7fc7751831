//! Listings in memory.
use super::{Appended, ListingTx, RowsOf, duplicate};
use crate::cost;
use crate::error::StoreResult;
use crate::memory::Memory;
use protocol::id::{JobNo, PartNo};
use protocol::media::asset::Asset;
use protocol::rules::library::partition::Member;
use protocol::wire::report::{ListedAsset, RowError};
use std::collections::BTreeSet;

impl ListingTx for Memory {
    fn append_listing(
        &mut self,
        job: JobNo,
        _by_title: bool,
        page: &[ListedAsset],
    ) -> StoreResult<Appended> {
        cost::rows(page.len());
        let mut done = Appended::default();
        for ListedAsset { line, asset } in page {
            let key = (job, asset.id.clone());
            match self.listing.assets.get(&key) {
                Some((first, known)) if first != line => {
                    done.errors
                        .push(duplicate(asset, *line, *first, &known.title));
                }
                Some(_) => {}
                None => {
                    done.assets += 1;
                    done.bytes += asset.bytes.unwrap_or(0);
                    self.listing.assets.insert(key, (*line, asset.clone()));
                }
            }
        }
        Ok(done)
    }

    fn append_row_errors(&mut self, job: JobNo, errors: &[RowError]) -> StoreResult<u64> {
        let before = self.listing.row_errors.len();
        for error in errors {
            self.listing
                .row_errors
                .entry((job, error.line, error.message.clone()))
                .or_insert_with(|| (error.clone(), None));
        }
        Ok((self.listing.row_errors.len() - before) as u64)
    }

    fn row_errors(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>> {
        let of_job = self
            .listing
            .row_errors
            .iter()
            .filter(|((j, _, _), _)| *j == job);
        Ok(of_job
            .take(limit as usize)
            .map(|(_, (error, _))| error.clone())
            .collect())
    }

    fn uncounted_rows(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<RowError>> {
        let of_job = self
            .listing
            .row_errors
            .iter()
            .filter(|((j, _, _), _)| *j == job)
            .map(|(_, row)| row);
        let waiting = of_job.filter(|(error, part)| part.is_none() && error.title.is_some());
        let mut rows: Vec<RowError> = waiting.map(|(error, _)| error.clone()).collect();
        rows.sort_by(|a, b| (&a.title, &a.asset, a.line).cmp(&(&b.title, &b.asset, b.line)));
        rows.truncate(limit as usize);
        Ok(rows)
    }

    fn count_rows(&mut self, job: JobNo, rows: &[(RowError, PartNo)]) -> StoreResult<()> {
        for (error, part) in rows {
            if let Some((_, counted)) =
                self.listing
                    .row_errors
                    .get_mut(&(job, error.line, error.message.clone()))
            {
                *counted = Some(*part);
            }
        }
        Ok(())
    }

    fn counted_rows(
        &mut self,
        job: JobNo,
        of: RowsOf<'_>,
        limit: u32,
    ) -> StoreResult<Vec<RowError>> {
        let of_job = self
            .listing
            .row_errors
            .iter()
            .filter(|((j, _, _), _)| *j == job)
            .map(|(_, row)| row);
        let counted = of_job.filter_map(|(error, part)| Some((error, (*part)?)));
        let wanted = counted.filter(|(error, part)| match of {
            RowsOf::Title(title) => error.title.as_deref() == Some(title),
            RowsOf::Parts(first, last) => (first..=last).contains(part),
            RowsOf::Job => true,
        });
        Ok(wanted
            .take(limit as usize)
            .map(|(error, _)| error.clone())
            .collect())
    }

    fn listed_asset(&mut self, job: JobNo, asset: &str) -> StoreResult<Option<Asset>> {
        let found = self.listing.assets.get(&(job, asset.to_owned()));
        Ok(found.map(|(_, asset)| asset.clone()))
    }

    fn listing_after(
        &mut self,
        job: JobNo,
        by_title: bool,
        row_bytes: bool,
        after: Option<(&str, &str)>,
        limit: u32,
    ) -> StoreResult<Vec<Member>> {
        let title = |asset: &Asset| {
            if by_title {
                asset.title.clone()
            } else {
                String::new()
            }
        };
        let size = |asset: &Asset| if row_bytes { bytes_of_row(asset) } else { 0 };
        let of_job = self
            .listing
            .assets
            .iter()
            .filter(|((j, _), _)| *j == job)
            .map(|(_, (_, asset))| asset);
        let mut members: Vec<Member> = of_job
            .map(|a| Member {
                title: title(a),
                id: a.id.clone(),
                bytes: a.bytes.unwrap_or(0),
                row_bytes: size(a),
            })
            .filter(|m| after.is_none_or(|(t, id)| (m.title.as_str(), m.id.as_str()) > (t, id)))
            .collect();
        members.sort();
        members.truncate(limit as usize);
        Ok(members)
    }

    fn listed(&mut self, job: JobNo, assets: &[&str]) -> StoreResult<Vec<ListedAsset>> {
        let wanted: BTreeSet<&str> = assets.iter().copied().collect();
        let found = wanted.into_iter().filter_map(|asset| {
            let (line, asset) = self.listing.assets.get(&(job, asset.to_owned()))?;
            Some(ListedAsset {
                line: *line,
                asset: asset.clone(),
            })
        });
        Ok(found.collect())
    }
}

/// Bytes of an asset's row.
fn bytes_of_row(asset: &Asset) -> u64 {
    let declared = asset
        .declared
        .as_ref()
        .and_then(|declared| serde_json::to_string(declared).ok());
    let texts = [&asset.id, &asset.title, &asset.location, &asset.path].into_iter();
    texts
        .chain(&asset.hash)
        .chain(&declared)
        .map(|text| text.len() as u64)
        .sum()
}
