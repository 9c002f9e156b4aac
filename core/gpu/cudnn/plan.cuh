// A plan is a graph with an engine that runs it. cuDNN compiles it when it is made, which takes seconds.
#pragma once
#include <memory>
#include <optional>

#include "core/gpu/cudnn/graph.cuh"

namespace granule::gpu::dnn {

/// What plans are made for: the device of a handle, or for tests one that is only described.
struct Target {
  cudnnHandle_t handle = nullptr;
  const Descriptor* described = nullptr;  ///< CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR
  int capability = 0;                     ///< major · 10 + minor
};

/// An engine by its number, with settings that cuDNN's heuristics would not choose.
struct Pinned {
  std::int64_t engine;
  std::vector<std::pair<cudnnBackendKnobType_t, std::int64_t>> knobs;
};

/// A graph and one engine of it. Nothing is compiled yet.
class Configuration {
 public:
  /// In the order in which they should be tried: the pinned engine if cuDNN has it for this graph, and then
  /// those that its heuristics suggest. Engines whose results differ from run to run are left out, as far as
  /// cuDNN notes it.
  static std::vector<Configuration> candidates(std::shared_ptr<const Graph> graph, const Target& target,
                                               const std::optional<Pinned>& pinned);

  [[nodiscard]] std::int64_t engine() const;
  [[nodiscard]] std::int64_t workspace() const;
  [[nodiscard]] const Graph& graph() const { return *graph_; }
  [[nodiscard]] const Descriptor& raw() const { return chosen_; }

 private:
  Configuration(std::shared_ptr<const Graph> graph, std::shared_ptr<const Descriptor> finished,
                Descriptor chosen)
      : graph_(std::move(graph)), finished_(std::move(finished)), chosen_(std::move(chosen)) {}

  std::shared_ptr<const Graph> graph_;
  std::shared_ptr<const Descriptor> finished_;  // the operation graph
  Descriptor chosen_;                           // the engine's configuration
};

/// Where a tensor of the graph is, or on the host the value of a scalar.
struct Binding {
  std::int64_t id;
  const void* address;
};

class Plan {
 public:
  /// Nothing if cuDNN cannot compile it after all.
  static std::optional<Plan> compile(Configuration configuration, const Target& target);

  /// Bytes.
  [[nodiscard]] std::int64_t workspace() const { return workspace_; }
  [[nodiscard]] const Configuration& configuration() const { return configuration_; }
  /// Runs in the turn of the handle's stream. There must be a binding for every tensor and scalar of the
  /// graph.
  void run(cudnnHandle_t handle, std::span<const Binding> bindings, const void* workspace) const;

 private:
  Plan(Configuration configuration, Descriptor plan);

  Configuration configuration_;
  Descriptor plan_;
  std::int64_t workspace_;
};

}  // namespace granule::gpu::dnn
