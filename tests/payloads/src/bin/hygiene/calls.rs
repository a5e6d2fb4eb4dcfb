//! Every typed GHCI function, each behind a function of its own with the C ABI.
//!
//! A wrapper takes its arguments from [`Inputs`] and leaves what the typed function returned in
//! [`Answer`]: so of the registers RDI and RSI alone are arguments.
#![expect(unsafe_code, reason = "MapGPA, and a VMCALL with registers of one's own choice")]

use abi::Gpr::{R11, R12, R13, R14, R15};
use abi::exit::VmcallMask;
use abi::ghci::FATAL_TEXT_BYTES;
use abi::leaf::tdg;
use abi::{GhciStatus, GpaRange, Gpr, IoWidth, Regs, SharedGpa, poison};
use tdcall::ghci::{self, CacheOperation, MmioWidth, NotifyVector, VmcallError};
use tdcall::guest;

/// COM1's line status: read without effect.
const LINE_STATUS: u16 = 0x3FD;
/// POST codes: shown by nobody.
const POST: u16 = 0x80;
/// A value whose every byte is another.
const VALUE: u64 = 0x1122_3344_5566_7788;
/// IA32_APIC_BASE.
const APIC_BASE: u32 = 0x1B;
/// IA32_BIOS_SIGN_ID, which takes any value without effect.
const BIOS_SIGN_ID: u32 = 0x8B;
/// The first leaf of the hypervisor.
const HYPERVISOR: u32 = 0x4000_0000;

/// Arguments that depend on the TD.
pub(crate) struct Inputs {
    /// A device.
    pub device: SharedGpa,
    /// A page where there is nothing.
    pub range: GpaRange,
    /// A vector.
    pub vector: NotifyVector,
    /// Last words.
    pub text: [u8; FATAL_TEXT_BYTES],
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It never came to an end.
    #[default]
    None,
    /// Success.
    Done,
    /// The VMM's error.
    Vmm(u64),
    /// The module's error.
    Module(u64),
}

/// What the typed function returned.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answer {
    pub ending: Ending,
    pub values: [u64; 4],
}

impl Answer {
    #[inline(always)]
    fn take<const N: usize>(&mut self, result: Result<[u64; N], VmcallError>) {
        match result {
            Ok(values) => {
                self.ending = Ending::Done;
                for (place, value) in self.values.iter_mut().zip(values) {
                    *place = value;
                }
            }
            Err(VmcallError::Vmm(status)) => self.ending = Ending::Vmm(status.0),
            Err(VmcallError::Module(status)) => self.ending = Ending::Module(status.0),
        }
    }
}

/// What the harness calls.
pub(crate) type Wrapper = extern "C" fn(&Inputs, &mut Answer);

/// A typed function.
pub(crate) struct Function {
    pub name: &'static str,
    pub wrapper: Wrapper,
    /// The registers of its results and the bits that the caller asks for.
    pub results: &'static [(Gpr, u64)],
    pub kind: Kind,
}

/// What can be tried with a function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everything.
    Ordinary,
    /// The VMM would not come back by itself.
    Halts,
    /// The same; and it passes all registers, so that XMM0-15 are lost.
    Fatal,
    /// It passes all registers too, but is no standard function, so that it takes no script.
    Vendor,
}

impl Function {
    /// XMM0-15 hold what they held. A wrapper may use some to store several results, and
    /// MapGPA's loop for its own state.
    pub(crate) fn keeps_xmm(&self) -> bool {
        let is_simple = matches!(self.kind, Kind::Ordinary | Kind::Halts);
        is_simple && self.results.len() <= 1 && self.name != "map_gpa"
    }
}

macro_rules! functions {
    ($($name:ident($inputs:pat) gives $results:expr, $kind:ident => $call:expr;)*) => {
        $(
            #[inline(never)]
            extern "C" fn $name($inputs: &Inputs, answer: &mut Answer) {
                answer.take($call);
            }
        )*

        /// All of them.
        pub(crate) static FUNCTIONS: &[Function] = &[$(Function {
            name: stringify!($name), wrapper: $name, results: &$results, kind: Kind::$kind,
        }),*];
    };
}

const BYTE: u64 = 0xFF;
const WORD: u64 = 0xFFFF;
const DWORD: u64 = 0xFFFF_FFFF;
const QWORD: u64 = u64::MAX;

functions! {
    io_read_1(_) gives [(R11, BYTE)], Ordinary => io_read(IoWidth::Byte);
    io_read_2(_) gives [(R11, WORD)], Ordinary => io_read(IoWidth::Word);
    io_read_4(_) gives [(R11, DWORD)], Ordinary => io_read(IoWidth::Dword);
    io_write_1(_) gives [], Ordinary => io_write(IoWidth::Byte);
    io_write_2(_) gives [], Ordinary => io_write(IoWidth::Word);
    io_write_4(_) gives [], Ordinary => io_write(IoWidth::Dword);
    mmio_read_1(i) gives [(R11, BYTE)], Ordinary => mmio_read(i, MmioWidth::Byte);
    mmio_read_2(i) gives [(R11, WORD)], Ordinary => mmio_read(i, MmioWidth::Word);
    mmio_read_4(i) gives [(R11, DWORD)], Ordinary => mmio_read(i, MmioWidth::Dword);
    mmio_read_8(i) gives [(R11, QWORD)], Ordinary => mmio_read(i, MmioWidth::Qword);
    mmio_write_1(i) gives [], Ordinary => mmio_write(i, MmioWidth::Byte);
    mmio_write_2(i) gives [], Ordinary => mmio_write(i, MmioWidth::Word);
    mmio_write_4(i) gives [], Ordinary => mmio_write(i, MmioWidth::Dword);
    mmio_write_8(i) gives [], Ordinary => mmio_write(i, MmioWidth::Qword);
    cpuid(_) gives [(R12, DWORD), (R13, DWORD), (R14, DWORD), (R15, DWORD)], Ordinary =>
        ghci::cpuid(HYPERVISOR, 0).map(|values| values.map(u64::from));
    hlt(_) gives [], Halts => ghci::hlt(true).map(nothing);
    rdmsr(_) gives [(R11, QWORD)], Ordinary => ghci::rdmsr(APIC_BASE).map(one);
    wrmsr(_) gives [], Ordinary => ghci::wrmsr(BIOS_SIGN_ID, VALUE).map(nothing);
    wbinvd(_) gives [], Ordinary => ghci::wbinvd(CacheOperation::WriteBack).map(nothing);
    pconfig(_) gives [(R11, QWORD)], Ordinary => ghci::pconfig(1, [2, 3, VALUE]).map(one);
    get_td_vmcall_info(_)
        gives [(R11, QWORD), (R12, QWORD), (R13, QWORD), (R14, QWORD)], Ordinary =>
        ghci::get_td_vmcall_info(1).map(|info| [info.r11, info.r12, info.r13, info.r14]);
    map_gpa(i) gives [], Ordinary => map_gpa_page(i);
    get_quote(i) gives [], Ordinary => ghci::get_quote(i.device, 0x2000).map(nothing);
    setup_event_notify_interrupt(i) gives [], Ordinary =>
        ghci::setup_event_notify_interrupt(i.vector).map(nothing);
    service(i) gives [], Ordinary =>
        ghci::service(i.device, i.device, Some(i.vector), 250).map(nothing);
    report_fatal_error(i) gives [], Fatal =>
        fatal(ghci::report_fatal_error(0x77_0000, &i.text));
    report_fatal_error_with_page(i) gives [], Fatal =>
        fatal(ghci::report_fatal_error_with_page(0, i.device, &i.text));
    every_register(_) gives [], Vendor => every_register_exposed();
}

const fn nothing((): ()) -> [u64; 0] {
    []
}

const fn one(value: u64) -> [u64; 1] {
    [value]
}

#[inline(always)]
fn io_read(width: IoWidth) -> Result<[u64; 1], VmcallError> {
    ghci::io_read(LINE_STATUS, width).map(|value| [value.into()])
}

#[inline(always)]
fn io_write(width: IoWidth) -> Result<[u64; 0], VmcallError> {
    ghci::io_write(POST, width, VALUE as u32).map(nothing)
}

#[inline(always)]
fn mmio_read(inputs: &Inputs, width: MmioWidth) -> Result<[u64; 1], VmcallError> {
    ghci::mmio_read(inputs.device, width).map(one)
}

#[inline(always)]
fn mmio_write(inputs: &Inputs, width: MmioWidth) -> Result<[u64; 0], VmcallError> {
    ghci::mmio_write(inputs.device, width, VALUE).map(nothing)
}

#[inline(always)]
fn map_gpa_page(inputs: &Inputs) -> Result<[u64; 0], VmcallError> {
    // SAFETY: no object lies there, in either half.
    unsafe { ghci::map_gpa(inputs.range) }.map(nothing).map_err(|error| error.error)
}

/// The function has no success; that the VMM says so is what is wanted here.
const fn fatal(error: VmcallError) -> Result<[u64; 0], VmcallError> {
    match error {
        VmcallError::Vmm(GhciStatus::SUCCESS) => Ok([]),
        error => Err(error),
    }
}

/// Registers in which [`every_register`] finds poison: all that can be exposed but R10.
pub(crate) const POISONED: u64 = 11;

/// A vendor's call that exposes every register that can be; in how many the VMM left poison.
/// Without any, no other check here would mean a thing.
fn every_register_exposed() -> Result<[u64; 1], VmcallError> {
    let mask = u64::from(VmcallMask::GPR_ALLOWED) & !Gpr::Rbp.bit() | 0xFFFF_0000;
    let mut regs = Regs { rcx: mask, r10: u64::MAX, ..Regs::default() };
    vmcall(&mut regs)?;
    Ok([Gpr::ALL.into_iter().filter(|gpr| poison::is_in(regs[*gpr])).count() as u64])
}

/// Tells the VMM what to answer to the next standard call.
pub(crate) fn script(status: u64, seed: u64) -> Result<(), VmcallError> {
    let rcx = Gpr::R10.bit() | R11.bit() | R12.bit();
    let r10 = poison::SCRIPT;
    let mut regs = Regs { rcx, r10, r11: status, r12: seed, ..Regs::default() };
    vmcall(&mut regs)?;
    if regs.r10 == 0 { Ok(()) } else { Err(VmcallError::Vmm(GhciStatus(regs.r10))) }
}

fn vmcall(regs: &mut Regs) -> Result<(), VmcallError> {
    // SAFETY: calls that change no memory.
    let status = unsafe { guest::call(guest::Leaf::new(tdg::VP_VMCALL as u16, 0), regs) };
    if status.0 == 0 { Ok(()) } else { Err(VmcallError::Module(status)) }
}
