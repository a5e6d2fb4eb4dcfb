//! A child process under ptrace. [`Tracee`] is all that the rest knows of it.
#![expect(unsafe_code, reason = "ptrace")]

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::ptr;

use abi::Regs;
use anyhow::{Context, Result, bail, ensure};

/// The registers of a stopped process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// General-purpose registers.
    pub gprs: Regs,
    /// RIP.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
}

/// Why a process stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A signal that it has not got yet.
    Signal(i32),
    /// It is gone, with this exit code.
    Exited(i32),
}

/// A process that this thread traces. It dies with the tracer.
#[derive(Debug)]
pub struct Tracee {
    child: Child,
    output: Option<ChildStdout>,
}

impl Tracee {
    /// Starts `program` and stops it before its first instruction.
    ///
    /// # Errors
    /// It can not be started or traced.
    pub fn start(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // SAFETY: ptrace is a system call without memory operands here; it is safe between
        // fork and exec.
        unsafe {
            command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            });
        }
        let mut child =
            command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
        let output = child.stdout.take();
        let tracee = Self { child, output };
        ensure!(tracee.wait()? == Stop::Signal(libc::SIGTRAP), "the subject does not stop");
        tracee.request(libc::PTRACE_SETOPTIONS, 0, libc::PTRACE_O_EXITKILL as usize)?;
        Ok(tracee)
    }

    /// Lets it run until it stops.
    ///
    /// # Errors
    /// It can not be traced any more.
    pub fn go_on(&self) -> Result<Stop> {
        self.request(libc::PTRACE_CONT, 0, 0)?;
        self.wait()
    }

    /// Lets it execute one instruction.
    ///
    /// # Errors
    /// It stopped for another reason.
    pub fn step(&self) -> Result<()> {
        self.request(libc::PTRACE_SINGLESTEP, 0, 0)?;
        match self.wait()? {
            Stop::Signal(libc::SIGTRAP) => Ok(()),
            stop => bail!("a single step ended with {stop:?}"),
        }
    }

    /// The registers.
    ///
    /// # Errors
    /// It is not stopped.
    pub fn registers(&self) -> Result<Registers> {
        let user = self.user_registers()?;
        let gprs = Regs {
            rax: user.rax,
            rcx: user.rcx,
            rdx: user.rdx,
            rbx: user.rbx,
            rsp: user.rsp,
            rbp: user.rbp,
            rsi: user.rsi,
            rdi: user.rdi,
            r8: user.r8,
            r9: user.r9,
            r10: user.r10,
            r11: user.r11,
            r12: user.r12,
            r13: user.r13,
            r14: user.r14,
            r15: user.r15,
        };
        Ok(Registers { gprs, rip: user.rip, rflags: user.eflags })
    }

    /// Sets the registers.
    ///
    /// # Errors
    /// It is not stopped.
    pub fn set_registers(&self, registers: &Registers) -> Result<()> {
        let mut user = self.user_registers()?;
        let gprs = &registers.gprs;
        (user.rax, user.rcx, user.rdx, user.rbx) = (gprs.rax, gprs.rcx, gprs.rdx, gprs.rbx);
        (user.rsp, user.rbp, user.rsi, user.rdi) = (gprs.rsp, gprs.rbp, gprs.rsi, gprs.rdi);
        (user.r8, user.r9, user.r10, user.r11) = (gprs.r8, gprs.r9, gprs.r10, gprs.r11);
        (user.r12, user.r13, user.r14, user.r15) = (gprs.r12, gprs.r13, gprs.r14, gprs.r15);
        (user.rip, user.eflags) = (registers.rip, registers.rflags);
        self.request(libc::PTRACE_SETREGS, 0, ptr::from_ref(&user).expose_provenance())
    }

    /// The eight bytes at `address`.
    ///
    /// # Errors
    /// There is no memory.
    pub fn peek(&self, address: u64) -> Result<[u8; 8]> {
        let mut word: libc::c_long = 0;
        // The system call, unlike the library's function, stores the word.
        let into = ptr::from_mut(&mut word).expose_provenance();
        // SAFETY: the system call writes one word to `word`, or nothing.
        let answer = unsafe {
            libc::syscall(libc::SYS_ptrace, libc::PTRACE_PEEKDATA, self.pid(), address, into)
        };
        ensure!(answer != -1, "no memory at {address:#x}: {}", io::Error::last_os_error());
        Ok(word.to_ne_bytes())
    }

    /// All that it printed. To be called when it has exited.
    ///
    /// # Errors
    /// What it printed is not text.
    pub fn output(mut self) -> Result<String> {
        let mut text = String::new();
        if let Some(mut output) = self.output.take() {
            output.read_to_string(&mut text)?;
        }
        Ok(text)
    }

    fn user_registers(&self) -> Result<libc::user_regs_struct> {
        // SAFETY: the structure holds integers alone, for which zero is a value.
        let mut user: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        self.request(libc::PTRACE_GETREGS, 0, ptr::from_mut(&mut user).expose_provenance())?;
        Ok(user)
    }

    /// A ptrace request whose `data`, if it is an address, is that of a live structure of the
    /// kind that the request reads or writes.
    fn request(&self, request: libc::c_uint, address: usize, data: usize) -> Result<()> {
        // SAFETY: the callers above give the structure that belongs to the request.
        let answer = unsafe { libc::ptrace(request, self.pid(), address, data) };
        ensure!(answer != -1, "ptrace request {request}: {}", io::Error::last_os_error());
        Ok(())
    }

    fn wait(&self) -> Result<Stop> {
        let mut status = 0;
        // SAFETY: `status` is written.
        let pid = unsafe { libc::waitpid(self.pid(), &raw mut status, 0) };
        ensure!(pid == self.pid(), "waitpid: {}", io::Error::last_os_error());
        Ok(if libc::WIFSTOPPED(status) {
            Stop::Signal(libc::WSTOPSIG(status))
        } else if libc::WIFEXITED(status) {
            Stop::Exited(libc::WEXITSTATUS(status))
        } else {
            bail!("the subject was killed by signal {}", libc::WTERMSIG(status))
        })
    }

    fn pid(&self) -> libc::pid_t {
        self.child.id().cast_signed()
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        // It is dead already unless there was an error; either way the process is collected.
        let _dead = self.child.kill();
        let _collected = self.child.wait();
    }
}
