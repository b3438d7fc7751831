//! Histories of trees in buckets: written there, checked there, and accepted by the reference tool once downloaded.
use crate::fixture::{asset, context, finished, noise, unit};
use crate::mhl::ascmhl;
use crate::nested::mhl_1_1;
use crate::storage::carry::task;
use crate::storage::conformance::Bench;
use crate::storage::subjects::{self, Subject};
use ::mhl::MhlError;
use ::mhl::journal::{self, Action, Record};
use ::mhl::object::{self, ObjectTree};
use ::mhl::seal::SealReport;
use ::mhl::verify::VerifyReport;
use ::storage::hash::hash_bytes;
use ::storage::layer::{Call, Layer, Operation};
use ::storage::{Layered, ListRequest, ListStart, Precondition, PutRequest, Roots, StorageError};
use async_trait::async_trait;
use protocol::id::{JobNo, StepNo, UnitId};
use protocol::media::asset::Asset;
use protocol::model::hash::HashAlgorithm;
use protocol::wire::report::UnitResult;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::seal::SealTask;
use protocol::wire::step::transfer::TransferTask;
use protocol::wire::unit::Unit;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use worker::step::StepContext;

/// A tree in a bucket, as transfers leave it.
struct Bucket<'a> {
    bench: Bench<'a>,
    landed: u32,
}

impl<'a> Bucket<'a> {
    async fn new(subject: &'a Subject, test: &str) -> Bucket<'a> {
        let (storage, prefix) = subject.open(test).await;
        Bucket {
            bench: Bench {
                subject,
                storage,
                prefix,
            },
            landed: 0,
        }
    }

    fn tree(&self) -> ObjectTree {
        ObjectTree::new(self.bench.storage.clone(), &self.bench.prefix)
    }

    /// Lands objects with their journal, as one unit does.
    async fn land(&mut self, job: &str, files: &[(&str, &[u8])]) {
        let mut records = Vec::new();
        for (name, content) in files {
            let state = self.bench.put(&self.bench.key(name), content).await;
            records.push(Record {
                path: (*name).to_owned(),
                bytes: content.len() as u64,
                modified_ns: 0,
                hashed_at_us: jiff::Timestamp::now().as_microsecond(),
                hashes: vec![hash_bytes(HashAlgorithm::Xxh128, content).to_string()],
                action: Action::Copied,
                tag: Some(state.version.tag),
                source: None,
            });
        }
        self.landed += 1;
        let unit = UnitId::new(JobNo(1), StepNo(0), i64::from(self.landed));
        let put = journal::put(
            &*self.bench.storage,
            &self.bench.prefix,
            job,
            unit.execution(1),
            &records,
        )
        .await;
        put.expect("written");
    }

    async fn seal(&self, job: &str) -> Result<SealReport, MhlError> {
        object::seal(
            &self.tree(),
            job,
            HashAlgorithm::Xxh128,
            &CancellationToken::new(),
        )
        .await
    }

    async fn verify(&self) -> VerifyReport {
        object::verify(&self.tree(), 4, &CancellationToken::new())
            .await
            .expect("verified")
    }

    async fn overwrite(&self, name: &str, content: &[u8]) {
        let body = self.bench.body(content);
        let put = self
            .bench
            .storage
            .put(PutRequest {
                key: &self.bench.key(name),
                body: &body,
                attributes: &Default::default(),
                precondition: &Precondition::Unconditional,
            })
            .await;
        put.expect("written");
    }

    async fn rename(&self, from: &str, to: &str) {
        let content = self.bench.content(&self.bench.key(from)).await;
        self.bench.put(&self.bench.key(to), &content).await;
        self.bench
            .storage
            .delete(&self.bench.key(from), None)
            .await
            .expect("removed");
    }

    async fn keys(&self) -> Vec<String> {
        let (mut keys, mut page) = (Vec::new(), None);
        loop {
            let listed = self
                .bench
                .storage
                .list(ListRequest {
                    prefix: &self.bench.prefix,
                    start: ListStart::page(page.as_deref()),
                    objects_max: 3,
                })
                .await
                .expect("listed");
            keys.extend(
                listed
                    .objects
                    .into_iter()
                    .map(|o| o.key[self.bench.prefix.len()..].to_owned()),
            );
            match listed.next {
                Some(next) => page = Some(next),
                None => return keys,
            }
        }
    }

    async fn download(&self, to: &Path) {
        for key in self.keys().await {
            let path = to.join(&key);
            std::fs::create_dir_all(path.parent().expect("below")).expect("created");
            std::fs::write(path, self.bench.content(&self.bench.key(&key)).await).expect("written");
        }
    }

    async fn accepted_by_reference(&self, name: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temp dir");
        let root = dir.path().join(name);
        self.download(&root).await;
        for command in ["verify", "diff", "info"] {
            let (code, said) = ascmhl(&[command], &root);
            assert_eq!(
                code, 0,
                "{}: ascmhl {command}: {said}",
                self.bench.subject.name
            );
            assert!(!said.contains("ERROR"), "ascmhl {command}: {said}");
        }
        dir
    }
}

async fn three_generations(subject: &Subject) {
    let mut bucket = Bucket::new(subject, "tree").await;
    let large = noise(9 << 20, 3);
    let first: &[(&str, &[u8])] = &[
        ("a-b.mov", b"x"),
        ("a.mov", b"y"),
        ("a/b.mov", b"a"),
        ("a/deep/x.srt", b""),
        ("large.mxf", &large),
    ];
    bucket.land("job-1", first).await;
    let report = bucket.seal("job-1").await.expect("sealed");
    assert_eq!(
        (report.files, report.hashed_bytes),
        (5, 0),
        "{}: the journal vouches for all",
        subject.name
    );
    assert!(
        !bucket
            .keys()
            .await
            .iter()
            .any(|key| key.starts_with(".showrunner")),
        "the journal is gone"
    );
    let copy = bucket.accepted_by_reference("tree").await;
    let (code, said) = ascmhl(&["verify", "-dh"], &copy.path().join("tree"));
    assert_eq!(code, 0, "directory hashes: {said}");
    assert!(bucket.verify().await.is_intact());
    let again = bucket.seal("job-1").await.expect("sealed");
    assert_eq!(
        (again.generation, again.files, again.hashed_bytes),
        (None, 0, 0),
        "nothing new"
    );

    bucket.rename("a/b.mov", "a/renamed.mov").await;
    bucket.land("job-2", &[("added.mov", b"added")]).await;
    let report = bucket.seal("job-2").await.expect("sealed");
    assert_eq!(
        (report.files, report.hashed_bytes, report.failed.len()),
        (2, 1, 0),
        "{}",
        subject.name
    );
    bucket.accepted_by_reference("tree").await;
    let verified = bucket.verify().await;
    assert_eq!(
        (verified.is_intact(), verified.generations, verified.files),
        (true, 2, 6),
        "{verified:?}"
    );

    // A changed object is named by the generation and by every verification.
    bucket.overwrite("a/renamed.mov", b"A").await;
    let report = bucket.seal("job-3").await.expect("sealed");
    assert!(
        report.failed.len() == 1 && report.failed[0].starts_with("a/renamed.mov: "),
        "{:?}",
        report.failed
    );
    let verified = bucket.verify().await;
    assert_eq!(
        verified
            .mismatched
            .iter()
            .map(|m| m.path.as_str())
            .collect::<Vec<_>>(),
        ["a/renamed.mov"]
    );
    bucket.overwrite("a/renamed.mov", b"a").await;
    let report = bucket.seal("job-4").await.expect("sealed");
    assert_eq!(report.failed, Vec::<String>::new());
    let copy = bucket.accepted_by_reference("tree").await;
    // What the reference tool adds to the copy is continued by us, in a directory.
    let root = copy.path().join("tree");
    assert_eq!(ascmhl(&["create"], &root).0, 0);
    assert!(
        ::mhl::verify::verify(&root, 2, &CancellationToken::new())
            .expect("verified")
            .is_intact()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn three_generations_on_seaweedfs() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    three_generations(&subject).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_generations_on_google_cloud_storage() {
    three_generations(&subjects::stub().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_new_broken_and_left_over_is_told() {
    let subject = subjects::stub().await;
    let mut bucket = Bucket::new(&subject, "told").await;
    let none = bucket.verify().await;
    assert!(
        none.broken[0].contains("has no ASC MHL history"),
        "{none:?}"
    );
    bucket.land("job-1", &[("a", b"1"), ("d/b", b"2")]).await;
    bucket.seal("job-1").await.expect("sealed");
    bucket
        .bench
        .storage
        .delete(&bucket.bench.key("d/b"), None)
        .await
        .expect("removed");
    bucket.bench.put(&bucket.bench.key("new"), b"3").await;
    bucket
        .bench
        .put(&bucket.bench.key(".DS_Store"), b"ignored")
        .await;
    let report = bucket.verify().await;
    assert_eq!(
        (report.missing, report.new),
        (
            vec!["d".to_owned(), "d/b".to_owned()],
            vec!["new".to_owned()]
        )
    );
    // A landed object that has gone fails the seal.
    bucket.land("job-2", &[("e", b"5")]).await;
    bucket
        .bench
        .storage
        .delete(&bucket.bench.key("e"), None)
        .await
        .expect("removed");
    assert_eq!(
        bucket.seal("job-2").await.expect("sealed").failed,
        ["e: landed by this job and no longer there"]
    );
    // A generation that a killed seal left is reported, then swept by the next one; a foreign one is not ours to remove.
    let generation = bucket
        .keys()
        .await
        .into_iter()
        .find(|key| key.contains("ascmhl/0001"))
        .expect("a generation");
    let content = bucket.bench.content(&bucket.bench.key(&generation)).await;
    let leftover = bucket.bench.key("ascmhl/0003_told_2026-01-01_000000Z.mhl");
    bucket.bench.put(&leftover, &content).await;
    assert!(
        bucket.verify().await.broken[0].contains("0003_told"),
        "{:?}",
        bucket.verify().await
    );
    bucket.land("job-3", &[("f", b"6")]).await;
    bucket.seal("job-3").await.expect("sealed");
    assert!(
        !bucket
            .keys()
            .await
            .iter()
            .any(|key| key.contains("0003_told_2026-01-01"))
    );
    let foreign = String::from_utf8(content)
        .expect("text")
        .replace(">showrunner<", ">other<");
    bucket.bench.put(&leftover, foreign.as_bytes()).await;
    bucket.land("job-4", &[("g", b"7")]).await;
    let refused = bucket.seal("job-4").await.expect_err("refused").to_string();
    assert!(
        refused.contains("gs://bucket/told") && refused.contains("0003_told"),
        "{refused}"
    );
    bucket
        .bench
        .storage
        .delete(&leftover, None)
        .await
        .expect("removed");
    // A generation that was altered breaks the history, and is named by its location.
    bucket.overwrite(&generation, foreign.as_bytes()).await;
    assert!(bucket.verify().await.broken[0].contains("was changed"));
    let refused = bucket.seal("job-4").await.expect_err("refused").to_string();
    assert!(
        refused.contains("history gs://bucket/told/ascmhl is broken"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_seals_at_once_one_wins_and_nothing_is_lost() {
    let subject = subjects::stub().await;
    let mut bucket = Bucket::new(&subject, "race").await;
    bucket.land("job-0", &[("a", b"1")]).await;
    bucket.seal("job-0").await.expect("sealed");
    bucket.land("job-1", &[("b", b"2")]).await;
    bucket.land("job-2", &[("c", b"3")]).await;
    let (one, two) = tokio::join!(bucket.seal("job-1"), bucket.seal("job-2"));
    let lost = [&one, &two]
        .iter()
        .filter(|sealed| matches!(sealed, Err(MhlError::Busy(_))))
        .count();
    assert!(lost <= 1 && [one, two].into_iter().flatten().count() + lost == 2);
    for job in ["job-1", "job-2"] {
        bucket.seal(job).await.expect("sealed");
    }
    let report = bucket.verify().await;
    assert!(report.is_intact(), "{report:?}");
    bucket.accepted_by_reference("race").await;
}

/// Seals as another process between the generation and the chain of a seal.
struct Intruder {
    tree: ObjectTree,
    done: AtomicBool,
}

#[async_trait]
impl Layer for Intruder {
    type Mark = ();

    async fn before(&self, call: &Call) -> Result<(), StorageError> {
        let chain = call.operation == Operation::Put && call.location.ends_with("ascmhl_chain.xml");
        if chain && !self.done.swap(true, Ordering::SeqCst) {
            // Generations of the same second have the same name, and then it ends sooner.
            tokio::time::sleep(Duration::from_millis(1_100)).await;
            let sealed = object::seal(
                &self.tree,
                "job-2",
                HashAlgorithm::Xxh128,
                &CancellationToken::new(),
            )
            .await;
            assert!(sealed.expect("sealed").generation.is_some());
        }
        Ok(())
    }

    fn after(&self, (): (), _call: &Call, _error: Option<&StorageError>) -> Option<StorageError> {
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn second_sealer_withdraws_its_generation() {
    let subject = subjects::stub().await;
    let mut bucket = Bucket::new(&subject, "second").await;
    bucket.land("job-0", &[("a", b"1")]).await;
    bucket.seal("job-0").await.expect("sealed");
    bucket.land("job-1", &[("b", b"2")]).await;
    bucket.land("job-2", &[("c", b"3")]).await;
    let intruder = Intruder {
        tree: bucket.tree(),
        done: AtomicBool::new(false),
    };
    let layered = Layered::new(bucket.bench.storage.clone(), intruder);
    let tree = ObjectTree::new(Arc::new(layered), &bucket.bench.prefix);
    let overtaken = object::seal(
        &tree,
        "job-1",
        HashAlgorithm::Xxh128,
        &CancellationToken::new(),
    )
    .await;
    assert!(matches!(overtaken, Err(MhlError::Busy(_))), "{overtaken:?}");
    let verified = bucket.verify().await;
    assert_eq!(
        (verified.generations, verified.broken.len()),
        (2, 0),
        "{verified:?}"
    );
    bucket.seal("job-1").await.expect("sealed");
    let verified = bucket.verify().await;
    assert!(verified.is_intact(), "{verified:?}");
    bucket.accepted_by_reference("second").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_of_a_source_is_continued() {
    let subject = subjects::stub().await;
    let source = tempfile::tempdir().expect("a temp dir");
    let card = source.path().join("A001");
    std::fs::create_dir_all(card.join("clips")).expect("created");
    std::fs::write(card.join("clips/1.mov"), b"one").expect("written");
    assert_eq!(ascmhl(&["create", "-h", "md5"], &card).0, 0);
    let mut bucket = Bucket::new(&subject, "A001").await;
    bucket
        .land("job-1", &[("clips/1.mov", b"one"), ("clips/2.mov", b"two")])
        .await;
    let cancel = CancellationToken::new();
    let imported = object::import_into((&card, &Roots::default()), &bucket.tree(), &cancel).await;
    assert_eq!(imported.expect("imported").generations, 1);
    assert_eq!(
        object::import_into((&card, &Roots::default()), &bucket.tree(), &cancel)
            .await
            .expect("nothing to do")
            .generations,
        0
    );
    bucket.seal("job-1").await.expect("sealed");
    let report = bucket.verify().await;
    assert_eq!(
        (report.is_intact(), report.generations),
        (true, 2),
        "{report:?}"
    );
    bucket.accepted_by_reference("A001").await;
    // And from the bucket on to a directory, and to another bucket.
    let back = source.path().join("back/A001");
    std::fs::create_dir_all(back.join("clips")).expect("created");
    assert_eq!(
        object::import_to_directory(&bucket.tree(), (&back, &Roots::default()), &cancel)
            .await
            .expect("imported")
            .generations,
        2
    );
    for (name, content) in [("1.mov", "one"), ("2.mov", "two")] {
        std::fs::write(back.join("clips").join(name), content).expect("written");
    }
    ::mhl::seal::seal(&back, "job-2", HashAlgorithm::Xxh128, &cancel).expect("sealed");
    assert!(
        ::mhl::verify::verify(&back, 2, &cancel)
            .expect("verified")
            .is_intact()
    );
    let second = Bucket::new(&subject, "copy").await;
    assert_eq!(
        object::import(&bucket.tree(), &second.tree(), &cancel)
            .await
            .expect("imported")
            .generations,
        2
    );
    // One that does not hold is no history.
    std::fs::write(card.join("ascmhl/ascmhl_chain.xml"), "<x>").expect("broken");
    let third = Bucket::new(&subject, "third").await;
    assert!(matches!(
        object::import_into((&card, &Roots::default()), &third.tree(), &cancel).await,
        Err(MhlError::Malformed { .. })
    ));
    assert!(matches!(
        ::mhl::import::import(&card, &source.path().join("b"), &Roots::default(), &cancel),
        Err(MhlError::Malformed { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_histories_and_empty_folders_go_through_buckets_over_three_generations() {
    nested_histories(&subjects::stub().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_histories_and_empty_folders_go_through_seaweedfs_over_three_generations() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    nested_histories(&subject).await;
}

async fn nested_histories(subject: &Subject) {
    let source = tempfile::tempdir().expect("a temp dir");
    let shoot = source.path().join("shoot");
    for card in ["A001", "A002"] {
        std::fs::create_dir_all(shoot.join(card).join("Voice")).expect("created");
        std::fs::write(shoot.join(card).join("a.mov"), card).expect("written");
        assert_eq!(ascmhl(&["create"], &shoot.join(card)).0, 0);
    }
    std::fs::write(shoot.join("notes.txt"), b"notes").expect("written");
    assert_eq!(ascmhl(&["create"], &shoot).0, 0);
    let (cancel, mut bucket) = (
        CancellationToken::new(),
        Bucket::new(subject, "shoot").await,
    );
    let files: &[(&str, &[u8])] = &[
        ("A001/a.mov", b"A001"),
        ("A002/a.mov", b"A002"),
        ("notes.txt", b"notes"),
    ];
    bucket.land("job-1", files).await;
    let imported = object::import_into((&shoot, &Roots::default()), &bucket.tree(), &cancel)
        .await
        .expect("imported");
    assert_eq!(imported.generations, 5);
    let report = bucket.verify().await;
    assert!(
        report.is_intact(),
        "before anything is sealed there: {report:?}"
    );
    assert_eq!(
        bucket.seal("job-1").await.expect("sealed").failed,
        Vec::<String>::new()
    );
    bucket.land("job-2", &[("A001/b.mov", b"more")]).await;
    assert_eq!(
        bucket.seal("job-2").await.expect("sealed").failed,
        Vec::<String>::new()
    );
    let report = bucket.verify().await;
    assert!(report.is_intact() && report.generations > 5, "{report:?}");
    // On to another bucket and back to a directory, where the empty folders are again.
    let mut second = Bucket::new(subject, "second").await;
    second
        .land("job-3", &[files, &[("A001/b.mov", b"more")]].concat())
        .await;
    object::import(&bucket.tree(), &second.tree(), &cancel)
        .await
        .expect("imported");
    assert_eq!(
        second.seal("job-3").await.expect("sealed").failed,
        Vec::<String>::new()
    );
    assert!(
        second.verify().await.is_intact(),
        "{:?}",
        second.verify().await
    );
    let back = source.path().join("back/shoot");
    for (name, content) in files.iter().chain(&[("A001/b.mov", &b"more"[..])]) {
        std::fs::create_dir_all(back.join(name).parent().expect("below")).expect("created");
        std::fs::write(back.join(name), content).expect("written");
    }
    let imported = object::import_to_directory(&second.tree(), (&back, &Roots::default()), &cancel)
        .await
        .expect("imported");
    ::mhl::seal::seal_copy(
        (&back, &Roots::default()),
        "job-4",
        HashAlgorithm::Xxh128,
        &imported.source,
        &cancel,
    )
    .expect("sealed");
    assert!(back.join("A002/Voice").is_dir());
    let report = ::mhl::verify::verify(&back, 2, &cancel).expect("verified");
    assert!(report.is_intact(), "{report:?}");
    for command in ["verify", "diff", "info"] {
        let (code, said) = ascmhl(&[command], &back);
        assert_eq!(code, 0, "ascmhl {command}: {said}");
    }
    // A card that was damaged on the way, and a nested history that has gone.
    bucket.overwrite("A002/a.mov", b"DAMAGED").await;
    let mut third = Bucket::new(subject, "third").await;
    third.land("job-5", &[("A002/a.mov", b"DAMAGED")]).await;
    let imported = object::import(&bucket.tree(), &third.tree(), &cancel)
        .await
        .expect("imported");
    let sealed = object::seal_copy(
        &third.tree(),
        "job-5",
        HashAlgorithm::Xxh128,
        &imported.source,
        &cancel,
    )
    .await;
    let failed = sealed.expect("sealed").failed;
    assert!(
        failed.len() == 1 && failed[0].starts_with("A002/a.mov: "),
        "{failed:?}"
    );
    for key in second
        .keys()
        .await
        .into_iter()
        .filter(|key| key.starts_with("A001/"))
    {
        second
            .bench
            .storage
            .delete(&second.bench.key(&key), None)
            .await
            .expect("removed");
    }
    second.overwrite("notes.txt", b"NOTES").await;
    let report = second.verify().await;
    assert!(
        report
            .broken
            .iter()
            .any(|problem| problem.contains("the history of A001 is missing")),
        "{report:?}"
    );
    assert_eq!(
        report
            .mismatched
            .iter()
            .map(|one| one.path.as_str())
            .collect::<Vec<_>>(),
        ["A001/", "notes.txt"],
        "{report:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mhl_1_1_lists_in_a_bucket_are_verified() {
    let subject = subjects::stub().await;
    let bucket = Bucket::new(&subject, "old").await;
    for (name, content) in [
        ("A001/Clips/a.mov", "one"),
        ("A002/b.mov", "two"),
        ("A003/c.mov", "three"),
    ] {
        bucket
            .bench
            .put(&bucket.bench.key(name), content.as_bytes())
            .await;
    }
    for (name, list) in [
        ("A001/card.mhl", mhl_1_1("Clips/a.mov", b"one")),
        ("A002/B.MHL", mhl_1_1("b.mov", b"two")),
    ] {
        bucket
            .bench
            .put(&bucket.bench.key(name), list.as_bytes())
            .await;
    }
    let report = bucket.verify().await;
    assert_eq!(
        (&report.new[..], report.generations, report.files),
        (&["A003/c.mov".to_owned()][..], 2, 2),
        "{report:?}"
    );
    // A card with a history is verified by that history.
    let card = ObjectTree::new(bucket.bench.storage.clone(), &bucket.bench.key("A003"));
    object::seal(
        &card,
        "job",
        HashAlgorithm::Xxh128,
        &CancellationToken::new(),
    )
    .await
    .expect("sealed");
    let report = bucket.verify().await;
    assert!(report.is_intact() && report.files == 3, "{report:?}");
    for name in ["A001/Clips/a.mov", "A002/b.mov", "A003/c.mov"] {
        let before = bucket.bench.content(&bucket.bench.key(name)).await;
        bucket.overwrite(name, b"XXX").await;
        let report = bucket.verify().await;
        assert_eq!(
            report
                .mismatched
                .iter()
                .map(|m| m.path.as_str())
                .collect::<Vec<_>>(),
            [name],
            "{report:?}"
        );
        bucket.overwrite(name, &before).await;
    }
    bucket
        .bench
        .storage
        .delete(&bucket.bench.key("A002/b.mov"), None)
        .await
        .expect("removed");
    assert_eq!(bucket.verify().await.missing, ["A002/b.mov"]);
    bucket.overwrite("A002/B.MHL", b"<hashlist>").await;
    let broken = bucket.verify().await.broken;
    assert!(
        broken.len() == 1 && broken[0].contains("gs://bucket/old/A002/B.MHL"),
        "{broken:?}"
    );
}

/// A card in a bucket is damaged after it was sealed; copies with other layouts are compared with its history.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_object_is_no_original_in_another_layout() {
    let subject = subjects::stub().await;
    let mut card = Bucket::new(&subject, "card").await;
    card.land("job-1", &[("clips/a.mov", b"one"), ("clips/b.mov", b"two")])
        .await;
    card.seal("job-1").await.expect("sealed");
    card.overwrite("clips/a.mov", b"ONE").await;
    let (dir, registry) = (
        tempfile::tempdir().expect("a temp dir"),
        Arc::new(subject.again()),
    );
    let context = StepContext {
        storage: registry,
        ..context()
    };
    let assets = ["a.mov", "b.mov"].map(|name| {
        let location = format!("{}card/clips/{name}", subject.base);
        Asset {
            location,
            ..asset(name, Path::new("/"))
        }
    });
    for root in [
        format!("{}flat", subject.base),
        format!("file:{}/out", dir.path().display()),
    ] {
        let transfer = TransferTask {
            mhl: true,
            job: "job-2".into(),
            ..task(&format!("{root}/{{file}}"))
        };
        let (_, failures) = finished(worker::step::run(&unit(&transfer, &assets), &context).await);
        assert_eq!(failures, []);
        for job in ["job-2", "job-3"] {
            let seal = SealTask {
                root: root.clone(),
                job: job.into(),
                algorithm: HashAlgorithm::Xxh128,
            };
            let work = Unit {
                task: Arc::new(TaskSpec::Seal(seal)),
                ..unit(&transfer, &[])
            };
            let UnitResult::Failed(failure) = worker::step::run(&work, &context).await else {
                panic!("{root}: sealed")
            };
            assert_eq!(failure.reason, "mhl_mismatch", "{root}, {job}");
            assert!(
                failure
                    .message
                    .contains("a.mov: the history of its source records"),
                "{}",
                failure.message
            );
        }
    }
}
