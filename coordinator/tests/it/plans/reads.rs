//! What every method of the store reads.
use super::rows::cause;
use super::{BARRIER, ENDED, FIRST, Growth, JOB, LIMIT, PLANNED, Question, asset, question, walk};
use coordinator::store::view::UnitFilter;
use coordinator::store::{BarrierState, JobState, RowsOf, TaskFilter};
use protocol::id::{PartNo, StepNo, UnitId};
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;

/// Every method of the store that reads, page by page where it takes one.
pub(super) fn questions(n: i64) -> Vec<Question> {
    [rows_of_units(n), lists(n), records(n), by_state(n)]
        .into_iter()
        .flatten()
        .collect()
}

fn rows_of_units(n: i64) -> Vec<Question> {
    let limit = u64::from(LIMIT);
    vec![
        question("open jobs", 3, |tx| tx.jobs(true, LIMIT).map(drop)),
        question("steps", 3, |tx| tx.steps(JOB).map(drop)),
        question("listing by title", limit, move |tx| {
            tx.listing_after(JOB, true, true, Some(("huge", &asset(n / 4))), LIMIT)
                .map(drop)
        }),
        question("listing by id", limit, move |tx| {
            tx.listing_after(JOB, false, true, Some(("", &asset(n))), LIMIT)
                .map(drop)
        }),
        question("row errors", 1, |tx| tx.row_errors(JOB, LIMIT).map(drop)),
        question("partitions behind one", limit, move |tx| {
            tx.partitions_after(JOB, n / 2, LIMIT).map(drop)
        }),
        question("children", limit, move |tx| {
            tx.children(JOB, n - n / 50, n - n / 50 + 100).map(drop)
        }),
        question("members of a split partition and a child", 4, move |tx| {
            let found = tx.partitions(JOB, &[n - n / 50 + 1, n + 1])?;
            tx.members(JOB, &found).map(drop)
        }),
        question("assets that moved", limit, move |tx| {
            let assets: Vec<String> = (0..100).map(|k| asset(2 * (n - n / 50 + k))).collect();
            tx.moved_away(JOB, 1, &assets).map(drop)
        }),
        question("next due", 2, |tx| tx.next_due().map(drop)),
        question("due units", limit, |tx| {
            tx.due_units(Timestamp(i64::MAX), LIMIT).map(drop)
        }),
        question("ready units", limit, |tx| {
            tx.ready_units(JOB, FIRST, LIMIT).map(drop)
        }),
        walk("units out", |tx| {
            tx.computed_out(JOB, FIRST, 0, LIMIT).map(drop)
        }),
        question("failures of a job", limit, |tx| {
            tx.failures(JOB, LIMIT).map(drop)
        }),
        question("one barrier", 1, move |tx| {
            tx.barrier(JOB, BARRIER, &format!("t{:08}", n / 8))
                .map(drop)
        }),
        question("counts of barriers", 1, |tx| {
            tx.barrier_counts(JOB, BARRIER).map(drop)
        }),
        question("barriers that spread", limit, |tx| {
            tx.barriers_spreading(JOB, BARRIER, 1).map(drop)
        }),
    ]
}

/// Lists of the catalogue, of jobs and of what was recorded.
fn lists(n: i64) -> Vec<Question> {
    let limit = u64::from(LIMIT);
    vec![
        question("catalogue", limit, move |tx| {
            tx.catalogue(None, Some(&asset(n / 2)), LIMIT).map(drop)
        }),
        question("catalogue from the start", limit, |tx| {
            tx.catalogue(None, None, LIMIT).map(drop)
        }),
        question("catalogue of a title", limit, move |tx| {
            tx.catalogue(Some("huge"), Some(&asset(n / 8)), LIMIT)
                .map(drop)
        }),
        question("one of the catalogue", 1, move |tx| {
            tx.catalogue_entry(&asset(n / 2)).map(drop)
        }),
        question("what is believed of assets", limit, move |tx| {
            tx.candidate_hashes(&(0..100).map(|k| asset(n / 2 + k)).collect::<Vec<_>>())
                .map(drop)
        }),
        question("losses", limit, move |tx| {
            let units: Vec<UnitId> = (1..=100).map(|k| UnitId::new(JOB, FIRST, 10 * k)).collect();
            tx.losses(&units).map(drop)
        }),
        question("pending tasks about subjects", limit, |tx| {
            tx.pending_tasks(
                TaskKind::Rework,
                &(1..=100).map(|k| format!("s{k}")).collect::<Vec<_>>(),
            )
            .map(drop)
        }),
        question("units that wait for tasks", limit, move |tx| {
            let unit = |k: i64| UnitId::new(JOB, FIRST, n / 10 - 2 * k);
            tx.waiting_units(&(0..100).map(unit).collect::<Vec<_>>())
                .map(drop)
        }),
        question("ended jobs", 2, |tx| {
            tx.ended_before(Timestamp(9), 1).map(drop)
        }),
        question("a job by name", 1, |tx| tx.job_by_id("long").map(drop)),
        question("jobs by state", 4, |tx| {
            tx.job_views(None, None, LIMIT).map(drop)
        }),
        question("one unit", 8, move |tx| {
            let filter = UnitFilter {
                part: Some(n / 2),
                limit: 1,
                step: Some("work".into()),
                ..UnitFilter::default()
            };
            tx.unit_views("long", &filter).map(drop)
        }),
    ]
}

/// What was recorded of jobs, assets and workers.
fn records(n: i64) -> Vec<Question> {
    let limit = u64::from(LIMIT);
    let unit = UnitId::new(JOB, FIRST, 5);
    let assets = move || (0..100).map(|k| asset(n / 20 + k)).collect::<Vec<_>>();
    vec![
        question("executions of a unit", limit, move |tx| {
            tx.attempts(unit, Some(20), LIMIT).map(drop)
        }),
        question("numbers of barriers that spread", 5, |tx| {
            tx.barriers_spreading(JOB, BARRIER, LIMIT).map(drop)
        }),
        question("hashes in the catalogue", limit, move |tx| {
            let assets = assets();
            tx.catalogue_hashes(&assets.iter().map(String::as_str).collect::<Vec<_>>())
                .map(drop)
        }),
        question("causes of a job", limit, |tx| {
            tx.causes(Some(JOB), None, LIMIT).map(drop)
        }),
        question("causes of all jobs", limit, |tx| {
            tx.causes(None, None, LIMIT).map(drop)
        }),
        question("one cause", 2, |tx| {
            tx.causes(None, Some(&cause(3)), LIMIT).map(drop)
        }),
        question("one cause of a job", 1, |tx| {
            tx.causes(Some(JOB), Some(&cause(3)), LIMIT).map(drop)
        }),
        question("waivers", limit, |tx| tx.waivers(LIMIT).map(drop)),
        question("waivers by key", limit, move |tx| {
            let key = |asset: &String| format!("check=black\nasset={asset}\npolicy=hd");
            tx.waivers_of(&assets().iter().map(key).collect::<Vec<_>>())
                .map(drop)
        }),
        question("the deployment", 1, |tx| tx.deployment().map(drop)),
        question("failures of a unit", 1, |tx| {
            tx.failures_of(UnitId::new(JOB, FIRST, 10)).map(drop)
        }),
        question("a job by number", 1, |tx| tx.job(JOB).map(drop)),
        question("a job by its submission", 1, |tx| {
            tx.job_of_submission("key7").map(drop)
        }),
        question("all jobs", limit, |tx| tx.jobs(false, LIMIT).map(drop)),
        question("a workflow", 1, |tx| tx.workflow(JOB).map(drop)),
        question("the key of the cluster", 1, |tx| {
            tx.cluster_key("seed").map(drop)
        }),
        question("rows to be counted", limit, |tx| {
            tx.uncounted_rows(PLANNED, LIMIT).map(drop)
        }),
        question("counted rows of a title", 4, move |tx| {
            let title = format!("bad{}", n / 80);
            tx.counted_rows(JOB, RowsOf::Title(&title), LIMIT).map(drop)
        }),
        question("counted rows of partitions", limit, move |tx| {
            tx.counted_rows(JOB, RowsOf::Parts(n - 2_000, n), LIMIT)
                .map(drop)
        }),
        question("counted rows of a job", limit, |tx| {
            tx.counted_rows(JOB, RowsOf::Job, LIMIT).map(drop)
        }),
        question("units lost with several workers", 40, |tx| {
            tx.suspects(3, LIMIT).map(drop)
        }),
        question("an operation", 1, move |tx| tx.operation(n / 20).map(drop)),
        question("the input of an operation", 1, move |tx| {
            tx.operation_input(n / 20).map(drop)
        }),
        question("operations", limit, |tx| {
            tx.operations(None, LIMIT).map(drop)
        }),
        question("operations of a job", limit, |tx| {
            tx.operations(Some(JOB), LIMIT).map(drop)
        }),
        question("running operations", 1, |tx| {
            tx.running_operations(LIMIT).map(drop)
        }),
        question("neighbours that are read one by one", limit, move |tx| {
            tx.prefetch(
                JOB,
                &[FIRST],
                &(0..100).map(|k| n / 3 + k).collect::<Vec<_>>(),
            )
        }),
        question("the last partitions", 1, move |tx| {
            tx.partitions_after(JOB, n - 1, 1).map(drop)
        }),
        question("ids of jobs", LIMIT.into(), |tx| {
            tx.job_ids("sho", LIMIT).map(drop)
        }),
        question("assets of a listing by their ids", 100, move |tx| {
            let ids: Vec<String> = (0..100).map(|k| asset(n / 3 + k)).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            tx.listed(JOB, &ids).map(drop)
        }),
        question("a rate", 1, |tx| tx.rate(JOB).map(drop)),
        question("what runs", 1, |tx| tx.activity().map(drop)),
        question("the time by which jobs age", 1, |tx| {
            tx.aging_time().map(drop)
        }),
        question("costs", 1, |tx| tx.costs().map(drop)),
        question("steps passed over", 1, |tx| tx.withheld(JOB).map(drop)),
        question("a speculative copy", 1, move |tx| {
            tx.speculation(unit).map(drop)
        }),
        question("speculative copies", 200, |tx| {
            tx.speculations(JOB).map(drop)
        }),
        question("slices", 200, |tx| {
            tx.slices(UnitId::new(JOB, StepNo(2), 7)).map(drop)
        }),
        question("units with slices", 1, |tx| tx.multipart_units().map(drop)),
        question("a unit with slices", 1, |tx| {
            tx.multipart(UnitId::new(JOB, StepNo(2), 7)).map(drop)
        }),
        question("fact sheets", limit, |tx| {
            tx.sheets(&(1..=100).map(|k| format!("xxh128:{k}")).collect::<Vec<_>>())
                .map(drop)
        }),
        question("verdicts", 1, |tx| tx.verdicts(&asset(9), LIMIT).map(drop)),
        question("a task", 1, |tx| tx.task(9).map(drop)),
        // Of the minute that has begun, tasks are looked at one by one.
        question("numbers of tasks", 40, |tx| {
            tx.task_counts(Timestamp(9)).map(drop)
        }),
        question("units of a task", 3, |tx| tx.task_units(9).map(drop)),
        question("pictures of a task", 1, |tx| tx.task_pictures(9).map(drop)),
        question("events of a task", 1, |tx| tx.task_events(9).map(drop)),
        question("tombstones", 200, |tx| tx.tombstones("removed").map(drop)),
        question("a unit", 1, move |tx| tx.unit(unit).map(drop)),
        question("units of any state", limit, |tx| {
            tx.units_in(JOB, UnitState::Dead, None, LIMIT).map(drop)
        }),
        question("workers", 200, |tx| tx.workers().map(drop)),
    ]
}

/// Lists of what is in one state, however rare that is.
fn by_state(n: i64) -> Vec<Question> {
    let limit = u64::from(LIMIT);
    let mut all = Vec::new();
    for parts in [1, 100] {
        for (how, apart) in [("neighbours", 1), ("scattered", n / 128)] {
            let part = move |k: PartNo| 1 + (n / 3 + k * apart) % n;
            let of = move || (0..parts).map(part).collect::<Vec<PartNo>>();
            all.push(question(
                format!("{parts} {how} partitions"),
                limit,
                move |tx| {
                    let found = tx.partitions(JOB, &of())?;
                    tx.members(JOB, &found).map(drop)
                },
            ));
            all.push(question(format!("{parts} {how} units"), limit, move |tx| {
                tx.units(JOB, FIRST, &of()).map(drop)
            }));
        }
    }
    for job in [None, Some(JOB)] {
        for cause in [None, Some("c3")] {
            let unit = UnitId::new(JOB, FIRST, n / 2);
            all.push(question(
                format!("failures behind one, {job:?}, {cause:?}"),
                limit,
                move |tx| {
                    tx.failures_after(job, cause, Some((unit, "")), LIMIT)
                        .map(drop)
                },
            ));
        }
    }
    for state in [None, Some(BarrierState::Held), Some(BarrierState::Waiting)] {
        for after in [None, Some(format!("t{:08}", n / 8))] {
            all.push(question(
                format!("barriers {state:?} behind {after:?}"),
                limit,
                move |tx| {
                    tx.barriers(JOB, BARRIER, state, after.as_deref(), LIMIT)
                        .map(drop)
                },
            ));
        }
    }
    let (kind, pending) = (Some(TaskKind::Approval), true);
    for filter in [
        TaskFilter::default(),
        TaskFilter {
            kind,
            ..TaskFilter::default()
        },
        TaskFilter {
            kind,
            pending,
            ..TaskFilter::default()
        },
        TaskFilter {
            pending,
            ..TaskFilter::default()
        },
        TaskFilter {
            state: Some(TaskState::Waived),
            ..TaskFilter::default()
        },
        TaskFilter {
            state: Some(TaskState::Rejected),
            kind,
            ..TaskFilter::default()
        },
        TaskFilter {
            asset: Some(asset(n / 10 - 1)),
            pending,
            ..TaskFilter::default()
        },
        TaskFilter {
            title: Some(format!("t{:08}", n / 40 - 1)),
            ..TaskFilter::default()
        },
        TaskFilter {
            title: Some("huge".into()),
            kind,
            pending,
            ..TaskFilter::default()
        },
        TaskFilter {
            title: Some("none".into()),
            ..TaskFilter::default()
        },
    ] {
        for job in [None, Some(JOB), Some(PLANNED), Some(ENDED)] {
            for after in [0, n / 40] {
                let filter = TaskFilter {
                    job,
                    limit: LIMIT,
                    after,
                    ..filter.clone()
                };
                all.push(question(format!("{filter:?}"), limit, move |tx| {
                    tx.tasks(&filter).map(drop)
                }));
            }
        }
    }
    for state in JobState::ALL {
        all.push(question(
            format!("{} jobs", state.as_str()),
            limit,
            move |tx| tx.job_views(Some(state), None, LIMIT).map(drop),
        ));
    }
    for state in [
        UnitState::Ready,
        UnitState::Leased,
        UnitState::Retrying,
        UnitState::Dead,
        UnitState::Cancelled,
    ] {
        all.push(question(
            format!("{state} units of a job"),
            limit,
            move |tx| tx.units_in(JOB, state, Some((FIRST, 5)), LIMIT).map(drop),
        ));
    }
    for state in std::iter::once(None).chain(UnitState::ALL.map(Some)) {
        let after = Some((n / 4, FIRST)).filter(|_| state.is_none());
        let walks = matches!(
            state,
            Some(UnitState::Ready | UnitState::Leased | UnitState::Planned)
        );
        let state = state.map(|state| state.as_str().to_owned());
        let filter = UnitFilter {
            state,
            step: None,
            part: None,
            after,
            limit: LIMIT,
        };
        let name = format!("list of units {filter:?}");
        let listed = question(name, 3 * limit, move |tx| {
            tx.unit_views("long", &filter).map(drop)
        });
        let growth = if walks { Growth::Walk } else { Growth::None };
        all.push(Question { growth, ..listed });
    }
    all
}
