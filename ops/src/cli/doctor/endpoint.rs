//! Endpoints of the storage file, tried with a probe object: list, write, upload in parts, remove.
use super::{Finding, bad, ok};
use crate::output::text;
use ::storage::{
    Attributes, BeginRequest, ListRequest, ListStart, PARTIAL_SUFFIX, Precondition, PutRequest,
    Storage,
};
use ::storage::{Body, Registry, StorageError};
use protocol::model::location::Scheme;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Content of the probe object.
const CONTENT: &[u8] = b"showrunner doctor\n";

/// Whether a root is there and takes files.
pub(super) fn root(root: &Path) -> Finding {
    let probe = root.join(probe_name());
    let tried = std::fs::read_dir(root)
        .map(drop)
        .and_then(|()| std::fs::write(&probe, CONTENT));
    drop(std::fs::remove_file(&probe));
    match tried {
        Ok(()) => ok(
            "root",
            format!("{} can be read and written", root.display()),
        ),
        Err(error) => bad("root", format!("{}: {error}", root.display())),
    }
}

/// Whether the locations that begin with a prefix can be used: what can be done there, and what cannot.
pub(super) async fn endpoint(registry: &Registry, prefix: &str) -> Finding {
    let shown = crate::settings::mask_url(prefix);
    let Some(place) = probed(prefix) else {
        return ok(
            "endpoint",
            format!(
                "{shown}: not tried, no bucket is named; try one with `doctor {shown}//BUCKET`"
            ),
        );
    };
    let opened = match registry.open(&place, root_of(&place).as_deref()).await {
        Ok(opened) => opened,
        Err(error) => return bad("endpoint", format!("{shown}: {error}")),
    };
    let storage = opened.storage;
    if !storage.capabilities().write {
        return match storage.stat(&opened.key).await {
            // The prefix itself need not exist; a "not found" proves that the endpoint answers.
            Ok(_) | Err(StorageError::NotFound(_)) => {
                ok("endpoint", format!("{shown}: it answers; it is only read"))
            }
            Err(error) => bad("endpoint", format!("{shown}: {}", text(&error.to_string()))),
        };
    }
    let folder = opened
        .key
        .rsplit_once('/')
        .map_or_else(String::new, |(folder, _)| format!("{folder}/"));
    let tried = tried(&storage, &folder, &opened.key).await;
    let failed: Vec<String> = tried
        .iter()
        .filter_map(|(what, result)| {
            Some(format!(
                "{what}: {}",
                text(&result.as_ref().err()?.to_string())
            ))
        })
        .collect();
    let done: Vec<&str> = tried
        .iter()
        .filter(|(_, result)| result.is_ok())
        .map(|(what, _)| *what)
        .collect();
    if failed.is_empty() {
        return ok("endpoint", format!("{shown}: {}", done.join(", ")));
    }
    let works = if done.is_empty() {
        String::new()
    } else {
        format!("; works: {}", done.join(", "))
    };
    bad("endpoint", format!("{shown}: {}{works}", failed.join("; ")))
}

/// Tries each kind of request; the probe object and the begun upload are removed again.
async fn tried(
    storage: &Arc<dyn Storage>,
    folder: &str,
    key: &str,
) -> Vec<(&'static str, Result<(), StorageError>)> {
    let mut tried = Vec::new();
    if storage.capabilities().list {
        let request = ListRequest {
            prefix: folder,
            start: ListStart::First,
            objects_max: 1,
        };
        tried.push(("list", storage.list(request).await.map(drop)));
    }
    let body = Body::new(
        [bytes::Bytes::from_static(CONTENT)],
        storage.capabilities().checksum,
    );
    let (attributes, precondition) = (&Attributes::default(), &Precondition::IfAbsent);
    let put = storage
        .put(PutRequest {
            key,
            body: &body,
            attributes,
            precondition,
        })
        .await;
    let version = put.as_ref().ok().map(|state| state.version.clone());
    tried.push(("put", put.map(drop)));
    if let Ok(uploads) = storage.multipart(key) {
        let part_key = format!("{folder}{}", probe_name());
        let upload = uploads
            .begin(BeginRequest {
                key: &part_key,
                attributes,
                source: None,
            })
            .await;
        tried.push(match upload {
            Ok(upload) => ("multipart upload", uploads.abort(&upload).await),
            Err(error) => ("multipart upload", Err(error)),
        });
    }
    if version.is_some() {
        tried.push(("delete", storage.delete(key, None).await));
    }
    tried
}

/// The location of a probe object below a prefix; none where the prefix names no bucket.
fn probed(prefix: &str) -> Option<String> {
    let (scheme, rest) = prefix.split_once(':')?;
    let rest = if scheme == Scheme::File.as_str() {
        rest
    } else {
        rest.strip_prefix("//")?
    };
    let named = rest.trim_end_matches('/');
    (!named.is_empty()).then(|| format!("{}/{}", prefix.trim_end_matches('/'), probe_name()))
}

/// The directory that the probe of a `file:` prefix lies in.
fn root_of(place: &str) -> Option<PathBuf> {
    Path::new(place.strip_prefix(Scheme::File.prefix())?)
        .parent()
        .map(Path::to_path_buf)
}

/// A name that no listing of a library takes for an asset, should the probe be left behind.
fn probe_name() -> String {
    format!(
        ".showrunner-doctor-{:016x}{PARTIAL_SUFFIX}",
        fastrand::u64(..)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_without_a_bucket_is_not_probed() {
        for none in ["s3:", "s3://", "gs:", "https://", "file:", "file:/"] {
            assert_eq!(probed(none), None, "{none}");
        }
        for some in [
            "s3://b",
            "s3://b/p/",
            "gs://b",
            "https://h/p",
            "file:/media",
        ] {
            let place = probed(some).expect(some);
            assert!(
                place.starts_with(some.trim_end_matches('/'))
                    && place.contains("/.showrunner-doctor-"),
                "{place}"
            );
            assert!(::storage::is_unfinished_path(&place), "{place}");
        }
    }
}
