#include "distributed/communicators/mesh.hpp"

namespace granule {

void check_layout(const ParallelLayout& layout, std::int64_t experts, std::int64_t ranks,
                  std::string_view where) {
  const std::int64_t ep = layout.ep;
  if (ep < 1) user_error(fmt::format("parallel.ep = {}", ep), where, "set it to 1 or more");
  if (ranks % ep != 0) {
    user_error(fmt::format("{} rank{} cannot be cut into groups of parallel.ep = {}", ranks,
                           ranks == 1 ? "" : "s", ep),
               where,
               "start a multiple of it with mpirun -np, or set it to a divisor of the number of ranks");
  }
  if (experts == 0 && ep > 1) {
    user_error(fmt::format("a dense model has no experts to shard over parallel.ep = {} ranks", ep), where,
               "set it to 1");
  }
  if (experts % ep != 0) {
    user_error(fmt::format("{} experts cannot be sharded evenly over parallel.ep = {} ranks", experts, ep),
               where, "choose a divisor of moe.n_routed_experts");
  }
}

Mesh make_mesh(Communicator& world, const ParallelLayout& layout, std::int64_t experts) {
  check_layout(layout, experts, world.size());
  const MeshPosition at{world.size(), layout.ep, world.rank()};
  const auto row = static_cast<int>(at.row()), column = static_cast<int>(at.column());
  std::unique_ptr<Communicator> data = world.split(column, row, "data");
  std::unique_ptr<Communicator> expert = world.split(row, column, "expert");
  return {world, std::move(data), std::move(expert)};
}

}  // namespace granule
