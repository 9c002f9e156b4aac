// The part of CUDA's runtime library that the plug-in calls, with NVIDIA's own prototypes. What a program
// must not do throws and says so; what can happen to a right program is returned as CUDA returns it.
#include <cstdlib>
#include <cstring>
#include <map>

#include "tests/cuda_emulation/emulation.hpp"
#include "tests/cuda_emulation/runtime/streams.hpp"

using namespace cuda_emulation;

namespace {

std::map<const void*, std::size_t> dynamic_limits;  // that were raised for a kernel
cudaError_t last_error = cudaSuccess;
int chosen_device = -1;  // none yet

cudaError_t note(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

void require_device(const void* data, std::size_t bytes, const char* what) {
  if (!is_on_device(data, bytes)) fail(std::string(what) + ": not inside one allocation of the device");
}

std::string text_of(const dim3& size) {
  std::string text = std::to_string(size.x);
  for (const unsigned extent : {size.y, size.z}) text.append(" x ").append(std::to_string(extent));
  return text;
}

void check_shape(const cudaLaunchConfig_t& config) {
  const dim3 grid = config.gridDim, block = config.blockDim;
  const bool grid_fits =
      grid.x > 0 && grid.y > 0 && grid.z > 0 && grid.x <= 2147483647U && grid.y <= 65535 && grid.z <= 65535;
  const bool block_fits = block.x > 0 && block.y > 0 && block.z > 0 && block.z <= 64 &&
                          std::size_t{block.x} * block.y * block.z <= 1024;
  if (!grid_fits || !block_fits)
    fail("a launch of a grid " + text_of(grid) + " of blocks " + text_of(block) + ", which no device takes");
}

}  // namespace

namespace cuda_emulation {

int current_device() {
  return std::max(chosen_device, 0);
}

void forget_device() {
  chosen_device = -1;
}

cudaError_t enqueue(const cudaLaunchConfig_t& config, Launch launch) {
  check_shape(config);
  const auto raised = dynamic_limits.find(launch.kernel);
  const std::size_t limit = raised == dynamic_limits.end() ? std::size_t{48} * 1024 : raised->second;
  if (config.dynamicSmemBytes > limit)
    fail("a launch with more dynamic shared memory than the kernel may have");
  for (const void* const pointer : launch.pointers) {
    if (pointer != nullptr && !is_on_device(pointer, 0) && !is_pinned(pointer, 0))
      fail("a kernel was given a pointer to memory of the host");
  }
  submit(config.stream, {.run = [config, launch] { run(launch, config); }, .name = "kernel"});
  return cudaSuccess;
}

}  // namespace cuda_emulation

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = settings().devices;
  return note(*count > 0 ? cudaSuccess : cudaErrorNoDevice);
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;  // no program here uses another
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= settings().devices) return note(cudaErrorInvalidDevice);
  if (chosen_device >= 0 && chosen_device != device) fail("a process of several devices is not emulated");
  chosen_device = device;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= settings().devices) return note(cudaErrorInvalidDevice);
  *properties = {};
  std::strcpy(properties->name, "emulated device");
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int /*device*/) {
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
      *value = 8;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = 0;
      return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      *value = 4;  // so that grids of the machine's size stay small
      return cudaSuccess;
    default:
      fail("the emulated device does not know this attribute");
  }
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = settings().memory;
  *free = settings().memory - live().bytes;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize)
    fail("an attribute of kernels that is not known here");
  if (static_cast<std::size_t>(value) > settings().shared_memory_of_block) return note(cudaErrorInvalidValue);
  dynamic_limits[kernel] = static_cast<std::size_t>(value);
  return cudaSuccess;
}
cudaError_t cudaGetLastError() {
  return std::exchange(last_error, cudaSuccess);
}
const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation"
         : error == cudaErrorInvalidDevice  ? "cudaErrorInvalidDevice"
         : error == cudaErrorNoDevice       ? "cudaErrorNoDevice"
                                            : "cudaError";
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory"
         : error == cudaErrorInvalidDevice  ? "invalid device ordinal"
         : error == cudaErrorNoDevice       ? "no CUDA-capable device is detected"
                                            : "an error of the emulated device";
}

cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  *data = bytes == 0 ? nullptr : allocate_device(bytes);
  return note(bytes == 0 || *data != nullptr ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void* data) {
  drain_all();
  if (data != nullptr) release_device(data);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** data, std::size_t bytes, unsigned /*flags*/) {
  *data = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  if (*data == nullptr) return note(cudaErrorMemoryAllocation);
  register_pinned(*data, bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  if (data == nullptr) return cudaSuccess;
  drain_all();
  forget_pinned(data);
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (to_device) require_device(to, bytes, "the destination of a copy");
  if (from_device) require_device(from, bytes, "the source of a copy");
  const auto on_host = [bytes](const void* data) {
    return !is_on_device(data, bytes) && !is_pinned(data, bytes);
  };
  if (kind != cudaMemcpyDeviceToDevice && on_host(from)) {  // CUDA takes a copy of pageable memory at once
    const auto* const begin = static_cast<const std::byte*>(from);
    const auto staged = std::make_shared<std::vector<std::byte>>(begin, begin + bytes);
    submit(stream, {[=] { std::memcpy(to, staged->data(), bytes); }});
    return cudaSuccess;
  }
  submit(stream, {[=] { std::memmove(to, from, bytes); }});
  if (kind != cudaMemcpyHostToDevice && on_host(to)) drain(stream);  // it returns when the bytes are there
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (!is_pinned(data, bytes)) require_device(data, bytes, "what is set");
  submit(stream, {[=] { std::memset(data, value, bytes); }});
  return cudaSuccess;
}
cudaError_t cudaMemset2DAsync(void* data, std::size_t pitch, int value, std::size_t width, std::size_t height,
                              cudaStream_t stream) {
  auto* const rows = static_cast<std::byte*>(data);
  if (width > 0 && height > 0) require_device(data, (height - 1) * pitch + width, "what is set");
  submit(stream, {[=] {
           for (std::size_t row = 0; row < height; ++row) std::memset(rows + row * pitch, value, width);
         }});
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (flags != cudaStreamNonBlocking) fail("a stream that waits for the default stream");
  *stream = make_stream();
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  destroy_stream(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  drain(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  make_progress();
  return is_idle(stream) ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaDeviceSynchronize() {
  drain_all();
  check_red_zones();
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
  static std::uint64_t made = 0;
  *event = new CUevent_st{.number = made++};
  ++live().events;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  --live().events;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const std::uint64_t number = ++event->recorded;
  const auto reach = [state = event->state, number] {
    state->done = number;
    state->when = std::chrono::steady_clock::now();
  };
  submit(stream, {.run = reach, .touches_memory = false, .name = "record " + std::to_string(event->number)});
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  const std::uint64_t number = event->recorded;
  const auto reached = [state = event->state, number] { return state->done >= number; };
  // A wait for what has already happened holds nothing up.
  const char* const what = reached() ? "pass " : "wait ";
  submit(stream, {.run = [] {},
                  .may_start = reached,
                  .touches_memory = false,
                  .name = what + std::to_string(event->number)});
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  wait_for(*event);
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  make_progress();
  return event->state->done >= event->recorded ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->state->when - begin->state->when).count();
  return cudaSuccess;
}

}  // extern "C"
