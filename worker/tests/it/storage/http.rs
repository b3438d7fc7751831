//! Web servers as sources: ranges, changes, redirects, what breaks off, and what may not be read at all.
use crate::fixture::noise;
use crate::storage::web::{Answer, Request, ranged, serve};
use ::storage::backend::Opened;
use ::storage::retry::{RetryBudget, read_all, resume_read};
use ::storage::settings::{EndpointSettings, StorageSettings};
use ::storage::{ByteStream, Registry, StorageError};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const PATIENCE: RetryBudget = RetryBudget {
    attempts: 5,
    wait_min: Duration::from_millis(1),
    wait_max: Duration::from_millis(5),
};

/// Opens a location of a server here, which has to be allowed.
async fn open(location: &str) -> Opened {
    let endpoint = EndpointSettings {
        prefix: "http:".into(),
        allow_private: vec!["127.0.0.0/8".into()],
        ..EndpointSettings::default()
    };
    let settings = StorageSettings {
        endpoints: vec![endpoint],
        ..StorageSettings::default()
    };
    Registry::new(settings)
        .open(location, None)
        .await
        .expect("opened")
}

async fn bytes(reading: Result<ByteStream, StorageError>) -> Result<Vec<u8>, StorageError> {
    Ok(reading?.collect().await?.concat())
}

#[tokio::test]
async fn ranges_are_read_in_one_state() {
    let content = noise(300_000, 1);
    let shared = Arc::new(content.clone());
    let url = serve(move |request| match request.method.as_str() {
        "HEAD" => ranged(&Request::default(), &shared, "\"v1\""),
        _ => ranged(request, &shared, "\"v1\""),
    });
    let opened = open(&format!("{}/media/a%20b.mov?sig=secret", url.await)).await;
    let state = opened.storage.stat(&opened.key).await.expect("answers");
    assert_eq!(
        (state.bytes, state.version.tag.as_str()),
        (300_000, "\"v1\"")
    );
    let read = |from, to| {
        opened
            .storage
            .read(&opened.key, from..to, Some(&state.version))
    };
    assert!(bytes(read(0, 300_000).await).await.expect("whole") == content);
    assert!(bytes(read(1_000, 2_000).await).await.expect("a stretch") == content[1_000..2_000]);
    assert_eq!(bytes(read(5, 5).await).await, Ok(vec![]));
    assert!(!opened.storage.location(&opened.key).contains("secret"));
    let put = opened.storage.multipart(&opened.key).map(drop);
    assert!(
        matches!(put, Err(StorageError::Unsupported { .. })),
        "{put:?}"
    );
}

#[tokio::test]
async fn a_change_between_two_ranges_is_noticed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let url = serve(move |request| {
        let tag = if count.fetch_add(1, Ordering::SeqCst) < 2 {
            "\"v1\""
        } else {
            "\"v2\""
        };
        ranged(request, &noise(1_000, 1), tag)
    });
    let opened = open(&format!("{}/x", url.await)).await;
    let state = opened.storage.stat(&opened.key).await.expect("answers");
    bytes(
        opened
            .storage
            .read(&opened.key, 0..500, Some(&state.version))
            .await,
    )
    .await
    .expect("the same");
    let changed = bytes(
        opened
            .storage
            .read(&opened.key, 500..1_000, Some(&state.version))
            .await,
    )
    .await;
    assert!(
        matches!(changed, Err(StorageError::Precondition { .. })),
        "{changed:?}"
    );
}

#[tokio::test]
async fn servers_without_head_or_ranges_are_read_as_far_as_they_go() {
    let url = serve(|request| match request.method.as_str() {
        "HEAD" => Answer::new(405),
        _ => Answer::new(200).with("etag", "\"v1\"").body("0123456789"),
    });
    let opened = open(&format!("{}/x", url.await)).await;
    assert_eq!(
        opened
            .storage
            .stat(&opened.key)
            .await
            .expect("answers")
            .bytes,
        10
    );
    assert_eq!(
        bytes(opened.storage.read(&opened.key, 0..10, None).await).await,
        Ok(b"0123456789".to_vec())
    );
    // What comes before a stretch is passed over.
    assert_eq!(
        bytes(opened.storage.read(&opened.key, 3..5, None).await).await,
        Ok(b"34".to_vec())
    );
}

#[tokio::test]
async fn redirects_are_judged_like_the_first_address() {
    let url = serve(|request| {
        let to = |place: &str| Answer::new(302).with("location", place);
        match request.path.as_str() {
            "/once" => to("/x"),
            "/circle" => to("/circle"),
            "/inside" => to("http://169.254.169.254/latest/meta-data"),
            "/named" => to("http://localhost.localdomain.invalid/x"),
            "/file" => to("file:///etc/passwd"),
            "/nowhere" => Answer::new(302),
            "/login" => to(&format!("http://ana:CANARY@{}/x", request.headers["host"])),
            _ => ranged(request, b"content", "\"v1\""),
        }
    });
    let url = url.await;
    let read = async |path: &str| {
        let opened = open(&format!("{url}{path}")).await;
        bytes(opened.storage.read(&opened.key, 0..7, None).await).await
    };
    assert_eq!(read("/once").await, Ok(b"content".to_vec()));
    for path in ["/circle", "/inside", "/file", "/nowhere", "/login"] {
        let refused = read(path).await;
        assert!(
            !format!("{refused:?}").contains("CANARY"),
            "{path}: {refused:?}"
        );
        assert!(
            matches!(refused, Err(StorageError::Invalid { .. })),
            "{path}: {refused:?}"
        );
    }
    assert!(read("/named").await.is_err());
}

#[tokio::test]
async fn nothing_inside_is_read_unless_it_is_allowed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let url = serve(move |request| {
        count.fetch_add(1, Ordering::SeqCst);
        ranged(request, b"secret", "\"v1\"")
    });
    let port = url.await.rsplit(':').next().expect("a port").to_owned();
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ] {
        let opened = Registry::default()
            .open(&format!("http://{host}:{port}/x"), None)
            .await
            .expect("opened");
        let read = bytes(opened.storage.read(&opened.key, 0..6, None).await)
            .await
            .expect_err(host);
        assert!(
            matches!(read, StorageError::Invalid { .. }),
            "{host}: {read:?}"
        );
        assert!(read.to_string().contains("allow_private"), "{host}: {read}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_breaks_off_is_asked_for_again_from_there() {
    let content = Arc::new(noise(400_000, 2));
    let (shared, asked) = (Arc::clone(&content), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    let url = serve(move |request| match count.fetch_add(1, Ordering::SeqCst) {
        0 => ranged(request, &shared, "\"v1\""),
        1 => Answer {
            cut_after: Some(100_000),
            ..ranged(request, &shared, "\"v1\"")
        },
        2 => Answer::new(503).with("retry-after", "0"),
        3 => Answer::new(500),
        4 => Answer {
            cut_after: Some(0),
            ..ranged(request, &shared, "\"v1\"")
        },
        _ => ranged(request, &shared, "\"v1\""),
    });
    let opened = open(&format!("{}/x", url.await)).await;
    let state = opened.storage.stat(&opened.key).await.expect("answers");
    let once = bytes(
        opened
            .storage
            .read(&opened.key, 0..400_000, Some(&state.version))
            .await,
    )
    .await;
    let once = once.expect_err("it breaks off");
    assert!(once.class().retryable(), "{once}");
    asked.store(1, Ordering::SeqCst);
    let reading = resume_read(opened.storage, &state, 0..400_000, PATIENCE);
    assert!(reading.collect().await.expect("whole").concat() == *content);
    assert_eq!(asked.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn answers_that_are_errors_have_their_meaning() {
    let url = serve(|request| {
        Answer::new(
            request
                .path
                .trim_start_matches('/')
                .parse()
                .expect("a status"),
        )
    })
    .await;
    for (status, reason) in [
        (401, "storage_denied"),
        (403, "storage_denied"),
        (404, "storage_missing"),
        (410, "storage_missing"),
        (416, "storage_conflict"),
        (429, "storage_throttled"),
        (500, "storage_unavailable"),
        (503, "storage_throttled"),
        (418, "storage_invalid"),
    ] {
        let opened = open(&format!("{url}/{status}")).await;
        let read = opened
            .storage
            .read(&opened.key, 0..1, None)
            .await
            .err()
            .expect("an error");
        assert_eq!(read.reason(), reason, "{status}: {read}");
    }
}

#[tokio::test]
async fn answer_to_head_is_not_believed() {
    for (status, length) in [
        (200, "0"),
        (200, "4"),
        (200, "99"),
        (404, "0"),
        (400, "0"),
        (500, "0"),
        (403, "0"),
    ] {
        let url = serve(move |request| match request.method.as_str() {
            "HEAD" => Answer::new(status).with("content-length", length),
            _ => ranged(request, b"0123456789", "\"v1\""),
        });
        let opened = open(&format!("{}/x", url.await)).await;
        let state = opened
            .storage
            .stat(&opened.key)
            .await
            .expect("the content is readable");
        let reading = read_all(opened.storage, &state, PATIENCE);
        assert_eq!(
            reading.collect().await.expect("whole").concat(),
            b"0123456789",
            "{status} {length}"
        );
    }
}

#[tokio::test]
async fn empty_content_is_empty() {
    let without_ranges = serve(|_| Answer::new(200)).await;
    let with_ranges = serve(|request| match request.headers.contains_key("range") {
        true => Answer::new(416).with("content-range", "bytes */0"),
        false => Answer::new(200),
    });
    for url in [without_ranges, with_ranges.await] {
        let opened = open(&format!("{url}/x")).await;
        let state = opened.storage.stat(&opened.key).await.expect("answers");
        assert_eq!(state.bytes, 0);
        assert_eq!(
            read_all(opened.storage, &state, PATIENCE)
                .collect()
                .await
                .map(|all| all.len()),
            Ok(0)
        );
    }
}

#[tokio::test]
async fn size_that_differs_between_answers_is_a_change() {
    let asked = Arc::new(AtomicUsize::new(0));
    let url = serve(move |request| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => ranged(request, &[7; 99], "\"v1\""),
        _ => ranged(request, &[7; 120], "\"v1\""),
    });
    let opened = open(&format!("{}/x", url.await)).await;
    let state = opened.storage.stat(&opened.key).await.expect("answers");
    let read = read_all(opened.storage, &state, PATIENCE).collect().await;
    let error = read.expect_err("it has changed");
    assert!(
        matches!(error, StorageError::Precondition { .. }),
        "{error:?}"
    );
    assert!(!error.to_string().contains("Some("), "{error}");
}

#[tokio::test]
async fn packed_content_is_refused() {
    for (packing, refused) in [
        ("gzip", true),
        ("identity, br", true),
        ("identity", false),
        ("aws-chunked", false),
    ] {
        let url = serve(move |request| {
            ranged(request, b"packed", "\"v1\"").with("content-encoding", packing)
        });
        let opened = open(&format!("{}/x", url.await)).await;
        let state = opened.storage.stat(&opened.key).await;
        let read = bytes(opened.storage.read(&opened.key, 0..6, None).await).await;
        assert_eq!(
            (state.is_err(), read.is_err()),
            (refused, refused),
            "{packing}: {read:?}"
        );
        if let Err(error) = read {
            assert!(error.to_string().contains("packs the content"), "{error}");
        }
    }
}

#[tokio::test]
async fn source_without_ranges_restarts_from_the_beginning() {
    let content = Arc::new(noise(300_000, 3));
    let (shared, asked) = (Arc::clone(&content), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    let url = serve(move |_| {
        let whole = Answer::new(200)
            .with("etag", "\"v1\"")
            .body(shared.to_vec());
        let cut_after = match count.fetch_add(1, Ordering::SeqCst) {
            1 => Some(150_000),
            2 => Some(100_000),
            _ => None,
        };
        Answer { cut_after, ..whole }
    });
    let opened = open(&format!("{}/x", url.await)).await;
    let state = opened.storage.stat(&opened.key).await.expect("answers");
    let reading = read_all(opened.storage, &state, PATIENCE);
    assert!(reading.collect().await.expect("whole").concat() == *content);
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn source_without_ranges_that_never_gets_further_is_given_up() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let url = serve(move |_| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        Answer {
            cut_after: (!first).then_some(4),
            ..Answer::new(200).with("etag", "\"v1\"").body("0123456789")
        }
    });
    let opened = open(&format!("{}/x", url.await)).await;
    let state = opened.storage.stat(&opened.key).await.expect("answers");
    let read = read_all(opened.storage, &state, PATIENCE)
        .collect()
        .await
        .expect_err("it breaks off");
    assert!(read.class().retryable(), "{read}");
    // The look, the first reading and as many again as patience allows.
    assert_eq!(asked.load(Ordering::SeqCst), 1 + PATIENCE.attempts as usize);
}

#[tokio::test]
async fn source_without_a_length_is_read_to_its_clean_end() {
    let asked = Arc::new(AtomicUsize::new(0));
    for (first, then, sound) in [
        ("0123456789", "0123456789", true),
        ("0123456789", "01234", false),
        ("01234", "0123456789", false),
    ] {
        asked.store(0, Ordering::SeqCst);
        let count = Arc::clone(&asked);
        let url = serve(move |_| {
            let body = if count.fetch_add(1, Ordering::SeqCst) < 2 {
                first
            } else {
                then
            };
            Answer {
                without_length: true,
                ..Answer::new(200).with("etag", "\"v1\"").body(body)
            }
        });
        let opened = open(&format!("{}/x", url.await)).await;
        let state = opened
            .storage
            .stat(&opened.key)
            .await
            .expect("it is counted");
        assert_eq!(state.bytes, first.len() as u64);
        let read = read_all(opened.storage, &state, PATIENCE).collect().await;
        assert_eq!(read.is_ok(), sound, "{first} {then}: {read:?}");
    }
}
