//! Operand ids: what a status is about. [ABI-G 3]

/// Operand ids, in the detail of OPERAND_INVALID and OPERAND_BUSY. [ABI-G 3]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variant is the operand's name in the specification")]
pub enum Operand {
    Rax = 0,
    Rcx = 1,
    Rdx = 2,
    Rbx = 3,
    Rbp = 5,
    Rsi = 6,
    Rdi = 7,
    R8 = 8,
    R9 = 9,
    R10 = 10,
    R11 = 11,
    R12 = 12,
    R13 = 13,
    R14 = 14,
    R15 = 15,
    Attributes = 64,
    Xfam = 65,
    ConfigFlags = 66,
    EptpControls = 67,
    MaxVcpus = 68,
    CpuidConfig = 69,
    TscFrequency = 70,
    NumL2Vms = 71,
    ArchCapabilitiesConfig = 72,
    Page = 95,
    TdmrInfoPa = 96,
    Tdr = 128,
    Tdcx = 129,
    Tdvpr = 130,
    RegPage = 132,
    Tdcs = 144,
    Tdvps = 145,
    SeptTree = 146,
    SeptEntry = 147,
    Rtmr = 168,
    TdEpoch = 169,
    L2VapicGpa = 170,
    OpState = 172,
    ServtdBindings = 174,
    MetadataField = 176,
    Sys = 184,
    Tdmr = 185,
    Kot = 186,
    Ket = 187,
    Wbcache = 188,
}

impl Operand {
    /// Every operand that has a name here.
    pub const ALL: &[Self] = &[
        Self::Rax,
        Self::Rcx,
        Self::Rdx,
        Self::Rbx,
        Self::Rbp,
        Self::Rsi,
        Self::Rdi,
        Self::R8,
        Self::R9,
        Self::R10,
        Self::R11,
        Self::R12,
        Self::R13,
        Self::R14,
        Self::R15,
        Self::Attributes,
        Self::Xfam,
        Self::ConfigFlags,
        Self::EptpControls,
        Self::MaxVcpus,
        Self::CpuidConfig,
        Self::TscFrequency,
        Self::NumL2Vms,
        Self::ArchCapabilitiesConfig,
        Self::Page,
        Self::TdmrInfoPa,
        Self::Tdr,
        Self::Tdcx,
        Self::Tdvpr,
        Self::RegPage,
        Self::Tdcs,
        Self::Tdvps,
        Self::SeptTree,
        Self::SeptEntry,
        Self::Rtmr,
        Self::TdEpoch,
        Self::L2VapicGpa,
        Self::OpState,
        Self::ServtdBindings,
        Self::MetadataField,
        Self::Sys,
        Self::Tdmr,
        Self::Kot,
        Self::Ket,
        Self::Wbcache,
    ];

    /// The operand with this id.
    #[must_use]
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|operand| *operand as u32 == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_found_by_their_ids() {
        assert_eq!(Operand::from_id(168), Some(Operand::Rtmr));
        assert_eq!(Operand::from_id(4), None);
        let ids = Operand::ALL.iter().map(|operand| *operand as u32);
        assert!(ids.is_sorted_by(|a, b| a < b));
    }
}
