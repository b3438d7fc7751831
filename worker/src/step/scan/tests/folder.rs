//! Folders: what becomes an asset, in which order, and what is named instead.
use super::*;

#[test]
fn a_folder_takes_every_regular_file_in_order() {
    let files = [
        "z.wav",
        "dune/a.mov",
        "dune/b/c.srt",
        "dune/.hidden.pdf",
        "a b:c.mov",
        ".x/y.png",
        "ascmhl/1.mhl",
        "dune/ascmhl/1.mhl",
        ".showrunner/j",
        ".DS_Store",
    ];
    let dir = tree(&files);
    let listing = scan(&folder(&dir, None)).finished();
    let got: Vec<_> = listing
        .assets()
        .into_iter()
        .map(|(n, a)| (n, a.id, a.title, a.role, a.bytes))
        .collect();
    let row = |n, id: &str, title: &str, role| {
        (
            n,
            id.to_owned(),
            title.to_owned(),
            role,
            Some(id.len() as u64),
        )
    };
    assert_eq!(
        got,
        [
            row(1, ".x/y.png", ".x", Role::Artwork),
            row(2, "a b:c.mov", "a b:c", Role::Master),
            row(3, "dune/.hidden.pdf", "dune", Role::Document),
            row(4, "dune/a.mov", "dune", Role::Master),
            row(5, "dune/b/c.srt", "dune", Role::Subtitle),
            row(6, "z.wav", "z", Role::Audio),
        ]
    );
    let asset = &listing.assets()[1].1;
    assert_eq!(
        (asset.location.as_str(), asset.path.as_str()),
        (
            &*format!("file:{}/a b:c.mov", text(dir.path())),
            "a b:c.mov"
        )
    );
    assert_eq!(
        listing
            .pages
            .iter()
            .map(|page| page.page)
            .collect::<Vec<_>>(),
        [0, 1]
    );
    assert_eq!(listing.errors(), []);
}

#[test]
fn a_pattern_fills_columns_and_reports_what_it_does_not_match() {
    let dir = tree(&[
        "dune_s01e02_de_proxy.mov",
        "dune_s01e02_de_trailer.mov",
        "notes.txt",
    ]);
    let pattern = r"^(?<title>\w+?)_s(?<season>\d+)e(?<episode>\d+)_(?<language>..)_(?<role>\w+)\.(?<wrapper>\w+)$";
    let listing = scan(&folder(&dir, Some(pattern))).finished();
    let [(_, asset)] = &listing.assets()[..] else {
        panic!("{:?}", listing.pages)
    };
    let declared = asset.declared.as_ref().expect("declared");
    assert_eq!(
        (asset.title.as_str(), asset.role, asset.language()),
        ("dune", Role::Proxy, Some("de"))
    );
    assert_eq!(
        (declared.season.as_deref(), declared.episode.as_deref()),
        (Some("01"), Some("02"))
    );
    assert_eq!(
        declared.meta.get("wrapper").map(String::as_str),
        Some("mov")
    );
    let errors = listing.errors();
    assert_eq!(
        (errors.len(), errors[0].column.as_deref()),
        (2, Some("role"))
    );
    assert!(
        errors[1].message.contains("\"notes.txt\" does not match"),
        "{}",
        errors[1].message
    );
}

#[test]
fn links_pipes_and_odd_names_are_reported_and_the_rest_goes_on() {
    use std::os::unix::ffi::OsStrExt;
    let outside = tree(&["secret.mov"]);
    let dir = tree(&["real/a.mov", "z.mov"]);
    let at = |name: &str| dir.path().join(name);
    symlink(at("z.mov"), at("link-in.mov")).expect("a link");
    symlink(outside.path().join("secret.mov"), at("link-out.mov")).expect("a link");
    symlink(at("nowhere"), at("dangling")).expect("a link");
    symlink(at("loop"), at("loop")).expect("a link");
    symlink(dir.path(), at("real/up")).expect("a link");
    std::fs::write(
        dir.path().join(std::ffi::OsStr::from_bytes(b"bad\xff.mov")),
        "x",
    )
    .expect("a file");
    std::fs::write(at("new\nline.mov"), "x").expect("a file");
    let pipe = std::process::Command::new("mkfifo")
        .arg(at("pipe"))
        .status()
        .expect("mkfifo runs");
    assert!(pipe.success());
    let listing = scan(&folder(&dir, None)).finished();
    assert_eq!(listing.ids(), ["link-in.mov", "real/a.mov", "z.mov"]);
    let named: Vec<String> = listing
        .errors()
        .into_iter()
        .filter_map(|error| error.asset)
        .collect();
    assert_eq!(
        named,
        [
            "bad\u{fffd}.mov",
            "dangling",
            "link-out.mov",
            "loop",
            "new\\nline.mov",
            "pipe",
            "real/up"
        ],
        "each says which file is meant"
    );
    let messages: Vec<String> = listing
        .errors()
        .into_iter()
        .map(|error| error.message)
        .collect();
    let expected = [
        "not UTF-8",
        "leads nowhere",
        "leads out of",
        "leads nowhere",
        "control character",
        "a pipe",
        "leads to a directory",
    ];
    assert_eq!(messages.len(), expected.len(), "{messages:#?}");
    for (message, says) in messages.iter().zip(expected) {
        assert!(message.contains(says), "{message} should say {says}");
    }
}

#[test]
fn unfinished_files_of_other_jobs_are_no_assets() {
    let dir = TempDir::new().expect("a directory");
    let names = [
        "a.mov",
        ".a.mov.0123456789abcdef.sr-part",
        "b/.c.mov.0123456789abcdef.sr-upload",
        ".ascmhl.sr-part/ascmhl_chain.xml",
        "b/.ascmhl.sr-part/deep/0001.mhl",
    ];
    for name in names {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        std::fs::write(path, "x").expect("written");
    }
    std::fs::write(dir.path().join("b/.c.mov.0123456789abcdef.sr-ledger"), "x").expect("written");
    std::fs::write(dir.path().join("b/kept.sr-part"), "x").expect("written");
    assert_eq!(
        scan(&folder(&dir, None)).finished().ids(),
        ["a.mov", "b/kept.sr-part"]
    );
}

/// A folder has no place to start from in its middle: it is walked again, and what is stored is not sent once more.
#[test]
fn folder_listed_again_sends_exactly_the_pages_that_were_left() {
    let names: Vec<String> = (0..20).map(|n| format!("t{}/f{n:02}.mov", n / 6)).collect();
    let dir = tree(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let task = folder(&dir, None);
    let whole = scan(&task).finished();
    assert_eq!(whole.pages.len(), 7);
    for stored in 0..=7u64 {
        let resume = (stored > 0).then_some(ScanCursor {
            page: stored,
            byte: 0,
            line: 1,
        });
        let rest = scan(&ScanTask {
            resume,
            ..task.clone()
        });
        assert_eq!(
            rest.result,
            UnitResult::Listed { pages: 7 },
            "with {stored} pages stored"
        );
        assert_eq!(
            rest.pages,
            whole.pages[stored as usize..],
            "with {stored} pages stored"
        );
    }
    // Files that were stored and are gone: it ends, where it used to be listed again and again.
    std::fs::remove_dir_all(dir.path().join("t3")).expect("removed");
    std::fs::remove_dir_all(dir.path().join("t2")).expect("removed");
    let resume = Some(ScanCursor {
        page: 7,
        byte: 0,
        line: 1,
    });
    assert_eq!(
        scan(&ScanTask { resume, ..task }).result,
        UnitResult::Listed { pages: 7 }
    );
}

/// Keeps pages, and swaps a directory of the library for a link when the first one arrives.
struct Swapping {
    kept: Kept,
    library: std::path::PathBuf,
}

#[async_trait]
impl Effects for Swapping {
    async fn send(&self, effect: Effect) -> Result<(), Failure> {
        let listed = self.library.join("b");
        if std::fs::rename(&listed, self.library.with_file_name("moved")).is_ok() {
            symlink(self.library.with_file_name("outside"), listed).expect("linked");
        }
        self.kept.send(effect).await
    }
}

#[test]
fn directory_swapped_for_a_link_during_the_listing_leads_nowhere() {
    let dir = TempDir::new().expect("a directory");
    for folder in ["library/b/c", "outside/c"] {
        std::fs::create_dir_all(dir.path().join(folder)).expect("created");
    }
    for file in 0..9 {
        std::fs::write(dir.path().join(format!("library/b/{file}")), "x").expect("written");
    }
    std::fs::write(dir.path().join("outside/c/secret"), "x").expect("written");
    let library = dir.path().join("library");
    let source = ScanSource::Folder {
        path: text(&library),
        pattern: None,
    };
    let task = ScanTask {
        source,
        root: text(&library),
        resume: None,
        page_assets: 1,
    };
    let effects = Arc::new(Swapping {
        kept: Kept::default(),
        library,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let result = runtime.block_on(run(
        &task,
        None,
        OnLink::Fail,
        &unit(&task),
        &context(effects.clone()),
    ));
    let pages = std::mem::take(&mut *effects.kept.0.lock());
    let listing = Listing { result, pages }.finished();
    assert_eq!(listing.ids().len(), 9, "{:?}", listing.ids());
    assert!(
        listing.errors()[0].message.contains("cannot be listed"),
        "{:?}",
        listing.errors()
    );
}
