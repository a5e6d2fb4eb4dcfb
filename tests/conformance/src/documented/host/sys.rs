//! TDH.SYS.* until the module is READY. [ABI-H 3.5]

use abi::leaf::tdh;
use abi::{Operand, Status};

use super::{
    DONE, Documented, EARLY, Leaf, PLATFORM, READY, Side, busy, concat, invalid, leaf, total,
};

const SYS_BUSY: Documented =
    Documented::seen(Status::SYS_BUSY, "another processor is in such a leaf");
const NO_ENTROPY: Documented =
    Documented::seen(Status::RND_NO_ENTROPY, "the random number generator has nothing");
const NOT_INITIALISED: Documented =
    Documented::seen(Status::SYS_LP_INIT_NOT_DONE, "SYS.LP.INIT has not run on this processor");
const SEAM: Documented = Documented::unseen(
    Status::INCOMPATIBLE_SEAM_CAPABILITIES,
    "the processor's SEAM lacks something",
    PLATFORM,
);
const KEY: &[Documented] = &[
    Documented::unseen(
        Status::KEY_CONFIGURED,
        "the package has the key already",
        "one package: the state has changed by then",
    ),
    busy(Operand::Ket, "the key table is in use"),
    Documented::seen(Status::KEY_GENERATION_FAILED, "the processor could not make a random key"),
];
/// SYS.INIT's look at the platform.
const CHECKS: &[Documented] = &[
    Documented::unseen(Status::LIMIT_CPUID_MAXVAL_SET, "CPUID is cut", PLATFORM),
    Documented::unseen(Status::INCORRECT_CPUID_VALUE, "CPUID is not as it must be", PLATFORM),
    Documented::unseen(Status::CPUID_LEAF_NOT_SUPPORTED, "CPUID lacks a leaf", PLATFORM),
    Documented::unseen(
        Status::CPUID_LEAF_1F_FORMAT_UNRECOGNIZED,
        "the topology is not understood",
        PLATFORM,
    ),
    Documented::unseen(
        Status::INCORRECT_MSR_VALUE,
        "an MSR is not as it must be (detail: its index)",
        PLATFORM,
    ),
    Documented::unseen(Status::SMRR_NOT_SUPPORTED, "there is no SMRR", PLATFORM),
    Documented::unseen(Status::SMRR_LOCK_NOT_SUPPORTED, "SMRR can not be locked", PLATFORM),
    Documented::unseen(Status::SMRR_NOT_LOCKED, "SMRR is not locked", PLATFORM),
    Documented::unseen(Status::INVALID_SMRR_CONFIGURATION, "SMRR is not valid", PLATFORM),
    Documented::unseen(Status::SMRR_OVERLAPS_CMR, "SMRR overlaps memory for TDs", PLATFORM),
    Documented::unseen(
        Status::CMR_LIST_INVALID,
        "the firmware's list of memory is wrong",
        PLATFORM,
    ),
    Documented::unseen(
        Status::NUM_ACTIVATED_HKIDS_NOT_SUPPORTED,
        "there are too many HKIDs",
        PLATFORM,
    ),
    Documented::unseen(
        Status::SYS_INCOMPATIBLE_SIGSTRUCT,
        "the module is not signed for this",
        PLATFORM,
    ),
];

pub(super) const LEAVES: &[Leaf] = &[
    leaf!(
        tdh::SYS_INIT,
        "TDH.SYS.INIT",
        "ABI-H 3.5",
        EARLY,
        &[
            SYS_BUSY,
            invalid(Operand::Rcx, "RCX is not 0"),
            Documented::seen(Status::SYS_INIT_NOT_PENDING, "it has run")
        ],
        CHECKS,
        &[SEAM, NO_ENTROPY, DONE],
    ),
    leaf!(
        tdh::SYS_LP_INIT,
        "TDH.SYS.LP.INIT",
        "ABI-H 3.5",
        EARLY,
        &[
            SYS_BUSY,
            Documented::seen(
                Status::SYS_LP_INIT_NOT_PENDING,
                "SYS.INIT has not run, or SYS.CONFIG has"
            ),
            Documented::seen(Status::SYS_LP_INIT_DONE, "it has run on this processor"),
            NO_ENTROPY,
            SEAM,
            Documented::unseen(
                Status::INCONSISTENT_MSR,
                "an MSR differs (detail: its index)",
                PLATFORM
            ),
            Documented::unseen(Status::INCONSISTENT_CPUID_FIELD, "CPUID differs", PLATFORM),
            Documented::unseen(Status::INVALID_PKG_ID, "there are too many packages", PLATFORM),
            DONE
        ],
    ),
    leaf!(
        tdh::SYS_INFO,
        "TDH.SYS.INFO",
        "ABI-H 3.5",
        EARLY,
        &[
            NOT_INITIALISED,
            invalid(Operand::Rcx, "the buffer is not aligned to 1 KiB or not shared memory"),
            invalid(Operand::Rdx, "the buffer is too small"),
            invalid(Operand::R8, "the CMR buffer is not aligned to 512 or not shared memory"),
            invalid(Operand::R9, "the CMR buffer is too small"),
            DONE
        ],
    ),
    leaf!(
        tdh::SYS_RD,
        "TDH.SYS.RD",
        "ABI-H 3.5, 4.4",
        EARLY,
        &[
            NOT_INITIALISED,
            Documented::seen(
                Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT,
                "the null id: RDX is the first field"
            ),
            Documented::seen(Status::METADATA_FIELD_ID_INCORRECT, "there is no such field"),
            Documented::unseen(
                Status::METADATA_FIELD_NOT_READABLE,
                "the host may not read the field",
                "the host may read every global field"
            ),
            DONE
        ],
    ),
    leaf!(
        tdh::SYS_RDALL,
        "TDH.SYS.RDALL",
        "ABI-H 3.5, 4.4",
        EARLY,
        &[
            NOT_INITIALISED,
            invalid(Operand::Rdx, "the list is not a page of shared memory"),
            Documented::seen(Status::METADATA_FIELD_ID_INCORRECT, "no field starts at R8"),
            Documented::unseen(
                Status::METADATA_LIST_OVERFLOW,
                "the page is full before the last field",
                "all global fields fit into a page"
            ),
            DONE
        ],
    ),
    leaf!(
        tdh::SYS_KEY_CONFIG,
        "TDH.SYS.KEY.CONFIG",
        "ABI-H 3.5",
        EARLY,
        &[
            SYS_BUSY,
            Documented::seen(
                Status::SYS_KEY_CONFIG_NOT_PENDING,
                "SYS.CONFIG has not run, or this has"
            )
        ],
        KEY,
        &[DONE],
    ),
    leaf!(
        tdh::SYS_TDMR_INIT,
        "TDH.SYS.TDMR.INIT",
        "ABI-H 3.5",
        READY,
        &[
            invalid(Operand::Rcx, "there is no TDMR at RCX"),
            busy(Operand::Rcx, "another processor initialises the TDMR"),
            Documented::seen(Status::TDMR_ALREADY_INITIALIZED, "all of the TDMR is initialised"),
            DONE
        ],
    ),
];
