//! What the tests of steps share: units, contexts and files.
use async_trait::async_trait;
use protocol::failure::{ErrorClass, Failure};
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, AssetFact, Role};
use protocol::model::hash::HashAlgorithm;
use protocol::wire::report::UnitResult;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::transfer::TransferTask;
use protocol::wire::unit::Unit;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use worker::step::{Effect, Effects, StepContext};

struct NoPages;

#[async_trait]
impl Effects for NoPages {
    async fn send(&self, _effect: Effect) -> Result<(), Failure> {
        Ok(())
    }
}

pub(crate) fn context() -> StepContext {
    StepContext {
        cancel: CancellationToken::new(),
        worker: WorkerId("worker-1".into()),
        effects: Arc::new(NoPages),
        storage: Arc::default(),
        bytes: Arc::default(),
        tools: Arc::default(),
        rehearsal: Arc::default(),
    }
}

/// A directory with `in/` and `out/`, and the transfer from one to the other.
pub(crate) struct Yard {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) task: TransferTask,
}

impl Yard {
    pub(crate) fn new() -> Yard {
        let dir = tempfile::tempdir().expect("a temp dir");
        std::fs::create_dir(dir.path().join("in")).expect("created");
        let to = format!("file:{}/out/{{path}}", dir.path().display());
        let verify = Some(HashAlgorithm::Xxh128);
        let task = TransferTask {
            to,
            verify,
            hashes: Vec::new(),
            job: "job-1".into(),
            mhl: false,
        };
        Yard { dir, task }
    }

    pub(crate) fn source(&self, name: &str) -> PathBuf {
        self.dir.path().join("in").join(name)
    }

    pub(crate) fn target(&self, name: &str) -> PathBuf {
        self.dir.path().join("out").join(name)
    }

    /// Writes a source and describes it.
    pub(crate) fn asset(&self, name: &str, content: &[u8]) -> Asset {
        let path = self.source(name);
        std::fs::create_dir_all(path.parent().expect("below in")).expect("created");
        std::fs::write(&path, content).expect("written");
        asset(name, &path)
    }

    pub(crate) async fn run(&self, assets: &[Asset]) -> (Vec<AssetFact>, Vec<(String, Failure)>) {
        finished(worker::step::run(&unit(&self.task, assets), &context()).await)
    }

    /// Names in a directory below `out`, hidden ones included.
    pub(crate) fn names(&self, below: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.target(below)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|e| {
                e.expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }
}

pub(crate) fn asset(name: &str, path: &Path) -> Asset {
    Asset {
        id: name.to_owned(),
        title: "t1".into(),
        role: Role::Master,
        location: format!("file:{}", path.display()),
        path: name.to_owned(),
        bytes: None,
        hash: None,
        declared: None,
    }
}

pub(crate) fn unit(task: &TransferTask, assets: &[Asset]) -> Unit {
    Unit {
        id: UnitId::new(JobNo(1), StepNo(0), 1),
        epoch: 1,
        attempt: 0,
        kind: Kind::Transfer,
        task: Arc::new(TaskSpec::Transfer(task.clone())),
        assets: assets.to_vec(),
        deadline: None,
    }
}

pub(crate) fn finished(result: UnitResult) -> (Vec<AssetFact>, Vec<(String, Failure)>) {
    match result {
        UnitResult::Finished { facts, failures } => (facts, failures),
        other => panic!("the unit did not finish: {other:?}"),
    }
}

/// Reason and whether it is worth another attempt, by asset.
pub(crate) fn reasons(failures: &[(String, Failure)]) -> Vec<(&str, &str, bool)> {
    failures
        .iter()
        .map(|(id, f)| {
            (
                id.as_str(),
                f.reason.as_str(),
                f.class == ErrorClass::Transient,
            )
        })
        .collect()
}

/// Bytes that repeat nowhere a block would notice.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut content = vec![0; bytes];
    fastrand::Rng::with_seed(seed).fill(&mut content);
    content
}
