//! XMM registers on their way between a vCPU's XSAVE page and the VMM. [ABI-G 4]
//!
//! While bit 1 of XSTATE_BV is clear, memory holds stale values and the registers
//! are zero.

use abi::exit::VmcallMask;

use crate::machine::Machine;

/// XMM registers in number order.
pub(crate) type Xmm = [[u8; 16]; 16];

const XMM_AT: u64 = 160;
const XSTATE_BV_AT: u64 = 512;
const SSE: u64 = 1 << 1;

/// Reads the selected registers of the guest; the others stay as they are.
pub(crate) fn read(m: &dyn Machine, area: u64, mask: VmcallMask, into: &mut Xmm) {
    let is_live = m.read_u64(area + XSTATE_BV_AT) & SSE != 0;
    for (index, register) in (0..).zip(into).filter(|(index, _)| mask.has_xmm(*index)) {
        *register = [0; 16];
        if is_live {
            m.read(at(area, index), register);
        }
    }
}

/// Writes the selected registers of the guest; the others keep their values.
pub(crate) fn write(m: &mut dyn Machine, area: u64, mask: VmcallMask, from: &Xmm) {
    if mask.0 >> 16 == 0 {
        return;
    }
    let in_use = m.read_u64(area + XSTATE_BV_AT);
    if in_use & SSE == 0 {
        m.write(area + XMM_AT, &[0; size_of::<Xmm>()]);
        m.write_u64(area + XSTATE_BV_AT, in_use | SSE);
    }
    for (index, register) in (0..).zip(from).filter(|(index, _)| mask.has_xmm(*index)) {
        m.write(at(area, index), register);
    }
}

fn at(area: u64, index: u8) -> u64 {
    area + XMM_AT + 16 * u64::from(index)
}
