//! Jobs, assets and partitions for tests.
use crate::job::NewJob;
use crate::partition::Partition;
use crate::tx::Tx;
use crate::unit::UnitRow;
use protocol::id::{JobNo, Kind, StepNo};
use protocol::media::asset::{Asset, Role};
use protocol::model::priority::Priority;
use protocol::rules::library::partition::PartitionLimits;
use protocol::rules::unit::retry::RetryPolicy;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::ListedAsset;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::noop::NoopTask;
use protocol::wire::step::scan::{ScanSource, ScanTask};
use protocol::workflow::on_failure::OnFailure;
use protocol::workflow::{Action, Step, Workflow};
use std::sync::Arc;

/// One check: its name and what it does.
pub type Check = (&'static str, fn(&mut dyn Tx));

/// The first step of [`job`].
pub(crate) const STEP: StepNo = StepNo(0);

/// A job of two steps, the second after the first, whose units do nothing.
pub fn job(id: &str) -> NewJob {
    let units = |task| Action::Units {
        kind: Kind::Noop,
        task: Arc::new(task),
        reads: None,
    };
    let noop = TaskSpec::Noop(NoopTask {
        duration_min_us: 0,
        duration_max_us: 0,
        fail: 0.0,
    });
    let step = Step {
        id: "work".into(),
        needs: vec![],
        retry: RetryPolicy::default(),
        on_failure: OnFailure::Task,
        due_us: None,
        action: units(noop),
    };
    let scan = ScanTask {
        source: ScanSource::Manifest {
            path: "/m.csv".into(),
        },
        root: "/".into(),
        resume: None,
        page_assets: 10,
    };
    NewJob {
        id: id.into(),
        workflow: Workflow {
            name: "name".into(),
            scan: Arc::new(TaskSpec::Scan(scan)),
            deadline: None,
            priority: Priority::Normal,
            tenant: "default".into(),
            partition: PartitionLimits {
                by_title: true,
                assets_max: 2,
                bytes_max: u64::MAX,
            },
            steps: vec![
                Step {
                    id: "after".into(),
                    needs: vec![STEP],
                    ..step.clone()
                },
                step,
            ]
            .into_iter()
            .rev()
            .collect(),
        },
        digest: "digest".into(),
        submitted_at: Timestamp(5),
        submission: None,
    }
}

/// An asset of ten bytes.
pub(crate) fn asset(title: &str, id: &str) -> Asset {
    Asset {
        id: id.into(),
        title: title.into(),
        role: Role::Master,
        location: format!("file:/m/{id}"),
        path: id.into(),
        bytes: Some(10),
        hash: None,
        declared: None,
    }
}

/// A page of a listing: lines, titles and ids.
pub(crate) fn page(rows: &[(u64, &str, &str)]) -> Vec<ListedAsset> {
    rows.iter()
        .map(|(line, title, id)| ListedAsset {
            line: *line,
            asset: asset(title, id),
        })
        .collect()
}

/// Adds a job.
pub(crate) fn add_job(tx: &mut dyn Tx) -> JobNo {
    tx.insert_job(&job("j")).expect("inserts")
}

/// A planned partition.
pub fn partition(part: i64, title: &str, first: &str, last: &str, assets: u32) -> Partition {
    Partition {
        part,
        title: title.into(),
        first: first.into(),
        last: last.into(),
        assets,
        bytes: 0,
        parent: 0,
        split: false,
    }
}

/// A unit in its first epoch.
pub(crate) fn unit_row(state: UnitState) -> UnitRow {
    UnitRow {
        state,
        epoch: 1,
        attempt: 0,
        due_at: None,
        duration_us: 7,
    }
}
