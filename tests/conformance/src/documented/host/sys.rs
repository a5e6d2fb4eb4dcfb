//! TDH.SYS.* until the module is READY. [ABI-H 3.5]

use abi::leaf::tdh;
use abi::{Operand, Status};

use super::{
    DONE, Documented, EARLY, Leaf, PLATFORM, READY, Side, busy, concat, invalid, leaf, never, to,
    total,
};

const SYS_BUSY: Documented = to(Status::SYS_BUSY, "another processor is in such a leaf");
const NO_ENTROPY: Documented =
    to(Status::RND_NO_ENTROPY, "the random number generator has nothing");
const NOT_INITIALISED: Documented =
    to(Status::SYS_LP_INIT_NOT_DONE, "SYS.LP.INIT has not run on this processor");
const SEAM: Documented =
    never(Status::INCOMPATIBLE_SEAM_CAPABILITIES, "the processor's SEAM lacks something", PLATFORM);
const KEY: &[Documented] = &[
    never(
        Status::KEY_CONFIGURED,
        "the package has the key already",
        "one package: the state has changed by then",
    ),
    busy(Operand::Ket, "the key table is in use"),
    to(Status::KEY_GENERATION_FAILED, "the processor could not make a random key"),
];
/// SYS.INIT's look at the platform.
const CHECKS: &[Documented] = &[
    never(Status::LIMIT_CPUID_MAXVAL_SET, "CPUID is cut", PLATFORM),
    never(Status::INCORRECT_CPUID_VALUE, "CPUID is not as it must be", PLATFORM),
    never(Status::CPUID_LEAF_NOT_SUPPORTED, "CPUID lacks a leaf", PLATFORM),
    never(Status::CPUID_LEAF_1F_FORMAT_UNRECOGNIZED, "the topology is not understood", PLATFORM),
    never(Status::INCORRECT_MSR_VALUE, "an MSR is not as it must be (detail: its index)", PLATFORM),
    never(Status::SMRR_NOT_SUPPORTED, "there is no SMRR", PLATFORM),
    never(Status::SMRR_LOCK_NOT_SUPPORTED, "SMRR can not be locked", PLATFORM),
    never(Status::SMRR_NOT_LOCKED, "SMRR is not locked", PLATFORM),
    never(Status::INVALID_SMRR_CONFIGURATION, "SMRR is not valid", PLATFORM),
    never(Status::SMRR_OVERLAPS_CMR, "SMRR overlaps memory for TDs", PLATFORM),
    never(Status::CMR_LIST_INVALID, "the firmware's list of memory is wrong", PLATFORM),
    never(Status::NUM_ACTIVATED_HKIDS_NOT_SUPPORTED, "there are too many HKIDs", PLATFORM),
    never(Status::SYS_INCOMPATIBLE_SIGSTRUCT, "the module is not signed for this", PLATFORM),
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
            to(Status::SYS_INIT_NOT_PENDING, "it has run")
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
            to(Status::SYS_LP_INIT_NOT_PENDING, "SYS.INIT has not run, or SYS.CONFIG has"),
            to(Status::SYS_LP_INIT_DONE, "it has run on this processor"),
            NO_ENTROPY,
            SEAM,
            never(Status::INCONSISTENT_MSR, "an MSR differs (detail: its index)", PLATFORM),
            never(Status::INCONSISTENT_CPUID_FIELD, "CPUID differs", PLATFORM),
            never(Status::INVALID_PKG_ID, "there are too many packages", PLATFORM),
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
            to(Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT, "the null id: RDX is the first field"),
            to(Status::METADATA_FIELD_ID_INCORRECT, "there is no such field"),
            never(
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
            to(Status::METADATA_FIELD_ID_INCORRECT, "no field starts at R8"),
            never(
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
        &[SYS_BUSY, to(Status::SYS_KEY_CONFIG_NOT_PENDING, "SYS.CONFIG has not run, or this has")],
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
            to(Status::TDMR_ALREADY_INITIALIZED, "all of the TDMR is initialised"),
            DONE
        ],
    ),
];
