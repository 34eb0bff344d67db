// All kernels of the backend, loaded at once.
#pragma once

namespace initrt::cuda {

/// Loads every kernel that launch() may start on the current device. What is loaded on first use
/// may wait for all of the GPU, on which a collective may be waiting for another rank. Libraries'
/// kernels are loaded by being run, once, before the first collective.
void load_kernels();

}  // namespace initrt::cuda
