//! TDCALL and SEAMCALL in the linked binaries: every one, at any byte, comes from the one
//! source file that contains them.

use addr2line::Loader;
use harness::{fixture, paths};
use object::LittleEndian as LE;
use object::elf::{FileHeader64, PF_X, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

/// The operand-size prefix may be anywhere before the opcode, other prefixes between.
/// [ABI-G 1], [ABI-H 1.1]
const OPCODES: [[u8; 3]; 2] = [[0x0F, 0x01, 0xCC], [0x0F, 0x01, 0xCF]];
const HOME: &str = "tdcall/src/raw.rs";

/// Addresses in executable segments where the opcode of one of the two instructions stands,
/// whatever the bytes before it are: also in the middle of others.
fn sites(file: &[u8]) -> Vec<u64> {
    let header = FileHeader64::<LE>::parse(file).unwrap();
    let mut sites = Vec::new();
    for segment in header.program_headers(LE, file).unwrap() {
        if segment.p_type(LE) == PT_LOAD && segment.p_flags(LE) & PF_X != 0 {
            let bytes = segment.data(LE, file).unwrap();
            let found = bytes
                .windows(3)
                .enumerate()
                .filter(|(_, bytes)| OPCODES.iter().any(|opcode| opcode == bytes));
            sites.extend(found.map(|(offset, _)| segment.p_vaddr(LE) + offset as u64));
        }
    }
    sites
}

/// The innermost source file of each site, for those that are not the one file.
fn strangers(name: &str) -> (usize, Vec<String>) {
    let path = paths::bare(name);
    let sites = sites(&std::fs::read(&path).unwrap());
    let loader = Loader::new(&path).unwrap();
    let strangers = sites.iter().filter_map(|address| {
        let location = loader.find_location(*address).unwrap();
        let file = location.and_then(|location| location.file).unwrap_or("no source file");
        (!file.ends_with(HOME)).then(|| format!("{name}: {address:#x} is of {file}"))
    });
    (sites.len(), strangers.collect())
}

#[test]
fn the_linked_binaries_have_the_instructions_from_one_source_file_alone() {
    fixture::xtask();
    for name in ["boot", "kernel", "vmm"] {
        let (sites, strangers) = strangers(name);
        assert_eq!(strangers, [""; 0]);
        assert!(sites >= 2, "{name} has {sites} calls: the search finds nothing");
    }
}
