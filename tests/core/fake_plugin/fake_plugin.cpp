// It replaces the CUDA plug-in, and reports what the environment variable FAKE_PLUGIN tells it to.
#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "core/plugin.hpp"

extern "C" void granule_cuda_plugin(granule::CudaPluginReport* report) {
  const char* const wanted = std::getenv("FAKE_PLUGIN");
  const std::string_view play = wanted == nullptr ? "" : wanted;
  if (play == "other version") report->version = "0.0.0";
  if (play == "no driver") report->no_driver = true;
  if (play == "device") report->devices = 1;
  if (play == "words") std::copy_n("its own words", 13, report->reason.begin());
}
