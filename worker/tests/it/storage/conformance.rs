//! What every storage promises, asked of each of them. A new backend is one line in [`run`]'s callers.
use crate::fixture::noise;
use crate::storage::subjects::{self, Lacks, Subject};
use ::storage::{
    Attributes, BeginRequest, Body, CompleteRequest, CopyRequest, ListRequest, ListStart,
    MultipartUploads, Part, Precondition, PutRequest, Slot, Storage, StorageError, Upload, Version,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

const MIB: usize = 1024 * 1024;

/// A storage of a subject, and where keys of one test begin.
pub(crate) struct Bench<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) prefix: String,
}

impl Bench<'_> {
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(crate) fn body(&self, content: &[u8]) -> Body {
        // Cut unevenly, as content arrives.
        let pieces: Vec<Bytes> = content
            .chunks(300_001)
            .map(Bytes::copy_from_slice)
            .collect();
        Body::new(pieces, self.storage.capabilities().checksum)
    }

    /// The same length, other bytes, and the checksum of the right ones.
    fn lying(&self, content: &[u8]) -> Body {
        let mut wrong = content.to_vec();
        wrong[content.len() / 2] ^= 1;
        Body::known(vec![Bytes::from(wrong)], self.body(content).checksum())
    }

    pub(crate) fn uploads(&self) -> &dyn MultipartUploads {
        self.storage
            .multipart(&self.prefix)
            .expect("it takes content in parts")
    }

    pub(crate) async fn put(&self, key: &str, content: &[u8]) -> ::storage::ObjectState {
        let put = self
            .storage
            .put(PutRequest {
                key,
                body: &self.body(content),
                attributes: &Attributes::default(),
                precondition: &Precondition::IfAbsent,
            })
            .await;
        put.unwrap_or_else(|error| panic!("{}: {error}", self.subject.name))
    }

    pub(crate) async fn content(&self, key: &str) -> Vec<u8> {
        let state = self.storage.stat(key).await.expect("it is there");
        self.range(key, 0, state.bytes).await
    }

    async fn range(&self, key: &str, from: u64, to: u64) -> Vec<u8> {
        let reading = self
            .storage
            .read(key, from..to, None)
            .await
            .expect("readable");
        reading.collect().await.expect("whole").concat()
    }

    async fn missing(&self, key: &str) -> bool {
        matches!(self.storage.stat(key).await, Err(StorageError::NotFound(_)))
    }

    /// Sends content in parts of `sizes`; the numbers of `order` say in which order.
    pub(crate) async fn parts(
        &self,
        upload: &Upload,
        content: &[u8],
        sizes: &[usize],
        order: &[usize],
    ) -> Vec<Part> {
        let mut parts = Vec::new();
        for at in order {
            let offset: usize = sizes[..*at].iter().sum();
            let slot = Slot {
                number: *at as u32 + 1,
                offset: offset as u64,
            };
            let body = self.body(&content[offset..offset + sizes[*at]]);
            let part = self.uploads().put_part(upload, slot, &body).await;
            parts.push(part.unwrap_or_else(|error| panic!("{}: {error}", self.subject.name)));
        }
        parts.sort_by_key(|part| part.number);
        parts
    }
}

fn is_condition<T>(result: &Result<T, StorageError>) -> bool {
    matches!(result, Err(StorageError::Precondition { .. }))
}

/// Runs the suite.
async fn run(subject: Subject) {
    macro_rules! ask {
        ($($question:ident),*) => {$({
            let name = stringify!($question);
            let (storage, prefix) = subject.open(name).await;
            println!("{}: {name}", subject.name);
            $question(&Bench { subject: &subject, storage, prefix }).await;
        })*};
    }
    ask!(
        content_comes_back,
        names_are_kept,
        what_is_missing_is_said,
        nothing_is_replaced_unasked,
        one_of_many_creators_wins,
        readers_notice_changes,
        listings_come_in_pages,
        wrong_content_is_refused,
        parts_make_a_whole,
        an_upload_is_taken_up_by_others,
        a_wrong_whole_never_appears,
        completion_replaces_nothing_unasked,
        aborted_uploads_are_gone,
        many_parts_make_a_whole,
        copies_are_made_by_the_server,
        deletion_is_conditional,
        attributes_arrive
    );
}

#[tokio::test]
async fn a_folder_is_a_storage() {
    run(subjects::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_is_a_storage() {
    if let Some(subject) = subjects::weed().await {
        run(subject).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_that_only_knows_md5_is_a_storage() {
    if let Some(subject) = subjects::weed_md5().await {
        run(subject).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ministack_is_a_storage() {
    if let Some(subject) = subjects::ministack().await {
        run(subject).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn google_storage_is_a_storage() {
    run(subjects::stub().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fake_gcs_server_is_a_storage() {
    if let Some(subject) = subjects::fake_gcs().await {
        run(subject).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gcp_storage_emulator_is_a_storage() {
    if let Some(subject) = subjects::gcp_emulator().await {
        run(subject).await;
    }
}

async fn content_comes_back(bench: &Bench<'_>) {
    for size in [0, 1, 100_000, 3 * MIB + 7] {
        let (key, content) = (bench.key(&format!("{size}")), noise(size, size as u64));
        let put = bench.put(&key, &content).await;
        let state = bench.storage.stat(&key).await.expect("it is there");
        assert_eq!(
            (put.bytes, state.bytes, &state.key),
            (size as u64, size as u64, &key)
        );
        assert_eq!(put.version.tag, state.version.tag);
        if let Some(kept) = state.checksum {
            assert_eq!(
                kept,
                kept.kind().of(&[Bytes::from(content.clone())]),
                "{size}"
            );
        }
        assert!(bench.content(&key).await == content, "{size}");
    }
    let (key, content) = (bench.key("100000"), noise(100_000, 100_000));
    for (from, to) in [(0, 1), (1_000, 2_000), (99_999, 100_000), (50_000, 50_000)] {
        assert!(
            bench.range(&key, from as u64, to as u64).await == content[from..to],
            "{from}-{to}"
        );
    }
    assert!(
        bench
            .storage
            .read(&key, 200_000..200_001, None)
            .await
            .is_err()
    );
    if let Ok(beyond) = bench.storage.read(&key, 99_000..100_001, None).await {
        beyond
            .collect()
            .await
            .expect_err("there are not as many bytes");
    }
}

async fn names_are_kept(bench: &Bench<'_>) {
    let names = [
        "a b",
        "plus+and&=?#",
        "umlaut äöü/日本",
        "100%25",
        "deep/er/and/deeper/x",
        "quote'\"",
        "~tilde(1)",
    ];
    let plain = bench.subject.lacks(Lacks::UnicodeNames);
    let names: Vec<&str> = names
        .into_iter()
        .filter(|name| name.is_ascii() || !plain)
        .collect();
    for name in &names {
        bench.put(&bench.key(name), name.as_bytes()).await;
    }
    for name in &names {
        assert_eq!(
            bench.content(&bench.key(name)).await,
            name.as_bytes(),
            "{name}"
        );
    }
    let listed = bench
        .storage
        .list(ListRequest {
            prefix: &bench.prefix,
            start: ListStart::First,
            objects_max: 100,
        })
        .await
        .expect("listed");
    let mut keys: Vec<String> = listed
        .objects
        .into_iter()
        .map(|object| object.key)
        .collect();
    keys.sort();
    let mut expected: Vec<String> = names.iter().map(|name| bench.key(name)).collect();
    expected.sort();
    assert_eq!(keys, expected);
    // A directory takes every other name; a header does not.
    let wrong = ["../x", "a/../../x", "", "a\nb"];
    let wrong = &wrong[..if bench.storage.capabilities().files {
        3
    } else {
        4
    }];
    for wrong in wrong.iter().copied() {
        let put = bench
            .storage
            .put(PutRequest {
                key: wrong,
                body: &bench.body(b"x"),
                attributes: &Attributes::default(),
                precondition: &Precondition::Unconditional,
            })
            .await;
        assert!(
            matches!(put, Err(StorageError::Invalid { .. })),
            "{wrong:?}: {put:?}"
        );
    }
}

async fn what_is_missing_is_said(bench: &Bench<'_>) {
    let key = bench.key("missing");
    assert!(bench.missing(&key).await);
    let read = bench
        .storage
        .read(&key, 0..1, None)
        .await
        .err()
        .expect("nothing is there");
    assert!(matches!(read, StorageError::NotFound(_)), "{read}");
    assert!(
        read.to_string().contains(&bench.storage.location(&key)),
        "{read}"
    );
    assert_eq!(bench.storage.delete(&key, None).await, Ok(()));
    let listed = bench
        .storage
        .list(ListRequest {
            prefix: &key,
            start: ListStart::First,
            objects_max: 10,
        })
        .await
        .expect("listed");
    assert_eq!((listed.objects.len(), listed.next), (0, None));
}

async fn nothing_is_replaced_unasked(bench: &Bench<'_>) {
    let key = bench.key("kept");
    let first = bench.put(&key, b"first").await;
    let put = async |content: &[u8], condition: Precondition| {
        bench
            .storage
            .put(PutRequest {
                key: &key,
                body: &bench.body(content),
                attributes: &Attributes::default(),
                precondition: &condition,
            })
            .await
    };
    if !bench.subject.lacks(Lacks::CommitConditions) {
        assert!(is_condition(&put(b"second", Precondition::IfAbsent).await));
        assert_eq!(bench.content(&key).await, b"first");
    }
    if bench.storage.capabilities().replace_same && !bench.subject.lacks(Lacks::CommitConditions) {
        put(b"second", Precondition::IfMatch(first.version.clone()))
            .await
            .expect("it is the same");
        assert_eq!(bench.content(&key).await, b"second");
        assert!(is_condition(
            &put(b"third", Precondition::IfMatch(first.version)).await
        ));
        assert_eq!(bench.content(&key).await, b"second");
    }
    put(b"fourth, longer", Precondition::Unconditional)
        .await
        .expect("whatever is there");
    assert_eq!(bench.content(&key).await, b"fourth, longer");
}

async fn one_of_many_creators_wins(bench: &Bench<'_>) {
    if bench.subject.lacks(Lacks::CommitConditions) {
        return;
    }
    let key = bench.key("race");
    let creators = (0..8u8).map(|creator| {
        let (storage, key, body) = (
            Arc::clone(&bench.storage),
            key.clone(),
            bench.body(&[creator; 1000]),
        );
        tokio::spawn(async move {
            storage
                .put(PutRequest {
                    key: &key,
                    body: &body,
                    attributes: &Attributes::default(),
                    precondition: &Precondition::IfAbsent,
                })
                .await
        })
    });
    let creators: Vec<_> = creators.collect();
    let mut winners = Vec::new();
    for (creator, outcome) in creators.into_iter().enumerate() {
        match outcome.await.expect("no panic") {
            Ok(_) => winners.push(creator),
            // The service asks some of those that met to try again.
            Err(StorageError::Precondition { .. } | StorageError::Unavailable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(bench.content(&key).await, vec![winners[0] as u8; 1000]);
}

async fn readers_notice_changes(bench: &Bench<'_>) {
    if bench.subject.lacks(Lacks::ReadConditions) {
        return;
    }
    let key = bench.key("changing");
    let first = bench.put(&key, b"first").await.version;
    let same = bench
        .storage
        .read(&key, 0..5, Some(&first))
        .await
        .expect("the same");
    assert_eq!(same.collect().await.expect("whole").concat(), b"first");
    let put = bench
        .storage
        .put(PutRequest {
            key: &key,
            body: &bench.body(b"other"),
            attributes: &Attributes::default(),
            precondition: &Precondition::Unconditional,
        })
        .await;
    assert_ne!(put.expect("replaced").version, first);
    let changed = bench.storage.read(&key, 0..5, Some(&first)).await;
    assert!(is_condition(&changed), "{:?}", changed.err());
}

async fn listings_come_in_pages(bench: &Bench<'_>) {
    for number in 0..25 {
        bench
            .put(&bench.key(&format!("page/{number:03}")), &[number; 3])
            .await;
    }
    bench.put(&bench.key("pages"), b"beside").await;
    let (mut keys, mut page, mut pages) = (Vec::new(), None, 0);
    loop {
        let listed = bench
            .storage
            .list(ListRequest {
                prefix: &bench.key("page/"),
                start: ListStart::page(page.as_deref()),
                objects_max: 10,
            })
            .await
            .expect("listed");
        assert!(listed.objects.iter().all(|object| object.bytes == 3));
        keys.extend(listed.objects.into_iter().map(|object| object.key));
        (page, pages) = (listed.next, pages + 1);
        if page.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..25)
        .map(|number| bench.key(&format!("page/{number:03}")))
        .collect();
    assert_eq!(keys, expected, "in {pages} pages");
}

async fn wrong_content_is_refused(bench: &Bench<'_>) {
    let (key, content) = (bench.key("lie"), noise(10_000, 1));
    let put = bench
        .storage
        .put(PutRequest {
            key: &key,
            body: &bench.lying(&content),
            attributes: &Attributes::default(),
            precondition: &Precondition::IfAbsent,
        })
        .await;
    assert!(matches!(put, Err(StorageError::Corrupt { .. })), "{put:?}");
    assert!(bench.missing(&key).await, "wrong content is visible");
    let upload = bench
        .uploads()
        .begin(BeginRequest {
            key: &key,
            attributes: &Attributes::default(),
            source: None,
        })
        .await
        .expect("begun");
    let slot = Slot {
        number: 1,
        offset: 0,
    };
    let part = bench
        .uploads()
        .put_part(&upload, slot, &bench.lying(&content))
        .await;
    assert!(
        matches!(part, Err(StorageError::Corrupt { .. })),
        "{part:?}"
    );
    let arrived = bench.uploads().parts(&upload).await.expect("listed");
    assert!(arrived.is_empty(), "{arrived:?}");
    bench.uploads().abort(&upload).await.expect("aborted");
}

/// Sizes of parts that every server takes: the least there is, but for the last.
fn sizes(bench: &Bench<'_>) -> [usize; 3] {
    let least = bench
        .storage
        .capabilities()
        .multipart
        .expect("parts")
        .limits
        .bytes_min
        .max(100_000) as usize;
    [least + 1, least, 70_001]
}

async fn parts_make_a_whole(bench: &Bench<'_>) {
    if bench.subject.lacks(Lacks::Compose) {
        return;
    }
    let (key, sizes) = (bench.key("whole"), sizes(bench));
    let content = noise(sizes.iter().sum(), 2);
    let upload = bench
        .uploads()
        .begin(BeginRequest {
            key: &key,
            attributes: &Attributes::default(),
            source: None,
        })
        .await
        .expect("begun");
    let parts = bench.parts(&upload, &content, &sizes, &[2, 0, 1, 0]).await;
    // The first one was sent twice: the last one counts.
    let parts = parts[1..].to_vec();
    assert!(bench.missing(&key).await, "a part is visible");
    let arrived = bench.uploads().parts(&upload).await.expect("listed");
    let brief = |parts: &[Part]| {
        parts
            .iter()
            .map(|p| (p.number, p.bytes, p.tag.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(brief(&arrived), brief(&parts));
    assert_eq!(
        bench
            .uploads()
            .uploads(&bench.prefix)
            .await
            .expect("listed")
            .len(),
        1
    );
    let done = bench
        .uploads()
        .complete(CompleteRequest {
            upload: &upload,
            parts: &parts,
            whole: Part::whole(&parts),
            precondition: &Precondition::IfAbsent,
        })
        .await;
    let done = done.unwrap_or_else(|error| panic!("{}: {error}", bench.subject.name));
    assert_eq!(done.bytes, content.len() as u64);
    assert!(bench.content(&key).await == content);
    let state = bench.storage.stat(&key).await.expect("it is there");
    if let Some(kept) = state.checksum {
        assert_eq!(kept, kept.kind().of(&[Bytes::from(content)]));
    }
    assert_eq!(
        bench
            .uploads()
            .uploads(&bench.prefix)
            .await
            .expect("listed"),
        []
    );
    assert_eq!(
        bench
            .storage
            .list(ListRequest {
                prefix: &bench.prefix,
                start: ListStart::First,
                objects_max: 10
            })
            .await
            .expect("listed")
            .objects
            .len(),
        1
    );
}

async fn an_upload_is_taken_up_by_others(bench: &Bench<'_>) {
    if bench.subject.lacks(Lacks::Compose) {
        return;
    }
    let (key, sizes) = (bench.key("resumed"), sizes(bench));
    let content = noise(sizes.iter().sum(), 3);
    let begun = bench
        .uploads()
        .begin(BeginRequest {
            key: &key,
            attributes: &Attributes::default(),
            source: None,
        })
        .await
        .expect("begun");
    bench.parts(&begun, &content, &sizes, &[1]).await;
    // Nothing is known any more but the place.
    let (storage, prefix) = bench.subject.open("an_upload_is_taken_up_by_others").await;
    let other = Bench {
        subject: bench.subject,
        storage,
        prefix,
    };
    let found = other.uploads().uploads(&key).await.expect("listed");
    assert_eq!(found, [begun]);
    let arrived = other.uploads().parts(&found[0]).await.expect("listed");
    assert_eq!(
        arrived.iter().map(|part| part.number).collect::<Vec<_>>(),
        [2]
    );
    let mut parts = other.parts(&found[0], &content, &sizes, &[0, 2]).await;
    parts.insert(1, arrived[0].clone());
    let done = other
        .uploads()
        .complete(CompleteRequest {
            upload: &found[0],
            parts: &parts,
            whole: Part::whole(&parts),
            precondition: &Precondition::IfAbsent,
        })
        .await;
    done.unwrap_or_else(|error| panic!("{}: {error}", bench.subject.name));
    assert!(other.content(&key).await == content);
}

async fn a_wrong_whole_never_appears(bench: &Bench<'_>) {
    if bench.subject.lacks(Lacks::Compose) || !bench.storage.capabilities().whole_checksum {
        return;
    }
    let (key, sizes) = (bench.key("wrong"), sizes(bench));
    let content = noise(sizes.iter().sum(), 4);
    let upload = bench
        .uploads()
        .begin(BeginRequest {
            key: &key,
            attributes: &Attributes::default(),
            source: None,
        })
        .await
        .expect("begun");
    let parts = bench.parts(&upload, &content, &sizes, &[0, 1, 2]).await;
    let mut other = content;
    other[7] ^= 1;
    let sum = bench.body(&other).checksum();
    let done = bench
        .uploads()
        .complete(CompleteRequest {
            upload: &upload,
            parts: &parts,
            whole: Some(sum),
            precondition: &Precondition::IfAbsent,
        })
        .await;
    assert!(done.is_err(), "{done:?}");
    assert!(bench.missing(&key).await, "a wrong whole is visible");
    bench.uploads().abort(&upload).await.expect("aborted");
}

async fn completion_replaces_nothing_unasked(bench: &Bench<'_>) {
    if bench.subject.lacks(Lacks::Compose) || bench.subject.lacks(Lacks::CommitConditions) {
        return;
    }
    let key = bench.key("taken");
    let content = noise(5_000, 5);
    let upload = bench
        .uploads()
        .begin(BeginRequest {
            key: &key,
            attributes: &Attributes::default(),
            source: None,
        })
        .await
        .expect("begun");
    let parts = bench.parts(&upload, &content, &[5_000], &[0]).await;
    bench.put(&key, b"somebody was first").await;
    let done = bench
        .uploads()
        .complete(CompleteRequest {
            upload: &upload,
            parts: &parts,
            whole: Part::whole(&parts),
            precondition: &Precondition::IfAbsent,
        })
        .await;
    assert!(is_condition(&done), "{done:?}");
    assert_eq!(bench.content(&key).await, b"somebody was first");
    bench.uploads().abort(&upload).await.expect("aborted");
    let again = bench
        .uploads()
        .begin(BeginRequest {
            key: &key,
            attributes: &Attributes::default(),
            source: None,
        })
        .await
        .expect("begun");
    let parts = bench.parts(&again, &content, &[5_000], &[0]).await;
    bench
        .uploads()
        .complete(CompleteRequest {
            upload: &again,
            parts: &parts,
            whole: Part::whole(&parts),
            precondition: &Precondition::Unconditional,
        })
        .await
        .expect("replaced");
    assert!(bench.content(&key).await == content);
}

async fn aborted_uploads_are_gone(bench: &Bench<'_>) {
    let key = bench.key("aborted");
    let upload = bench
        .uploads()
        .begin(BeginRequest {
            key: &key,
            attributes: &Attributes::default(),
            source: None,
        })
        .await
        .expect("begun");
    bench.parts(&upload, &[7; 1000], &[1000], &[0]).await;
    bench.uploads().abort(&upload).await.expect("aborted");
    bench.uploads().abort(&upload).await.expect("aborted twice");
    assert_eq!(
        bench
            .uploads()
            .uploads(&bench.prefix)
            .await
            .expect("listed"),
        []
    );
    let parts = bench.uploads().parts(&upload).await;
    assert!(
        matches!(parts, Err(StorageError::UploadGone(_))),
        "{parts:?}"
    );
    assert!(bench.missing(&key).await);
    assert_eq!(
        bench
            .storage
            .list(ListRequest {
                prefix: &bench.prefix,
                start: ListStart::First,
                objects_max: 10
            })
            .await
            .expect("listed")
            .objects,
        []
    );
}

/// More parts than one request composes, where parts may be small.
async fn many_parts_make_a_whole(bench: &Bench<'_>) {
    let small = bench
        .storage
        .capabilities()
        .multipart
        .expect("parts")
        .limits
        .bytes_min
        <= 1_000;
    if !small || bench.subject.lacks(Lacks::Compose) {
        return;
    }
    let key = bench.key("many");
    let sizes: Vec<usize> = (0..70).map(|part| 1_000 + part).collect();
    let content = noise(sizes.iter().sum(), 6);
    let upload = bench
        .uploads()
        .begin(BeginRequest {
            key: &key,
            attributes: &Attributes::default(),
            source: None,
        })
        .await
        .expect("begun");
    let order: Vec<usize> = (0..70).rev().collect();
    let parts = bench.parts(&upload, &content, &sizes, &order).await;
    bench
        .uploads()
        .complete(CompleteRequest {
            upload: &upload,
            parts: &parts,
            whole: Part::whole(&parts),
            precondition: &Precondition::IfAbsent,
        })
        .await
        .expect("completed");
    assert!(bench.content(&key).await == content);
    assert_eq!(
        bench
            .storage
            .list(ListRequest {
                prefix: &bench.prefix,
                start: ListStart::First,
                objects_max: 100
            })
            .await
            .expect("listed")
            .objects
            .len(),
        1
    );
}

async fn copies_are_made_by_the_server(bench: &Bench<'_>) {
    let plain = bench.subject.lacks(Lacks::UnicodeNames);
    let (from, to) = (
        bench.key(if plain { "from a" } else { "from a+ä" }),
        bench.key("to"),
    );
    let content = noise(200_000, 8);
    bench.put(&from, &content).await;
    let state = bench.storage.stat(&from).await.expect("it is there");
    let Ok(copies) = bench.storage.server_copy(&from) else {
        return;
    };
    let source = copies.source(&state).expect("an object can be copied");
    let copy = async |key: &str, condition: Precondition| {
        copies
            .copy(CopyRequest {
                from: &source,
                key,
                attributes: &Attributes::default(),
                precondition: &condition,
            })
            .await
    };
    let copied = copy(&to, Precondition::IfAbsent)
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", bench.subject.name));
    assert_eq!(copied.bytes, content.len() as u64);
    assert!(bench.content(&to).await == content);
    if !bench.subject.lacks(Lacks::CommitConditions) {
        assert!(is_condition(&copy(&to, Precondition::IfAbsent).await));
    }
    copy(&to, Precondition::Unconditional)
        .await
        .expect("replaced");
    if !bench.subject.lacks(Lacks::ReadConditions) {
        let put = bench
            .storage
            .put(PutRequest {
                key: &from,
                body: &bench.body(b"changed"),
                attributes: &Attributes::default(),
                precondition: &Precondition::Unconditional,
            })
            .await;
        put.expect("replaced");
        let stale = copy(&bench.key("stale"), Precondition::IfAbsent).await;
        assert!(is_condition(&stale), "{stale:?}");
        assert!(bench.missing(&bench.key("stale")).await);
    }
    assert_eq!(
        bench
            .uploads()
            .uploads(&bench.prefix)
            .await
            .expect("listed"),
        []
    );
    let stranger = ::storage::CopySource {
        domain: "another".into(),
        ..source.clone()
    };
    let foreign = copies
        .copy(CopyRequest {
            from: &stranger,
            key: &to,
            attributes: &Attributes::default(),
            precondition: &Precondition::Unconditional,
        })
        .await;
    assert!(
        matches!(foreign, Err(StorageError::Unsupported { .. })),
        "{foreign:?}"
    );
}

async fn deletion_is_conditional(bench: &Bench<'_>) {
    let key = bench.key("deleted");
    let state = bench.put(&key, b"x").await;
    if !bench.subject.lacks(Lacks::ReadConditions) {
        let other = Version {
            tag: "123456789".into(),
            id: None,
        };
        assert!(is_condition(
            &bench.storage.delete(&key, Some(&other)).await
        ));
        assert_eq!(bench.content(&key).await, b"x");
    }
    bench
        .storage
        .delete(&key, Some(&state.version))
        .await
        .expect("deleted");
    assert!(bench.missing(&key).await);
    bench
        .storage
        .delete(&key, Some(&state.version))
        .await
        .expect("gone is fine");
    if let Some(names) = bench.storage.capabilities().rename {
        bench.put(&key, b"y").await;
        bench.put(&bench.key("other"), b"z").await;
        assert!(is_condition(&names.rename(&key, &bench.key("other")).await));
        names
            .rename(&key, &bench.key("new/name"))
            .await
            .expect("renamed");
        assert_eq!(bench.content(&bench.key("new/name")).await, b"y");
        assert!(bench.missing(&key).await);
    }
}

async fn attributes_arrive(bench: &Bench<'_>) {
    let attributes = Attributes {
        content_type: Some("video/mp4".into()),
        class: None,
        metadata: BTreeMap::from([("job".to_owned(), "j-1".to_owned())]),
    };
    let (one, many) = (bench.key("one"), bench.key("many"));
    bench
        .storage
        .put(PutRequest {
            key: &one,
            body: &bench.body(b"x"),
            attributes: &attributes,
            precondition: &Precondition::IfAbsent,
        })
        .await
        .expect("put");
    if bench.subject.lacks(Lacks::Compose) {
        return;
    }
    let upload = bench
        .uploads()
        .begin(BeginRequest {
            key: &many,
            attributes: &attributes,
            source: None,
        })
        .await
        .expect("begun");
    let parts = bench.parts(&upload, b"content", &[7], &[0]).await;
    bench
        .uploads()
        .complete(CompleteRequest {
            upload: &upload,
            parts: &parts,
            whole: Part::whole(&parts),
            precondition: &Precondition::IfAbsent,
        })
        .await
        .expect("completed");
    assert_eq!(bench.content(&many).await, b"content");
}
