# Makes generated/build_version.hpp with the version and the commit. When included, it defines a target that runs this
# same file as a script at every build. The header is only written if its text changes.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  find_package(Git QUIET)
  add_custom_target(granule_version
    COMMAND ${CMAKE_COMMAND} -DGIT=${GIT_EXECUTABLE} -DSOURCE=${PROJECT_SOURCE_DIR} -DVERSION=${PROJECT_VERSION}
            -DHEADER=${PROJECT_BINARY_DIR}/generated/build_version.hpp -P ${CMAKE_CURRENT_LIST_FILE}
    BYPRODUCTS ${PROJECT_BINARY_DIR}/generated/build_version.hpp
    COMMENT "" VERBATIM)
  return()
endif()

set(commit unknown)
if(GIT)
  # A tarball that is unpacked inside another repository must not take that repository's commit for its own.
  execute_process(COMMAND ${GIT} rev-parse --show-toplevel WORKING_DIRECTORY ${SOURCE}
                  OUTPUT_VARIABLE top OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  file(REAL_PATH ${SOURCE} source)
  if(top STREQUAL source)
    execute_process(COMMAND ${GIT} describe --always --dirty --abbrev=12 --exclude=* WORKING_DIRECTORY ${SOURCE}
                    OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(described)
      set(commit ${described})
    endif()
  endif()
endif()
string(CONCAT text
  "// Written by scripts/cmake/GranuleVersion.cmake.\n#pragma once\nnamespace granule {\n"
  "inline constexpr const char* kVersion = \"${VERSION}\";\n"
  "inline constexpr const char* kCommit = \"${commit}\";\n"
  "}  // namespace granule\n")
if(EXISTS ${HEADER})
  file(READ ${HEADER} present)
endif()
if(NOT "${present}" STREQUAL "${text}")
  file(WRITE ${HEADER} "${text}")
endif()
