//! The states of one page against a model of 20 lines. [ABI-H 7.1, 7.2]

use abi::Status;
use abi::leaf::tdh;
use proptest::prelude::*;
use std::vec::Vec;

use super::host::{Host, Shape};
use crate::machine::{Outcome, TdExit};

const GPA: u64 = 0x7000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Aug,
    Block,
    Unblock,
    Track,
    Remove,
    Accept,
    Enter,
    Exit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Pending,
    Mapped,
}

/// What the page is, in the reference's words. `inside` is the epoch at which the
/// vCPU entered, if it is inside.
#[derive(Clone, Copy, Debug)]
struct Model {
    state: State,
    blocked: Option<u64>,
    epoch: u64,
    inside: Option<u64>,
}

impl Model {
    fn tracked(&self) -> bool {
        // Out of every TLB: the epoch moved on, and nobody inside entered before.
        self.blocked.is_some_and(|at| self.epoch > at && self.inside.is_none_or(|e| e > at))
    }

    /// The status that the action gives, and its effect.
    #[expect(clippy::match_same_arms, reason = "one action after the other")]
    fn step(&mut self, action: Action) -> Status {
        use {Action as A, State as S, Status as T};
        match (action, self.state, self.blocked) {
            (A::Aug, S::Free, _) => self.state = S::Pending,
            (A::Aug, ..) => return T::EPT_ENTRY_STATE_INCORRECT,
            (A::Block, S::Pending | S::Mapped, None) => self.blocked = Some(self.epoch),
            (A::Block, S::Free, _) => return T::EPT_ENTRY_STATE_INCORRECT,
            (A::Block, ..) => return T::GPA_RANGE_ALREADY_BLOCKED,
            (A::Unblock, _, None) => return T::EPT_ENTRY_STATE_INCORRECT,
            (A::Unblock | A::Remove, _, Some(_)) if !self.tracked() => {
                return T::TLB_TRACKING_NOT_DONE;
            }
            (A::Unblock, ..) => self.blocked = None,
            (A::Track, ..) if self.inside.is_some_and(|e| e < self.epoch) => {
                return T::PREVIOUS_TLB_EPOCH_BUSY;
            }
            (A::Track, ..) => self.epoch += 1,
            (A::Remove, S::Free, _) => return T::EPT_ENTRY_STATE_INCORRECT,
            (A::Remove, _, None) => return T::GPA_RANGE_NOT_BLOCKED,
            (A::Remove, ..) => (self.state, self.blocked) = (S::Free, None),
            (A::Accept, S::Pending, None) => self.state = S::Mapped,
            (A::Accept, S::Mapped, None) => return T::PAGE_ALREADY_ACCEPTED,
            (A::Accept, ..) => return T::NON_RECOVERABLE_VCPU, // stands for a TD exit
            (A::Enter, ..) => self.inside = self.inside.or(Some(self.epoch)),
            (A::Exit, ..) => self.inside = None,
        }
        T::SUCCESS
    }
}

fn act(host: &mut Host, action: Action, inside: bool) -> Status {
    let (tdr, page) = (host.tdr, super::host::POOL + 0x100_0000);
    let operands = [GPA, tdr, page, 0];
    match action {
        Action::Aug => host.status(tdh::MEM_PAGE_AUG, operands),
        Action::Block => host.status(tdh::MEM_RANGE_BLOCK, operands),
        Action::Unblock => host.status(tdh::MEM_RANGE_UNBLOCK, operands),
        Action::Track => host.status(tdh::MEM_TRACK, [tdr, 0, 0, 0]),
        Action::Remove => host.status(tdh::MEM_PAGE_REMOVE, operands),
        Action::Accept => match host.accept(GPA) {
            Outcome::Done => Status(host.gprs().rax),
            Outcome::Exit(_) => Status::NON_RECOVERABLE_VCPU,
            other => panic!("{other:?}"),
        },
        Action::Enter if inside => Status::SUCCESS,
        Action::Enter => {
            host.enter(abi::Regs::default());
            Status::SUCCESS
        }
        Action::Exit => {
            if inside {
                let kick = TdExit::Async {
                    class: 0,
                    reason: 1,
                    qualification: 0,
                    extended: 0,
                    gpa: 0,
                    interruption: 0,
                };
                host.exit(kick, abi::Regs::default());
            }
            Status::SUCCESS
        }
    }
}

/// A built TD, once: building it takes longer than the walk below.
pub(super) fn template() -> Host {
    std::thread_local! {
        static HOST: Host = Host::runnable(Shape::default());
    }
    HOST.with(Host::clone)
}

proptest! {
    #[test]
    fn a_page_does_what_the_model_does(choices in proptest::collection::vec(0..8_usize, 1..60)) {
        const ACTIONS: [Action; 8] = [
            Action::Aug, Action::Block, Action::Unblock, Action::Track,
            Action::Remove, Action::Accept, Action::Enter, Action::Exit,
        ];
        let mut host = template();
        let mut model = Model { state: State::Free, blocked: None, epoch: 1, inside: None };
        let mut log = Vec::new();
        for choice in choices {
            let action = ACTIONS[choice];
            let inside = model.inside.is_some();
            let expected = model.step(action);
            let found = act(&mut host, action, inside);
            log.push(action);
            prop_assert!(found.is(expected), "{log:?}: {found:?}, the model says {expected:?}");
        }
        host.assert_ownership();
    }
}
