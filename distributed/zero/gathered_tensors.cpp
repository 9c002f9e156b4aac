#include "distributed/zero/gathered_tensors.hpp"

#include <algorithm>

#include "core/transfer.hpp"

namespace granule {
namespace {

void copy_to(std::span<std::byte> out, const Tensor& from) {
  const HostBytes bytes(from);
  std::ranges::copy(bytes.get(), out.begin());
}

class GatheredTensor {
 public:
  GatheredTensor(const GlobalTensor& global, const ShardedParameters& parameters, ArenaPart part)
      : tensor_(global.tensor), column_(global.column), parameters_(&parameters), part_(std::move(part)) {}

  void operator()(std::int64_t offset, std::span<std::byte> out) const {
    Communicator& world = parameters_->mesh().world;
    const std::int64_t element = size_of(part_.data.dtype());
    const std::int64_t begin = tensor_.offset + offset / element;
    const std::int64_t end = begin + std::ssize(out) / element;
    std::vector<std::int64_t> rows;
    for (int rank = 0; rank < world.size(); ++rank) rows.push_back(contribution(rank, begin, end).size);
    const ArenaPart::Range mine = contribution(world.rank(), begin, end);
    // Ranks exchange what is on the host, because that is where the file is written.
    const HostBytes reading(part_.data.slice(mine.at, {mine.size, 1}));
    const Tensor& given = reading.arrived();
    if (rows[0] == end - begin) {  // all of it is at rank 0, and every rank knows that
      if (world.rank() == 0) copy_to(out, given);
      // Ranks that give nothing meet the writer too. Otherwise they would make no progress for the whole
      // save.
      return world.barrier("checkpoint").wait();
    }
    if (world.rank() != 0) return world.gather(given, Tensor(), {}, 0, "checkpoint").wait();
    const Tensor all = Tensor::empty(part_.data.context(), {end - begin, 1}, part_.data.dtype(),
                                     MemoryCategory::scratch, Place::host);
    world.gather(given, all, rows, 0, "checkpoint").wait();
    copy_to(out, all);
  }

 private:
  /// What a rank contributes to elements [begin, end) of the tensor's arena. It is at most one range, because
  /// a tensor is in one bucket.
  [[nodiscard]] ArenaPart::Range contribution(std::int64_t rank, std::int64_t begin, std::int64_t end) const {
    const ArenaPart::Range nothing{begin, 0, 0};
    const MeshPosition at = parameters_->plan().position.of_rank(rank);
    const bool dense = tensor_.group == ParameterGroup::dense;
    if (!dense && at.column() != column_) return nothing;
    if (part_.extent == Extent::whole) {
      // If several ranks have all of it, the first of them gives it.
      return part_of(at, tensor_.group) == 0 ? ArenaPart::Range{begin, end - begin, begin} : nothing;
    }
    const auto ranges = ranges_of_rank(parameters_->plan(), rank, begin, end);
    GRANULE_ASSERT(ranges.size() <= 1, "{} is in {} places of a rank", tensor_.name, ranges.size());
    return ranges.empty() ? nothing : ranges[0];
  }

  LogicalTensor tensor_;
  std::int64_t column_;
  const ShardedParameters* parameters_;
  ArenaPart part_;
};

TensorToSave to_save(const ShardedParameters& parameters, const ArenaPart& part, const GlobalTensor& global,
                     const std::string& prefix) {
  const auto dims = global.tensor.shape.dims();
  return {{prefix + global.tensor.name, part.data.dtype(), {dims.begin(), dims.end()}},
          GatheredTensor(global, parameters, part)};
}

}  // namespace

std::vector<TensorToSave> gathered(const ShardedParameters& parameters, const ArenaPart& part,
                                   const std::vector<GlobalTensor>& tensors, const std::string& prefix) {
  std::vector<TensorToSave> result;
  for (const GlobalTensor& global : tensors) {
    if (part.has(global.tensor)) result.push_back(to_save(parameters, part, global, prefix));
  }
  return result;
}

std::vector<TensorToSave> gathered_values(const ShardedParameters& parameters,
                                          const std::vector<GlobalTensor>& tensors) {
  std::vector<TensorToSave> result;
  for (const GlobalTensor& global : tensors)
    result.push_back(to_save(parameters, parameters.exact_values(global.tensor), global, ""));
  return result;
}

}  // namespace granule
