#include "apps/program/version.hpp"

#include <fmt/format.h>
#include <mpi.h>

#include "build_version.hpp"
#include "core/kernels/instruction_set.hpp"
#include "core/plugin.hpp"
#include "distributed/communicators/device_carrier.hpp"

namespace granule {
namespace {

std::string cuda_plugin() {
  const CudaStatus status = load_cuda_plugin();
  if (status.state != CudaState::ready) return status.reason;
  return fmt::format("{}, {} device{}", status.path, status.devices, status.devices == 1 ? "" : "s");
}

/// The plug-in is loaded before.
std::string nccl_library() {
  const std::string version = device_carrier_version(DeviceType::cuda);
  if (!version.empty()) return version;
  return load_cuda_plugin().slots > 0 ? "none: the CUDA plug-in was built without it"
                                      : "none: there is no CUDA plug-in";
}

std::string mpi_library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);  // one of the few calls allowed before MPI_Init
  std::string name(text, static_cast<std::size_t>(length));
  return name.substr(0, name.find_first_of(std::string_view("\n\0", 2)));
}

}  // namespace

std::string program_version() {
  return kVersion;
}

std::string program_commit() {
  return kCommit;
}

std::string cpu_target() {
  return instruction_set();
}

std::string version_and_commit() {
  return fmt::format("{} ({})", kVersion, kCommit);
}

std::string version_text() {
  const std::string cuda = cuda_plugin();
  return fmt::format("granule {}\ncpu   {}\ncuda  {}\nnccl  {}\nmpi   {}\n", version_and_commit(),
                     cpu_target(), cuda, nccl_library(), mpi_library());
}

}  // namespace granule
