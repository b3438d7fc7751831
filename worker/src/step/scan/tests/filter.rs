//! Folders with a filter of paths.
use super::*;

fn filter(include: &[&str], exclude: &[&str]) -> PathFilter {
    let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    PathFilter {
        include: owned(include),
        exclude: owned(exclude),
    }
}

#[test]
fn a_folder_lists_what_its_filter_selects() {
    let files = [
        "Thumbs.db",
        "a.mov",
        "a_proxy.mov",
        "cards/1/clip.mov",
        "cards/1/notes.txt",
        "old/b.mov",
        "sound/a.wav",
    ];
    let dir = tree(&files);
    let pattern = r"\.(mov|wav)$";
    for (include, exclude, expected) in [
        (
            &[][..],
            &["Thumbs.db", "*.txt"][..],
            &files[1..4]
                .iter()
                .chain(&files[5..])
                .copied()
                .collect::<Vec<_>>()[..],
        ),
        (
            &["*.mov"],
            &["old/", "*_proxy.mov"],
            &["a.mov", "cards/1/clip.mov"],
        ),
        (
            &["cards/**", "/*.mov"],
            &["*.txt"],
            &["a.mov", "a_proxy.mov", "cards/1/clip.mov"],
        ),
        (&["*.MOV"], &[], &[]),
    ] {
        let listing = scan_selected(
            &folder(&dir, Some(pattern)),
            Some(&filter(include, exclude)),
        )
        .finished();
        assert_eq!(listing.ids(), expected, "{include:?} {exclude:?}");
        // What is left out is not held against the pattern either, and is not counted.
        assert_eq!(listing.errors(), [], "{include:?} {exclude:?}");
        let numbers: Vec<u64> = listing
            .assets()
            .into_iter()
            .map(|(number, _)| number)
            .collect();
        assert_eq!(numbers, (1..=expected.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn a_sidecar_that_is_excluded_is_honoured() {
    let dir = tree(&["a.mov", "b.mov"]);
    let md5 = "900150983cd24fb0d6963f7d28e17f72";
    std::fs::write(dir.path().join("a.mov.md5"), md5).expect("a sidecar");
    std::fs::write(dir.path().join("b.mov.md5"), "nonsense").expect("a sidecar");
    for chosen in [filter(&["*.mov"], &[]), filter(&[], &["*.md5"])] {
        let listing = scan_selected(&folder(&dir, None), Some(&chosen)).finished();
        assert_eq!(listing.ids(), ["a.mov", "b.mov"]);
        assert_eq!(
            listing.assets()[0].1.hash.as_deref(),
            Some(&*format!("md5:{md5}"))
        );
        let errors = listing.errors();
        assert!(
            errors.len() == 1 && errors[0].message.contains("b.mov.md5"),
            "{errors:?}"
        );
    }
}

#[test]
fn what_is_excluded_fails_nothing() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tree(&["a.mov", "locked/x.mov"]);
    let at = |name: &str| dir.path().join(name);
    symlink(at("nowhere"), at("dangling.lnk")).expect("a link");
    symlink(dir.path(), at("up")).expect("a link");
    std::fs::write(
        dir.path().join(std::ffi::OsStr::from_bytes(b"bad\xff.tmp")),
        "x",
    )
    .expect("a file");
    let pipe = std::process::Command::new("mkfifo")
        .arg(at("pipe.tmp"))
        .status()
        .expect("mkfifo runs");
    assert!(pipe.success());
    let chosen = filter(&[], &["*.lnk", "up/", "*.tmp", "locked/**"]);
    let listing = scan_selected(&folder(&dir, None), Some(&chosen)).finished();
    assert_eq!(
        (listing.ids(), listing.errors()),
        (vec!["a.mov".to_owned()], vec![])
    );
    assert_eq!(scan(&folder(&dir, None)).finished().errors().len(), 4);
    // A link to a folder may have led to what is included: it is named unless it is excluded.
    let errors = scan_selected(&folder(&dir, None), Some(&filter(&["*.mov"], &["*.lnk"])))
        .finished()
        .errors();
    assert!(
        errors.len() == 1 && errors[0].message.contains("leads to a directory"),
        "{errors:?}"
    );
}

#[test]
fn links_that_lead_to_no_file_of_the_folder_can_be_passed_over() {
    let dir = tree(&["a.mov", "real/b.mov"]);
    let outside = TempDir::new().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    symlink(at("real"), at("to-directory")).expect("a link");
    symlink(outside.path(), at("out")).expect("a link");
    symlink(at("nowhere"), at("dangling")).expect("a link");
    symlink(at("a.mov"), at("link.mov")).expect("a link");
    let task = folder(&dir, None);
    let listed = |on_link| {
        let listing = scan_with_links(&task, None, on_link).finished();
        (listing.ids(), listing.errors().len())
    };
    let ids = ["a.mov", "link.mov", "real/b.mov"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(listed(OnLink::Skip), (ids.clone(), 0));
    assert_eq!(listed(OnLink::Fail), (ids, 3));
}

#[test]
fn an_excluded_folder_is_not_listed() {
    let dir = tree(&["a.mov", "cache/x.mov", "cache/y/z.mov"]);
    let cache = dir.path().join("cache");
    std::fs::set_permissions(&cache, std::os::unix::fs::PermissionsExt::from_mode(0o000))
        .expect("locked");
    let before = std::fs::metadata(&cache)
        .and_then(|meta| meta.accessed())
        .expect("a time");
    let listing = scan_selected(&folder(&dir, None), Some(&filter(&[], &["cache/"]))).finished();
    assert_eq!(
        (listing.ids(), listing.errors()),
        (vec!["a.mov".to_owned()], vec![])
    );
    assert_eq!(
        std::fs::metadata(&cache)
            .and_then(|meta| meta.accessed())
            .expect("a time"),
        before
    );
    std::fs::set_permissions(&cache, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("unlocked");
}

#[test]
fn a_filter_that_cannot_be_read_fails_the_scan() {
    let dir = tree(&["a.mov"]);
    let listing = scan_selected(&folder(&dir, None), Some(&filter(&["[a"], &[])));
    assert_eq!(
        (listing.failure().reason.as_str(), listing.pages.len()),
        ("library_filter", 0)
    );
}
