//! RDMSR and WRMSR, exit reasons 31 and 32. [ABI-G 8]
//!
//! The exception names no MSR: ECX does, and EDX:EAX is the data. Every MSR that the
//! module does not know raises #VE, so [`TABLE`] decides. The host is asked for its local
//! APIC and nothing else. What is not in the table is refused: #GP for an instruction that is
//! prepared for it ([`crate::fault`]), else a stop that names the MSR.

use abi::ghci::function;
use abi::{Gpr, VeInfo};
use arch::trap::TrapFrame;
use tdcall::ghci::mask;

use super::register::{Part, Register};
use super::{Routed, Unroutable, apic, instruction_length};
use crate::td::Tdcall;

/// IA32_APIC_BASE.
pub(crate) const APIC_BASE: u32 = 0x1B;
/// x2APIC: local APIC id.
pub(crate) const X2APIC_ID: u32 = 0x802;
/// x2APIC: LVT timer.
pub(crate) const X2APIC_LVT_TIMER: u32 = 0x832;

/// What an access to an MSR does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// The host is asked.
    Host,
    /// The host is asked, and the errors of [`super::apic`] are added.
    HostAndErrors,
    /// It reads so.
    Value(u64),
    /// It is refused.
    Refused,
}

/// Write-back, MTRRs enabled: the type of all private memory, whatever MTRRs say.
const MTRR_WRITE_BACK: u64 = 1 << 11 | 6;

/// First and last MSR of a row, read, write.
const TABLE: [(u32, u32, Access, Access); 14] = {
    use Access::{Host, HostAndErrors, Refused, Value};
    [
        (APIC_BASE, APIC_BASE, Host, Refused),
        (0xFE, 0xFE, Value(0), Refused), // MTRRCAP: no ranges
        (0x2FF, 0x2FF, Value(MTRR_WRITE_BACK), Refused), // MTRR_DEF_TYPE
        (0x6E0, 0x6E0, Host, Host),      // TSC_DEADLINE
        (X2APIC_ID, 0x803, Host, Refused), // id, version
        (0x80D, 0x80D, Host, Refused),   // LDR
        (0x80F, 0x80F, Host, Host),      // SVR
        (0x828, 0x828, HostAndErrors, HostAndErrors), // ESR
        (0x830, 0x830, Host, Host),      // ICR
        (X2APIC_LVT_TIMER, 0x836, Host, Host), // LVT: timer, thermal, counters, LINT0, LINT1
        (0x837, 0x837, Host, Refused),   // LVT error: stays masked
        (0x838, 0x838, Host, Host),      // timer: initial count
        (0x839, 0x839, Host, Refused),   // timer: current count
        (0x83E, 0x83E, Host, Host),      // timer: divider
    ]
};

pub(super) fn route_read(
    td: &mut impl Tdcall,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    let length = instruction_length(info)?;
    let index = frame.regs.rcx as u32;
    let asked = Some((function::RDMSR, mask::RDMSR));
    let (value, call) = match access(index).0 {
        Access::Host => (td.rdmsr(index).map_err(Unroutable::Refused)?, asked),
        Access::HostAndErrors => {
            let hosts = td.rdmsr(index).map_err(Unroutable::Refused)?;
            (hosts | apic::ERRORS.shown(), asked)
        }
        Access::Value(value) => (value, None),
        Access::Refused => return Err(Unroutable::Msr(index)),
    };
    Register::new(Gpr::Rax, Part::Dword).write(&mut frame.regs, value);
    Register::new(Gpr::Rdx, Part::Dword).write(&mut frame.regs, value >> 32);
    Ok(Routed { length, call, value })
}

pub(super) fn route_write(
    td: &mut impl Tdcall,
    info: &VeInfo,
    frame: &mut TrapFrame,
) -> Result<Routed, Unroutable> {
    let length = instruction_length(info)?;
    let index = frame.regs.rcx as u32;
    let value = frame.regs.rdx << 32 | frame.regs.rax & 0xFFFF_FFFF;
    let access = access(index).1;
    match access {
        Access::Host | Access::HostAndErrors => {
            td.wrmsr(index, value).map_err(Unroutable::Refused)?;
        }
        Access::Value(_) | Access::Refused => return Err(Unroutable::Msr(index)),
    }
    if access == Access::HostAndErrors {
        apic::ERRORS.show();
    }
    Ok(Routed { length, call: Some((function::WRMSR, mask::WRMSR)), value })
}

/// What reading and writing does.
fn access(index: u32) -> (Access, Access) {
    let row = TABLE.iter().find(|(first, last, ..)| (*first..=*last).contains(&index));
    row.map_or((Access::Refused, Access::Refused), |(_, _, read, write)| (*read, *write))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_and_do_not_overlap() {
        assert!(TABLE.iter().all(|(first, last, ..)| first <= last));
        assert!(TABLE.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn nothing_is_written_that_only_reads_as_a_constant() {
        assert!(TABLE.iter().all(|(.., write)| !matches!(write, Access::Value(_))));
    }
}
