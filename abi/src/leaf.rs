//! Leaf numbers: RAX bits 15:0 of TDCALL and SEAMCALL.

/// Guest leaves (TDCALL). [ABI-G 1]
pub mod tdg {
    #![expect(missing_docs, reason = "the constant is the leaf's name in the specification")]
    pub const VP_VMCALL: u64 = 0;
    pub const VP_INFO: u64 = 1;
    pub const MR_RTMR_EXTEND: u64 = 2;
    pub const VP_VEINFO_GET: u64 = 3;
    pub const MR_REPORT: u64 = 4;
    pub const VP_CPUIDVE_SET: u64 = 5;
    pub const MEM_PAGE_ACCEPT: u64 = 6;
    pub const VM_RD: u64 = 7;
    pub const VM_WR: u64 = 8;
    pub const VP_RD: u64 = 9;
    pub const VP_WR: u64 = 10;
    pub const SYS_RD: u64 = 11;
    pub const SYS_RDALL: u64 = 12;
    pub const SERVTD_RD: u64 = 18;
    pub const SERVTD_WR: u64 = 20;
    pub const MR_VERIFYREPORT: u64 = 22;
    pub const MEM_PAGE_ATTR_RD: u64 = 23;
    pub const MEM_PAGE_ATTR_WR: u64 = 24;
    pub const VP_ENTER: u64 = 25;
    pub const VP_INVEPT: u64 = 26;
    pub const VP_INVVPID: u64 = 27;
}

/// Host leaves (SEAMCALL). [ABI-H 3.1]
pub mod tdh {
    #![expect(missing_docs, reason = "the constant is the leaf's name in the specification")]
    pub const VP_ENTER: u64 = 0;
    pub const MNG_ADDCX: u64 = 1;
    pub const MEM_PAGE_ADD: u64 = 2;
    pub const MEM_SEPT_ADD: u64 = 3;
    pub const VP_ADDCX: u64 = 4;
    pub const MEM_PAGE_RELOCATE: u64 = 5;
    pub const MEM_PAGE_AUG: u64 = 6;
    pub const MEM_RANGE_BLOCK: u64 = 7;
    pub const MNG_KEY_CONFIG: u64 = 8;
    pub const MNG_CREATE: u64 = 9;
    pub const VP_CREATE: u64 = 10;
    pub const MNG_RD: u64 = 11;
    pub const MEM_RD: u64 = 12;
    pub const MNG_WR: u64 = 13;
    pub const MEM_WR: u64 = 14;
    pub const MEM_PAGE_DEMOTE: u64 = 15;
    pub const MR_EXTEND: u64 = 16;
    pub const MR_FINALIZE: u64 = 17;
    pub const VP_FLUSH: u64 = 18;
    pub const MNG_VPFLUSHDONE: u64 = 19;
    pub const MNG_KEY_FREEID: u64 = 20;
    pub const MNG_INIT: u64 = 21;
    pub const VP_INIT: u64 = 22;
    pub const MEM_PAGE_PROMOTE: u64 = 23;
    pub const PHYMEM_PAGE_RDMD: u64 = 24;
    pub const MEM_SEPT_RD: u64 = 25;
    pub const VP_RD: u64 = 26;
    pub const MNG_KEY_RECLAIMID: u64 = 27;
    pub const PHYMEM_PAGE_RECLAIM: u64 = 28;
    pub const MEM_PAGE_REMOVE: u64 = 29;
    pub const MEM_SEPT_REMOVE: u64 = 30;
    pub const SYS_KEY_CONFIG: u64 = 31;
    pub const SYS_INFO: u64 = 32;
    pub const SYS_INIT: u64 = 33;
    pub const SYS_RD: u64 = 34;
    pub const SYS_LP_INIT: u64 = 35;
    pub const SYS_TDMR_INIT: u64 = 36;
    pub const SYS_RDALL: u64 = 37;
    pub const MEM_TRACK: u64 = 38;
    pub const MEM_RANGE_UNBLOCK: u64 = 39;
    pub const PHYMEM_CACHE_WB: u64 = 40;
    pub const PHYMEM_PAGE_WBINVD: u64 = 41;
    pub const VP_WR: u64 = 43;
    pub const SYS_LP_SHUTDOWN: u64 = 44;
    pub const SYS_CONFIG: u64 = 45;
    pub const SYS_SHUTDOWN: u64 = 52;
    pub const SYS_UPDATE: u64 = 53;
}

/// RAX for a leaf in a version other than 0. [ABI-H 1.2]
#[must_use]
pub const fn versioned(leaf: u64, version: u8) -> u64 {
    leaf | (version as u64) << 16
}
