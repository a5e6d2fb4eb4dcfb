//! Statuses on demand: what a leaf answers while another processor is in its way. With one
//! processor no lock is ever taken, so this is how retries are proven.
//!
//! A rule `<side>.<leaf>:<status>:<times>[:<rcx>]` makes the next calls of that leaf, with
//! that RCX if there is one, end with that status and without effect. It applies after the
//! checks of RAX and before those of the leaf. Side is `tdg` (TDCALL) or `tdh` (SEAMCALL),
//! leaf and times are decimal, status and RCX hexadecimal.
//!
//! Only what a leaf can answer at any time, with everything right about the call, can be
//! injected:
//!
//! | status | where |
//! |---|---|
//! | OPERAND_BUSY, any operand | leaves that take a lock |
//! | OPERAND_BUSY_HOST_PRIORITY, any operand | `tdg`, where the host can hold the lock; the guest sees OPERAND_BUSY [ABI-G 1] |
//! | SYS_BUSY | TDH.SYS.INIT, LP.INIT, CONFIG, KEY.CONFIG, SHUTDOWN, UPDATE |
//! | PREVIOUS_TLB_EPOCH_BUSY | TDH.MEM.TRACK |
//! | RND_NO_ENTROPY | TDH.SYS.INIT, SYS.LP.INIT, MNG.CREATE, MNG.ADDCX |
//! | KEY_GENERATION_FAILED | TDH.SYS.KEY.CONFIG, MNG.KEY.CONFIG |
//! | INTERRUPTED_RESUMABLE | TDH.PHYMEM.CACHE.WB |
//! | INTERRUPTED_RESTARTABLE | TDH.MEM.PAGE.DEMOTE, MEM.PAGE.PROMOTE |
//!
//! [ABI-H 1.6, 3.2-3.9], [ABI-G 2, 16.24]

use core::fmt;

use abi::field::FieldId;
use abi::leaf::{tdg, tdh};
use abi::{Regs, Status};

/// Rules that there can be.
pub const MAX_RULES: usize = 8;

/// Which instruction makes the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// TDCALL.
    Tdg,
    /// SEAMCALL.
    Tdh,
}

/// Why a rule is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It does not read `<side>.<leaf>:<status>:<times>[:<rcx>]`.
    Malformed,
    /// The leaf never gives this status by itself.
    NotSpontaneous,
    /// There are [`MAX_RULES`] already.
    TooMany,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "is not <tdg|tdh>.<leaf>:<status in hex>:<times>[:<rcx in hex>]",
            Self::NotSpontaneous => "names a status that this leaf does not give by itself",
            Self::TooMany => "is one rule too many",
        })
    }
}

impl core::error::Error for Refused {}

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    side: Side,
    leaf: u64,
    status: Status,
    times: u64,
    left: u64,
    rcx: Option<u64>,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { side, leaf, status, times, .. } = self;
        let side = if *side == Side::Tdg { "tdg" } else { "tdh" };
        write!(f, "{side}.{leaf} {status} {times} times")
    }
}

/// The rules, each counting down. Of several that fit, the first one applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Injections {
    rules: [Option<Rule>; MAX_RULES],
    used_up: Option<Rule>,
}

impl Injections {
    /// No rule.
    pub const NONE: Self = Self { rules: [None; MAX_RULES], used_up: None };

    /// Whether no rule was ever added.
    pub(crate) const fn are_none(&self) -> bool {
        self.rules[0].is_none()
    }

    /// Adds the rule that `text` describes.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn add(&mut self, text: &str) -> Result<(), Refused> {
        let rule = Rule::parse(text).ok_or(Refused::Malformed)?;
        if !is_spontaneous(rule.side, rule.leaf, rule.status) {
            return Err(Refused::NotSpontaneous);
        }
        let slot = self.rules.iter_mut().find(|slot| slot.is_none());
        *slot.ok_or(Refused::TooMany)? = Some(rule);
        Ok(())
    }

    /// The status that this call ends with, if a rule says so.
    pub(crate) fn take(&mut self, side: Side, leaf: u64, rcx: u64) -> Option<Status> {
        let fits = |rule: &&mut Rule| {
            let is_call = rule.side == side && rule.leaf == leaf;
            is_call && rule.left > 0 && rule.rcx.is_none_or(|wanted| wanted == rcx)
        };
        let rule = self.rules.iter_mut().flatten().find(fits)?;
        rule.left -= 1;
        if rule.left == 0 {
            self.used_up = Some(*rule);
        }
        Some(rule.status)
    }

    /// The rule that came to its end since the last call of this.
    pub(crate) const fn take_used_up(&mut self) -> Option<Rule> {
        self.used_up.take()
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (side, leaf) = parts.next()?.split_once('.')?;
        let side = match side {
            "tdg" => Side::Tdg,
            "tdh" => Side::Tdh,
            _ => return None,
        };
        let leaf = leaf.parse().ok()?;
        let status = Status(hexadecimal(parts.next()?)?);
        let times = parts.next()?.parse().ok().filter(|times| *times > 0)?;
        let rcx = match parts.next() {
            Some(rcx) => Some(hexadecimal(rcx)?),
            None => None,
        };
        parts.next().is_none().then_some(Self { side, leaf, status, times, left: times, rcx })
    }
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

/// Whether the leaf can give this status to a call with which nothing is wrong.
fn is_spontaneous(side: Side, leaf: u64, status: Status) -> bool {
    let code = status.with_detail(0);
    match (side, code) {
        (Side::Tdg, Status::OPERAND_BUSY) => {
            lets_the_host_win(leaf) || matches!(leaf, tdg::VM_WR | tdg::SERVTD_RD | tdg::SERVTD_WR)
        }
        (Side::Tdg, Status::OPERAND_BUSY_HOST_PRIORITY) => lets_the_host_win(leaf),
        (Side::Tdh, Status::OPERAND_BUSY) => takes_a_lock(leaf),
        (Side::Tdh, _) if status == code => matches!(
            (code, leaf),
            (
                Status::SYS_BUSY,
                tdh::SYS_INIT
                    | tdh::SYS_LP_INIT
                    | tdh::SYS_CONFIG
                    | tdh::SYS_KEY_CONFIG
                    | tdh::SYS_SHUTDOWN
                    | tdh::SYS_UPDATE
            ) | (Status::PREVIOUS_TLB_EPOCH_BUSY, tdh::MEM_TRACK)
                | (
                    Status::RND_NO_ENTROPY,
                    tdh::SYS_INIT | tdh::SYS_LP_INIT | tdh::MNG_CREATE | tdh::MNG_ADDCX
                )
                | (Status::KEY_GENERATION_FAILED, tdh::SYS_KEY_CONFIG | tdh::MNG_KEY_CONFIG)
                | (Status::INTERRUPTED_RESUMABLE, tdh::PHYMEM_CACHE_WB)
                | (Status::INTERRUPTED_RESTARTABLE, tdh::MEM_PAGE_DEMOTE | tdh::MEM_PAGE_PROMOTE)
        ),
        _ => false,
    }
}

/// Guest leaves with a lock for which the host comes first.
const fn lets_the_host_win(leaf: u64) -> bool {
    matches!(
        leaf,
        tdg::MR_RTMR_EXTEND
            | tdg::MR_REPORT
            | tdg::MEM_PAGE_ACCEPT
            | tdg::MEM_PAGE_ATTR_RD
            | tdg::MEM_PAGE_ATTR_WR
    )
}

/// Host leaves that lock an operand: all but those that read or change global state alone.
const fn takes_a_lock(leaf: u64) -> bool {
    const LAST: u64 = tdh::SYS_UPDATE;
    /// Numbers that are no leaf here.
    const UNUSED: u64 = 1 << 42 | 1 << 46 | 1 << 47 | 1 << 48 | 1 << 49 | 1 << 50 | 1 << 51;
    let is_global = matches!(
        leaf,
        tdh::MNG_KEY_RECLAIMID
            | tdh::SYS_INIT
            | tdh::SYS_LP_INIT
            | tdh::SYS_INFO
            | tdh::SYS_RD
            | tdh::SYS_RDALL
            | tdh::SYS_LP_SHUTDOWN
            | tdh::SYS_CONFIG
            | tdh::SYS_SHUTDOWN
            | tdh::SYS_UPDATE
    );
    leaf <= LAST && UNUSED >> leaf & 1 == 0 && !is_global
}

/// What a SEAMCALL leaf that failed early has done to its registers: what it reports in is
/// zero. An interrupted leaf puts them back. [ABI-H 1.6, 3.2, 3.5-3.9]
pub(crate) const fn clear_outputs(leaf: u64, status: Status, regs: &mut Regs) {
    if status.is(Status::INTERRUPTED_RESTARTABLE) {
        return;
    }
    match leaf {
        tdh::MEM_RD | tdh::MEM_WR | tdh::SYS_LP_INIT => {
            (regs.rcx, regs.rdx, regs.r8) = (0, 0, 0);
        }
        tdh::MNG_RD | tdh::MNG_WR | tdh::VP_RD | tdh::VP_WR => regs.r8 = 0,
        tdh::MNG_INIT => regs.rcx = 0,
        tdh::SYS_TDMR_INIT => regs.rdx = 0,
        tdh::SYS_INIT => {
            (regs.rcx, regs.rdx, regs.r8, regs.r9, regs.r10) = (0, 0, 0, 0, 0);
        }
        tdh::PHYMEM_PAGE_RDMD | tdh::PHYMEM_PAGE_RECLAIM => {
            (regs.rcx, regs.rdx, regs.r8) = (0, 0, 0);
            (regs.r9, regs.r10, regs.r11) = (0, 0, 0);
        }
        leaf if reports_entry(leaf) => (regs.rcx, regs.rdx) = (0, 0),
        _ => {}
    }
}

/// Leaves that report a secure EPT entry in RCX and RDX.
const fn reports_entry(leaf: u64) -> bool {
    matches!(
        leaf,
        tdh::MEM_PAGE_ADD
            | tdh::MEM_SEPT_ADD
            | tdh::MEM_PAGE_RELOCATE
            | tdh::MEM_PAGE_AUG
            | tdh::MEM_RANGE_BLOCK
            | tdh::MEM_PAGE_DEMOTE
            | tdh::MR_EXTEND
            | tdh::MEM_PAGE_PROMOTE
            | tdh::MEM_SEPT_RD
            | tdh::MEM_PAGE_REMOVE
            | tdh::MEM_SEPT_REMOVE
            | tdh::MEM_RANGE_UNBLOCK
    )
}

/// What a TDCALL leaf that failed has done to its output registers. [ABI-G 2.8, 2.11, 2.13]
pub(crate) const fn clear_guest_outputs(leaf: u64, regs: &mut Regs) {
    match leaf {
        tdg::VM_WR | tdg::SERVTD_WR => regs.r8 = 0,
        tdg::SERVTD_RD => (regs.rdx, regs.r8) = (FieldId::NULL.0, 0),
        tdg::MEM_PAGE_ATTR_RD | tdg::MEM_PAGE_ATTR_WR => (regs.rcx, regs.rdx) = (0, 0),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::Operand;

    const BUSY: Status = Status::OPERAND_BUSY.with_operand(Operand::Rcx);

    fn added(text: &str) -> Result<Injections, Refused> {
        let mut injections = Injections::NONE;
        injections.add(text).map(|()| injections)
    }

    #[test]
    fn a_rule_counts_down() {
        let mut injections = added("tdh.6:8000020000000001:2").unwrap();
        let mut take = |side, leaf| injections.take(side, leaf, 7);
        assert_eq!(take(Side::Tdh, tdh::MEM_PAGE_AUG), Some(BUSY));
        assert_eq!(take(Side::Tdg, tdg::MEM_PAGE_ACCEPT), None);
        assert_eq!(take(Side::Tdh, tdh::MEM_PAGE_ADD), None);
        assert_eq!(take(Side::Tdh, tdh::MEM_PAGE_AUG), Some(BUSY));
        assert_eq!(take(Side::Tdh, tdh::MEM_PAGE_AUG), None);
    }

    #[test]
    fn a_rule_that_is_used_up_says_so_once() {
        let mut injections = added("tdh.6:8000020000000001:2").unwrap();
        injections.take(Side::Tdh, 6, 0);
        assert_eq!(injections.take_used_up(), None);
        injections.take(Side::Tdh, 6, 0);
        let text = std::format!("{}", injections.take_used_up().unwrap());
        assert_eq!(text, "tdh.6 OPERAND_BUSY|0x1 2 times");
        assert_eq!(injections.take_used_up(), None);
    }

    #[test]
    fn a_rule_with_rcx_waits_for_it() {
        let mut injections = added("tdg.6:0x8000020000000001:1:0x1000").unwrap();
        assert_eq!(injections.take(Side::Tdg, 6, 0x2000), None);
        assert_eq!(injections.take(Side::Tdg, 6, 0x1000), Some(BUSY));
    }

    #[test]
    fn the_first_rule_that_fits_applies() {
        let mut injections = added("tdh.9:8000020300000000:1").unwrap();
        injections.add("tdh.9:80000200000000ba:1").unwrap();
        let statuses: [_; 3] = core::array::from_fn(|_| injections.take(Side::Tdh, 9, 0));
        let busy = Status::OPERAND_BUSY.with_operand(Operand::Kot);
        assert_eq!(statuses, [Some(Status::RND_NO_ENTROPY), Some(busy), None]);
    }

    #[test]
    fn a_guest_leaf_that_failed_has_no_outputs() {
        let after = |leaf| {
            let mut regs = Regs { rcx: 1, rdx: 2, r8: 3, ..Regs::default() };
            clear_guest_outputs(leaf, &mut regs);
            (regs.rcx, regs.rdx, regs.r8)
        };
        assert_eq!(after(tdg::MEM_PAGE_ACCEPT), (1, 2, 3));
        assert_eq!(after(tdg::VM_WR), (1, 2, 0));
        assert_eq!(after(tdg::SERVTD_RD), (1, u64::MAX, 0));
        assert_eq!(after(tdg::MEM_PAGE_ATTR_RD), (0, 0, 3));
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let mut injections = Injections::NONE;
        assert!(injections.are_none());
        for _ in 0..MAX_RULES {
            assert_eq!(injections.add("tdg.6:8000020000000001:1"), Ok(()));
        }
        assert!(!injections.are_none());
        assert_eq!(injections.add("tdg.6:8000020000000001:1"), Err(Refused::TooMany));
    }

    #[test]
    fn what_does_not_read_as_a_rule_is_refused() {
        for text in [
            "",
            "tdh",
            "tdh.6",
            "tdh.6:8000020000000001",
            "tdh.6:8000020000000001:",
            "tdh.6:8000020000000001:0",
            "tdh.6:8000020000000001:-1",
            "tdh.6:8000020000000001:1:",
            "tdh.6:8000020000000001:1:2:3",
            "tdh.six:8000020000000001:1",
            "tdx.6:8000020000000001:1",
            "tdh.6:18000020000000001:1",
        ] {
            assert_eq!(added(text), Err(Refused::Malformed), "{text}");
        }
    }

    #[test]
    fn only_statuses_that_come_by_themselves_are_injected() {
        for (text, is_spontaneous) in [
            ("tdh.0:8000020000000092:1", true),
            ("tdh.38:8000020100000000:1", true),
            ("tdh.6:8000020100000000:1", false),
            ("tdh.33:8000020200000000:1", true),
            ("tdh.33:8000020000000001:1", false),
            ("tdh.1:8000020300000000:1", true),
            ("tdh.1:8000020300000001:1", false),
            ("tdh.4:8000020300000000:1", false),
            ("tdh.8:8000080000000000:1", true),
            ("tdh.31:8000080000000000:1", true),
            ("tdh.40:8000000300000000:1", true),
            ("tdh.15:8000000400000000:1", true),
            ("tdh.15:8000000300000000:1", false),
            ("tdh.6:8000020400000001:1", false),
            ("tdh.42:8000020000000001:1", false),
            ("tdh.99:8000020000000001:1", false),
            ("tdg.2:80000200000000a8:1", true),
            ("tdg.6:8000020400000001:1", true),
            ("tdg.8:80000200000000b0:1", true),
            ("tdg.8:80000204000000b0:1", false),
            ("tdg.0:8000020000000001:1", false),
            ("tdg.6:0:1", false),
            ("tdg.6:c000010000000001:1", false),
            ("tdg.6:8000020300000000:1", false),
        ] {
            let expected = if is_spontaneous { Ok(()) } else { Err(Refused::NotSpontaneous) };
            assert_eq!(added(text).map(drop), expected, "{text}");
        }
    }

    #[test]
    fn a_leaf_that_failed_early_reports_no_entry() {
        let left = |leaf, status| {
            let mut regs = Regs { rcx: 1, rdx: 2, r8: 3, ..Regs::default() };
            clear_outputs(leaf, status, &mut regs);
            (regs.rcx, regs.rdx, regs.r8)
        };
        assert_eq!(left(tdh::MEM_PAGE_AUG, BUSY), (0, 0, 3));
        assert_eq!(left(tdh::MEM_TRACK, BUSY), (1, 2, 3));
        assert_eq!(left(tdh::VP_ENTER, BUSY), (1, 2, 3));
        assert_eq!(left(tdh::MEM_PAGE_DEMOTE, BUSY), (0, 0, 3));
        assert_eq!(left(tdh::MEM_PAGE_DEMOTE, Status::INTERRUPTED_RESTARTABLE), (1, 2, 3));
    }
}
