#include "distributed/checkpoints/parameter_files.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "core/kernels/convert.hpp"
#include "core/kernels/fill.hpp"
#include "core/transfer_pieces.hpp"

namespace granule {
namespace {

/// Tensors in files of other programs that are not parameters: rotary tables, and the head of a model whose
/// head is its embedding.
bool is_known_extra(const ParameterStore& store, const std::string& name) {
  return name.ends_with(".rotary_emb.inv_freq") || (name == "lm_head.weight" && !store.has(name));
}

void refuse_strangers(const ParameterStore& store, const TensorSet& tensors, const std::string& source) {
  for (const std::string& name : tensors.names()) {
    if (store.has(name) || store.has_state(name) || is_known_extra(store, name)) continue;
    user_error(fmt::format("tensor {} belongs to no parameter of this model", name), source,
               "check that config.json describes these weights");
  }
}

/// A model that was saved before states were kept has none of them, and they start at zero. A file with only
/// some of them is an error.
bool has_any_state(const ParameterStore& store, const TensorSet& tensors) {
  const auto& states = store.states();
  return std::any_of(states.begin(), states.end(),
                     [&](const State& state) { return tensors.find(state.name).has_value(); });
}

/// A model whose head is its embedding may come with a copy of it as the head, but not with another head.
void check_tied_head(const ParameterStore& store, const TensorSet& tensors, const std::string& source) {
  const std::string head = "lm_head.weight", embedding = "model.embed_tokens.weight";
  if (store.has(head) || !store.has(embedding) || !tensors.find(head)) return;
  const auto dims = store.find(embedding).shape.dims();
  const TensorView ours = tensors.get(embedding, dims), theirs = tensors.get(head, dims);
  bool same = ours.dtype == theirs.dtype && std::ranges::equal(ours.bytes, theirs.bytes);
  if (!same && ours.dtype != theirs.dtype) {
    std::vector<double> a(static_cast<std::size_t>(store.find(embedding).shape.numel())), b(a.size());
    tensors.read_into(embedding, dims, std::span(a));
    tensors.read_into(head, dims, std::span(b));
    same = a == b;
  }
  if (same) return;
  user_error("lm_head.weight is not model.embed_tokens.weight, though the model's head is its embedding",
             source, "set tie_word_embeddings to false in its config.json, or take the tensor out");
}

}  // namespace

void check_parameters(const ParameterStore& store, const TensorSet& tensors, const std::string& source) {
  refuse_strangers(store, tensors, source);
  check_tied_head(store, tensors, source);
  for (const LogicalTensor& logical : store.logical())
    static_cast<void>(tensors.get(logical.name, logical.shape.dims()));
  if (!has_any_state(store, tensors)) return;
  for (const State& state : store.states()) static_cast<void>(tensors.get(state.name, state.shape.dims()));
}

void load_parameters(ParameterStore& store, const TensorSet& tensors, const std::string& source) {
  check_parameters(store, tensors, source);
  load_part(store, {}, {store.values(), Extent::whole}, "", tensors);
  load_states(store, tensors);
}

namespace {

/// A tensor's bytes for a file, read when they are saved.
struct BytesOf {
  Tensor tensor;
  void operator()(std::int64_t offset, std::span<std::byte> out) const {
    const std::int64_t element = size_of(tensor.dtype());
    const HostBytes bytes(tensor.slice(offset / element, {std::ssize(out) / element}));
    std::ranges::copy(bytes.get(), out.begin());
  }
};

/// Fills `to` with elements [begin, begin + numel(to)) of a tensor, converted.
void load(const TensorSet& tensors, const std::string& name, const Shape& shape, std::int64_t begin,
          const Tensor& to) {
  dispatch_storage(to.dtype(), [&]<class T>() {
    write_in_pieces<T>(to, [&](std::int64_t first, std::span<T> piece) {
      if constexpr (std::is_same_v<T, bf16>) {
        // By way of float, like the masters, of which the values are then the rounded ones.
        std::vector<float> wide(piece.size());
        tensors.read_into(name, shape.dims(), std::span(wide), begin + first);
        round_row(wide.data(), std::ssize(wide), piece.data());
      } else {
        tensors.read_into(name, shape.dims(), piece, begin + first);
      }
    });
  });
}

}  // namespace

void load_part(const ParameterStore& store, const ShardPlan& plan, const ArenaPart& part,
               const std::string& prefix, const TensorSet& tensors) {
  for (const LogicalTensor& logical : store.logical()) {
    if (!part.has(logical)) continue;
    const std::int64_t begin = logical.offset, end = begin + logical.shape.numel();
    for (const ArenaPart::Range& range : ranges_held(plan, part.extent, begin, end)) {
      load(tensors, prefix + logical.name, logical.shape, range.begin - begin,
           part.data.slice(range.at, {range.size}));
    }
  }
}

void load_states(const ParameterStore& store, const TensorSet& tensors) {
  const bool saved = has_any_state(store, tensors);
  for (const State& state : store.states()) {
    if (saved) {
      load(tensors, state.name, state.shape, 0, state.value);
    } else {
      fill_zero(state.value);
    }
  }
}

std::vector<TensorToSave> states_to_save(const ParameterStore& store) {
  std::vector<TensorToSave> saved;
  for (const State& state : store.states()) {
    const auto dims = state.shape.dims();
    TensorSpec spec{state.name, DType::f32, {dims.begin(), dims.end()}};
    saved.push_back({std::move(spec), BytesOf{state.value}});
  }
  return saved;
}

}  // namespace granule
