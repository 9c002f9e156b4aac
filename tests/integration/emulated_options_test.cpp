// Choices of a run on the emulated CUDA device that change where or how it computes, and not what.
#include <filesystem>
#include <sstream>

#include "tests/support/emulated_runs.hpp"

#ifdef GRANULE_CUDA_EMULATED

using namespace granule::test;

namespace {

/// The last line that begins with this.
std::string line_of(const std::string& text, const std::string& beginning) {
  std::istringstream lines(text);
  std::string found;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(beginning)) found = line;
  }
  return found;
}

}  // namespace

TEST_CASE("emulated CUDA: with parallel.offload the optimizer's state is on the host, and no bit changes") {
  for (const char* const dtype : {"train.dtype=f32", "train.dtype=bf16"}) {
    CAPTURE(dtype);
    const Workshop shop;
    std::string err;
    const auto run = [&](const char* out, const Words& more) {
      const Words words = train_words(shop, out, Words{dtype, "checkpoint.every=3"} + kOnCuda + more);
      const ProgramResult result = run_program(words, with(device_plugin(GRANULE_CUDA_EMULATED)));
      INFO(result.err);
      REQUIRE(result.exit_code == 0);
      err = result.err;
      return std::pair{shop.tensors(out, 6), shop.metrics(out)};
    };
    const auto on_device = run("device", {});
    CHECK_THAT(line_of(err, "memory:"), Catch::Contains("optimizer"));
    CHECK(run("host", {"parallel.offload=true"}) == on_device);
    CHECK_THAT(line_of(err, "memory:"), Catch::Contains("weights") && !Catch::Contains("optimizer"));
    CHECK_THAT(line_of(err, "memory of the host:"), Catch::Contains("optimizer"));
    // A run may go on with the state in the other place.
    std::filesystem::remove_all(shop.checkpoint("host", 6));
    CHECK(run("host", {"--resume", "parallel.offload=false"}) == on_device);
    CHECK_THAT(line_of(err, "memory:"), Catch::Contains("optimizer"));
  }
}

TEST_CASE("emulated CUDA: with parallel.offload a run fits where the optimizer's state does not") {
  const Workshop shop;
  const auto run = [&](const char* out, const char* offload) {
    ProgramOptions options = with(GRANULE_CUDA_EMULATED);
    // Values and gradients take 4.4 MiB, moments 4.3 MiB, cuBLAS 16 MiB and a step 0.8 MiB: from 22 to 25 MiB
    // only one of the two runs fits.
    options.environment["GRANULE_EMULATED_MEMORY"] = std::to_string(24 << 20);
    return run_program(
        {"train", shop.path("run.toml"), "--out", shop.path(out), "train.steps=1", "train.device=cuda",
         "model.hidden_size=128", "model.intermediate_size=1024", offload},
        options);
  };
  const ProgramResult on_device = run("device", "parallel.offload=false"),
                      on_host = run("host", "parallel.offload=true");
  INFO(on_device.err << on_host.err);
  CHECK(on_device.exit_code == 71);
  CHECK(on_host.exit_code == 0);
}

TEST_CASE("emulated CUDA: every way to multiply experts trains the same model, and other names are refused") {
  const Workshop shop;
  const auto run = [&](const char* out, const char* experts) {
    ProgramOptions options = with(device_plugin(GRANULE_CUDA_EMULATED));
    options.environment["GRANULE_CUDA_EXPERTS"] = experts;
    return run_program(train_words(shop, out, Words{"train.dtype=bf16"} + kOnCuda), options);
  };
  REQUIRE(run("loop", "loop").exit_code == 0);
  REQUIRE(run("streams", "streams").exit_code == 0);
  const ProgramResult grouped = run("grouped", "grouped");
  INFO(grouped.err);
  REQUIRE(grouped.exit_code == 0);
  const auto loop = shop.metrics("loop"), group = shop.metrics("grouped");
  CHECK(shop.metrics("streams") == loop);                    // the same calls
  if (!on_gpu(GRANULE_CUDA_EMULATED)) CHECK(group == loop);  // the fake cuBLAS adds in one order in both
  for (std::size_t i = 0; i < loop.size(); ++i)
    CHECK(difference(group.at(i)["ce"], loop[i]["ce"]) <= 6e-4);  // as between two devices in bf16
  const ProgramResult other = run("other", "together");
  CHECK(other.exit_code == 2);
  CHECK_THAT(other.err, Catch::Contains("GRANULE_CUDA_EXPERTS = together") &&
                            Catch::Contains("loop, streams or grouped"));
}

#endif
