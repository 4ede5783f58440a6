//! The chip itself: probe, flash, RTT channels, the state of its core. All calls of probe-rs that
//! need hardware are here.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use probe_rs::flashing::{DownloadOptions, ElfLoader, ElfOptions, download_file_with_options};
use probe_rs::probe::DebugProbeInfo;
use probe_rs::probe::list::{Accessibility, Lister};
use probe_rs::rtt::{Rtt, ScanRegion, find_rtt_control_block_in_raw_file, try_attach_to_rtt};
use probe_rs::semihosting::SemihostingCommand;
use probe_rs::{BreakpointCause, Core, CoreStatus, HaltReason, Permissions, Session, VectorCatchCondition};

use crate::pump::{State, Target};

/// Time that a reset may take.
const RESET: Duration = Duration::from_millis(500);
/// Time until a started firmware has set up its channels.
const ATTACH: Duration = Duration::from_secs(3);

/// Why there is no probe to talk to.
#[derive(Debug)]
pub(crate) enum Missing {
    /// None is connected.
    Probe,
    /// This one is, and the system does not let this user open it.
    Permission(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe => f.write_str("no debug probe is connected"),
            Self::Permission(name) => write!(f, "the debug probe {name} may not be opened"),
        }
    }
}

impl std::error::Error for Missing {}

/// The first probe that may be opened.
pub(crate) fn find() -> anyhow::Result<DebugProbeInfo> {
    let probes = Lister::new().list_all_with_access();
    let usable = probes.iter().find(|probe| probe.accessibility == Accessibility::Accessible);
    match usable.or(probes.first()) {
        None => Err(Missing::Probe.into()),
        Some(probe) if probe.accessibility == Accessibility::Accessible => Ok(probe.info.clone()),
        Some(probe) => Err(Missing::Permission(probe.info.identifier.clone()).into()),
    }
}

/// Writes a firmware to the chip and reads it back.
pub(crate) fn flash(chip: &str, elf: &Path) -> anyhow::Result<Session> {
    let found = find()?;
    let probe = found.open().with_context(|| format!("cannot open {}", found.identifier))?;
    let mut session = probe
        .attach(chip, Permissions::default())
        .with_context(|| format!("no {chip} answers: is the board switched on?"))?;
    let mut options = DownloadOptions::new();
    options.verify = true;
    download_file_with_options(&mut session, elf, ElfLoader(ElfOptions::default()), options)
        .context("the firmware cannot be written")?;
    Ok(session)
}

/// Starts what was written.
pub(crate) fn restart(session: &mut Session) -> anyhow::Result<()> {
    session.core(0)?.reset().context("the chip cannot be reset")
}

/// Starts what was written and attaches to its channels. `elf` is the firmware's file.
pub(crate) fn attach<'s>(session: &'s mut Session, elf: &[u8]) -> anyhow::Result<Attached<'s>> {
    let block = find_rtt_control_block_in_raw_file(elf).context("the firmware is no ELF file")?;
    let region = ScanRegion::Exact(block.context("the firmware has no _SEGGER_RTT: it has no RTT")?);
    let mut core = session.core(0)?;
    core.reset_and_halt(RESET).context("the chip cannot be reset")?;
    // RAM outlives a reset: the block of the run before must not be taken for this one's.
    Rtt::clear_control_block(&mut core, &region)?;
    core.enable_vector_catch(VectorCatchCondition::HardFault)?;
    core.run()?;
    let rtt = try_attach_to_rtt(&mut core, ATTACH, &region).context("the firmware offers no RTT channels")?;
    Ok(Attached { core, rtt })
}

/// A running firmware and its channels.
pub(crate) struct Attached<'s> {
    core: Core<'s>,
    rtt: Rtt,
}

impl Target for Attached<'_> {
    fn up(&mut self, bytes: &mut [u8]) -> anyhow::Result<usize> {
        let channel = self.rtt.up_channel(0).context("the firmware has no channel to the host")?;
        Ok(channel.read(&mut self.core, bytes)?)
    }

    fn down(&mut self, bytes: &[u8]) -> anyhow::Result<usize> {
        let channel = self.rtt.down_channel(0).context("the firmware has no channel from the host")?;
        Ok(channel.write(&mut self.core, bytes)?)
    }

    fn state(&mut self) -> anyhow::Result<State> {
        let status = self.core.status()?;
        let state = state(status);
        if let State::Stopped(why) = state {
            let at: u32 = self.core.read_core_reg(self.core.program_counter())?;
            return Ok(State::Stopped(format!("{why}, at {at:#010x}")));
        }
        Ok(state)
    }
}

/// What the status of the core says of its firmware.
fn state(status: CoreStatus) -> State {
    use SemihostingCommand::{ExitError, ExitSuccess};
    match status {
        CoreStatus::Running | CoreStatus::Sleeping | CoreStatus::Unknown => State::Running,
        CoreStatus::Halted(HaltReason::Breakpoint(BreakpointCause::Semihosting(ExitSuccess))) => {
            State::Ended { passed: true }
        }
        CoreStatus::Halted(HaltReason::Breakpoint(BreakpointCause::Semihosting(ExitError(_)))) => {
            State::Ended { passed: false }
        }
        CoreStatus::Halted(HaltReason::Exception) => State::Stopped("a hard fault".to_owned()),
        CoreStatus::Halted(reason) => State::Stopped(format!("halted ({reason:?})")),
        CoreStatus::LockedUp => State::Stopped("a fault within a fault (lockup)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_a_semihosting_exit() {
        let exit = |command| {
            state(CoreStatus::Halted(HaltReason::Breakpoint(BreakpointCause::Semihosting(command))))
        };
        assert_eq!(exit(SemihostingCommand::ExitSuccess), State::Ended { passed: true });
        assert_eq!(state(CoreStatus::Running), State::Running);
        assert_eq!(state(CoreStatus::Sleeping), State::Running);
        let faults = [CoreStatus::LockedUp, CoreStatus::Halted(HaltReason::Exception)];
        assert!(faults.into_iter().all(|status| matches!(state(status), State::Stopped(_))));
    }
}
