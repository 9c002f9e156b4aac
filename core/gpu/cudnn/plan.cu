#include <algorithm>

#include "core/gpu/cudnn/plan.cuh"

namespace granule::gpu::dnn {
namespace {

/// How many results of the heuristics are looked at. cuDNN has fewer for attention.
constexpr std::int64_t kMostEngines = 16;

/// The descriptors that are the value of an attribute.
std::vector<Descriptor> parts(const Descriptor& of, cudnnBackendAttributeName_t name,
                              cudnnBackendDescriptorType_t type, std::int64_t most) {
  std::vector<Descriptor> made;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = 0; i < most; ++i) raw.push_back(made.emplace_back(type).raw());
  const std::int64_t count = of.get_raw(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, raw.data());
  while (std::ssize(made) > count) made.pop_back();
  return made;
}

Descriptor engine_of(const Descriptor& configuration) {
  auto engines = parts(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
  return std::move(engines.at(0));
}

bool may_differ(const Descriptor& configuration) {
  std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> notes{};
  const auto count = engine_of(configuration)
                         .get_raw(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                  std::ssize(notes), notes.data());
  return std::ranges::count(std::span(notes).first(static_cast<std::size_t>(count)),
                            CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) > 0;
}

std::optional<Descriptor> pinned_configuration(const Descriptor& graph, const Target& target,
                                               const Pinned& pinned) {
  Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph).set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, pinned.engine);
  if (target.described != nullptr) engine.set(CUDNN_ATTR_ENGINE_DEVICEPROP, *target.described);
  if (!engine.finalise_if_supported()) return std::nullopt;
  std::vector<Descriptor> choices;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const auto& [knob, value] : pinned.knobs) {
    Descriptor& choice = choices.emplace_back(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    choice.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, knob).set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, value);
    if (!choice.finalise_if_supported()) return std::nullopt;
    raw.push_back(choice.raw());
  }
  Descriptor configuration(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  configuration.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine)
      .set(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, std::span<const cudnnBackendDescriptor_t>(raw));
  if (!configuration.finalise_if_supported() || may_differ(configuration)) return std::nullopt;
  return configuration;
}

std::vector<Descriptor> suggested_configurations(const Descriptor& graph, const Target& target) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
      .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_HEUR_MODE_A);
  if (target.described != nullptr) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.described);
  if (!heuristics.finalise_if_supported()) return {};
  auto suggested =
      parts(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, kMostEngines);
  std::erase_if(suggested, may_differ);
  return suggested;
}

}  // namespace

std::vector<Configuration> Configuration::candidates(std::shared_ptr<const Graph> graph, const Target& target,
                                                     const std::optional<Pinned>& pinned) {
  std::optional<Descriptor> accepted = graph->finish(target.handle);
  if (!accepted) return {};
  const auto finished = std::make_shared<const Descriptor>(std::move(*accepted));
  std::vector<Configuration> found;
  if (pinned) {
    if (auto chosen = pinned_configuration(*finished, target, *pinned))
      found.push_back(Configuration(graph, finished, std::move(*chosen)));
  }
  for (Descriptor& suggested : suggested_configurations(*finished, target))
    found.push_back(Configuration(graph, finished, std::move(suggested)));
  return found;
}

std::int64_t Configuration::engine() const {
  return engine_of(chosen_).get<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
}

std::int64_t Configuration::workspace() const {
  return chosen_.get<std::int64_t>(CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE);
}

Plan::Plan(Configuration configuration, Descriptor plan)
    : configuration_(std::move(configuration)),
      plan_(std::move(plan)),
      workspace_(plan_.get<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)) {}

std::optional<Plan> Plan::compile(Configuration configuration, const Target& target) {
  Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration.raw());
  if (target.handle != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, target.handle);
  if (target.described != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.described);
  if (!plan.finalise_if_supported()) return std::nullopt;
  return Plan(std::move(configuration), std::move(plan));
}

void Plan::run(cudnnHandle_t handle, std::span<const Binding> bindings, const void* workspace) const {
  std::vector<std::int64_t> ids;
  std::vector<Address> addresses;
  for (const auto& [id, address] : bindings) {
    ids.push_back(id);
    addresses.push_back({address});
  }
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, std::span<const std::int64_t>(ids))
      .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, std::span<const Address>(addresses))
      .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, Address{workspace})
      .finalise();
  check(cudnnBackendExecute(handle, plan_.raw(), pack.raw()), "cudnnBackendExecute");
}

}  // namespace granule::gpu::dnn
