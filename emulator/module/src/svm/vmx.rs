//! What a host needs of VMX to reach SEAMCALL: MSRs, VMXON, VMXOFF, INVEPT, and what SEAMCALL
//! does outside VMX operation or without a module. [ABI-H 1.1], [SDM3 24.6-24.7, 31.3]
//!
//! That is all there is: a VMCS can not be made, so the other VMX instructions are
//! undefined and the MSRs about the content of a VMCS are #GP. The VMM's nested page
//! tables are the module's own; the EPTs that INVEPT is about are those of the TDs.
//!
//! Where the CPU underneath skips VMXON instead of raising #UD [SVM B1.25], the module never
//! sees one; setting CR4.VMXE, which every VMM does just before, then counts as a VMXON that
//! succeeded.

use super::cpu;
use super::vmcb::{Save, cr0, cr4, rflags};

/// MSRs of VMX: IA32_FEATURE_CONTROL, and all that describe its capabilities.
pub(super) const MSRS: [core::ops::RangeInclusive<u32>; 2] =
    [FEATURE_CONTROL..=0x3A, 0x480..=0x493];

const FEATURE_CONTROL: u32 = 0x3A;
const BASIC: u32 = 0x480;
const CR0_FIXED0: u32 = 0x486;
const CR0_FIXED1: u32 = 0x487;
const CR4_FIXED0: u32 = 0x488;
const CR4_FIXED1: u32 = 0x489;
const EPT_VPID_CAP: u32 = 0x48C;

/// VMCS revision of this CPU: any number but 0, which a page has by itself.
const REVISION: u32 = 0x0074_6478;
/// IA32_VMX_BASIC: regions of 4 KiB, write-back memory. [SDM3 A.1]
const BASIC_VALUE: u64 = REVISION as u64 | 4096 << 32 | 6 << 50;
/// IA32_VMX_EPT_VPID_CAP: walks of 4 and 5 levels, write-back tables, pages of 2 MiB and 1 GiB,
/// INVEPT of one context and of all. [SDM3 A.10]
const EPT_VPID_CAP_VALUE: u64 =
    1 << 6 | 1 << 7 | 1 << 14 | 1 << 16 | 1 << 17 | 1 << 20 | 1 << 25 | 1 << 26;
/// CR0 bits that VMX operation fixes at 1. [SDM3 A.7]
const CR0_ONES: u64 = cr0::PE | cr0::NE | cr0::PG;
/// Bits of a physical address, beside those within a page.
const REGION: u64 = 0x000F_FFFF_FFFF_F000;

/// The status flags: CF, PF, AF, ZF, SF, OF.
const STATUS_FLAGS: u64 = 0x8D5;

/// The platform of the module, as the firmware has left it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Platform {
    /// The module is loaded.
    #[default]
    Loaded,
    /// TDX is on, but no module is loaded.
    NotLoaded,
    /// TDX is off: there is no SEAM range, and no key is private.
    TdxOff,
    /// VMX is off, and with it everything above it.
    VmxOff,
}

/// What becomes of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It goes on.
    Succeeds,
    /// VMfailInvalid.
    FailsInvalid,
    /// #UD.
    Undefined,
    /// #GP(0).
    Protection,
}

/// The EPTs whose translations end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contexts {
    /// All.
    All,
    /// Those with the tables of this EPTP.
    Of(u64),
}

/// VMX of the one processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vmx {
    platform: Platform,
    /// VMXON comes to the module.
    sees_vmxon: bool,
    /// CR4.VMXE as the VMM set it; the real one stays 0, since the CPU has no VMX.
    vmxe: bool,
    /// Between VMXON and VMXOFF.
    is_on: bool,
}

impl Vmx {
    /// A CPU out of reset on `platform`. `sees_vmxon`: the CPU underneath raises #UD for it.
    pub(super) const fn new(platform: Platform, sees_vmxon: bool) -> Self {
        Self { platform, sees_vmxon, vmxe: false, is_on: false }
    }

    /// CR4.VMXE as the VMM sees it.
    pub(super) const fn vmxe(self) -> bool {
        self.vmxe
    }

    /// RDMSR of one of [`MSRS`]; none is #GP.
    pub(super) fn read_msr(self, index: u32) -> Option<u64> {
        const LOCKED: u64 = 1 << 0;
        const OUTSIDE_SMX: u64 = 1 << 2;
        match index {
            FEATURE_CONTROL if self.is_enabled() => Some(LOCKED | OUTSIDE_SMX),
            FEATURE_CONTROL => Some(LOCKED),
            BASIC => Some(BASIC_VALUE),
            CR0_FIXED0 => Some(CR0_ONES),
            CR0_FIXED1 => Some(0xFFFF_FFFF),
            CR4_FIXED0 => Some(cr4::VMXE),
            EPT_VPID_CAP if self.is_enabled() => Some(EPT_VPID_CAP_VALUE),
            CR4_FIXED1 => Some(cpu::supported_cr4() | cr4::VMXE),
            _ => None,
        }
    }

    /// IA32_MKTME_KEYID_PARTITIONING: which keys are left to TDX, in bits 63:32.
    pub(super) const fn keyid_partitioning(self) -> u64 {
        const KEYS: u64 = crate::KEYID_PARTITIONING >> 32;
        const SHARED: u64 = crate::KEYID_PARTITIONING & 0xFFFF_FFFF;
        match self.platform {
            Platform::Loaded | Platform::NotLoaded | Platform::VmxOff => crate::KEYID_PARTITIONING,
            Platform::TdxOff => SHARED + KEYS,
        }
    }

    /// Whether the VMM may write this to CR4: in VMX operation VMXE stays.
    pub(super) const fn allows_cr4(self, value: u64) -> bool {
        value & cr4::VMXE != 0 || !self.is_on || !self.sees_vmxon
    }

    /// The VMM wrote this to CR4.
    pub(super) const fn cr4_written(&mut self, value: u64) {
        let vmxe = value & cr4::VMXE != 0;
        if !self.sees_vmxon && vmxe != self.vmxe {
            self.is_on = vmxe && self.is_enabled();
        }
        self.vmxe = vmxe;
    }

    const fn is_enabled(self) -> bool {
        !matches!(self.platform, Platform::VmxOff)
    }

    /// The checks of VMXON before its operand is read. [SDM3 31.3]
    pub(super) const fn before_vmxon(self, save: &Save) -> Effect {
        if !is_legal_here(save) || !self.vmxe {
            return Effect::Undefined;
        }
        let cr0_is_fixed = save.cr0 & CR0_ONES == CR0_ONES;
        if save.cpl != 0 || !(self.is_on || cr0_is_fixed && self.is_enabled()) {
            return Effect::Protection;
        }
        Effect::Succeeds
    }

    /// The rest of VMXON, with the physical address that is its operand. `first_dword` reads
    /// there.
    pub(super) fn vmxon<E>(
        &mut self,
        region: u64,
        first_dword: impl FnOnce(u64) -> Result<u32, E>,
    ) -> Result<Effect, E> {
        if self.is_on || region & !REGION != 0 || first_dword(region)? != REVISION {
            return Ok(Effect::FailsInvalid);
        }
        self.is_on = true;
        Ok(Effect::Succeeds)
    }

    /// VMXOFF. [SDM3 31.3]
    pub(super) const fn vmxoff(&mut self, save: &Save) -> Effect {
        if !self.is_on || !is_legal_here(save) {
            return Effect::Undefined;
        }
        if save.cpl != 0 {
            return Effect::Protection;
        }
        self.is_on = false;
        Effect::Succeeds
    }

    /// The checks of INVEPT before its operands are looked at. [SDM3 31.3]
    pub(super) const fn before_invept(self, save: &Save) -> Effect {
        match (self.is_on && is_legal_here(save), save.cpl) {
            (false, _) => Effect::Undefined,
            (true, 0) => Effect::Succeeds,
            _ => Effect::Protection,
        }
    }

    /// What the CPU does with SEAMCALL before the module sees it. RAX bit 63 calls the
    /// P-SEAMLDR, which is never loaded. [ABI-H 1.1, 1.2]
    pub(super) const fn seamcall(self, save: &Save, rax: u64) -> Effect {
        const TO_SEAMLDR: u64 = 1 << 63;
        if !self.is_on || !save.is_long64() {
            return Effect::Undefined;
        }
        if save.cpl != 0 || matches!(self.platform, Platform::TdxOff) {
            return Effect::Protection;
        }
        if rax & TO_SEAMLDR != 0 || matches!(self.platform, Platform::NotLoaded) {
            return Effect::FailsInvalid;
        }
        Effect::Succeeds
    }
}

/// What INVEPT of type `kind` ends the translations of; none if it fails. `descriptor` reads the
/// memory operand.
pub(super) fn invept<E>(
    kind: u64,
    descriptor: impl FnOnce() -> Result<[u64; 2], E>,
) -> Result<Option<Contexts>, E> {
    const SINGLE: u64 = 1;
    const ALL: u64 = 2;
    if !matches!(kind, SINGLE | ALL) {
        return Ok(None);
    }
    let [eptp, _] = descriptor()?;
    Ok(match kind {
        ALL => Some(Contexts::All),
        _ => is_eptp(eptp).then_some(Contexts::Of(eptp)),
    })
}

/// VM entry would take this EPTP: write-back or uncacheable, 4 or 5 levels, no accessed and dirty
/// flags, nothing reserved. [SDM3 27.2.1.1]
const fn is_eptp(eptp: u64) -> bool {
    matches!(eptp & 7, 0 | 6) && matches!(eptp >> 3 & 7, 3 | 4) && eptp & !(REGION | 0x3F) == 0
}

/// Protected mode, neither virtual-8086 nor compatibility mode.
const fn is_legal_here(save: &Save) -> bool {
    let is_compatibility = save.efer & super::vmcb::efer::LMA != 0 && !save.is_long64();
    save.cr0 & cr0::PE != 0 && save.rflags & rflags::VM == 0 && !is_compatibility
}

/// RFLAGS after VMsucceed or VMfailInvalid. [SDM3 31.2]
pub(super) const fn flags(rflags: u64, fails: bool) -> u64 {
    rflags & !STATUS_FLAGS | if fails { rflags::CF } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::super::vmcb::{Segment, Vmcb, efer};
    use super::*;
    use core::convert::Infallible;
    use zerocopy::FromZeros;

    const PAGE: u64 = 0x5000;

    /// 64-bit mode, CPL 0.
    fn kernel() -> Save {
        let mut save = Vmcb::new_zeroed().save;
        save.cr0 = CR0_ONES;
        save.efer = efer::LMA | efer::LME;
        save.cs.attributes = Segment::LONG;
        save
    }

    fn with(change: impl Fn(&mut Save)) -> Save {
        let mut save = kernel();
        change(&mut save);
        save
    }

    fn out_of_reset(platform: Platform) -> Vmx {
        Vmx::new(platform, true)
    }

    fn with_vmxe(platform: Platform) -> Vmx {
        let mut vmx = out_of_reset(platform);
        vmx.cr4_written(cr4::VMXE);
        vmx
    }

    fn vmxon(vmx: &mut Vmx, region: u64, first: u32) -> Effect {
        let Ok(effect) = vmx.vmxon(region, |_| Ok::<_, Infallible>(first));
        effect
    }

    /// In VMX operation.
    fn on(platform: Platform) -> Vmx {
        let mut vmx = with_vmxe(platform);
        assert_eq!(vmxon(&mut vmx, PAGE, REVISION), Effect::Succeeds);
        vmx
    }

    #[test]
    fn seamcall_is_undefined_outside_vmx_operation() {
        for platform in [Platform::Loaded, Platform::NotLoaded, Platform::TdxOff] {
            let mut vmx = with_vmxe(platform);
            assert_eq!(vmx.seamcall(&kernel(), 0), Effect::Undefined);
            vmx = on(platform);
            assert_ne!(vmx.seamcall(&kernel(), 0), Effect::Undefined);
            assert_eq!(vmx.vmxoff(&kernel()), Effect::Succeeds);
            assert_eq!(vmx.seamcall(&kernel(), 0), Effect::Undefined);
        }
    }

    #[test]
    fn the_platform_decides_what_seamcall_does() {
        for (platform, effect) in [
            (Platform::Loaded, Effect::Succeeds),
            (Platform::NotLoaded, Effect::FailsInvalid),
            (Platform::TdxOff, Effect::Protection),
        ] {
            assert_eq!(on(platform).seamcall(&kernel(), 33), effect, "{platform:?}");
        }
    }

    #[test]
    fn a_user_gets_gp_and_compatibility_mode_ud() {
        let vmx = on(Platform::NotLoaded);
        assert_eq!(vmx.seamcall(&with(|save| save.cpl = 3), 0), Effect::Protection);
        let compatibility = with(|save| save.cs.attributes = Segment::DEFAULT_32);
        assert_eq!(vmx.seamcall(&compatibility, 0), Effect::Undefined);
    }

    #[test]
    fn the_seamldr_is_never_there() {
        assert_eq!(on(Platform::Loaded).seamcall(&kernel(), 1 << 63), Effect::FailsInvalid);
        assert_eq!(on(Platform::TdxOff).seamcall(&kernel(), 1 << 63), Effect::Protection);
    }

    #[test]
    fn vmxon_asks_for_vmxe_privilege_and_the_firmware() {
        let off = out_of_reset(Platform::Loaded);
        let ready = with_vmxe(Platform::Loaded);
        assert_eq!(off.before_vmxon(&kernel()), Effect::Undefined);
        assert_eq!(ready.before_vmxon(&kernel()), Effect::Succeeds);
        let real = with(|save| (save.cr0, save.efer) = (0, 0));
        assert_eq!(ready.before_vmxon(&real), Effect::Undefined);
        let user = with(|save| save.cpl = 3);
        assert_eq!(ready.before_vmxon(&user), Effect::Protection);
        let without_ne = with(|save| save.cr0 &= !cr0::NE);
        assert_eq!(ready.before_vmxon(&without_ne), Effect::Protection);
        let locked_off = with_vmxe(Platform::VmxOff);
        assert_eq!(locked_off.before_vmxon(&kernel()), Effect::Protection);
    }

    #[test]
    fn vmxon_takes_a_page_with_the_revision_once() {
        let mut vmx = with_vmxe(Platform::Loaded);
        for (region, first) in
            [(PAGE, 0), (PAGE, REVISION | 1 << 31), (PAGE + 8, REVISION), (1 << 52, REVISION)]
        {
            assert_eq!(vmxon(&mut vmx, region, first), Effect::FailsInvalid, "{region:#x}");
            assert_eq!(vmx.seamcall(&kernel(), 0), Effect::Undefined);
        }
        assert_eq!(vmx.vmxon(PAGE, |_| Err(())), Err(()));
        assert_eq!(vmxon(&mut vmx, PAGE, REVISION), Effect::Succeeds);
        assert_eq!(vmxon(&mut vmx, PAGE, REVISION), Effect::FailsInvalid);
    }

    #[test]
    fn vmxoff_needs_vmx_operation_and_privilege() {
        let mut vmx = out_of_reset(Platform::Loaded);
        assert_eq!(vmx.vmxoff(&kernel()), Effect::Undefined);
        vmx = on(Platform::Loaded);
        assert_eq!(vmx.vmxoff(&with(|save| save.cpl = 3)), Effect::Protection);
        assert_eq!(vmx.vmxoff(&kernel()), Effect::Succeeds);
        assert_eq!(vmx.vmxoff(&kernel()), Effect::Undefined);
    }

    #[test]
    fn invept_needs_vmx_operation_and_privilege() {
        let mut vmx = with_vmxe(Platform::Loaded);
        assert_eq!(vmx.before_invept(&kernel()), Effect::Undefined);
        vmx = on(Platform::Loaded);
        assert_eq!(vmx.before_invept(&kernel()), Effect::Succeeds);
        assert_eq!(vmx.before_invept(&with(|save| save.cpl = 3)), Effect::Protection);
        let compatibility = with(|save| save.cs.attributes = Segment::DEFAULT_32);
        assert_eq!(vmx.before_invept(&compatibility), Effect::Undefined);
    }

    #[test]
    fn invept_takes_the_types_and_eptps_that_the_cpu_says_it_has() {
        let effect = |kind, eptp| {
            let Ok(effect) = invept(kind, || Ok::<_, Infallible>([eptp, 0]));
            effect
        };
        let private_hkid = 33_u64 << 46;
        for eptp in [0x5000 | 3 << 3 | 6, 0x5000 | 4 << 3, private_hkid | 0x5000 | 4 << 3 | 6] {
            assert_eq!(effect(1, eptp), Some(Contexts::Of(eptp)), "{eptp:#x}");
        }
        for eptp in [0, 0x5006, 0x501F, 0x505E, 0x509E, 0x511E, 1 << 52 | 0x501E, 0x502E] {
            assert_eq!(effect(1, eptp), None, "{eptp:#x}");
            assert_eq!(effect(2, eptp), Some(Contexts::All), "{eptp:#x}");
        }
        for kind in [0, 3, 1 << 32 | 2, u64::MAX] {
            assert_eq!(effect(kind, 0x501E), None, "{kind:#x}");
            assert_eq!(invept(kind, || Err(())), Ok(None), "the operand is not read");
        }
        assert_eq!(invept(2, || Err(())), Err(()));
        let capabilities = on(Platform::Loaded).read_msr(0x48C);
        assert_eq!(capabilities, Some(0x0613_40C0));
        assert_eq!(out_of_reset(Platform::VmxOff).read_msr(0x48C), None);
    }

    #[test]
    fn vmxe_stays_in_vmx_operation() {
        assert!(out_of_reset(Platform::Loaded).allows_cr4(0));
        assert!(!on(Platform::Loaded).allows_cr4(0));
        assert!(on(Platform::Loaded).allows_cr4(cr4::VMXE));
    }

    #[test]
    fn where_vmxon_is_skipped_vmxe_stands_for_it() {
        let mut vmx = Vmx::new(Platform::Loaded, false);
        vmx.cr4_written(0);
        assert_eq!(vmx.seamcall(&kernel(), 0), Effect::Undefined);
        vmx.cr4_written(cr4::VMXE);
        assert_eq!(vmx.seamcall(&kernel(), 0), Effect::Succeeds);
        assert_eq!(vmx.vmxoff(&kernel()), Effect::Succeeds);
        vmx.cr4_written(cr4::VMXE | cr4::PAE);
        assert_eq!(vmx.seamcall(&kernel(), 0), Effect::Undefined);
        assert!(vmx.allows_cr4(0));
        let mut off = Vmx::new(Platform::VmxOff, false);
        off.cr4_written(cr4::VMXE);
        assert_eq!(off.seamcall(&kernel(), 0), Effect::Undefined);
    }

    #[test]
    fn the_msrs_agree_with_the_platform() {
        let loaded = out_of_reset(Platform::Loaded);
        assert_eq!(loaded.read_msr(0x3A), Some(5));
        assert_eq!(out_of_reset(Platform::VmxOff).read_msr(0x3A), Some(1));
        assert_eq!(loaded.read_msr(0x480), Some(0x0018_1000_0074_6478));
        assert_eq!(loaded.read_msr(0x481), None);
        assert_eq!(loaded.keyid_partitioning(), 0x20_0000_001F);
        assert_eq!(out_of_reset(Platform::TdxOff).keyid_partitioning(), 0x3F);
    }

    #[test]
    fn flags_are_those_of_the_vmx_convention() {
        assert_eq!(flags(0xFFFF, true), 0xFFFF & !0x8D4);
        assert_eq!(flags(0xFFFF, false), 0xFFFF & !0x8D5);
    }
}
