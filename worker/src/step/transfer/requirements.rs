//! Requirements on the content of an asset: hashes and size.
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::model::hash::HashAlgorithm;
use protocol::wire::step::transfer::TransferTask;
use storage::hash::Digest;

/// A file that has changed since its listing is stable after this time without a write, in microseconds.
const SETTLE_US: i64 = 2_000_000;

/// Whether a file that was last written at `at` is stable. A future time comes from another clock and is ignored.
fn rests(at: i64, now: i64) -> bool {
    !(0..SETTLE_US).contains(&(now - at))
}

/// The required hashes of one asset.
#[derive(Debug, Clone)]
pub(in crate::step) struct ContentRequirements {
    /// Location of the source, for messages.
    source: String,
    /// The hash that the manifest declares.
    pub(in crate::step) declared: Option<Digest>,
    /// The hash that verifies the copy.
    pub(in crate::step) verify: Option<HashAlgorithm>,
    /// All hashes to compute of the source, without repetition.
    pub(in crate::step) algorithms: Vec<HashAlgorithm>,
}

impl ContentRequirements {
    /// Collects the requirements of a transfer and of the manifest. `source` names the asset in messages.
    pub(in crate::step) fn of_transfer(
        task: &TransferTask,
        asset: &Asset,
        source: String,
    ) -> Result<ContentRequirements, Failure> {
        ContentRequirements::new(&task.hashes, task.verify, asset, source)
    }

    /// Collects the requirements of a step and of the manifest. `source` names the asset in messages.
    pub(in crate::step) fn new(
        hashes: &[HashAlgorithm],
        verify: Option<HashAlgorithm>,
        asset: &Asset,
        source: String,
    ) -> Result<ContentRequirements, Failure> {
        let declared = match asset.hash.as_deref().filter(|hash| !hash.trim().is_empty()) {
            Some(text) => Some(
                Digest::parse(text).map_err(|error| Failure::permanent("hash_invalid", error))?,
            ),
            None => None,
        };
        let mut algorithms: Vec<HashAlgorithm> = hashes.to_vec();
        algorithms.extend(verify);
        algorithms.extend(declared.as_ref().map(|digest| digest.algorithm));
        algorithms.sort_unstable();
        algorithms.dedup();
        Ok(ContentRequirements {
            source,
            declared,
            verify,
            algorithms,
        })
    }

    /// Compares computed digests with the declared one.
    pub(in crate::step) fn check_declared(&self, digests: &[Digest]) -> Result<(), Failure> {
        let Some(declared) = &self.declared else {
            return Ok(());
        };
        match digests
            .iter()
            .find(|digest| digest.algorithm == declared.algorithm)
        {
            Some(found) if found == declared => Ok(()),
            found => {
                let found = found.map_or("nothing".to_owned(), Digest::to_string);
                let source = &self.source;
                let message = format!(
                    "source {source} hashes to {found}, declared is {declared}: deliver the right file or correct the manifest"
                );
                Err(Failure::permanent("hash_mismatch", message))
            }
        }
    }

    /// Checks the size of the source against what the manifest declares. The size of a listing is no declaration: a
    /// file with another size is read once it is stable. `modified_us` is when it was last written, in microseconds
    /// since 1970, for files that others may be writing.
    pub(in crate::step) fn check_size(
        &self,
        asset: &Asset,
        bytes: u64,
        modified_us: Option<i64>,
    ) -> Result<(), Failure> {
        if asset.size_is_observed() {
            let now = jiff::Timestamp::now().as_microsecond();
            let moving = asset.bytes.is_some_and(|seen| seen != bytes)
                && modified_us.is_some_and(|at| !rests(at, now));
            let source = &self.source;
            return match moving {
                true => Err(Failure::transient(
                    "source_changed",
                    format!(
                        "source {source} is still being written ({bytes} bytes now): it is copied once it rests"
                    ),
                )),
                false => Ok(()),
            };
        }
        match asset.bytes {
            Some(declared) if declared != bytes => {
                let source = &self.source;
                let message = format!(
                    "source {source} has {bytes} bytes, declared are {declared}: deliver the right file or correct the manifest"
                );
                Err(Failure::permanent("size_mismatch", message))
            }
            _ => Ok(()),
        }
    }

    /// The digest of a fact: the verifying one, else that of the declared algorithm, else any required one.
    pub(in crate::step) fn reported(&self, digests: &[Digest]) -> Option<String> {
        let wanted = self
            .verify
            .or(self.declared.as_ref().map(|digest| digest.algorithm));
        let chosen = digests
            .iter()
            .find(|digest| Some(digest.algorithm) == wanted);
        let asked = || {
            digests
                .iter()
                .find(|digest| self.algorithms.contains(&digest.algorithm))
        };
        chosen.or_else(asked).map(Digest::to_string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::media::asset::Role;

    #[test]
    fn observed_size_waits_for_rest_and_declared_size_is_held() {
        let task = TransferTask {
            to: "file:/o/{path}".into(),
            verify: None,
            hashes: vec![],
            job: "j".into(),
            mhl: false,
        };
        let mut asset = Asset {
            id: "a".into(),
            title: "t".into(),
            role: Role::Master,
            location: "file:/a".into(),
            path: "a".into(),
            bytes: Some(6),
            hash: None,
            declared: None,
        };
        let requirements =
            ContentRequirements::of_transfer(&task, &asset, "/a".into()).expect("valid");
        let now = jiff::Timestamp::now().as_microsecond();
        let reason = |asset: &Asset, bytes, at| {
            requirements
                .check_size(asset, bytes, at)
                .err()
                .map(|failure| failure.reason)
        };
        assert_eq!(reason(&asset, 6, Some(now)), None);
        assert_eq!(
            reason(&asset, 11, Some(0)).as_deref(),
            Some("size_mismatch")
        );
        asset.note_listed(false);
        assert_eq!(
            reason(&asset, 11, Some(now)).as_deref(),
            Some("source_changed")
        );
        assert_eq!(reason(&asset, 11, Some(now - SETTLE_US)), None);
        assert_eq!(reason(&asset, 11, None), None);
        assert_eq!(reason(&asset, 6, Some(now)), None);
        assert!(rests(now + 60_000_000, now));
    }
}
