# Language, warnings and sanitizers, in one interface target that every target of the project links.
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

include(GNUInstallDirs)
add_library(granule_settings INTERFACE)
target_include_directories(granule_settings INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                           $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>
                           $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/granule>)
target_compile_features(granule_settings INTERFACE cxx_std_20)
add_library(granule_warnings INTERFACE)
target_compile_options(granule_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wconversion -Wpedantic -Wnon-virtual-dtor -Werror>
  # A designated initialiser leaves the other members at their defaults. That is its purpose.
  $<$<COMPILE_LANGUAGE:CXX>:-Wno-missing-field-initializers>
  # Fused multiply-adds are written explicitly. Contraction would make results depend on inlining.
  $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)

if(GRANULE_SANITIZE)
  # Reports only need lines, and sanitized code is built more often than it runs.
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")
  # Instrumented code confuses the flow analysis of g++, for example inside its own <regex>.
  target_compile_options(granule_warnings INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
  add_compile_options(-fsanitize=${GRANULE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${GRANULE_SANITIZE})
endif()
