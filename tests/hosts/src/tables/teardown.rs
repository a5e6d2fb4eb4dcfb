//! A TD loses its key and its pages. [ABI-H 3.9]

use abi::Operand::Rcx;
use abi::Status;
use abi::field::{td, vp};
use conformance::Value::{At, Is};

use super::{tables, wrong_page};
use crate::place::Place::{Hkid, Page, Reserved, Tdcx, Tdr, Tdvpr};

/// Pages of the TD of `scenarios::running` at its end: 7 of the TDCS, 28 of four vCPUs, 5
/// tables, 6 small pages and one of 2 MiB.
const CHILDREN: u64 = 7 + 28 + 5 + 6 + 512;

tables! {
    /// Two vCPUs are on the processor.
    ASSOCIATED ["ABI-H 3.9"] {
        "CHLDCNT": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::CHLDCNT.0)) -> Status::SUCCESS, (R8: Is(CHILDREN));
        "two vCPUs are on the processor": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::NUM_ASSOC_VCPUS.0)) -> Status::SUCCESS, (R8: Is(2));
        "two vCPUs are on the processor": MNG_VPFLUSHDONE
            => (Rcx: At(Tdr)) -> Status::FLUSHVP_NOT_DONE;
    }

    /// The first is off it.
    FLUSHED_ONCE ["ABI-H 3.9"] {
        "the vCPU is on no processor": VP_FLUSH
            => (Rcx: At(Tdvpr(0))) -> Status::VCPU_NOT_ASSOCIATED;
        "it has one page of six": VP_FLUSH
            => (Rcx: At(Tdvpr(3))) -> Status::TDCX_NUM_INCORRECT;
        "the other vCPU is on the processor": MNG_VPFLUSHDONE
            => (Rcx: At(Tdr)) -> Status::FLUSHVP_NOT_DONE;
        "a read brings the vCPU back to the processor": VP_RD
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::VCPU_INDEX.0)) -> Status::SUCCESS, (R8: Is(0));
        "it came back": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::NUM_ASSOC_VCPUS.0)) -> Status::SUCCESS, (R8: Is(2));
    }

    /// Nobody uses the key any more.
    BLOCKED ["ABI-H 3.9"] {
        "it is done": MNG_VPFLUSHDONE
            => (Rcx: At(Tdr)) -> Status::LIFECYCLE_STATE_INCORRECT;
        "the key is given up": MNG_KEY_CONFIG
            => (Rcx: At(Tdr)) -> Status::LIFECYCLE_STATE_INCORRECT;
        "the key is given up, and the page is wrong": MNG_ADDCX
            => (Rcx: At(Reserved), Rdx: At(Tdr)) -> Status::TD_KEYS_NOT_CONFIGURED;
        "the key is given up": VP_FLUSH
            => (Rcx: At(Tdvpr(3))) -> Status::TD_KEYS_NOT_CONFIGURED;
        "the caches are not written back": MNG_KEY_FREEID
            => (Rcx: At(Tdr)) -> Status::WBCACHE_NOT_COMPLETE;
        "the HKID is not free yet": MNG_CREATE
            => (Rcx: At(Page(0)), Rdx: At(Hkid(1))) -> Status::HKID_NOT_FREE;
        "the HKID is not free yet": PHYMEM_PAGE_RECLAIM
            => (Rcx: At(Tdcx(0))) -> Status::LIFECYCLE_STATE_INCORRECT,
            (Rcx: Is(5), Rdx: At(Tdr), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
        "nothing was interrupted": PHYMEM_CACHE_WB
            => (Rcx: Is(1)) -> Status::WBCACHE_RESUME_ERROR;
    }

    /// The key is free.
    TEARDOWN ["ABI-H 3.9"] {
        "it is done": MNG_KEY_FREEID
            => (Rcx: At(Tdr)) -> Status::LIFECYCLE_STATE_INCORRECT;
        "it is done": MNG_VPFLUSHDONE
            => (Rcx: At(Tdr)) -> Status::LIFECYCLE_STATE_INCORRECT;
        "no key was given up": PHYMEM_CACHE_WB
            => (Rcx: Is(0)) -> Status::NO_HKID_READY_TO_WBCACHE;
        "the page is the TD's": PHYMEM_PAGE_WBINVD
            => (Rcx: At(Tdcx(0))) -> wrong_page(Rcx);
        "the TD has other pages": PHYMEM_PAGE_RECLAIM
            => (Rcx: At(Tdr)) -> Status::TD_ASSOCIATED_PAGES_EXIST,
            (Rcx: Is(4), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
    }

    /// All pages are taken back.
    RECLAIMED ["ABI-H 3.9"] {
        "a page that was the TD's": PHYMEM_PAGE_RDMD
            => (Rcx: At(Tdcx(0))) -> Status::SUCCESS,
            (Rcx: Is(0), Rdx: At(Tdr), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
        "it is taken back": PHYMEM_PAGE_RECLAIM
            => (Rcx: At(Tdcx(0))) -> wrong_page(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
        "no TDR is there": MNG_KEY_CONFIG
            => (Rcx: At(Tdr)) -> wrong_page(Rcx);
    }
}
