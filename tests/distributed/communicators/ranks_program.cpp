// A program for mpirun: the cases that every communicator has to pass, or one planted mistake.
//   granule_ranks cases [LARGEST_MESSAGE] | skip | kind | size | repeat | rows | leave | abort | throw
#include <cstdio>
#include <map>
#include <string>

#include "distributed/mpi/mpi_communicator.hpp"
#include "tests/support/collective_cases.hpp"
#include "tests/support/ranks.hpp"

using namespace granule;
using namespace granule::test;

namespace {

void sum(Communicator& ranks, Context& context, Phase phase, std::int64_t n = 4) {
  ranks.all_reduce(Tensor::zeros(context, {n}, DType::f32), phase).wait();
}

void skip(Communicator& ranks, Context& context) {
  sum(ranks, context, "first");
  if (ranks.rank() != 1) sum(ranks, context, "second");
  sum(ranks, context, "third");
}
void kind(Communicator& ranks, Context& context) {
  if (ranks.rank() == 0) return ranks.barrier("same").wait();
  sum(ranks, context, "same");
}
void size(Communicator& ranks, Context& context) {
  sum(ranks, context, "sum", 4 + ranks.rank());
}
/// The mistake shows in the next step only.
void repeat(Communicator& ranks, Context& context) {
  for (int step = 1; step <= 3; ++step) {
    ranks.ledger().begin_step(step);
    sum(ranks, context, "layer");
    if (ranks.rank() == 1 && step == 2) sum(ranks, context, "layer");
  }
}
/// Rank 0 expects more, and rank 1 fewer rows than the other one sends.
void rows(Communicator& ranks, Context& context) {
  const std::vector<std::int64_t> send{2, 2}, receive{2, ranks.rank() == 0 ? 3 : 1};
  const std::int64_t sum_of_rows = ranks.rank() == 0 ? 5 : 3;
  const Tensor to = Tensor::zeros(context, {sum_of_rows, 3}, DType::f32);
  ranks.all_to_all(Tensor::zeros(context, {4, 3}, DType::f32), send, to, receive, "dispatch").wait();
}
void leave(Communicator& ranks, Context& context) {
  const auto group = ranks.split(0, ranks.rank(), "group");
  if (ranks.rank() != 1) sum(*group, context, "waiting");
}
void abort(Communicator& ranks, Context& context) {
  if (ranks.rank() == 1) ranks.abort(ExitCode::non_finite, "a loss is not finite");
  sum(ranks, context, "waiting");
}
void leave_by_exception(Communicator& ranks, Context& context) {
  if (ranks.rank() == 1) user_error("thrown", "", "");
  sum(ranks, context, "waiting");
}
void cases(Communicator& ranks, Context& context) {
  for (const CollectiveCase& one : collective_cases()) {
    try {
      one.run(ranks, context);
    } catch (const Error& error) {
      ranks.abort(ExitCode::failure, fmt::format("{}: {}", one.name, error.what()));
    }
  }
  if (ranks.rank() == 0) fmt::print("all cases passed on {}\n", ranks.size());
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, void (*)(Communicator&, Context&)> modes{
      {"cases", cases}, {"skip", skip},     {"kind", kind},
      {"size", size},   {"repeat", repeat}, {"rows", rows},
      {"leave", leave}, {"abort", abort},   {"throw", leave_by_exception}};
  try {
    MpiOptions options;
    if (argc > 2) options.largest_message = std::stoll(argv[2]);
    const auto ranks = make_mpi_communicator(options);
    Context context;
    modes.at(argc > 1 ? argv[1] : "cases")(*ranks, context);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
