//! TDH.MNG.*. [ABI-H 3.6, 3.9]

use abi::leaf::tdh;
use abi::{Operand, Status};

use super::{
    DONE, Documented, Leaf, PLATFORM, READY, STATE, STATE_ALONE, Side, busy, concat, invalid, leaf,
    page, total,
};

const KOT: Documented = busy(Operand::Kot, "the key ownership table is locked");
const NO_ENTROPY: Documented =
    Documented::seen(Status::RND_NO_ENTROPY, "the random number generator has nothing");
const LIFECYCLE: Documented =
    Documented::seen(Status::LIFECYCLE_STATE_INCORRECT, "the TD is in another lifecycle state");
const FIELD: Documented =
    Documented::seen(Status::METADATA_FIELD_ID_INCORRECT, "there is no such field");

/// TD_PARAMS.
const PARAMS: &[Documented] = &[
    invalid(Operand::Rdx, "TD_PARAMS are not aligned or not shared, or a reserved byte is not 0"),
    invalid(Operand::Attributes, "ATTRIBUTES"),
    invalid(Operand::Xfam, "XFAM"),
    invalid(Operand::MaxVcpus, "MAX_VCPUS is 0"),
    invalid(Operand::NumL2Vms, "NUM_L2_VMS"),
    invalid(Operand::ConfigFlags, "CONFIG_FLAGS"),
    invalid(Operand::EptpControls, "EPTP_CONTROLS"),
    invalid(Operand::TscFrequency, "TSC_FREQUENCY"),
    Documented::unseen(
        Status::INCONSISTENT_MSR.with_detail(0x3B),
        "IA32_TSC_ADJUST has changed since SYS.INIT",
        "QEMU's IA32_TSC_ADJUST reads 0, whatever was written",
    ),
    invalid(Operand::CpuidConfig, "CPUID_CONFIG"),
    Documented::unseen(
        Status::INCORRECT_MSR_VALUE.with_detail(0x10A),
        "TSX without TSX_CTRL in IA32_ARCH_CAPABILITIES",
        PLATFORM,
    ),
    invalid(Operand::ArchCapabilitiesConfig, "IA32_ARCH_CAPABILITIES_CONFIG"),
];

pub(super) const LEAVES: &[Leaf] = &[
    leaf!(
        tdh::MNG_CREATE,
        "TDH.MNG.CREATE",
        "ABI-H 3.6",
        READY,
        &[invalid(Operand::Rdx, "a reserved bit, or the HKID is not a private one")],
        &page(Operand::Rcx),
        &[KOT, Documented::seen(Status::HKID_NOT_FREE, "the HKID is in use"), NO_ENTROPY, DONE],
    ),
    leaf!(
        tdh::MNG_KEY_CONFIG,
        "TDH.MNG.KEY.CONFIG",
        "ABI-H 3.6",
        READY,
        &page(Operand::Rcx),
        &[
            STATE[0],
            LIFECYCLE,
            Documented::unseen(
                Status::KEY_CONFIGURED,
                "the package has the key already",
                "one package: the TD's state has changed by then"
            ),
            busy(Operand::Ket, "the key table is in use"),
            Documented::seen(
                Status::KEY_GENERATION_FAILED,
                "the processor could not make a random key"
            ),
            DONE
        ],
    ),
    leaf!(
        tdh::MNG_ADDCX,
        "TDH.MNG.ADDCX",
        "ABI-H 3.6",
        READY,
        &page(Operand::Rdx),
        &[
            STATE[0],
            STATE[1],
            Documented::seen(Status::TDCX_NUM_INCORRECT, "the TD has nine TDCS pages")
        ],
        &page(Operand::Rcx),
        &[NO_ENTROPY, STATE[4], DONE],
    ),
    leaf!(
        tdh::MNG_INIT,
        "TDH.MNG.INIT",
        "ABI-H 3.6, 4.1",
        READY,
        &[Documented::seen(Status::LIMIT_CPUID_MAXVAL_SET, "IA32_MISC_ENABLE cuts CPUID")],
        &page(Operand::Rcx),
        STATE_ALONE,
        PARAMS,
        &[DONE],
    ),
    leaf!(
        tdh::MNG_RD,
        "TDH.MNG.RD",
        "ABI-H 3.9, 4.4",
        READY,
        &page(Operand::Rcx),
        STATE,
        &[
            Documented::seen(
                Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT,
                "version 1: RDX is the first field"
            ),
            FIELD,
            Documented::seen(
                Status::METADATA_FIELD_NOT_READABLE,
                "the host may not read the field"
            ),
            DONE
        ],
    ),
    leaf!(
        tdh::MNG_WR,
        "TDH.MNG.WR",
        "ABI-H 3.9, 4.4",
        READY,
        &page(Operand::Rcx),
        STATE,
        &[
            FIELD,
            Documented::seen(
                Status::METADATA_FIELD_NOT_WRITABLE,
                "the host may not write the field"
            ),
            Documented::seen(
                Status::METADATA_WR_MASK_NOT_VALID,
                "the field is written as a whole only"
            ),
            Documented::seen(
                Status::METADATA_FIELD_VALUE_NOT_VALID,
                "the field does not take the value"
            ),
            busy(Operand::MetadataField, "the field changed meanwhile"),
            DONE
        ],
    ),
    leaf!(
        tdh::MNG_VPFLUSHDONE,
        "TDH.MNG.VPFLUSHDONE",
        "ABI-H 3.9",
        READY,
        &page(Operand::Rcx),
        &[
            KOT,
            LIFECYCLE,
            Documented::seen(Status::FLUSHVP_NOT_DONE, "a vCPU is on a processor"),
            DONE
        ],
    ),
    leaf!(
        tdh::MNG_KEY_FREEID,
        "TDH.MNG.KEY.FREEID",
        "ABI-H 3.9",
        READY,
        &page(Operand::Rcx),
        &[
            LIFECYCLE,
            KOT,
            Documented::seen(Status::WBCACHE_NOT_COMPLETE, "the caches are not written back"),
            DONE
        ],
    ),
    leaf!(tdh::MNG_KEY_RECLAIMID, "TDH.MNG.KEY.RECLAIMID", "ABI-H 3.9", READY, &[DONE]),
];
