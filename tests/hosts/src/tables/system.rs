//! TDH.SYS.*, from the first SEAMCALL until the module is READY. [ABI-H 1.5, 3.5]

use abi::Operand::{R8, R9, Rax, Rcx, Rdx};
use abi::Status;
use abi::field::sys;
use conformance::Value::{Any, At, Is, Past};

use super::{BEYOND, KEY, invalid, out_of_range, tables};
use crate::place::Buffer::{Cmrs, List, SysInfo, TdmrArray};
use crate::place::Place::{Buffer as In, Hkid, Seamrr, Second, SharedHkid, Tdr};

/// All ones: no field.
const NULL: u64 = u64::MAX;

tables! {
    /// RAX, whatever else is wrong.
    DISPATCH ["ABI-H 1.5"] {
        "RAX bit 24 is reserved": SYS_INIT + (1 << 24)
            => (Rcx: Is(1)) -> invalid(Rax);
        "RAX bit 31 is reserved": SYS_INIT + (1 << 31)
            => (Rcx: Is(1)) -> invalid(Rax);
        "RAX bit 32 is reserved": SYS_INIT + (1 << 32)
            => (Rcx: Is(1)) -> invalid(Rax);
        "RAX bit 62 is reserved": SYS_INIT + (1 << 62)
            => (Rcx: Is(1)) -> invalid(Rax);
        "all reserved bits of RAX at once": SYS_INIT + 0x7FFF_FFFF_FF00_0000
            => (Rcx: Is(1)) -> invalid(Rax);
        "version 255 of a leaf that has one": SYS_INIT + 0xFF_0000
            => (Rcx: Is(1)) -> invalid(Rax);
    }

    /// Before SYS.INIT.
    PENDING ["ABI-H 3.5"] {
        "SYS.INIT has not run": SYS_LP_INIT
            => () -> Status::SYS_LP_INIT_NOT_PENDING, (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
        "the processor is not initialised": SYS_INFO
            => () -> Status::SYS_LP_INIT_NOT_DONE, (Rdx: Is(0), R9: Is(0));
        "the processor is not initialised": SYS_RD
            => (Rdx: Is(NULL)) -> Status::SYS_LP_INIT_NOT_DONE, (Rdx: Is(NULL), R8: Is(0));
        "the processor is not initialised": SYS_RDALL
            => () -> Status::SYS_LP_INIT_NOT_DONE, (R8: Is(NULL));
        "SYS.INIT has not run": SYS_CONFIG
            => () -> Status::SYS_CONFIG_NOT_PENDING;
        "SYS.CONFIG has not run": SYS_KEY_CONFIG
            => () -> Status::SYS_KEY_CONFIG_NOT_PENDING;
        "SYS.INIT has not run": SYS_UPDATE
            => () -> Status::SYS_STATE_INCORRECT;
        "it does nothing, at any time": SYS_LP_SHUTDOWN
            => () -> Status::SUCCESS;
        "RCX bit 0 is reserved": SYS_INIT
            => (Rcx: Is(1)) -> invalid(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0));
        "RCX bit 63 is reserved": SYS_INIT
            => (Rcx: Is(1 << 63)) -> invalid(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0));
        "the platform is checked": SYS_INIT
            => (Rcx: Is(0)) -> Status::SUCCESS,
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0));
    }

    /// After SYS.INIT, before SYS.LP.INIT.
    INIT_DONE ["ABI-H 3.5"] {
        "RCX is looked at before the state": SYS_INIT
            => (Rcx: Is(2)) -> invalid(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0));
        "it has run": SYS_INIT
            => (Rcx: Is(0)) -> Status::SYS_INIT_NOT_PENDING,
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0));
        "the processor is still not initialised": SYS_RD
            => (Rdx: Is(0)) -> Status::SYS_LP_INIT_NOT_DONE, (Rdx: Is(NULL), R8: Is(0));
        "a processor is not initialised": SYS_CONFIG
            => (Rcx: At(In(TdmrArray)), Rdx: Is(1), R8: At(Hkid(0)))
            -> Status::SYS_CONFIG_NOT_PENDING;
        "a processor is not initialised": SYS_UPDATE
            => () -> Status::SYS_STATE_INCORRECT;
        "SYS.CONFIG has still not run": SYS_KEY_CONFIG
            => () -> Status::SYS_KEY_CONFIG_NOT_PENDING;
        "the processor is initialised": SYS_LP_INIT
            => () -> Status::SUCCESS, (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
        "the processor was initialised": SYS_LP_INIT
            => () -> Status::SYS_LP_INIT_DONE, (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
        "there is no module before this one": SYS_UPDATE
            => () -> Status::SYS_INVALID_HANDOFF;
    }

    /// After SYS.LP.INIT, before SYS.CONFIG: asking the module.
    QUERIES ["ABI-H 3.5"] {
        "RCX is not aligned to 1 KiB": SYS_INFO
            => (Rcx: Past(In(SysInfo), 512), Rdx: Is(0), R8: Is(1), R9: Is(0)) -> invalid(Rcx),
            (Rdx: Is(0), R9: Is(0));
        "RCX has a private HKID": SYS_INFO
            => (Rcx: Past(In(SysInfo), KEY), Rdx: Is(1024), R8: At(In(Cmrs)), R9: Is(32))
            -> invalid(Rcx), (Rdx: Is(0), R9: Is(0));
        "RCX is beyond the physical addresses": SYS_INFO
            => (Rcx: Past(In(SysInfo), BEYOND), Rdx: Is(1024), R8: At(In(Cmrs)), R9: Is(32))
            -> invalid(Rcx), (Rdx: Is(0), R9: Is(0));
        "RCX is in the module's memory": SYS_INFO
            => (Rcx: At(Seamrr), Rdx: Is(1024), R8: At(In(Cmrs)), R9: Is(32))
            -> invalid(Rcx), (Rdx: Is(0), R9: Is(0));
        "RDX is too small": SYS_INFO
            => (Rcx: At(In(SysInfo)), Rdx: Is(1023), R8: Is(1), R9: Is(0)) -> invalid(Rdx),
            (Rdx: Is(0), R9: Is(0));
        "R8 is not aligned to 512": SYS_INFO
            => (Rcx: At(In(SysInfo)), Rdx: Is(1024), R8: Past(In(Cmrs), 256), R9: Is(0))
            -> invalid(R8), (Rdx: Is(0), R9: Is(0));
        "R8 has a private HKID": SYS_INFO
            => (Rcx: At(In(SysInfo)), Rdx: Is(1024), R8: Past(In(Cmrs), KEY), R9: Is(32))
            -> invalid(R8), (Rdx: Is(0), R9: Is(0));
        "R9 is too small": SYS_INFO
            => (Rcx: At(In(SysInfo)), Rdx: Is(1024), R8: At(In(Cmrs)), R9: Is(31))
            -> invalid(R9), (Rdx: Is(0), R9: Is(0));
        "both buffers are larger than needed": SYS_INFO
            => (Rcx: At(In(SysInfo)), Rdx: Is(4096), R8: At(In(Cmrs)), R9: Is(33))
            -> Status::SUCCESS, (Rdx: Is(1024), R9: Is(32));

        "the null id asks for the first": SYS_RD
            => (Rdx: Is(NULL)) -> Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT,
            (Rdx: Any, R8: Is(0));
        "the null id is null in every context": SYS_RD
            => (Rdx: Is(NULL - (7 << 52))) -> Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT,
            (Rdx: Any, R8: Is(0));
        "bit 24 of the id is reserved": SYS_RD
            => (Rdx: Is(sys::MAJOR_VERSION.0 | 1 << 24)) -> Status::METADATA_FIELD_ID_INCORRECT,
            (Rdx: Is(NULL), R8: Is(0));
        "bit 47 of the id is reserved": SYS_RD
            => (Rdx: Is(sys::MAJOR_VERSION.0 | 1 << 47)) -> Status::METADATA_FIELD_ID_INCORRECT,
            (Rdx: Is(NULL), R8: Is(0));
        "an id of a list": SYS_RD
            => (Rdx: Is(sys::MAJOR_VERSION.0 | 1 << 38)) -> Status::METADATA_FIELD_ID_INCORRECT,
            (Rdx: Is(NULL), R8: Is(0));
        "there is no such field": SYS_RD
            => (Rdx: Is(sys::VENDOR_ID.0 | 0xFF_FFFF)) -> Status::METADATA_FIELD_ID_INCORRECT,
            (Rdx: Is(NULL), R8: Is(0));
        "the major version is 1, the update version next": SYS_RD
            => (Rdx: Is(sys::MAJOR_VERSION.0)) -> Status::SUCCESS,
            (Rdx: Is(sys::UPDATE_VERSION.0), R8: Is(1));
        "the minor version is 5": SYS_RD
            => (Rdx: Is(sys::MINOR_VERSION.0)) -> Status::SUCCESS,
            (Rdx: Is(sys::MAJOR_VERSION.0), R8: Is(5));
        "element size and context of an id do not count": SYS_RD
            => (Rdx: Is(sys::MINOR_VERSION.0 & !(3 << 32) | 2 << 52)) -> Status::SUCCESS,
            (Rdx: Is(sys::MAJOR_VERSION.0), R8: Is(5));

        "RDX is not aligned to 4 KiB": SYS_RDALL
            => (Rdx: Past(In(List), 2048), R8: Is(NULL)) -> invalid(Rdx), (R8: Is(NULL));
        "RDX has a private HKID": SYS_RDALL
            => (Rdx: Past(In(List), KEY), R8: Is(NULL)) -> invalid(Rdx), (R8: Is(NULL));
        "there is no such field": SYS_RDALL
            => (Rdx: At(In(List)), R8: Is(sys::VENDOR_ID.0 | 0xFF_FFFF))
            -> Status::METADATA_FIELD_ID_INCORRECT, (R8: Is(NULL));
        "it starts in the middle of a field": SYS_RDALL
            => (Rdx: At(In(List)), R8: Is(sys::CPUID_CONFIG_VALUES.0 + 1))
            -> Status::METADATA_FIELD_ID_INCORRECT, (R8: Is(NULL));
        "it starts with another element size": SYS_RDALL
            => (Rdx: At(In(List)), R8: Is(sys::MAJOR_VERSION.0 | 3 << 32))
            -> Status::METADATA_FIELD_ID_INCORRECT, (R8: Is(NULL));
        "all fields fit into a page": SYS_RDALL
            => (Rdx: At(In(List)), R8: Is(NULL)) -> Status::SUCCESS, (R8: Is(NULL));
        "it starts with a field, in any context": SYS_RDALL
            => (Rdx: At(In(List)), R8: Is(sys::MAJOR_VERSION.0 | 1 << 52)) -> Status::SUCCESS,
            (R8: Is(NULL));
    }

    /// The operands of SYS.CONFIG, before the TDMR_INFOs are looked at.
    CONFIG_OPERANDS ["ABI-H 3.5"] {
        "RCX is not aligned to 512": SYS_CONFIG
            => (Rcx: Past(In(TdmrArray), 8), Rdx: Is(0), R8: Is(0)) -> invalid(Rcx);
        "RCX has a private HKID": SYS_CONFIG
            => (Rcx: Past(In(TdmrArray), KEY), Rdx: Is(2), R8: At(Hkid(0))) -> invalid(Rcx);
        "RCX is beyond the physical addresses": SYS_CONFIG
            => (Rcx: Past(In(TdmrArray), BEYOND), Rdx: Is(2), R8: At(Hkid(0))) -> invalid(Rcx);
        "RCX is in the module's memory": SYS_CONFIG
            => (Rcx: At(Seamrr), Rdx: Is(2), R8: At(Hkid(0))) -> invalid(Rcx);
        "no TDMR": SYS_CONFIG
            => (Rcx: At(In(TdmrArray)), Rdx: Is(0), R8: Is(0)) -> invalid(Rdx);
        "65 TDMRs": SYS_CONFIG
            => (Rcx: At(In(TdmrArray)), Rdx: Is(65), R8: Is(0)) -> invalid(Rdx);
        "the HKID is shared": SYS_CONFIG
            => (Rcx: At(In(TdmrArray)), Rdx: Is(2), R8: At(SharedHkid)) -> invalid(R8);
        "the HKID does not exist": SYS_CONFIG
            => (Rcx: At(In(TdmrArray)), Rdx: Is(2), R8: Is(0xFFFF)) -> invalid(R8);
        "R8 bit 16 is reserved": SYS_CONFIG
            => (Rcx: At(In(TdmrArray)), Rdx: Is(2), R8: Past(Hkid(0), 1 << 16)) -> invalid(R8);
        "R8 bit 63 is reserved": SYS_CONFIG
            => (Rcx: At(In(TdmrArray)), Rdx: Is(2), R8: Past(Hkid(0), 1 << 63)) -> invalid(R8);
    }

    /// After SYS.CONFIG.
    CONFIG_DONE ["ABI-H 3.5"] {
        "it has run": SYS_CONFIG
            => () -> Status::SYS_CONFIG_NOT_PENDING;
        "SYS.CONFIG has run": SYS_LP_INIT
            => () -> Status::SYS_LP_INIT_NOT_PENDING, (Rcx: Is(0), Rdx: Is(0), R8: Is(0));
        "SYS.CONFIG has run": SYS_UPDATE
            => () -> Status::SYS_STATE_INCORRECT;
        "the key is not there yet": SYS_TDMR_INIT
            => (Rcx: Is(0)) -> Status::SYS_NOT_READY;
    }

    /// READY, and no TDMR has a PAMT yet.
    READY ["ABI-H 3.5"] {
        "it has run on the only package": SYS_KEY_CONFIG
            => () -> Status::SYS_KEY_CONFIG_NOT_PENDING;
        "it has run": SYS_INIT
            => (Rcx: Is(0)) -> Status::SYS_INIT_NOT_PENDING,
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0));
        "it has run": SYS_CONFIG
            => () -> Status::SYS_CONFIG_NOT_PENDING;
        "the module is READY": SYS_UPDATE
            => () -> Status::SYS_STATE_INCORRECT;
        "the PAMT is not made": MNG_CREATE
            => (Rcx: At(Tdr), Rdx: At(Hkid(1))) -> out_of_range(Rcx);
        "RCX is not aligned to 1 GiB": SYS_TDMR_INIT
            => (Rcx: Is(1 << 29)) -> invalid(Rcx), (Rdx: Is(0));
        "RCX is beyond the physical addresses": SYS_TDMR_INIT
            => (Rcx: Is(BEYOND)) -> invalid(Rcx), (Rdx: Is(0));
        "RCX has an HKID": SYS_TDMR_INIT
            => (Rcx: Is(KEY)) -> invalid(Rcx), (Rdx: Is(0));
        "there is no TDMR at RCX": SYS_TDMR_INIT
            => (Rcx: Is(2 << 30)) -> invalid(Rcx), (Rdx: Is(0));
        "a GiB takes more than one call": SYS_TDMR_INIT
            => (Rcx: Is(1 << 30)) -> Status::SUCCESS, (Rdx: Is(1 << 30));
    }

    /// TDMR 0 is initialised, TDMR 1 in part.
    TDMRS ["ABI-H 3.5"] {
        "all of it is done": SYS_TDMR_INIT
            => (Rcx: Is(0)) -> Status::TDMR_ALREADY_INITIALIZED, (Rdx: Is(0));
        "the page's GiB is not done": PHYMEM_PAGE_RDMD
            => (Rcx: At(Second)) -> out_of_range(Rcx),
            (Rcx: Is(0), Rdx: Is(0), R8: Is(0), R9: Is(0), R10: Is(0), R11: Is(0));
    }
}
