//! TDG.VP.VEINFO.GET. [ABI-G 2.4, 5]
#![expect(unsafe_code, reason = "executes instructions that raise #VE")]

use core::arch::asm;

use abi::Gpr::{R8, R9, R10, Rcx, Rdx};
use abi::leaf::tdg;
use abi::{ExitReason, Status};
use conformance::Value::{Any, At, Is};

use super::OK;
use crate::conform::Place::DeviceNew;
use crate::conform::traps::leaving_ve_info;
use crate::conform::{Row, World};

const LEAF: (&str, u64) = ("ABI-G 2.4", tdg::VP_VEINFO_GET);

/// IA32_BIOS_SIGN_ID: not in the module's table. [ABI-G 8]
const BIOS_SIGN_ID: u32 = 0x8B;
/// A port without a device.
const PORT: u16 = 0x4D4;

macro_rules! empty {
    ($name:literal) => {
        Row::new(
            LEAF,
            $name,
            &[],
            Status::NO_VALID_VE_INFO,
            &[(Rcx, Is(0)), (Rdx, Is(0)), (R8, Is(0)), (R9, Is(0)), (R10, Is(0))],
        )
    };
}

/// After an instruction of so many bytes.
macro_rules! after {
    ($name:literal, $reason:ident, $qualification:expr, $length:expr, $raise:expr) => {
        Row::new(
            LEAF,
            $name,
            &[],
            OK,
            &[
                (Rcx, Is(ExitReason::$reason.0 as u64)),
                (Rdx, Is($qualification)),
                (R8, Is(0)),
                (R9, Is(0)),
                (R10, Is($length)),
            ],
        )
        .after(|_| leaving_ve_info($length, $raise))
    };
}

/// I/O qualification: IN, port in DX, one byte. [ABI-G 5]
const IN_BYTE: u64 = 1 << 3 | (PORT as u64) << 16;
/// OUT, immediate port 0x80, four bytes.
const OUT_IMMEDIATE: u64 = 3 | 1 << 6 | 0x80 << 16;

pub(super) const ROWS: &[Row] = &[
    empty!("there was no #VE"),
    after!("CPUID of a leaf that the module does not have", CPUID, 0, 2, || {
        // SAFETY: does nothing: it is stepped over.
        unsafe { asm!("push rbx", "cpuid", "pop rbx", in("eax") 2, in("ecx") 0, out("edx") _) }
    }),
    empty!("VE_INFO was taken"),
    after!("IN of a byte", IO, IN_BYTE, 1, || {
        // SAFETY: as above.
        unsafe { asm!("in al, dx", in("dx") PORT, out("al") _) }
    }),
    after!("OUT of four bytes to an immediate port", IO, OUT_IMMEDIATE, 2, || {
        // SAFETY: as above.
        unsafe { asm!("out 0x80, eax", in("eax") 0) }
    }),
    after!("HLT", HLT, 0, 1, || {
        // SAFETY: as above.
        unsafe { asm!("hlt") }
    }),
    after!("RDMSR", RDMSR, 0, 2, || {
        // SAFETY: as above.
        unsafe { asm!("rdmsr", in("ecx") BIOS_SIGN_ID, out("eax") _, out("edx") _) }
    }),
    after!("WRMSR", WRMSR, 0, 2, || {
        // SAFETY: as above.
        unsafe { asm!("wrmsr", in("ecx") BIOS_SIGN_ID, in("eax") 0, in("edx") 0) }
    }),
    after!("WBINVD", WBINVD, 0, 2, || {
        // SAFETY: as above.
        unsafe { asm!("wbinvd") }
    }),
    after!("VMCALL", VMCALL, 0, 3, || {
        // SAFETY: as above.
        unsafe { asm!("vmcall") }
    }),
    after!("MOV to CR4 without MCE", CR_ACCESS, 4, 3, || {
        // SAFETY: as above.
        unsafe {
            asm!("mov rax, cr4", "and eax, ~0x40", "mov cr4, rax", out("rax") _);
        }
    }),
    Row::new(
        LEAF,
        "a read of a device",
        &[],
        OK,
        &[
            (Rcx, Is(ExitReason::EPT_VIOLATION.0 as u64)),
            // Read; linear address valid and translated.
            (Rdx, Any),
            (R8, Any),
            (R9, At(DeviceNew)),
            (R10, Any),
        ],
    )
    .after(touch_device)
    .then(|_, regs| {
        let cause = abi::EptQualification::from_bits(regs.rdx);
        let is_read = cause.read() && !cause.write() && cause.linear_valid() && cause.translated();
        super::is(is_read, "the qualification is not a read's")
    }),
    empty!("VE_INFO was taken again"),
];

/// Reads a device that no driver has; `mov eax, [rax]` is two bytes.
fn touch_device(world: &mut World<'_>) {
    let gpa = world.resolve(DeviceNew);
    let address = gpa & !(1 << 47 | 1 << 51);
    let at = world.kernel.memory.map_device(address).register(0);
    leaving_ve_info(2, || {
        // SAFETY: as above; the page is mapped.
        unsafe { asm!("mov eax, [rax]", inlateout("rax") at => _, options(readonly)) }
    });
}
