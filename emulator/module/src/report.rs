//! TDREPORT: what the CPU and the module say of a TD, and the MAC over it. [ABI-G 13]
//!
//! What an emulated machine can say of itself:
//!
//! | field | value |
//! |---|---|
//! | CPUSVN, TEE_TCB_SVN, TEE_TCB_SVN2 | 0: no security version is claimed |
//! | MRSEAM | SHA-384 of [`NAME`]: a name, not a measurement, and nobody else's |
//! | MRSIGNERSEAM, ATTRIBUTES | 0, and not marked as meaningful |
//! | VALID | 0x301FF: itself, TEE_TCB_SVN, MRSEAM, TEE_TCB_SVN2 |
//! | MAC | HMAC-SHA-256 over the 224 bytes before it, under a key of this run |
//!
//! So a report proves that it was made by this run of this module, and nothing else.

use abi::Status;
use abi::report::{REPORT_DATA_BYTES, ReportMac, TdInfo, TdReport, TeeTcbInfo};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha384};
use zerocopy::{FromZeros, IntoBytes};

use crate::machine::Machine;
use crate::td::tdcs::Tdcs;

/// What MRSEAM is the digest of.
const NAME: &[u8] = b"tdlet: an emulated TDX module";

const TYPE_TDX: u8 = 0x81;
/// VALID, TEE_TCB_SVN, MRSEAM and TEE_TCB_SVN2, 8 bytes a bit.
const VALID: u64 = 0x3_01FF;
/// Bytes of TEE_TCB_INFO proper; TEE_TCB_INFO_HASH leaves out the 17 after them.
const TEE_TCB_INFO_BYTES: usize = 239;
/// Bytes that the MAC covers.
const MAC_INPUT_BYTES: usize = 224;

/// The key of the MAC. It never leaves the module.
pub(crate) type Key = [u64; 4];

/// A key for this run.
pub(crate) fn new_key(m: &mut dyn Machine) -> Key {
    core::array::from_fn(|_| m.random())
}

/// The report of the TD with `data` in it.
pub(crate) fn make(key: &Key, tdcs: &Tdcs, data: [u8; REPORT_DATA_BYTES]) -> TdReport {
    let mut report = TdReport::new_zeroed();
    report.td_info = td_info(tdcs);
    report.tee_tcb_info = tee_tcb_info();
    let tcb = report.tee_tcb_info.as_bytes();
    report.mac.tee_type = TYPE_TDX;
    report.mac.tee_tcb_info_hash = digest(tcb.get(..TEE_TCB_INFO_BYTES).unwrap_or(tcb));
    report.mac.tee_info_hash = digest(report.td_info.as_bytes());
    report.mac.report_data = data;
    report.mac.mac = mac(key, &report.mac).finalize().into_bytes().into();
    report
}

/// Checks a REPORTMACSTRUCT: the CPU's version first, then the MAC, which covers the
/// rest of the structure.
pub(crate) fn verify(key: &Key, report: &ReportMac) -> Status {
    if report.cpusvn != [0; 16] {
        return Status::INVALID_CPUSVN;
    }
    if report.tee_type != TYPE_TDX || mac(key, report).verify_slice(&report.mac).is_err() {
        return Status::INVALID_REPORTMACSTRUCT;
    }
    Status::SUCCESS
}

fn td_info(tdcs: &Tdcs) -> TdInfo {
    TdInfo {
        attributes: tdcs.attributes,
        xfam: tdcs.xfam,
        mrtd: tdcs.mrtd,
        mrconfigid: tdcs.mrconfigid,
        mrowner: tdcs.mrowner,
        mrownerconfig: tdcs.mrownerconfig,
        rtmr: tdcs.rtmr,
        servtd_hash: tdcs.servtd_hash,
        _rsvd_1c0: [0; 64],
    }
}

fn tee_tcb_info() -> TeeTcbInfo {
    TeeTcbInfo { valid: VALID, mrseam: digest(NAME), ..TeeTcbInfo::new_zeroed() }
}

fn digest(bytes: &[u8]) -> [u8; 48] {
    Sha384::digest(bytes).into()
}

fn mac(key: &Key, report: &ReportMac) -> Hmac<Sha256> {
    let bytes = report.as_bytes();
    // HMAC fills a key that is shorter than a block with zeros.
    let mut block = [0; 64];
    for (bytes, word) in block.as_chunks_mut::<8>().0.iter_mut().zip(key) {
        *bytes = word.to_le_bytes();
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(bytes.get(..MAC_INPUT_BYTES).unwrap_or(bytes));
    mac
}
