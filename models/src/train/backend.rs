//! Burn's backends by name, and the device that each computes on.
//!
//! `flex` and `ndarray` compute on the CPU and are always there. `wgpu` computes on a GPU, in a build
//! with the feature of that name; a machine without one is refused in a sentence before Burn would
//! panic, and so is one that has only a driver computing on the CPU, which `wgpu-software` asks for.

use burn::tensor::Device;

/// Which of Burn's backends computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Backend {
    /// On the CPU: the default.
    #[default]
    Flex,
    /// On the CPU and many times slower, for comparison.
    #[value(name = "ndarray")]
    NdArray,
    /// On a GPU, by Vulkan, Metal or DirectX 12.
    Wgpu,
    /// As wgpu, on a driver that computes on the CPU: slow, for tests.
    WgpuSoftware,
}

/// Why a backend cannot compute here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The feature `wgpu` is off.
    #[error(
        "this build computes on the CPU only: build it with `--features fourbit-models/wgpu`, or train by `cargo xtask train --backend wgpu`, which does"
    )]
    NotBuilt,
    /// No device answers.
    #[error("no GPU answers here: install its Vulkan driver, or train on the CPU with `--backend flex`")]
    NoGpu,
    /// No device but a software driver answers.
    #[error(
        "no GPU answers here but a driver that computes on the CPU: train with `--backend flex`, which is far faster, or ask for that driver with `--backend wgpu-software`"
    )]
    OnlySoftware,
    /// A software driver was asked for and there is none.
    #[error("no driver that computes on the CPU answers here: Mesa's is in the package mesa-vulkan-drivers")]
    NoSoftware,
}

impl Backend {
    /// Its device, without autodiff.
    pub fn device(self) -> Result<Device, BackendError> {
        match self {
            Backend::Flex => Ok(Device::flex()),
            #[allow(deprecated)]
            Backend::NdArray => Ok(Device::ndarray()),
            Backend::Wgpu => gpu(false),
            Backend::WgpuSoftware => gpu(true),
        }
    }
}

#[cfg(not(feature = "wgpu"))]
fn gpu(_: bool) -> Result<Device, BackendError> {
    Err(BackendError::NotBuilt)
}

/// The best GPU, or the software driver.
#[cfg(feature = "wgpu")]
fn gpu(software: bool) -> Result<Device, BackendError> {
    use burn::backend::{DispatchDevice, WgpuDeviceKind};
    use burn::tensor::{DeviceKind, DeviceType};

    let kind = |device: &Device| match device.as_dispatch() {
        DispatchDevice::Cube(burn::backend::CubeDevice::Wgpu(device)) => Some(device.kind.clone()),
        _ => None,
    };
    let found: Vec<_> = Device::enumerate(DeviceType::Wgpu).iter().filter_map(kind).collect();
    let is_software = |kind: &WgpuDeviceKind| matches!(kind, WgpuDeviceKind::Cpu);
    let (slow, fast): (Vec<_>, Vec<_>) = found.into_iter().partition(is_software);
    match (software, fast.is_empty(), slow.is_empty()) {
        (true, _, false) => Ok(Device::wgpu(DeviceKind::Cpu)),
        (true, _, true) => Err(BackendError::NoSoftware),
        (false, false, _) => Ok(Device::wgpu(DeviceKind::DefaultDevice)),
        (false, true, false) => Err(BackendError::OnlySoftware),
        (false, true, true) => Err(BackendError::NoGpu),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there() {
        assert_eq!(Backend::default().device(), Ok(Device::flex()));
    }

    #[cfg(not(feature = "wgpu"))]
    #[test]
    fn a_build_without_the_feature_says_how_to_get_it() {
        for backend in [Backend::Wgpu, Backend::WgpuSoftware] {
            let said = backend.device().expect_err("not built").to_string();
            assert!(said.contains("--features fourbit-models/wgpu") && !said.contains('\n'), "{said}");
        }
    }
}
