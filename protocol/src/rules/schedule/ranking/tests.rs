use super::*;
use proptest::prelude::*;

const FAR: Timestamp = Timestamp(1 << 50);

fn claimant(tenant: usize, wanted: u32) -> Claimant {
    Claimant {
        class: Priority::Normal,
        tenant,
        latest_start: FAR,
        wanted,
        ..Claimant::default()
    }
}

fn pool(room: u32) -> Pool {
    Pool {
        room,
        window: room,
        slots: room / 2,
    }
}

fn units(out: &HandOut, claimants: usize) -> Vec<u32> {
    let mut units = vec![0; claimants];
    out.grants.iter().for_each(|g| units[g.claimant] += g.units);
    units
}

#[test]
fn the_least_slack_goes_first() {
    let at = |s: i64| Timestamp(s * 1_000_000);
    let hours = |h: u64| Duration::from_secs(h * 3600);
    // Due later, but with so much left to do that it must start earlier.
    let long = latest_start(Some(at(7_200)), at(0), hours(1));
    let short = latest_start(Some(at(5_400)), at(0), Duration::from_secs(60));
    assert!(long < short);
    let claimants = [
        Claimant {
            latest_start: short,
            ..claimant(0, 9)
        },
        Claimant {
            latest_start: long,
            ..claimant(0, 4)
        },
        Claimant {
            latest_start: latest_start(None, at(0), Duration::ZERO),
            ..claimant(0, 9)
        },
    ];
    let out = hand_out(
        pool(6),
        &claimants,
        &[Usage::default()],
        &mut Credits::default(),
    );
    assert_eq!(
        out.grants,
        [
            Grant {
                claimant: 1,
                units: 4
            },
            Grant {
                claimant: 0,
                units: 2
            }
        ]
    );
    assert_eq!(
        out.withheld,
        [Some(WaitReason::NoSlot), None, Some(WaitReason::NoSlot)]
    );
}

#[test]
fn lower_classes_get_their_reserved_share_and_no_more() {
    let class = |class| Claimant {
        class,
        ..claimant(0, 1_000_000)
    };
    let claimants = [
        class(Priority::Bulk),
        class(Priority::Normal),
        class(Priority::Urgent),
    ];
    let mut credits = Credits::default();
    let mut got = [0; 3];
    // Even a window of one unit keeps the shares over time.
    for _ in 0..1_000 {
        let out = hand_out(pool(1), &claimants, &[Usage::default()], &mut credits);
        got.iter_mut()
            .zip(units(&out, 3))
            .for_each(|(sum, n)| *sum += n);
    }
    assert!(
        (95..=100).contains(&got[0]) && (195..=200).contains(&got[1]),
        "{got:?}"
    );
    let out = hand_out(
        pool(100),
        &claimants[..2],
        &[Usage::default()],
        &mut Credits::default(),
    );
    assert_eq!(units(&out, 2), [10, 90]);
    assert_eq!(out.withheld[0], Some(WaitReason::ClassShare));
}

/// Case 65: a tenant with a million ready units does not delay others.
#[test]
fn a_million_ready_units_leave_room_for_others() {
    let mut claimants = vec![Claimant {
        latest_start: Timestamp(0),
        ..claimant(0, 1_000_000)
    }];
    claimants.extend((1..10).map(|tenant| claimant(tenant, 3)));
    let usage = vec![Usage::default(); 10];
    let out = hand_out(pool(100), &claimants, &usage, &mut Credits::default());
    assert_eq!(units(&out, 10), [73, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
    assert_eq!(out.withheld[0], Some(WaitReason::TenantShare));
    // It holds the whole window already: what becomes free goes to the others first.
    let usage: Vec<Usage> = (0..10)
        .map(|n| Usage {
            out: if n == 0 { 100 } else { 0 },
            busy_us: 0,
        })
        .collect();
    let out = hand_out(
        Pool {
            room: 9,
            window: 100,
            slots: 50,
        },
        &claimants,
        &usage,
        &mut Credits::default(),
    );
    assert_eq!(units(&out, 10)[..4], [0, 3, 3, 3]);
}

#[test]
fn processing_time_counts_like_units_in_flight() {
    let claimants = [claimant(0, 50), claimant(1, 50)];
    let usage = [
        Usage {
            out: 0,
            busy_us: 900_000_000,
        },
        Usage {
            out: 0,
            busy_us: 100_000_000,
        },
    ];
    let out = hand_out(pool(40), &claimants, &usage, &mut Credits::default());
    assert_eq!(units(&out, 2), [0, 40]);
    assert_eq!(out.withheld[0], Some(WaitReason::TenantShare));
    // No other claimant wants units: it gets them.
    let alone = hand_out(pool(40), &claimants[..1], &usage, &mut Credits::default());
    assert_eq!(units(&alone, 1), [40]);
}

#[test]
fn light_work_finds_a_slot_that_no_heavy_unit_holds() {
    let heavy = |out| Claimant {
        heavy: true,
        latest_start: Timestamp(0),
        out,
        ..claimant(0, 100)
    };
    let pool = |room| Pool {
        room,
        window: 9,
        slots: 8,
    };
    let out = hand_out(
        pool(9),
        &[heavy(0)],
        &[Usage::default()],
        &mut Credits::default(),
    );
    assert_eq!(units(&out, 1), [7], "one of eight slots is kept");
    let out = hand_out(
        pool(2),
        &[heavy(7), claimant(0, 5)],
        &[Usage::default()],
        &mut Credits::default(),
    );
    assert_eq!(units(&out, 2), [0, 2]);
    let out = hand_out(
        pool(9),
        &[heavy(0), claimant(0, 2)],
        &[Usage::default()],
        &mut Credits::default(),
    );
    assert_eq!(units(&out, 2), [6, 2], "one of four while light work waits");
    assert_eq!(out.withheld[0], Some(WaitReason::ClassShare));
}

fn any_claimant() -> impl Strategy<Value = Claimant> {
    (
        0usize..3,
        0usize..5,
        0i64..1_000,
        0u32..50,
        0u32..9,
        any::<bool>(),
    )
        .prop_map(|(class, tenant, start, wanted, out, heavy)| Claimant {
            class: [Priority::Urgent, Priority::Normal, Priority::Bulk][class],
            tenant,
            latest_start: Timestamp(start),
            place: (0, 0),
            wanted,
            out,
            heavy,
        })
}

proptest! {
    /// Never more than there is room for or is wanted; nothing is left over while light work wants it; and a claimant that got
    /// less than it wanted has exactly one reason (WAIT-1).
    #[test]
    fn hands_out_what_there_is(claimants in prop::collection::vec(any_claimant(), 0..12), room in 0u32..200, busy in prop::collection::vec(0u64..1 << 32, 5), held in prop::collection::vec(0u64..100, 5)) {
        let usage: Vec<Usage> = busy.into_iter().zip(held).map(|(busy_us, out)| Usage { out, busy_us }).collect();
        let out = hand_out(Pool { room, window: room + 10, slots: 12 }, &claimants, &usage, &mut Credits::default());
        let given = units(&out, claimants.len());
        let sum: u32 = given.iter().sum();
        prop_assert!(sum <= room);
        for (i, claimant) in claimants.iter().enumerate() {
            prop_assert!(given[i] <= claimant.wanted);
            prop_assert_eq!(out.withheld[i].is_some(), given[i] < claimant.wanted);
            prop_assert!(claimant.heavy || sum == room || given[i] == claimant.wanted);
        }
        let heavy: u32 = claimants.iter().enumerate().filter(|(_, c)| c.heavy).map(|(i, _)| given[i]).sum();
        let heavy_out: u32 = claimants.iter().filter(|c| c.heavy).map(|c| c.out).sum();
        prop_assert!(heavy == 0 || heavy + heavy_out <= 11);
    }

    /// No class and no tenant starves: a claimant that keeps wanting units gets them, however much others want and however
    /// early they are due.
    #[test]
    fn nobody_starves(window in 1u32..40, class in 0usize..3, rivals in prop::collection::vec((0usize..3, 1usize..5), 1..8)) {
        let classes = [Priority::Urgent, Priority::Normal, Priority::Bulk];
        let mut claimants = vec![Claimant { class: classes[class], latest_start: FAR, ..claimant(class * 5, 1) }];
        claimants.extend(rivals.iter().map(|(class, tenant)| Claimant {
            class: classes[*class], latest_start: Timestamp(0), ..claimant(class * 5 + tenant, 1_000_000)
        }));
        let mut credits = Credits::default();
        let mut usage = vec![Usage::default(); 15];
        let mut rounds = 0;
        loop {
            let out = hand_out(Pool { room: 1, window, slots: window }, &claimants, &usage, &mut credits);
            let winner = out.grants[0].claimant;
            if winner == 0 { break }
            usage[claimants[winner].tenant].busy_us += 1_000_000;
            // The window is full; the oldest of another tenant's units ends for each new one.
            usage[claimants[winner].tenant].out += 1;
            if usage.iter().map(|u| u.out).sum::<u64>() >= u64::from(window) {
                let most = (0..15).max_by_key(|t| usage[*t].out).unwrap_or(1);
                usage[most].out -= 1;
            }
            rounds += 1;
            // No tenant is above its share before ten seconds of work, which bulk work gets a tenth of.
            prop_assert!(rounds < 300 + 30 * (window as usize + 1), "waited for {} units", rounds);
        }
    }
}
