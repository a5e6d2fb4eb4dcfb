//! The template: the only place with the TDCALL and SEAMCALL instructions.
//!
//! Both instructions take and give everything in general-purpose registers, RAX being
//! leaf and status. A call site lists what its leaf uses as `asm!` operands; the template
//! adds RAX, and after the instruction clears the registers in `scrub`.
//!
//! | variant | adds |
//! |---|---|
//! | `tdcall!` | nothing |
//! | `seamcall!` | CF = 1 becomes VMFAILINVALID; an exception-table entry, by which the trap handler turns #UD and #GP into software statuses (`arch::extable`, [ABI-H 1.4]) |
//!
//! `before` and `after` are for the two calls that pass more registers than `asm!` can
//! name (RBX is the compiler's): ReportFatalError and VP.ENTER.
//!
//! No call site says `nomem`: PAGE.ACCEPT, MapGPA, PAGE.ADD and others change memory.

/// One TDX call. See the module's documentation.
macro_rules! tdx_call {
    (
        instruction [$($instruction:literal),*], leaf $leaf:expr,
        before [$($before:literal),*], after [$($after:literal),*], scrub [$($scrub:literal),*],
        $($operands:tt)*
    ) => {{
        let status: u64;
        core::arch::asm!(
            $($before,)*
            $($instruction,)*
            $($after,)*
            $(concat!("xor ", $scrub, ", ", $scrub),)*
            inlateout("rax") $leaf => status,
            $($operands)*
        );
        abi::Status(status)
    }};
}

/// A TDCALL: `tdcall!(leaf, [scrubbed registers], operands)`.
macro_rules! tdcall {
    ($leaf:expr, before $before:tt, after $after:tt, scrub $scrub:tt, $($operands:tt)*) => {
        tdx_call!(
            instruction ["tdcall"], leaf $leaf,
            before $before, after $after, scrub $scrub, $($operands)*
        )
    };
    ($leaf:expr, $scrub:tt, $($operands:tt)*) => {
        tdcall!($leaf, before [], after [], scrub $scrub, $($operands)* options(nostack))
    };
}

/// A SEAMCALL: `seamcall!(leaf, operands)`.
macro_rules! seamcall {
    ($leaf:expr, before $before:tt, after $after:tt, scrub $scrub:tt, $($operands:tt)*) => {
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
            leaf $leaf,
            before $before, after $after, scrub $scrub, $($operands)*
        )
    };
    ($leaf:expr, $($operands:tt)*) => {
        seamcall!($leaf, before [], after [], scrub [], $($operands)* options(nostack))
    };
}
