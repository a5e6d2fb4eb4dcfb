//! Fields of a TD that runs, and of a vCPU. [ABI-H 3.9, 4.4, 4.6, 4.7]
//!
//! The TD is that of [`super::params::good`], with seven TDCS pages and two vCPUs.

use abi::Status;
use abi::field::{td, vp};
use conformance::Value::{Any, At, Is, Past};

use super::tables;
use super::{BEYOND, KEY};
use crate::place::Buffer::{Posted, SharedEpt};
use crate::place::Place::{Buffer as In, Hkid, Tdcx, Tdr, Tdvpr};

const V1: u64 = 1 << 16;
const NULL: u64 = u64::MAX;
/// Every bit.
const ALL: u64 = u64::MAX;
/// A field of the VMCS that only a debug TD shows: guest RIP.
const GUEST_RIP: u64 = 0x0024_0003_0000_681E;
/// VMCS encodings, in the detail of TD_VMCS_FIELD_NOT_INITIALIZED.
const NO_VECTOR: Status = Status::TD_VMCS_FIELD_NOT_INITIALIZED.with_detail(2);
const NO_DESCRIPTOR: Status = Status::TD_VMCS_FIELD_NOT_INITIALIZED.with_detail(0x2016);
/// Bits 11:0 and 63:52 of SHARED_EPTP are the TD's own.
const EPTP: u64 = 0x000F_FFFF_FFFF_F000;

tables! {
    /// Of the TD.
    TD ["ABI-H 3.9, 4.6"] {
        "bit 24 of the id is reserved": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::XFAM.0 | 1 << 24))
            -> Status::METADATA_FIELD_ID_INCORRECT, (R8: Is(0));
        "an id of a list": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::MRTD.0 | 1 << 34))
            -> Status::METADATA_FIELD_ID_INCORRECT, (R8: Is(0));
        "there is no such field": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::XFAM.0 | 0xFF_FFFF))
            -> Status::METADATA_FIELD_ID_INCORRECT, (R8: Is(0));
        "version 0 has no null id": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(NULL)) -> Status::METADATA_FIELD_ID_INCORRECT, (R8: Is(0));
        "RTMRs are the TD's": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::RTMR.0)) -> Status::METADATA_FIELD_NOT_READABLE,
            (R8: Is(0));
        "ATTRIBUTES": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::ATTRIBUTES.0)) -> Status::SUCCESS, (R8: Is(1 << 28));
        "XFAM": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::XFAM.0)) -> Status::SUCCESS, (R8: Is(3));
        "element size and context of the id do not count": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::XFAM.0 & !(3 << 32) & !(7 << 52))) -> Status::SUCCESS,
            (R8: Is(3));
        "MAX_VCPUS": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::MAX_VCPUS.0)) -> Status::SUCCESS, (R8: Is(2));
        "GPAW": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::GPAW.0)) -> Status::SUCCESS, (R8: Is(0));
        "EPTP names the TDCS page with the root": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::EPTP.0)) -> Status::SUCCESS, (R8: Past(Tdcx(3), 0x1E));
        "TSC_FREQUENCY": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::TSC_FREQUENCY.0)) -> Status::SUCCESS, (R8: Is(40));
        "CONFIG_FLAGS": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::CONFIG_FLAGS.0)) -> Status::SUCCESS, (R8: Is(4));
        "NUM_TDCX": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::NUM_TDCX.0)) -> Status::SUCCESS, (R8: Is(7));
        "LIFECYCLE_STATE": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::LIFECYCLE_STATE.0)) -> Status::SUCCESS, (R8: Is(1));
        "OP_STATE": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::OP_STATE.0)) -> Status::SUCCESS, (R8: Is(2));
        "FATAL": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::FATAL.0)) -> Status::SUCCESS, (R8: Is(0));
        "HKID": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::HKID.0)) -> Status::SUCCESS, (R8: At(Hkid(1)));
        "NUM_VCPUS": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::NUM_VCPUS.0)) -> Status::SUCCESS, (R8: Is(2));
        "MRCONFIGID": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::MRCONFIGID.0)) -> Status::SUCCESS,
            (R8: Is(0xC1C1_C1C1_C1C1_C1C1));
        "MROWNER, its last element": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::MROWNER.0 + 5)) -> Status::SUCCESS,
            (R8: Is(0xC2C2_C2C2_C2C2_C2C2));
        "MROWNERCONFIG": MNG_RD
            => (Rcx: At(Tdr), Rdx: Is(td::MROWNERCONFIG.0)) -> Status::SUCCESS,
            (R8: Is(0xC3C3_C3C3_C3C3_C3C3));
        "version 1 answers the null id": MNG_RD + V1
            => (Rcx: At(Tdr), Rdx: Is(NULL)) -> Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT,
            (Rdx: Is(td::FATAL.0), R8: Is(0));
        "version 1 names the next field": MNG_RD + V1
            => (Rcx: At(Tdr), Rdx: Is(td::ATTRIBUTES.0)) -> Status::SUCCESS,
            (Rdx: Is(td::XFAM.0), R8: Is(1 << 28));
        "version 1 names no next field after an error": MNG_RD + V1
            => (Rcx: At(Tdr), Rdx: Is(td::XFAM.0 | 0xFF_FFFF))
            -> Status::METADATA_FIELD_ID_INCORRECT, (Rdx: Is(NULL), R8: Is(0));

        "bit 24 of the id is reserved": MNG_WR
            => (Rcx: At(Tdr), Rdx: Is(td::HP_LOCK_TIMEOUT.0 | 1 << 24), R8: Is(20_000), R9: Is(ALL))
            -> Status::METADATA_FIELD_ID_INCORRECT, (R8: Is(0));
        "there is no such field": MNG_WR
            => (Rcx: At(Tdr), Rdx: Is(td::XFAM.0 | 0xFF_FFFF), R8: Is(0), R9: Is(ALL))
            -> Status::METADATA_FIELD_ID_INCORRECT, (R8: Is(0));
        "ATTRIBUTES are fixed": MNG_WR
            => (Rcx: At(Tdr), Rdx: Is(td::ATTRIBUTES.0), R8: Is(1), R9: Is(ALL))
            -> Status::METADATA_FIELD_NOT_WRITABLE, (R8: Is(0));
        "a mask of no bit": MNG_WR
            => (Rcx: At(Tdr), Rdx: Is(td::HP_LOCK_TIMEOUT.0), R8: Is(20_000), R9: Is(0))
            -> Status::METADATA_FIELD_NOT_WRITABLE, (R8: Is(0));
        "a part of HP_LOCK_TIMEOUT": MNG_WR
            => (Rcx: At(Tdr), Rdx: Is(td::HP_LOCK_TIMEOUT.0), R8: Is(20_000), R9: Is(ALL >> 1))
            -> Status::METADATA_WR_MASK_NOT_VALID, (R8: Is(0));
        "HP_LOCK_TIMEOUT below 10 ms": MNG_WR
            => (Rcx: At(Tdr), Rdx: Is(td::HP_LOCK_TIMEOUT.0), R8: Is(9_999), R9: Is(ALL))
            -> Status::METADATA_FIELD_VALUE_NOT_VALID, (R8: Is(0));
        "HP_LOCK_TIMEOUT above 100 s": MNG_WR
            => (Rcx: At(Tdr), Rdx: Is(td::HP_LOCK_TIMEOUT.0), R8: Is(100_000_001), R9: Is(ALL))
            -> Status::METADATA_FIELD_VALUE_NOT_VALID, (R8: Is(0));
    }

    /// Of a vCPU that did not run yet.
    VCPU ["ABI-H 3.9, 4.7"] {
        "bit 24 of the id is reserved": VP_RD
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::VCPU_INDEX.0 | 1 << 24))
            -> Status::METADATA_FIELD_ID_INCORRECT, (R8: Is(0));
        "there is no such field": VP_RD
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::VCPU_INDEX.0 | 0xFF_FFFF))
            -> Status::METADATA_FIELD_ID_INCORRECT, (R8: Is(0));
        "version 0 has no null id": VP_RD
            => (Rcx: At(Tdvpr(0)), Rdx: Is(NULL)) -> Status::METADATA_FIELD_ID_INCORRECT,
            (R8: Is(0));
        "RIP is the TD's": VP_RD
            => (Rcx: At(Tdvpr(0)), Rdx: Is(GUEST_RIP)) -> Status::METADATA_FIELD_NOT_READABLE,
            (R8: Is(0));
        "VCPU_INDEX of the second vCPU": VP_RD
            => (Rcx: At(Tdvpr(1)), Rdx: Is(vp::VCPU_INDEX.0)) -> Status::SUCCESS, (R8: Is(1));
        "VCPU_STATE_DETAILS: no interrupt": VP_RD
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::VCPU_STATE_DETAILS.0)) -> Status::SUCCESS,
            (R8: Is(0));
        "version 1 answers the null id": VP_RD + V1
            => (Rcx: At(Tdvpr(0)), Rdx: Is(NULL)) -> Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT,
            (Rdx: Any, R8: Is(0));
        "version 1 names no next field after an error": VP_RD + V1
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::VCPU_INDEX.0 | 0xFF_FFFF))
            -> Status::METADATA_FIELD_ID_INCORRECT, (Rdx: Is(NULL), R8: Is(0));

        "bit 24 of the id is reserved": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::SHARED_EPTP.0 | 1 << 24), R8: Is(0), R9: Is(EPTP))
            -> Status::METADATA_FIELD_ID_INCORRECT, (R8: Is(0));
        "there is no such field": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::VCPU_INDEX.0 | 0xFF_FFFF), R8: Is(0), R9: Is(ALL))
            -> Status::METADATA_FIELD_ID_INCORRECT, (R8: Is(0));
        "VCPU_INDEX is fixed": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::VCPU_INDEX.0), R8: Is(1), R9: Is(ALL))
            -> Status::METADATA_FIELD_NOT_WRITABLE, (R8: Is(0));
        "a pin-based control that is the module's": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::PIN_BASED_CONTROLS.0), R8: Is(1), R9: Is(1))
            -> Status::METADATA_FIELD_NOT_WRITABLE, (R8: Is(0));
        "posted interrupts without a vector": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::PIN_BASED_CONTROLS.0), R8: Is(0x80), R9: Is(0x80))
            -> NO_VECTOR, (R8: Is(0));
        "a vector above 255": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::POSTED_INTR_NV.0), R8: Is(256), R9: Is(0xFFFF))
            -> Status::METADATA_FIELD_VALUE_NOT_VALID, (R8: Is(0));
        "a vector": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::POSTED_INTR_NV.0), R8: Is(0x52), R9: Is(0xFFFF))
            -> Status::SUCCESS, (R8: Any);
        "posted interrupts without a descriptor": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::PIN_BASED_CONTROLS.0), R8: Is(0x80), R9: Is(0x80))
            -> NO_DESCRIPTOR, (R8: Is(0));
        "a descriptor with a private HKID": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::POSTED_INTR_DESC.0), R8: Past(In(Posted), KEY),
                R9: Is(ALL))
            -> Status::METADATA_FIELD_VALUE_NOT_VALID, (R8: Is(0));
        "a descriptor beyond the physical addresses": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::POSTED_INTR_DESC.0), R8: Past(In(Posted), BEYOND),
                R9: Is(ALL))
            -> Status::METADATA_FIELD_VALUE_NOT_VALID, (R8: Is(0));
        "a descriptor": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::POSTED_INTR_DESC.0), R8: At(In(Posted)),
                R9: Is(!0x3F))
            -> Status::SUCCESS, (R8: Any);
        "posted interrupts": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::PIN_BASED_CONTROLS.0), R8: Is(0x80), R9: Is(0x80))
            -> Status::SUCCESS, (R8: Any);
        "a shared EPT with a private HKID": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::SHARED_EPTP.0), R8: Past(In(SharedEpt(0)), KEY),
                R9: Is(EPTP))
            -> Status::METADATA_FIELD_VALUE_NOT_VALID, (R8: Is(0));
        "an NMI": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::PEND_NMI.0), R8: Is(1), R9: Is(1))
            -> Status::SUCCESS, (R8: Is(0));
        "no NMI after all": VP_WR
            => (Rcx: At(Tdvpr(0)), Rdx: Is(vp::PEND_NMI.0), R8: Is(0), R9: Is(1))
            -> Status::SUCCESS, (R8: Is(1));
    }
}
