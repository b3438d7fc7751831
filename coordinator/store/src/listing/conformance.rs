//! Conformance tests that every store passes: listings.
use super::RowsOf;
use crate::testing::fixture::{Check, add_job, page};
use crate::tx::Tx;
use protocol::media::asset::Declared;
use protocol::rules::library::partition::Member;
use protocol::wire::report::RowError;

pub(crate) const CHECKS: &[Check] = &[
    (
        "a listing ignores replays and reports duplicates",
        listing_replays,
    ),
    ("rows that cannot be used are counted once", rejected_rows),
    ("a listing pages in canonical order", listing_order),
    ("assets are looked up by their ids", listed),
];

fn listing_replays(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let rows = page(&[(2, "t", "a"), (3, "t", "b")]);
    let done = tx.append_listing(job, true, &rows).expect("appends");
    assert_eq!((done.assets, done.bytes, done.errors.len()), (2, 20, 0));
    let again = tx.append_listing(job, true, &rows).expect("appends");
    assert_eq!((again.assets, again.errors.len()), (0, 0));
    let other_title = tx
        .append_listing(job, true, &page(&[(9, "other", "a")]))
        .expect("appends");
    assert_eq!(other_title.assets, 0);
    assert_eq!(other_title.errors[0].line, 9);
    assert!(
        other_title.errors[0].message.contains("line 2"),
        "{:?}",
        other_title.errors
    );
    assert_eq!(
        tx.append_row_errors(job, &other_title.errors)
            .expect("appends"),
        1
    );
    assert_eq!(
        tx.append_row_errors(job, &other_title.errors)
            .expect("appends"),
        0,
        "a replay adds nothing"
    );
    assert_eq!(tx.row_errors(job, 10).expect("lists"), other_title.errors);
    assert_eq!(
        other_title.errors[0].title.as_deref(),
        Some("other"),
        "that title lacks the row"
    );
    let same_title = tx
        .append_listing(job, true, &page(&[(11, "t", "a")]))
        .expect("appends");
    assert_eq!(same_title.errors[0].title, None, "the title has its asset");
}

fn listed(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let rows = page(&[(2, "t", "b"), (3, "u", "a"), (4, "u", "c")]);
    tx.append_listing(job, true, &rows).expect("appends");
    let found = tx.listed(job, &["c", "a", "none", "a"]).expect("looks up");
    assert_eq!(found, [rows[1].clone(), rows[2].clone()]);
    assert_eq!(tx.listed(job, &[]).expect("looks up"), []);
}

fn rejected_rows(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let row = |line: u64, title: Option<&str>, asset: Option<&str>| RowError {
        line,
        column: Some("bytes".into()),
        asset: asset.map(str::to_owned),
        message: format!("m{line}"),
        title: title.map(str::to_owned),
    };
    let (first, second, third) = (
        row(9, Some("a"), None),
        row(4, Some("a"), Some("x")),
        row(2, Some("b"), Some("a")),
    );
    let errors = [
        third.clone(),
        row(1, None, Some("z")),
        second.clone(),
        first.clone(),
    ];
    assert_eq!(tx.append_row_errors(job, &errors).expect("appends"), 4);
    let waiting = |tx: &mut dyn Tx, limit| tx.uncounted_rows(job, limit).expect("lists");
    assert_eq!(
        waiting(tx, 9),
        [first.clone(), second.clone(), third.clone()],
        "by title, asset and line"
    );
    assert_eq!(waiting(tx, 1), std::slice::from_ref(&first));
    tx.count_rows(job, &[(first.clone(), 3), (second.clone(), 4)])
        .expect("counts");
    assert_eq!(waiting(tx, 9), [third]);
    let counted = |tx: &mut dyn Tx, of| tx.counted_rows(job, of, 9).expect("lists");
    assert_eq!(
        counted(tx, RowsOf::Job),
        [second.clone(), first.clone()],
        "by line"
    );
    assert_eq!(
        counted(tx, RowsOf::Title("a")),
        [second.clone(), first.clone()]
    );
    assert_eq!(counted(tx, RowsOf::Title("b")), [], "not counted yet");
    assert_eq!(counted(tx, RowsOf::Parts(1, 3)), [first]);
    assert_eq!(
        tx.append_row_errors(job, &[second]).expect("appends"),
        0,
        "a replay is not counted again"
    );
    assert_eq!(tx.uncounted_rows(job, 9).expect("lists").len(), 1);
}

fn listing_order(tx: &mut dyn Tx) {
    let job = add_job(tx);
    tx.append_listing(
        job,
        true,
        &page(&[(1, "z", "a"), (2, "b", "c"), (3, "b", "b")]),
    )
    .expect("appends");
    let by_title = tx.listing_after(job, true, false, None, 2).expect("pages");
    let names = |page: &[Member]| {
        page.iter()
            .map(|m| (m.title.clone(), m.id.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&by_title),
        [("b".into(), "b".into()), ("b".into(), "c".into())]
    );
    assert!(
        by_title.iter().all(|member| member.row_bytes == 0),
        "sizes were not asked for: {by_title:?}"
    );
    let one = |tx: &mut dyn Tx, asset| tx.listed_asset(job, asset).expect("looks");
    assert_eq!(one(tx, "c").map(|asset| asset.title).as_deref(), Some("b"));
    assert_eq!(one(tx, "d"), None);
    let rest = tx
        .listing_after(job, true, true, Some(("b", "c")), 9)
        .expect("pages");
    assert_eq!(names(&rest), [("z".to_owned(), "a".to_owned())]);
    let by_id = tx
        .listing_after(job, false, true, Some(("", "a")), 9)
        .expect("pages");
    let plain = by_id[0].row_bytes;
    let mut noted = page(&[(4, "z", "zz")]);
    let meta = [("note".to_owned(), "ü".repeat(500))].into();
    noted[0].asset.declared = Some(Box::new(Declared {
        meta,
        ..Declared::default()
    }));
    tx.append_listing(job, true, &noted).expect("appends");
    let long = tx
        .listing_after(job, false, true, Some(("", "c")), 9)
        .expect("pages");
    assert!(
        long[0].row_bytes > plain + 1_000,
        "columns kept as metadata count, in bytes: {long:?}"
    );
    assert_eq!(
        names(&by_id),
        [
            (String::new(), "b".to_owned()),
            (String::new(), "c".to_owned())
        ]
    );
}
