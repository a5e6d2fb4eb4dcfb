//! Numbers that only the running TD knows.

/// What a table calls such a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Address of an accepted private page, which holds a pattern.
    Page,
    /// Address of another one, for what leaves write.
    Output,
    /// The SHARED bit, added to `Page`.
    PageShared,
    /// An address of shared memory.
    Shared,
    /// Another one, that nobody touched before.
    SharedNew,
    /// A shared address where a device is and no memory.
    Device,
    /// Another one.
    DeviceNew,
    /// A page of the unlisted memory, which the TD may have and does not have yet. Each row
    /// takes one of its own.
    Missing(u16),
    /// 2 MiB of the unlisted memory, likewise.
    MissingLarge(u8),
    /// The size of a page that was asked for at 2 MiB: 1 if the VMM gives such, else 0.
    LargeLevel,
    /// A quadword of TD_UUID, 0-3.
    Uuid(u8),
    /// A binding handle that names the TD's own root page, once that is found.
    Handle,
    /// One that names a page of the module's that is no TD's root.
    NoHandle,
    /// GPA width in bits.
    GpaBits,
    /// CONFIG_FLAGS.GPAW: 1 for 52 bits.
    Gpaw,
    /// TSC_FREQUENCY, as CPUID leaf 0x15 has it.
    TscFrequency,
    /// ATTRIBUTES.
    Attributes,
    /// XFAM.
    Xfam,
    /// CONFIG_FLAGS.
    ConfigFlags,
    /// TD_CTLS.
    TdCtls,
}
