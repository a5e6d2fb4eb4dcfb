//! TD exits of guest leaves.

use super::Exit;

/// TD exits of guest leaves other than what TDG.VP.VMCALL is for. [ABI-G 2.0, 2.13, 11, 16]
pub const EXITS: &[Exit] = &[
    Exit {
        leaves: "all with an operand in private memory",
        exit: "EPT violation",
        when: "the page is missing",
        then: "the VMM adds the page and the call starts again",
        seen: Ok("every_guest_leaf_answers_as_documented"),
    },
    Exit {
        leaves: "all with an operand in private memory",
        exit: "EPT violation, extended type 6",
        when: "the page is pending and PENDING_VE_DISABLE is 1",
        then: "the VMM ends the TD",
        seen: Ok("an_operand_in_a_pending_page_leaves_the_td"),
    },
    Exit {
        leaves: "TDG.MR.REPORT",
        exit: "EPT violation",
        when: "an operand in shared memory that the VMM has not backed",
        then: "the VMM backs it and the call starts again",
        seen: Ok("every_guest_leaf_answers_as_documented"),
    },
    Exit {
        leaves: "TDG.MEM.PAGE.ACCEPT",
        exit: "EPT violation, extended type 1",
        when: "the page is missing",
        then: "the VMM adds the page, in the size that was asked for if it can",
        seen: Ok("every_guest_leaf_answers_so_over_large_pages"),
    },
    Exit {
        leaves: "TDG.MEM.PAGE.ATTR.WR",
        exit: "EPT violation, extended type 5",
        when: "the page is larger than the level says",
        then: "the VMM, which can not split pages, gives up",
        seen: Ok("attributes_of_a_piece_of_a_larger_page_leave_the_td"),
    },
    Exit {
        leaves: "TDG.SERVTD.RD, .WR",
        exit: "CROSS_TD_TRAP",
        when: "a fault of the target TD or of the binding",
        then: "the VMM ends the TD, unless it is configured to go on: then RAX has the fault",
        seen: Ok("a_fault_of_a_target_td_leaves_the_td"),
    },
    Exit {
        leaves: "TDG.MR.REPORT",
        exit: "NON_RECOVERABLE_TD_CORRUPTED_MD",
        when: "the CPU finds the TDR corrupted",
        then: "the TD is dead",
        seen: Err("nobody can write a TDR"),
    },
    Exit {
        leaves: "all that take a lock",
        exit: "HOST_PRIORITY_BUSY_TIMEOUT",
        when: "the VMM holds a lock for longer than HP_LOCK_TIMEOUT",
        then: "the VMM ends the TD",
        seen: Ok("a_lock_that_the_host_keeps_leaves_the_td"),
    },
];
