//! The content of a bucket, read through the product's storage.
use protocol::model::hash::HashAlgorithm;
use std::sync::Arc;
use storage::settings::{EndpointSettings, StorageSettings};
use storage::{Registry, Storage};
use testkit::weed::Weed;
use tokio_util::sync::CancellationToken;

async fn open(weed: &Weed) -> Arc<dyn Storage> {
    let endpoint = EndpointSettings {
        prefix: format!("s3://{}", weed.bucket()),
        url: Some(weed.url().to_owned()),
        credentials_file: Some(weed.credentials().to_owned()),
        ..EndpointSettings::default()
    };
    let settings = StorageSettings {
        endpoints: vec![endpoint],
        ..StorageSettings::default()
    };
    let location = format!("s3://{}/x", weed.bucket());
    Registry::new(settings)
        .open(&location, None)
        .await
        .expect("a bucket that was made opens")
        .storage
}

/// Keys of multipart uploads that are neither completed nor aborted.
///
/// # Panics
/// When the server does not answer.
pub fn uploads(weed: &Weed) -> Vec<String> {
    let uploads = block_on(async {
        let storage = open(weed).await;
        let uploads = storage.multipart("").expect("it takes content in parts");
        uploads.uploads("").await.expect("uploads are listed")
    });
    uploads.into_iter().map(|upload| upload.key).collect()
}

/// Size of an object and the `xxh128:` hash of its whole content; `None` when there is none.
///
/// # Panics
/// When it cannot be read.
pub fn hash(weed: &Weed, key: &str) -> Option<(u64, String)> {
    block_on(async {
        let storage = open(weed).await;
        let state = storage.stat(key).await.ok()?;
        let bytes = state.bytes;
        let cancel = CancellationToken::new();
        let digests =
            storage::content::digests(storage, &state, &[HashAlgorithm::Xxh128], None, &cancel)
                .await;
        let digest = digests
            .expect("an object that exists is readable")
            .expect("not cancelled")
            .remove(0);
        Some((bytes, digest.to_string()))
    })
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime can be made").block_on(future)
}
