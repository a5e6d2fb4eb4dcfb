//! `cargo xtask smoke`: the check of a TDX host, or of the emulator, for CI.
//!
//! Standard output is a TAP 14 stream and nothing else. The last line on standard error says
//! how it went; if not well, which layer is at fault and what to do.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use harness::tap::{Results, Stream};
use harness::verdict::{self, Judgement, Layer};
use harness::{boot_to, crosscheck, junit};
use xshell::Shell;

use crate::flags;
use crate::run::{self, Prepared};
use crate::values::OptionText;

/// The options of the image that is built for a smoke test.
const OPTIONS: &str = "accept=lazy quiet";

pub(crate) fn run(sh: &Shell, flags: &flags::Smoke) -> Result<ExitCode> {
    ensure!(
        flags.image.is_none() || flags.filter.is_none(),
        "--filter is for the image that is built here: an --image has its options in it, measured"
    );
    let prepared = run::prepare(sh, &as_run(flags)?)?;
    if flags.print_command {
        prepared.print_command();
        return Ok(ExitCode::SUCCESS);
    }
    let Prepared { qemu, options, .. } = &prepared;
    let (report, stream) = boot_to(qemu, options, Stream::new(io::stdout()))?;
    let judgement = verdict::judge(&report);
    let death = (judgement.code != verdict::PASSED && judgement.code != verdict::FAILED)
        .then(|| judgement.text.clone());
    let results = stream.finish(death.as_deref())?;
    let judgement = judged(judgement, &results, flags.filter.as_deref());
    let judgement = match crosscheck::compare(&report, &prepared.mrtd, prepared.kernel) {
        Err(differences) if judgement.layer.is_none() && !prepared.is_hardware() => {
            let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
            at_fault(
                Layer::Module,
                verdict::FAILED,
                &format!("the counts differ: {}", texts.join("; ")),
            )
        }
        _ => judgement,
    };
    if let Some(file) = &flags.junit {
        write(file, &junit::document(&results, &judgement)?)?;
    }
    let seconds = report.elapsed.as_secs_f64();
    match judgement.layer {
        None => eprintln!("passed: {} checks in {seconds:.2} s", results.checks.len()),
        Some(layer) => eprintln!(
            "{layer} at fault: {}; {} (exit {}, logs in {})",
            judgement.text,
            judgement.advice(),
            judgement.code,
            run::shown(&options.logs)
        ),
    }
    Ok(ExitCode::from(judgement.code))
}

/// The same boot as a run.
fn as_run(flags: &flags::Smoke) -> Result<flags::Run> {
    let filter = flags.filter.as_ref().map(|word| format!(" filter={word}")).unwrap_or_default();
    let text: OptionText = (OPTIONS.to_owned() + &filter).parse()?;
    Ok(flags::Run {
        image: flags.image.clone(),
        append: flags.image.is_none().then_some(text),
        memory: flags.memory,
        timeout: flags.timeout,
        qemu: flags.qemu.clone(),
        emulator: flags.emulator,
        tdx: flags.tdx,
        module_options: flags.module_options.clone(),
        logs: flags.logs.clone(),
        print_command: flags.print_command,
        disk: flags.disk.clone(),
        shell: false,
        app: None,
        attributes: None,
        gpaw: None,
    })
}

/// A verdict of success is only believed with a complete stream that has no failure.
fn judged(judgement: Judgement, results: &Results, filter: Option<&str>) -> Judgement {
    if judgement.layer.is_some() {
        return judgement;
    }
    if let (Some(0), Some(word)) = (results.planned, filter) {
        let text = format!("no check has {word:?} in its name");
        return at_fault(Layer::Kernel, verdict::REFUSED, &text);
    }
    if let Some(line) = &results.broken {
        let text = format!("the console is no TAP stream: {line:?}");
        return at_fault(Layer::Kernel, verdict::FAILED, &text);
    }
    if !results.is_complete() {
        return at_fault(Layer::Kernel, verdict::FAILED, "it passed without all checks");
    }
    if !results.passed() {
        return at_fault(Layer::Kernel, verdict::FAILED, "it passed with a failed check");
    }
    judgement
}

fn at_fault(layer: Layer, code: u8, text: &str) -> Judgement {
    Judgement { code, layer: Some(layer), text: text.to_owned() }
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
