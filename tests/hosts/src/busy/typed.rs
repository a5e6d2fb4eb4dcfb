//! The typed function of each leaf, with operands that it could have.
#![expect(unsafe_code, reason = "leaves that take pages, none of which comes to that")]

use abi::field::{td, vp};
use abi::leaf::tdh;
use abi::{Gpr, PageLevel, PrivateGpa, Regs, Status};
use conformance::Value::{self, Is};
use tdcall::host::{self, LeafError};

use super::{buffer, page};
use crate::place::Place;
use crate::run::{Refused, Run};
use crate::tables::operands::{self, ASKERS};

const GPA: PrivateGpa = PrivateGpa::new(0);
const ONE: PageLevel = PageLevel::Size2M;

/// What the typed function of the leaf gives; `None` if there is none.
pub(super) fn call(leaf: u64, run: &Run) -> Option<Status> {
    system(leaf, run).or_else(|| td(leaf, run)).or_else(|| memory(leaf, run))
}

/// The status of an answer.
fn status<T, E: Into<Refused>>(answer: Result<T, E>) -> Status {
    answer.map_or_else(|error| error.into().0, |_| Status::SUCCESS)
}

fn system(leaf: u64, run: &Run) -> Option<Status> {
    let page = page(run);
    Some(match leaf {
        tdh::SYS_INIT => status(host::sys_init()),
        tdh::SYS_LP_INIT => status(host::sys_lp_init()),
        tdh::SYS_CONFIG => status(crate::scenarios::system::sys_config(buffer(run), 0)),
        tdh::SYS_KEY_CONFIG => status(host::sys_key_config()),
        tdh::SYS_TDMR_INIT => status(host::sys_tdmr_init(page)),
        tdh::SYS_SHUTDOWN => status(host::sys_shutdown(u16::MAX)),
        tdh::SYS_UPDATE => status(host::sys_update()),
        tdh::PHYMEM_CACHE_WB => status(host::phymem_cache_wb()),
        tdh::PHYMEM_PAGE_RDMD => status(host::phymem_page_rdmd(page)),
        tdh::PHYMEM_PAGE_RECLAIM => status(host::phymem_page_reclaim(page)),
        tdh::PHYMEM_PAGE_WBINVD => status(host::phymem_page_wbinvd(page.bits())),
        _ => return None,
    })
}

fn td(leaf: u64, run: &Run) -> Option<Status> {
    let page = page(run);
    Some(match leaf {
        // SAFETY: a page of the pool, where no Rust object is. So for all of them.
        tdh::MNG_CREATE => status(unsafe { host::mng_create(page, 0) }),
        tdh::MNG_KEY_CONFIG => status(host::mng_key_config(page)),
        // SAFETY: as above.
        tdh::MNG_ADDCX => status(unsafe { host::mng_addcx(page, page) }),
        tdh::MNG_INIT => status(host::mng_init(page, buffer(run))),
        tdh::MNG_RD => status(host::mng_rd(page, td::XFAM)),
        tdh::MNG_WR => status(host::mng_wr(page, td::HP_LOCK_TIMEOUT, 0, 0)),
        tdh::MNG_VPFLUSHDONE => status(host::mng_vpflushdone(page)),
        tdh::MNG_KEY_FREEID => status(host::mng_key_freeid(page)),
        // SAFETY: as above.
        tdh::VP_CREATE => status(unsafe { host::vp_create(page, page) }),
        // SAFETY: as above.
        tdh::VP_ADDCX => status(unsafe { host::vp_addcx(page, page) }),
        tdh::VP_INIT => status(host::vp_init(page, 0, 0)),
        tdh::VP_FLUSH => status(host::vp_flush(page)),
        tdh::VP_RD => status(host::vp_rd(page, vp::VCPU_INDEX)),
        tdh::VP_WR => status(host::vp_wr(page, vp::PEND_NMI, 0, 0)),
        tdh::VP_ENTER => {
            // SAFETY: there is no TD: nobody is entered.
            Status(unsafe { host::vp_enter(page, &mut Regs::default()) }.0)
        }
        _ => return None,
    })
}

fn memory(leaf: u64, run: &Run) -> Option<Status> {
    let page = page(run);
    let answer: Result<(), LeafError> = match leaf {
        // SAFETY: a page of the pool, where no Rust object is. So for all of them.
        tdh::MEM_SEPT_ADD => unsafe { host::mem_sept_add(GPA, 1, page, page) },
        // SAFETY: as above.
        tdh::MEM_PAGE_ADD => unsafe { host::mem_page_add(GPA, page, page, buffer(run)) },
        // SAFETY: as above.
        tdh::MEM_PAGE_AUG => unsafe { host::mem_page_aug(GPA, ONE, page, page) },
        // SAFETY: as above.
        tdh::MEM_PAGE_DEMOTE => unsafe { host::mem_page_demote(GPA, ONE, page, page) },
        // SAFETY: as above.
        tdh::MEM_PAGE_RELOCATE => unsafe { host::mem_page_relocate(GPA, page, page) }.map(drop),
        tdh::MEM_PAGE_PROMOTE => host::mem_page_promote(GPA, ONE, page).map(drop),
        tdh::MEM_PAGE_REMOVE => host::mem_page_remove(GPA, ONE, page).map(drop),
        tdh::MEM_SEPT_REMOVE => host::mem_sept_remove(GPA, 1, page).map(drop),
        tdh::MEM_SEPT_RD => host::mem_sept_rd(GPA, 1, page).map(drop),
        tdh::MEM_RANGE_BLOCK => host::mem_range_block(GPA, 1, page),
        tdh::MEM_RANGE_UNBLOCK => host::mem_range_unblock(GPA, 1, page),
        tdh::MEM_RD => host::mem_rd(GPA, page).map(drop),
        tdh::MEM_WR => host::mem_wr(GPA, page, 0).map(drop),
        tdh::MR_EXTEND => host::mr_extend(GPA, page),
        tdh::MR_FINALIZE => return Some(status(host::mr_finalize(page))),
        tdh::MEM_TRACK => return Some(status(host::mem_track(page))),
        _ => return None,
    };
    Some(status(answer))
}

/// The typed function does not try again: VP.ENTER, because the VMM wants to know; and what
/// does not go away by itself.
pub(super) fn tries_once(leaf: u64, status: Status) -> bool {
    leaf == tdh::VP_ENTER || status.is(Status::PREVIOUS_TLB_EPOCH_BUSY)
}

/// What the leaf has written by then. [ABI-H 1.6, 3.2, 3.5]
pub(super) fn zeroed(leaf: u64, status: Status) -> &'static [(Gpr, Value<Place>)] {
    if status.is(Status::INTERRUPTED_RESTARTABLE) {
        return &[];
    }
    match leaf {
        tdh::SYS_INIT => operands::SYS_INIT_OUTPUTS,
        tdh::SYS_LP_INIT => operands::SYS_LP_INIT_OUTPUTS,
        tdh::SYS_TDMR_INIT => &[(Gpr::Rdx, Is(0))],
        _ => {
            let takers = operands::TDR.iter().chain(operands::TDVPR);
            let taken = takers.map(|taker| (taker.leaf, taker.zeroed));
            let asked = ASKERS.iter().map(|asker| (asker.leaf, asker.zeroed));
            taken.chain(asked).find(|(other, _)| *other == leaf).map_or(&[], |found| found.1)
        }
    }
}
