//! PVH: how QEMU starts a kernel in 32-bit protected mode, and what it tells it.
//!
//! [`pvh_entry!`](crate::pvh_entry) goes from there to 64-bit mode. [`StartInfo`] copies what EBX
//! points to.
#![expect(unsafe_code, reason = "reads the structures that EBX points to")]

/// First field of the start info.
pub const MAGIC: u32 = 0x336E_C578;
/// Memory-map type of usable RAM.
pub const RAM: u32 = 1;
/// Memory-map type of memory that is taken.
pub const RESERVED: u32 = 2;

/// The start info (`hvm_start_info` version 1).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StartInfo {
    /// [`MAGIC`].
    pub magic: u32,
    /// 1 or more: the memory map is there.
    pub version: u32,
    /// Zero.
    pub flags: u32,
    /// Entries of the module list.
    pub module_count: u32,
    /// Physical address of the module list.
    pub modules: u64,
    /// Physical address of the command line, zero-terminated.
    pub command_line: u64,
    /// Physical address of the ACPI RSDP.
    pub rsdp: u64,
    /// Physical address of the memory map.
    pub memory_map: u64,
    /// Entries of the memory map.
    pub memory_map_count: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<StartInfo>() == 56);

/// A file that the loader put into memory (QEMU's `-initrd`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Physical address of its command line.
    pub command_line: u64,
    /// Zero.
    pub reserved: u64,
}

/// A range of the memory map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryRange {
    /// First byte.
    pub base: u64,
    /// Bytes.
    pub size: u64,
    /// [`RAM`], [`RESERVED`] or another e820 type.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
}

impl StartInfo {
    /// Copies the start info at `address`, if its magic number and version are right.
    ///
    /// # Safety
    /// `address` is what a PVH loader left in EBX, or points to 56 readable bytes; memory
    /// is mapped at its physical address.
    #[must_use]
    pub unsafe fn read(address: u64) -> Option<Self> {
        let pointer = core::ptr::with_exposed_provenance::<Self>(address as usize);
        // SAFETY: readable by the caller's promise; unaligned reads need no alignment.
        let info = unsafe { pointer.read_unaligned() };
        (info.magic == MAGIC && info.version >= 1).then_some(info)
    }

    /// The memory map.
    ///
    /// # Safety
    /// The lists are where the loader left them, unwritten, mapped at their physical
    /// addresses, for as long as the iterator lives.
    pub unsafe fn memory_map(&self) -> impl Iterator<Item = MemoryRange> + use<> {
        // SAFETY: the caller's promise.
        unsafe { list(self.memory_map, self.memory_map_count) }
    }

    /// The modules.
    ///
    /// # Safety
    /// As for [`Self::memory_map`].
    pub unsafe fn modules(&self) -> impl Iterator<Item = Module> + use<> {
        // SAFETY: the caller's promise.
        unsafe { list(self.modules, self.module_count) }
    }

    /// The command line up to its zero byte, at most `N` bytes, and its length.
    ///
    /// # Safety
    /// As for [`Self::memory_map`].
    #[must_use]
    pub unsafe fn command_line<const N: usize>(&self) -> ([u8; N], usize) {
        let mut line = [0; N];
        if self.command_line == 0 {
            return (line, 0);
        }
        let pointer = core::ptr::with_exposed_provenance::<u8>(self.command_line as usize);
        for index in 0..N {
            // SAFETY: all bytes before this one were part of the string, so this one is
            // part of it or its end.
            line[index] = unsafe { *pointer.add(index) };
            if line[index] == 0 {
                return (line, index);
            }
        }
        (line, N)
    }
}

/// # Safety
/// `count` values of `T` can be read at `address` while the iterator lives.
unsafe fn list<T: Copy>(address: u64, count: u32) -> impl Iterator<Item = T> {
    (0..u64::from(count)).map(move |index| {
        let item = address.wrapping_add(index * size_of::<T>() as u64);
        let pointer = core::ptr::with_exposed_provenance::<T>(item as usize);
        // SAFETY: in the list by the caller's promise.
        unsafe { pointer.read_unaligned() }
    })
}

/// Defines the PVH entry point of a binary.
///
/// `pvh_entry!(levels = 4, stack = 65536, main = main)`: note 18 with the entry, then:
/// 512 GiB identity-mapped with 1 GiB pages through `levels` (4 or 5) levels of tables,
/// NX enabled, SSE and XSAVE enabled, a flat 64-bit GDT, interrupts off, no IDT; then
/// `main(start_info: u64) -> !` on a stack of `stack` bytes.
///
/// The linker script keeps `.note.Xen` in a PT_NOTE, puts everything below 4 GiB, and
/// has `.bss` zeroed by the loader.
#[macro_export]
macro_rules! pvh_entry {
    (levels = $levels:literal, stack = $stack:literal, main = $main:path) => {
        const _: extern "C" fn(u64) -> ! = $main;

        ::core::arch::global_asm!(
            ".set PVH_PRESENT_WRITABLE, 0x3",
            ".set PVH_LARGE_PAGE, 0x83",
            ".set PVH_MSR_EFER, 0xC0000080",
            ".set PVH_EFER_LME_NXE, 0x900",
            ".set PVH_CR4, 0x40620", // PAE, OSFXSR, OSXMMEXCPT, OSXSAVE
            ".set PVH_CR4_LA57, 0x1000",
            ".set PVH_CR0_EM, 0x4",
            ".set PVH_CR0, 0x80010023", // PG, WP, NE, MP, PE

            ".pushsection .note.Xen, \"a\", @note",
            ".balign 4",
            ".long 4, 4, 18", // name size, descriptor size, XEN_ELFNOTE_PHYS32_ENTRY
            ".asciz \"Xen\"",
            ".long pvh_start",
            ".popsection",

            ".pushsection .text.pvh, \"ax\"",
            ".code32",
            ".globl pvh_start",
            "pvh_start:",
            "mov esi, ebx",
            "mov edi, offset pvh_pdpt",
            "xor ecx, ecx",
            "2: mov eax, ecx",
            "shl eax, 30",
            "or eax, PVH_LARGE_PAGE",
            "mov [edi + ecx*8], eax",
            "mov eax, ecx",
            "shr eax, 2",
            "mov [edi + ecx*8 + 4], eax",
            "inc ecx",
            "cmp ecx, 512",
            "jb 2b",
            "or edi, PVH_PRESENT_WRITABLE",
            "mov ebx, offset pvh_pml4",
            "mov [ebx], edi",
            "mov eax, cr4",
            "or eax, PVH_CR4",
            ".if {levels} == 5",
            "mov edi, offset pvh_pml5",
            "or ebx, PVH_PRESENT_WRITABLE",
            "mov [edi], ebx",
            "mov ebx, edi",
            "or eax, PVH_CR4_LA57",
            ".endif",
            "mov cr4, eax",
            "mov cr3, ebx",
            "mov ecx, PVH_MSR_EFER",
            "rdmsr",
            "or eax, PVH_EFER_LME_NXE",
            "wrmsr",
            "mov eax, cr0",
            "and eax, ~PVH_CR0_EM",
            "or eax, PVH_CR0",
            "mov cr0, eax",
            "mov eax, offset pvh_gdt_register",
            "lgdt [eax]",
            ".byte 0xEA", // far jump to the 64-bit segment
            ".long 3f",
            ".word 8",
            ".code64",
            "3: mov eax, 16",
            "mov ds, eax",
            "mov es, eax",
            "mov ss, eax",
            "xor eax, eax",
            "mov fs, eax",
            "mov gs, eax",
            "mov esp, offset pvh_stack_top",
            "xor ebp, ebp",
            "mov edi, esi",
            "call {main}",
            "ud2",
            ".popsection",

            ".pushsection .rodata.pvh, \"a\"",
            ".balign 8",
            "pvh_gdt: .quad 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF",
            "pvh_gdt_register: .word 23",
            ".quad pvh_gdt",
            ".popsection",

            ".pushsection .bss.pvh, \"aw\", @nobits",
            ".balign 4096",
            "pvh_pdpt: .skip 4096",
            "pvh_pml4: .skip 4096",
            "pvh_pml5: .skip 4096",
            ".skip {stack}",
            "pvh_stack_top:",
            ".popsection",
            levels = const $levels,
            stack = const $stack,
            main = sym $main,
        );
    };
}
