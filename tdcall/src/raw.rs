//! The template: the only place with the TDCALL and SEAMCALL instructions.
//!
//! Both instructions take and give everything in registers, RAX being leaf and status; the
//! specification's other differences between leaves are differences in *which* registers.
//! So there is one template, `tdx_call!`, and its variants say what goes around the
//! instruction:
//!
//! | variant | macro | what it adds |
//! |---|---|---|
//! | plain | `tdcall!(leaf, in…)`, `seamcall!(leaf, in…)` | the input registers of the leaf, no more |
//! | with outputs | the same, `inlateout`, `lateout` | the output registers of the leaf. They are taken whatever the status is: some leaves say more about a failure there |
//! | saved | `vmcall!` (VP.VMCALL) | R12-R15, which the compiler's callers own, are lent out for the length of the call |
//! | saved, all | `tdcall_all!`, `seamcall_all!` (VP.ENTER of both sides, ReportFatalError, and leaves that this crate does not type) | a whole [`abi::Regs`] in and out; RBX and RBP, which `asm!` can not name, are kept on the stack; XMM0-15 are cleared |
//! | saved, all and XMM | `seamcall_file!` (VP.ENTER of a VMM that passes XMM registers) | a whole [`abi::RegisterFile`]: RBP and XMM0-15 too |
//!
//! What else can come of the instruction, and where it is dealt with:
//!
//! | event | what the template does |
//! |---|---|
//! | an error with outputs | nothing: outputs are stored on every path, the caller looks at the status |
//! | SEAMCALL VMfailInvalid: CF = 1, RAX unchanged | RAX becomes SEAMCALL_VMFAILINVALID |
//! | SEAMCALL #UD, #GP | an exception-table entry leads the trap handler (`arch::extable`) to the instruction behind, with RAX = SEAMCALL_UD or SEAMCALL_GP [ABI-H 1.4] |
//! | TDCALL #UD, #GP | nothing: whoever executes TDCALL knows that it is in a TD |
//! | RBP = 0 after TDH.VP.ENTER (module 1.5.01), or kept (later ones) | RBP is on the stack [ABI-H 5.6] |
//! | RBP of a nested VM after TDG.VP.ENTER | the same |
//! | OPERAND_BUSY, HOST_PRIORITY busy, SYS_BUSY, RND_NO_ENTROPY, KEY_GENERATION_FAILED | the leaf's function repeats the call with a bound (`retry`) |
//!
//! # Lending registers
//!
//! A VP.VMCALL passes its arguments in R12-R15 and the VMM may write each of them. The
//! template exchanges each with a *lender*, a register that is not exposed, before the
//! call and moves it back after it:
//!
//! ```text
//! xchg r14, rdi      R14 = argument, RDI = the caller's R14
//! tdcall             the VMM writes R14; the module keeps RDI, for it is not in the mask
//! mov  r14, rdi      R14 = the caller's R14: what the VMM wrote is gone
//! ```
//!
//! That is two instructions a register and no memory, and scrubbing them costs nothing.
//! A result in such a register is taken out of it first.
//!
//! No call site says `nomem`: PAGE.ACCEPT, MapGPA, PAGE.ADD and others change memory.

/// One TDX call. See the module's documentation.
macro_rules! tdx_call {
    (
        instruction [$($instruction:literal),*], leaf $leaf:expr,
        before [$($before:expr),* $(,)?], after [$($after:expr),* $(,)?],
        $($operands:tt)*
    ) => {{
        let status: u64;
        core::arch::asm!(
            $($before,)*
            $($instruction,)*
            $($after,)*
            inlateout("rax") $leaf => status,
            $($operands)*
        );
        abi::Status(status)
    }};
}

/// A TDCALL: `tdcall!(leaf, operands)`.
macro_rules! tdcall {
    ($leaf:expr, before $before:tt, after $after:tt, $($operands:tt)*) => {
        tdx_call!(
            instruction ["tdcall"], leaf $leaf, before $before, after $after, $($operands)*
        )
    };
    ($leaf:expr, $($operands:tt)*) => {
        tdcall!($leaf, before [], after [], $($operands)* options(nostack))
    };
}

/// A SEAMCALL: `seamcall!(leaf, operands)`.
macro_rules! seamcall {
    ($leaf:expr, before $before:tt, after $after:tt, $($operands:tt)*) => {
        tdx_call!(
            instruction [
                "771: seamcall",
                "jnc 772f",
                "movabs rax, 0x8000FF00FFFF0000", // Status::SEAMCALL_VMFAILINVALID
                "772:",
                ".pushsection .extable, \"a\"",
                ".balign 8",
                ".quad 771b, 772b",
                ".popsection"
            ],
            leaf $leaf, before $before, after $after, $($operands)*
        )
    };
    ($leaf:expr, $($operands:tt)*) => {
        seamcall!($leaf, before [], after [], $($operands)* options(nostack))
    };
}

/// TDG.VP.VMCALL of a standard GHCI function; gives the module's status and R10.
///
/// `lend` names the argument registers, each with its lender and value; `after` clears or
/// cuts R11. The other form is for functions with results in argument registers: `back` says
/// how results leave these registers and the callers' values come back.
macro_rules! vmcall {
    (
        mask $mask:expr,
        lend [$($lent:tt by $lender:tt = $argument:expr),*],
        after [$($after:literal),*],
        $($operands:tt)*
    ) => {
        vmcall!(
            mask $mask,
            swap [$($lent with $lender = $argument => _),*],
            back [$(concat!("mov ", $lent, ", ", $lender),)* $($after),*],
            $($operands)*
        )
    };
    (
        mask $mask:expr,
        swap [$($lent:tt with $lender:tt = $argument:expr => $result:tt),*],
        back [$($back:expr),* $(,)?],
        $($operands:tt)*
    ) => {{
        let answer: u64;
        let status = tdcall!(
            abi::leaf::tdg::VP_VMCALL,
            before [$(concat!("xchg ", $lent, ", ", $lender)),*], after [$($back),*],
            inlateout("rcx") $mask => _,
            inlateout("r10") 0_u64 => answer,
            $(inlateout($lender) $argument => $result,)*
            $($operands)*
            options(nostack)
        );
        (status, answer)
    }};
}

/// A call with the whole of a `&mut Regs` except RSP and RBP; RAX comes out in it too.
/// Nothing of it stays in a register.
///
/// `enter` loads more from behind RDI, `leave` stores more behind RAX: at each, these two
/// are the address of the registers.
macro_rules! call_all {
    ($call:ident, $leaf:expr, $regs:expr) => {
        call_all!($call, $leaf, &raw mut *$regs, enter [], leave [],)
    };
    (
        $call:ident, $leaf:expr, $regs:expr,
        enter [$($enter:expr),* $(,)?], leave [$($leave:expr),* $(,)?], $($operands:tt)*
    ) => {{
        let regs: *mut abi::Regs = $regs;
        $call!(
            $leaf,
            before ["push rbp", "push rbx", "push rdi", $($enter,)*
             "mov rcx, [rdi + {rcx}]", "mov rdx, [rdi + {rdx}]", "mov rbx, [rdi + {rbx}]",
             "mov rsi, [rdi + {rsi}]", "mov r8, [rdi + {r8}]", "mov r9, [rdi + {r9}]",
             "mov r10, [rdi + {r10}]", "mov r11, [rdi + {r11}]", "mov r12, [rdi + {r12}]",
             "mov r13, [rdi + {r13}]", "mov r14, [rdi + {r14}]", "mov r15, [rdi + {r15}]",
             "mov rdi, [rdi + {rdi}]"],
            after ["push rax", "mov rax, [rsp + 8]",
             "mov [rax + {rcx}], rcx", "mov [rax + {rdx}], rdx", "mov [rax + {rbx}], rbx",
             "mov [rax + {rsi}], rsi", "mov [rax + {rdi}], rdi", "mov [rax + {r8}], r8",
             "mov [rax + {r9}], r9", "mov [rax + {r10}], r10", "mov [rax + {r11}], r11",
             "mov [rax + {r12}], r12", "mov [rax + {r13}], r13", "mov [rax + {r14}], r14",
             "mov [rax + {r15}], r15", "pop qword ptr [rax + {rax}]", $($leave,)*
             "mov rax, [rax + {rax}]", "add rsp, 8", "pop rbx", "pop rbp",
             "xor ecx, ecx", "xor edx, edx", "xor esi, esi", "xor edi, edi",
             "xor r8d, r8d", "xor r9d, r9d", "xor r10d, r10d", "xor r11d, r11d",
             "xor r12d, r12d", "xor r13d, r13d", "xor r14d, r14d", "xor r15d, r15d",
             "xorps xmm0, xmm0", "xorps xmm1, xmm1", "xorps xmm2, xmm2", "xorps xmm3, xmm3",
             "xorps xmm4, xmm4", "xorps xmm5, xmm5", "xorps xmm6, xmm6", "xorps xmm7, xmm7",
             "xorps xmm8, xmm8", "xorps xmm9, xmm9", "xorps xmm10, xmm10",
             "xorps xmm11, xmm11", "xorps xmm12, xmm12", "xorps xmm13, xmm13",
             "xorps xmm14, xmm14", "xorps xmm15, xmm15"],
            inlateout("rdi") regs => _,
            out("rcx") _, out("rdx") _, out("rsi") _, out("r8") _, out("r9") _, out("r10") _,
            out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            rax = const core::mem::offset_of!(abi::Regs, rax),
            rcx = const core::mem::offset_of!(abi::Regs, rcx),
            rdx = const core::mem::offset_of!(abi::Regs, rdx),
            rbx = const core::mem::offset_of!(abi::Regs, rbx),
            rsi = const core::mem::offset_of!(abi::Regs, rsi),
            rdi = const core::mem::offset_of!(abi::Regs, rdi),
            r8 = const core::mem::offset_of!(abi::Regs, r8),
            r9 = const core::mem::offset_of!(abi::Regs, r9),
            r10 = const core::mem::offset_of!(abi::Regs, r10),
            r11 = const core::mem::offset_of!(abi::Regs, r11),
            r12 = const core::mem::offset_of!(abi::Regs, r12),
            r13 = const core::mem::offset_of!(abi::Regs, r13),
            r14 = const core::mem::offset_of!(abi::Regs, r14),
            r15 = const core::mem::offset_of!(abi::Regs, r15),
            $($operands)*
        )
    }};
}

/// A TDCALL with all registers: `tdcall_all!(leaf, &mut regs)`.
macro_rules! tdcall_all {
    ($leaf:expr, $regs:expr) => {
        call_all!(tdcall, $leaf, $regs)
    };
}

/// A SEAMCALL with all registers: `seamcall_all!(leaf, &mut regs)`.
macro_rules! seamcall_all {
    ($leaf:expr, $regs:expr) => {
        call_all!(seamcall, $leaf, $regs)
    };
}

/// A SEAMCALL with all registers, RBP and XMM0-15 among them:
/// `seamcall_file!(leaf, &mut file)`.
macro_rules! seamcall_file {
    ($leaf:expr, $file:expr) => {{
        let file: &mut abi::RegisterFile = $file;
        call_all!(
            seamcall, $leaf, (&raw mut *file).cast::<abi::Regs>(),
            enter [
                "movaps xmm0, [rdi + {xmm}]", "movaps xmm1, [rdi + {xmm} + 0x10]",
                "movaps xmm2, [rdi + {xmm} + 0x20]", "movaps xmm3, [rdi + {xmm} + 0x30]",
                "movaps xmm4, [rdi + {xmm} + 0x40]", "movaps xmm5, [rdi + {xmm} + 0x50]",
                "movaps xmm6, [rdi + {xmm} + 0x60]", "movaps xmm7, [rdi + {xmm} + 0x70]",
                "movaps xmm8, [rdi + {xmm} + 0x80]", "movaps xmm9, [rdi + {xmm} + 0x90]",
                "movaps xmm10, [rdi + {xmm} + 0xA0]", "movaps xmm11, [rdi + {xmm} + 0xB0]",
                "movaps xmm12, [rdi + {xmm} + 0xC0]", "movaps xmm13, [rdi + {xmm} + 0xD0]",
                "movaps xmm14, [rdi + {xmm} + 0xE0]", "movaps xmm15, [rdi + {xmm} + 0xF0]",
                "mov rbp, [rdi + {rbp}]"
            ],
            leave [
                "movaps [rax + {xmm}], xmm0", "movaps [rax + {xmm} + 0x10], xmm1",
                "movaps [rax + {xmm} + 0x20], xmm2", "movaps [rax + {xmm} + 0x30], xmm3",
                "movaps [rax + {xmm} + 0x40], xmm4", "movaps [rax + {xmm} + 0x50], xmm5",
                "movaps [rax + {xmm} + 0x60], xmm6", "movaps [rax + {xmm} + 0x70], xmm7",
                "movaps [rax + {xmm} + 0x80], xmm8", "movaps [rax + {xmm} + 0x90], xmm9",
                "movaps [rax + {xmm} + 0xA0], xmm10", "movaps [rax + {xmm} + 0xB0], xmm11",
                "movaps [rax + {xmm} + 0xC0], xmm12", "movaps [rax + {xmm} + 0xD0], xmm13",
                "movaps [rax + {xmm} + 0xE0], xmm14", "movaps [rax + {xmm} + 0xF0], xmm15",
                "mov [rax + {rbp}], rbp"
            ],
            xmm = const core::mem::offset_of!(abi::RegisterFile, xmm),
            rbp = const core::mem::offset_of!(abi::RegisterFile, gprs.rbp),
        )
    }};
}

/// Clears caller-saved registers in which something came that is not asked for after all:
/// on the way of an error, the results.
///
/// That way is seldom taken. Being instructions, this also keeps it a way of its own: the
/// compiler does not compute the answers of both ways and choose, which every call would pay.
macro_rules! forget {
    ($($register:tt),*) => {
        // SAFETY: clears registers that are declared.
        unsafe {
            core::arch::asm!(
                $(concat!("xor ", $register, ", ", $register),)*
                $(out($register) _,)*
                options(nomem, nostack)
            );
        }
    };
}
