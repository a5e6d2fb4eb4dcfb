//! From the first SEAMCALL to READY.

use abi::Status;
use abi::leaf::tdh;
use conformance::Check;

use crate::run::Run;
use crate::tables::system;

/// Leaves that need a module that is READY; versions of some exist.
const READY_ONLY: [u64; 37] = [
    tdh::VP_ENTER,
    tdh::MNG_ADDCX,
    tdh::MEM_PAGE_ADD,
    tdh::MEM_SEPT_ADD,
    tdh::VP_ADDCX,
    tdh::MEM_PAGE_RELOCATE,
    tdh::MEM_PAGE_AUG,
    tdh::MEM_RANGE_BLOCK,
    tdh::MNG_KEY_CONFIG,
    tdh::MNG_CREATE,
    tdh::VP_CREATE,
    tdh::MNG_RD,
    tdh::MEM_RD,
    tdh::MNG_WR,
    tdh::MEM_WR,
    tdh::MEM_PAGE_DEMOTE,
    tdh::MR_EXTEND,
    tdh::MR_FINALIZE,
    tdh::VP_FLUSH,
    tdh::MNG_VPFLUSHDONE,
    tdh::MNG_KEY_FREEID,
    tdh::MNG_INIT,
    tdh::VP_INIT,
    tdh::MEM_PAGE_PROMOTE,
    tdh::PHYMEM_PAGE_RDMD,
    tdh::MEM_SEPT_RD,
    tdh::VP_RD,
    tdh::MNG_KEY_RECLAIMID,
    tdh::PHYMEM_PAGE_RECLAIM,
    tdh::MEM_PAGE_REMOVE,
    tdh::MEM_SEPT_REMOVE,
    tdh::SYS_TDMR_INIT,
    tdh::MEM_TRACK,
    tdh::MEM_RANGE_UNBLOCK,
    tdh::PHYMEM_CACHE_WB,
    tdh::PHYMEM_PAGE_WBINVD,
    tdh::VP_WR,
];

pub(super) fn run(run: &mut Run) {
    run.table(system::DISPATCH);
    not_ready(run);
    run.table(system::PENDING);
    run.table(system::INIT_DONE);
}

/// Every leaf that needs a TD says that the system is not ready, whatever its operands.
fn not_ready(run: &mut Run) {
    for rax in READY_ONLY {
        run.check(&Check {
            name: "the system is not ready",
            rax,
            source: "ABI-H 1.5",
            input: &[],
            status: Status::SYS_NOT_READY,
            output: &[],
        });
    }
}
