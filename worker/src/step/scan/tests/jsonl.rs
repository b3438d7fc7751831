//! Manifests of JSON lines.
use super::*;

#[test]
fn json_lines_take_text_and_numbers() {
    let json = "\u{feff}\n{\"Asset\": 7, \"title\": \"t\", \"role\": \"audio\", \"location\": \"a.wav\", \"bytes\": 12, \
                \"duration\": 12.5, \"frame_rate\": 29.97, \"season\": null, \"tags\": [\"x\"], \"hd\": true}\r\n";
    let listing = scan_text("m.jsonl", json).finished();
    let [(line, asset)] = &listing.assets()[..] else {
        panic!("{:?}", listing.pages)
    };
    let declared = asset.declared.as_ref().expect("declared");
    assert_eq!(
        (*line, asset.id.as_str(), asset.bytes, declared.duration),
        (2, "7", Some(12), Some(12.5))
    );
    assert_eq!(
        (declared.frame_rate.as_deref(), declared.season.as_deref()),
        (Some("29.97"), None)
    );
    assert_eq!(
        declared.meta.get("tags").map(String::as_str),
        Some("[\"x\"]")
    );
    assert_eq!(declared.meta.get("hd").map(String::as_str), Some("true"));
}

#[test]
fn a_bad_json_line_is_reported_with_its_column() {
    let mut json = json_row(1).into_bytes();
    json.extend_from_slice(b"{\"asset\": \"a2\", }\n[1]\n\"x\"\n{\"asset\": \"a\xff\"}\n");
    json.extend_from_slice(
        b"{\"asset\": \"a6\", \"titel\": \"t\", \"role\": \"master\", \"location\": \"x\"}\n",
    );
    json.extend_from_slice(
        b"{\"asset\": \"a7\", \"title\": [1], \"role\": \"master\", \"location\": \"x\"}\n",
    );
    json.extend_from_slice(
        b"{\"asset\": \"a8\", \"title\": \"t\", \"TITLE\": \"u\", \"role\": \"master\", \"location\": \"x\"}\n",
    );
    json.extend_from_slice(format!("{}\n", "[".repeat(9000)).as_bytes());
    json.extend_from_slice(json_row(2).trim_end().as_bytes());
    let listing = scan_text("m.json", json).finished();
    assert_eq!(listing.ids(), ["a1", "a2"]);
    let got: Vec<_> = listing
        .errors()
        .into_iter()
        .map(|e| (e.line, e.column, e.asset, e.message))
        .collect();
    let expected = [
        (2, Some("17"), None, "trailing comma"),
        (3, Some("0"), None, "one object per line"),
        (4, Some("3"), None, "one object per line"),
        (5, None, None, "byte 13"),
        (6, Some("title"), Some("a6"), "is \"titel\" meant?"),
        (7, Some("title"), Some("a7"), "must be text or a number"),
        (8, Some("TITLE"), Some("a8"), "twice"),
        (9, Some("0"), None, "not a JSON object"),
    ];
    assert_eq!(got.len(), expected.len(), "{got:?}");
    for ((line, column, asset, message), expected) in got.iter().zip(expected) {
        assert_eq!(
            (*line, column.as_deref(), asset.as_deref()),
            (expected.0, expected.1, expected.2),
            "{message}"
        );
        assert!(message.contains(expected.3), "{message}");
    }
}
