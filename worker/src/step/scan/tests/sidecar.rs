//! Sidecar files with hashes.
use super::*;

#[test]
fn sidecars_declare_hashes_and_bad_ones_are_named() {
    let dir = TempDir::new().expect("a directory");
    let md5 = "900150983cd24fb0d6963f7d28e17f72";
    for (name, content) in [
        ("a.mov", "abc"),
        ("a.mov.md5", md5),
        ("a.mov.xxh64", "44bc2cf5ad770999"),
        ("b.mov", "abc"),
        ("b.mov.sha1", "short"),
        ("d/c.mov", "abc"),
        ("d/c.mov.md5", md5),
        ("e.md5", md5),
    ] {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("above")).expect("created");
        std::fs::write(path, content).expect("written");
    }
    let listing = scan(&folder(&dir, None)).finished();
    let declared: Vec<(String, String)> = listing
        .assets()
        .into_iter()
        .filter_map(|(_, asset)| Some((asset.id, asset.hash?)))
        .collect();
    let expected = [
        ("a.mov", "xxh64:44bc2cf5ad770999"),
        ("d/c.mov", "md5:900150983cd24fb0d6963f7d28e17f72"),
    ];
    assert_eq!(
        declared,
        expected.map(|(id, hash)| (id.to_owned(), hash.to_owned()))
    );
    assert_eq!(
        listing.ids().len(),
        8,
        "sidecars are files of the library too"
    );
    let errors = listing.errors();
    assert!(
        errors.len() == 1 && errors[0].message.contains("b.mov.sha1"),
        "{errors:?}"
    );
}

#[test]
fn sidecar_with_an_upper_case_extension_is_honoured() {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("a.mov"), "abc").expect("written");
    std::fs::write(dir.path().join("a.mov-2"), "abc").expect("written");
    for sidecar in ["a.mov.MD5", "a.mov.Md5", "a.mov.mD5"] {
        std::fs::write(
            dir.path().join(sidecar),
            "900150983cd24fb0d6963f7d28e17f72  a.mov",
        )
        .expect("written");
        let assets = scan(&folder(&dir, None)).finished().assets();
        let hashes: Vec<_> = assets
            .iter()
            .map(|(_, asset)| (asset.id.as_str(), asset.hash.is_some()))
            .collect();
        assert_eq!(
            hashes,
            [("a.mov", true), ("a.mov-2", false), (sidecar, false)]
        );
        std::fs::remove_file(dir.path().join(sidecar)).expect("removed");
    }
}
