// The part of cuDNN's backend API that the plug-in calls, with NVIDIA's own prototypes. A plan is run in the
// turn of its handle's stream, by the interpreter.
#include <algorithm>

#include "tests/cuda_emulation/cudnn/descriptors.hpp"
#include "tests/cuda_emulation/cudnn/graphs.hpp"
#include "tests/cuda_emulation/emulation.hpp"

using fake_cudnn::Descriptor;
using fake_cudnn::Rule;

namespace {

std::string last_failure;

cudnnStatus_t refuse(cudnnStatus_t status, std::string why) {
  last_failure = std::move(why);
  return status;
}

const Rule* rule_of(const Descriptor& descriptor, int name) {
  const auto& rules = *fake_cudnn::rules_of(descriptor.type);
  const auto found = std::ranges::find(rules, name, &Rule::name);
  return found == rules.end() ? nullptr : &*found;
}

/// A result of the heuristics, or the engine of a configuration.
void make(cudnnBackendDescriptor_t raw, const Descriptor& from, const fake_cudnn::Engine& engine) {
  auto& result = *static_cast<Descriptor*>(raw);
  result.computation = from.computation;
  result.engine = engine;
  result.finalised = true;
}

cudnnStatus_t finalise(Descriptor& descriptor) {
  switch (descriptor.type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
      return fake_cudnn::check_tensor(descriptor);
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
      return fake_cudnn::read_graph(descriptor);
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR: {
      descriptor.computation = descriptor.of(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH).computation;
      descriptor.found = fake_cudnn::engines_for(*descriptor.computation);
      return CUDNN_STATUS_SUCCESS;
    }
    case CUDNN_BACKEND_ENGINE_DESCRIPTOR: {
      descriptor.computation = descriptor.of(CUDNN_ATTR_ENGINE_OPERATION_GRAPH).computation;
      const auto engines = fake_cudnn::engines_for(*descriptor.computation);
      const auto index = descriptor.one<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
      const auto found = std::ranges::find(engines, index, &fake_cudnn::Engine::index);
      if (found == engines.end()) return refuse(CUDNN_STATUS_NOT_SUPPORTED, "no such engine for this graph");
      descriptor.engine = *found;
      return CUDNN_STATUS_SUCCESS;
    }
    case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR: {
      const Descriptor& engine = descriptor.of(CUDNN_ATTR_ENGINECFG_ENGINE);
      make(&descriptor, engine, *engine.engine);
      return CUDNN_STATUS_SUCCESS;
    }
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR: {
      const Descriptor& config = descriptor.of(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
      if (!config.engine->compiles)
        return refuse(CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED, "no kernel could be compiled");
      make(&descriptor, config, *config.engine);
      return CUDNN_STATUS_SUCCESS;
    }
    default:
      return CUDNN_STATUS_SUCCESS;
  }
}

/// Fills descriptors that the caller has made.
cudnnStatus_t hand_out(const Descriptor& from, std::span<const fake_cudnn::Engine> engines, std::int64_t most,
                       std::int64_t* count, void* values) {
  const std::int64_t given = std::min<std::int64_t>(std::ssize(engines), most);
  *count = values == nullptr ? std::ssize(engines) : given;
  if (values == nullptr) return CUDNN_STATUS_SUCCESS;
  for (std::int64_t i = 0; i < given; ++i)
    make(static_cast<cudnnBackendDescriptor_t*>(values)[i], from, engines[static_cast<std::size_t>(i)]);
  return CUDNN_STATUS_SUCCESS;
}

/// What the caller gives a plan. Scalars are read now, as the documentation says.
cudnnStatus_t read_pack(const Descriptor& pack, const fake_cudnn::Computation& computation,
                        fake_cudnn::Memory& memory) {
  const auto ids = pack.all<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto addresses = pack.all<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  if (ids.size() != addresses.size()) return refuse(CUDNN_STATUS_BAD_PARAM, "another number of ids");
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto found = computation.in_memory.find(ids[i]);
    if (found == computation.in_memory.end())
      return refuse(CUDNN_STATUS_BAD_PARAM, "an id that the graph does not have");
    const fake_cudnn::TensorView& tensor = found->second;
    if (tensor.by_value) {
      memory.scalars[ids[i]] = *static_cast<const float*>(addresses[i]);
      continue;
    }
    if (reinterpret_cast<std::uintptr_t>(addresses[i]) % 16 != 0)
      return refuse(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "an address that is not aligned as promised");
    const auto bytes = static_cast<std::size_t>(tensor.extent() * tensor.bytes_of_element());
    if (!cuda_emulation::is_on_device(addresses[i], bytes))
      cuda_emulation::fail("cuDNN: tensor " + std::to_string(ids[i]) +
                           " is not inside one allocation of the device");
    memory.addresses[ids[i]] = addresses[i];
  }
  if (memory.addresses.size() + memory.scalars.size() != computation.in_memory.size())
    return refuse(CUDNN_STATUS_BAD_PARAM, "a tensor of the graph without an address");
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

namespace fake_cudnn {

void remember(std::string why) {
  last_failure = std::move(why);
}

std::uint64_t& runs() {
  static std::uint64_t count = 0;
  return count;
}

}  // namespace fake_cudnn

extern "C" {

std::size_t cudnnGetVersion() {
  return CUDNN_VERSION;
}
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  *handle = new cudnnContext;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  delete handle;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}
const char* cudnnGetErrorString(cudnnStatus_t status) {
  return status == CUDNN_STATUS_SUCCESS          ? "CUDNN_STATUS_SUCCESS"
         : CUDNN_STATUS_CATEGORY(status) == 3000 ? "CUDNN_STATUS_NOT_SUPPORTED"
                                                 : "CUDNN_STATUS_BAD_PARAM";
}
void cudnnGetLastErrorString(char* message, std::size_t most) {
  if (most > 0) message[last_failure.copy(message, most - 1)] = '\0';
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t* descriptor) {
  if (fake_cudnn::rules_of(type) == nullptr)
    return refuse(CUDNN_STATUS_NOT_SUPPORTED, "a kind of descriptor that the fake does not have");
  *descriptor = new Descriptor(type);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  delete static_cast<Descriptor*>(descriptor);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t raw, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t tag, std::int64_t count,
                                       const void* values) {
  auto& descriptor = *static_cast<Descriptor*>(raw);
  const Rule* const rule = rule_of(descriptor, name);
  if (descriptor.finalised) return refuse(CUDNN_STATUS_BAD_PARAM, "the descriptor is finalised");
  if (rule == nullptr) return refuse(CUDNN_STATUS_BAD_PARAM, "not an attribute of this descriptor");
  if (rule->tag != tag) return refuse(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "an attribute of another type");
  if (count < 1 || count > rule->most) return refuse(CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND, "too many values");
  if (tag == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    for (std::int64_t i = 0; i < count; ++i)
      if (!static_cast<const Descriptor* const*>(values)[i]->finalised)
        return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "a descriptor that is not finalised");
  }
  const auto* const bytes = static_cast<const std::byte*>(values);
  descriptor.attributes[name].assign(bytes,
                                     bytes + static_cast<std::size_t>(count) * fake_cudnn::size_of(tag));
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t raw) {
  auto& descriptor = *static_cast<Descriptor*>(raw);
  for (const Rule& rule : *fake_cudnn::rules_of(descriptor.type))
    if (rule.required && !descriptor.has(rule.name))
      return refuse(CUDNN_STATUS_BAD_PARAM, "attribute " + std::to_string(rule.name) + " is missing");
  const cudnnStatus_t status = finalise(descriptor);
  descriptor.finalised = status == CUDNN_STATUS_SUCCESS;
  return status;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t raw, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t tag, std::int64_t most,
                                       std::int64_t* count, void* values) {
  const auto& descriptor = *static_cast<const Descriptor*>(raw);
  std::int64_t ignored = 0;
  if (count == nullptr) count = &ignored;
  if (!descriptor.finalised) return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "it is not finalised");
  if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS && tag == CUDNN_TYPE_BACKEND_DESCRIPTOR)
    return hand_out(descriptor, descriptor.found, most, count, values);
  if (!descriptor.engine) return refuse(CUDNN_STATUS_BAD_PARAM, "the fake does not have this attribute");
  const fake_cudnn::Engine& engine = *descriptor.engine;
  if (name == CUDNN_ATTR_ENGINECFG_ENGINE && tag == CUDNN_TYPE_BACKEND_DESCRIPTOR)
    return hand_out(descriptor, std::span(&engine, 1), most, count, values);
  if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE && tag == CUDNN_TYPE_NUMERICAL_NOTE) {
    *count = engine.repeats ? 0 : 1;
    if (!engine.repeats && values != nullptr)
      *static_cast<cudnnBackendNumericalNote_t*>(values) = CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    return CUDNN_STATUS_SUCCESS;
  }
  const bool index = name == CUDNN_ATTR_ENGINE_GLOBAL_INDEX;
  const bool workspace =
      name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE || name == CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE;
  if ((!index && !workspace) || tag != CUDNN_TYPE_INT64 || most != 1)
    return refuse(CUDNN_STATUS_BAD_PARAM, "the fake does not have this attribute");
  *count = 1;
  *static_cast<std::int64_t*>(values) = index ? engine.index : engine.workspace;
  return CUDNN_STATUS_SUCCESS;
}

/// What was in the workspace is lost when the plan runs.
cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t raw_plan,
                                  cudnnBackendDescriptor_t raw_pack) {
  const auto& plan = *static_cast<const Descriptor*>(raw_plan);
  const auto& pack = *static_cast<const Descriptor*>(raw_pack);
  if (!plan.finalised || !pack.finalised)
    return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "it is not finalised");
  fake_cudnn::Memory memory;
  const cudnnStatus_t status = read_pack(pack, *plan.computation, memory);
  if (status != CUDNN_STATUS_SUCCESS) return status;
  void* const workspace = pack.has(CUDNN_ATTR_VARIANT_PACK_WORKSPACE)
                              ? pack.one<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE)
                              : nullptr;
  const auto bytes = static_cast<std::size_t>(plan.engine->workspace);
  if (bytes > 0 && !cuda_emulation::is_on_device(workspace, bytes))
    cuda_emulation::fail("cuDNN: the workspace is not inside one allocation of the device");
  ++fake_cudnn::runs();
  cuda_emulation::submit(handle->stream, {[computation = plan.computation, memory, workspace, bytes] {
                           if (bytes > 0) std::memset(workspace, 0xff, bytes);
                           fake_cudnn::compute(*computation, memory);
                         }});
  return CUDNN_STATUS_SUCCESS;
}

}  // extern "C"
