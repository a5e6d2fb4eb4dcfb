//! A TD from nothing to its first vCPU, and what PHYMEM leaves say on the way. [ABI-H 3.6, 3.9]

use abi::Operand::{Rax, Rcx, Rdx};
use abi::Status;
use conformance::Value::{At, Is, Past};

use super::{BEYOND, KEY, invalid, out_of_range, tables, wrong_page};
use crate::place::Buffer::Params;
use crate::place::Place::{
    Buffer as In, Hkid, Outside, Page, Reserved, Seamrr, SharedHkid, Tdcx, Tdr, Tdvpr, Tdvpx,
};

/// RAX: version 1, 2.
const V1: u64 = 1 << 16;
const V2: u64 = 2 << 16;
const NULL: u64 = u64::MAX;

tables! {
    /// READY: numbers and versions that are no leaf's.
    UNKNOWN ["ABI-H 1.2"] {
        "leaf 42 has a name and no code": VP_ENTER + 42 => () -> invalid(Rax);
        "leaf 46 does not exist": VP_ENTER + 46 => () -> invalid(Rax);
        "leaf 48 is of service TDs, which are left out": VP_ENTER + 48 => () -> invalid(Rax);
        "leaf 64 is of migration, which is left out": VP_ENTER + 64 => () -> invalid(Rax);
        "leaf 0xFFFF does not exist": VP_ENTER + 0xFFFF => () -> invalid(Rax);
        "bit 63 is the P-SEAMLDR's, which is not there": VP_ENTER + (0xFFFF | 1 << 63)
            => () -> Status::SEAMCALL_VMFAILINVALID;
        "version 2 of MNG.RD": MNG_RD + V2
            => (Rcx: Is(1)) -> invalid(Rax), (Rdx: Is(NULL), R8: Is(0));
        "version 2 of VP.RD": VP_RD + V2
            => (Rcx: Is(1)) -> invalid(Rax), (Rdx: Is(NULL), R8: Is(0));
        "version 2 of MEM.SEPT.ADD": MEM_SEPT_ADD + V2
            => (Rdx: Is(1)) -> invalid(Rax), (Rcx: Is(0), Rdx: Is(0));
        "version 2 of MEM.SEPT.REMOVE": MEM_SEPT_REMOVE + V2
            => (Rdx: Is(1)) -> invalid(Rax),
            (Rcx: Is(0), Rdx: Is(0), R9: Is(NULL), R10: Is(NULL), R11: Is(NULL));
        "version 2 of MEM.PAGE.PROMOTE": MEM_PAGE_PROMOTE + V2
            => (Rdx: Is(1)) -> invalid(Rax),
            (Rcx: Is(0), Rdx: Is(0), R9: Is(NULL), R10: Is(NULL), R11: Is(NULL));
        "version 2 of VP.INIT": VP_INIT + V2 => (Rcx: Is(1)) -> invalid(Rax);
        "version 1 of MEM.PAGE.AUG": MEM_PAGE_AUG + V1 => (Rdx: Is(1)) -> invalid(Rax);
    }

    /// No TD is there.
    NO_TD ["ABI-H 3.6"] {
        "RDX bit 16 is reserved, and the page is wrong": MNG_CREATE
            => (Rcx: Past(Tdr, 8), Rdx: Past(Hkid(1), 1 << 16)) -> invalid(Rdx);
        "RDX bit 63 is reserved": MNG_CREATE
            => (Rcx: At(Tdr), Rdx: Past(Hkid(1), 1 << 63)) -> invalid(Rdx);
        "the HKID is shared": MNG_CREATE
            => (Rcx: At(Tdr), Rdx: At(SharedHkid)) -> invalid(Rdx);
        "the HKID is 0": MNG_CREATE
            => (Rcx: At(Tdr), Rdx: Is(0)) -> invalid(Rdx);
        "the HKID does not exist": MNG_CREATE
            => (Rcx: At(Tdr), Rdx: Is(0xFFFF)) -> invalid(Rdx);
        "the page is wrong, and the HKID is not free": MNG_CREATE
            => (Rcx: At(Reserved), Rdx: At(Hkid(0))) -> wrong_page(Rcx);
        "the HKID is the module's own": MNG_CREATE
            => (Rcx: At(Tdr), Rdx: At(Hkid(0))) -> Status::HKID_NOT_FREE;
        "it does nothing, whatever RCX is": MNG_KEY_RECLAIMID
            => (Rcx: Is(1)) -> Status::SUCCESS;
    }

    /// No TD is there.
    NO_KEY ["ABI-H 3.9"] {
        "RCX is no command": PHYMEM_CACHE_WB
            => (Rcx: Is(2)) -> invalid(Rcx);
        "RCX bit 63 is no command": PHYMEM_CACHE_WB
            => (Rcx: Is(1 << 63)) -> invalid(Rcx);
        "no key was given up": PHYMEM_CACHE_WB
            => (Rcx: Is(0)) -> Status::NO_HKID_READY_TO_WBCACHE;
        "nothing was interrupted": PHYMEM_CACHE_WB
            => (Rcx: Is(1)) -> Status::WBCACHE_RESUME_ERROR;
        "a page that is nobody's": PHYMEM_PAGE_RDMD
            => (Rcx: At(Page(0))) -> Status::SUCCESS,
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
        "a reserved page": PHYMEM_PAGE_RDMD
            => (Rcx: At(Reserved)) -> Status::SUCCESS,
            (Rcx: Is(1), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
        "the page is nobody's": PHYMEM_PAGE_RECLAIM
            => (Rcx: At(Page(0))) -> wrong_page(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
        "the page is not aligned to 4 KiB": PHYMEM_PAGE_WBINVD
            => (Rcx: Past(Page(0), 0x800)) -> invalid(Rcx);
        "the page is beyond the physical addresses": PHYMEM_PAGE_WBINVD
            => (Rcx: Past(Page(0), BEYOND)) -> invalid(Rcx);
        "the page is in no TDMR": PHYMEM_PAGE_WBINVD
            => (Rcx: At(Outside)) -> out_of_range(Rcx);
        "the page is reserved": PHYMEM_PAGE_WBINVD
            => (Rcx: At(Reserved)) -> wrong_page(Rcx);
        "a page that is nobody's, under any key": PHYMEM_PAGE_WBINVD
            => (Rcx: Past(Page(0), KEY)) -> Status::SUCCESS;
    }

    /// The TD has its HKID.
    ASSIGNED ["ABI-H 3.6"] {
        "the page is a TDR": MNG_CREATE
            => (Rcx: At(Tdr), Rdx: At(Hkid(2))) -> wrong_page(Rcx);
        "the HKID is another TD's": MNG_CREATE
            => (Rcx: At(Page(0)), Rdx: At(Hkid(1))) -> Status::HKID_NOT_FREE;
        "the key is not there, and the page is wrong": MNG_ADDCX
            => (Rcx: At(Reserved), Rdx: At(Tdr)) -> Status::TD_KEYS_NOT_CONFIGURED;
        "the key was not given up": MNG_KEY_FREEID
            => (Rcx: At(Tdr)) -> Status::LIFECYCLE_STATE_INCORRECT;
        "the key was not freed": PHYMEM_PAGE_RECLAIM
            => (Rcx: At(Tdr)) -> Status::LIFECYCLE_STATE_INCORRECT,
            (Rcx: Is(4), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
        "a TDR": PHYMEM_PAGE_RDMD
            => (Rcx: At(Tdr)) -> Status::SUCCESS,
            (Rcx: Is(4), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
        "the page is a TDR": PHYMEM_PAGE_WBINVD
            => (Rcx: At(Tdr)) -> wrong_page(Rcx);
    }

    /// The TD has its key, and no TDCS.
    KEYS ["ABI-H 3.6"] {
        "the key is there": MNG_KEY_CONFIG
            => (Rcx: At(Tdr)) -> Status::LIFECYCLE_STATE_INCORRECT;
        "both pages are wrong: RDX is looked at first": MNG_ADDCX
            => (Rcx: Past(Tdcx(0), 1), Rdx: Past(Tdr, 1)) -> invalid(Rdx);
        "RDX is a page that is nobody's": MNG_ADDCX
            => (Rcx: At(Tdcx(0)), Rdx: At(Page(0))) -> wrong_page(Rdx);
    }

    /// The TD has nine TDCS pages.
    NINE ["ABI-H 3.6"] {
        "nine are the most, and the page is wrong": MNG_ADDCX
            => (Rcx: At(Reserved), Rdx: At(Tdr)) -> Status::TDCX_NUM_INCORRECT;
        "a TDCX": PHYMEM_PAGE_RDMD
            => (Rcx: At(Tdcx(8))) -> Status::SUCCESS,
            (Rcx: Is(5), Rdx: At(Tdr), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
    }

    /// TD_PARAMS' address; the TD has its TDCS.
    PARAMS_OPERAND ["ABI-H 3.6"] {
        "RDX is not aligned to 1 KiB": MNG_INIT
            => (Rcx: At(Tdr), Rdx: Past(In(Params), 512)) -> invalid(Rdx), (Rcx: Is(0));
        "RDX has a private HKID": MNG_INIT
            => (Rcx: At(Tdr), Rdx: Past(In(Params), KEY)) -> invalid(Rdx), (Rcx: Is(0));
        "RDX is beyond the physical addresses": MNG_INIT
            => (Rcx: At(Tdr), Rdx: Past(In(Params), BEYOND)) -> invalid(Rdx), (Rcx: Is(0));
        "RDX is in the module's memory": MNG_INIT
            => (Rcx: At(Tdr), Rdx: At(Seamrr)) -> invalid(Rdx), (Rcx: Is(0));
    }

    /// The TD is initialised, and has no vCPU.
    INITIALIZED ["ABI-H 3.6"] {
        "it is initialised, and RDX is wrong": MNG_INIT
            => (Rcx: At(Tdr), Rdx: Is(1)) -> Status::OP_STATE_INCORRECT, (Rcx: Is(0));
        "it is initialised": MNG_ADDCX
            => (Rcx: At(Tdcx(7)), Rdx: At(Tdr)) -> Status::OP_STATE_INCORRECT;
        "it has no vCPU": MR_FINALIZE
            => (Rcx: At(Tdr)) -> Status::NO_VCPUS;
        "both pages are wrong: RDX is looked at first": VP_CREATE
            => (Rcx: Past(Tdvpr(0), 1), Rdx: Past(Tdr, 1)) -> invalid(Rdx);
    }

    /// The vCPU is created.
    CREATED ["ABI-H 3.6, 3.9"] {
        "the page is a TDVPR": VP_CREATE
            => (Rcx: At(Tdvpr(0)), Rdx: At(Tdr)) -> wrong_page(Rcx);
        "it has one page of six": VP_INIT
            => (Rcx: At(Tdvpr(0)), Rdx: Is(0)) -> Status::TDCX_NUM_INCORRECT;
        "it has one page of six": VP_RD
            => (Rcx: At(Tdvpr(0)), Rdx: Is(0)) -> Status::TDCX_NUM_INCORRECT, (R8: Is(0));
        "it has one page of six": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(0)) -> Status::TDCX_NUM_INCORRECT, (R8: Is(0));
        "it has one page of six": VP_FLUSH
            => (Rcx: At(Tdvpr(0))) -> Status::TDCX_NUM_INCORRECT;
        "a TDVPR": PHYMEM_PAGE_RDMD
            => (Rcx: At(Tdvpr(0))) -> Status::SUCCESS,
            (Rcx: Is(6), Rdx: At(Tdr), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
    }

    /// The vCPU has all of its pages.
    FILLED ["ABI-H 3.6, 3.9"] {
        "it is not initialised": VP_RD
            => (Rcx: At(Tdvpr(0)), Rdx: Is(0)) -> Status::VCPU_STATE_INCORRECT, (R8: Is(0));
        "it is not initialised": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(0)) -> Status::VCPU_STATE_INCORRECT, (R8: Is(0));
        "it is on no processor": VP_FLUSH
            => (Rcx: At(Tdvpr(0))) -> Status::VCPU_NOT_ASSOCIATED;
    }

    /// A vCPU has fifteen pages.
    FIFTEEN ["ABI-H 3.6"] {
        "fifteen are the most, and the page is wrong": VP_ADDCX
            => (Rcx: At(Reserved), Rdx: At(Tdvpr(1))) -> Status::TDCX_NUM_INCORRECT;
    }

    /// The vCPU is initialised.
    VCPU_READY ["ABI-H 3.6"] {
        "it is initialised": VP_INIT
            => (Rcx: At(Tdvpr(0)), Rdx: Is(0)) -> Status::VCPU_STATE_INCORRECT;
        "it is initialised, and the page is wrong": VP_ADDCX
            => (Rcx: At(Reserved), Rdx: At(Tdvpr(0))) -> Status::VCPU_STATE_INCORRECT;
        "both pages are wrong: RDX is looked at first": VP_ADDCX
            => (Rcx: Past(Tdvpx(0, 14), 1), Rdx: Past(Tdvpr(0), 1)) -> invalid(Rdx);
        "the TD has two vCPUs": VP_INIT
            => (Rcx: At(Tdvpr(2)), Rdx: Is(0)) -> Status::MAX_VCPUS_EXCEEDED;
        "it may run after MR.FINALIZE": VP_ENTER
            => (Rcx: At(Tdvpr(0))) -> Status::OP_STATE_INCORRECT;
    }

    /// The TD is dead; the other leaves follow.
    FATAL ["ABI-H 5.7"] {
        "the TD is dead": MNG_KEY_CONFIG
            => (Rcx: At(Tdr)) -> Status::TD_FATAL;
        "the TD is dead, and the page is wrong": MNG_ADDCX
            => (Rcx: At(Reserved), Rdx: At(Tdr)) -> Status::TD_FATAL;
        "a page of a dead TD": PHYMEM_PAGE_RDMD
            => (Rcx: At(Tdcx(0))) -> Status::SUCCESS,
            (Rcx: Is(5), Rdx: At(Tdr), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
    }
}
