//! TDREPORT and RTMRs: what the module says has to fit together, hash by hash.

use abi::report::{DIGEST_BYTES, ReportMac, TdReport};
use sha2::{Digest, Sha384};
use zerocopy::IntoBytes;

use super::step::Steps;
use crate::Kernel;
use crate::attest::{self, AttestError, Rtmr};

/// TEE type of a TD's report.
const TDX: u8 = 0x81;
/// Bytes of the TEE_TCB_INFO that are defined; whether the hash is of these or of all is the
/// CPU's to say. [ABI-G 13]
const TCB_INFO_BYTES: usize = 239;
/// REPORTDATA of the checks.
const DATA: [u8; 64] = [0x5A; 64];

/// A report has what it was asked for, this TD's attributes, and hashes of its own parts.
pub(super) fn report(steps: &mut Steps, kernel: &mut Kernel) {
    let Some(report) = made(steps, attest::report(&kernel.memory, &DATA)) else { return };
    let TdReport { mac, tee_tcb_info, td_info } = &*report;
    steps.equal("TEE type", mac.tee_type.into(), TDX.into());
    steps.holds("REPORTDATA is ours", mac.report_data == DATA);
    steps.equal("ATTRIBUTES", td_info.attributes, kernel.vp.attributes.bits());
    let tcb = tee_tcb_info.as_bytes();
    let hashes = [TCB_INFO_BYTES, tcb.len()].map(|bytes| tcb.get(..bytes).map(hash));
    steps.holds("hash of TEE_TCB_INFO", hashes.contains(&Some(mac.tee_tcb_info_hash)));
    steps.holds("hash of TDINFO", mac.tee_info_hash == hash(td_info.as_bytes()));
    steps.holds("MRTD is not zero", td_info.mrtd != [0; DIGEST_BYTES]);
}

/// The platform knows its own report, and no other.
pub(super) fn verify(steps: &mut Steps, kernel: &mut Kernel) {
    let Some(report) = made(steps, attest::report(&kernel.memory, &DATA)) else { return };
    let own = attest::verify(&kernel.memory, &report.mac);
    steps.holds("our report is genuine", own.is_ok());
    let mut forged: ReportMac = report.mac.clone();
    forged.report_data[0] ^= 1;
    let other = attest::verify(&kernel.memory, &forged);
    steps.holds("a forged one is not", matches!(other, Err(AttestError::Refused(_))));
}

/// RTMR3 becomes the hash of what it was and what it is extended with.
pub(super) fn rtmr(steps: &mut Steps, kernel: &mut Kernel) {
    const INDEX: usize = 3;
    let digest = hash(b"tdlet");
    let Some(before) = made(steps, attest::report(&kernel.memory, &DATA)) else { return };
    if made(steps, attest::extend(&kernel.memory, Rtmr::Rtmr3, &digest)).is_none() {
        return;
    }
    let Some(after) = made(steps, attest::report(&kernel.memory, &DATA)) else { return };
    let mut expected = before.td_info.rtmr;
    expected[INDEX] = hash(&[expected[INDEX], digest].concat());
    steps.holds("RTMR3 is extended, the others are not", after.td_info.rtmr == expected);
}

/// The value; notes a failure if there is none.
fn made<T>(steps: &mut Steps, result: Result<T, AttestError>) -> Option<T> {
    match &result {
        Ok(_) => {}
        Err(AttestError::Refused(status)) => steps.equal("the module's answer", status.0, 0),
        Err(AttestError::NoAddress) => steps.holds("the buffer is private memory", false),
    }
    result.ok()
}

fn hash(bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    Sha384::digest(bytes).into()
}
