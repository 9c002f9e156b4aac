# Builds libgranule_cuda.so from every .cu of the project if there is a CUDA toolkit. With GRANULE_WITH_CUDA=ON, a
# missing toolkit is no error. With REQUIRED, it is one. Nothing links the plug-in; core/plugin.cpp loads it.
# With EMULATED, only the tests' emulated device is built, which needs the toolkit's headers and no nvcc.
set(cuda_built 0)
if(GRANULE_WITH_CUDA STREQUAL "EMULATED")
  find_package(CUDAToolkit 12.8 QUIET)
elseif(GRANULE_WITH_CUDA)
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    find_package(CUDAToolkit 12.8 QUIET)  # the first version that knows compute capability 10.0
  endif()
  if(CUDAToolkit_FOUND)
    # cuDNN has no package of its own. It is in the toolkit, or beside the libraries of the system.
    find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
    find_library(CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 HINTS ${CUDAToolkit_LIBRARY_DIR})
  endif()
  set(needed "a CUDA toolkit from 12.8 on with cuBLAS, and cuDNN 9")
  if(CUDAToolkit_FOUND AND TARGET CUDA::cublas AND CUDNN_INCLUDE_DIR AND CUDNN_LIBRARY)
    set(cuda_built 1)
  elseif(GRANULE_WITH_CUDA STREQUAL "REQUIRED")
    message(FATAL_ERROR "GRANULE_WITH_CUDA is REQUIRED: it takes ${needed}, with nvcc in PATH")
  else()
    message(STATUS "The CUDA plug-in is left out: there is not ${needed}")
  endif()
endif()

include(GNUInstallDirs)
file(RELATIVE_PATH from_program ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
set_property(SOURCE ${PROJECT_SOURCE_DIR}/core/plugin.cpp TARGET_DIRECTORY granule_core APPEND PROPERTY
  COMPILE_DEFINITIONS GRANULE_CUDA_BUILT=${cuda_built} GRANULE_CUDA_FROM_PROGRAM="${from_program}"
  GRANULE_VERSION="${PROJECT_VERSION}")
if(NOT CUDAToolkit_FOUND OR NOT TARGET CUDA::cublas)
  return()
endif()

set(cuda_sources "")
foreach(module core autograd nn moe optim distributed)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${module}/*.cu)
  list(APPEND cuda_sources ${sources})
endforeach()
# Without NCCL, tensors travel between ranks through memory of the host. The emulated device has a library of its own.
find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2 HINTS ${CUDAToolkit_LIBRARY_DIR})
set(has_nccl OFF)
if(NCCL_INCLUDE_DIR AND (NCCL_LIBRARY OR NOT cuda_built))
  set(has_nccl ON)
elseif(GRANULE_WITH_CUDA STREQUAL "REQUIRED")
  message(FATAL_ERROR "GRANULE_WITH_CUDA is REQUIRED: it takes NCCL, its nccl.h and libnccl.so")
else()
  message(STATUS "There is no NCCL: the CUDA plug-in is built without it")
  list(FILTER cuda_sources EXCLUDE REGEX "/distributed/nccl/")
endif()
if(NOT cuda_built)
  return()
endif()

set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 100-real 100-virtual)
endif()
if(CCACHE_PROGRAM AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc can do it
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)

add_library(granule_cuda SHARED ${cuda_sources})
target_include_directories(granule_cuda PRIVATE ${PROJECT_SOURCE_DIR})
target_compile_definitions(granule_cuda PRIVATE GRANULE_VERSION="${PROJECT_VERSION}"
  FMT_USE_CONSTEXPR=1  # fmt 9 turns it off for nvcc, which supports it
  $<TARGET_PROPERTY:fmt::fmt,INTERFACE_COMPILE_DEFINITIONS>)
# nvcc would fuse products and sums as it likes, and an element's bits would depend on the width of its kernel's packs.
target_compile_options(granule_cuda PRIVATE --fmad=false -Werror=all-warnings -Xcompiler=-Wall,-Wextra,-Wshadow,-Werror
  -Xptxas=-warn-spills,-warn-lmem-usage,-Werror)
target_include_directories(granule_cuda SYSTEM PRIVATE ${CUDNN_INCLUDE_DIR})
target_link_libraries(granule_cuda PRIVATE CUDA::cudart CUDA::cublas ${CUDNN_LIBRARY})
if(has_nccl)
  target_include_directories(granule_cuda SYSTEM PRIVATE ${NCCL_INCLUDE_DIR})
  target_link_libraries(granule_cuda PRIVATE ${NCCL_LIBRARY})
endif()
set_target_properties(granule_cuda PROPERTIES
  LIBRARY_OUTPUT_DIRECTORY $<TARGET_FILE_DIR:granule> CUDA_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
  BUILD_RPATH ${CUDAToolkit_LIBRARY_DIR} INSTALL_RPATH ${CUDAToolkit_LIBRARY_DIR})
