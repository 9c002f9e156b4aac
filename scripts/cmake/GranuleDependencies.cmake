# Finds every library that the project uses. The installed package uses this file to find the libraries of its parts.
# `scripts/install-deps` installs them on Debian.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(HDF5 1.10 REQUIRED COMPONENTS C)
pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy libhwy-contrib)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(libcrypto REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(zlib REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)

set(MPI_CXX_SKIP_MPICXX ON)  # the removed C++ bindings would need their own library
find_package(MPI REQUIRED COMPONENTS CXX)

find_path(RANDOM123_INCLUDE_DIR Random123/philox.h REQUIRED)
add_library(granule_random123 INTERFACE IMPORTED)
target_include_directories(granule_random123 SYSTEM INTERFACE ${RANDOM123_INCLUDE_DIR})

if(GRANULE_WITH_ONEDNN)
  # This does not use its CMake package, which asks for OpenCL. The CPU engine does not need that.
  find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.h REQUIRED)
  find_library(DNNL_LIBRARY dnnl REQUIRED)
  add_library(granule_onednn INTERFACE IMPORTED)
  target_include_directories(granule_onednn SYSTEM INTERFACE ${DNNL_INCLUDE_DIR})
  target_link_libraries(granule_onednn INTERFACE ${DNNL_LIBRARY})
  find_package(OpenMP REQUIRED COMPONENTS CXX)  # only needed to make oneDNN's runtime use one thread
endif()
if(GRANULE_WITH_SENTENCEPIECE)
  pkg_check_modules(sentencepiece REQUIRED IMPORTED_TARGET sentencepiece)
endif()
if(NOT GRANULE_LIBRARIES_ONLY)
  find_package(tomlplusplus 3.3 REQUIRED)
  find_package(CLI11 2.1 REQUIRED)
  find_package(Boost 1.74 REQUIRED CONFIG)  # its headers: Boost.Math
  pkg_check_modules(simdjson REQUIRED IMPORTED_TARGET simdjson)
  if(GRANULE_BUILD_TESTS)
    find_package(Catch2 3 QUIET)
    if(NOT Catch2_FOUND)  # tests/support/catch.hpp supports version 2 too
      find_package(Catch2 2.13 REQUIRED)
    endif()
  endif()
endif()
