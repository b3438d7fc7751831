//! Locations, roots, credentials and limits: what the registry makes of them.
use crate::storage::server::SECRET_KEY;
use crate::storage::subjects::{self, credentials};
use ::storage::settings::{EndpointSettings, StorageSettings};
use ::storage::{Attributes, Body, ChecksumKind, Precondition, PutRequest, Registry, StorageError};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

#[tokio::test]
async fn files_outside_of_their_roots_are_refused() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let at = |name: &str| format!("file:{}/{name}", dir.path().display());
    std::fs::create_dir_all(dir.path().join("in/sub")).expect("created");
    std::fs::create_dir(dir.path().join("out")).expect("created");
    std::fs::write(dir.path().join("out/secret"), b"s").expect("written");
    std::fs::write(dir.path().join("in/sub/fine"), b"f").expect("written");
    symlink("../out/secret", dir.path().join("in/leak")).expect("linked");
    symlink("../out", dir.path().join("in/leaks")).expect("linked");
    symlink("sub/fine", dir.path().join("in/inside")).expect("linked");
    let roots = vec![dir.path().join("in")];
    let registry = Registry::new(StorageSettings {
        roots,
        ..StorageSettings::default()
    });
    for outside in ["out/secret", "in/../out/secret", "inn/x"] {
        let opened = registry
            .open(&at(outside), None)
            .await
            .err()
            .expect("refused");
        assert!(matches!(opened, StorageError::Invalid { .. }), "{opened}");
    }
    for leak in ["in/leak", "in/leaks/secret", "in/leaks/new"] {
        let opened = registry
            .open(&at(leak), None)
            .await
            .expect("it is below the root by name");
        let read = opened.storage.stat(&opened.key).await;
        assert!(
            matches!(
                read,
                Err(StorageError::Invalid { .. } | StorageError::NotFound(_))
            ),
            "{leak}: {read:?}"
        );
        let body = Body::new(vec!["x".into()], ChecksumKind::Crc64nvme);
        let put = opened
            .storage
            .put(PutRequest {
                key: &opened.key,
                body: &body,
                attributes: &Attributes::default(),
                precondition: &Precondition::IfAbsent,
            })
            .await;
        assert!(put.is_err(), "{leak}: {put:?}");
    }
    assert_eq!(
        std::fs::read(dir.path().join("out/secret")).expect("readable"),
        b"s"
    );
    assert_eq!(
        std::fs::read_dir(dir.path().join("out"))
            .expect("readable")
            .count(),
        1
    );
    let inside = registry.open(&at("in/inside"), None).await.expect("opened");
    assert_eq!(
        inside
            .storage
            .stat(&inside.key)
            .await
            .expect("stays below")
            .bytes,
        1
    );
    let narrow = registry
        .open(&at("in/sub/fine"), Some(&dir.path().join("in/sub")))
        .await
        .expect("opened");
    assert_eq!(narrow.key, "fine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_denied_and_never_shown() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let url = subject.server_url();
    let dir = tempfile::tempdir().expect("a temp dir");
    let open = async |bucket: &str, secret: &str, url: &str| {
        let endpoint = EndpointSettings {
            prefix: "s3:".into(),
            url: Some(url.to_owned()),
            credentials_file: Some(credentials(dir.path(), secret)),
            ..EndpointSettings::default()
        };
        let registry = Registry::new(StorageSettings {
            endpoints: vec![endpoint],
            ..StorageSettings::default()
        });
        let opened = registry
            .open(&format!("s3://{bucket}/key"), None)
            .await
            .expect("opened");
        let body = Body::new(vec!["x".into()], ChecksumKind::Crc64nvme);
        opened
            .storage
            .put(PutRequest {
                key: &opened.key,
                body: &body,
                attributes: &Attributes::default(),
                precondition: &Precondition::IfAbsent,
            })
            .await
            .map(|_| ())
    };
    let denied = open("bucket", "not-the-secret", &url)
        .await
        .expect_err("denied");
    assert!(matches!(denied, StorageError::Denied { .. }), "{denied}");
    assert!(
        !format!("{denied:?}").contains("not-the-secret"),
        "{denied}"
    );
    let read = subject
        .registry
        .open("s3://bucket/missing", None)
        .await
        .expect("opened");
    let missing = read
        .storage
        .read(&read.key, 0..1, None)
        .await
        .err()
        .expect("missing");
    assert!(matches!(missing, StorageError::NotFound(_)), "{missing}");
    let nobody = open("bucket", SECRET_KEY, "http://127.0.0.1:1")
        .await
        .expect_err("nobody answers");
    assert!(nobody.class().retryable(), "{nobody}");
    assert_eq!(open("bucket", SECRET_KEY, &url).await, Ok(()));
}

#[tokio::test]
async fn limits_hold_over_all_places_of_an_endpoint() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let endpoint = EndpointSettings {
        prefix: "file:".into(),
        bytes_per_second: Some(protocol::quantity::Bytes(2_000_000)),
        ..EndpointSettings::default()
    };
    let registry = Registry::new(StorageSettings {
        endpoints: vec![endpoint],
        ..StorageSettings::default()
    });
    let begun = Instant::now();
    for place in ["a", "b"] {
        let root = dir.path().join(place);
        let opened = registry
            .open(
                &format!("file:{}/x", root.display()),
                Some(Path::new(&root)),
            )
            .await
            .expect("opened");
        let body = Body::new(vec![vec![7; 1_000_000].into()], ChecksumKind::Crc64nvme);
        opened
            .storage
            .put(PutRequest {
                key: "x",
                body: &body,
                attributes: &Attributes::default(),
                precondition: &Precondition::IfAbsent,
            })
            .await
            .expect("put");
        opened
            .storage
            .read("x", 0..1_000_000, None)
            .await
            .expect("read")
            .collect()
            .await
            .expect("whole");
    }
    // Four million bytes at two a second, less what an idle endpoint has saved up and the last piece, which nobody waits for.
    assert!(
        begun.elapsed() > Duration::from_millis(1_000),
        "{:?}",
        begun.elapsed()
    );
}
