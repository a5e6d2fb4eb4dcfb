//! A TD from nothing to its first vCPU.
#![expect(unsafe_code, reason = "leaves that take pages")]

use abi::leaf::tdh;
use abi::{Gpr, Status};
use conformance::Value::At;
use tdcall::host;
use zerocopy::IntoBytes;

use super::operands;
use crate::bare;
use crate::place::Buffer;
use crate::place::Place::{self, Hkid, Tdcx, Tdr, Tdvpr, Tdvpx};
use crate::run::{Row, Run, What};
use crate::tables::operands::{
    ASKERS, FREE_PAGE, GIVERS_OF_A_TDCX, GIVERS_OF_A_TDR, GIVERS_TO_A_TD, GIVERS_TO_A_VCPU, IS_TDR,
    NO_TDR, TDR, TDVPR, UNINITIALIZED, WALKERS,
};
use crate::tables::{build, params};

const SOURCE: &str = "ABI-H 3.6";
/// What the guest finds in RCX and R8.
pub(super) const INITIAL_RCX: u64 = 0x1234_5678_9ABC_DEF0;

/// From nothing to vCPUs.
pub(super) fn run(run: &mut Run) {
    created(run);
    initialized(run);
    vcpus(run);
}

/// Up to MNG.KEY.CONFIG, with every fault on the way.
fn created(run: &mut Run) {
    run.table(build::UNKNOWN);
    run.table(build::NO_TD);
    run.table(build::NO_KEY);
    operands::given(run, ASKERS, &[]);
    operands::taken(run, TDR, &[FREE_PAGE]);
    operands::taken(run, TDVPR, &[FREE_PAGE]);
    operands::given(run, GIVERS_OF_A_TDR, &[]);

    create(run);
    run.table(build::ASSIGNED);
    operands::state(run, "the TD has no key", TDR, 0, Status::TD_KEYS_NOT_CONFIGURED);
    let done = host::mng_key_config(run.address(Tdr));
    run.typed(&What(tdh::MNG_KEY_CONFIG, SOURCE, "the TD gets its key"), done, &());
    run.typed(
        &What(tdh::MNG_KEY_RECLAIMID, SOURCE, "it does nothing"),
        host::mng_key_reclaimid(run.address(Tdr)),
        &(),
    );
    run.table(build::KEYS);
    operands::given(run, GIVERS_OF_A_TDCX, &[IS_TDR]);
}

/// MNG.CREATE.
pub(super) fn create(run: &mut Run) {
    let hkid = run.pool.resolve(Hkid(1)) as u16;
    // SAFETY: a page of the pool, where no Rust object is.
    let done = unsafe { host::mng_create(run.address(Tdr), hkid) };
    run.typed(&What(tdh::MNG_CREATE, SOURCE, "a page and a key that are nobody's"), done, &());
}

/// TDCS pages.
pub(super) fn add_tdcs(run: &mut Run, from: u8, to: u8) {
    for index in from..to {
        // SAFETY: a page of the pool, where no Rust object is.
        let done = unsafe { host::mng_addcx(run.address(Tdcx(index)), run.address(Tdr)) };
        run.typed(&What(tdh::MNG_ADDCX, SOURCE, "a page that is nobody's"), done, &());
    }
}

/// Up to MNG.INIT.
fn initialized(run: &mut Run) {
    add_tdcs(run, 0, 5);
    operands::state(run, "five TDCS pages are too few", TDR, 0, Status::TDCS_NOT_ALLOCATED);
    add_tdcs(run, 5, 7);
    operands::state(
        run,
        "the TD is not initialised",
        TDR,
        UNINITIALIZED,
        Status::OP_STATE_INCORRECT,
    );
    run.table(build::PARAMS_OPERAND);
    for fault in params::FAULTS {
        let mut td_params = params::good();
        (fault.change)(&mut td_params);
        bare::write_bytes(run.pool.resolve(Place::Buffer(Buffer::Params)), td_params.as_bytes());
        run.check(&Row {
            name: fault.name,
            rax: tdh::MNG_INIT,
            source: "ABI-H 4.1",
            input: &[(Gpr::Rcx, At(Tdr)), (Gpr::Rdx, At(Place::Buffer(Buffer::Params)))],
            status: fault.status,
            output: &[(Gpr::Rcx, conformance::Value::Is(fault.rcx))],
        });
    }
    let params = run.address(Place::Buffer(Buffer::Params));
    bare::write_bytes(params.bits(), params::good().as_bytes());
    let done = host::mng_init(run.address(Tdr), params);
    run.typed(&What(tdh::MNG_INIT, SOURCE, "TD_PARAMS without fault"), done, &());
    run.table(build::INITIALIZED);
    operands::given(run, GIVERS_TO_A_TD, &[IS_TDR]);
    operands::gpas(run, WALKERS);
    operands::walks_without_sept(run, WALKERS);
}

/// Four vCPUs are created, three get their pages, two are initialised.
fn vcpus(run: &mut Run) {
    create_vcpu(run, 0);
    run.table(build::CREATED);
    operands::taken(run, TDR, &[NO_TDR]);
    operands::taken(run, TDVPR, &[IS_TDR]);
    operands::given(run, GIVERS_TO_A_VCPU, &[IS_TDR]);
    fill(run, 0, 5);
    run.table(build::FILLED);
    create_vcpu(run, 1);
    fill(run, 1, 14);
    run.table(build::FIFTEEN);
    create_vcpu(run, 2);
    fill(run, 2, 5);
    create_vcpu(run, 3);

    let what = What(tdh::VP_INIT, SOURCE, "a vCPU with all of its pages, and an x2APIC id");
    run.typed(&what, host::vp_init(run.address(Tdvpr(0)), INITIAL_RCX, 0), &());
    let what = What(tdh::VP_INIT, SOURCE, "a vCPU with more pages than it needs");
    run.typed(&what, host::vp_init_v0(run.address(Tdvpr(1)), INITIAL_RCX), &());
    run.table(build::VCPU_READY);
}

fn create_vcpu(run: &mut Run, vcpu: u8) {
    // SAFETY: a page of the pool, where no Rust object is.
    let done = unsafe { host::vp_create(run.address(Tdvpr(vcpu)), run.address(Tdr)) };
    run.typed(&What(tdh::VP_CREATE, SOURCE, "a page that is nobody's"), done, &());
}

fn fill(run: &mut Run, vcpu: u8, pages: u8) {
    for page in 0..pages {
        // SAFETY: a page of the pool, where no Rust object is.
        let done =
            unsafe { host::vp_addcx(run.address(Tdvpx(vcpu, page)), run.address(Tdvpr(vcpu))) };
        run.typed(&What(tdh::VP_ADDCX, SOURCE, "a page that is nobody's"), done, &());
    }
}
