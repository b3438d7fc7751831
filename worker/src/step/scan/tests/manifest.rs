//! Manifests of either form: what is resumed, bounded and refused.
use super::*;

#[test]
fn a_huge_row_is_passed_over_and_later_rows_are_read() {
    for (name, start, end) in [
        ("m.csv", "a1,t1,master,", "\n"),
        ("m.csv", "a1,t1,master,\"x\n\n", "\"\n"),
    ] {
        let csv = format!("{HEADER}{start}{}{end}{}", "x".repeat(3 << 20), row(2));
        let listing = scan_text(name, csv).finished();
        assert_eq!(listing.ids(), ["a2"]);
        let errors = listing.errors();
        assert_eq!((errors.len(), errors[0].line), (1, 2));
        assert!(
            errors[0].message.contains("longer than 1048576 bytes"),
            "{}",
            errors[0].message
        );
        let lines = end.len() as u64 * 2 - 1;
        assert_eq!(listing.assets()[0].0, 2 + lines);
    }
    let json = format!(
        "{{\"asset\": \"{}\"}}\n{}",
        "x".repeat(3 << 20),
        json_row(2)
    );
    let listing = scan_text("m.jsonl", json).finished();
    assert_eq!(
        (listing.ids(), listing.errors()[0].line),
        (vec!["a2".to_owned()], 1)
    );
}

#[test]
fn file_that_is_no_manifest_is_not_quoted() {
    for (name, content) in [
        ("m.csv", "SECRET\tx:y\nrest\n"),
        ("m.csv", "SECRET,SECRET\n"),
        ("m.csv", "# SECRET\n"),
        ("m.jsonl", "\"SECRET\"\n"),
        ("m.jsonl", "{\"token\": \"SECRET\"}\n"),
        (
            "m.jsonl",
            "{\"role\": \"SECRET\", \"bytes\": [\"SECRET\"]}\n",
        ),
        ("m.jsonl", "[1, \"SECRET\"\n"),
        ("m.jsonl", "SECRET\n"),
    ] {
        let listing = scan_text(name, content);
        let said = format!("{:?} {:?}", listing.result, listing.pages);
        assert!(!said.contains("SECRET"), "{content}: {said}");
    }
}

/// Scans from the start and again from every page's cursor, and compares.
fn assert_resumable(task: &ScanTask) -> Listing {
    let whole = scan(task).finished();
    for (index, page) in whole.pages.iter().enumerate() {
        assert_eq!(page.page, index as u64, "pages are numbered without gaps");
        let rest = scan(&ScanTask {
            resume: page.next,
            ..task.clone()
        })
        .finished();
        assert!(
            page.next.is_some(),
            "a manifest can be resumed after any page"
        );
        assert_eq!(
            rest.pages,
            whole.pages[index + 1..],
            "resumed after page {index}"
        );
    }
    whole
}

#[test]
fn a_resumed_scan_sends_exactly_the_pages_that_were_left() {
    let dir = TempDir::new().expect("a directory");
    let mut csv = HEADER.replace('\n', ",title_name\r\n");
    let mut json = String::new();
    for n in 0..23 {
        let name = if n % 3 == 0 { "\"one\ntwo\"" } else { "x" };
        csv.push_str(&format!("{},{name}\r\n\r\n", row(n).trim_end()));
        json.push_str(&json_row(n));
        json.push_str(if n % 5 == 0 { "\n{broken\n" } else { "" });
    }
    csv.push_str("bad,row\r");
    for (name, content) in [("m.csv", csv), ("m.jsonl", json)] {
        for page_assets in [1, 5, 23, 24, 100] {
            let listing = assert_resumable(&manifest(&dir, name, &content, page_assets));
            assert_eq!(
                listing.ids(),
                (0..23).map(|n| format!("a{n}")).collect::<Vec<_>>()
            );
            assert!(!listing.errors().is_empty());
            assert!(
                listing
                    .pages
                    .iter()
                    .all(|page| page.assets.len() + page.errors.len() <= page_assets as usize)
            );
        }
    }
}

#[test]
fn a_manifest_that_shrank_is_not_resumed() {
    let dir = TempDir::new().expect("a directory");
    for name in ["m.csv", "m.jsonl"] {
        let mut task = manifest(&dir, name, HEADER, 10);
        task.resume = Some(ScanCursor {
            page: 2,
            byte: 5_000,
            line: 90,
        });
        assert!(scan(&task).failure().message.contains("changed meanwhile"));
    }
}

#[test]
fn a_page_is_bounded_in_bytes() {
    let dir = TempDir::new().expect("a directory");
    let mut csv = HEADER.replace('\n', ",notes\n");
    for n in 0..40 {
        csv.push_str(&format!("{},{}\n", row(n).trim_end(), "x".repeat(100_000)));
    }
    let listing = assert_resumable(&manifest(&dir, "m.csv", csv, 1000));
    assert!(listing.pages.len() >= 4);
    for page in &listing.pages {
        let bytes: usize = page
            .assets
            .iter()
            .map(|listed| &listed.asset)
            .map(|a| a.declared.as_ref().map_or(0, |d| d.meta["notes"].len()))
            .sum();
        assert!(
            bytes <= page::PAGE_BYTES,
            "page {} holds {bytes} bytes",
            page.page
        );
    }
    assert_eq!(listing.assets().len(), 40);
}

#[tokio::test]
async fn reading_waits_for_a_slow_receiver_and_stops_when_revoked() {
    struct Stuck(CancellationToken);
    #[async_trait]
    impl Effects for Stuck {
        async fn send(&self, _effect: Effect) -> Result<(), Failure> {
            self.0.cancel();
            std::future::pending().await
        }
    }
    let dir = TempDir::new().expect("a directory");
    let content: String = std::iter::once(HEADER.to_owned())
        .chain((0..5000).map(row))
        .collect();
    let task = manifest(&dir, "m.csv", content, 1);
    let cancel = CancellationToken::new();
    let mut context = context(Arc::new(Stuck(cancel.clone())));
    context.cancel = cancel;
    assert_eq!(
        run(&task, None, OnLink::Fail, &unit(&task), &context).await,
        UnitResult::Cancelled
    );
}

#[tokio::test]
async fn a_receiver_that_refuses_ends_the_scan_with_its_reason() {
    struct Refuses;
    #[async_trait]
    impl Effects for Refuses {
        async fn send(&self, _effect: Effect) -> Result<(), Failure> {
            Err(Failure::transient("lease_lost", "another worker has it"))
        }
    }
    let dir = TempDir::new().expect("a directory");
    let task = manifest(&dir, "m.csv", format!("{HEADER}{}", row(1)), 1);
    let result = run(
        &task,
        None,
        OnLink::Fail,
        &unit(&task),
        &context(Arc::new(Refuses)),
    )
    .await;
    assert_eq!(
        result,
        UnitResult::Failed(Failure::transient("lease_lost", "another worker has it"))
    );
}

/// Manifests that look right at first and go wrong in many ways.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("a1,t,master,x.mov\n".as_bytes().to_vec()),
        Just("a2,\"t\n1\",audio,\"x\"\"y\"\r\n".as_bytes().to_vec()),
        Just(
            "{\"asset\":\"j\",\"title\":\"t\",\"role\":\"proxy\",\"location\":\"x\"}\n"
                .as_bytes()
                .to_vec()
        ),
        Just(b"\"".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\n".to_vec()),
        Just(b",".to_vec()),
        Just(b"\xef\xbb\xbf".to_vec()),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_bytes_are_read_without_panic_and_in_order(body in fragments(), headed in any::<bool>(), json in any::<bool>(), page_assets in 1u32..5) {
        let dir = TempDir::new().expect("a directory");
        let mut content = if headed { HEADER.as_bytes().to_vec() } else { Vec::new() };
        content.extend_from_slice(&body);
        let task = manifest(&dir, if json { "m.jsonl" } else { "m.csv" }, content, page_assets);
        let listing = scan(&task);
        if let UnitResult::Failed(failure) = &listing.result {
            prop_assert_eq!(failure.reason.as_str(), "manifest_header");
            return Ok(());
        }
        let whole = assert_resumable(&task);
        let one_page = scan(&ScanTask { page_assets: 1000, ..task }).finished();
        prop_assert_eq!(whole.assets(), one_page.assets());
        prop_assert_eq!(whole.errors(), one_page.errors());
        let lines: Vec<u64> = whole.assets().iter().map(|(line, _)| *line).collect();
        prop_assert!(lines.is_sorted());
    }
}
