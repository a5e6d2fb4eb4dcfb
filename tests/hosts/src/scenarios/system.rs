//! From the first SEAMCALL to READY.
#![expect(unsafe_code, reason = "leaves that write memory or take it")]

use abi::field::{FieldId, sys};
use abi::leaf::tdh;
use abi::tdmr::TdmrInfo;
use abi::{Gpr, Hpa, Operand, Status};
use conformance::Check;
use conformance::Value::{self, At, Is};
use tdcall::host::{self, SysInfoSizes};
use zerocopy::IntoBytes;

use crate::bare;
use crate::place::{Buffer, Place};
use crate::run::{Run, What};
use crate::tables::{system, tdmrs};

const SOURCE: &str = "ABI-H 3.5";
/// More fields than the module has.
const MAX_FIELDS: u32 = 4096;
/// Quadwords of TDSYSINFO_STRUCT that are global fields.
const INFO: [(u64, FieldId); 4] = [
    (64, sys::ATTRIBUTES_FIXED0),
    (72, sys::ATTRIBUTES_FIXED1),
    (80, sys::XFAM_FIXED0),
    (88, sys::XFAM_FIXED1),
];
/// Operands of SYS.CONFIG that have no fault.
const CONFIG: &[(Gpr, Value<Place>)] = &[
    (Gpr::Rcx, At(Place::Buffer(Buffer::TdmrArray))),
    (Gpr::Rdx, Is(2)),
    (Gpr::R8, At(Place::Hkid(0))),
];

/// Leaves that work before the module is READY.
pub(crate) const EARLY: [u64; 9] = [
    tdh::SYS_KEY_CONFIG,
    tdh::SYS_INFO,
    tdh::SYS_INIT,
    tdh::SYS_RD,
    tdh::SYS_LP_INIT,
    tdh::SYS_RDALL,
    tdh::SYS_LP_SHUTDOWN,
    tdh::SYS_CONFIG,
    tdh::SYS_UPDATE,
];
/// Leaves that need a module that is READY.
pub(super) const READY_ONLY: [u64; 38] = [
    tdh::VP_ENTER,
    tdh::MNG_ADDCX,
    tdh::MEM_PAGE_ADD,
    tdh::MEM_SEPT_ADD,
    tdh::VP_ADDCX,
    tdh::MEM_PAGE_RELOCATE,
    tdh::MEM_PAGE_AUG,
    tdh::MEM_RANGE_BLOCK,
    tdh::MNG_KEY_CONFIG,
    tdh::MNG_CREATE,
    tdh::VP_CREATE,
    tdh::MNG_RD,
    tdh::MEM_RD,
    tdh::MNG_WR,
    tdh::MEM_WR,
    tdh::MEM_PAGE_DEMOTE,
    tdh::MR_EXTEND,
    tdh::MR_FINALIZE,
    tdh::VP_FLUSH,
    tdh::MNG_VPFLUSHDONE,
    tdh::MNG_KEY_FREEID,
    tdh::MNG_INIT,
    tdh::VP_INIT,
    tdh::MEM_PAGE_PROMOTE,
    tdh::PHYMEM_PAGE_RDMD,
    tdh::MEM_SEPT_RD,
    tdh::VP_RD,
    tdh::MNG_KEY_RECLAIMID,
    tdh::PHYMEM_PAGE_RECLAIM,
    tdh::MEM_PAGE_REMOVE,
    tdh::MEM_SEPT_REMOVE,
    tdh::SYS_TDMR_INIT,
    tdh::MEM_TRACK,
    tdh::MEM_RANGE_UNBLOCK,
    tdh::PHYMEM_CACHE_WB,
    tdh::PHYMEM_PAGE_WBINVD,
    tdh::VP_WR,
    tdh::SYS_SHUTDOWN,
];

pub(super) fn run(run: &mut Run) {
    run.table(system::DISPATCH);
    reserved(run);
    not_ready(run);
    run.table(system::PENDING);
    run.table(system::INIT_DONE);
    run.table(system::QUERIES);
    queries(run);
    not_ready(run);
    config(run);
    run.table(system::CONFIG_DONE);
    not_ready(run);
    run.typed(
        &What(tdh::SYS_KEY_CONFIG, SOURCE, "the module gets its key"),
        host::sys_key_config(),
        &(),
    );
    run.table(system::READY);
    tdmr_init(run);
    run.table(system::TDMRS);
}

/// Every leaf looks at RAX before everything else.
fn reserved(run: &mut Run) {
    for leaf in READY_ONLY.into_iter().chain(EARLY) {
        run.check(&Check {
            name: "RAX bit 24 is reserved",
            rax: leaf | 1 << 24,
            source: "ABI-H 1.5",
            input: &[],
            status: Status::OPERAND_INVALID.with_operand(Operand::Rax),
            output: &[],
        });
    }
}

/// Every leaf that needs a TD says that the system is not ready, whatever its operands.
fn not_ready(run: &mut Run) {
    for rax in READY_ONLY {
        run.check(&Check {
            name: "the system is not ready",
            rax,
            source: "ABI-H 1.5",
            input: &[],
            status: Status::SYS_NOT_READY,
            output: &[],
        });
    }
}

/// The typed functions that ask the module, compared with each other.
fn queries(run: &mut Run) {
    let mut next = Some(FieldId::NULL);
    let mut fields = 0;
    let walked = loop {
        let Some(field) = next else { break true };
        match host::sys_rd_next(field) {
            Ok(read) if fields < MAX_FIELDS => next = read.next,
            _ => break false,
        }
        fields += 1;
    };
    run.holds(&What(tdh::SYS_RD, SOURCE, "each field names the next, to the last"), walked);

    let [info, cmrs] =
        [Buffer::SysInfo, Buffer::Cmrs].map(|buffer| run.address(Place::Buffer(buffer)));
    // SAFETY: the buffers are the pool's, where no Rust object is.
    let sizes = unsafe { host::sys_info(info, cmrs) };
    let expected = SysInfoSizes { info_bytes: 1024, cmrs: 32 };
    run.typed(&What(tdh::SYS_INFO, SOURCE, "it tells how much it wrote"), sizes, &expected);
    for (offset, field) in INFO {
        let word = bare::read(info.bits() + offset);
        let what = What(tdh::SYS_INFO, SOURCE, "SYS.RD gives the same number");
        run.typed(&What(tdh::SYS_RD, SOURCE, what.2), host::sys_rd(field), &word);
    }
    for index in 0..32 {
        let base = bare::read(cmrs.bits() + 16 * u64::from(index));
        let size = bare::read(cmrs.bits() + 16 * u64::from(index) + 8);
        let read = host::sys_rd(sys::CMR_BASE.element(index)) == Ok(base)
            && host::sys_rd(sys::CMR_SIZE.element(index)) == Ok(size);
        if !read || index == 31 {
            run.holds(&What(tdh::SYS_INFO, SOURCE, "the CMRs are those of SYS.RD"), read);
        }
    }
    let list = run.address(Place::Buffer(Buffer::List));
    // SAFETY: the buffer is the pool's, where no Rust object is.
    let read = unsafe { host::sys_rdall(list, FieldId::NULL) };
    run.typed(&What(tdh::SYS_RDALL, SOURCE, "there are no more fields"), read, &None);
    let what = What(tdh::SYS_RDALL, SOURCE, "the list has what SYS.RD gives");
    run.holds(&what, list_is_right(list.bits(), fields - 1));
    run.typed(&What(tdh::SYS_LP_SHUTDOWN, SOURCE, "it does nothing"), host::sys_lp_shutdown(), &());
}

/// Whether the metadata list at `list` has `fields` elements, each with the value of SYS.RD.
/// [ABI-H 4.4]
fn list_is_right(list: u64, fields: u32) -> bool {
    let header = bare::read(list);
    let (end, sequences) = (list + (header & 0xFFFF), header >> 16 & 0xFFFF);
    let (mut at, mut found) = (list + 8, 0);
    for _ in 0..sequences {
        let id = bare::read(at);
        let elements = (id >> 34 & 0xF) + 1;
        let count = elements * ((id >> 38 & 0x1FF) + 1);
        let first = FieldId(id & !(0x1FFF << 34));
        for index in 0..count as u32 {
            at += 8;
            if at >= end || host::sys_rd(first.element(index)) != Ok(bare::read(at)) {
                return false;
            }
            found += 1;
        }
        at += 8;
    }
    header >> 32 == 0 && at == end && found == fields
}

fn config(run: &mut Run) {
    run.table(system::CONFIG_OPERANDS);
    for fault in tdmrs::FAULTS {
        let mut infos = tdmrs::good(&run.pool);
        (fault.change)(&mut infos, &run.pool);
        write(run, &infos);
        run.check(&Check {
            name: fault.name,
            rax: tdh::SYS_CONFIG,
            source: SOURCE,
            input: CONFIG,
            status: fault.status,
            output: &[],
        });
    }
    let array = write(run, &tdmrs::good(&run.pool));
    let second = bare::read(array.bits() + 8);
    bare::write(array.bits() + 8, &[second + 8]);
    run.check(&Check {
        name: "the second TDMR_INFO is not aligned to 512",
        rax: tdh::SYS_CONFIG,
        source: SOURCE,
        input: CONFIG,
        status: Status::OPERAND_INVALID.with_operand(Operand::Rcx),
        output: &[],
    });
    bare::write(array.bits() + 8, &[second]);
    let hkid = run.pool.resolve(Place::Hkid(0)) as u16;
    let done = sys_config(array, hkid);
    run.typed(&What(tdh::SYS_CONFIG, SOURCE, "two TDMRs without fault"), done, &());
}

/// SYS.CONFIG of two TDMRs that [`write`] wrote.
pub(crate) fn sys_config(array: Hpa, hkid: u16) -> Result<(), Status> {
    // SAFETY: the PAMTs are the pool's, where no Rust object is.
    unsafe { host::sys_config(array, 2, hkid) }
}

/// Writes the TDMR_INFOs; gives the array of their addresses.
pub(crate) fn write(run: &Run, infos: &[TdmrInfo; 2]) -> Hpa {
    let [array, at] =
        [Buffer::TdmrArray, Buffer::Tdmrs].map(|buffer| run.address(Place::Buffer(buffer)));
    for (index, info) in (0..).zip(infos) {
        let to = at.bits() + 512 * index;
        bare::write_bytes(to, info.as_bytes());
        bare::write(array.bits() + 8 * index, &[to]);
    }
    array
}

/// All of TDMR 0, in 256 calls.
fn tdmr_init(run: &mut Run) {
    let mut calls = 0;
    let next = loop {
        calls += 1;
        match host::sys_tdmr_init(Hpa::new(0)) {
            Ok(0) if calls < 256 => {}
            next => break next,
        }
    };
    run.typed(
        &What(tdh::SYS_TDMR_INIT, SOURCE, "a GiB takes 256 calls"),
        next.map(|next| (next, calls)),
        &(1 << 30, 256),
    );
}
