#include "distributed/communicators/rehearsal_communicator.hpp"

#include <algorithm>
#include <utility>

namespace granule {
namespace {

/// A sum that runs until it is waited for, and keeps pieces of the other ranks meanwhile.
class StagedSum final : public Operation {
 public:
  explicit StagedSum(Tensor staged) : staged_(std::move(staged)) {}
  [[nodiscard]] bool poll() override { return false; }
  void wait() override { staged_ = {}; }

 private:
  Tensor staged_;
};

template <class T>
void scale(std::byte* values, std::int64_t count, int factor) {
  auto* const numbers = reinterpret_cast<T*>(values);
  std::transform(numbers, numbers + count, numbers, [factor](T x) { return x * static_cast<T>(factor); });
}

/// The sum of ranks that all have these values.
void multiply(const Collective& collective, int ranks) {
  if (collective.dtype == DType::f64) scale<double>(collective.output, collective.count, ranks);
  if (collective.dtype == DType::i64) scale<std::int64_t>(collective.output, collective.count, ranks);
}

void repeat(const Collective& collective, int ranks) {
  const std::int64_t part = collective.bytes(collective.count);
  for (int rank = 0; rank < ranks; ++rank)
    std::copy_n(collective.input, part, collective.output + rank * part);
}

}  // namespace

RehearsalCommunicator::RehearsalCommunicator(int ranks, Carrier carrier)
    : Communicator({.group = "world", .size = ranks}, std::make_shared<Ledger>()), carrier_(carrier) {
  GRANULE_CHECK(ranks >= 1, "a rehearsal of {} ranks", ranks);
}

void RehearsalCommunicator::abort(ExitCode code, std::string_view message) {
  throw Error(code, message, "", "");
}

std::unique_ptr<Operation> RehearsalCommunicator::carry(Collective collective, const Ticket& ticket) {
  if (!collective.held_input.defined()) return start(std::move(collective), ticket);
  Context& context = collective.held_input.context();
  GRANULE_CHECK(!context.keeps_bytes(), "a rehearsal has no ranks that bytes could be sent to");
  const std::int64_t bytes = staged_bytes_of_rank(collective, size()) * (size() - 1);
  if (carrier_ == Carrier::memory || bytes == 0) return nullptr;
  return std::make_unique<StagedSum>(
      Tensor::empty(context, {bytes}, DType::u8, MemoryCategory::communication));
}

std::unique_ptr<Operation> RehearsalCommunicator::start(Collective collective, const Ticket& /*ticket*/) {
  const bool sum = collective.kind == CollectiveKind::all_reduce && collective.reduce == ReduceOp::sum;
  if (sum) multiply(collective, size());
  if (collective.kind == CollectiveKind::all_gather) repeat(collective, size());
  return nullptr;
}

std::unique_ptr<Communicator> RehearsalCommunicator::form(const Group& group) {
  return std::unique_ptr<Communicator>(new RehearsalCommunicator(group.place, shared_ledger(), carrier_));
}

}  // namespace granule
