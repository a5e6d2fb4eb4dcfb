//! A TD that is finished, and runs: its measurement, its fields, its exits.
#![expect(unsafe_code, reason = "leaves that take pages")]

use abi::field::{FieldId, td, vp};
use abi::leaf::tdh;
use abi::{PageLevel, PrivateGpa, Status};
use image::Mrtd;
use tdcall::host::{self, FieldRead};

use super::{enter, exposed, memory, operands};
use crate::guest::{self, PDPT, PML4};
use crate::place::Buffer::{Shared, SharedEpt};
use crate::place::Place::{Buffer as In, Page, Tdr, Tdvpr};
use crate::run::{Run, What};
use crate::tables::enter as exits;
use crate::tables::entry::CODE;
use crate::tables::operands::{RUNNABLE, TDR, TDVPR};
use crate::tables::{enter as refused, fields};
use crate::{bare, tables};

/// More fields than a TD or a vCPU has.
const MAX_FIELDS: u32 = 1 << 14;
/// An entry of the shared EPT that is not there: suppress-#VE. [ABI-G 10]
const ABSENT: u64 = 1 << 63;
/// Of one that leads on: R W X.
const TABLE: u64 = ABSENT | 7;
/// Of one that maps: write-back, R W X.
const MAPS: u64 = ABSENT | 6 << 3 | 7;
/// W without R.
const NONSENSE: u64 = ABSENT | 2;

/// A TD from its last page to its last exit but one.
pub(super) fn run(run: &mut Run) {
    finalized(run);
    fields(run);
    runs(run);
    tracking(run);
}

/// Adds the guest's code and finishes the TD.
fn finalized(run: &mut Run) {
    for (gpa, page) in [(CODE, 4), (PDPT, 5), (PML4, 6)] {
        guest::write_source(&run.pool, gpa);
        memory::add_page(run, gpa, page);
        memory::extend(run, gpa);
    }
    let done = host::mr_finalize(run.address(Tdr));
    run.typed(&What(tdh::MR_FINALIZE, "ABI-H 3.7", "a TD with vCPUs"), done, &());
    let expected = measurement(run);
    let tdr = run.address(Tdr);
    for (index, word) in (0..).zip(expected.as_chunks::<8>().0) {
        let what = What(tdh::MNG_RD, "ABI-H 6", "MRTD is what the calls make it");
        let read = host::mng_rd(tdr, td::MRTD.element(index));
        run.typed(&what, read, &u64::from_le_bytes(*word));
    }
    operands::state(run, "the TD is finished", TDR, RUNNABLE, Status::OP_STATE_INCORRECT);
    operands::state(run, "the TD is finished", TDVPR, RUNNABLE, Status::OP_STATE_INCORRECT);
}

/// MRTD, computed from what this program did. [ABI-H 6]
fn measurement(run: &Run) -> [u8; 48] {
    let source = run.pool.resolve(In(crate::place::Buffer::Source));
    let mut mrtd = Mrtd::new();
    for gpa in [0, CODE, PDPT, PML4] {
        guest::write_source(&run.pool, gpa);
        mrtd.page_add(gpa);
        for offset in (0..abi::PAGE_SIZE).step_by(256) {
            let mut chunk = [0; 256];
            for (index, word) in (0..).zip(chunk.as_chunks_mut::<8>().0) {
                *word = bare::read(source + offset + 8 * index).to_le_bytes();
            }
            mrtd.extend(gpa + offset, &chunk);
        }
    }
    mrtd.finish()
}

/// MNG.RD, MNG.WR, VP.RD and VP.WR.
fn fields(run: &mut Run) {
    run.table(fields::TD);
    run.table(fields::VCPU);
    run.table(tables::debug::NO_DEBUG);
    let (tdr, tdvpr) = (run.address(Tdr), run.address(Tdvpr(0)));
    let what = What(tdh::MNG_RD, "ABI-H 4.4", "each field names the next, to the last");
    run.holds(&what, walk(|field| host::mng_rd_next(tdr, field)));
    let what = What(tdh::VP_RD, "ABI-H 4.4", "each field names the next, to the last");
    run.holds(&what, walk(|field| host::vp_rd_next(tdvpr, field)));

    let what = What(tdh::MNG_WR, "ABI-H 4.6", "HP_LOCK_TIMEOUT of 20 ms");
    let old = host::mng_rd(tdr, td::HP_LOCK_TIMEOUT);
    let written = host::mng_wr(tdr, td::HP_LOCK_TIMEOUT, 20_000, u64::MAX);
    run.typed(&what, written, &old.unwrap_or(0));
    let what = What(tdh::VP_RD, "ABI-H 4.7", "the one processor");
    run.typed(&what, host::vp_rd(tdvpr, vp::ASSOC_LPID), &0);
    for vcpu in 0..2 {
        let tdvpr = run.address(Tdvpr(vcpu));
        let root = run.pool.resolve(In(SharedEpt(0)));
        let old = host::vp_rd(tdvpr, vp::SHARED_EPTP);
        let what = What(tdh::VP_WR, "ABI-H 4.7", "the root of a shared EPT");
        let written = host::vp_wr(tdvpr, vp::SHARED_EPTP, root, 0x000F_FFFF_FFFF_F000);
        run.typed(&what, written, &old.unwrap_or(0));
    }
}

/// Whether each field names another, until the last names none.
fn walk(read: impl Fn(FieldId) -> Result<FieldRead, Status>) -> bool {
    let mut next = Some(FieldId::NULL);
    for _ in 0..MAX_FIELDS {
        let Some(field) = next else { return true };
        match read(field) {
            Ok(read) => next = read.next,
            Err(_) => return false,
        }
    }
    false
}

/// Two vCPUs run.
fn runs(run: &mut Run) {
    clear_shared_ept(run);
    run.table(refused::REFUSED);
    enter::first(run, 0);
    enter::command(run, "private memory is as it was added", 0, [guest::LOAD, 0x10, 0], 0);
    enter::command(run, "private memory is written", 0, [guest::STORE, 0x10, 77], 77);
    enter::command(run, "private memory is read", 0, [guest::LOAD, 0x10, 0], 77);
    expose(run, "a VMCALL that exposes R10 and R11", 0x0C00);
    expose(run, "a VMCALL that exposes RBX too", 0x0C08);
    expose(run, "a VMCALL that exposes all that it may", 0xFFCC);
    enter::interrupt(run, 0);
    enter::resume(run, "after an asynchronous exit no register comes in", 0, [guest::COUNT, 0], 0);
    enter::typed(run, [guest::LOAD, 0x10], 77);
    exposed::typed(run);
    shared(run);
    accepted(run);
    missing(run);
}

fn expose(run: &mut Run, name: &str, mask: u64) {
    enter::expose(run, name, 0, [guest::EXPOSE, mask, 0], mask);
}

/// Shared memory: absent, misconfigured, mapped.
fn shared(run: &mut Run) {
    enter::leave(run, 0, &exits::SHARED);
    let page = run.pool.resolve(In(Shared));
    bare::write(page + 8, &[0x5EED]);
    let entry = run.pool.resolve(In(SharedEpt(3))) + 8;
    bare::write(entry, &[page | NONSENSE]);
    enter::leave(run, 0, &exits::MISCONFIGURED);
    bare::write(entry, &[page | MAPS]);
    let [load, at, _] = exits::SHARED.command;
    enter::resume(run, "shared memory is the VMM's", 0, [load, at], 0x5EED);
}

/// Four levels of tables for the first 2 MiB of shared memory, all absent.
fn clear_shared_ept(run: &Run) {
    /// Index of the SHARED bit in the root table of 48 bits.
    const SHARED_INDEX: u64 = guest::SHARED_BIT >> 39;
    let table = |level| run.pool.resolve(In(SharedEpt(level)));
    for level in 0..4 {
        bare::write(table(level), &[ABSENT; 512]);
    }
    bare::write(table(0) + SHARED_INDEX * 8, &[table(1) | TABLE]);
    bare::write(table(1), &[table(2) | TABLE]);
    bare::write(table(2), &[table(3) | TABLE]);
}

/// TDG.MEM.PAGE.ACCEPT leaves the TD until there is something to accept.
fn accepted(run: &mut Run) {
    enter::leave(run, 0, &exits::NOT_THERE);
    let page = run.address(Page(8));
    memory::aug(run, exits::ACCEPTED, PageLevel::Size4K, page);
    enter::resume(run, "MEM.PAGE.ACCEPT goes on", 0, [guest::ACCEPT, exits::ACCEPTED], 0);
    enter::command(run, "the page is zeroed", 0, [guest::LOAD, exits::ACCEPTED, 0], 0);
}

/// The second vCPU reads a page that it never gets.
fn missing(run: &mut Run) {
    enter::first(run, 1);
    enter::leave(run, 1, &exits::FREE);
    let page = run.address(Page(7));
    memory::aug(run, exits::MISSING, PageLevel::Size4K, page);
    enter::leave(run, 1, &exits::NOT_ACCEPTED);
    let done = host::mem_range_block(PrivateGpa::new(exits::MISSING), 0, run.address(Tdr));
    run.typed(&What(tdh::MEM_RANGE_BLOCK, "ABI-H 3.8", "a pending page"), done, &());
    for _ in 0..5 {
        enter::leave(run, 1, &exits::PENDING_BLOCKED);
    }
    enter::leave(run, 1, &exits::REFUSED_ENTRY);
    enter::leave(run, 1, &exits::REFUSED_ENTRY);
}

/// Blocking, tracking and what needs it, between runs of the first vCPU.
fn tracking(run: &mut Run) {
    use crate::place::Place::{Large, Sept};
    use tables::entry::BIG;
    use tables::tracking::{BLOCKED, MERGED, SPLIT, TRACKED, UNBLOCKED};
    use tdcall::host::Removed;

    let tdr = run.address(Tdr);
    let (zero, big) = (PrivateGpa::new(0), PrivateGpa::new(BIG));
    let large = run.address(Large(0));
    memory::aug(run, BIG, PageLevel::Size2M, large);
    enter::command(run, "2 MiB are accepted", 0, [guest::ACCEPT, BIG + 1, 0], 0);
    enter::command(run, "2 MiB are used", 0, [guest::STORE, BIG + 0x1238, 0xB16], 0xB16);
    memory::add_table(run, 2 * BIG, 1, 6);
    run.table(UNBLOCKED);
    run.table(BLOCKED);
    enter::leave(run, 0, &exits::BLOCKED);
    track(run);
    run.table(TRACKED);

    let what = What(tdh::MEM_RANGE_UNBLOCK, "ABI-H 3.8", "a tracked page");
    run.typed(&what, host::mem_range_unblock(zero, 0, tdr), &());
    enter::resume(run, "the write is done again", 0, [guest::STORE, 0x18], 0x5AFE);
    let what = What(tdh::MEM_SEPT_REMOVE, "ABI-H 3.8", "a tracked, empty table");
    let removed = Removed { page: run.pool.resolve(Sept(6)) };
    run.typed(&what, host::mem_sept_remove(PrivateGpa::new(2 * BIG), 1, tdr), &removed);
    // SAFETY: a page of the pool, where no Rust object is.
    let done = unsafe { host::mem_page_demote(big, PageLevel::Size2M, tdr, run.address(Sept(5))) };
    run.typed(&What(tdh::MEM_PAGE_DEMOTE, "ABI-H 3.8", "a tracked page"), done, &());
    run.table(SPLIT);
    track(run);
    let what = What(tdh::MEM_PAGE_PROMOTE, "ABI-H 3.8", "512 tracked pages in a row");
    let removed = Removed { page: run.pool.resolve(Sept(5)) };
    run.typed(&what, host::mem_page_promote(big, PageLevel::Size2M, tdr), &removed);
    run.table(MERGED);
    track(run);
    let what = What(tdh::MEM_RANGE_UNBLOCK, "ABI-H 3.8", "a tracked page");
    run.typed(&what, host::mem_range_unblock(big, 1, tdr), &());
    enter::command(run, "nothing was lost", 0, [guest::LOAD, BIG + 0x1238, 0], 0xB16);
    relocated(run);
}

/// A page moves while the vCPU is out; the vCPU does not see it.
fn relocated(run: &mut Run) {
    use tdcall::host::Removed;
    let (tdr, gpa) = (run.address(Tdr), PrivateGpa::new(0));
    let what = What(tdh::MEM_RANGE_BLOCK, "ABI-H 3.8", "a mapped page");
    run.typed(&what, host::mem_range_block(gpa, 0, tdr), &());
    track(run);
    // SAFETY: a page of the pool, where no Rust object is.
    let moved = unsafe { host::mem_page_relocate(gpa, tdr, run.address(Page(9))) };
    let removed = Removed { page: run.pool.resolve(Page(1)) };
    run.typed(&What(tdh::MEM_PAGE_RELOCATE, "ABI-H 3.8", "a tracked page"), moved, &removed);
    enter::command(run, "the content moved with it", 0, [guest::LOAD, 0x18, 0], 0x5AFE);
}

fn track(run: &mut Run) {
    let done = host::mem_track(run.address(Tdr));
    run.typed(&What(tdh::MEM_TRACK, "ABI-H 3.8", "nobody is in the TD"), done, &());
}
