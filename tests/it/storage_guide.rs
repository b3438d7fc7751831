//! The guide of the storage file, against its JSON Schema.
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use testkit::Scratch;

/// Names in code at the beginning of a row: `a`, `b`.
fn names(cell: &str) -> impl Iterator<Item = String> + '_ {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

fn keys(object: &Value) -> BTreeSet<String> {
    object
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.clone())
        .collect()
}

#[test]
fn storage_guide_lists_the_keys_and_values_of_the_schema() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/storage.md");
    let guide = std::fs::read_to_string(guide).expect("the guide can be read");
    let table = guide
        .split("## ")
        .find(|part| part.starts_with("The storage file"))
        .expect("the section is there");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let schema = Scratch::new()
        .run(&["schema", "storage"])
        .expect_code(0)
        .json();
    let endpoint = &schema["$defs"]["EndpointSettings"]["properties"];
    let known: BTreeSet<String> = keys(&schema["properties"])
        .into_iter()
        .chain(keys(endpoint))
        .collect();
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| names(row[1])).collect();
    assert_eq!(listed, known);
    let checksum = rows
        .iter()
        .find(|row| row[1] == "`checksum`")
        .expect("the row is there");
    let values: BTreeSet<String> = names(checksum[2]).collect();
    let kinds = schema["$defs"]["ChecksumKind"]["oneOf"]
        .as_array()
        .into_iter()
        .flatten();
    let kinds: BTreeSet<String> = kinds
        .filter_map(|kind| kind["const"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(values, kinds);
}
