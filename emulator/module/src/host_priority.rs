//! A TDCALL that lost a lock to the host. [ABI-G 1]
//!
//! The guest sees OPERAND_BUSY and tries again. If it keeps losing for HP_LOCK_TIMEOUT, the
//! TD exits, so that the VMM learns what it does to the TD. [ABI-H 5.7]

use abi::Status;

use crate::machine::{Outcome, TdExit};
use crate::tdg::Call;

/// Ticks of a time stamp counter of 25 MHz in a microsecond.
const TICKS_PER_US: u64 = 25;

/// What the call ends with.
pub(crate) fn settle(
    call: &mut Call<'_>,
    answer: Result<Status, Outcome>,
) -> Result<Status, Outcome> {
    let lost = answer.ok().filter(|status| status.is(Status::OPERAND_BUSY_HOST_PRIORITY));
    let Some(lost) = lost else {
        call.tdvps.host_priority_since = 0;
        return answer;
    };
    let busy = Status::OPERAND_BUSY.with_detail(lost.detail());
    let now = call.m.tsc();
    let since = &mut call.tdvps.host_priority_since;
    if *since == 0 {
        *since = now.max(1);
    } else if now.wrapping_sub(*since) >= timeout(call) {
        call.tdvps.host_priority_since = 0;
        call.tdvps.gprs.rax = busy.0;
        call.tdvps.store(call.m, call.v.tdvpr);
        return Err(Outcome::Exit(TdExit::HostPriorityTimeout));
    }
    Ok(busy)
}

/// HP_LOCK_TIMEOUT in ticks.
fn timeout(call: &Call<'_>) -> u64 {
    let tdcs = &call.td.tdcs;
    tdcs.hp_lock_timeout * u64::from(tdcs.tsc_frequency_25mhz) * TICKS_PER_US
}
