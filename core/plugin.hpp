// Finds and loads the CUDA plug-in, libgranule_cuda.so, which fills the operators' kernel slots for
// DeviceType::cuda. A program does not link CUDA and starts without it. It must export its symbols
// (ENABLE_EXPORTS), because the plug-in finds the slots among them.
#pragma once
#include <array>
#include <cstdint>
#include <string>

namespace granule {

enum class CudaState : std::uint8_t {
  ready,         ///< slots are filled and there is a device
  not_built,     ///< this build has no plug-in and none was named
  missing,       ///< it was built, but is in none of the places
  not_loadable,  ///< the loader refuses it: a library is missing, or the program exports nothing
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
  std::string device_name{};  ///< of the first device, as its driver names it
};

/// If GRANULE_CUDA_PLUGIN is set, it is the only path that is tried. Otherwise the places are the program's
/// folder, the library folder of the installation, and the system's search path. The plug-in stays loaded for
/// the rest of the process. Call it before any rank runs. A second call finds the same.
[[nodiscard]] CudaStatus load_cuda_plugin();

/// What the plug-in reports through its one entry point, a function `extern "C" void
/// granule_cuda_plugin(CudaPluginReport*)`.
struct CudaPluginReport {
  /// In: the program's version. Out: the plug-in's. If they differ, the plug-in does nothing.
  const char* version = "";
  int slots = 0;
  int devices = 0;
  bool no_driver = false;
  std::array<char, 256> device_name{};
  std::array<char, 256> reason{};  ///< CUDA's own words if there is no device
};

}  // namespace granule
