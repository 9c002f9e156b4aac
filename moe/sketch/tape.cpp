#include "moe/sketch/tape.hpp"

#include <algorithm>

namespace granule::sketch {
namespace {

std::vector<Tensor> gradients_of(Tape& tape, const std::vector<Slot>& slots) {
  std::vector<Tensor> gradients;
  for (const Slot slot : slots) gradients.push_back(tape.take(slot));
  return gradients;
}

/// Runs the region a second time, recorded, and then backwards. Its outputs and their gradients live until it
/// is done.
void run_again(Sketch& sketch, Tape& outer, const Region& region, Kept& kept, const Var& x,
               const std::vector<Tensor>& seeds) {
  Tape inner;
  const Var input{x.value, x.slot == kConstant ? kConstant : inner.new_slot()};
  std::vector<Var> outputs;
  {
    const Sketch::Recording on(sketch, &inner);
    kept.replay();
    outputs = region(kept, input);
  }
  std::vector<Var> used;
  std::vector<Tensor> used_seeds;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (seeds[i] == nullptr || outputs[i].slot == kConstant) continue;
    used.push_back(outputs[i]);
    used_seeds.push_back(seeds[i]);
  }
  inner.backward(sketch, used, used_seeds);
  if (input.slot != kConstant) outer.add(x.slot, inner.take(input.slot));
}

}  // namespace

Storage::Storage(MemoryTable& table, std::int64_t bytes, MemoryCategory category)
    : table_(table), bytes_(bytes), category_(category) {
  table_.add(category_, bytes_);
}

Storage::~Storage() {
  table_.add(category_, -bytes_);
}

Slot Tape::new_slot() {
  gradients_.emplace_back();
  return static_cast<Slot>(gradients_.size() - 1);
}

void Tape::add_contribution(Sketch& sketch, Slot slot, std::int64_t bytes) {
  if (slot == kConstant) return;
  Tensor& gradient = gradients_[static_cast<std::size_t>(slot)];
  if (gradient == nullptr) gradient = sketch.bytes(bytes);
}

void Tape::add(Slot slot, Tensor gradient) {
  Tensor& sum = gradients_[static_cast<std::size_t>(slot)];
  if (sum == nullptr) sum = std::move(gradient);
}

Tensor Tape::take(Slot slot) {
  return std::exchange(gradients_[static_cast<std::size_t>(slot)], nullptr);
}

void Tape::backward(Sketch& sketch, const std::vector<Var>& outputs, const std::vector<Tensor>& seeds) {
  for (std::size_t i = 0; i < outputs.size(); ++i) add(outputs[i].slot, seeds[i]);
  const Sketch::Recording off(sketch, nullptr);
  while (!nodes_.empty()) {
    const Node node = std::move(nodes_.back());
    nodes_.pop_back();
    node(sketch, *this);
  }
}

Tensor Sketch::bytes(std::int64_t bytes, MemoryCategory category) {
  return std::make_shared<const Storage>(memory_, bytes, category);
}

Var Sketch::record(Takes takes, const std::vector<Var>& inputs, Tensor output, Held held) {
  const bool wanted = takes == Takes::parameter ||
                      std::any_of(inputs.begin(), inputs.end(), [](const Var& v) { return v.slot >= 0; });
  if (tape_ == nullptr || !wanted) return {std::move(output)};
  const Slot slot = tape_->new_slot();
  std::vector<std::pair<Slot, std::int64_t>> destinations;
  for (const Var& input : inputs) destinations.emplace_back(input.slot, input.value->bytes());
  tape_->push([slot, destinations, held = std::move(held)](Sketch& sketch, Tape& tape) {
    const Tensor dy = tape.take(slot);
    if (dy == nullptr) return;
    for (const auto& [input, size] : destinations) tape.add_contribution(sketch, input, size);
    const Tensor activations = sketch.bytes(held.backward_activations);
    const Tensor scratch = sketch.bytes(held.backward_scratch, MemoryCategory::scratch);
    if (held.backward) held.backward(sketch);
  });
  return {std::move(output), slot};
}

std::vector<Var> recompute(Sketch& sketch, const Region& region, const Var& x) {
  Tape* const tape = sketch.tape();
  Kept kept(tape == nullptr ? Kept::Mode::pass : Kept::Mode::keep);
  if (tape == nullptr) return region(kept, x);
  std::vector<Var> outputs;
  {
    const Sketch::Recording off(sketch, nullptr);
    outputs = region(kept, Var{x.value});
  }
  std::vector<Slot> slots;
  for (Var& output : outputs) slots.push_back(output.slot = tape->new_slot());
  tape->push([region, kept, x, slots](Sketch& again, Tape& outer) {
    const std::vector<Tensor> seeds = gradients_of(outer, slots);
    const bool reached =
        std::any_of(seeds.begin(), seeds.end(), [](const Tensor& s) { return s != nullptr; });
    Kept replayed = kept;
    if (reached) run_again(again, outer, region, replayed, x, seeds);
  });
  return outputs;
}

}  // namespace granule::sketch
