// The descriptors of the fake cuDNN: attributes that were set, and which ones each kind may have.
#pragma once
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <cudnn.h>

#include "tests/cuda_emulation/cudnn/interpreter.hpp"

struct cudnnContext {
  cudaStream_t stream = nullptr;
};

namespace fake_cudnn {

struct Engine {
  std::int64_t index;
  bool repeats, compiles;
  std::int64_t workspace;
};

struct Descriptor {
  explicit Descriptor(cudnnBackendDescriptorType_t kind) : type(kind) {}

  cudnnBackendDescriptorType_t type;
  bool finalised = false;
  std::map<int, std::vector<std::byte>> attributes;
  // What a finalised descriptor stands for.
  std::shared_ptr<const Computation> computation;  // a graph, and what is made of it
  std::optional<Engine> engine;                    // an engine, and what is made of it
  std::vector<Engine> found;                       // heuristics

  [[nodiscard]] bool has(int name) const { return attributes.contains(name); }
  /// The values of an attribute; none if it was not set.
  template <class T>
  [[nodiscard]] std::vector<T> all(int name) const {
    if (!has(name)) return {};
    const auto& bytes = attributes.at(name);
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return values;
  }
  template <class T>
  [[nodiscard]] T one(int name) const {
    T value{};
    std::memcpy(&value, attributes.at(name).data(), sizeof(T));
    return value;
  }
  [[nodiscard]] const Descriptor& of(int name) const { return *one<const Descriptor*>(name); }
};

/// An attribute that a kind of descriptor may have.
struct Rule {
  int name;
  cudnnBackendAttributeType_t tag;
  std::int64_t most;
  bool required;
};
/// Nothing if the fake does not know the kind.
[[nodiscard]] const std::vector<Rule>* rules_of(cudnnBackendDescriptorType_t type);
[[nodiscard]] std::size_t size_of(cudnnBackendAttributeType_t tag);

/// What the last failure was.
void remember(std::string why);

}  // namespace fake_cudnn
