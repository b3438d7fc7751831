//! The transport: it loses, repeats, delays and reorders until the weather calms down.
use crate::world::{Event, World};
use protocol::id::StepNo;
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use protocol::wire::report::Report;
use protocol::wire::unit::Unit;
use std::time::Duration;

impl World {
    /// Sends a report to the coordinator.
    pub(crate) fn report(&mut self, report: Report) {
        let ways = self.ways();
        if ways.is_empty() {
            self.stats.lost += 1;
            self.entry_removed(&report);
        }
        for way in ways {
            let at = self.in_order(&report, self.now.after(way));
            self.push(at, Event::Report(Box::new(report.clone())));
        }
    }

    /// The entry of an execution is removed together with the report of its end.
    pub(crate) fn entry_removed(&mut self, report: &Report) {
        if let Report::Settled(end) = report {
            self.entries.remove(&end.unit.execution(end.epoch));
        }
    }

    /// When a report arrives that would by itself arrive at this moment: not before what its worker sent of the same scan
    /// earlier, as long as nothing straggles.
    fn in_order(&mut self, report: &Report, at: Timestamp) -> Timestamp {
        let execution = match report {
            Report::Page { page, .. } => page.unit.execution(page.epoch),
            Report::Settled(end) if end.unit.step == StepNo::SCAN => end.unit.execution(end.epoch),
            _ => return at,
        };
        if at > self.now.after(self.scenario.weather.delay_max) {
            return at;
        }
        let last = self.scan_reports.entry(execution).or_insert(at);
        *last = at.max(*last);
        *last
    }

    /// Publishes a unit. Returns whether any copy will arrive.
    pub(crate) fn publish(&mut self, unit: Unit) -> bool {
        self.stats.published += 1;
        let ways = self.ways();
        let arrives = !ways.is_empty();
        if arrives {
            self.entries.insert(unit.id.execution(unit.epoch));
        }
        for way in ways {
            self.at(way, Event::Unit(Box::new(unit.clone())));
        }
        arrives
    }

    /// Tells every worker something.
    pub(crate) fn broadcast(&mut self, control: &Control) {
        for no in 0..self.workers.len() {
            let incarnation = self.workers[no].incarnation;
            for way in self.ways() {
                self.at(way, Event::Control(no, incarnation, control.clone()));
            }
        }
    }

    /// A unit has arrived in its stream; most of the time at its end.
    pub(crate) fn arrived(&mut self, unit: Unit) {
        let queue = self.queues.entry(unit.kind).or_default();
        if self.rng.f64() < 0.1 {
            queue.push_front(unit);
        } else {
            queue.push_back(unit);
        }
        self.fill();
    }

    /// How long each copy of a message is under way; none when it is lost.
    fn ways(&mut self) -> Vec<Duration> {
        let weather = self.scenario.weather;
        let calm = self.now >= self.scenario.calm_at;
        let longest = u64::try_from(weather.delay_max.as_micros()).unwrap_or(u64::MAX);
        let way = |rng: &mut fastrand::Rng| {
            let straggles = !calm && rng.f64() < weather.straggle;
            Duration::from_micros(
                rng.u64(1..=longest) + if straggles { rng.u64(0..40_000_000) } else { 0 },
            )
        };
        let mut ways = Vec::new();
        if calm || self.rng.f64() >= weather.loss {
            ways.push(way(&mut self.rng));
        }
        if !calm && !ways.is_empty() && self.rng.f64() < weather.duplicate {
            ways.push(way(&mut self.rng));
        }
        let late = Duration::from_micros(longest);
        self.excuses +=
            u64::from(ways.is_empty()) + ways.iter().filter(|way| **way > late).count() as u64;
        ways
    }
}
