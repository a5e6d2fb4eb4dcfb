//! TDH.PHYMEM.*. [ABI-H 3.9]

use abi::leaf::tdh;
use abi::{Operand, Status};

use super::{DONE, Documented, Leaf, READY, Side, busy, concat, invalid, leaf, page, total};

const PAGE: [Documented; 4] = page(Operand::Rcx);

pub(super) const LEAVES: &[Leaf] = &[
    leaf!(
        tdh::PHYMEM_PAGE_RDMD,
        "TDH.PHYMEM.PAGE.RDMD",
        "ABI-H 3.9",
        READY,
        &[PAGE[0], PAGE[1], PAGE[2], DONE],
    ),
    leaf!(
        tdh::PHYMEM_PAGE_RECLAIM,
        "TDH.PHYMEM.PAGE.RECLAIM",
        "ABI-H 3.9",
        READY,
        &PAGE,
        &[
            busy(Operand::Tdr, "the TD's TDR page is locked"),
            Documented::seen(Status::LIFECYCLE_STATE_INCORRECT, "the TD's key is not freed"),
            Documented::seen(
                Status::TD_ASSOCIATED_PAGES_EXIST,
                "the page is a TDR, and the TD has other pages"
            ),
            DONE
        ],
    ),
    leaf!(
        tdh::PHYMEM_CACHE_WB,
        "TDH.PHYMEM.CACHE.WB",
        "ABI-H 3.9",
        READY,
        &[
            invalid(Operand::Rcx, "RCX is no command"),
            busy(Operand::Wbcache, "another processor of the package writes back"),
            busy(Operand::Kot, "the key ownership table is locked"),
            Documented::seen(Status::NO_HKID_READY_TO_WBCACHE, "no key was given up"),
            Documented::seen(Status::WBCACHE_RESUME_ERROR, "nothing was interrupted"),
            Documented::seen(Status::INTERRUPTED_RESUMABLE, "an interrupt came"),
            DONE
        ],
    ),
    leaf!(tdh::PHYMEM_PAGE_WBINVD, "TDH.PHYMEM.PAGE.WBINVD", "ABI-H 3.9", READY, &PAGE, &[DONE],),
];
