//! Units a second that end, by job.
use protocol::id::JobNo;
use protocol::rules::cluster::smoothing::Rate;
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Jobs of which no unit has ended for this long are forgotten.
const KEPT: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
struct Ended {
    count: u64,
    rate: Rate,
    /// When a measurement found more ends than the one before.
    grew_at: Option<Timestamp>,
}

/// Ends of units by job, measured at each tick of workers.
#[derive(Debug, Default)]
pub struct UnitRates {
    jobs: BTreeMap<JobNo, Ended>,
}

impl UnitRates {
    /// A unit of a job has ended.
    pub fn on_end(&mut self, job: JobNo, now: Timestamp) {
        let ended = self.jobs.entry(job).or_insert_with(|| {
            let mut ended = Ended::default();
            ended.rate.note(0, now);
            ended
        });
        ended.count += 1;
    }

    /// Rates of all jobs whose units end, at `now`.
    pub fn measure(&mut self, now: Timestamp) -> Vec<(JobNo, f64)> {
        for ended in self.jobs.values_mut() {
            if ended.count > ended.rate.total || ended.grew_at.is_none() {
                ended.grew_at = Some(now);
            }
            ended.rate.note(ended.count, now);
        }
        self.jobs
            .retain(|_, ended| ended.grew_at.is_some_and(|at| now.since(at) <= KEPT));
        let rate =
            |(job, ended): (&JobNo, &Ended)| (*job, (ended.rate.at(now) * 100.0).round() / 100.0);
        self.jobs.iter().map(rate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_counted_by_job_and_a_silent_job_is_forgotten() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let mut rates = UnitRates::default();
        for second in 0..60 {
            (0..30).for_each(|_| rates.on_end(JobNo(1), at(second)));
            rates.on_end(JobNo(2), at(second));
            rates.measure(at(second));
        }
        let measured = rates.measure(at(59));
        let rate = |job| {
            measured
                .iter()
                .find(|(no, _)| *no == JobNo(job))
                .expect("a rate")
                .1
        };
        assert!(
            (rate(1) - 30.0).abs() < 2.0 && (rate(2) - 1.0).abs() < 0.2,
            "{measured:?}"
        );
        assert!(rates.measure(at(130)).iter().all(|(_, rate)| *rate < 0.5));
        assert!(rates.measure(at(700)).is_empty());
    }
}
