#include "core/plugin.hpp"

#include <cstdlib>
#include <fstream>

#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using test::TempDir;

namespace {

CudaStatus load_from(const std::string& path) {
  setenv("GRANULE_CUDA_PLUGIN", path.c_str(), 1);
  CudaStatus status = load_cuda_plugin();
  unsetenv("GRANULE_CUDA_PLUGIN");
  return status;
}

CudaStatus load_fake(const char* play) {
  setenv("FAKE_PLUGIN", play, 1);
  return load_from(GRANULE_FAKE_PLUGIN);
}

}  // namespace

TEST_CASE("plugin: A plug-in that is not where it was said to be is missing") {
  const CudaStatus status = load_from("/nowhere/libgranule_cuda.so");
  CHECK(status.state == CudaState::missing);
  CHECK(status.path == "/nowhere/libgranule_cuda.so");
  CHECK(status.reason.find("/nowhere/libgranule_cuda.so") != std::string::npos);
}

TEST_CASE("plugin: A file that is no library is not loadable, and the loader's words are told") {
  const TempDir folder;
  const std::string path = folder.path() / "libgranule_cuda.so";
  std::ofstream(path) << "not a library";
  const CudaStatus status = load_from(path);
  CHECK(status.state == CudaState::not_loadable);
  CHECK(status.reason.find("libgranule_cuda.so") != std::string::npos);
}

TEST_CASE("plugin: A library of somebody else's is not taken for a plug-in") {
  CHECK(load_from("libm.so.6").state == CudaState::mismatched);
}

TEST_CASE("plugin: A plug-in of another version is refused and both versions are named") {
  const CudaStatus status = load_fake("other version");
  CHECK(status.state == CudaState::mismatched);
  CHECK(status.reason.find("of version 0.0.0") != std::string::npos);
}

TEST_CASE("plugin: A missing driver, a missing device and a device are told apart") {
  CHECK(load_fake("no driver").state == CudaState::no_driver);
  CHECK(load_fake("no device").state == CudaState::no_device);
  CHECK_FALSE(load_fake("no device").reason.empty());
  CHECK(load_fake("words").reason == "its own words");
  const CudaStatus ready = load_fake("device");
  CHECK(ready.state == CudaState::ready);
  CHECK(ready.devices == 1);
  CHECK(ready.reason.empty());
}

#ifdef GRANULE_CUDA_LIBRARY
TEST_CASE("plugin: The CUDA plug-in is refused by a program that does not have all modules") {
  CHECK(load_cuda_plugin().state == CudaState::missing);  // it is not in the test's folder
  const CudaStatus status = load_from(GRANULE_CUDA_LIBRARY);
  CHECK(status.state == CudaState::not_loadable);
  CHECK(status.reason.find("undefined symbol") != std::string::npos);
}
#else
TEST_CASE("plugin: A build without a CUDA toolkit says that it has no plug-in") {
  CHECK(load_cuda_plugin().state == CudaState::not_built);
}
#endif
