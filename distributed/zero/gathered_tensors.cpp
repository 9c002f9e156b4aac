#include "distributed/zero/gathered_tensors.hpp"

#include <algorithm>

#include "core/transfer.hpp"

namespace granule {
namespace {

void copy_to(std::span<std::byte> out, const Tensor& from) {
  const HostBytes bytes(from);
  std::ranges::copy(bytes.get(), out.begin());
}

/// What rank `rank` contributes to elements [begin, end) of a tensor's arena. It is at most one range,
/// because a tensor is in one bucket.
std::vector<ArenaRange> contribution(const GlobalTensor& tensor, const GlobalArena& arena, std::int64_t rank,
                                     std::int64_t begin, std::int64_t end) {
  const ShardWorld& world = arena.plan.world;
  const std::int64_t column = rank % world.ep, row = rank / world.ep;
  const bool holds = tensor.tensor.group == ParameterGroup::dense || column == tensor.column;
  if (!holds) return {};
  if (arena.part.extent == Extent::whole) {
    // If several ranks have all of it, the first of them gives it.
    const bool first = tensor.tensor.group == ParameterGroup::dense ? rank == 0 : row == 0;
    return first ? ranges_held(arena.plan, Extent::whole, begin, end) : std::vector<ArenaRange>{};
  }
  return ranges_of_rank(arena.plan, rank, begin, end);
}

class GatheredTensor {
 public:
  GatheredTensor(GlobalTensor tensor, GlobalArena arena)
      : tensor_(std::move(tensor)), arena_(std::move(arena)) {}

  void operator()(std::int64_t offset, std::span<std::byte> out) const {
    const std::int64_t element = size_of(arena_.part.data.dtype());
    const std::int64_t begin = tensor_.tensor.offset + offset / element;
    const std::int64_t end = begin + static_cast<std::int64_t>(out.size()) / element;
    std::vector<std::int64_t> rows;
    for (int rank = 0; rank < arena_.world.size(); ++rank) {
      const auto ranges = contribution(tensor_, arena_, rank, begin, end);
      GRANULE_ASSERT(ranges.size() <= 1, "{} is in {} places of a rank", tensor_.tensor.name, ranges.size());
      rows.push_back(ranges.empty() ? 0 : ranges[0].size);
    }
    const auto mine = contribution(tensor_, arena_, arena_.world.rank(), begin, end);
    const Tensor& data = arena_.part.data;
    // Ranks exchange what is on the host, because that is where the file is written.
    const HostBytes reading(mine.empty() ? data.slice(0, {0, 1}) : data.slice(mine[0].at, {mine[0].size, 1}));
    const Tensor& given = reading.arrived();
    if (rows[0] == end - begin) {  // all of it is at rank 0, and every rank knows that
      if (arena_.world.rank() == 0) copy_to(out, given);
      // Ranks that give nothing meet the writer too. Otherwise they would make no progress for the whole
      // save.
      return arena_.world.barrier("checkpoint").wait();
    }
    if (arena_.world.rank() != 0) return arena_.world.gather(given, Tensor(), {}, 0, "checkpoint").wait();
    const Tensor all =
        Tensor::empty(data.context(), {end - begin, 1}, data.dtype(), MemoryCategory::scratch, Place::host);
    arena_.world.gather(given, all, rows, 0, "checkpoint").wait();
    copy_to(out, all);
  }

 private:
  GlobalTensor tensor_;
  GlobalArena arena_;
};

}  // namespace

std::vector<TensorToSave> gathered(const std::vector<GlobalTensor>& tensors, const GlobalArena& arena,
                                   const std::string& prefix) {
  std::vector<TensorToSave> result;
  for (const GlobalTensor& global : tensors) {
    if (!arena.part.has(global.tensor)) continue;
    const auto dims = global.tensor.shape.dims();
    result.push_back({{prefix + global.tensor.name, arena.part.data.dtype(), {dims.begin(), dims.end()}},
                      GatheredTensor(global, arena)});
  }
  return result;
}

}  // namespace granule
