//! TDREPORT_STRUCT: what TDG.MR.REPORT writes. [ABI-G 13]

use core::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Alignment of the report's GPA.
pub const REPORT_ALIGNMENT: u64 = 1024;
/// Bytes, and alignment, of REPORTDATA.
pub const REPORT_DATA_BYTES: usize = 64;
/// Bytes of a measurement: SHA-384.
pub const DIGEST_BYTES: usize = 48;

/// REPORTMACSTRUCT: the part that the MAC covers; TDG.MR.VERIFYREPORT takes it alone.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ReportMac {
    /// 0x81: TDX.
    pub tee_type: u8,
    /// 0.
    pub subtype: u8,
    /// 0, or 1 if a service TD is bound.
    pub version: u8,
    /// Zero.
    pub _rsvd_003: [u8; 13],
    /// Security version of the CPU.
    pub cpusvn: [u8; 16],
    /// SHA-384 of the TEE_TCB_INFO.
    pub tee_tcb_info_hash: [u8; DIGEST_BYTES],
    /// SHA-384 of the TDINFO_STRUCT.
    pub tee_info_hash: [u8; DIGEST_BYTES],
    /// What the TD gave.
    pub report_data: [u8; REPORT_DATA_BYTES],
    /// Zero.
    pub _rsvd_0c0: [u8; 32],
    /// The MAC, under a key that the CPU keeps.
    pub mac: [u8; 32],
}

/// TEE_TCB_INFO: the TDX module.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct TeeTcbInfo {
    /// Bit *i*: the eight bytes at 8 * *i* mean something.
    pub valid: u64,
    /// Security versions of the module.
    pub tee_tcb_svn: [u8; 16],
    /// Measurement of the module.
    pub mrseam: [u8; DIGEST_BYTES],
    /// Its signer; zero for Intel.
    pub mrsignerseam: [u8; DIGEST_BYTES],
    /// Attributes of the module.
    pub attributes: u64,
    /// Security versions of the running module (TD preserving).
    pub tee_tcb_svn2: [u8; 16],
    /// Zero.
    pub _rsvd_090: [u8; 112],
}

/// TDINFO_STRUCT: the TD.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct TdInfo {
    /// ATTRIBUTES.
    pub attributes: u64,
    /// XFAM.
    pub xfam: u64,
    /// Measurement of the initial memory.
    pub mrtd: [u8; DIGEST_BYTES],
    /// MRCONFIGID of TD_PARAMS.
    pub mrconfigid: [u8; DIGEST_BYTES],
    /// MROWNER of TD_PARAMS.
    pub mrowner: [u8; DIGEST_BYTES],
    /// MROWNERCONFIG of TD_PARAMS.
    pub mrownerconfig: [u8; DIGEST_BYTES],
    /// The run-time measurements.
    pub rtmr: [[u8; DIGEST_BYTES]; 4],
    /// Hash over the bound service TDs; zero if none is.
    pub servtd_hash: [u8; DIGEST_BYTES],
    /// Zero.
    pub _rsvd_1c0: [u8; 64],
}

/// TDREPORT_STRUCT, 1024 bytes, 1024-aligned.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct TdReport {
    /// What is authenticated, and by what.
    pub mac: ReportMac,
    /// The module.
    pub tee_tcb_info: TeeTcbInfo,
    /// The TD.
    pub td_info: TdInfo,
}

const _: () = assert!(size_of::<ReportMac>() == 256);
const _: () = assert!(offset_of!(ReportMac, tee_info_hash) == 80);
const _: () = assert!(offset_of!(ReportMac, report_data) == 128);
const _: () = assert!(offset_of!(ReportMac, mac) == 224);
const _: () = assert!(size_of::<TeeTcbInfo>() == 256);
const _: () = assert!(offset_of!(TdReport, tee_tcb_info.mrseam) == 280);
const _: () = assert!(offset_of!(TdReport, tee_tcb_info.attributes) == 376);
const _: () = assert!(offset_of!(TdReport, tee_tcb_info.tee_tcb_svn2) == 384);
const _: () = assert!(size_of::<TdInfo>() == 512);
const _: () = assert!(offset_of!(TdReport, td_info.mrtd) == 528);
const _: () = assert!(offset_of!(TdReport, td_info.rtmr) == 720);
const _: () = assert!(offset_of!(TdReport, td_info.servtd_hash) == 912);
const _: () = assert!(size_of::<TdReport>() == 1024);
