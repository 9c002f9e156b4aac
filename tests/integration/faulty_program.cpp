// granule with one fault, which the environment names. It is the same program, but make_communicator is the
// one here, which the linker takes before the library's. Its kernels may give one wrong result.
//   GRANULE_FAULT="FAULT rank=R step=S at=PLACE [number=N]"
// FAULT is a name in fault_of() below. PLACE is the phase of a collective, and the fault is at the N-th one
// of that step. PLACE may also be "compute", which is between collectives, in the head of the model.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <limits>
#include <map>
#include <sstream>
#include <thread>

#include <mpi.h>
#include <unistd.h>

#include "apps/cli.hpp"
#include "core/ops/linear_cross_entropy.hpp"
#include "core/ops/softmax.hpp"
#include "distributed/communicators/self_communicator.hpp"
#include "distributed/mpi/launcher.hpp"
#include "distributed/mpi/mpi_communicator.hpp"
#include "moe/ops/expert_ffn.hpp"
#include "tests/support/disturbed_ranks.hpp"

using namespace granule;
using namespace granule::test;

namespace {

struct Fault {
  std::string what, at;
  int rank = 0;
  std::int64_t step = 0;
  int number = 1;
};

/// These are for the whole process: the fault, whether it has happened, and the ledger that knows the step.
Fault fault;
bool happened = false;
const Communicator* world = nullptr;

Fault fault_of(const char* text) {
  Fault read;
  if (text == nullptr) return read;
  std::istringstream words(text);
  words >> read.what;
  for (std::string word; words >> word;) {
    const std::string key = word.substr(0, word.find('=')), value = word.substr(key.size() + 1);
    if (key == "rank") read.rank = std::stoi(value);
    if (key == "step") read.step = std::stoll(value);
    if (key == "number") read.number = std::stoi(value);
    if (key == "at") {
      read.at = value;
      std::replace(read.at.begin(), read.at.end(), '_', ' ');  // a phase may have two words
    }
  }
  return read;
}

/// Whether this is the rank and the step. If so, prints it, and the test measures the time from here.
bool strikes() {
  if (happened || world == nullptr || fault.what.empty()) return false;
  if (world->rank() != fault.rank || world->ledger().step() != fault.step) return false;
  if (--fault.number > 0) return false;
  happened = true;
  fmt::print(stderr, "{}", fmt::format("planted {}\n", fault.what));
  std::fflush(stderr);
  return true;
}

void end_by(int signal) {
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void loop() {
  const std::atomic<bool> over = false;
  while (!over) {
  }
}

/// Deaths and hangs. Returns false for other faults.
bool die() {
  static const std::map<std::string, void (*)()> deaths{
      {"kill", [] { end_by(SIGKILL); }},
      {"segfault", [] { end_by(SIGSEGV); }},
      {"abort", [] { std::abort(); }},
      {"throw", [] { throw std::runtime_error("a planted exception"); }},
      {"exit", [] { _exit(0); }},
      {"finalise",
       [] {
         MPI_Finalize();
         _exit(0);
       }},
      {"stop", [] { std::raise(SIGSTOP); }},
      {"sleep", [] { std::this_thread::sleep_for(std::chrono::hours(1)); }},
      {"loop", loop}};
  const auto death = deaths.find(fault.what);
  if (death != deaths.end()) death->second();
  return death != deaths.end();
}

Runs disturb(const Collective& collective, const Communicator&) {
  if (collective.phase.name() != fault.at || !strikes() || die()) return Runs::once;
  return fault.what == "skip" ? Runs::never : Runs::twice;
}

template <class T>
void plant_nan_as(const Tensor& tensor) {
  tensor.data<T>()[0] = std::numeric_limits<T>::quiet_NaN();
}
void plant_nan(const Tensor& tensor) {
  tensor.dtype() == DType::f64 ? plant_nan_as<double>(tensor) : plant_nan_as<float>(tensor);
}

/// The kernels that were there before.
const auto softmax = Softmax::forward_kernel;
const auto cross_entropy = LinearCrossEntropy::forward_kernel;
const auto experts_backward = ExpertFfn::backward_kernel;

void softmax_kernel(const Softmax::ForwardArgs& args) {
  if (fault.what == "nan-logits" && args.x.numel() > 0 && strikes()) plant_nan(args.x);
  softmax(args);
}

void cross_entropy_kernel(const LinearCrossEntropy::ForwardArgs& args) {
  if (fault.at == "compute" && strikes()) die();
  cross_entropy(args);
  if (fault.what == "nan-loss" && strikes()) plant_nan(args.y);
}

/// It has the experts' own workspace inside, and needs none beside it.
void experts_backward_kernel(const ExpertFfn::BackwardArgs& args) {
  experts_backward(args);
  if (fault.what == "nan-gradient" && strikes()) plant_nan(args.dw2_EDF.dst);
}

}  // namespace

namespace granule {

std::unique_ptr<Communicator> make_communicator() {
  std::unique_ptr<Communicator> ranks = std::make_unique<SelfCommunicator>();
  if (under_mpi_launcher()) ranks = make_mpi_communicator();
  auto disturbed = std::make_unique<DisturbedRanks>(std::move(ranks), disturb);
  world = disturbed.get();
  return disturbed;
}

}  // namespace granule

int main(int argc, char** argv) {
  fault = fault_of(std::getenv("GRANULE_FAULT"));
  constexpr auto kCpu = DeviceType::cpu;
  Softmax::forward_kernel.fill(kCpu, softmax_kernel);
  LinearCrossEntropy::forward_kernel.fill(kCpu, cross_entropy_kernel);
  ExpertFfn::backward_kernel.fill(kCpu, experts_backward_kernel);
  return run_cli(argc, argv);
}
