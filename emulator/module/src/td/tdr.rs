//! The TDR: root of a TD, alive from MNG.CREATE to the last RECLAIM. [ABI-H 3.3]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::sys::TDCS_PAGES_MAX;

/// TD lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Lifecycle {
    HkidAssigned = 0,
    KeysConfigured = 1,
    Blocked = 2,
    Teardown = 3,
}

/// The fields of the TDR page.
#[repr(C)]
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Tdr {
    lifecycle: u32,
    /// Non-zero once the TD may never run again.
    pub fatal: u32,
    pub hkid: u32,
    pub num_tdcx: u32,
    /// 4 KiB pages that name this TDR as their owner.
    pub chldcnt: u64,
    pub tdcx_pa: [u64; TDCS_PAGES_MAX as usize],
    pub uuid: [u64; 4],
}

impl Tdr {
    pub(crate) fn lifecycle(&self) -> Lifecycle {
        match self.lifecycle {
            0 => Lifecycle::HkidAssigned,
            1 => Lifecycle::KeysConfigured,
            2 => Lifecycle::Blocked,
            _ => Lifecycle::Teardown,
        }
    }

    pub(crate) fn set_lifecycle(&mut self, lifecycle: Lifecycle) {
        self.lifecycle = lifecycle as u32;
    }
}
