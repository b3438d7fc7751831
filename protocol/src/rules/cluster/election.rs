//! Who leads among several coordinators (TRUTH-1). The lease lies in the database and is judged by its clock; what
//! protects is its generation, which every write of a leader checks. This rule only says what a coordinator does next.
use std::time::Duration;

/// Limits of leading.
#[derive(Debug, Clone, Copy)]
pub struct ElectionLimits {
    /// How long a leader is believed that has not renewed.
    pub lease: Duration,
    /// Between two renewals: a third of the lease or less, so that one late renewal costs nothing.
    pub renew_every: Duration,
    /// Between two questions of a standby. It leads at most this long after the lease has ended.
    pub ask_every: Duration,
}

impl Default for ElectionLimits {
    fn default() -> ElectionLimits {
        ElectionLimits {
            lease: Duration::from_millis(3_500),
            renew_every: Duration::from_secs(1),
            ask_every: Duration::from_millis(400),
        }
    }
}

/// What became of the last duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The lease was asked for: it is ours under this generation, or another holds it.
    Asked(Option<i64>),
    /// The lease is ours for another while.
    Renewed,
    /// The store did not answer: nothing is known.
    Unanswered,
    /// Another generation has begun, whoever noticed it.
    Lost,
    /// The term is over: its loops have ended and what they remembered is gone.
    TermEnded,
    /// Somebody asked this process to end.
    Stop,
    /// The lease is given up, or could not be.
    Released,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Ask for the lease after this long.
    Ask(Duration),
    /// Begin a term as this generation, then renew after the usual while.
    BeginTerm(i64),
    /// Renew after this long, while the term goes on.
    Renew(Duration),
    /// Stop the loops of the term and forget everything they remembered.
    EndTerm,
    /// Give the lease up, so that another may lead at once.
    Release,
    /// End the process.
    End,
}

/// Where a coordinator stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// Answers questions, writes nothing.
    Standby,
    /// Leads as this generation.
    Leading(i64),
    /// Its term is being ended; `stopping` when the process is to end as well.
    SteppingDown { stopping: bool },
    /// Gives the lease up.
    Releasing,
    /// Is done.
    Ended,
}

/// One coordinator's part in the election.
#[derive(Debug, Clone)]
pub struct Elector {
    limits: ElectionLimits,
    stand: Stand,
}

impl Elector {
    /// A coordinator that has just started, and what it does first.
    pub fn new(limits: ElectionLimits) -> (Elector, Duty) {
        (Elector { limits, stand: Stand::Standby }, Duty::Ask(Duration::ZERO))
    }

    /// The generation it leads as.
    pub fn generation(&self) -> Option<i64> {
        match self.stand {
            Stand::Leading(generation) => Some(generation),
            _ => None,
        }
    }

    /// Decides what follows from an event. An event that no longer fits changes nothing.
    pub fn on(&mut self, event: Event) -> Duty {
        let (stand, duty) = match (self.stand, event) {
            (Stand::Standby, Event::Asked(Some(generation))) => {
                (Stand::Leading(generation), Duty::BeginTerm(generation))
            }
            (Stand::Standby, Event::Stop) => (Stand::Ended, Duty::End),
            (Stand::Standby, _) => (Stand::Standby, Duty::Ask(self.limits.ask_every)),
            // Whoever cannot ask does not know that another leads, and need not: every write asks.
            (Stand::Leading(_), Event::Unanswered) => (self.stand, Duty::Renew(self.limits.ask_every)),
            (Stand::Leading(_), Event::Lost) => (Stand::SteppingDown { stopping: false }, Duty::EndTerm),
            (Stand::Leading(_), Event::Stop) => (Stand::SteppingDown { stopping: true }, Duty::EndTerm),
            // Its loops ended by themselves: what they remembered cannot be trusted, the lease may still be ours.
            (Stand::Leading(_), Event::TermEnded) => (Stand::Standby, Duty::Ask(self.limits.ask_every)),
            (Stand::Leading(_), Event::Asked(_) | Event::Renewed | Event::Released) => {
                (self.stand, Duty::Renew(self.limits.renew_every))
            }
            (Stand::SteppingDown { stopping: false }, Event::TermEnded) => {
                (Stand::Standby, Duty::Ask(self.limits.ask_every))
            }
            (Stand::SteppingDown { stopping: true }, Event::TermEnded) => (Stand::Releasing, Duty::Release),
            (Stand::SteppingDown { .. }, Event::Stop) => (Stand::SteppingDown { stopping: true }, Duty::EndTerm),
            (Stand::SteppingDown { .. }, _) => (self.stand, Duty::EndTerm),
            (Stand::Releasing | Stand::Ended, _) => (Stand::Ended, Duty::End),
        };
        self.stand = stand;
        duty
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Asked(None)),
            (1i64..9).prop_map(|generation| Event::Asked(Some(generation))),
            Just(Event::Renewed),
            Just(Event::Unanswered),
            Just(Event::Lost),
            Just(Event::TermEnded),
            Just(Event::Released),
        ]
    }

    #[test]
    fn a_clean_end_gives_the_lease_up_after_the_term() {
        let (mut elector, first) = Elector::new(ElectionLimits::default());
        assert_eq!(first, Duty::Ask(Duration::ZERO));
        assert_eq!(elector.on(Event::Asked(Some(3))), Duty::BeginTerm(3));
        assert_eq!(elector.generation(), Some(3));
        assert_eq!(elector.on(Event::Stop), Duty::EndTerm);
        assert_eq!(elector.on(Event::TermEnded), Duty::Release);
        assert_eq!(elector.on(Event::Released), Duty::End);
    }

    #[test]
    fn whoever_lost_the_lease_ends_its_term_before_it_asks_again() {
        let (mut elector, _) = Elector::new(ElectionLimits::default());
        elector.on(Event::Asked(Some(1)));
        assert_eq!(elector.on(Event::Lost), Duty::EndTerm);
        assert_eq!(elector.generation(), None);
        assert!(matches!(elector.on(Event::TermEnded), Duty::Ask(_)));
    }

    #[test]
    fn a_standby_leads_in_time_and_one_late_renewal_costs_nothing() {
        let limits = ElectionLimits::default();
        assert!(limits.lease + limits.ask_every < Duration::from_secs(5), "the promised failover");
        assert!(limits.renew_every * 3 <= limits.lease);
    }

    proptest! {
        /// Whatever happens, a term begins only with a lease, and no lease is asked for while a term may be running.
        #[test]
        fn one_term_at_a_time(events in prop::collection::vec(event(), 0..60)) {
            let (mut elector, _) = Elector::new(ElectionLimits::default());
            let mut running = false;
            for event in events {
                // Only what runs can end.
                if event == Event::TermEnded && !running { continue; }
                if event == Event::TermEnded { running = false; }
                match elector.on(event) {
                    Duty::BeginTerm(generation) => {
                        prop_assert!(!running && event == Event::Asked(Some(generation)));
                        running = true;
                    }
                    Duty::Ask(_) | Duty::Release | Duty::End => prop_assert!(!running, "{:?}", elector),
                    Duty::Renew(_) => prop_assert!(running),
                    Duty::EndTerm => prop_assert!(running || elector.generation().is_none()),
                }
            }
        }

        /// A process that is asked to end does, however the rest goes.
        #[test]
        fn a_stop_ends_it(events in prop::collection::vec(event(), 0..30)) {
            let (mut elector, _) = Elector::new(ElectionLimits::default());
            for event in events { elector.on(event); }
            let mut duty = elector.on(Event::Stop);
            for _ in 0..3 {
                duty = match duty {
                    Duty::EndTerm => elector.on(Event::TermEnded),
                    Duty::Release => elector.on(Event::Released),
                    other => other,
                };
            }
            prop_assert_eq!(duty, Duty::End);
        }
    }
}
