//! The seams: everything below them is hardware, everything above runs in host tests.
//!
//! * [`Seamcall`]: the TDX module. One method a leaf, as `tdcall::host` has them.
//! * [`Memory`]: RAM that belongs to the VMM, by host-physical address.
//! * [`Devices`]: QEMU's devices, by port and by physical address.
//! * [`Cpu`]: time, interrupts and CPUID of the processor the VMM runs on.

use abi::exit::TdExitStatus;
use abi::field::FieldId;
use abi::{Hpa, IoWidth, PageLevel, PrivateGpa, RegisterFile, Status};
use tdcall::host::{LeafError, PageMetadata, Removed};

/// The TDX module as the VMM reaches it. Each method is the leaf of its name; see
/// `tdcall::host` for operands and errors.
///
/// A page named here must come from the VMM's [`crate::pool::Pool`]: implementations
/// refuse an address where the VMM itself lives.
#[expect(missing_docs, reason = "the method is the leaf's name in the specification")]
pub trait Seamcall {
    fn sys_init(&mut self) -> Result<(), LeafError>;
    fn sys_lp_init(&mut self) -> Result<(), LeafError>;
    fn sys_rd(&mut self, field: FieldId) -> Result<u64, Status>;
    fn sys_config(&mut self, tdmr_infos: Hpa, count: usize, hkid: u16) -> Result<(), Status>;
    fn sys_key_config(&mut self) -> Result<(), Status>;
    fn sys_tdmr_init(&mut self, base: Hpa) -> Result<u64, Status>;

    fn mng_create(&mut self, tdr: Hpa, hkid: u16) -> Result<(), Status>;
    fn mng_key_config(&mut self, tdr: Hpa) -> Result<(), Status>;
    fn mng_addcx(&mut self, page: Hpa, tdr: Hpa) -> Result<(), Status>;
    fn mng_init(&mut self, tdr: Hpa, td_params: Hpa) -> Result<(), LeafError>;
    fn mng_rd(&mut self, tdr: Hpa, field: FieldId) -> Result<u64, Status>;
    fn mng_vpflushdone(&mut self, tdr: Hpa) -> Result<(), Status>;
    fn mng_key_freeid(&mut self, tdr: Hpa) -> Result<(), Status>;

    fn vp_create(&mut self, tdvpr: Hpa, tdr: Hpa) -> Result<(), Status>;
    fn vp_addcx(&mut self, page: Hpa, tdvpr: Hpa) -> Result<(), Status>;
    fn vp_init(&mut self, tdvpr: Hpa, rcx: u64, x2apic_id: u32) -> Result<(), Status>;
    fn vp_rd(&mut self, tdvpr: Hpa, field: FieldId) -> Result<u64, Status>;
    fn vp_wr(&mut self, tdvpr: Hpa, field: FieldId, value: u64, mask: u64) -> Result<u64, Status>;
    fn vp_flush(&mut self, tdvpr: Hpa) -> Result<(), Status>;
    fn vp_enter(&mut self, tdvpr: Hpa, file: &mut RegisterFile) -> TdExitStatus;

    fn mem_sept_add(
        &mut self,
        gpa: PrivateGpa,
        level: u8,
        tdr: Hpa,
        page: Hpa,
    ) -> Result<(), LeafError>;
    fn mem_page_add(
        &mut self,
        gpa: PrivateGpa,
        tdr: Hpa,
        page: Hpa,
        source: Hpa,
    ) -> Result<(), LeafError>;
    fn mem_page_aug(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        tdr: Hpa,
        page: Hpa,
    ) -> Result<(), LeafError>;
    fn mem_range_block(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        tdr: Hpa,
    ) -> Result<(), LeafError>;
    fn mem_range_unblock(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        tdr: Hpa,
    ) -> Result<(), LeafError>;
    fn mem_track(&mut self, tdr: Hpa) -> Result<(), Status>;
    fn mem_page_remove(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        tdr: Hpa,
    ) -> Result<Removed, LeafError>;
    fn mem_page_demote(
        &mut self,
        gpa: PrivateGpa,
        level: PageLevel,
        tdr: Hpa,
        sept_page: Hpa,
    ) -> Result<(), LeafError>;
    fn mr_extend(&mut self, gpa: PrivateGpa, tdr: Hpa) -> Result<(), LeafError>;
    fn mr_finalize(&mut self, tdr: Hpa) -> Result<(), Status>;

    fn phymem_cache_wb(&mut self) -> Result<(), Status>;
    fn phymem_page_reclaim(&mut self, page: Hpa) -> Result<PageMetadata, LeafError>;
    fn phymem_page_rdmd(&mut self, page: Hpa) -> Result<PageMetadata, LeafError>;
    fn phymem_page_wbinvd(&mut self, page_with_hkid: u64) -> Result<(), Status>;
}

/// Memory of the VMM. Accesses outside of it are a bug of the VMM and panic.
pub trait Memory {
    /// Copies bytes out.
    fn read(&self, at: Hpa, buf: &mut [u8]);
    /// Copies bytes in.
    fn write(&mut self, at: Hpa, bytes: &[u8]);
    /// Fills `len` bytes with zeros.
    fn zero(&mut self, at: Hpa, len: u64);

    /// Reads a quadword.
    fn read_u64(&self, at: Hpa) -> u64 {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// How many of the quadwords of `[at, at + len)` are `word`.
    fn count(&self, at: Hpa, len: u64, word: u64) -> u64 {
        let words = (at.bits()..at.bits() + len).step_by(8).filter_map(|at| Hpa::try_new(at).ok());
        words.filter(|at| self.read_u64(*at) == word).count() as u64
    }

    /// Writes a quadword.
    fn write_u64(&mut self, at: Hpa, value: u64) {
        self.write(at, &value.to_le_bytes());
    }
}

/// Devices. Whether the TD may reach one is not decided here.
pub trait Devices {
    /// IN.
    fn port_read(&mut self, port: u16, width: IoWidth) -> u32;
    /// OUT.
    fn port_write(&mut self, port: u16, width: IoWidth, value: u32);
    /// Reads a device register in memory space. `address` is a multiple of the width.
    fn register_read(&mut self, address: u64, width: IoWidth) -> u32;
    /// Writes a device register in memory space.
    fn register_write(&mut self, address: u64, width: IoWidth, value: u32);
}

/// The processor.
pub trait Cpu {
    /// Nanoseconds since some moment before the TD was built. Never goes back.
    fn now_ns(&mut self) -> u64;
    /// The time stamp counter.
    fn tsc(&mut self) -> u64;
    /// IA32_MKTME_KEYID_PARTITIONING: shared keys but key 0 in bits 31:0, private keys
    /// in bits 63:32.
    fn keyid_partitioning(&mut self) -> u64;
    /// CPUID: {eax, ebx, ecx, edx}.
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> [u32; 4];
    /// Writes the caches back and empties them.
    fn wbinvd(&mut self);
    /// INVEPT of all contexts: no TD uses a mapping of the shared EPT any more that is not there.
    /// Whether it succeeded. [SDM3 31.3]
    fn invept(&mut self) -> bool;
    /// Does what the handler of external interrupt `vector` does: a TD exit took it
    /// from the interrupt controller, so no handler ran. [ABI-H 5.8]
    fn interrupt(&mut self, vector: u8);
    /// Sends this processor interrupt `vector`, which stays pending until the TD runs.
    fn interrupt_self(&mut self, vector: u8);
    /// Sleeps until the next interrupt, at most some milliseconds.
    fn wait(&mut self);
}
