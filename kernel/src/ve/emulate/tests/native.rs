//! Runs one instruction on this machine's processor, with all registers and flags given.
#![expect(unsafe_code, reason = "runs code that was made a moment ago")]

use core::{mem, ptr, slice};
use std::vec::Vec;

use abi::Regs;

/// Bytes of the memory that instructions access.
pub(super) const ARENA_BYTES: usize = 32 * 1024;
/// Before it come the code and the registers, a page each.
const BYTES: usize = 2 * PAGE + ARENA_BYTES;
const PAGE: usize = 4096;
/// arch_prctl: sets the base of GS, which Linux programs do not use.
const ARCH_SET_GS: libc::c_int = 0x1001;

/// Code, registers and arena, below 2 GiB, so that every kind of address reaches them.
pub(super) struct Machine {
    base: *mut u8,
    /// Address of the instruction.
    pub(super) rip: u64,
    /// Base of GS, in this thread; in the arena.
    pub(super) gs_base: u64,
}

/// What the code keeps in its second page.
#[repr(C)]
struct Control {
    regs: Regs,
    rflags: u64,
    host_rsp: u64,
}

impl Machine {
    pub(super) fn new() -> Self {
        // SAFETY: new memory; nobody else's is touched.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                BYTES,
                libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
                -1,
                0,
            )
        };
        assert_ne!(base, libc::MAP_FAILED, "no memory for code");
        let mut machine = Self { base: base.cast(), rip: 0, gs_base: 0 };
        let start = machine.prologue();
        machine.rip = base.addr() as u64 + start.len() as u64;
        machine.gs_base = machine.arena_address() + 0x123;
        machine.code()[..start.len()].copy_from_slice(&start);
        // SAFETY: sets the thread's GS base, which nothing uses.
        let set = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, machine.gs_base) };
        assert_eq!(set, 0, "the base of GS can not be set");
        machine
    }

    /// Runs `code` once. It must be an instruction that goes on behind itself and accesses
    /// no memory but the arena.
    pub(super) fn run(&mut self, code: &[u8], regs: &mut Regs, rflags: &mut u64) {
        let at = (self.rip - self.base.addr() as u64) as usize;
        let end = self.epilogue();
        let all = self.code();
        all[at..at + code.len()].copy_from_slice(code);
        all[at + code.len()..][..end.len()].copy_from_slice(&end);
        let control = self.control();
        *control = Control { regs: *regs, rflags: *rflags, host_rsp: 0 };
        // SAFETY: the code keeps what a C function keeps: it saves registers, flags and the
        // stack, loads those of the case, runs its instruction, and takes its own back.
        let function = unsafe { mem::transmute::<*mut u8, unsafe extern "sysv64" fn()>(self.base) };
        // SAFETY: as above.
        unsafe { function() };
        let control = self.control();
        (*regs, *rflags) = (control.regs, control.rflags);
    }

    pub(super) fn arena_address(&self) -> u64 {
        (self.base.addr() + 2 * PAGE) as u64
    }

    pub(super) fn arena(&mut self) -> &mut [u8] {
        // SAFETY: inside the mapping, and borrowed from its only owner.
        unsafe { slice::from_raw_parts_mut(self.base.add(2 * PAGE), ARENA_BYTES) }
    }

    fn code(&mut self) -> &mut [u8] {
        // SAFETY: as in `arena`.
        unsafe { slice::from_raw_parts_mut(self.base, PAGE) }
    }

    fn control(&mut self) -> &mut Control {
        // SAFETY: as in `arena`; the page is aligned.
        unsafe { &mut *self.base.add(PAGE).cast() }
    }

    /// Saves the caller's state, loads the case's.
    fn prologue(&self) -> Vec<u8> {
        // push rbx, rbp, r12-r15; pushfq
        let mut code = std::vec![0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57, 0x9C];
        code.extend(self.access(&[0x48, 0x89, 0x24, 0x25], mem::offset_of!(Control, host_rsp)));
        // push qword [rflags]; popfq
        code.extend(self.access(&[0xFF, 0x34, 0x25], mem::offset_of!(Control, rflags)));
        code.push(0x9D);
        // RSP comes last.
        for number in (0..16).filter(|number| *number != 4).chain([4]) {
            code.extend(self.access(&mov(0x8B, number), 8 * usize::from(number)));
        }
        code
    }

    /// Stores the case's state, loads the caller's.
    fn epilogue(&self) -> Vec<u8> {
        let mut code = Vec::new();
        for number in 0..16 {
            code.extend(self.access(&mov(0x89, number), 8 * usize::from(number)));
        }
        code.extend(self.access(&[0x48, 0x8B, 0x24, 0x25], mem::offset_of!(Control, host_rsp)));
        // pushfq; pop qword [rflags]; popfq; pop r15-r12, rbp, rbx; ret
        code.push(0x9C);
        code.extend(self.access(&[0x8F, 0x04, 0x25], mem::offset_of!(Control, rflags)));
        code.extend([0x9D, 0x41, 0x5F, 0x41, 0x5E, 0x41, 0x5D, 0x41, 0x5C, 0x5D, 0x5B, 0xC3]);
        code
    }

    /// An instruction with the absolute address of a field behind it.
    fn access(&self, opcode: &[u8], offset: usize) -> Vec<u8> {
        let address = (self.base.addr() + PAGE + offset) as u32;
        [opcode, &address.to_le_bytes()].concat()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: the mapping is this machine's, and nothing borrows from it any more.
        unsafe { libc::munmap(self.base.cast(), BYTES) };
    }
}

/// MOV between a 64-bit register and an absolute address.
fn mov(opcode: u8, number: u8) -> [u8; 4] {
    [0x48 | number >> 3 << 2, opcode, (number & 7) << 3 | 4, 0x25]
}
