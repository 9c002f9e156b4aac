#include "core/plugin.hpp"

#include <cstdlib>
#include <filesystem>
#include <vector>

#include <dlfcn.h>

#include "core/error.hpp"

namespace granule {
namespace {

constexpr const char* kLibrary = "libgranule_cuda.so";
constexpr const char* kEntry = "granule_cuda_plugin";
using Entry = void (*)(CudaPluginReport*);

/// Where the plug-in may be. The last place is the system's search path.
std::vector<std::filesystem::path> places() {
  std::error_code error;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<std::filesystem::path> found;
  for (const auto& candidate : {folder / kLibrary, folder / GRANULE_CUDA_FROM_PROGRAM / kLibrary}) {
    if (std::filesystem::exists(candidate, error)) found.push_back(candidate);
  }
  found.emplace_back(kLibrary);
  return found;
}

CudaStatus not_found(const char* named, const char* loader) {
  if (named != nullptr) {
    const bool there = std::filesystem::exists(named);
    return {there ? CudaState::not_loadable : CudaState::missing,
            fmt::format("GRANULE_CUDA_PLUGIN cannot be loaded: {}", loader), named};
  }
  if (!GRANULE_CUDA_BUILT) {
    return {CudaState::not_built,
            "this build has no CUDA plug-in: there was no CUDA toolkit to build it with", kLibrary};
  }
  return {CudaState::missing, fmt::format("the CUDA plug-in is not beside the program: {}", loader),
          kLibrary};
}

CudaStatus ask(void* library, const std::string& path) {
  const auto entry = reinterpret_cast<Entry>(dlsym(library, kEntry));
  if (entry == nullptr) {
    return {CudaState::mismatched, fmt::format("{} is not a plug-in of granule", path), path};
  }
  CudaPluginReport report{.version = GRANULE_VERSION};
  entry(&report);
  if (std::string_view(report.version) != GRANULE_VERSION) {
    return {CudaState::mismatched,
            fmt::format("{} is of version {}, the program of {}", path, report.version, GRANULE_VERSION),
            path};
  }
  CudaStatus status{CudaState::ready, "", path, report.slots, report.devices, report.device_name.data()};
  if (report.devices > 0) return status;
  const char* const words = report.reason[0] != '\0' ? report.reason.data() : "CUDA finds no device";
  status.state = report.no_driver ? CudaState::no_driver : CudaState::no_device;
  status.reason =
      report.no_driver ? fmt::format("there is no NVIDIA driver, or it is too old: {}", words) : words;
  return status;
}

}  // namespace

CudaStatus load_cuda_plugin() {
  const char* const named = std::getenv("GRANULE_CUDA_PLUGIN");
  const auto candidates = named != nullptr ? std::vector<std::filesystem::path>{named} : places();
  std::string loader;
  for (const auto& path : candidates) {
    if (void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return ask(library, path);
    loader = dlerror();
    if (path.is_absolute() && named == nullptr) return {CudaState::not_loadable, loader, path};
  }
  return not_found(named, loader.c_str());
}

}  // namespace granule
