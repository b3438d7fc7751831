//! CSV manifests: rows, quotes, line ends and headers.
use super::*;

#[test]
fn a_csv_row_becomes_an_asset() {
    let csv = "\u{feff}ASSET, Title ,role,location,bytes,studio\r\n\r\na1,t1,Master,./m/1.mov,12,\"Big, Tall\"\r\n";
    let listing = scan_text("m.csv", csv).finished();
    let [(line, asset)] = &listing.assets()[..] else {
        panic!("{:?}", listing.pages)
    };
    assert_eq!(
        (*line, asset.id.as_str(), asset.role, asset.bytes),
        (3, "a1", Role::Master, Some(12))
    );
    assert_eq!(
        (asset.location.as_str(), asset.path.as_str()),
        ("file:/lib/m/1.mov", "m/1.mov")
    );
    let meta = &asset.declared.as_ref().expect("declared").meta;
    assert_eq!(meta.get("studio").map(String::as_str), Some("Big, Tall"));
    assert_eq!((listing.pages[0].epoch, listing.pages[0].page), (3, 0));
}

#[test]
fn lines_stay_right_after_quoted_line_ends_and_blank_lines() {
    let csv = "asset,title,role,location,title_name\na1,t,master,x,\"one\r\ntwo\n\nfour\"\n\n  \r\na2,t,master,x,y\ra3,t,mastr,x,z\r\na4,t,audio,x,\"\"\"q\"\"\"";
    let listing = scan_text("m.csv", csv).finished();
    let lines: Vec<_> = listing
        .assets()
        .iter()
        .map(|(line, asset)| (*line, asset.id.clone()))
        .collect();
    assert_eq!(
        lines,
        [
            (2, "a1".to_owned()),
            (8, "a2".to_owned()),
            (10, "a4".to_owned())
        ]
    );
    assert_eq!(listing.errors()[0].line, 9);
    let name = |n: usize| {
        listing.assets()[n]
            .1
            .declared
            .as_ref()
            .and_then(|d| d.title_name.clone())
    };
    assert_eq!(
        (name(0).as_deref(), name(2).as_deref()),
        (Some("one\r\ntwo\n\nfour"), Some("\"q\""))
    );
}

#[test]
fn a_bad_row_is_reported_and_the_rest_goes_on() {
    let mut csv = HEADER.as_bytes().to_vec();
    csv.extend_from_slice(b"a1,t1,master\na2,t1,master,x,y\n,t1,master,x\na4,t1,mastr,x\na5,t\xff1,master,x\na6,t1,master,../x\na7,t1,master,ok.mov\n");
    let listing = scan_text("m.csv", csv).finished();
    assert_eq!(listing.ids(), ["a7"]);
    let got: Vec<_> = listing
        .errors()
        .into_iter()
        .map(|e| (e.line, e.column, e.asset, e.message))
        .collect();
    let expected = [
        (2, None, Some("a1"), "3 fields, the header has 4"),
        (3, None, Some("a2"), "5 fields, the header has 4"),
        (4, Some("asset"), None, "every row needs one"),
        (5, Some("role"), Some("a4"), "did you mean master?"),
        (6, Some("title"), Some("a5"), "save the file as UTF-8"),
        (7, Some("location"), Some("a6"), "climbs out"),
    ];
    assert_eq!(got.len(), expected.len(), "{got:?}");
    for ((line, column, asset, message), expected) in got.iter().zip(expected) {
        assert_eq!(
            (*line, column.as_deref(), asset.as_deref()),
            (expected.0, expected.1, expected.2)
        );
        assert!(message.contains(expected.3), "{message}");
    }
}

#[test]
fn fields_that_cut_a_character_in_two_are_not_utf8() {
    let mut csv = HEADER.as_bytes().to_vec();
    csv.extend_from_slice(b"a\xc3,\xa9t,master,x\n");
    let listing = scan_text("m.csv", csv).finished();
    assert_eq!(listing.errors()[0].column.as_deref(), Some("asset"));
}

#[test]
fn a_quote_that_is_never_closed_is_named() {
    let csv = format!("{HEADER}{}a2,t,master,\"x\n{}", row(1), row(3));
    let listing = scan_text("m.csv", csv).finished();
    assert_eq!(listing.ids(), ["a1"]);
    assert_eq!(listing.errors()[0].line, 3);
    assert!(
        listing.errors()[0].message.contains("never closed"),
        "{:?}",
        listing.errors()
    );
}

#[test]
fn a_row_of_a_million_commas_costs_one_error() {
    let csv = format!("{HEADER}{}\n{}", ",".repeat(900_000), row(1));
    let listing = scan_text("m.csv", csv).finished();
    assert_eq!(listing.ids(), ["a1"]);
    assert!(listing.errors()[0].message.contains("900001 fields"));
}

#[test]
fn a_wrong_header_fails_the_scan_and_says_what_was_meant() {
    let cases: [(&str, &[u8], &str); 12] = [
        ("m.csv", b"", "the file is empty"),
        (
            "m.csv",
            b"asset,titel,role,location\n",
            "no column \"title\"; is \"titel\" meant?",
        ),
        (
            "m.csv",
            b"asset,name,role,location\n",
            "no column \"title\"; it has 4 columns",
        ),
        (
            "m.csv",
            b"asset;title;role;location\n",
            "save the file with commas",
        ),
        ("m.csv", b"{\"asset\": 1}\n", "name the file .jsonl"),
        ("m.csv", b"asset,title,role,location,Title\n", "twice"),
        (
            "m.csv",
            b"asset,title,role,loc\xff\n",
            "column 4 is not UTF-8",
        ),
        (
            "m.csv",
            b"asset,title,role,location,a\0b\n",
            "control character",
        ),
        ("m.csv", b"\xff\xfea\0s\0", "UTF-16"),
        ("m.csv", b"PK\x03\x04....", "spreadsheet"),
        ("m.csv.gz", b"\x1f\x8b\x08", "gzip"),
        ("m.json", b" [{\"asset\": \"a\"}]", "one object per line"),
    ];
    for (name, content, says) in cases {
        let listing = scan_text(name, content);
        let failure = listing.failure();
        assert_eq!(
            (failure.reason.as_str(), failure.class.retryable()),
            ("manifest_header", false)
        );
        assert!(
            failure.message.contains(&format!("{name}:1: ")),
            "{}",
            failure.message
        );
        assert!(failure.message.contains(says), "{}", failure.message);
        assert!(listing.pages.is_empty());
    }
    let wide = format!("{HEADER},{}\n", "x,".repeat(5000)).replace('\n', "");
    assert!(
        scan_text("m.csv", wide)
            .failure()
            .message
            .contains("4096 are allowed")
    );
    assert!(
        scan_text("m.csv", "x".repeat(2 << 20))
            .failure()
            .message
            .contains("longer than")
    );
}
