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
  const auto place_of = [&](int rank) { return MeshPosition{world.size(), layout.ep, rank}; };
  const auto seat = [](std::int64_t color, std::int64_t key) {
    return Communicator::Seat{static_cast<int>(color), static_cast<int>(key)};
  };
  std::unique_ptr<Communicator> data =
      world.split([&](int rank) { return seat(place_of(rank).column(), place_of(rank).row()); }, "data");
  std::unique_ptr<Communicator> expert =
      world.split([&](int rank) { return seat(place_of(rank).row(), place_of(rank).column()); }, "expert");
  return {world, std::move(data), std::move(expert)};
}

}  // namespace granule
