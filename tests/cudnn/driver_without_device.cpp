// libcuda.so.1 for a machine without a driver. It has no device and runs nothing, but says that it has loaded
// every module. So the real cuDNN makes plans for a device that is only described. The names are those that
// cuDNN looks up.
#define GRANULE_SUCCEEDS(name) \
  extern "C" int name() {      \
    return 0;                  \
  }
#define GRANULE_FAILS(name) \
  extern "C" int name() {   \
    return kNoDevice;       \
  }

namespace {

constexpr int kNoDevice = 100;  // CUDA_ERROR_NO_DEVICE
constexpr int kDriverVersion = 13000;

int anything = 0;  // what handles point to

}  // namespace

GRANULE_FAILS(cuInit)
GRANULE_FAILS(cuDeviceGet)
GRANULE_FAILS(cuDeviceGetAttribute)
GRANULE_FAILS(cuDeviceGetCount)
GRANULE_FAILS(cuDevicePrimaryCtxRelease)
GRANULE_FAILS(cuDevicePrimaryCtxReset)
GRANULE_FAILS(cuDevicePrimaryCtxRetain)
GRANULE_FAILS(cuCtxGetCurrent)
GRANULE_FAILS(cuCtxGetDevice)
GRANULE_FAILS(cuCtxGetLimit)
GRANULE_FAILS(cuCtxPopCurrent)
GRANULE_FAILS(cuCtxPushCurrent)
GRANULE_FAILS(cuLaunchCooperativeKernel)
GRANULE_FAILS(cuLaunchKernel)
GRANULE_FAILS(cuLaunchKernelEx)
GRANULE_FAILS(cuLibraryLoadFromFile)
GRANULE_FAILS(cuLinkAddData)
GRANULE_FAILS(cuLinkAddData_v2)
GRANULE_FAILS(cuLinkAddFile_v2)
GRANULE_FAILS(cuLinkComplete)
GRANULE_FAILS(cuLinkCreate)
GRANULE_FAILS(cuLinkCreate_v2)
GRANULE_FAILS(cuLinkDestroy)
GRANULE_FAILS(cuMemcpyDtoH_v2)
GRANULE_FAILS(cuModuleGetFunction)
GRANULE_FAILS(cuModuleGetGlobal_v2)
GRANULE_FAILS(cuModuleLoadData)
GRANULE_FAILS(cuModuleLoadDataEx)
GRANULE_FAILS(cuModuleLoadFatBinary)
GRANULE_FAILS(cuModuleUnload)
GRANULE_FAILS(cuOccupancyMaxPotentialClusterSize)
GRANULE_FAILS(cuStreamGetCtx)
GRANULE_FAILS(cuStreamSynchronize)
GRANULE_FAILS(cuTensorMapEncodeTiled)
GRANULE_SUCCEEDS(cuFuncSetAttribute)
GRANULE_SUCCEEDS(cuKernelSetAttribute)
GRANULE_SUCCEEDS(cuLibraryUnload)

extern "C" {

int cuDriverGetVersion(int* version) {
  *version = kDriverVersion;
  return 0;
}
int cuGetErrorName(int /*error*/, const char** name) {
  *name = "no device";
  return 0;
}
int cuGetErrorString(int /*error*/, const char** text) {
  *text = "the driver of these tests has no device";
  return 0;
}
int cuLibraryLoadData(void** library) {
  *library = &anything;
  return 0;
}
int cuLibraryGetKernel(void** kernel) {
  *kernel = &anything;
  return 0;
}
int cuKernelGetAttribute(int* value) {
  *value = 0;
  return 0;
}
int cuFuncGetAttribute(int* value) {
  *value = 0;
  return 0;
}
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks) {
  *blocks = 1;
  return 0;
}

}  // extern "C"
