//! Leader election among coordinators (TRUTH-1). The lease is a row in the database and ends by the clock of the database. Safety
//! comes from its generation, which every write of a leader checks. This rule decides the next action of one coordinator.
use std::time::Duration;

/// Times of the leader lease.
#[derive(Debug, Clone, Copy)]
pub struct ElectionLimits {
    /// Duration of the lease without a renewal.
    pub lease: Duration,
    /// Interval of renewals: at most a third of the lease, so that one late renewal does not end it.
    pub renew_every: Duration,
    /// Interval at which a standby requests the lease. A standby leads at most this long after the lease has ended.
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

/// Result of the last action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Reply to a request: the lease with its generation, or `None` when another coordinator holds it.
    Asked(Option<i64>),
    /// The lease was renewed.
    Renewed,
    /// The store did not answer; the state of the lease is unknown.
    Unanswered,
    /// Another generation has begun.
    Lost,
    /// The tasks of the term have ended and their memory is dropped.
    TermEnded,
    /// The process received a stop signal.
    Stop,
    /// The lease was released, or the release failed.
    Released,
}

/// The next action of a coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Request the lease after this pause.
    Ask(Duration),
    /// Begin a term with this generation, then renew at the usual interval.
    BeginTerm(i64),
    /// Renew the lease after this pause; the term continues.
    Renew(Duration),
    /// Stop the tasks of the term and drop their memory.
    EndTerm,
    /// Release the lease, so that a standby leads at once.
    Release,
    /// End the process.
    End,
}

/// State of a coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// Answers queries and writes nothing.
    Standby,
    /// Leads with this generation.
    Leading(i64),
    /// Ends its term; `stopping` when the process ends too.
    SteppingDown { stopping: bool },
    /// Releases the lease.
    Releasing,
    /// The process may end.
    Ended,
}

/// Election state machine of one coordinator.
#[derive(Debug, Clone)]
pub struct Elector {
    limits: ElectionLimits,
    stand: Stand,
}

impl Elector {
    /// A coordinator that has just started, with its first action.
    pub fn new(limits: ElectionLimits) -> (Elector, Duty) {
        (
            Elector {
                limits,
                stand: Stand::Standby,
            },
            Duty::Ask(Duration::ZERO),
        )
    }

    /// The generation of its present term.
    pub fn generation(&self) -> Option<i64> {
        match self.stand {
            Stand::Leading(generation) => Some(generation),
            _ => None,
        }
    }

    /// Decides the next action. An event that no longer applies changes nothing.
    pub fn on(&mut self, event: Event) -> Duty {
        let (stand, duty) = match (self.stand, event) {
            (Stand::Standby, Event::Asked(Some(generation))) => {
                (Stand::Leading(generation), Duty::BeginTerm(generation))
            }
            (Stand::Standby, Event::Stop) => (Stand::Ended, Duty::End),
            (Stand::Standby, _) => (Stand::Standby, Duty::Ask(self.limits.ask_every)),
            // The leader need not know whether another one leads: every write checks the generation.
            (Stand::Leading(_), Event::Unanswered) => {
                (self.stand, Duty::Renew(self.limits.ask_every))
            }
            (Stand::Leading(_), Event::Lost) => {
                (Stand::SteppingDown { stopping: false }, Duty::EndTerm)
            }
            (Stand::Leading(_), Event::Stop) => {
                (Stand::SteppingDown { stopping: true }, Duty::EndTerm)
            }
            // The tasks ended by themselves: their memory cannot be trusted, although the lease may still be valid.
            (Stand::Leading(_), Event::TermEnded) => {
                (Stand::Standby, Duty::Ask(self.limits.ask_every))
            }
            (Stand::Leading(_), Event::Asked(_) | Event::Renewed | Event::Released) => {
                (self.stand, Duty::Renew(self.limits.renew_every))
            }
            (Stand::SteppingDown { stopping: false }, Event::TermEnded) => {
                (Stand::Standby, Duty::Ask(self.limits.ask_every))
            }
            (Stand::SteppingDown { stopping: true }, Event::TermEnded) => {
                (Stand::Releasing, Duty::Release)
            }
            (Stand::SteppingDown { .. }, Event::Stop) => {
                (Stand::SteppingDown { stopping: true }, Duty::EndTerm)
            }
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
        assert!(
            limits.lease + limits.ask_every < Duration::from_secs(5),
            "the promised failover"
        );
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
