//! TDH.VP.*. [ABI-H 3.6, 3.9, 5]

use abi::leaf::tdh;
use abi::{Operand, Status};

use super::{
    DONE, Documented, Leaf, NESTED, READY, STATE, STATE_OF_VCPU, Side, busy, concat, leaf, page,
    total,
};

const PAGES: Documented =
    Documented::seen(Status::TDCX_NUM_INCORRECT, "the vCPU has less than six pages");
const VCPU: Documented =
    Documented::seen(Status::VCPU_STATE_INCORRECT, "the vCPU is in another state");
const ELSEWHERE: Documented = Documented::unseen(
    Status::VCPU_ASSOCIATED,
    "the vCPU is on another processor",
    "one logical processor",
);
const TSC_ADJUST: Documented = Documented::unseen(
    Status::INCONSISTENT_MSR.with_detail(0x3B),
    "IA32_TSC_ADJUST has changed since SYS.INIT",
    "QEMU's IA32_TSC_ADJUST reads 0, whatever was written",
);
const NO_OP_STATE: Documented = Documented::unseen(
    Status::OP_STATE_INCORRECT,
    "the leaf does not work in the TD's op_state",
    "it works in every op_state of a TD that has a vCPU",
);
const FIELDS: &[Documented] =
    &[Documented::seen(Status::METADATA_FIELD_ID_INCORRECT, "there is no such field")];

/// How VP.ENTER comes back from the TD: class and exit reason. [ABI-H 5.7, 5.8]
const EXITS: &[Documented] = &[
    exit(77, "TDG.VP.VMCALL"),
    exit(1, "an external interrupt"),
    exit(48, "an EPT violation, or the defence against zero-stepping"),
    exit(49, "a misconfigured entry of the shared EPT"),
    Documented::seen(Status::NON_RECOVERABLE_VCPU.with_detail(2), "a triple fault"),
    Documented::seen(
        Status::NON_RECOVERABLE_TD.with_detail(1 << 31 | 33),
        "a state that no CPU can be in",
    ),
    Documented::unseen(Status(0), "an NMI", "an NMI reaches the VMM before VP.ENTER can take it"),
    Documented::unseen(Status(3), "an INIT", "an INIT of the only processor resets QEMU's machine"),
    Documented::unseen(Status(6), "an SMI", "nothing makes one"),
    Documented::unseen(
        Status(9),
        "a task switch",
        "QEMU's TCG switches tasks without a look at the intercept",
    ),
    Documented::unseen(Status(74), "a bus lock", "QEMU's processor does not detect them"),
    Documented::unseen(Status(75), "a notification", "QEMU's processor has no notification window"),
    Documented::unseen(
        Status::NON_RECOVERABLE_TD_NON_ACCESSIBLE.with_detail(0),
        "a machine check",
        "nothing makes one in a TD",
    ),
    Documented::unseen(
        Status::NON_RECOVERABLE_TD_WRONG_APIC_MODE,
        "the defence against stepping can not interrupt itself",
        "that part of the defence is left out",
    ),
    Documented::unseen(
        Status::NON_RECOVERABLE_TD_CORRUPTED_MD,
        "the module finds its own data changed",
        "there is no memory integrity to lose",
    ),
    Documented::unseen(
        Status::CROSS_TD_FAULT,
        "a service TD found its TD gone",
        "service TDs are left out",
    ),
    Documented::unseen(
        Status::CROSS_TD_TRAP,
        "as above, after the call",
        "comes of a TD's call: see TDG.SERVTD.RD",
    ),
    Documented::unseen(
        Status::HOST_PRIORITY_BUSY_TIMEOUT,
        "the guest kept losing a lock to the host",
        "comes of a TD's call: see the guest leaves that can be busy",
    ),
    Documented::unseen(
        Status::TD_EXIT_BEFORE_L2_ENTRY,
        "a nested VM is about to be entered",
        NESTED,
    ),
    Documented::unseen(Status::TD_EXIT_ON_L2_VM_EXIT, "a nested VM exited", NESTED),
    Documented::unseen(Status::TD_EXIT_ON_L2_TO_L1, "a nested VM exited to its VMM", NESTED),
];

const fn exit(reason: u64, when: &'static str) -> Documented {
    Documented::seen(Status(reason), when)
}

pub(super) const LEAVES: &[Leaf] = &[
    leaf!(
        tdh::VP_ENTER,
        "TDH.VP.ENTER",
        "ABI-H 5",
        READY,
        &[Documented::seen(Status::LIMIT_CPUID_MAXVAL_SET, "IA32_MISC_ENABLE cuts CPUID")],
        &page(Operand::Rcx),
        STATE_OF_VCPU,
        &[
            STATE[4],
            PAGES,
            VCPU,
            ELSEWHERE,
            TSC_ADJUST,
            Documented::unseen(
                Status::TSC_ROLLBACK,
                "the TSC is behind the last exit's",
                "QEMU ignores what is written to the TSC"
            ),
            Documented::seen(
                Status::INCORRECT_MSR_VALUE.with_detail(0x1A0),
                "the TD has MONITOR and IA32_MISC_ENABLE has it off"
            ),
            busy(Operand::TdEpoch, "a TRACK runs"),
            busy(Operand::SeptTree, "the SEPT is locked")
        ],
        EXITS,
    ),
    leaf!(
        tdh::VP_CREATE,
        "TDH.VP.CREATE",
        "ABI-H 3.6",
        READY,
        &page(Operand::Rdx),
        STATE,
        &page(Operand::Rcx),
        &[DONE],
    ),
    leaf!(
        tdh::VP_ADDCX,
        "TDH.VP.ADDCX",
        "ABI-H 3.6",
        READY,
        &page(Operand::Rdx),
        STATE_OF_VCPU,
        &[
            STATE[4],
            VCPU,
            Documented::seen(Status::TDCX_NUM_INCORRECT, "the vCPU has fifteen pages")
        ],
        &page(Operand::Rcx),
        &[DONE],
    ),
    leaf!(
        tdh::VP_INIT,
        "TDH.VP.INIT",
        "ABI-H 3.6",
        READY,
        &page(Operand::Rcx),
        STATE_OF_VCPU,
        &[
            STATE[4],
            PAGES,
            VCPU,
            Documented::seen(Status::MAX_VCPUS_EXCEEDED, "the TD has as many vCPUs as it may"),
            TSC_ADJUST,
            DONE
        ],
    ),
    leaf!(
        tdh::VP_FLUSH,
        "TDH.VP.FLUSH",
        "ABI-H 3.9",
        READY,
        &page(Operand::Rcx),
        &[
            STATE_OF_VCPU[0],
            STATE[1],
            PAGES,
            Documented::seen(Status::VCPU_NOT_ASSOCIATED, "the vCPU is not on this processor"),
            DONE
        ],
    ),
    leaf!(
        tdh::VP_RD,
        "TDH.VP.RD",
        "ABI-H 3.9, 4.4",
        READY,
        &page(Operand::Rcx),
        STATE_OF_VCPU,
        &[
            NO_OP_STATE,
            PAGES,
            VCPU,
            ELSEWHERE,
            Documented::seen(
                Status::METADATA_FIRST_FIELD_ID_IN_CONTEXT,
                "version 1: RDX is the first field"
            )
        ],
        FIELDS,
        &[
            Documented::seen(
                Status::METADATA_FIELD_NOT_READABLE,
                "the host may not read the field"
            ),
            DONE
        ],
    ),
    leaf!(
        tdh::VP_WR,
        "TDH.VP.WR",
        "ABI-H 3.9, 4.7",
        READY,
        &page(Operand::Rcx),
        STATE_OF_VCPU,
        &[NO_OP_STATE, PAGES, VCPU, ELSEWHERE],
        FIELDS,
        &[
            Documented::seen(
                Status::METADATA_FIELD_NOT_WRITABLE,
                "the host may not write the field"
            ),
            Documented::seen(
                Status::METADATA_FIELD_VALUE_NOT_VALID,
                "the field does not take the value"
            ),
            Documented::seen(
                Status::TD_VMCS_FIELD_NOT_INITIALIZED.with_detail(0x2),
                "posted interrupts without a vector"
            ),
            Documented::seen(
                Status::TD_VMCS_FIELD_NOT_INITIALIZED.with_detail(0x2016),
                "posted interrupts without a descriptor"
            ),
            DONE
        ],
    ),
];
