// Finds and loads the CUDA plug-in, libgranule_cuda.so, which fills the operators' kernel slots for
// DeviceType::cuda. A program neither links CUDA nor needs it to start; it must export its symbols
// (ENABLE_EXPORTS), against which the plug-in resolves the slots.
#pragma once
#include <array>
#include <cstdint>
#include <string>

namespace granule {

enum class CudaState : std::uint8_t {
  ready,         ///< slots are filled and there is a device
  not_built,     ///< this build has no plug-in and none was named
  missing,       ///< it was built, but is in none of the places
  not_loadable,  ///< the loader refuses it: a library it needs, or a program that exports nothing
  mismatched,    ///< it belongs to another version
  no_driver,
  no_device
};

struct CudaStatus {
  CudaState state;
  std::string reason;  ///< one line for people; empty when ready
  std::string path;    ///< of the plug-in that was loaded, or that should have been
  int slots = 0;       ///< kernel slots it filled, with or without a device
  int devices = 0;
};

/// Looks where GRANULE_CUDA_PLUGIN (a path) says, and only there; else beside the program, in the library
/// folder it was installed with, and where the system looks. Loads it for the rest of the process. Call it
/// before any rank runs; calling it again finds the same.
[[nodiscard]] CudaStatus load_cuda_plugin();

/// What the plug-in tells about itself, through its one entry point, a function
/// `extern "C" void granule_cuda_plugin(CudaPluginReport*)`.
struct CudaPluginReport {
  const char* version = "";  ///< in: the program's; out: the plug-in's, which does nothing where they differ
  int slots = 0;
  int devices = 0;
  bool no_driver = false;
  std::array<char, 256> reason{};  ///< CUDA's own words when there is no device
};

}  // namespace granule
