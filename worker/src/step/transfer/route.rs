//! Which engine transfers a unit. Decided from the request and the locations alone, before anything is opened.
use super::remote::OnConflict;
use protocol::media::asset::Asset;
use protocol::model::location::Scheme;
use protocol::wire::step::multipart::{
    BeginUploadsTask, CompleteUploadsTask, SliceTask, UploadReceipts,
};
use protocol::wire::step::transfer::TransferTask;

/// What a unit of a transfer step asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Copy and verify. Different content at a destination is a conflict.
    Copy(&'a TransferTask),
    /// Copy and verify. Different content at a destination is replaced and stays as an older version.
    Replace(&'a TransferTask),
    /// Open multipart uploads for large assets, or copy when there are none.
    BeginUploads(&'a BeginUploadsTask),
    /// Send one slice of a large asset.
    SendSlice(&'a SliceTask),
    /// Complete the multipart uploads and copy the other assets, or discard the uploads.
    CompleteUploads(&'a CompleteUploadsTask),
}

impl<'a> Request<'a> {
    /// The transfer whose target the unit writes to; `None` when it only discards what was begun.
    pub(super) fn task(self) -> Option<&'a TransferTask> {
        match self {
            Request::Copy(task) | Request::Replace(task) => Some(task),
            Request::BeginUploads(task) => Some(&task.transfer),
            Request::SendSlice(task) => Some(&task.transfer),
            Request::CompleteUploads(task) => (!task.discard).then_some(&task.transfer),
        }
    }
}

/// How a unit is transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// All sources are files and the target is a directory: the local engine copies.
    Local(&'a TransferTask),
    /// A storage that is no directory takes part everywhere: the remote engine copies.
    Remote {
        task: &'a TransferTask,
        on_conflict: OnConflict,
        uploads: &'a [UploadReceipts],
    },
    /// The target is a directory and only some sources are files: each engine copies its own.
    Split {
        task: &'a TransferTask,
        uploads: &'a [UploadReceipts],
    },
    /// Multipart uploads are opened.
    BeginUploads(&'a BeginUploadsTask),
    /// One slice is sent.
    SendSlice(&'a SliceTask),
    /// Multipart uploads are aborted.
    DiscardUploads(&'a CompleteUploadsTask),
}

impl<'a> Route<'a> {
    /// The route of a unit with these assets.
    pub(super) fn of(request: Request<'a>, assets: &[Asset]) -> Route<'a> {
        match request {
            Request::Copy(task) => Route::of_copy(task, &[], assets),
            Request::Replace(task) => Route::Remote {
                task,
                on_conflict: OnConflict::KeepVersion,
                uploads: &[],
            },
            Request::BeginUploads(task) if divisible(task, assets).next().is_some() => {
                Route::BeginUploads(task)
            }
            Request::BeginUploads(task) => Route::of_copy(&task.transfer, &[], assets),
            Request::SendSlice(task) => Route::SendSlice(task),
            Request::CompleteUploads(task) if task.discard => Route::DiscardUploads(task),
            Request::CompleteUploads(task) => {
                Route::of_copy(&task.transfer, &task.open_uploads, assets)
            }
        }
    }

    fn of_copy(
        task: &'a TransferTask,
        uploads: &'a [UploadReceipts],
        assets: &[Asset],
    ) -> Route<'a> {
        let remote = Route::Remote {
            task,
            on_conflict: OnConflict::Fail,
            uploads,
        };
        if !Scheme::is_local(&task.to) {
            return remote;
        }
        let others = assets.iter().filter(|asset| is_remote(asset)).count();
        match others {
            0 => Route::Local(task),
            others if others == assets.len() => remote,
            _ => Route::Split { task, uploads },
        }
    }
}

/// Whether only the remote engine opens the source of an asset. The local engine reports unknown schemes.
pub(super) fn is_remote(asset: &Asset) -> bool {
    Scheme::of(&asset.location).is_some_and(|scheme| scheme != Scheme::File)
}

/// The assets that several workers may send: large ones, except from file to file, where one worker is as fast as the
/// disks.
pub(super) fn divisible<'a>(
    task: &BeginUploadsTask,
    assets: &'a [Asset],
) -> impl Iterator<Item = &'a Asset> {
    let (above, to_local) = (task.above, Scheme::is_local(&task.transfer.to));
    let large = move |asset: &&Asset| asset.bytes.is_none_or(|bytes| bytes >= above);
    assets
        .iter()
        .filter(large)
        .filter(move |asset| !to_local || is_remote(asset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::media::asset::Role;
    use protocol::wire::step::multipart::{OpenUpload, SourceVersion};

    fn task(to: &str) -> TransferTask {
        TransferTask {
            to: to.into(),
            verify: None,
            hashes: vec![],
            job: "j".into(),
            mhl: false,
        }
    }

    fn asset(location: &str, bytes: Option<u64>) -> Asset {
        Asset {
            id: location.into(),
            title: "t".into(),
            role: Role::Master,
            location: location.into(),
            path: "a".into(),
            bytes,
            hash: None,
            declared: None,
        }
    }

    /// The route of a copy, by name.
    fn copy(to: &str, sources: &[&str]) -> &'static str {
        let (task, assets) = (
            task(to),
            sources
                .iter()
                .map(|source| asset(source, None))
                .collect::<Vec<_>>(),
        );
        match Route::of(Request::Copy(&task), &assets) {
            Route::Local(_) => "local",
            Route::Remote {
                on_conflict: OnConflict::Fail,
                uploads: [],
                ..
            } => "remote",
            Route::Split { uploads: [], .. } => "split",
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn copy_route_follows_from_schemes() {
        for (to, sources, route) in [
            ("file:/o/{path}", &["file:/a", "file:///b"][..], "local"),
            ("file:/o/{path}", &[], "local"),
            (
                "file:/o/{path}",
                &["s3://b/a", "gs://b/a", "https://h/a", "http://h/a"],
                "remote",
            ),
            ("file:/o/{path}", &["file:/a", "s3://b/a"], "split"),
            ("file:/o/{path}", &["smb://h/a", "/a"], "local"),
            ("s3://b/{path}", &["file:/a"], "remote"),
            ("gs://b/{path}", &["file:/a", "s3://b/a"], "remote"),
            ("ftp://b/{path}", &["file:/a"], "remote"),
        ] {
            assert_eq!(copy(to, sources), route, "{sources:?} to {to}");
        }
    }

    #[test]
    fn replace_is_always_remote_and_keeps_versions() {
        let task = task("file:/o/{path}");
        let expected = Route::Remote {
            task: &task,
            on_conflict: OnConflict::KeepVersion,
            uploads: &[],
        };
        assert_eq!(
            Route::of(Request::Replace(&task), &[asset("file:/a", None)]),
            expected
        );
    }

    #[test]
    fn uploads_are_opened_for_large_assets_unless_file_to_file() {
        for (to, source, bytes, opens) in [
            ("s3://b/{path}", "file:/a", Some(100), true),
            ("s3://b/{path}", "file:/a", None, true),
            ("s3://b/{path}", "file:/a", Some(99), false),
            ("file:/o/{path}", "s3://b/a", Some(100), true),
            ("file:/o/{path}", "file:/a", Some(100), false),
        ] {
            let (open, assets) = (
                BeginUploadsTask {
                    transfer: task(to),
                    above: 100,
                    wanted: 2,
                    bytes_min: 1,
                },
                [asset(source, bytes)],
            );
            let route = Route::of(Request::BeginUploads(&open), &assets);
            assert_eq!(
                matches!(route, Route::BeginUploads(_)),
                opens,
                "{source} of {bytes:?} to {to}: {route:?}"
            );
        }
    }

    #[test]
    fn slice_completion_and_discard_keep_their_task() {
        let open_upload = OpenUpload {
            asset: "s3://b/a".into(),
            bytes: 9,
            part_bytes: 8,
            slice_bytes: 8,
            measured: false,
            upload: "u".into(),
            version: SourceVersion {
                tag: "v".into(),
                id: None,
            },
        };
        let slice = SliceTask {
            transfer: task("file:/o/{path}"),
            open_upload: open_upload.clone(),
            first: 0,
            bytes: 8,
            measures: false,
        };
        assert_eq!(
            Route::of(Request::SendSlice(&slice), &[]),
            Route::SendSlice(&slice)
        );
        let open_uploads = vec![UploadReceipts {
            open_upload,
            receipts: vec![],
        }];
        let mut complete = CompleteUploadsTask {
            transfer: task("file:/o/{path}"),
            open_uploads,
            discard: false,
        };
        let assets = [asset("s3://b/a", None), asset("file:/a", None)];
        let expected = Route::Split {
            task: &complete.transfer,
            uploads: &complete.open_uploads,
        };
        assert_eq!(
            Route::of(Request::CompleteUploads(&complete), &assets),
            expected
        );
        complete.discard = true;
        assert_eq!(
            Route::of(Request::CompleteUploads(&complete), &assets),
            Route::DiscardUploads(&complete)
        );
    }
}
