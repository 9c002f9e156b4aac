#include "distributed/communicators/rank_order.hpp"

#include <algorithm>
#include <cstring>

namespace granule {
namespace {

constexpr std::int64_t kBlock = 1024;  // elements summed at a time, so that they stay in the first cache

template <class T>
void add_to(T* sum, const T* source, std::int64_t n, ReduceOp reduce) {
  switch (reduce) {
    case ReduceOp::sum:
      for (std::int64_t i = 0; i < n; ++i) sum[i] += source[i];
      return;
    case ReduceOp::max:  // a NaN stays and wins
      for (std::int64_t i = 0; i < n; ++i) {
        if (sum[i] < source[i] || source[i] != source[i]) sum[i] = source[i];
      }
      return;
    case ReduceOp::min:
      for (std::int64_t i = 0; i < n; ++i) {
        if (source[i] < sum[i] || source[i] != source[i]) sum[i] = source[i];
      }
      return;
  }
}

/// Copies between parts of one rank or of two. If they are the same, there is nothing to do.
void copy(const std::byte* from, std::byte* to, std::int64_t bytes) {
  if (bytes > 0 && from != to) std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

template <class T>
void reduce_as(ReduceOp reduce, std::int64_t count, std::span<const std::byte* const> sources,
               std::span<std::byte* const> outputs) {
  std::array<T, kBlock> sum;
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t n = std::min(kBlock, count - begin);
    const auto offset = begin * static_cast<std::int64_t>(sizeof(T));
    const auto bytes = static_cast<std::size_t>(n) * sizeof(T);
    std::memcpy(sum.data(), sources[0] + offset, bytes);
    for (const std::byte* const source : sources.subspan(1)) {
      add_to(sum.data(), reinterpret_cast<const T*>(source + offset), n, reduce);
    }
    for (std::byte* const output : outputs) std::memcpy(output + offset, sum.data(), bytes);
  }
}

void all_gather(std::span<const Collective* const> ranks) {
  const std::int64_t bytes = ranks[0]->bytes(ranks[0]->count);
  for (const Collective* const receiver : ranks) {
    std::byte* to = receiver->output;
    for (const Collective* const sender : ranks) {
      copy(sender->input, to, bytes);
      to += bytes;
    }
  }
}

void reduce_scatter(std::span<const Collective* const> ranks) {
  const Collective& first = *ranks[0];
  std::vector<const std::byte*> sources(ranks.size());
  for (std::size_t part = 0; part < ranks.size(); ++part) {
    const std::int64_t begin = first.bytes(first.count) * static_cast<std::int64_t>(part);
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) sources[rank] = ranks[rank]->input + begin;
    reduce_in_rank_order(first.dtype, first.reduce, first.count, sources, {&ranks[part]->output, 1});
  }
}

void all_reduce(std::span<const Collective* const> ranks) {
  std::vector<const std::byte*> sources;
  std::vector<std::byte*> outputs;
  for (const Collective* const rank : ranks) {
    sources.push_back(rank->input);
    outputs.push_back(rank->output);
  }
  reduce_in_rank_order(ranks[0]->dtype, ranks[0]->reduce, ranks[0]->count, sources, outputs);
}

void all_to_all(std::span<const Collective* const> ranks) {
  std::vector<const std::byte*> from;  // the next element of each sender
  for (const Collective* const sender : ranks) from.push_back(sender->input);
  for (std::size_t receiver = 0; receiver < ranks.size(); ++receiver) {
    std::byte* to = ranks[receiver]->output;
    for (std::size_t sender = 0; sender < ranks.size(); ++sender) {
      const std::int64_t bytes = ranks[sender]->bytes(ranks[sender]->input_counts[receiver]);
      copy(from[sender], to, bytes);
      from[sender] += bytes;
      to += bytes;
    }
  }
}

void gather(std::span<const Collective* const> ranks) {
  std::byte* to = ranks[static_cast<std::size_t>(ranks[0]->root)]->output;
  for (const Collective* const sender : ranks) {
    const std::int64_t bytes = sender->bytes(sender->count);
    copy(sender->input, to, bytes);
    to += bytes;
  }
}

void broadcast(std::span<const Collective* const> ranks) {
  const Collective& root = *ranks[static_cast<std::size_t>(ranks[0]->root)];
  for (const Collective* const rank : ranks) copy(root.input, rank->output, root.bytes(root.count));
}

}  // namespace

void reduce_in_rank_order(DType dtype, ReduceOp reduce, std::int64_t count,
                          std::span<const std::byte* const> sources, std::span<std::byte* const> outputs) {
  if (sources.size() == 1) {
    for (std::byte* const output : outputs) copy(sources[0], output, count * size_of(dtype));
    return;
  }
  switch (dtype) {
    case DType::f32:
      return reduce_as<float>(reduce, count, sources, outputs);
    case DType::f64:
      return reduce_as<double>(reduce, count, sources, outputs);
    case DType::i32:
      return reduce_as<std::int32_t>(reduce, count, sources, outputs);
    case DType::i64:
      return reduce_as<std::int64_t>(reduce, count, sources, outputs);
    default:
      GRANULE_ASSERT(false, "a sum of {}", name_of(dtype));
  }
}

void run_together(std::span<const Collective* const> ranks) {
  switch (ranks[0]->kind) {
    case CollectiveKind::all_reduce:
      return all_reduce(ranks);
    case CollectiveKind::reduce_scatter:
      return reduce_scatter(ranks);
    case CollectiveKind::all_gather:
      return all_gather(ranks);
    case CollectiveKind::broadcast:
      return broadcast(ranks);
    case CollectiveKind::all_to_all:
      return all_to_all(ranks);
    case CollectiveKind::gather:
      return gather(ranks);
    case CollectiveKind::barrier:
    case CollectiveKind::leave:
      return;
  }
}

}  // namespace granule
