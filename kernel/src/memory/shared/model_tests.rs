//! Conversions in the [model](super::model).

use std::vec;
use std::vec::Vec;

use super::super::tables::TableError;
use super::convert::{Block, Machine, TO_PRIVATE, TO_SHARED, run};
use super::model::{Acceptance, Answer, Content, Deed, Private, World};
use super::{Cause, Ledger, Numbers, SharedError, Step};
use abi::{GhciStatus, PAGE_SIZE, Status};
use tdcall::accept::AcceptError;
use tdcall::ghci::{MapGpaError, VmcallError};

const PAGE: usize = PAGE_SIZE as usize;

/// A world with two pages, private or shared.
fn world(steps: &[Step]) -> World {
    let mut world = World::new(2);
    let block = world.allocate(2).unwrap();
    if steps.contains(&Step::AskPrivate) {
        run(&mut world, &TO_SHARED, block).unwrap();
        assert!(world.is_fine(), "{world:#?}");
        world.step = 0;
    }
    world
}

/// What is true of an order of steps: nothing leaks, nothing dies, and the block is what it is
/// to be. The host writes whenever it can, except at the end.
fn is_right(steps: &[Step], to_shared: bool) -> bool {
    let mut world = world(if to_shared { &TO_SHARED } else { &TO_PRIVATE });
    let mut liar = world.clone();
    world.deeds = vec![Deed::Write; steps.len() - 1];
    let block = world.block();
    let is_done = run(&mut world, steps, block).is_ok();
    // A page that is not zero is found, too.
    liar.acceptance = Acceptance::NotZero;
    let is_found = run(&mut liar, steps, block).is_err() || to_shared;
    let is_whole = if to_shared { world.is_shared() } else { world.is_private() };
    is_done && is_found && is_whole && world.is_fine()
}

fn permutations(steps: &[Step]) -> Vec<Vec<Step>> {
    let Some((first, rest)) = steps.split_first() else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for shorter in permutations(rest) {
        for place in 0..=shorter.len() {
            let mut longer = shorter.clone();
            longer.insert(place, *first);
            all.push(longer);
        }
    }
    all
}

#[test]
fn of_all_orders_of_the_steps_one_is_right() {
    for (steps, to_shared) in [(TO_SHARED, true), (TO_PRIVATE, false)] {
        let mut right = permutations(&steps);
        assert_eq!(right.len(), 720);
        right.retain(|order| is_right(order, to_shared));
        assert_eq!(right, [steps]);
    }
}

#[test]
fn no_step_can_be_left_out() {
    for (steps, to_shared) in [(TO_SHARED, true), (TO_PRIVATE, false)] {
        for left_out in steps {
            let rest: Vec<_> = steps.into_iter().filter(|step| *step != left_out).collect();
            assert!(!is_right(&rest, to_shared), "{left_out:?}");
        }
    }
}

/// The host's deeds at the first seven moments, in every combination.
fn all_deeds() -> impl Iterator<Item = Vec<Deed>> {
    const DEEDS: [Deed; 3] = [Deed::Nothing, Deed::Write, Deed::Take];
    (0..3_usize.pow(7))
        .map(|number| (0..7).map(|place| DEEDS[number / 3_usize.pow(place) % 3]).collect())
}

#[test]
fn whatever_the_host_does_and_answers_nothing_leaks() {
    let answers = [Answer::Honest, Answer::Lie]
        .into_iter()
        .chain((0..=2).map(|done| Answer::Fails(done, GhciStatus::INVALID_OPERAND)));
    let acceptances =
        [Acceptance::True, Acceptance::Already, Acceptance::Busy, Acceptance::NotZero];
    for (answer, deeds) in answers.flat_map(|answer| all_deeds().map(move |deeds| (answer, deeds)))
    {
        let hostile = |steps: &[Step], acceptance| {
            let start = world(steps);
            let mut end = World { answer, acceptance, deeds: deeds.clone(), ..start };
            let block = end.block();
            let result = run(&mut end, steps, block);
            assert!(end.breaches.is_empty(), "{result:?} {end:#?}");
            assert!(result.is_ok() || end.is_sealed(), "{result:?} {end:#?}");
            (result.is_ok() && !end.is_dead).then_some(end)
        };
        if let Some(end) = hostile(&TO_SHARED, Acceptance::True) {
            let is_written = deeds[TO_SHARED.len() - 1] == Deed::Write;
            assert!(is_written || end.is_shared(), "{end:#?}");
        }
        for acceptance in acceptances {
            if let Some(end) = hostile(&TO_PRIVATE, acceptance) {
                let is_taken = deeds[TO_PRIVATE.len() - 1] == Deed::Take;
                assert!(is_taken || end.is_private(), "{end:#?}");
            }
        }
    }
}

fn step(world: &World, step: Step, cause: Cause) -> SharedError {
    let Block { start: address, pages, .. } = world.block();
    SharedError::Step { step, cause, address, pages }
}

#[test]
fn pages_go_there_and_back_and_are_counted() {
    let (ledger, mut world) = (Ledger::new(), World::new(3));
    for _ in 0..5 {
        let block = ledger.share(&mut world, 3).unwrap();
        assert!(world.is_shared());
        assert_eq!(ledger.numbers(), Numbers { shared_bytes: 3 * PAGE, lost_bytes: 0 });
        ledger.unshare(&mut world, block).unwrap();
        assert!(world.is_private() && !world.is_given_out);
        assert_eq!(ledger.numbers(), Numbers { shared_bytes: 0, lost_bytes: 0 });
        // The next owner's secrets.
        world.pages.iter_mut().for_each(|page| page.private = Private::Mapped(Content::Secret));
    }
    assert!(world.is_fine(), "{world:#?}");
}

#[test]
fn want_of_memory_loses_nothing() {
    let ledger = Ledger::new();
    let mut world = World { has_memory: false, ..World::new(2) };
    assert_eq!(ledger.share(&mut world, 2), Err(SharedError::NoMemory { pages: 2 }));
    let mut world = World { has_tables: false, ..World::new(2) };
    let error = SharedError::Tables { pages: 2, error: TableError::NoMemory };
    assert_eq!(ledger.share(&mut world, 2), Err(error));
    assert!(!world.is_given_out && world.is_fine());
    assert_eq!(ledger.numbers(), Numbers { shared_bytes: 0, lost_bytes: 0 });
}

#[test]
fn what_the_host_refuses_is_lost_and_said() {
    let statuses =
        [GhciStatus::RETRY, GhciStatus::GPA_INUSE, GhciStatus::SUBFUNC_UNSUPPORTED, GhciStatus(7)];
    for status in statuses {
        for done in 0..=2 {
            let ledger = Ledger::new();
            let mut world = World { answer: Answer::Fails(done, status), ..World::new(2) };
            let done_to = |start: u64| start + (done * PAGE) as u64;
            let cause = |start| {
                Cause::MapGpa(MapGpaError {
                    error: VmcallError::Vmm(status),
                    done_to: done_to(start),
                })
            };
            let error = ledger.share(&mut world, 2).unwrap_err();
            let Block { start, alias, .. } = world.block();
            assert_eq!(error, step(&world, Step::AskShared, cause(alias.bits())));
            assert!(world.is_given_out && world.is_sealed());
            assert_eq!(ledger.numbers(), Numbers { shared_bytes: 0, lost_bytes: 2 * PAGE });

            let mut world = World::new(2);
            let block = ledger.share(&mut world, 2).unwrap();
            world.answer = Answer::Fails(done, status);
            let error = ledger.unshare(&mut world, block).unwrap_err();
            assert_eq!(error, step(&world, Step::AskPrivate, cause(start.bits())));
            assert!(world.is_given_out && world.is_sealed());
            assert_eq!(ledger.numbers(), Numbers { shared_bytes: 0, lost_bytes: 4 * PAGE });
        }
    }
}

#[test]
fn a_page_that_is_not_accepted_or_not_zero_is_lost_and_said() {
    let gpa = World::new(2).block().start;
    let busy = Status::OPERAND_BUSY.with_detail(1);
    let cases = [
        (Acceptance::Already, Step::Accept, Cause::Accept(AcceptError::AlreadyAccepted { gpa })),
        (
            Acceptance::Busy,
            Step::Accept,
            Cause::Accept(AcceptError::BusyForEver { gpa, status: busy }),
        ),
        (Acceptance::NotZero, Step::CheckZero, Cause::NotZero(gpa.bits())),
    ];
    for (acceptance, at, cause) in cases {
        let (ledger, mut world) = (Ledger::new(), World::new(2));
        let block = ledger.share(&mut world, 2).unwrap();
        world.acceptance = acceptance;
        let error = ledger.unshare(&mut world, block).unwrap_err();
        assert_eq!(error, step(&world, at, cause));
        assert!(world.is_given_out && world.is_sealed());
        assert_eq!(ledger.numbers(), Numbers { shared_bytes: 0, lost_bytes: 2 * PAGE });
    }
}
